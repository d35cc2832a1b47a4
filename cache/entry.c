/* entry.c - the bytes of a cache entry in Redis, and when it may be served.
 * SPDX-License-Identifier: MPL-2.0 */
#include "cache/entry.h"

#include <assert.h>
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

enum {
    MAGIC_SIZE = 4,
    STAMPS_AT = FW_CACHE_HEADER_SIZE + 8,
    FLAG_ZLIB = 1,
};

_Static_assert(FW_CACHE_PAYLOAD_SIZE_MAX < INT32_MAX, "zlib counts in unsigned int");

static const char entry_magic[MAGIC_SIZE] = {'C', 'W', 'E', '1'};
static const char lease_magic[MAGIC_SIZE] = {'C', 'W', 'L', '1'};

fw_cache_value_kind_t fw_cache_value_kind(fw_bytes_t value)
{
    if (value.size > FW_CACHE_HEADER_SIZE && memcmp(value.data, entry_magic, MAGIC_SIZE) == 0) {
        return FW_CACHE_VALUE_ENTRY;
    }
    if (value.size == FW_CACHE_LEASE_SIZE && memcmp(value.data, lease_magic, MAGIC_SIZE) == 0) {
        return FW_CACHE_VALUE_LEASE;
    }
    return FW_CACHE_VALUE_UNKNOWN;
}

void fw_cache_lease_write(const uint8_t nonce[FW_CACHE_NONCE_SIZE],
                          uint8_t ret_lease[FW_CACHE_LEASE_SIZE])
{
    memcpy(ret_lease, lease_magic, MAGIC_SIZE);
    memcpy(ret_lease + MAGIC_SIZE, nonce, FW_CACHE_NONCE_SIZE);
}

/* The order of tags: by bytes, the shorter first when one begins the other. */
static int compare_tags(fw_bytes_t a, fw_bytes_t b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

int fw_cache_stamp_compare(const void *stamp, const void *other)
{
    return compare_tags(((const fw_cache_stamp_t *)stamp)->tag,
                        ((const fw_cache_stamp_t *)other)->tag);
}

uint64_t fw_cache_stamp_parse(fw_bytes_t text)
{
    uint64_t stamp = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(stamp, UINT64_C(10), &stamp) ||
            __builtin_add_overflow(stamp, (uint64_t)digit, &stamp)) {
            return 0;
        }
    }
    return stamp;
}

/* ---- encoding */

/* Copies the stamps in ascending order. 0, or -EINVAL for one that no reader would accept. */
static int sort_stamps(const fw_cache_entry_t *entry,
                       fw_cache_stamp_t ret_sorted[FW_CACHE_STAMPS_MAX])
{
    if (entry->stamps_count == 0 || entry->stamps_count > FW_CACHE_STAMPS_MAX) {
        return -EINVAL;
    }
    for (size_t i = 0; i < entry->stamps_count; i++) {
        const fw_cache_stamp_t *stamp = &entry->stamps[i];
        if (stamp->stamp == 0 || stamp->tag.size > FW_CACHE_TAG_SIZE_MAX) {
            return -EINVAL;
        }
        ret_sorted[i] = *stamp;
    }
    qsort(ret_sorted, entry->stamps_count, sizeof(ret_sorted[0]), fw_cache_stamp_compare);
    for (size_t i = 1; i < entry->stamps_count; i++) {
        if (fw_cache_stamp_compare(&ret_sorted[i - 1], &ret_sorted[i]) == 0) {
            return -EINVAL;
        }
    }
    return ret_sorted[0].tag.size == 0 ? 0 : -EINVAL;
}

static int pack_stamps(const fw_cache_stamp_t *stamps, size_t count, msgpack_sbuffer *ret_packed)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, ret_packed, msgpack_sbuffer_write);
    int failed = msgpack_pack_array(&packer, count);
    for (size_t i = 0; i < count; i++) {
        failed |= msgpack_pack_array(&packer, 2);
        failed |= msgpack_pack_str(&packer, stamps[i].tag.size);
        failed |= msgpack_pack_str_body(&packer, stamps[i].tag.data, stamps[i].tag.size);
        failed |= msgpack_pack_uint64(&packer, stamps[i].stamp);
    }
    return failed ? -ENOMEM : 0;
}

