/* test_workers_record.c - a broker that did not close the cache costs its entries their validity.
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
#include "workers/cache_record.h"

/* The broker whose every byte is this number. */
static void send_action(fw_job_broker_t *to, uint64_t job_id, fw_cache_action_t action,
                        uint8_t number)
{
    uint8_t broker[FW_INCARNATION_SIZE];
    memset(broker, number, sizeof(broker));
    const fw_message_t message = {.kind = FW_MESSAGE_JOB,
                                  .job = {.job_id = job_id,
                                          .attempt = 1,
                                          .lease_ms = 1000,
                                          .cache_action = action,
                                          .broker = {broker, sizeof(broker)}}};
    fw_job_broker_send_message(to, &message);
}

static fw_job_answer_t act(fw_worker_world_t *world, fw_cache_action_t action, uint8_t number)
{
    static uint64_t job_id = 5000;
    send_action(world->broker, ++job_id, action, number);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_int_equal(answer.job_id, job_id);
    return answer;
}

/* Does an action that must be done; its time must be Redis' of now. */
static void act_well(fw_worker_world_t *world, fw_cache_action_t action, uint8_t number)
{
    uint64_t before_us = fw_worker_world_redis_us(world);
    fw_job_answer_t answer = act(world, action, number);
    assert_true(answer.done);
    assert_true(answer.redis_time > before_us);
    assert_true(answer.redis_time < fw_worker_world_redis_us(world));
    assert_int_equal(answer.stamps_count, 0);
}

static void assert_record(fw_worker_world_t *world, uint8_t number, const char *state)
{
    char expected[FW_RECORD_SIZE_MAX + 1];
    for (size_t i = 0; i < FW_INCARNATION_SIZE; i++) {
        (void)snprintf(expected + 2 * i, 3, "%02x", number);
    }
    (void)snprintf(expected + (size_t)2 * FW_INCARNATION_SIZE, 9, " %s", state);
    redisReply *reply = fw_redis_command(world->redis, "GET fw:broker");
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, expected);
    freeReplyObject(reply);
}

/* The epoch's stamp, 0 = none. */
static uint64_t epoch(fw_worker_world_t *world)
{
    redisReply *reply = fw_redis_command(world->redis, "GET fw:epoch");
    uint64_t stamp = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return stamp;
}

static void a_first_start_bumps_because_nothing_is_known(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 0xab);
    assert_record(world, 0xab, "running");
    assert_true(epoch(world) > 0);
    /* It lives as long as any stamp. */
    long long ttl_ms = fw_redis_integer(world->redis, "PTTL fw:epoch");
    assert_true(ttl_ms > world->config.stamp_ttl_ms - 60000);
    assert_true(fw_redis_integer(world->redis, "PTTL fw:broker") == -1);
}

static void a_clean_restart_keeps_the_cache(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 1);
    uint64_t before = epoch(world);
    act_well(world, FW_CACHE_CLOSE, 1);
    assert_record(world, 1, "clean");
    act_well(world, FW_CACHE_OPEN, 2);
    assert_record(world, 2, "running");
    assert_int_equal(epoch(world), before);
}

static void an_unclean_restart_bumps_before_it_is_recorded(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 1);
    uint64_t before = epoch(world);
    act_well(world, FW_CACHE_OPEN, 2);
    assert_record(world, 2, "running");
    assert_true(epoch(world) > before);
}

static void an_action_that_is_delivered_again_changes_nothing(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 1);
    uint64_t before = epoch(world);
    act_well(world, FW_CACHE_OPEN, 1);
    assert_int_equal(epoch(world), before);
    act_well(world, FW_CACHE_CLOSE, 1);
    act_well(world, FW_CACHE_CLOSE, 1);
    assert_record(world, 1, "clean");
    assert_int_equal(epoch(world), before);
}

static void a_late_close_of_another_broker_does_not_vouch(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 2);
    act_well(world, FW_CACHE_CLOSE, 1);
    assert_record(world, 2, "running");
    fw_redis_do(world->redis, "DEL fw:broker");
    act_well(world, FW_CACHE_CLOSE, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:broker"), 0);
}

static void a_foreign_value_is_distrusted_and_replaced(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    static const char *const commands[] = {
        "SET fw:broker word",
        "RPUSH fw:broker a b",
        "SET fw:broker \"\"",
        "SET fw:broker 01010101010101010101010101010101",
        "SET fw:broker 0101010101010101010101010101010101010101010101010101010101010101",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fw_redis_do(world->redis, "DEL fw:broker");
        fw_redis_do(world->redis, commands[i]);
        uint64_t before = epoch(world);
        act_well(world, FW_CACHE_OPEN, 1);
        assert_record(world, 1, "running");
        assert_true(epoch(world) > before);
    }
    fw_redis_do(world->redis, "SET fw:broker %b", "x\0y clean", (size_t)9);
    act_well(world, FW_CACHE_OPEN, 1);
    assert_record(world, 1, "running");
}

