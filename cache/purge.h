/* purge.h - one purge: raise stamps, remove entries, ask for the time.   SPDX-License-Identifier:
 * MPL-2.0 A pure machine with one round trip, driven like that of read.h: SEND, then DONE. Doing it
 * twice, by two, or in another order is harmless. */
#pragma once

#include "cache/command.h"
#include "cache/read.h"
#include "cache/rules.h"

enum {
    FW_CACHE_PURGE_ITEMS_MAX = 4096, /* keys, tags and prefixes together */
    FW_CACHE_TAGS_PER_COMMAND = 64,
    FW_CACHE_KEYS_PER_COMMAND = 500, /* keeps each UNLINK below a millisecond */
    FW_CACHE_FAILURE_SIZE = 160,
};

typedef struct {
    const fw_text_t *tags;
    size_t tags_count;
    const fw_text_t *prefixes; /* registered ones: all keys that begin so, at once */
    size_t prefixes_count;
    const fw_text_t *keys; /* of readers, without namespace */
    size_t keys_count;
    bool everything; /* the epoch: every entry of the namespace, at once */
} fw_cache_purge_request_t;

typedef struct {
    bool done;                           /* from here on nobody is served what was stale before */
    uint64_t fresh_us;                   /* freshness token: Redis time after it */
    size_t keys_removed;                 /* that existed */
    char failure[FW_CACHE_FAILURE_SIZE]; /* what went wrong; empty when done */
} fw_cache_purged_t;

typedef struct fw_cache_purge fw_cache_purge_t;

/* The request is copied. 0; -EINVAL for an empty request, or a key, tag or prefix that is empty,
 * too long or holds a 0 byte, or a prefix that is not registered; -E2BIG for too many. */
int fw_cache_purge_new(const fw_cache_rules_t *rules, const fw_cache_purge_request_t *request,
                       fw_cache_purge_t **ret_purge) __attribute__((warn_unused_result));
void fw_cache_purge_destroy(fw_cache_purge_t **self_p); /* NULL-safe */

/* FW_CACHE_STEP_SEND or FW_CACHE_STEP_DONE. */
fw_cache_step_t fw_cache_purge_step(const fw_cache_purge_t *self);
const fw_cache_command_t *fw_cache_purge_commands(const fw_cache_purge_t *self, size_t *ret_count);
/* As fw_cache_read_replies. */
void fw_cache_purge_replies(fw_cache_purge_t *self, const fw_cache_reply_t *replies);
const fw_cache_purged_t *fw_cache_purge_outcome(const fw_cache_purge_t *self);
