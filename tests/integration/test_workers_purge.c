/* test_workers_purge.c - a job is answered when Redis has purged.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "tests/support/worker_world.h"

static long long exists(fw_worker_world_t *world, const char *key)
{
    return fw_redis_integer(world->redis, "EXISTS %s", key);
}

static uint64_t stamp_in_redis(fw_worker_world_t *world, const char *key)
{
    redisReply *reply = fw_redis_command(world->redis, "GET %s", key);
    uint64_t stamp = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return stamp;
}

static void a_bad_configuration_does_not_start(void **state)
{
    fw_worker_world_t *world = *state;
    fw_workers_t *workers = NULL;
    fw_workers_config_t config = world->config;
    config.actors = 0;
    assert_int_equal(fw_workers_start(&config, world->metrics, world->health, &workers), -EINVAL);
    config.actors = FW_WORKERS_ACTORS_MAX + 1;
    assert_int_equal(fw_workers_start(&config, world->metrics, world->health, &workers), -EINVAL);
    config = world->config;
    config.redis_url = "http://localhost";
    assert_int_equal(fw_workers_start(&config, world->metrics, world->health, &workers), -EINVAL);
    config = world->config;
    config.name_space = "";
    assert_int_equal(fw_workers_start(&config, world->metrics, world->health, &workers), -EINVAL);
    config = world->config;
    config.sweep_duty_percent = 0;
    assert_int_equal(fw_workers_start(&config, world->metrics, world->health, &workers), -EINVAL);
    assert_null(workers);
    fw_workers_stop(&workers);
}

static void the_keys_of_a_job_are_gone_when_it_is_done(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "SET user:42 old");
    fw_redis_do(world->redis, "RPUSH list:42 a b c");
    fw_redis_do(world->redis, "SET bystander stays");
    fw_worker_world_start(world);
    assert_int_equal(fw_job_broker_capacity(world->broker), world->config.capacity);
    const fw_text_t keys[] = {FW_TEXT("user:42"), FW_TEXT("list:42"), FW_TEXT("never:there")};
    uint64_t before_us = fw_worker_world_redis_us(world);
    fw_job_broker_send_job(world->broker, 5, &(fw_invalidate_t){.keys = keys, .keys_count = 3});
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_int_equal(exists(world, "user:42"), 0);
    assert_int_equal(exists(world, "list:42"), 0);
    assert_int_equal(exists(world, "bystander"), 1);
    assert_true(answer.done);
    assert_int_equal(answer.job_id, 5);
    assert_int_equal(answer.keys_removed, 2);
    assert_int_equal(answer.stamps_count, 0);
    assert_true(answer.redis_time > before_us);
    assert_true(answer.redis_time <= fw_worker_world_redis_us(world));
    assert_int_equal(fw_counter_value(world->series.jobs[FW_OUTCOME_DONE]), 1);
    assert_int_equal(fw_counter_value(world->series.keys), 3);
    assert_int_equal(fw_counter_value(world->series.keys_removed), 2);
}

static void a_tag_gets_a_strictly_greater_stamp_that_lives_long_enough(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.stamp_ttl_ms = 600000;
    fw_worker_world_start(world);
    uint64_t last = 0;
    for (uint64_t job_id = 1; job_id <= 50; job_id++) {
        fw_job_answer_t answer = fw_worker_world_do(world, job_id, NULL, "users", NULL);
        assert_true(answer.done);
        assert_int_equal(answer.stamps_count, 1);
        assert_true(answer.stamps[0] > last);
        assert_true(answer.redis_time >= answer.stamps[0]);
        last = answer.stamps[0];
        assert_int_equal(stamp_in_redis(world, "fw:t:users"), last);
    }
    long long ttl_ms = fw_redis_integer(world->redis, "PTTL fw:t:users");
    assert_true(ttl_ms > 590000 && ttl_ms <= 600000);
    /* A stamp from the future, as another node's clock may leave one. */
    uint64_t future = fw_worker_world_redis_us(world) + 3600u * UINT64_C(1000000);
    fw_redis_do(world->redis, "SET fw:t:users %llu", (unsigned long long)future);
    assert_int_equal(fw_worker_world_do(world, 60, NULL, "users", NULL).stamps[0], future + 1);
    assert_int_equal(fw_counter_value(world->series.tags), 51);
}

static void a_stamp_that_is_no_number_is_replaced(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    static const char *const commands[] = {"SET fw:t:odd word", "RPUSH fw:t:odd x",
                                           "SET fw:t:odd inf", "SET fw:t:odd 99999999999999999999"};
    for (uint64_t i = 0; i < 4; i++) {
        fw_redis_do(world->redis, "DEL fw:t:odd");
        fw_redis_do(world->redis, commands[i]);
        fw_job_answer_t answer = fw_worker_world_do(world, i, NULL, "odd", NULL);
        assert_true(answer.done);
        assert_int_equal(stamp_in_redis(world, "fw:t:odd"), answer.stamps[0]);
        assert_true(answer.stamps[0] <= answer.redis_time);
        assert_true(answer.stamps[0] > 0);
    }
}

