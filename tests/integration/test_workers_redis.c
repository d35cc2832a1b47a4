/* test_workers_redis.c - Redis gone, full, read-only, forgetful: no job is called done that is not.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
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
#include "workers/dead_letters.h"

static void reconnect_test(fw_worker_world_t *world)
{
    redisFree(world->redis);
    world->redis = fw_redis_fixture_connect(world->server);
}

/* A job until it is done; each failure on the way must be one that may pass. */
static fw_job_answer_t do_until_done(fw_worker_world_t *world, const char *key, const char *tag)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    fw_job_answer_t answer;
    for (uint64_t job_id = 1000;; job_id++) {
        answer = fw_worker_world_do(world, job_id, key, tag, NULL);
        if (answer.done || fw_clock_ms() >= deadline_ms) {
            break;
        }
        assert_true(answer.retryable);
        (void)fw_job_broker_serve(world->broker, 50);
    }
    assert_true(answer.done);
    return answer;
}

static void no_worker_greets_before_redis_is_there(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_fixture_kill(world->server);
    assert_int_equal(
        fw_workers_start(&world->config, world->metrics, world->health, &world->workers), 0);
    assert_false(fw_job_broker_wait_hello(world->broker, 500));
    assert_false(fw_health_ready(world->health, fw_clock_ms()));
    fw_redis_fixture_restart(world->server);
    reconnect_test(world);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    assert_true(fw_worker_world_do(world, 1, "a", "t", NULL).done);
}

static void a_dead_redis_fails_jobs_and_a_new_one_is_found(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, "a", "t", NULL).done);
    fw_redis_fixture_pause(world->server);
    fw_worker_world_send(world, 2, "a", NULL, NULL);
    while (fw_gauge_value(world->series.outstanding) == 0) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    fw_redis_fixture_kill(world->server);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_int_equal(answer.job_id, 2);
    assert_false(answer.done);
    assert_true(answer.retryable);
    /* Out of the pool while it is of no use; what comes nevertheless fails at once. */
    assert_true(fw_job_broker_goodbyes(world->broker) == 1 ||
                fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
    answer = fw_worker_world_do(world, 3, "a", NULL, NULL);
    assert_true(!answer.done && answer.retryable);
    fw_redis_fixture_restart(world->server);
    reconnect_test(world);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    (void)do_until_done(world, "a", "t");
    assert_int_equal(fw_counter_value(world->series.redis_restarts), 1);
    assert_true(fw_counter_value(world->series.redis_errors[FW_REDIS_LOST]) > 0);
    assert_int_equal(fw_gauge_value(world->series.redis_connected), 1);
}

static void a_redis_that_stands_still_fails_jobs_in_time(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.redis_timeout_ms = 200;
    fw_worker_world_start(world);
    fw_redis_fixture_pause(world->server);
    int64_t sent_ms = fw_clock_ms();
    fw_job_answer_t answer = fw_worker_world_do(world, 1, "a", NULL, NULL);
    assert_true(!answer.done && answer.retryable);
    assert_true(fw_clock_ms() - sent_ms >= 199);
    fw_redis_fixture_resume(world->server);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    (void)do_until_done(world, "a", NULL);
}

static void an_idle_connection_that_died_is_noticed(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.redis_timeout_ms = 200;
    fw_worker_world_start(world);
    fw_redis_fixture_pause(world->server);
    assert_true(fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
    fw_redis_fixture_resume(world->server);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
}

static void a_forgotten_script_is_given_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, "t", NULL).done);
    fw_redis_do(world->redis, "SCRIPT FLUSH");
    fw_redis_do(world->redis, "SET a x");
    fw_job_answer_t answer = fw_worker_world_do(world, 2, "a", "t", NULL);
    assert_true(answer.done);
    assert_int_equal(answer.stamps_count, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    assert_int_equal(fw_counter_value(world->series.redis_errors[FW_REDIS_NOSCRIPT]), 1);
    assert_true(fw_worker_world_do(world, 3, NULL, "t", NULL).done);
    assert_int_equal(fw_counter_value(world->series.redis_errors[FW_REDIS_NOSCRIPT]), 1);
}

