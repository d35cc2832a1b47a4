/* fuzz_frames.c - any bytes as what a client sends behind the handshake.
 * SPDX-License-Identifier: MPL-2.0
 * The first byte says in what pieces they come. Whatever passes the check must be whole, masked
 * frames by a reader that knows nothing of the check; their messages go where the shard's go. */
#include <stdlib.h>
#include <string.h>

#include "gateway/client_message.h"
#include "gateway/frame_check.h"
#include "proto/utf8.h"

enum { MESSAGE_MAX = 2048, NOW_MS = 1000, SUBSCRIPTIONS_MAX = 5, CONTROL_MAX = 125 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint8_t *passed;
    size_t passed_size;
    uint8_t *pings;
    size_t pings_size;
    size_t pings_count;
    unsigned code;
} outcome_t;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void pinged(void *context, fw_bytes_t payload)
{
    outcome_t *outcome = context;
    require(payload.size <= CONTROL_MAX);
    memcpy(outcome->pings + outcome->pings_size, payload.data, payload.size);
    outcome->pings_size += payload.size;
    outcome->pings_count++;
}

static outcome_t check(const uint8_t *data, size_t size, size_t piece)
{
    outcome_t outcome = {.passed = malloc(size + 1), .pings = malloc(size + 1)};
    uint8_t *copy = malloc(size + 1);
    require(outcome.passed && outcome.pings && copy);
    const fw_frame_rules_t rules = {MESSAGE_MAX, pinged, &outcome};
    fw_frame_check_t self = {.left = 0};
    memcpy(copy, data, size);
    for (size_t i = 0; i < size && outcome.code == 0; i += piece) {
        size_t next = size - i < piece ? size - i : piece;
        size_t good = 0;
        fw_close_t close = fw_frame_check(&self, &rules, NOW_MS, copy + i, next, &good);
        require(good <= next && close.reason && strlen(close.reason) <= 123);
        memcpy(outcome.passed + outcome.passed_size, copy + i, good);
        outcome.passed_size += good;
        outcome.code = close.code;
    }
    fw_frame_check_clear(&self);
    free(copy);
    return outcome;
}

static void forget(outcome_t *outcome)
{
    free(outcome->passed);
    free(outcome->pings);
}

static void take_message(const uint8_t *text, size_t size)
{
    fw_client_message_t message;
    const char *reason = NULL;
    if (!fw_utf8_valid((fw_bytes_t){text, size}))
        return;
    int result =
        fw_client_message_parse((fw_bytes_t){text, size}, SUBSCRIPTIONS_MAX, &message, &reason);
    require(result == 0 ? message.subscriptions_count <= SUBSCRIPTIONS_MAX : reason != NULL);
    fw_client_message_clear(&message);
}

typedef struct {
    uint8_t message[MESSAGE_MAX];
    size_t size;
    bool open;
} reader_t;

/* One frame, if it is whole: how many bytes it has, 0 when it is not. */
static size_t read_frame(reader_t *reader, const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    size_t head = 2, length = bytes[1] & 0x7f;
    unsigned opcode = bytes[0] & 15;
    if (length >= 126) {
        head = length == 126 ? 4 : 10;
        if (size < head)
            return 0;
        length = 0;
        for (size_t i = 2; i < head; i++)
            length = length << 8 | bytes[i];
    }
    head += 4;
    if (size < head || size - head < length)
        return 0;
    require(bytes[1] & 0x80 && !(bytes[0] & 0x70));
    require(opcode != 9 && (opcode <= 2 || opcode == 8 || opcode == 10));
    if (opcode >= 8) {
        require(bytes[0] & 0x80 && length <= CONTROL_MAX && !(opcode == 8 && length == 1));
        return head + length;
    }
    require(reader->open == (opcode == 0) && length <= MESSAGE_MAX - reader->size);
    for (size_t i = 0; i < length; i++)
        reader->message[reader->size++] = bytes[head + i] ^ bytes[head - 4 + i % 4];
    reader->open = !(bytes[0] & 0x80);
    if (!reader->open) {
        take_message(reader->message, reader->size);
        reader->size = 0;
    }
    return head + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    outcome_t whole = check(data + 1, size - 1, size);
    outcome_t pieces = check(data + 1, size - 1, 1 + data[0] % 32);
    require(whole.code == pieces.code && whole.pings_count == pieces.pings_count &&
            whole.pings_size == pieces.pings_size &&
            memcmp(whole.pings, pieces.pings, whole.pings_size) == 0);
    if (whole.code == 0)
        require(whole.passed_size == pieces.passed_size &&
                memcmp(whole.passed, pieces.passed, whole.passed_size) == 0);
    reader_t reader = {.size = 0};
    size_t taken = 0;
    for (size_t i = 0; (taken = read_frame(&reader, whole.passed + i, whole.passed_size - i)) > 0;)
        i += taken;
    forget(&whole);
    forget(&pieces);
    return 0;
}
