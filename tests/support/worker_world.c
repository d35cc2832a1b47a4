/* worker_world.c - workers, a real Redis, a test broker.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/worker_world.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"

fw_worker_world_t *fw_worker_world_new(void)
{
    /* As every role does: a Redis that is killed is an error, not the end. */
    (void)signal(SIGPIPE, SIG_IGN);
    fw_worker_world_t *self = fw_alloc(1, sizeof(*self));
    self->server = fw_redis_fixture_start();
    self->redis = fw_redis_fixture_connect(self->server);
    self->broker = fw_job_broker_start();
    self->metrics = fw_metrics_new();
    self->health = fw_health_new();
    self->series = fw_worker_metrics_make(self->metrics);
    self->config = fw_workers_defaults();
    self->config.actors = 1;
    self->config.redis_url = fw_redis_fixture_url(self->server);
    self->config.jobs_endpoint = fw_job_broker_endpoint(self->broker);
    return self;
}

void fw_worker_world_destroy(fw_worker_world_t **self_p)
{
    fw_worker_world_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_workers_stop(&self->workers);
    fw_job_broker_stop(&self->broker);
    redisFree(self->redis);
    fw_redis_fixture_stop(&self->server);
    fw_health_destroy(&self->health);
    fw_metrics_destroy(&self->metrics);
    free(self);
    *self_p = NULL;
}

void fw_worker_world_start(fw_worker_world_t *self)
{
    assert_int_equal(fw_workers_start(&self->config, self->metrics, self->health, &self->workers),
                     0);
    assert_true(fw_job_broker_wait_hello(self->broker, FW_PATIENCE_MS));
    fw_worker_world_await_mark(self);
}

void fw_worker_world_await_mark(fw_worker_world_t *self)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    bool local = strncmp(self->config.redis_url, fw_redis_fixture_url(self->server),
                         strlen(fw_redis_fixture_url(self->server))) == 0 &&
                 strcmp(self->config.name_space, "fw") == 0;
    while (local && fw_redis_integer(self->redis, "EXISTS fw:lineage") == 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(self->broker, 5);
    }
}

long long fw_worker_world_size(fw_worker_world_t *self)
{
    return fw_redis_integer(self->redis, "DBSIZE") -
           fw_redis_integer(self->redis, "EXISTS fw:lineage fw:epoch fw:sweeps "
                                         "{fw:sweeps}:owner");
}

int fw_worker_world_setup(void **state)
{
    *state = fw_worker_world_new();
    return 0;
}

int fw_worker_world_teardown(void **state)
{
    fw_worker_world_t *self = *state;
    fw_worker_world_destroy(&self);
    return 0;
}

void fw_worker_world_send(fw_worker_world_t *self, uint64_t job_id, const char *key,
                          const char *tag, const char *pattern)
{
    const fw_text_t texts[] = {fw_text(key), fw_text(tag), fw_text(pattern)};
    const fw_invalidate_t invalidate = {
        .keys = &texts[0],
        .keys_count = key ? 1 : 0,
        .tags = &texts[1],
        .tags_count = tag ? 1 : 0,
        .patterns = &texts[2],
        .patterns_count = pattern ? 1 : 0,
    };
    fw_job_broker_send_job(self->broker, job_id, &invalidate);
}

fw_job_answer_t fw_worker_world_answer(fw_worker_world_t *self)
{
    fw_job_answer_t answer = fw_job_broker_wait_answer(self->broker, FW_PATIENCE_MS);
    assert_true(answer.came);
    return answer;
}

fw_job_answer_t fw_worker_world_do(fw_worker_world_t *self, uint64_t job_id, const char *key,
                                   const char *tag, const char *pattern)
{
    fw_worker_world_send(self, job_id, key, tag, pattern);
    fw_job_answer_t answer = fw_worker_world_answer(self);
    assert_int_equal(answer.job_id, job_id);
    return answer;
}

uint64_t fw_worker_world_redis_us(fw_worker_world_t *self)
{
    redisReply *reply = fw_redis_command(self->redis, "TIME");
    uint64_t now_us = strtoull(reply->element[0]->str, NULL, 10) * 1000000 +
                      strtoull(reply->element[1]->str, NULL, 10);
    freeReplyObject(reply);
    return now_us;
}

void fw_worker_world_await(fw_worker_world_t *self, const fw_counter_t *counter, uint64_t value)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_counter_value(counter) < value && fw_clock_ms() < deadline_ms) {
        (void)fw_job_broker_serve(self->broker, 10);
    }
    assert_true(fw_counter_value(counter) >= value);
}
