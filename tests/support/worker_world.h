/* worker_world.h - workers, a real Redis, a test broker.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "runtime/health.h"
#include "tests/support/job_broker.h"
#include "tests/support/redis_fixture.h"
#include "workers/worker_metrics.h"
#include "workers/workers.h"

enum { FW_PATIENCE_MS = 20000 }; /* long, because a sanitizer on a busy machine is slow */

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis; /* the test's own connection */
    fw_job_broker_t *broker;
    fw_workers_config_t config; /* to be changed before fw_worker_world_start */
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_worker_metrics_t series;
    fw_workers_t *workers;
} fw_worker_world_t;

/* A Redis, a broker and a configuration of one actor; the workers are not started. */
fw_worker_world_t *fw_worker_world_new(void) __attribute__((warn_unused_result));
void fw_worker_world_destroy(fw_worker_world_t **self_p);
/* Keys in Redis but those that workers keep for themselves. */
long long fw_worker_world_size(fw_worker_world_t *self);
/* Starts the workers and waits until they have said Hello, and left their first mark in Redis. */
void fw_worker_world_start(fw_worker_world_t *self);
/* Waits until the workers have left a mark in the world's own Redis, if it is theirs. */
void fw_worker_world_await_mark(fw_worker_world_t *self);
/* For cmocka: *state becomes a world, and is taken down. */
int fw_worker_world_setup(void **state);
int fw_worker_world_teardown(void **state);

/* Sends a job that names up to one key, tag and pattern; NULL = none. */
void fw_worker_world_send(fw_worker_world_t *self, uint64_t job_id, const char *key,
                          const char *tag, const char *pattern);
/* The same, and its answer; fails the test when none comes. */
fw_job_answer_t fw_worker_world_do(fw_worker_world_t *self, uint64_t job_id, const char *key,
                                   const char *tag, const char *pattern);
/* The next answer; fails the test when none comes. */
fw_job_answer_t fw_worker_world_answer(fw_worker_world_t *self);
/* Redis' clock in microseconds. */
uint64_t fw_worker_world_redis_us(fw_worker_world_t *self);
/* Serves the broker's link until the counter has reached the value; fails the test when it does
 * not. */
void fw_worker_world_await(fw_worker_world_t *self, const fw_counter_t *counter, uint64_t value);
