/* test_frame_check.c - what a client may put on a WebSocket, byte by byte.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>

#include "gateway/frame_check.h"
#include "runtime/random.h"

enum { MESSAGE_MAX = 70000, NOW_MS = 1000, STREAM_MAX = 1 << 18 };

typedef struct {
    uint8_t bytes[STREAM_MAX];
    size_t size;
} stream_t;

/* Appends a frame; first: its first byte. */
static void put(stream_t *stream, unsigned first, bool masked, const void *payload, size_t size)
{
    static const uint8_t mask[4] = {0x11, 0x00, 0xfe, 0x80};
    const uint8_t *plain = payload;
    uint8_t *to = stream->bytes + stream->size;
    uint8_t bit = masked ? 0x80 : 0;
    *to++ = (uint8_t)first;
    if (size < 126) {
        *to++ = (uint8_t)(bit | size);
    } else if (size <= UINT16_MAX) {
        *to++ = bit | 126;
        *to++ = (uint8_t)(size >> 8);
        *to++ = (uint8_t)size;
    } else {
        *to++ = bit | 127;
        for (int i = 7; i >= 0; i--)
            *to++ = (uint8_t)((uint64_t)size >> (8 * i));
    }
    if (masked) {
        memcpy(to, mask, sizeof mask);
        to += sizeof mask;
    }
    for (size_t i = 0; i < size; i++)
        *to++ = masked ? plain[i] ^ mask[i % 4] : plain[i];
    stream->size = (size_t)(to - stream->bytes);
    assert_true(stream->size <= STREAM_MAX);
}

static stream_t *new_stream(void)
{
    stream_t *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    return stream;
}

/* What was left of a stream, and what its pings held. */
static struct {
    uint8_t bytes[STREAM_MAX];
    size_t size;
    uint8_t pings[STREAM_MAX];
    size_t pings_size;
    unsigned pings_count;
} passed;

static void pinged(void *context, fw_bytes_t payload)
{
    assert_ptr_equal(context, &passed);
    assert_true(payload.size <= 125);
    memcpy(passed.pings + passed.pings_size, payload.data, payload.size);
    passed.pings_size += payload.size;
    passed.pings_count++;
}

static const fw_frame_rules_t rules = {MESSAGE_MAX, pinged, &passed};

/* Feeds a stream in pieces of so many bytes; the code that ends it. */
static unsigned fed(const stream_t *stream, size_t piece, size_t *ret_good)
{
    static uint8_t copy[STREAM_MAX];
    fw_frame_check_t check = {.left = 0};
    memcpy(copy, stream->bytes, stream->size);
    memset(&passed, 0, sizeof passed);
    *ret_good = 0;
    for (size_t i = 0; i < stream->size; i += piece) {
        size_t size = stream->size - i < piece ? stream->size - i : piece;
        size_t good = 0;
        fw_close_t close = fw_frame_check(&check, &rules, NOW_MS, copy + i, size, &good);
        assert_true(good <= size);
        memcpy(passed.bytes + passed.size, copy + i, good);
        passed.size += good;
        *ret_good += good;
        if (close.code != FW_CLOSE_NONE) {
            assert_true(strlen(close.reason) > 0 && strlen(close.reason) <= 123);
            fw_frame_check_clear(&check);
            return close.code;
        }
    }
    fw_frame_check_clear(&check);
    return 0;
}

/* The same whether it comes at once or byte by byte; frees the stream. */
static void ends_with(stream_t *stream, unsigned code)
{
    size_t whole = 0, bytewise = 0, other = 0;
    assert_int_equal(fed(stream, stream->size, &whole), code);
    assert_int_equal(fed(stream, 1, &bytewise), code);
    assert_int_equal(fed(stream, 7, &other), code);
    if (code == 0)
        assert_int_equal(whole, bytewise);
    free(stream);
}

