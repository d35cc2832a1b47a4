/* entry.h - the bytes of a cache entry in Redis, and when it may be served.
 * SPDX-License-Identifier: MPL-2.0
 * Pure; any thread. clients/python reads and writes the same bytes. What cannot be read is a miss.
 *
 * The key "<namespace>:c:<key>" holds either an entry:
 *
 *   offset  size  field
 *   0       4     "CWE1"
 *   4       16    nonce: of the lease that it was filled under (random, unique per attempt)
 *   20      8     start_us: Redis time in microseconds when that lease was taken; unsigned,
 *                 big-endian
 *   28      s     stamps: MessagePack array of arrays [tag, stamp], captured before the load.
 *                 First the cache epoch, whose tag is empty: what lacks it is no entry. Then up to
 *                 64 tags of 1..256 bytes of UTF-8, ascending by their bytes, none twice.
 *                 tag: str; stamp: positive int up to 2^64-1. Written in the shortest MessagePack
 *                 forms; any form is read.
 *   28+s    1     flags: bit 0 = the payload is compressed; every other bit is 0
 *   29+s    rest  payload: one MessagePack value; compressed: one zlib stream (RFC 1950), level 1,
 *                 nothing after it. Compressed when larger than 1024 bytes and only if
 *                 10 * compressed < 9 * size.
 *
 * or a lease, somebody is loading: "CWL1" | nonce (16 bytes). The first 20 bytes of either are its
 * header, which lua/acquire.lua and lua/store.lua compare. The key "<namespace>:t:<tag>" holds a
 * stamp as decimal text, "<namespace>:epoch" that of the epoch: raising it ends every entry of the
 * namespace at once. A missing stamp is a miss, never "not invalidated". */
#pragma once

#include "proto/bytes.h"

enum {
    FW_CACHE_NONCE_SIZE = 16,
    FW_CACHE_HEADER_SIZE = 4 + FW_CACHE_NONCE_SIZE,
    FW_CACHE_LEASE_SIZE = FW_CACHE_HEADER_SIZE,
    FW_CACHE_TAGS_MAX = 64,
    FW_CACHE_STAMPS_MAX = FW_CACHE_TAGS_MAX + 1, /* the tags and the epoch */
    FW_CACHE_TAG_SIZE_MAX = 256,
    FW_CACHE_COMPRESS_ABOVE = 1024,              /* bytes */
    FW_CACHE_PAYLOAD_SIZE_MAX = 8 * 1024 * 1024, /* before compression; a reader's default limit */
};

typedef struct {
    fw_bytes_t tag;
    uint64_t stamp; /* 0 = not in Redis */
} fw_cache_stamp_t;

typedef struct {
    uint8_t nonce[FW_CACHE_NONCE_SIZE];
    uint64_t start_us;
    fw_cache_stamp_t stamps[FW_CACHE_STAMPS_MAX]; /* ascending by tag, so the epoch is first */
    size_t stamps_count;
    fw_bytes_t payload; /* one MessagePack value, never looked into here */
    void *memory;       /* of the decoded payload; freed by fw_cache_entry_clear */
} fw_cache_entry_t;

typedef enum {
    FW_CACHE_VALUE_UNKNOWN, /* not ours, or of another version */
    FW_CACHE_VALUE_ENTRY,
    FW_CACHE_VALUE_LEASE,
} fw_cache_value_kind_t;

/* What a value claims to be, by its first bytes alone. */
fw_cache_value_kind_t fw_cache_value_kind(fw_bytes_t value);

/* Writes the lease bytes of a nonce. */
void fw_cache_lease_write(const uint8_t nonce[FW_CACHE_NONCE_SIZE],
                          uint8_t ret_lease[FW_CACHE_LEASE_SIZE]);

/* Encodes an entry; its stamps may be in any order. The caller frees *ret_data with free(). 0;
 * -EINVAL without the epoch, for too many stamps, a stamp of 0, a tag too long or there twice;
 * -EMSGSIZE when the payload is empty or larger than FW_CACHE_PAYLOAD_SIZE_MAX; -ENOMEM. */
int fw_cache_entry_encode(const fw_cache_entry_t *entry, uint8_t **ret_data, size_t *ret_size)
    __attribute__((warn_unused_result));

/* Orders tags: by their bytes, the shorter first when one begins the other. As for qsort. */
int fw_cache_stamp_compare(const void *stamp, const void *other);

/* A stamp or a time as Redis holds it, decimal text; 0 for anything else. */
uint64_t fw_cache_stamp_parse(fw_bytes_t text);

/* Decodes an entry of any origin. Its tags, and a payload that was not compressed, borrow from
 * data. 0; -EPROTO for another version, a lease, or an unknown flag; -EBADMSG when truncated or
 * malformed; -EMSGSIZE when the payload is larger than payload_limit bytes; -ENOMEM. On failure
 * there is nothing to clear. */
int fw_cache_entry_decode(fw_bytes_t data, size_t payload_limit, fw_cache_entry_t *ret_entry)
    __attribute__((warn_unused_result));
void fw_cache_entry_clear(fw_cache_entry_t *entry); /* NULL-safe */
/* The same without the payload, which may be cut off: FW_CACHE_PEEK_SIZE bytes of an entry always
 * reach. Tags borrow from data, and there is nothing to clear. 0, -EPROTO or -EBADMSG. */
int fw_cache_entry_peek(fw_bytes_t data, fw_cache_entry_t *ret_entry)
    __attribute__((warn_unused_result));
enum { FW_CACHE_PEEK_SIZE = 64 + FW_CACHE_STAMPS_MAX * (FW_CACHE_TAG_SIZE_MAX + 16) };

/* What a reader knows of the invalidation it must not miss; time_us 0 = nothing. */
typedef struct {
    uint64_t time_us;   /* freshness token: Redis time of the purge */
    uint64_t margin_us; /* clocks of two Redis nodes may differ by this much after a failover */
    const fw_cache_stamp_t *stamps; /* ascending by tag: stamps that the purge left; may be none */
    size_t stamps_count;
} fw_cache_token_t;

typedef enum {
    FW_CACHE_FRESH,         /* serve it */
    FW_CACHE_STAMP_MISSING, /* a stamp was evicted or never written */
    FW_CACHE_STAMP_CHANGED, /* a tag was invalidated, or the entry carries other tags */
    FW_CACHE_STAMP_LOST,    /* a stamp is older than the purge left it: a failover lost the purge */
    FW_CACHE_TOO_OLD,       /* the fill began at or before the purge that the reader knows of */
} fw_cache_verdict_t;

/* May the entry be served? current = the entry's tags with the stamps just read from Redis,
 * ascending by tag; token may be NULL. */
fw_cache_verdict_t fw_cache_entry_fresh(const fw_cache_entry_t *entry,
                                        const fw_cache_stamp_t *current, size_t current_count,
                                        const fw_cache_token_t *token);
