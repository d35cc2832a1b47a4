/* read.h - one read: serve from the cache, or load and fill it.   SPDX-License-Identifier: MPL-2.0
 * A pure machine: it says what to do next and is told what came of it. Whoever drives it carries
 * commands to Redis, waits and loads; cache.h does so on one blocking connection, the tests do so
 * one command at a time in every order they can think of.
 *
 *   fw_cache_read_step    the driver                          and then calls
 *   SEND                  sends fw_cache_read_commands        fw_cache_read_replies
 *   PAUSE                 waits fw_cache_read_pause_ms        fw_cache_read_paused
 *   LOAD                  loads the value                     fw_cache_read_loaded or _failed
 *   DONE                  takes fw_cache_read_outcome
 *
 * What makes a stale entry impossible:
 *   - Stamps are captured before the load. A purge that comes during the load changes a stamp, so
 *     the entry is born invalid.
 *   - The lease is in the value itself and unique for each attempt. Removing the key removes the
 *     lease, and the store, which compares, does nothing.
 *   - A stamp that is not in Redis is a miss, and is seeded with a value that no entry can hold.
 *   - A reader who knows of an invalidation brings its time: what began to be filled at or before
 *     it is not served, even if Redis lost the purge.
 *   - When Redis does not answer, the value is loaded and not stored. */
#pragma once

#include "cache/command.h"
#include "cache/rules.h"

typedef enum {
    FW_CACHE_HIT,
    FW_CACHE_MISS,
    FW_CACHE_BYPASS,         /* the reader asked for it: its event was released unconfirmed */
    FW_CACHE_STALE_REJECTED, /* there was an entry, older than the purge that the reader knows of */
} fw_cache_status_t;

/* Why what was loaded was not stored. */
typedef enum {
    FW_CACHE_STORED_OR_HIT,
    FW_CACHE_NO_ANSWER,   /* Redis failed, or refused a command */
    FW_CACHE_NOT_WANTED,  /* no_store */
    FW_CACHE_BUSY,        /* somebody else is filling it, for longer than wait_ms */
    FW_CACHE_PURGED,      /* purged, or the lease ran out, while it was loaded */
    FW_CACHE_TOO_RECENT,  /* purged less than hold_off_ms before: the load may not have seen it */
    FW_CACHE_TOO_LARGE,   /* above payload_size_max */
    FW_CACHE_NO_VALUE,    /* the payload is not one MessagePack value */
    FW_CACHE_LOAD_FAILED, /* there was nothing to store */
    FW_CACHE_NOT_COVERED, /* made of cached values with tags that it lacks */
} fw_cache_reason_t;

typedef struct {
    fw_text_t key;         /* 1..FW_CACHE_KEY_SIZE_MAX bytes */
    const fw_text_t *tags; /* everything whose change makes the value stale; in any order */
    size_t tags_count;
    int64_t ttl_ms;    /* 0 = that of the rules */
    uint64_t fresh_us; /* freshness token of the event that caused the read; 0 = none */
    bool bypass;       /* that event was released unconfirmed: do not serve, only fill */
    bool no_store;     /* the load may not see the last commits (an older transaction) */
} fw_cache_request_t;

typedef struct {
    fw_cache_status_t status;
    fw_cache_reason_t reason;
    bool stored;
    fw_bytes_t payload; /* HIT: one MessagePack value; borrowed from the machine */
    uint64_t start_us;  /* HIT: Redis time when its fill began */
} fw_cache_outcome_t;

typedef enum {
    FW_CACHE_STEP_SEND,
    FW_CACHE_STEP_PAUSE,
    FW_CACHE_STEP_LOAD,
    FW_CACHE_STEP_DONE,
} fw_cache_step_t;

typedef struct fw_cache_read fw_cache_read_t;

/* nonce: random and new for every read; two reads with the same could store for each other. The
 * request is copied. 0, or -EINVAL or -E2BIG as fw_cache_rules_tags, also for a ttl below 0 or
 * above half of stamp_ttl_ms. */
int fw_cache_read_new(const fw_cache_rules_t *rules, const fw_cache_request_t *request,
                      const uint8_t nonce[FW_CACHE_NONCE_SIZE], int64_t now_ms,
                      fw_cache_read_t **ret_read) __attribute__((warn_unused_result));
void fw_cache_read_destroy(fw_cache_read_t **self_p); /* NULL-safe */

fw_cache_step_t fw_cache_read_step(const fw_cache_read_t *self);
/* One round trip; the commands live until its replies are given. */
const fw_cache_command_t *fw_cache_read_commands(const fw_cache_read_t *self, size_t *ret_count);
/* One reply for each command, or NULL when there is none: the connection was lost, or nobody was
 * asked. Borrowed for the call. */
void fw_cache_read_replies(fw_cache_read_t *self, const fw_cache_reply_t *replies, int64_t now_ms);
int64_t fw_cache_read_pause_ms(const fw_cache_read_t *self);
void fw_cache_read_paused(fw_cache_read_t *self);
/* May the value that is loaded be stored? When not, the driver may destroy the machine. */
bool fw_cache_read_may_store(const fw_cache_read_t *self);
/* The value that is being loaded is made of what another read gave, which has ended: it is no
 * younger than that, and not stored if that may lack the last commits. -EINVAL when this read lacks
 * a tag of the other: then it is not stored either, since nothing would purge it. Between LOAD and
 * the next two. */
int fw_cache_read_made_of(fw_cache_read_t *self, const fw_cache_read_t *other)
    __attribute__((warn_unused_result));
/* The payload is one MessagePack value, which is copied as far as it is needed. */
void fw_cache_read_loaded(fw_cache_read_t *self, fw_bytes_t payload);
void fw_cache_read_failed(fw_cache_read_t *self);
/* Status is known at LOAD, everything at DONE. */
const fw_cache_outcome_t *fw_cache_read_outcome(const fw_cache_read_t *self);

/* "HIT", "MISS", "BYPASS", "STALE-REJECTED": the text of X-Cache. */
const char *fw_cache_status_name(fw_cache_status_t status);
const char *fw_cache_reason_name(fw_cache_reason_t reason); /* a sentence's end, for logs */
