/* purge_plan.h - many jobs as few pipelined commands.   SPDX-License-Identifier: MPL-2.0
 * Pure. A plan runs in rounds: each is one pipeline of commands that ends with TIME. Keys and tags
 * that several jobs name are purged once. A command that Redis refuses for the sake of one key is
 * taken apart, so that one bad key never fails another job; a script that Redis forgot is sent
 * along; a stamp that Redis has no memory for is removed, which invalidates as well. A job is
 * decided by the first TIME after its last command, never before. */
#pragma once

#include "workers/purge_job.h"
#include "workers/redis_error.h"

enum {
    FW_PURGE_KEYS_PER_COMMAND = 500, /* keeps each UNLINK below a millisecond */
    FW_PURGE_TAGS_PER_COMMAND = 64,
    FW_PURGE_ITEMS_MAX = 16384, /* keys and tags of a plan; further jobs wait for the next */
    FW_PURGE_ATTEMPTS_MAX = 4,  /* of one key or tag */
};

_Static_assert((int)FW_INVALIDATE_KEYS_MAX + (int)FW_INVALIDATE_PATTERNS_MAX +
                       (int)FW_INVALIDATE_TAGS_MAX <=
                   (int)FW_PURGE_ITEMS_MAX,
               "any job fits an empty plan");

typedef enum {
    FW_PURGE_UNLINK,    /* of keys; answers an integer */
    FW_PURGE_DROP,      /* UNLINK of stamps; answers an integer */
    FW_PURGE_BUMP,      /* EVALSHA of lua/bump.lua; answers stamps */
    FW_PURGE_BUMP_EVAL, /* the same with the script's text: Redis does not know it */
    FW_PURGE_TIME,      /* answers Redis' time */
} fw_purge_command_kind_t;

typedef struct {
    fw_purge_command_kind_t kind;
    const fw_text_t *names; /* keys, or stamp keys */
    size_t names_count;
    bool asking; /* to be preceded by ASKING: the server is about to get the slot */
} fw_purge_command_t;

typedef struct {
    bool failed;
    fw_redis_error_t error; /* when failed */
    const char *text;       /* when failed: Redis' words */
    uint64_t number;        /* UNLINK: keys removed; TIME: microseconds */
    const uint64_t *stamps; /* BUMP: for each name, 0 = removed instead */
    size_t stamps_count;
} fw_purge_reply_t;

typedef struct fw_purge_plan fw_purge_plan_t;

/* seed: of the table that finds duplicates. by_slot: a command's names must be of one slot of a
 * cluster. */
fw_purge_plan_t *fw_purge_plan_new(uint64_t seed, bool by_slot) __attribute__((warn_unused_result));
/* Also destroys the jobs that it still holds. NULL-safe. */
void fw_purge_plan_destroy(fw_purge_plan_t **self_p);

/* Takes a job, before the first round. 0, or -ENOSPC when the plan is full (the job stays the
 * caller's). */
int fw_purge_plan_add(fw_purge_plan_t *self, fw_purge_job_t **job_p)
    __attribute__((warn_unused_result));
size_t fw_purge_plan_jobs(const fw_purge_plan_t *self); /* that it holds */

/* Begins the next round; false when nothing is left to do. Its commands are to be sent in this
 * order on one connection, and each gets exactly one reply; they live until the round has ended. */
bool fw_purge_plan_begin(fw_purge_plan_t *self);
size_t fw_purge_plan_commands(const fw_purge_plan_t *self);
const fw_purge_command_t *fw_purge_plan_command(const fw_purge_plan_t *self, size_t index);
/* True when it was the last reply of the round. */
bool fw_purge_plan_reply(fw_purge_plan_t *self, size_t index, const fw_purge_reply_t *reply);

/* A decided job, which becomes the caller's; NULL when there is none (yet). An empty plan may be
 * used again. */
fw_purge_job_t *fw_purge_plan_take(fw_purge_plan_t *self) __attribute__((warn_unused_result));
