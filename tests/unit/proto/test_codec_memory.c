/* test_codec_memory.c - no frame makes the codec take more than a small multiple of its size.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/codec_internal.h"
#include "tests/support/wire_any.h"
#include "tests/support/wire_writer.h"

/* Even an empty message costs the first block; then bounded lists of small values cost most. */
enum { SMALL_FRAME_HELD_MAX = 512 * 1024, MULTIPLE_MAX = 3 };

/* path: the numbers of the message fields around the last field, which stands there count times. */
static fw_wire_t nested(const uint32_t *path, size_t count, fw_bytes_t value)
{
    fw_wire_t wire = fw_wire_new(count * (value.size + 8) + 16);
    size_t depth = 0;
    while (path[depth])
        depth++;
    for (size_t i = 0; i < count; i++)
        fw_wire_bytes(&wire, path[depth - 1], value);
    for (size_t level = depth - 1; level-- > 0;) {
        fw_wire_t outer = fw_wire_new(wire.size + 16);
        fw_wire_bytes(&outer, path[level], fw_wire_view(&wire));
        fw_wire_clear(&wire);
        wire = outer;
    }
    return wire;
}

static size_t held_after(int decoder, const fw_wire_t *wire, int *ret_result)
{
    fw_codec_t *codec = fw_codec_new();
    fw_any_t any;
    fw_refusal_t refusal;
    *ret_result = fw_any_decode(codec, decoder, fw_wire_view(wire), &any, &refusal);
    size_t held = fw_arena_held(codec->decoded) + fw_arena_held(codec->publication);
    fw_codec_destroy(&codec);
    return held;
}