static void one_ends_with(unsigned first, bool masked, const char *payload, size_t size,
                          unsigned code)
{
    stream_t *stream = new_stream();
    put(stream, first, masked, payload, size);
    ends_with(stream, code);
}

static void without_a_mask_is_refused(void **state)
{
    (void)state;
    one_ends_with(0x81, false, "hello", 5, 1002);
    one_ends_with(0x81, false, "", 0, 1002);
    one_ends_with(0x89, false, "", 0, 1002);
    one_ends_with(0x88, false, "\x03\xe8", 2, 1002);
}

static void reserved_bits_and_opcodes_are_refused(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        unsigned opcode = first & 15;
        bool final = first & 0x80;
        bool known = opcode == 1 || opcode == 2 || (final && opcode >= 8 && opcode <= 10);
        stream_t *stream = new_stream();
        put(stream, first, true, "", 0);
        ends_with(stream, known && !(first & 0x70) ? 0 : 1002);
    }
}

static void control_frames_are_short_and_whole(void **state)
{
    (void)state;
    char payload[126] = {0};
    one_ends_with(0x89, true, payload, 125, 0);
    one_ends_with(0x8a, true, payload, 125, 0);
    one_ends_with(0x89, true, payload, 126, 1002);
    one_ends_with(0x09, true, payload, 1, 1002);
    one_ends_with(0x08, true, "\x03\xe8", 2, 1002);
}

static void fragments_follow_each_other(void **state)
{
    (void)state;
    one_ends_with(0x80, true, "x", 1, 1002); /* continues nothing */
    one_ends_with(0x00, true, "x", 1, 1002);
    stream_t *stream = new_stream();
    put(stream, 0x01, true, "a", 1);
    put(stream, 0x89, true, "between", 7); /* control frames may come in between */
    put(stream, 0x00, true, "", 0);
    put(stream, 0x8a, true, "", 0);
    put(stream, 0x80, true, "b", 1);
    put(stream, 0x81, true, "next", 4);
    ends_with(stream, 0);
    stream = new_stream();
    put(stream, 0x01, true, "a", 1);
    put(stream, 0x81, true, "b", 1); /* instead of a continuation */
    ends_with(stream, 1002);
    stream = new_stream();
    put(stream, 0x01, true, "a", 1);
    put(stream, 0x80, true, "b", 1);
    put(stream, 0x80, true, "c", 1); /* after the end */
    ends_with(stream, 1002);
}

static void lengths_are_the_shortest(void **state)
{
    (void)state;
    static const uint8_t sixteen[] = {0x81, 0xfe, 0x00, 0x7d, 1, 2, 3, 4};
    static const uint8_t sixty_four[] = {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4};
    static const uint8_t negative[] = {0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4};
    const fw_bytes_t cases[] = {
        {sixteen, sizeof sixteen}, {sixty_four, sizeof sixty_four}, {negative, sizeof negative}};
    for (size_t i = 0; i < 3; i++) {
        stream_t *stream = new_stream();
        memcpy(stream->bytes, cases[i].data, cases[i].size);
        stream->size = cases[i].size;
        ends_with(stream, 1002);
    }
    char *payload = calloc(1, MESSAGE_MAX);
    one_ends_with(0x81, true, payload, 126, 0);
    one_ends_with(0x81, true, payload, 65535, 0);
    one_ends_with(0x81, true, payload, 65536, 0);
    free(payload);
}

