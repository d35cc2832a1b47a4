/* purger.h - takes jobs from the broker and purges Redis.   SPDX-License-Identifier: MPL-2.0
 * An actor. Controls: DRAIN (answer what was taken, turn down what comes, say goodbye); STOP (the
 * same for at most FW_PURGER_STOP_MS, then end); RELOAD is ignored. */
#pragma once

#include "runtime/actor.h"
#include "runtime/health.h"
#include "workers/redis_url.h"
#include "workers/worker_metrics.h"
#include "workers/workers.h"

enum {
    FW_PURGER_STOP_MS = 2000,
    FW_PURGER_CAPACITY_MAX = 4096,
    FW_PURGER_BYTES_MAX = 64 * 1024 * 1024, /* of jobs not answered; more are failed, retryable */
};

/* All of it belongs to the parent and outlives the actor. */
typedef struct {
    const fw_workers_config_t *config;
    fw_redis_url_t targets[FW_REDIS_TARGETS_MAX]; /* each is purged */
    size_t targets_count;
    const char *name; /* of the actor; also in Hello and in Redis' CLIENT LIST */
    const char *sweeper_name;
    const fw_worker_metrics_t *metrics;
    fw_pulse_t *pulse;
    fw_condition_t *redis_up;
    fw_condition_t *broker_up;
} fw_purger_args_t;

/* The actor's body; args is a fw_purger_args_t. */
fw_actor_fn fw_purger_run;