static void a_burst_is_gathered_into_few_pipelines_and_answered_one_by_one(void **state)
{
    enum { JOBS = 200 };
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    for (int i = 0; i < JOBS; i++) {
        fw_redis_do(world->redis, "SET key:%d x", i);
    }
    /* While Redis stands still the jobs gather behind the first ones. */
    fw_redis_fixture_pause(world->server);
    for (uint64_t i = 0; i < JOBS; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "key:%llu", (unsigned long long)i);
        fw_worker_world_send(world, i, key, i % 2 ? "odd" : "even", NULL);
    }
    while (fw_gauge_value(world->series.outstanding) < JOBS) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    fw_redis_fixture_resume(world->server);
    bool answered[JOBS] = {false};
    for (int i = 0; i < JOBS; i++) {
        fw_job_answer_t answer = fw_worker_world_answer(world);
        assert_true(answer.done);
        assert_false(answered[answer.job_id]);
        answered[answer.job_id] = true;
        char key[32];
        (void)snprintf(key, sizeof(key), "key:%llu", (unsigned long long)answer.job_id);
        assert_int_equal(exists(world, key), 0);
    }
    assert_true(fw_counter_value(world->series.pipelines) < JOBS / 4);
    assert_int_equal(fw_gauge_value(world->series.outstanding), 0);
}

static void a_big_job_is_cut_into_commands(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    static char texts[FW_INVALIDATE_KEYS_MAX][16];
    static fw_text_t keys[FW_INVALIDATE_KEYS_MAX];
    for (int i = 0; i < FW_INVALIDATE_KEYS_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "big:%d", i);
        keys[i] = fw_text(texts[i]);
        fw_redis_do(world->redis, "SET %s x", texts[i]);
    }
    const fw_invalidate_t invalidate = {.keys = keys,
                                        .keys_count = FW_INVALIDATE_KEYS_MAX,
                                        .tags = keys,
                                        .tags_count = FW_INVALIDATE_TAGS_MAX};
    fw_job_broker_send_job(world->broker, 1, &invalidate);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(answer.done);
    assert_int_equal(answer.keys_removed, FW_INVALIDATE_KEYS_MAX);
    assert_int_equal(answer.stamps_count, FW_INVALIDATE_TAGS_MAX);
    assert_int_equal(fw_worker_world_size(world), FW_INVALIDATE_TAGS_MAX);
}

static void a_job_asked_for_twice_is_purged_once_and_answered_twice(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.delay_ms = 1500; /* long enough for both to arrive */
    fw_worker_world_start(world);
    fw_worker_world_send(world, 9, "a", "t", NULL);
    fw_worker_world_send(world, 9, "a", "t", NULL);
    fw_job_answer_t first = fw_worker_world_answer(world);
    fw_job_answer_t second = fw_worker_world_answer(world);
    assert_true(first.done && second.done);
    assert_int_equal(first.stamps[0], second.stamps[0]);
    assert_int_equal(first.redis_time, second.redis_time);
    assert_int_equal(fw_counter_value(world->series.tags), 1);
    assert_int_equal(fw_counter_value(world->series.jobs[FW_OUTCOME_DUPLICATE]), 1);
    assert_false(fw_job_broker_serve(world->broker, 1700));
}

static void a_delayed_answer_comes_after_the_purge_and_not_earlier(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.delay_ms = 250;
    fw_redis_do(world->redis, "SET a x");
    fw_worker_world_start(world);
    int64_t sent_ms = fw_clock_ms();
    fw_worker_world_send(world, 1, "a", NULL, NULL);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(answer.done);
    assert_true(fw_clock_ms() - sent_ms >= 249);
    assert_int_equal(exists(world, "a"), 0);
}

static void stamps_live_in_the_configured_name_space(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.name_space = "shop";
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, "users", NULL).done);
    assert_int_equal(exists(world, "shop:t:users"), 1);
    assert_int_equal(exists(world, "fw:t:users"), 0);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_bad_configuration_does_not_start),
        WORLD_TEST(the_keys_of_a_job_are_gone_when_it_is_done),
        WORLD_TEST(a_tag_gets_a_strictly_greater_stamp_that_lives_long_enough),
        WORLD_TEST(a_stamp_that_is_no_number_is_replaced),
        WORLD_TEST(a_burst_is_gathered_into_few_pipelines_and_answered_one_by_one),
        WORLD_TEST(a_big_job_is_cut_into_commands),
        WORLD_TEST(a_job_asked_for_twice_is_purged_once_and_answered_twice),
        WORLD_TEST(a_delayed_answer_comes_after_the_purge_and_not_earlier),
        WORLD_TEST(stamps_live_in_the_configured_name_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