static void a_flush_bumps_and_touches_no_record(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_FLUSH, 1);
    uint64_t before = epoch(world);
    assert_true(before > 0);
    act_well(world, FW_CACHE_FLUSH, 1);
    assert_true(epoch(world) > before);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:broker"), 0);
    assert_int_equal(fw_worker_world_size(world), 0);
}

static void a_full_redis_loses_epoch_and_record_which_bumps_as_well(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    act_well(world, FW_CACHE_OPEN, 1);
    fw_redis_do(world->redis, "CONFIG SET maxmemory 1");
    fw_job_answer_t opened = act(world, FW_CACHE_OPEN, 2);
    long long left = fw_redis_integer(world->redis, "EXISTS fw:epoch fw:broker");
    fw_redis_do(world->redis, "CONFIG SET maxmemory 0");
    assert_true(opened.done);
    assert_int_equal(left, 0);
    act_well(world, FW_CACHE_OPEN, 2);
    assert_record(world, 2, "running");
    /* What cannot be written down is not said to be clean. */
    fw_redis_do(world->redis, "CONFIG SET maxmemory 1");
    fw_job_answer_t closed = act(world, FW_CACHE_CLOSE, 2);
    fw_redis_do(world->redis, "CONFIG SET maxmemory 0");
    assert_true(!closed.done && closed.retryable);
    assert_record(world, 2, "running");
    act_well(world, FW_CACHE_CLOSE, 2);
    assert_record(world, 2, "clean");
}

static void a_forbidden_record_fails_for_good_but_after_the_bump(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "ACL SETUSER worker on >secret ~fw:epoch %%R~fw:broker +@all");
    char url[160];
    const char *plain = fw_redis_fixture_url(world->server);
    (void)snprintf(url, sizeof(url), "unix://worker:secret@%s", plain + strlen("unix://"));
    world->config.redis_url = url;
    fw_worker_world_start(world);
    fw_job_answer_t answer = act(world, FW_CACHE_OPEN, 1);
    assert_false(answer.done);
    assert_false(answer.retryable);
    assert_true(epoch(world) > 0);
}

static void a_redis_that_leaves_in_the_middle_is_asked_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    fw_redis_fixture_pause(world->server);
    send_action(world->broker, 1, FW_CACHE_OPEN, 1);
    while (fw_gauge_value(world->series.outstanding) == 0) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    fw_redis_fixture_kill(world->server);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(!answer.done && answer.retryable);
    fw_redis_fixture_restart(world->server);
    redisFree(world->redis);
    world->redis = fw_redis_fixture_connect(world->server);
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    do {
        (void)fw_job_broker_serve(world->broker, 20);
        answer = act(world, FW_CACHE_OPEN, 1);
        assert_true(answer.done || answer.retryable);
    } while (!answer.done && fw_clock_ms() < deadline_ms);
    assert_record(world, 1, "running");
}

static void two_workers_that_do_the_same_action_agree(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    fw_job_broker_t *broker = fw_job_broker_start();
    fw_workers_config_t config = world->config;
    config.jobs_endpoint = fw_job_broker_endpoint(broker);
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    fw_workers_t *workers = NULL;
    assert_int_equal(fw_workers_start(&config, metrics, health, &workers), 0);
    assert_true(fw_job_broker_wait_hello(broker, FW_PATIENCE_MS));
    act_well(world, FW_CACHE_OPEN, 1);
    for (uint8_t number = 2; number < 12; number++) {
        uint64_t before = epoch(world);
        send_action(world->broker, number, FW_CACHE_OPEN, number);
        send_action(broker, number, FW_CACHE_OPEN, number);
        fw_job_answer_t first = fw_worker_world_answer(world);
        fw_job_answer_t second = fw_job_broker_wait_answer(broker, FW_PATIENCE_MS);
        assert_true(second.came);
        /* One of them may find that the other was quicker, and is to look again. */
        assert_true(first.done || second.done);
        assert_true(first.done || first.retryable);
        assert_true(second.done || second.retryable);
        assert_record(world, number, "running");
        assert_true(epoch(world) > before);
    }
    fw_workers_stop(&workers);
    fw_job_broker_stop(&broker);
    fw_health_destroy(&health);
    fw_metrics_destroy(&metrics);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_first_start_bumps_because_nothing_is_known),
        WORLD_TEST(a_clean_restart_keeps_the_cache),
        WORLD_TEST(an_unclean_restart_bumps_before_it_is_recorded),
        WORLD_TEST(an_action_that_is_delivered_again_changes_nothing),
        WORLD_TEST(a_late_close_of_another_broker_does_not_vouch),
        WORLD_TEST(a_foreign_value_is_distrusted_and_replaced),
        WORLD_TEST(a_flush_bumps_and_touches_no_record),
        WORLD_TEST(a_full_redis_loses_epoch_and_record_which_bumps_as_well),
        WORLD_TEST(a_forbidden_record_fails_for_good_but_after_the_bump),
        WORLD_TEST(a_redis_that_leaves_in_the_middle_is_asked_again),
        WORLD_TEST(two_workers_that_do_the_same_action_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