static void a_message_is_bounded_before_it_is_read(void **state)
{
    (void)state;
    uint8_t huge[] = {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    fw_frame_check_t check = {.left = 0};
    size_t good = 0;
    assert_int_equal(fw_frame_check(&check, &rules, NOW_MS, huge, sizeof huge, &good).code, 1009);
    char *payload = calloc(1, MESSAGE_MAX);
    stream_t *stream = new_stream();
    put(stream, 0x01, true, payload, MESSAGE_MAX - 1);
    put(stream, 0x00, true, payload, 1);
    put(stream, 0x80, true, payload, 0);
    ends_with(stream, 0);
    stream = new_stream();
    put(stream, 0x01, true, payload, MESSAGE_MAX - 1);
    put(stream, 0x80, true, payload, 2);
    ends_with(stream, 1009);
    free(payload);
}

static void close_frames_have_a_code_and_a_reason(void **state)
{
    (void)state;
    one_ends_with(0x88, true, "", 0, 0);
    one_ends_with(0x88, true, "\x03", 1, 1002);
    for (unsigned code = 0; code < 65536; code += code < 5100 ? 1 : 4093) {
        char payload[2] = {(char)(code >> 8), (char)code};
        bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        fw_frame_check_t check = {.left = 0};
        static stream_t stream;
        size_t good = 0;
        stream.size = 0;
        put(&stream, 0x88, true, payload, 2);
        fw_close_t close = fw_frame_check(&check, &rules, NOW_MS, stream.bytes, stream.size, &good);
        assert_int_equal(close.code, valid ? 0 : 1002);
        assert_int_equal(check.closed, valid);
    }
    one_ends_with(0x88, true, "\x03\xe8goodbye \xe2\x82\xac", 13, 0);
    static const char *const bad[] = {"\xff",     "\xc0\x80", "\xed\xa0\x80",
                                      "\xe2\x82", "\xf4\x90", "\xf0\x8f\xbf\xbf",
                                      "\x80",     "a\xc3(",   "\xf5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char payload[16] = "\x03\xe8";
        memcpy(payload + 2, bad[i], strlen(bad[i]));
        one_ends_with(0x88, true, payload, 2 + strlen(bad[i]), 1007);
    }
}

static void behind_a_close_frame_nothing_is_read(void **state)
{
    (void)state;
    stream_t *stream = new_stream();
    size_t good = 0;
    put(stream, 0x88, true, "\x03\xe8", 2);
    size_t end = stream->size;
    put(stream, 0xff, false, "anything", 8);
    assert_int_equal(fed(stream, stream->size, &good), 0);
    assert_int_equal(good, end);
    assert_int_equal(fed(stream, 1, &good), 0);
    assert_int_equal(good, end);
    free(stream);
}

static void frames_that_are_no_messages_are_rationed(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        stream_t *stream = new_stream();
        put(stream, kind == 0 ? 0x89 : 0x01, true, "x", 1);
        for (int i = 0; i < FW_EXTRA_FRAMES_BURST; i++)
            put(stream, kind == 0 ? 0x89 : 0x00, true, "x", 1);
        ends_with(stream, 4290);
    }
    fw_frame_check_t check = {.left = 0};
    static stream_t ping;
    put(&ping, 0x89, true, "", 0);
    for (int64_t i = 0; i < 4 * FW_EXTRA_FRAMES_BURST; i++) {
        size_t good = 0;
        int64_t now_ms = NOW_MS + i * 1000 / FW_EXTRA_FRAMES_PER_SECOND;
        static stream_t copy;
        copy = ping;
        assert_int_equal(fw_frame_check(&check, &rules, now_ms, copy.bytes, ping.size, &good).code,
                         0);
    }
    stream_t *messages = new_stream();
    for (int i = 0; i < 4 * FW_EXTRA_FRAMES_BURST; i++)
        put(messages, 0x81, true, "whole", 5);
    ends_with(messages, 0);
}