static void takes_no_more_than_a_small_multiple_of_a_frame(void **state)
{
    static uint8_t bytes[FW_PUBLICATION_SIZE_MAX];
    memset(bytes, 'x', sizeof bytes);
    const struct {
        int decoder;
        uint32_t path[6];
        size_t count, size;
    } rows[] = {
        {FW_LINK_PUBLISHER_UP, {2, 5, 4}, FW_AUDIENCE_MAX, 0},
        {FW_LINK_PUBLISHER_UP, {2, 5, 6, 1}, FW_INVALIDATE_KEYS_MAX, 0},
        {FW_LINK_PUBLISHER_UP, {2, 5, 6, 1}, FW_INVALIDATE_KEYS_MAX, FW_KEY_SIZE_MAX},
        {FW_LINK_PUBLISHER_UP, {2, 5, 3, 1}, 1, FW_PAYLOAD_SIZE_MAX},
        {FW_LINK_PUBLISHER_UP, {2, 5, 3, 15, 3}, 1000, 0},
        {FW_LINK_PUBLISHER_UP, {15}, 16, FW_PAYLOAD_SIZE_MAX - 8}, /* unknown fields */
        {FW_LINK_WORKER_UP, {2, 3}, FW_INVALIDATE_TAGS_MAX, 0},
        {FW_LINK_GATEWAY_UP, {2, 2}, FW_POSITIONS_MAX, 0},
        {FW_LINK_GATEWAY_DOWN, {2, 2}, FW_POSITIONS_MAX, 0},
        {FW_LINK_GATEWAY_DOWN, {3, 5}, FW_REPLAY_EVENTS_MAX, 0},
        {FW_LINK_GATEWAY_DOWN, {3, 5, 6}, 1, FW_PUBLICATION_SIZE_MAX},
        {FW_ANY_DELIVERY, {6}, 1, FW_PUBLICATION_SIZE_MAX},
        {FW_ANY_PUBLICATION, {3, 15, 3}, 350, FW_USER_ID_SIZE_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result;
        fw_wire_t wire = nested(rows[i].path, rows[i].count, (fw_bytes_t){bytes, rows[i].size});
        size_t held = held_after(rows[i].decoder, &wire, &result);
        print_message("row %zu: frame of %zu bytes, result %d, %zu bytes held\n", i, wire.size,
                      result, held);
        assert_true(held <= SMALL_FRAME_HELD_MAX || held <= MULTIPLE_MAX * wire.size);
        fw_wire_clear(&wire);
    }
}

/* The worst of every list at once. */
static void takes_little_for_a_small_frame_with_every_list_full(void **state)
{
    int result;
    fw_wire_t invalidate = fw_wire_new(8192), event = fw_wire_new(16384);
    fw_wire_t publish = fw_wire_new(16384), wire = fw_wire_new(16384);
    (void)state;
    for (int i = 0; i < FW_INVALIDATE_KEYS_MAX; i++)
        fw_wire_text(&invalidate, 1, "");
    for (int i = 0; i < FW_INVALIDATE_TAGS_MAX; i++)
        fw_wire_text(&invalidate, 2, "");
    for (int i = 0; i < FW_AUDIENCE_MAX; i++)
        fw_wire_text(&event, 4, "");
    fw_wire_bytes(&event, 6, fw_wire_view(&invalidate));
    fw_wire_bytes(&publish, 5, fw_wire_view(&event));
    fw_wire_bytes(&wire, 2, fw_wire_view(&publish));
    size_t held = held_after(FW_LINK_PUBLISHER_UP, &wire, &result);
    assert_int_equal(result, 0);
    print_message("frame of %zu bytes, %zu bytes held\n", wire.size, held);
    assert_true(held <= SMALL_FRAME_HELD_MAX);
    fw_wire_clear(&invalidate);
    fw_wire_clear(&event);
    fw_wire_clear(&publish);
    fw_wire_clear(&wire);
}

static void takes_nothing_for_a_frame_that_is_refused(void **state)
{
    int result;
    fw_wire_t nothing = fw_wire_new(1);
    size_t before = held_after(FW_LINK_PUBLISHER_UP, &nothing, &result);
    fw_wire_t wire =
        nested((const uint32_t[]){2, 5, 6, 1, 0}, FW_INVALIDATE_KEYS_MAX + 1, FW_WIRE_BYTES("key"));
    (void)state;
    assert_int_equal(held_after(FW_LINK_PUBLISHER_UP, &wire, &result), before);
    assert_true(result < 0);
    fw_wire_clear(&wire);
    fw_wire_clear(&nothing);
}

static void gives_the_memory_of_a_large_message_back(void **state)
{
    static uint8_t data[FW_PAYLOAD_SIZE_MAX];
    fw_codec_t *codec = fw_codec_new();
    size_t before = fw_arena_held(codec->decoded) + fw_arena_held(codec->encoding);
    fw_event_t event = {.type = FW_TEXT("a"),
                        .data = {.kind = FW_PAYLOAD_BINARY, .bytes = {data, sizeof data}}};
    fw_delivery_t deliveries[64];
    fw_message_t message = {.kind = FW_MESSAGE_REPLAY_REPLY,
                            .replay_reply = {.status = FW_REPLAY_COMPLETE,
                                             .deliveries = deliveries,
                                             .deliveries_count = 64}};
    fw_refusal_t refusal;
    (void)state;
    fw_bytes_t frame = fw_codec_encode_publication(codec, &event);
    uint8_t *copy = malloc(frame.size);
    assert_non_null(copy);
    memcpy(copy, frame.data, frame.size);
    for (size_t i = 0; i < 64; i++) {
        deliveries[i] = (fw_delivery_t){.channel = FW_TEXT("broadcast"),
                                        .position = {1, i + 1},
                                        .publication = {copy, frame.size}};
    }
    frame = fw_codec_encode(codec, FW_LINK_GATEWAY_DOWN, &message);
    assert_true(codec->capacity > 4194304);
    assert_int_equal(fw_codec_decode(codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal), 0);
    message = (fw_message_t){.kind = FW_MESSAGE_PING, .number = 1};
    frame = fw_codec_encode(codec, FW_LINK_GATEWAY_UP, &message);
    assert_int_equal(fw_codec_decode(codec, FW_LINK_GATEWAY_UP, frame, &message, &refusal), 0);
    assert_true(codec->capacity < 65536);
    assert_int_equal(fw_arena_held(codec->decoded) + fw_arena_held(codec->encoding), before);
    free(copy);
    fw_codec_destroy(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_nothing_for_a_frame_that_is_refused),
        cmocka_unit_test(takes_no_more_than_a_small_multiple_of_a_frame),
        cmocka_unit_test(takes_little_for_a_small_frame_with_every_list_full),
        cmocka_unit_test(gives_the_memory_of_a_large_message_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
