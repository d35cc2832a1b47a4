/* purge_job.h - one job of the broker, copied, and what became of it.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Owned by one thread. Bounded by the limits of proto/codec, which decoded it. */
#pragma once

#include "proto/codec.h"
#include "workers/redis_error.h"

enum { FW_PURGE_REASON_SIZE = 256, FW_PURGE_NAME_SPACE_SIZE_MAX = 64 };

typedef enum {
    FW_PURGE_OPEN,   /* not decided yet */
    FW_PURGE_DONE,   /* every key is gone and every tag has a new stamp */
    FW_PURGE_FAILED, /* not all of it happened; may succeed later or elsewhere */
    FW_PURGE_REFUSED /* part of it can never happen */
} fw_purge_status_t;

typedef struct fw_purge_job fw_purge_job_t;

struct fw_purge_job {
    uint64_t job_id;
    uint32_t leases;     /* answers owed: one for each time that the broker sent the job */
    int64_t received_us; /* monotonic */
    size_t bytes;        /* of memory that it takes */
    const fw_text_t *keys;
    size_t keys_count;
    const fw_text_t *stamp_keys; /* "<name space>:t:<tag>" */
    size_t tags_count;
    size_t
        tag_at; /* where the tag begins in each of them; 0 = they are no tags, report no stamps */
    const fw_text_t *patterns;
    size_t patterns_count;
    fw_cache_action_t action;
    uint8_t broker[FW_INCARNATION_SIZE]; /* OPEN, CLOSE */
    fw_purge_job_t *whole;               /* what this is a piece of; NULL = of nothing */
    uint32_t pieces;                     /* that are not merged yet; see purge_piece.h */
    /* A job of our own: told when it is decided, before it is destroyed. NULL = the broker's. */
    void (*on_decided)(void *owner, fw_purge_job_t *job);
    void *owner;
    uint64_t sequence; /* in the log of purges; 0 = not there */
    bool inner;        /* a piece for one server of a cluster */
    bool alone;        /* its names must not share a command with others: their slot moves */
    bool asking;       /* its server is about to get the slot from another one */
    uint8_t attempts;  /* of servers of a cluster */

    fw_purge_status_t status;
    uint64_t redis_time; /* microseconds, read after the purge */
    uint32_t keys_removed;
    fw_stamp_t *stamps; /* of the tags whose stamp is known; room for tags_count */
    size_t stamps_count;
    fw_redis_error_t error; /* when it is not done: what Redis said, if it did */
    /* Why it is not done; printable ASCII. The last field: most jobs never touch its memory. */
    char reason[FW_PURGE_REASON_SIZE];
};

/* Copies a job. A pattern that is nothing but escaped or plain text becomes a key. FLUSH becomes
 * the stamp of the cache epoch. */
fw_purge_job_t *fw_purge_job_new(const fw_job_t *job, const char *name_space, int64_t received_us)
    __attribute__((warn_unused_result));
/* A job without anything, with as many bytes behind it, which are not cleared. */
fw_purge_job_t *fw_purge_job_block(size_t extra_bytes) __attribute__((warn_unused_result));
/* A job of our own: copies what it is to purge. */
fw_purge_job_t *fw_purge_job_of(const fw_text_t *keys, size_t keys_count,
                                const fw_text_t *stamp_keys, size_t stamp_keys_count)
    __attribute__((warn_unused_result));
/* A job of our own that purges what another one does, patterns included. */
fw_purge_job_t *fw_purge_job_again(const fw_purge_job_t *job) __attribute__((warn_unused_result));
void fw_purge_job_destroy(fw_purge_job_t **self_p); /* NULL-safe */

/* Keys and stamps to be purged. */
size_t fw_purge_job_items(const fw_purge_job_t *self);

/* Decides the job, with a reason made of what and detail; other than printable ASCII becomes '?'.
 */
void fw_purge_job_fail(fw_purge_job_t *self, fw_purge_status_t status, const char *what,
                       const char *detail);

/* May every pattern be swept? Else the job is refused: a pattern must begin with at least
 * prefix_min bytes that are not special, so that nobody empties a whole Redis by mistake. */
bool fw_purge_job_check_patterns(fw_purge_job_t *self, size_t prefix_min);
