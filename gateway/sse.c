/* sse.c - see sse.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/sse.h"

#include <errno.h>

#include <xxhash.h>

enum {
    ID_VERSION = 1,
    CHECK_SIZE = 4, /* of the names of the channels */
    EPOCH_SIZE = 8,
    VARINT_SIZE_MAX = 10,
    RAW_SIZE_MAX = 1 + CHECK_SIZE + FW_SSE_CHANNELS_MAX * (EPOCH_SIZE + VARINT_SIZE_MAX),
};

_Static_assert((RAW_SIZE_MAX + 2) / 3 * 4 <= FW_SSE_ID_SIZE_MAX, "an id may not fit");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ------ blocks */

/* The type of a message: it comes first, and needs no escapes unless it is not one of ours. */
static fw_bytes_t type_of(fw_bytes_t json)
{
    static const char begin[] = "{\"type\":\"";
    const size_t begin_size = sizeof begin - 1;
    if (json.size < begin_size || memcmp(json.data, begin, begin_size) != 0)
        return (fw_bytes_t){NULL, 0};
    size_t i = begin_size;
    while (i < json.size && json.data[i] != '"' && json.data[i] != '\\')
        i++;
    return (fw_bytes_t){json.data + begin_size, i - begin_size};
}

size_t fw_sse_block(fw_bytes_t json, bool named, uint8_t *buffer, size_t size)
{
    fw_json_t text = {.buffer = (char *)buffer, .size = size};
    fw_bytes_t type = type_of(json);
    if (named && type.size > 0) {
        fw_json_raw(&text, "event: ", 7);
        fw_json_raw(&text, type.data, type.size);
        fw_json_raw(&text, "\n", 1);
    }
    fw_json_raw(&text, "data: ", 6);
    fw_json_raw(&text, json.data, json.size);
    fw_json_raw(&text, "\n\n", 2);
    return text.needed;
}

/* ------ ids */

/* One more name. */
static uint64_t add_to_check(uint64_t check, fw_text_t channel)
{
    return XXH3_64bits_withSeed(channel.text, channel.size, check);
}

static size_t put_number(uint8_t *at, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(number >> 8 * i);
    return size;
}

static size_t put_varint(uint8_t *at, uint64_t number)
{
    size_t size = 0;
    for (; number >= 0x80; number >>= 7)
        at[size++] = (uint8_t)(number | 0x80);
    at[size++] = (uint8_t)number;
    return size;
}

static size_t raw_id(const fw_session_t *session, uint8_t raw[RAW_SIZE_MAX])
{
    uint64_t check = 0;
    size_t count = session->count < FW_SSE_CHANNELS_MAX ? session->count : FW_SSE_CHANNELS_MAX;
    size_t size = 1 + CHECK_SIZE;
    for (size_t i = 0; i < count; i++) {
        const fw_subscription_t *subscription = &session->subscriptions[i];
        /* A reset that was not told yet must not be lost: nobody stands in epoch 0. */
        bool told = !subscription->wish && subscription->reset == FW_RESET_NONE;
        check = add_to_check(check, fw_channel_name(subscription->channel));
        size += put_number(raw + size, told ? subscription->channel->sync.epoch : 0, EPOCH_SIZE);
        size += put_varint(raw + size, told ? subscription->cursor : 0);
    }
    raw[0] = ID_VERSION;
    (void)put_number(raw + 1, check, CHECK_SIZE);
    return size;
}

static size_t encode(const uint8_t *raw, size_t size, char *text)
{
    size_t written = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)raw[i] << 16;
        if (left > 1)
            group |= (uint32_t)raw[i + 1] << 8;
        if (left > 2)
            group |= raw[i + 2];
        for (size_t k = 0; k <= (left > 2 ? 3 : left); k++)
            text[written++] = digits[group >> (18 - 6 * k) & 63];
    }
    return written;
}

size_t fw_sse_id_line(const fw_session_t *session,
                      char ret_line[FW_SSE_ID_SIZE_MAX + sizeof "id: \n"])
{
    uint8_t raw[RAW_SIZE_MAX];
    size_t size = raw_id(session, raw);
    memcpy(ret_line, "id: ", 4);
    size_t written = 4 + encode(raw, size, ret_line + 4);
    ret_line[written++] = '\n';
    ret_line[written] = '\0';
    return written;
}

/* -EINVAL when it is not text that encode writes. */
static int decode(fw_text_t text, uint8_t raw[RAW_SIZE_MAX], size_t *ret_size)
{
    uint32_t group = 0;
    unsigned bits = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.text[i] == '\0' ? NULL : strchr(digits, text.text[i]);
        if (!digit)
            return -EINVAL;
        group = group << 6 | (uint32_t)(digit - digits);
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (size == RAW_SIZE_MAX)
            return -EINVAL;
        raw[size++] = (uint8_t)(group >> bits);
    }
    *ret_size = size;
    return 0;
}

typedef struct {
    const uint8_t *at, *end;
} reader_t;

static bool take_number(reader_t *reader, size_t size, uint64_t *ret_number)
{
    uint64_t number = 0;
    if ((size_t)(reader->end - reader->at) < size)
        return false;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)*reader->at++ << 8 * i;
    *ret_number = number;
    return true;
}

static bool take_varint(reader_t *reader, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < VARINT_SIZE_MAX && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            *ret_number = number;
            return true;
        }
    }
    return false;
}

int fw_sse_id_parse(fw_text_t id, const fw_text_t *channels, size_t count,
                    fw_position_t *ret_positions)
{
    uint8_t raw[RAW_SIZE_MAX];
    uint64_t check = 0;
    uint64_t number;
    size_t size = 0;
    if (count > FW_SSE_CHANNELS_MAX || decode(id, raw, &size) != 0)
        return -EINVAL;
    reader_t reader = {raw, raw + size};
    if (!take_number(&reader, 1, &number) || number != ID_VERSION)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        check = add_to_check(check, channels[i]);
    if (!take_number(&reader, CHECK_SIZE, &number) || number != (uint32_t)check)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (!take_number(&reader, EPOCH_SIZE, &ret_positions[i].epoch) ||
            !take_varint(&reader, &ret_positions[i].offset))
            return -EINVAL;
    }
    return reader.at == reader.end ? 0 : -EINVAL;
}
