/* redis_target.h - one Redis that is to be purged, whatever its shape.
 * SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. Does whole jobs: keys and tags by a pool, what concerns
 * the cache as a whole, and patterns by sweeps. */
#pragma once

#include "workers/redis_pool.h"
#include "workers/worker_metrics.h"
#include "workers/workers.h"

typedef struct fw_redis_target fw_redis_target_t;

typedef struct {
    const fw_workers_config_t *config; /* borrowed, as is everything else here */
    const fw_redis_url_t *url;
    const char *name;
    const char *sweeper_name;
    const fw_worker_metrics_t *metrics;
    void (*on_decided)(void *context, fw_purge_job_t **job_p); /* takes the job */
    void (*on_ready)(void *context);                           /* fw_redis_target_ready changed */
    void (*on_turn)(void *context);                            /* as of fw_redis_pool_config_t */
    void *context;
} fw_redis_target_config_t;

fw_redis_target_t *fw_redis_target_new(zloop_t *loop, const fw_redis_target_config_t *config)
    __attribute__((warn_unused_result));
/* Every job that it took is decided first, if need be as failed. NULL-safe. */
void fw_redis_target_destroy(fw_redis_target_t **self_p);

/* The worker was welcomed by a broker. */
void fw_redis_target_met(fw_redis_target_t *self, const uint8_t broker[FW_INCARNATION_SIZE]);

/* To be called at least every 100 ms. */
void fw_redis_target_tick(fw_redis_target_t *self, int64_t now_ms);
/* Can it purge? */
bool fw_redis_target_ready(const fw_redis_target_t *self);

/* Takes a job; it is decided after the next fw_redis_target_run at the earliest. */
void fw_redis_target_add(fw_redis_target_t *self, fw_purge_job_t **job_p);
void fw_redis_target_run(fw_redis_target_t *self);
