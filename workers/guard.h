/* guard.h - notices that Redis lost purges, and purges them again.
 * SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its pool. Keeps a log of the last FW_GUARD_AGE_MS of purges and, once a
 * second and after every new connection, a mark at each server (see lineage.h). What a server lost
 * by a failover or a restart is purged again; when the log does not reach back so far, or nobody
 * can tell, the epoch of the cache is bumped. Either way a record that calls the cache clean is
 * removed, because it may be an older one now. A server of a cluster has its mark in a slot of its
 * own. */
#pragma once

#include "workers/redis_pool.h"
#include "workers/worker_metrics.h"

enum {
    FW_GUARD_AGE_MS = 60000,
    FW_GUARD_ENTRIES_MAX = 256 * 1024,
    FW_GUARD_BYTES_MAX = 16 * 1024 * 1024,
    FW_GUARD_BEAT_MS = 1000,
    FW_GUARD_RETRY_MS = 200, /* after a repair that failed */
};

typedef struct fw_guard fw_guard_t;

/* All of it is borrowed and outlives the guard. */
typedef struct {
    fw_redis_pool_t *pool;
    const char *name_space;
    uint64_t seed;
    const fw_worker_metrics_t *metrics;
} fw_guard_config_t;

fw_guard_t *fw_guard_new(const fw_guard_config_t *config) __attribute__((warn_unused_result));
/* After the pool has been destroyed. NULL-safe. */
void fw_guard_destroy(fw_guard_t **self_p);

/* Before a job is given to the pool, and when it is decided. */
void fw_guard_before(fw_guard_t *self, fw_purge_job_t *job);
void fw_guard_after(fw_guard_t *self, const fw_purge_job_t *job);

/* Look at the servers now: a connection is another one. */
void fw_guard_hasten(fw_guard_t *self);
/* To be called at least every 100 ms. */
void fw_guard_tick(fw_guard_t *self, int64_t now_ms);
