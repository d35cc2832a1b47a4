/* redis_target.c - one Redis that is to be purged, whatever its shape.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_target.h"

#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/random.h"
#include "workers/cache_record.h"
#include "workers/dead_letters.h"
#include "workers/guard.h"
#include "workers/sweep_queue.h"

struct fw_redis_target {
    fw_redis_target_config_t config;
    fw_redis_pool_t *pool;
    fw_cache_record_t *record;
    fw_sweep_queue_t *sweeps;
    fw_guard_t *guard;
    bool ready;
    uint64_t restarts_seen;
};

/* ---- jobs that are decided */

/* Tells whoever asked for the job. */
static void finish(void *context, fw_purge_job_t **job_p)
{
    fw_redis_target_t *self = context;
    fw_purge_job_t *job = *job_p;
    fw_guard_after(self->guard, job);
    /* A purge that is done again was refused, and kept, before. */
    if (job->status == FW_PURGE_REFUSED && job->action == FW_CACHE_NONE && !job->on_decided) {
        fw_dead_letters_add(self->pool, self->config.config->name_space, job);
    }
    if (job->on_decided) {
        job->on_decided(job->owner, job);
        fw_purge_job_destroy(job_p);
        return;
    }
    self->config.on_decided(self->config.context, job_p);
}

static void on_purged(void *context, fw_purge_job_t **job_p)
{
    fw_redis_target_t *self = context;
    fw_purge_job_t *job = *job_p;
    /* The event does not wait for a sweep, which may take minutes: only until it is recorded. */
    if (job->status == FW_PURGE_DONE && job->patterns_count > 0 &&
        fw_purge_job_check_patterns(job, self->config.config->sweep_prefix_min)) {
        fw_sweep_queue_record(self->sweeps, job_p);
        return;
    }
    finish(context, job_p);
}

static void on_error(void *context, fw_redis_error_t error)
{
    fw_redis_target_t *self = context;
    fw_counter_add(self->config.metrics->redis_errors[error], 1);
}

static void on_turn(void *context)
{
    fw_redis_target_t *self = context;
    self->config.on_turn(self->config.context);
}

static void on_batch(void *context, size_t jobs)
{
    fw_redis_target_t *self = context;
    fw_counter_add(self->config.metrics->pipelines, 1);
    fw_gauge_set(self->config.metrics->batch_jobs, (int64_t)jobs);
}

static void on_ready(void *context)
{
    fw_redis_target_t *self = context;
    const fw_worker_metrics_t *metrics = self->config.metrics;
    uint64_t restarts = fw_redis_pool_restarts(self->pool);
    fw_counter_add(metrics->redis_restarts, restarts - self->restarts_seen);
    self->restarts_seen = restarts;
    self->ready = fw_redis_pool_ready(self->pool);
    fw_gauge_add(metrics->redis_connected, self->ready ? 1 : -1);
    if (self->ready) {
        fw_guard_hasten(self->guard);
    }
    self->config.on_ready(self->config.context);
}

/* ---- work */

void fw_redis_target_add(fw_redis_target_t *self, fw_purge_job_t **job_p)
{
    fw_cache_action_t action = (*job_p)->action;
    if (action == FW_CACHE_OPEN || action == FW_CACHE_CLOSE) {
        fw_cache_record_add(self->record, job_p);
    } else {
        fw_guard_before(self->guard, *job_p);
        fw_redis_pool_add(self->pool, job_p);
    }
}

void fw_redis_target_met(fw_redis_target_t *self, const uint8_t broker[FW_INCARNATION_SIZE])
{
    fw_cache_record_met(self->record, broker);
}

void fw_redis_target_run(fw_redis_target_t *self)
{
    fw_redis_pool_run(self->pool);
}

void fw_redis_target_tick(fw_redis_target_t *self, int64_t now_ms)
{
    fw_redis_pool_tick(self->pool, now_ms);
    fw_guard_tick(self->guard, now_ms);
    fw_sweep_queue_tick(self->sweeps, now_ms);
}

bool fw_redis_target_ready(const fw_redis_target_t *self)
{
    return self->ready;
}

/* ---- life */

fw_redis_target_t *fw_redis_target_new(zloop_t *loop, const fw_redis_target_config_t *config)
{
    const fw_workers_config_t *workers = config->config;
    fw_redis_target_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    uint64_t seed;
    fw_random_bytes(&seed, sizeof(seed));
    const fw_redis_pool_config_t pool = {
        .url = config->url,
        .timeout_ms = workers->redis_timeout_ms,
        .stamp_ttl_ms = workers->stamp_ttl_ms,
        .name = config->name,
        .seed = seed,
        .on_decided = on_purged,
        .on_ready = on_ready,
        .on_error = on_error,
        .on_batch = on_batch,
        .on_turn = on_turn,
        .context = self,
    };
    self->pool = fw_redis_pool_new(loop, &pool);
    self->record = fw_cache_record_new(self->pool, workers->name_space, finish, self);
    const fw_sweep_queue_config_t sweeps = {
        .loop = loop,
        .pool = self->pool,
        .config = workers,
        .name = config->sweeper_name,
        .seed = seed,
        .metrics = config->metrics,
        .on_recorded = finish,
        .context = self,
    };
    self->sweeps = fw_sweep_queue_new(&sweeps);
    const fw_guard_config_t guard = {.pool = self->pool,
                                     .name_space = workers->name_space,
                                     .seed = seed,
                                     .metrics = config->metrics};
    self->guard = fw_guard_new(&guard);
    return self;
}

void fw_redis_target_destroy(fw_redis_target_t **self_p)
{
    fw_redis_target_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_sweep_queue_leave(self->sweeps);
    fw_redis_pool_destroy(&self->pool);
    fw_cache_record_destroy(&self->record);
    fw_sweep_queue_destroy(&self->sweeps);
    fw_guard_destroy(&self->guard);
    if (self->ready) {
        fw_gauge_add(self->config.metrics->redis_connected, -1);
    }
    free(self);
    *self_p = NULL;
}