static void a_full_redis_loses_the_stamp_which_invalidates_as_well(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, "t", NULL).done);
    fw_redis_do(world->redis, "SET a x");
    fw_redis_do(world->redis, "CONFIG SET maxmemory 1");
    fw_job_answer_t answer = fw_worker_world_do(world, 2, "a", "t", NULL);
    fw_redis_do(world->redis, "CONFIG SET maxmemory 0");
    assert_true(answer.done);
    assert_int_equal(answer.stamps_count, 0);
    assert_true(answer.redis_time > 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:t:t"), 0);
}

static void a_replica_is_left_for_the_primary(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    fw_redis_do(world->redis, "REPLICAOF 127.0.0.1 1");
    fw_job_answer_t answer = fw_worker_world_do(world, 1, "a", "t", NULL);
    assert_true(!answer.done && answer.retryable);
    assert_memory_equal(answer.reason, "redis readonly", 14);
    assert_true(fw_job_broker_goodbyes(world->broker) > 0 ||
                fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
    fw_redis_do(world->redis, "REPLICAOF NO ONE");
    (void)do_until_done(world, "a", "t");
}

static void a_forbidden_key_fails_its_own_job_only(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "ACL SETUSER worker on >secret ~open:* ~fw:* +@all");
    char url[160];
    const char *plain = fw_redis_fixture_url(world->server);
    (void)snprintf(url, sizeof(url), "unix://worker:secret@%s", plain + strlen("unix://"));
    world->config.redis_url = url;
    fw_worker_world_start(world);
    fw_redis_do(world->redis, "SET open:a x");
    fw_redis_do(world->redis, "SET closed:a x");
    /* Together in one pipeline, behind a Redis that stands still. */
    fw_redis_fixture_pause(world->server);
    fw_worker_world_send(world, 1, "open:first", NULL, NULL);
    fw_worker_world_send(world, 2, "open:a", "t", NULL);
    fw_worker_world_send(world, 3, "closed:a", "t", NULL);
    while (fw_gauge_value(world->series.outstanding) < 3) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    fw_redis_fixture_resume(world->server);
    for (int i = 0; i < 3; i++) {
        fw_job_answer_t answer = fw_worker_world_answer(world);
        assert_int_equal(answer.done, answer.job_id != 3);
        assert_false(answer.retryable);
    }
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS open:a"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS closed:a"), 1);
    assert_int_equal(fw_counter_value(world->series.jobs[FW_OUTCOME_REFUSED]), 1);
}

typedef struct {
    size_t count;
    char last[512];
} letters_t;

static bool on_letter(void *context, fw_text_t letter)
{
    letters_t *letters = context;
    letters->count++;
    (void)snprintf(letters->last, sizeof(letters->last), "%s", letter.text);
    return true;
}

static bool on_letter_that_is_lost(void *context, fw_text_t letter)
{
    (void)on_letter(context, letter);
    return false;
}