/* Writes the payload, compressed when that pays, to *ret_data, which has room for payload.size
 * bytes. The buffer that zlib asks for is larger than what is worth keeping, so a stream that does
 * not fit is simply not used. */
static uint8_t write_payload(fw_bytes_t payload, uint8_t *ret_data, size_t *ret_size)
{
    if (payload.size > FW_CACHE_COMPRESS_ABOVE) {
        uLongf compressed = (payload.size * 9 - 1) / 10;
        if (compress2(ret_data, &compressed, payload.data, payload.size, 1) == Z_OK) {
            *ret_size = compressed;
            return FLAG_ZLIB;
        }
    }
    memcpy(ret_data, payload.data, payload.size);
    *ret_size = payload.size;
    return 0;
}

int fw_cache_entry_encode(const fw_cache_entry_t *entry, uint8_t **ret_data, size_t *ret_size)
{
    fw_cache_stamp_t sorted[FW_CACHE_STAMPS_MAX];
    int result = sort_stamps(entry, sorted);
    if (result < 0) {
        return result;
    }
    if (entry->payload.size == 0 || entry->payload.size > FW_CACHE_PAYLOAD_SIZE_MAX) {
        return -EMSGSIZE;
    }
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    uint8_t *data = NULL;
    result = pack_stamps(sorted, entry->stamps_count, &packed);
    if (result < 0) {
        goto out;
    }
    data = malloc(STAMPS_AT + packed.size + 1 + entry->payload.size);
    if (!data) {
        result = -ENOMEM;
        goto out;
    }
    memcpy(data, entry_magic, MAGIC_SIZE);
    memcpy(data + MAGIC_SIZE, entry->nonce, FW_CACHE_NONCE_SIZE);
    for (size_t i = 0; i < 8; i++) {
        data[FW_CACHE_HEADER_SIZE + i] = (uint8_t)(entry->start_us >> (56 - 8 * i));
    }
    memcpy(data + STAMPS_AT, packed.data, packed.size);
    size_t flags_at = STAMPS_AT + packed.size;
    size_t payload_size = 0;
    data[flags_at] = write_payload(entry->payload, data + flags_at + 1, &payload_size);
    *ret_data = data;
    *ret_size = flags_at + 1 + payload_size;
out:
    msgpack_sbuffer_destroy(&packed);
    return result;
}

/* ---- decoding: by hand, because msgpack-c allocates what a hostile array header claims */

typedef struct {
    const uint8_t *next;
    const uint8_t *end;
} reader_t;

/* Reads a big-endian number of width bytes. False when there are not as many. */
static bool read_number(reader_t *reader, size_t width, uint64_t *ret_number)
{
    if ((size_t)(reader->end - reader->next) < width) {
        return false;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++) {
        number = number << 8 | *reader->next++;
    }
    *ret_number = number;
    return true;
}

/* Reads the head of an array or a string: one byte with the count in it, or a marker and its width.
 */
static bool read_array(reader_t *reader, uint64_t *ret_count)
{
    uint64_t marker;
    if (!read_number(reader, 1, &marker)) {
        return false;
    }
    if (marker >= 0x90 && marker <= 0x9f) {
        *ret_count = marker & 0x0f;
        return true;
    }
    return (marker == 0xdc && read_number(reader, 2, ret_count)) ||
           (marker == 0xdd && read_number(reader, 4, ret_count));
}

static bool read_text(reader_t *reader, fw_bytes_t *ret_text)
{
    uint64_t marker;
    uint64_t size = 0;
    if (!read_number(reader, 1, &marker)) {
        return false;
    }
    if (marker >= 0xa0 && marker <= 0xbf) {
        size = marker & 0x1f;
    } else if (marker < 0xd9 || marker > 0xdb ||
               !read_number(reader, (size_t)1 << (marker - 0xd9), &size)) {
        return false;
    }
    if ((uint64_t)(reader->end - reader->next) < size) {
        return false;
    }
    *ret_text = (fw_bytes_t){reader->next, (size_t)size};
    reader->next += size;
    return true;
}

