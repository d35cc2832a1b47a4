/* dead_letters.h - purges that can never be done, kept for a person.
 * SPDX-License-Identifier: MPL-2.0
 * A job that Redis refuses for good (a key that the worker's user may not touch, a pattern
 * without enough of a beginning) has been released to browsers as unconfirmed, and will not be
 * tried again. What it asked for is kept in the list "<name space>:dead", as events that purge the
 * same and nothing else: "freshwire publish --stdin" takes them as they are. */
#pragma once

#include "proto/json_text.h"
#include "workers/redis_pool.h"

enum {
    FW_DEAD_LETTERS_MAX = 1000,           /* the oldest are forgotten */
    FW_DEAD_LETTER_NAMES_MAX = 16 * 1024, /* bytes; a larger job becomes several */
};

/* Pure. Writes the event for those of the job's names that begin at *from_p, which moves on behind
 * those that fitted. False when there are none left. */
bool fw_dead_letter_write(fw_json_t *json, const fw_purge_job_t *job, int64_t wall_ms,
                          size_t *from_p);

/* Keeps a refused job. Nobody waits for it: what cannot be written is only logged. */
void fw_dead_letters_add(fw_redis_pool_t *pool, const char *name_space, const fw_purge_job_t *job);

/* Blocking, for a command: gives each letter to on_letter, the oldest first, and with take removes
 * it afterwards, unless on_letter returned false, which also ends it. 0, -EINVAL for a bad URL,
 * -ETIMEDOUT when Redis is not there, -EPROTO when it refuses, -ECANCELED when on_letter did;
 * *ret_reason is set then. */
int fw_dead_letters_read(const char *redis_urls, const char *name_space, int64_t timeout_ms,
                         bool take, bool (*on_letter)(void *context, fw_text_t letter),
                         void *context, const char **ret_reason)
    __attribute__((warn_unused_result));
