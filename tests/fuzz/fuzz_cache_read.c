/* fuzz_cache_read.c - any answers of Redis to a read: it must end, with one of its outcomes.
 * SPDX-License-Identifier: MPL-2.0
 * The first byte sets what the reader asks for. Then, for each reply: a byte of flags (bit 0 error,
 * bit 1 NOSCRIPT, bit 2 integer 1, bit 3 no value), a byte with the number of values, and for each
 * a byte with its size and its bytes. When the input ends, Redis answers no more. */
#include <stdlib.h>

#include "cache/payload.h"
#include "cache/read.h"

enum { COMMANDS_MAX = 8, VALUES_MAX = 8, ROUNDS_MAX = 64 };

typedef struct {
    const uint8_t *next;
    const uint8_t *end;
} input_t;

static uint8_t take(input_t *input)
{
    return input->next < input->end ? *input->next++ : 0;
}

static void answer(input_t *input, fw_bytes_t values[VALUES_MAX], fw_cache_reply_t *ret_reply)
{
    uint8_t flags = take(input);
    *ret_reply = (fw_cache_reply_t){.integer = flags >> 2 & 1, .values = values};
    if (flags & 2) {
        ret_reply->error = "NOSCRIPT No matching script.";
    } else if (flags & 1) {
        ret_reply->error = "ERR";
    }
    ret_reply->values_count = take(input) % (VALUES_MAX + 1);
    for (size_t i = 0; i < ret_reply->values_count; i++) {
        size_t size = take(input);
        size_t left = (size_t)(input->end - input->next);
        size = size < left ? size : left;
        values[i] = flags & 8 ? (fw_bytes_t){NULL, 0} : (fw_bytes_t){input->next, size};
        input->next += size;
    }
}

static void send(input_t *input, fw_cache_read_t *read, int64_t now_ms)
{
    fw_bytes_t values[COMMANDS_MAX][VALUES_MAX];
    fw_cache_reply_t replies[COMMANDS_MAX];
    size_t count = 0;
    (void)fw_cache_read_commands(read, &count);
    if (count == 0 || count > COMMANDS_MAX) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        answer(input, values[i], &replies[i]);
    }
    fw_cache_read_replies(read, input->next < input->end ? replies : NULL, now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fw_text_t tags[] = {{"a", 1}, {"b", 1}};
    static const uint8_t nonce[FW_CACHE_NONCE_SIZE] = {7};
    static const uint8_t payload[] = {0xc0};
    input_t input = {data, data + size};
    uint8_t asked = take(&input);
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.cluster = asked & 1;
    rules.hold_off_ms = asked & 2 ? 10 : 0;
    const fw_cache_request_t request = {.key = FW_TEXT("k"),
                                        .tags = tags,
                                        .tags_count = 2,
                                        .fresh_us = asked & 4 ? 1000 : 0,
                                        .bypass = asked & 8,
                                        .no_store = asked & 16};
    fw_cache_read_t *read = NULL;
    if (fw_cache_read_new(&rules, &request, nonce, 0, &read) != 0) {
        abort();
    }
    fw_cache_step_t step = fw_cache_read_step(read);
    for (int64_t round = 0; step != FW_CACHE_STEP_DONE; round++) {
        if (round > ROUNDS_MAX) {
            abort(); /* One second of pauses is the most. */
        }
        switch (step) {
        case FW_CACHE_STEP_SEND:
            send(&input, read, 100 * round);
            break;
        case FW_CACHE_STEP_PAUSE:
            fw_cache_read_paused(read);
            break;
        case FW_CACHE_STEP_LOAD:
            fw_cache_read_loaded(read, (fw_bytes_t){payload, sizeof(payload)});
            break;
        case FW_CACHE_STEP_DONE:
            break;
        }
        step = fw_cache_read_step(read);
    }
    const fw_cache_outcome_t *outcome = fw_cache_read_outcome(read);
    if (outcome->status == FW_CACHE_HIT &&
        (request.bypass || !fw_cache_payload_is_value(outcome->payload))) {
        abort();
    }
    fw_cache_read_destroy(&read);
    return 0;
}
