/* purge_pipeline.h - runs jobs on a Redis link.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of the link. One plan is in flight; meanwhile the next jobs gather: so
 * batches grow with the load and nobody waits for one to fill. Bounded by its caller, who bounds
 * the jobs. */
#pragma once

#include "workers/purge_job.h"
#include "workers/redis_link.h"

typedef struct fw_purge_pipeline fw_purge_pipeline_t;

typedef struct {
    fw_redis_link_t *redis; /* outlived by the pipeline's last use, not by the pipeline */
    int64_t stamp_ttl_ms;
    bool by_slot; /* of a cluster */
    uint64_t seed;
    void (*on_decided)(void *context, fw_purge_job_t **job_p); /* takes the job */
    void (*on_error)(void *context, fw_redis_error_t error);   /* of a command */
    void (*on_batch)(void *context, size_t jobs);              /* a plan begins */
    void *context;
} fw_purge_pipeline_config_t;

fw_purge_pipeline_t *fw_purge_pipeline_new(const fw_purge_pipeline_config_t *config)
    __attribute__((warn_unused_result));
/* After the link has been destroyed. Jobs that it still holds are destroyed undecided. NULL-safe.
 */
void fw_purge_pipeline_destroy(fw_purge_pipeline_t **self_p);

/* Takes a job; it is decided after the next fw_purge_pipeline_run at the earliest. */
void fw_purge_pipeline_add(fw_purge_pipeline_t *self, fw_purge_job_t **job_p);
/* Begins a plan when none is in flight. Without a connection every job that waits fails at once, so
 * that the broker can give it to another worker. */
void fw_purge_pipeline_run(fw_purge_pipeline_t *self);
