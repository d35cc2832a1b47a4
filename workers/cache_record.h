/* cache_record.h - which broker vouches for the cache.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its pool. Does the jobs OPEN and CLOSE. The key "<name space>:broker" says
 * "<32 hex digits> running" or "… clean". A broker that finds another one running, or nothing, may
 * have lost purges that one owed: the epoch of the cache is bumped before the record is changed, so
 * that no failure in between is forgotten. */
#pragma once

#include "workers/redis_pool.h"

typedef struct fw_cache_record fw_cache_record_t;

/* on_decided takes the job. name_space and pool outlive it. */
fw_cache_record_t *fw_cache_record_new(fw_redis_pool_t *pool, const char *name_space,
                                       void (*on_decided)(void *context, fw_purge_job_t **job_p),
                                       void *context) __attribute__((warn_unused_result));
/* After the pool has been destroyed: by then every job is decided. NULL-safe. */
void fw_cache_record_destroy(fw_cache_record_t **self_p);

/* The worker was welcomed by a broker, of which nothing may ever come but this. */
void fw_cache_record_met(fw_cache_record_t *self, const uint8_t broker[FW_INCARNATION_SIZE]);

/* Takes a job OPEN or CLOSE. One is done at a time. */
void fw_cache_record_add(fw_cache_record_t *self, fw_purge_job_t **job_p);

/* What to do about a record. */
typedef enum {
    FW_RECORD_KEEP,           /* as it is */
    FW_RECORD_WRITE,          /* write ours */
    FW_RECORD_BUMP_AND_WRITE, /* bump the epoch, then write ours */
} fw_record_step_t;

enum { FW_RECORD_SIZE_MAX = 2 * FW_INCARNATION_SIZE + 8 };

/* Pure. before: the last other broker that this worker knew, NULL = none; when the record is of yet
 * another one, that broker never got the cache opened, and nobody knows what purges it owed. found:
 * what the key holds, empty = nothing that can be a record. ret_ours: what it is to hold. */
fw_record_step_t fw_record_decide(fw_cache_action_t action,
                                  const uint8_t broker[FW_INCARNATION_SIZE], const uint8_t *before,
                                  fw_text_t found, char ret_ours[FW_RECORD_SIZE_MAX + 1]);