static void what_is_refused_for_good_is_kept_to_be_done_again(void **state)
{
    fw_worker_world_t *world = *state;
    const char *reason = NULL;
    letters_t letters = {0};
    assert_int_equal(
        fw_dead_letters_read("http://x", "fw", 100, false, on_letter, &letters, &reason), -EINVAL);
    assert_int_equal(
        fw_dead_letters_read("redis://127.0.0.1:1", "fw", 100, false, on_letter, &letters, &reason),
        -ETIMEDOUT);
    const char *url = fw_redis_fixture_url(world->server);
    fw_worker_world_start(world);
    for (uint64_t i = 0; i < 3; i++) {
        char pattern[16];
        (void)snprintf(pattern, sizeof(pattern), "%llu*", (unsigned long long)i);
        assert_false(fw_worker_world_do(world, i, "a\"b", "t", pattern).done);
    }
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(world->redis, "LLEN fw:dead") < 3) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    assert_int_equal(
        fw_dead_letters_read(url, "fw", FW_PATIENCE_MS, false, on_letter, &letters, &reason), 0);
    assert_int_equal(letters.count, 3);
    assert_non_null(strstr(letters.last, "\"keys\":[\"a\\\"b\"],\"tags\":[\"t\"],"
                                         "\"patterns\":[\"2*\"]"));
    assert_non_null(strstr(letters.last, "\"reason\":\"a pattern must begin with 3"));
    assert_int_equal(fw_dead_letters_read(url, "fw", FW_PATIENCE_MS, true, on_letter_that_is_lost,
                                          &letters, &reason),
                     -ECANCELED);
    assert_int_equal(letters.count, 4);
    assert_int_equal(fw_redis_integer(world->redis, "LLEN fw:dead"), 3);
    assert_int_equal(
        fw_dead_letters_read(url, "fw", FW_PATIENCE_MS, true, on_letter, &letters, &reason), 0);
    assert_int_equal(letters.count, 7);
    assert_int_equal(fw_redis_integer(world->redis, "LLEN fw:dead"), 0);
}

static void a_wrong_password_is_counted_and_tried_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "ACL SETUSER worker on >secret ~* +@all");
    char url[160];
    const char *plain = fw_redis_fixture_url(world->server);
    (void)snprintf(url, sizeof(url), "unix://worker:other@%s", plain + strlen("unix://"));
    world->config.redis_url = url;
    assert_int_equal(
        fw_workers_start(&world->config, world->metrics, world->health, &world->workers), 0);
    fw_worker_world_await(world, world->series.redis_errors[FW_REDIS_AUTH], 2);
    assert_int_equal(fw_job_broker_hellos(world->broker), 0);
    fw_redis_do(world->redis, "ACL SETUSER worker >other");
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
}

static void a_host_name_and_a_database_are_understood(void **state)
{
    fw_worker_world_t *world = *state;
    char url[64];
    (void)snprintf(url, sizeof(url), "redis://localhost:%s/3",
                   strrchr(fw_redis_fixture_tcp_url(world->server), ':') + 1);
    world->config.redis_url = url;
    fw_redis_do(world->redis, "SET a outside");
    fw_redis_do(world->redis, "SELECT 3");
    fw_redis_do(world->redis, "SET a inside");
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, "a", NULL, NULL).done);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    fw_redis_do(world->redis, "SELECT 0");
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 1);
}

static void an_unknown_host_name_is_tried_again(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.redis_url = "redis://no.such.host.invalid:1";
    world->config.redis_timeout_ms = 300;
    assert_int_equal(
        fw_workers_start(&world->config, world->metrics, world->health, &world->workers), 0);
    fw_worker_world_await(world, world->series.redis_errors[FW_REDIS_LOST], 2);
    assert_true(fw_health_live(world->health, fw_clock_ms()));
    assert_int_equal(fw_job_broker_hellos(world->broker), 0);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(no_worker_greets_before_redis_is_there),
        WORLD_TEST(a_dead_redis_fails_jobs_and_a_new_one_is_found),
        WORLD_TEST(a_redis_that_stands_still_fails_jobs_in_time),
        WORLD_TEST(an_idle_connection_that_died_is_noticed),
        WORLD_TEST(a_forgotten_script_is_given_again),
        WORLD_TEST(a_full_redis_loses_the_stamp_which_invalidates_as_well),
        WORLD_TEST(a_replica_is_left_for_the_primary),
        WORLD_TEST(a_forbidden_key_fails_its_own_job_only),
        WORLD_TEST(what_is_refused_for_good_is_kept_to_be_done_again),
        WORLD_TEST(a_wrong_password_is_counted_and_tried_again),
        WORLD_TEST(a_host_name_and_a_database_are_understood),
        WORLD_TEST(an_unknown_host_name_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