/* Reads an integer above 0, written as signed or unsigned. */
static bool read_stamp(reader_t *reader, uint64_t *ret_stamp)
{
    uint64_t marker;
    if (!read_number(reader, 1, &marker)) {
        return false;
    }
    if (marker <= 0x7f) {
        *ret_stamp = marker;
        return marker > 0;
    }
    if (marker < 0xcc || marker > 0xd3) {
        return false;
    }
    bool is_signed = marker >= 0xd0;
    size_t width = (size_t)1 << (marker - (is_signed ? 0xd0 : 0xcc));
    if (!read_number(reader, width, ret_stamp)) {
        return false;
    }
    bool negative = is_signed && *ret_stamp >> (8 * width - 1);
    return !negative && *ret_stamp > 0;
}

static bool read_stamps(reader_t *reader, fw_cache_entry_t *ret_entry)
{
    uint64_t count;
    if (!read_array(reader, &count) || count == 0 || count > FW_CACHE_STAMPS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        fw_cache_stamp_t *stamp = &ret_entry->stamps[i];
        uint64_t fields;
        if (!read_array(reader, &fields) || fields != 2 || !read_text(reader, &stamp->tag) ||
            !read_stamp(reader, &stamp->stamp)) {
            return false;
        }
        /* The empty tag is the smallest: it is first, and the others are not empty. */
        if (stamp->tag.size > FW_CACHE_TAG_SIZE_MAX || (i == 0 && stamp->tag.size > 0)) {
            return false;
        }
        if (i > 0 && fw_cache_stamp_compare(stamp - 1, stamp) >= 0) {
            return false;
        }
    }
    ret_entry->stamps_count = (size_t)count;
    return true;
}

/* Inflates all of data into *ret_memory, which grows with what comes out: a bomb costs no more than
 * the limit. */
static int inflate_bounded(z_stream *stream, size_t limit, uint8_t **ret_memory, size_t *ret_size)
{
    uint8_t *memory = NULL;
    size_t capacity = 4 * (size_t)stream->avail_in;
    size_t size = 0;
    int status = Z_OK;
    while (status == Z_OK && size <= limit) {
        /* One byte above the limit tells "exactly as large" from "larger". */
        capacity = capacity > limit ? limit + 1 : capacity;
        uint8_t *grown = realloc(memory, capacity);
        if (!grown) {
            free(memory);
            return -ENOMEM;
        }
        memory = grown;
        stream->next_out = memory + size;
        stream->avail_out = (uInt)(capacity - size);
        status = inflate(stream, Z_NO_FLUSH);
        size = capacity - stream->avail_out;
        if (status == Z_OK && stream->avail_out > 0) {
            status = Z_BUF_ERROR; /* The input ended before the stream did. */
        }
        capacity *= 2;
    }
    if (size > limit || status != Z_STREAM_END || stream->avail_in > 0 || size == 0) {
        free(memory);
        return size > limit ? -EMSGSIZE : -EBADMSG;
    }
    *ret_memory = memory;
    *ret_size = size;
    return 0;
}

static int decompress(fw_bytes_t data, size_t limit, fw_cache_entry_t *entry)
{
    /* Only what became smaller is ever compressed. */
    if (data.size > limit) {
        return -EMSGSIZE;
    }
    z_stream stream = {.next_in = data.data, .avail_in = (uInt)data.size};
    if (inflateInit(&stream) != Z_OK) {
        return -ENOMEM;
    }
    uint8_t *memory = NULL;
    size_t size = 0;
    int result = inflate_bounded(&stream, limit, &memory, &size);
    inflateEnd(&stream);
    if (result == 0) {
        entry->memory = memory;
        entry->payload = (fw_bytes_t){memory, size};
    }
    return result;
}

