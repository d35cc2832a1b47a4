/* test_codec_mutation.c - no truncation and no random change of a message does harm, and whatever
 * is accepted means the same after it was written and read again. Seed: FW_TEST_SEED.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/wire_samples.h"

enum { MUTATIONS = 200 * 1000, CHANGES_MAX = 6, FRAME_MAX = 2048 };

typedef struct {
    fw_codec_t *reader, *again;
    uint64_t random;
    size_t accepted;
} fixture_t;

static uint32_t next_random(fixture_t *self, uint32_t below)
{
    /* xorshift64*: the same numbers everywhere for the same seed. */
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (uint32_t)((self->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static int set_up(void **state)
{
    static fixture_t fixture;
    const char *seed = getenv("FW_TEST_SEED");
    fixture.random = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    fixture.random |= 1;
    print_message("FW_TEST_SEED=%llu\n", (unsigned long long)fixture.random);
    fixture.reader = fw_codec_new();
    fixture.again = fw_codec_new();
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *self = *state;
    fw_codec_destroy(&self->reader);
    fw_codec_destroy(&self->again);
    return 0;
}

static void print_frame(const char *what, int decoder, fw_bytes_t frame)
{
    print_error("%s by decoder %d:", what, decoder);
    for (size_t i = 0; i < frame.size; i++)
        print_error(" %02x", frame.data[i]);
    print_error("\n");
}

/* Reads a frame from memory of exactly its size, so that the address sanitizer sees a byte too
 * many. */
static void read_frame(fixture_t *self, int decoder, const uint8_t *bytes, size_t size)
{
    fw_any_t any, again;
    fw_refusal_t refusal;
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, bytes, size);
    fw_bytes_t frame = {exact, size};
    const char *fault = NULL;
    if (fw_any_decode(self->reader, decoder, frame, &any, &refusal) == 0) {
        self->accepted++;
        fw_bytes_t written = fw_any_encode(self->reader, &any);
        if (fw_any_decode(self->again, decoder, written, &again, &refusal) != 0 ||
            !fw_any_equal(&any, &again))
            fault = "not the same again";
    } else if (!refusal.field[0] || !refusal.reason[0]) {
        fault = "refused without a reason";
    } else if (strstr(refusal.reason, "passed the check")) {
        fault = "the check and protobuf-c disagree";
    }
    if (fault)
        print_frame(fault, decoder, frame);
    free(exact);
    assert_null(fault);
}

static size_t encode_sample(fixture_t *self, const fw_sample_t *sample, uint8_t buffer[FRAME_MAX])
{
    fw_bytes_t frame = fw_any_encode(self->reader, &sample->any);
    assert_true(frame.size < FRAME_MAX / 2);
    if (frame.size > 0)
        memcpy(buffer, frame.data, frame.size);
    return frame.size;
}

static void survives_truncation_at_every_byte(void **state)
{
    fixture_t *self = *state;
    uint8_t buffer[FRAME_MAX];
    size_t count, reads = 0;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        size_t size = encode_sample(self, &samples[i], buffer);
        for (size_t left = 0; left <= size; left++, reads++)
            read_frame(self, samples[i].any.decoder, buffer, left);
    }
    assert_true(reads > 50 * count);
    assert_true(self->accepted >= count);
}

static void survives_every_sample_on_every_decoder(void **state)
{
    fixture_t *self = *state;
    uint8_t buffer[FRAME_MAX];
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        size_t size = encode_sample(self, &samples[i], buffer);
        for (int decoder = 0; decoder < FW_ANY_COUNT; decoder++)
            read_frame(self, decoder, buffer, size);
    }
}

static size_t change(fixture_t *self, uint8_t *bytes, size_t size)
{
    static const uint8_t odd[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x1a, 0xc3, 0xed};
    uint32_t at = size ? next_random(self, (uint32_t)size) : 0;
    uint32_t length = size ? 1 + next_random(self, (uint32_t)(size - at < 16 ? size - at : 16)) : 0;
    switch (next_random(self, 6)) {
    case 0: /* flip a bit */
        if (size)
            bytes[at] ^= (uint8_t)(1U << next_random(self, 8));
        return size;
    case 1:
        if (size)
            bytes[at] = odd[next_random(self, sizeof odd)];
        return size;
    case 2: /* take a piece out */
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size - length;
    case 3: /* repeat a piece */
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    case 4: /* put a byte in */
        memmove(bytes + at + 1, bytes + at, size - at);
        bytes[at] = (uint8_t)next_random(self, 256);
        return size + 1;
    default: /* one more or one less, as lengths are */
        if (size)
            bytes[at] = (uint8_t)(bytes[at] + (next_random(self, 2) ? 1 : -1));
        return size;
    }
}

static void survives_random_changes(void **state)
{
    fixture_t *self = *state;
    uint8_t buffer[FRAME_MAX];
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    self->accepted = 0;
    for (int i = 0; i < MUTATIONS; i++) {
        const fw_sample_t *sample = &samples[next_random(self, (uint32_t)count)];
        size_t size = encode_sample(self, sample, buffer);
        uint32_t changes = 1 + next_random(self, CHANGES_MAX);
        for (uint32_t k = 0; k < changes; k++)
            size = change(self, buffer, size);
        read_frame(self, sample->any.decoder, buffer, size);
    }
    print_message("%zu of %d accepted\n", self->accepted, MUTATIONS);
    /* Otherwise the changes would test the first refusal only. */
    assert_in_range(self->accepted, MUTATIONS / 20, MUTATIONS - MUTATIONS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_truncation_at_every_byte),
        cmocka_unit_test(survives_every_sample_on_every_decoder),
        cmocka_unit_test(survives_random_changes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
