/* sweep_queue.h - patterns that wait to be swept, kept in Redis.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its pool. A pattern is accepted when it stands in the sorted set
 * "<name space>:sweeps", with the time of its last request as the score; so it outlives the worker
 * that took it. One worker at a time, who holds the lease "{<name space>:sweeps}:owner", sweeps all
 * that wait together over every server, and removes from the set what was not requested again
 * meanwhile. A Redis that is too full to keep patterns gets them swept at once, by the worker that
 * was given the job; the job fails, retryable, until Redis has room. Keys that Redis does not let a
 * sweep remove, or patterns that it does not let sweep at all, are kept as dead letters. */
#pragma once

#include "workers/redis_pool.h"
#include "workers/worker_metrics.h"
#include "workers/workers.h"

enum {
    FW_SWEEP_QUEUE_MAX = 1024, /* patterns; further jobs fail, retryable */
    FW_SWEEP_POLL_MS = 1000,
    FW_SWEEP_LEASE_MS = 10000,
    FW_SWEEP_RENEW_MS = 2000,
};

typedef struct fw_sweep_queue fw_sweep_queue_t;

/* All of it is borrowed and outlives the queue. */
typedef struct {
    zloop_t *loop;
    fw_redis_pool_t *pool;
    const fw_workers_config_t *config;
    const char *name; /* of the sweeps' connections */
    uint64_t seed;
    const fw_worker_metrics_t *metrics;
    void (*on_recorded)(void *context, fw_purge_job_t **job_p); /* takes the job */
    void *context;
} fw_sweep_queue_config_t;

fw_sweep_queue_t *fw_sweep_queue_new(const fw_sweep_queue_config_t *config)
    __attribute__((warn_unused_result));
/* Gives the lease back and ends the sweep, which another worker begins again. Before the pool is
 * destroyed. NULL-safe. */
void fw_sweep_queue_leave(fw_sweep_queue_t *self);
/* After the pool has been destroyed. NULL-safe. */
void fw_sweep_queue_destroy(fw_sweep_queue_t **self_p);

/* Takes a job that is done but for its patterns; what becomes of them becomes of the job. */
void fw_sweep_queue_record(fw_sweep_queue_t *self, fw_purge_job_t **job_p);

/* To be called at least every 100 ms. */
void fw_sweep_queue_tick(fw_sweep_queue_t *self, int64_t now_ms);