/* Reads everything before the flags. */
static int read_head(fw_bytes_t data, reader_t *ret_reader, fw_cache_entry_t *ret_entry)
{
    size_t known = data.size < MAGIC_SIZE ? data.size : MAGIC_SIZE;
    if (known > 0 && memcmp(data.data, entry_magic, known) != 0) {
        return -EPROTO;
    }
    if (data.size < STAMPS_AT) {
        return -EBADMSG;
    }
    *ret_reader = (reader_t){data.data + FW_CACHE_HEADER_SIZE, data.data + data.size};
    ret_entry->memory = NULL;
    ret_entry->payload = (fw_bytes_t){NULL, 0};
    memcpy(ret_entry->nonce, data.data + MAGIC_SIZE, FW_CACHE_NONCE_SIZE);
    bool read = read_number(ret_reader, 8, &ret_entry->start_us);
    return read && read_stamps(ret_reader, ret_entry) ? 0 : -EBADMSG;
}

int fw_cache_entry_peek(fw_bytes_t data, fw_cache_entry_t *ret_entry)
{
    reader_t reader;
    return read_head(data, &reader, ret_entry);
}

int fw_cache_entry_decode(fw_bytes_t data, size_t payload_limit, fw_cache_entry_t *ret_entry)
{
    assert(payload_limit <= FW_CACHE_PAYLOAD_SIZE_MAX);
    reader_t reader;
    uint64_t flags;
    int result = read_head(data, &reader, ret_entry);
    if (result < 0) {
        return result;
    }
    if (!read_number(&reader, 1, &flags)) {
        return -EBADMSG;
    }
    if (flags & ~(uint64_t)FLAG_ZLIB) {
        return -EPROTO;
    }
    fw_bytes_t payload = {reader.next, (size_t)(reader.end - reader.next)};
    if (payload.size == 0) {
        return -EBADMSG;
    }
    if (flags & FLAG_ZLIB) {
        return decompress(payload, payload_limit, ret_entry);
    }
    ret_entry->payload = payload;
    return payload.size > payload_limit ? -EMSGSIZE : 0;
}

void fw_cache_entry_clear(fw_cache_entry_t *entry)
{
    if (entry) {
        free(entry->memory);
        entry->memory = NULL;
        entry->payload = (fw_bytes_t){NULL, 0};
    }
}

/* ---- the decision */

/* True when every stamp that the token names is at least as new in current; a tag the entry lacks
 * does not matter. */
static bool stamps_reach(const fw_cache_stamp_t *current, size_t count,
                         const fw_cache_token_t *token)
{
    size_t at = 0;
    for (size_t i = 0; i < token->stamps_count; i++) {
        while (at < count && fw_cache_stamp_compare(&current[at], &token->stamps[i]) < 0) {
            at++;
        }
        if (at < count && fw_cache_stamp_compare(&current[at], &token->stamps[i]) == 0 &&
            current[at].stamp < token->stamps[i].stamp) {
            return false;
        }
    }
    return true;
}

fw_cache_verdict_t fw_cache_entry_fresh(const fw_cache_entry_t *entry,
                                        const fw_cache_stamp_t *current, size_t current_count,
                                        const fw_cache_token_t *token)
{
    for (size_t i = 0; i < current_count; i++) {
        if (current[i].stamp == 0) {
            return FW_CACHE_STAMP_MISSING;
        }
    }
    if (token && !stamps_reach(current, current_count, token)) {
        return FW_CACHE_STAMP_LOST;
    }
    if (entry->stamps_count != current_count) {
        return FW_CACHE_STAMP_CHANGED;
    }
    for (size_t i = 0; i < current_count; i++) {
        if (entry->stamps[i].stamp != current[i].stamp ||
            fw_cache_stamp_compare(&entry->stamps[i], &current[i]) != 0) {
            return FW_CACHE_STAMP_CHANGED;
        }
    }
    if (token && token->time_us > 0) {
        /* Saturated: a token from the far future must not wrap into the past. */
        uint64_t after = token->time_us + token->margin_us;
        after = after < token->time_us ? UINT64_MAX : after;
        if (entry->start_us <= after) {
            return FW_CACHE_TOO_OLD;
        }
    }
    return FW_CACHE_FRESH;
}
