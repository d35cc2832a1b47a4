/* redis_pool.h - the servers of one Redis.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. Knows which server holds which key, so that nobody else has to:
 * jobs are cut into pieces where they must be, single commands go where their key lives. */
#pragma once

#include "workers/purge_job.h"
#include "workers/redis_link.h"

typedef struct fw_redis_pool fw_redis_pool_t;

typedef struct {
    fw_redis_address_t address;
    int64_t timeout_ms;   /* as of fw_redis_link_config_t */
    int64_t stamp_ttl_ms; /* of stamps that jobs bump */
    const char *name;     /* of the connections; borrowed */
    uint64_t seed;
    void (*on_decided)(void *context, fw_purge_job_t **job_p); /* takes the job */
    void (*on_ready)(void *context);                           /* fw_redis_pool_ready changed */
    void (*on_error)(void *context, fw_redis_error_t error);
    void (*on_batch)(void *context, size_t jobs); /* so many jobs go out as one pipeline */
    void *context;
} fw_redis_pool_config_t;

fw_redis_pool_t *fw_redis_pool_new(zloop_t *loop, const fw_redis_pool_config_t *config)
    __attribute__((warn_unused_result));
/* What the servers have not answered fails; what was not begun is destroyed undecided. NULL-safe.
 */
void fw_redis_pool_destroy(fw_redis_pool_t **self_p);

/* To be called at least every 100 ms. */
void fw_redis_pool_tick(fw_redis_pool_t *self, int64_t now_ms);
/* Is every server there? */
bool fw_redis_pool_ready(const fw_redis_pool_t *self);
/* How often a server turned out to be another process than before. */
uint64_t fw_redis_pool_restarts(const fw_redis_pool_t *self);

/* Takes a job; it is decided after the next fw_redis_pool_run at the earliest. */
void fw_redis_pool_add(fw_redis_pool_t *self, fw_purge_job_t **job_p);
void fw_redis_pool_run(fw_redis_pool_t *self);

/* One command about one key, sent at once. 0, or as fw_redis_link_command: then there will be no
 * reply. */
int fw_redis_pool_call(fw_redis_pool_t *self, fw_text_t key, int argc, const char **argv,
                       const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                       size_t index) __attribute__((warn_unused_result));