static void pings_are_taken_out_and_everything_else_stays(void **state)
{
    (void)state;
    stream_t *stream = new_stream();
    stream_t *rest = new_stream();
    put(stream, 0x89, true, "one", 3);
    put(stream, 0x01, true, "a", 1);
    put(stream, 0x89, true, "", 0);
    put(stream, 0x8a, true, "pong", 4);
    put(stream, 0x80, true, "bc", 2);
    put(stream, 0x89, true, "two", 3);
    put(stream, 0x88, true, "\x03\xe8", 2);
    put(rest, 0x01, true, "a", 1);
    put(rest, 0x8a, true, "pong", 4);
    put(rest, 0x80, true, "bc", 2);
    put(rest, 0x88, true, "\x03\xe8", 2);
    for (size_t piece = 1; piece <= stream->size; piece++) {
        size_t good = 0;
        assert_int_equal(fed(stream, piece, &good), 0);
        assert_int_equal(good, rest->size);
        assert_memory_equal(passed.bytes, rest->bytes, rest->size);
        assert_int_equal(passed.pings_count, 3);
        assert_int_equal(passed.pings_size, 6);
        assert_memory_equal(passed.pings, "onetwo", 6);
    }
    free(stream);
    free(rest);
}

static void nothing_is_taken_out_of_what_is_only_looked_at(void **state)
{
    (void)state;
    const fw_frame_rules_t looking = {MESSAGE_MAX, NULL, NULL};
    fw_frame_check_t check = {.left = 0};
    stream_t *stream = new_stream();
    stream_t *before = new_stream();
    size_t good = 0;
    put(stream, 0x89, true, "one", 3);
    put(stream, 0x81, true, "two", 3);
    *before = *stream;
    /* Half of the ping is looked at, the rest comes when pings are taken out: it stays whole. */
    assert_int_equal(fw_frame_check(&check, &looking, NOW_MS, stream->bytes, 4, &good).code, 0);
    assert_int_equal(good, 4);
    size_t left = stream->size - 4;
    assert_int_equal(fw_frame_check(&check, &rules, NOW_MS, stream->bytes + 4, left, &good).code,
                     0);
    assert_int_equal(good, left);
    assert_memory_equal(stream->bytes, before->bytes, before->size);
    free(stream);
    free(before);
}

/* Any bytes in any pieces give the same verdict at the same place. */
static void the_pieces_make_no_difference(void **state)
{
    (void)state;
    fw_random_t random = {.state = 4711};
    for (int round = 0; round < 3000; round++) {
        static stream_t stream;
        stream.size = 0;
        char payload[300];
        size_t frames = 1 + (size_t)fw_random_below(&random, 6);
        for (size_t i = 0; i < frames; i++) {
            unsigned first = (unsigned)fw_random_below(&random, 256) & 0x8b;
            for (size_t j = 0; j < sizeof payload; j++)
                payload[j] = (char)fw_random_next(&random);
            put(&stream, first, fw_random_below(&random, 10) > 0, payload,
                (size_t)fw_random_below(&random, sizeof payload));
        }
        size_t whole_good = 0, good = 0;
        unsigned whole = fed(&stream, stream.size, &whole_good);
        size_t pings = passed.pings_size;
        unsigned pieces = fed(&stream, 1 + (size_t)fw_random_below(&random, 40), &good);
        assert_int_equal(whole, pieces);
        assert_int_equal(pings, passed.pings_size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_mask_is_refused),
        cmocka_unit_test(reserved_bits_and_opcodes_are_refused),
        cmocka_unit_test(control_frames_are_short_and_whole),
        cmocka_unit_test(fragments_follow_each_other),
        cmocka_unit_test(lengths_are_the_shortest),
        cmocka_unit_test(a_message_is_bounded_before_it_is_read),
        cmocka_unit_test(close_frames_have_a_code_and_a_reason),
        cmocka_unit_test(behind_a_close_frame_nothing_is_read),
        cmocka_unit_test(frames_that_are_no_messages_are_rationed),
        cmocka_unit_test(pings_are_taken_out_and_everything_else_stays),
        cmocka_unit_test(nothing_is_taken_out_of_what_is_only_looked_at),
        cmocka_unit_test(the_pieces_make_no_difference),
    };
    return cmocka_run_group_tests_name("a client's frames", tests, NULL, NULL);
}
