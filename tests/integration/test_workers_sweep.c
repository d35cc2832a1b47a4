/* test_workers_sweep.c - patterns on a real Redis.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/random.h"
#include "tests/support/worker_world.h"
#include "workers/glob.h"
#include "workers/sweep_queue.h"

/* One number of a command in INFO commandstats, 0 when the command was never given. */
static unsigned long long command_stat(fw_worker_world_t *world, const char *command,
                                       const char *field)
{
    redisReply *reply = fw_redis_command(world->redis, "INFO commandstats");
    char label[64];
    (void)snprintf(label, sizeof(label), "cmdstat_%s:", command);
    const char *line = strstr(reply->str, label);
    (void)snprintf(label, sizeof(label), "%s=", field);
    const char *found = line ? strstr(line, label) : NULL;
    unsigned long long number = found ? strtoull(found + strlen(label), NULL, 10) : 0;
    freeReplyObject(reply);
    return number;
}

/* Writes count keys "<prefix><number>" quickly. */
static void write_keys(fw_worker_world_t *world, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(redisAppendCommand(world->redis, "SET %s%d x", prefix, i), REDIS_OK);
    }
    for (int i = 0; i < count; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(world->redis, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
}

/* Waits until nothing is left to sweep, and nobody holds the lease. */
static void await_quiet(fw_worker_world_t *world)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(world->redis, "EXISTS fw:sweeps {fw:sweeps}:owner") > 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
}

static void too_wide_a_pattern_is_refused_but_the_keys_are_purged(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "SET a x");
    fw_redis_do(world->redis, "SET us:1 x");
    fw_worker_world_start(world);
    fw_job_answer_t answer = fw_worker_world_do(world, 1, "a", NULL, "us*");
    assert_false(answer.done);
    assert_false(answer.retryable);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS us:1"), 1);
    assert_int_equal(fw_gauge_value(world->series.sweep_pending), 0);
}

static void a_sweep_removes_what_matches_and_nothing_else(void **state)
{
    enum { KEYS = 5000 };
    fw_worker_world_t *world = *state;
    write_keys(world, "user:1:", KEYS);
    write_keys(world, "user:2:", KEYS);
    write_keys(world, "page:", KEYS);
    fw_redis_do(world->redis, "CONFIG RESETSTAT");
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:1:*").done);
    fw_worker_world_await(world, world->series.sweeps_done, 1);
    await_quiet(world);
    assert_int_equal(fw_worker_world_size(world), 2 * KEYS);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS user:1:17"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS user:2:17 page:17"), 2);
    assert_true(fw_counter_value(world->series.sweep_keys_matched) >= KEYS);
    assert_int_equal(fw_gauge_value(world->series.sweep_pending), 0);
    /* In small steps, and never in one that stops Redis. */
    unsigned long long scans = command_stat(world, "scan", "calls");
    assert_int_equal(scans, fw_counter_value(world->series.sweep_scans));
    assert_true(scans >= 3 * KEYS / world->config.sweep_count / 2);
    assert_int_equal(command_stat(world, "keys", "calls"), 0);
    /* Scripts only keep the queue: they look at no keys. */
    assert_true(command_stat(world, "eval", "usec") < command_stat(world, "scan", "usec"));
}

static void patterns_of_many_jobs_share_sweeps(void **state)
{
    enum { JOBS = 100 };
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 20000);
    fw_worker_world_start(world);
    for (uint64_t i = 0; i < JOBS; i++) {
        char pattern[32];
        (void)snprintf(pattern, sizeof(pattern), "user:%llu?", (unsigned long long)i);
        fw_worker_world_send(world, i, NULL, NULL, pattern);
    }
    for (int i = 0; i < JOBS; i++) {
        assert_true(fw_worker_world_answer(world).done);
    }
    await_quiet(world);
    assert_int_equal(fw_gauge_value(world->series.sweep_pending), 0);
    assert_true(fw_counter_value(world->series.sweeps_done) < JOBS / 4);
    /* user:<i>? is every number of two or three digits, and none of one or of four. */
    assert_int_equal(fw_worker_world_size(world), 20000 - 990);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS user:7 user:1000"), 2);
}

static void redis_is_kept_busy_for_its_share_of_the_time_only(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.sweep_duty_percent = 5;
    write_keys(world, "user:", 20000);
    fw_redis_do(world->redis, "CONFIG RESETSTAT");
    fw_worker_world_start(world);
    int64_t began_us = fw_clock_us();
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    fw_worker_world_await(world, world->series.sweeps_done, 1);
    int64_t took_us = fw_clock_us() - began_us;
    await_quiet(world);
    unsigned long long busy_us =
        command_stat(world, "scan", "usec") + command_stat(world, "unlink", "usec");
    assert_int_equal(fw_worker_world_size(world), 0);
    /* By Redis' own account; a slow machine only makes the sweep take longer. */
    assert_true(busy_us > 0);
    assert_true((int64_t)busy_us * 100 <= took_us * world->config.sweep_duty_percent);
}

static void too_many_waiting_patterns_fail_the_job_for_another_worker(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.sweep_duty_percent = 1;
    world->config.sweep_count = 1;
    write_keys(world, "user:", 5000);
    fw_worker_world_start(world);
    uint64_t refused = 0;
    for (uint64_t job_id = 0; job_id < 70; job_id++) {
        char texts[FW_INVALIDATE_PATTERNS_MAX][32];
        fw_text_t patterns[FW_INVALIDATE_PATTERNS_MAX];
        for (size_t i = 0; i < FW_INVALIDATE_PATTERNS_MAX; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "user:%llu:%zu:*",
                           (unsigned long long)job_id, i);
            patterns[i] = fw_text(texts[i]);
        }
        fw_job_broker_send_job(
            world->broker, job_id,
            &(fw_invalidate_t){.patterns = patterns, .patterns_count = FW_INVALIDATE_PATTERNS_MAX});
        fw_job_answer_t answer = fw_worker_world_answer(world);
        assert_int_equal(answer.job_id, job_id);
        assert_true(answer.done || answer.retryable);
        refused += !answer.done;
    }
    assert_int_equal(refused, 70 - FW_SWEEP_QUEUE_MAX / FW_INVALIDATE_PATTERNS_MAX);
    assert_int_equal(fw_counter_value(world->series.refused[FW_REFUSED_SWEEPS]), refused);
    assert_int_equal(fw_gauge_value(world->series.sweep_pending), FW_SWEEP_QUEUE_MAX);
    fw_workers_stop(&world->workers);
    assert_int_equal(fw_gauge_value(world->series.sweep_pending), 0);
}

static void a_sweep_outlives_a_lost_connection(void **state)
{
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 20000);
    world->config.sweep_duty_percent = 2;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    fw_worker_world_await(world, world->series.sweep_scans, 5);
    fw_redis_do(world->redis, "CLIENT KILL TYPE normal SKIPME yes");
    fw_worker_world_await(world, world->series.sweeps_done, 1);
    await_quiet(world);
    assert_int_equal(fw_worker_world_size(world), 0);
    assert_true(fw_counter_value(world->series.redis_errors[FW_REDIS_LOST]) > 0);
}

static void an_accepted_pattern_outlives_the_worker_that_took_it(void **state)
{
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 20000);
    world->config.sweep_duty_percent = 1;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    fw_worker_world_await(world, world->series.sweep_scans, 2);
    fw_workers_stop(&world->workers);
    assert_int_equal(fw_redis_integer(world->redis, "ZCARD fw:sweeps"), 1);
    /* It left in order, so that nobody has to wait until its lease runs out. */
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS {fw:sweeps}:owner"), 0);
    assert_true(fw_redis_integer(world->redis, "EXISTS user:1 user:19999 user:777") > 0);
    world->config.sweep_duty_percent = 100;
    fw_worker_world_start(world);
    await_quiet(world);
    assert_int_equal(fw_worker_world_size(world), 0);
}

static void a_worker_waits_for_the_lease_of_another(void **state)
{
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 10);
    fw_redis_do(world->redis, "SET {fw:sweeps}:owner somebody PX 1500");
    int64_t began_ms = fw_clock_ms();
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    await_quiet(world);
    assert_true(fw_clock_ms() - began_ms >= 1400);
    assert_int_equal(fw_worker_world_size(world), 0);
}

static void a_pattern_that_is_asked_for_during_its_sweep_is_swept_again(void **state)
{
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 20000);
    world->config.sweep_duty_percent = 5;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    fw_worker_world_await(world, world->series.sweep_scans, 20);
    /* Behind the cursor, as far as anybody can tell. */
    write_keys(world, "user:late:", 1000);
    assert_true(fw_worker_world_do(world, 2, NULL, NULL, "user:*").done);
    await_quiet(world);
    assert_int_equal(fw_worker_world_size(world), 0);
    assert_int_equal(fw_counter_value(world->series.sweeps_done), 2);
}

static void a_full_redis_is_swept_at_once_and_the_job_comes_again(void **state)
{
    fw_worker_world_t *world = *state;
    write_keys(world, "user:", 1000);
    fw_worker_world_start(world);
    fw_redis_do(world->redis, "CONFIG SET maxmemory 1");
    fw_job_answer_t answer = fw_worker_world_do(world, 1, NULL, NULL, "user:*");
    assert_true(!answer.done && answer.retryable);
    fw_worker_world_await(world, world->series.sweeps_done, 1);
    assert_int_equal(fw_worker_world_size(world), 0);
    fw_redis_do(world->redis, "CONFIG SET maxmemory 0");
    assert_true(fw_worker_world_do(world, 2, NULL, NULL, "user:*").done);
    await_quiet(world);
}

static void a_pattern_never_removes_what_is_ours(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    fw_redis_do(world->redis, "SET fw:broker x");
    fw_redis_do(world->redis, "SET fw:c:page x");
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "fw:*").done);
    await_quiet(world);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:broker fw:epoch"), 2);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:page"), 0);
}

/* Our matcher against Redis' own, on patterns and keys of few characters so that they often match.
 */
/* The only dead letter, when it has come. */
static void await_letter(fw_worker_world_t *world, const char *has, const char *has_not)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(world->redis, "LLEN fw:dead") == 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    redisReply *letter = fw_redis_command(world->redis, "LINDEX fw:dead 0");
    assert_non_null(strstr(letter->str, has));
    assert_null(strstr(letter->str, has_not));
    freeReplyObject(letter);
    assert_int_equal(fw_redis_integer(world->redis, "LLEN fw:dead"), 1);
}

/* Makes the workers log in as a user with these rights beside those that they need anyway. */
static void log_in_as(fw_worker_world_t *world, const char *rights, char ret_url[256])
{
    const char *path = fw_redis_fixture_url(world->server) + strlen("unix://");
    (void)snprintf(ret_url, 256, "unix://sweeper:secret@%s", path);
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "ACL SETUSER sweeper on >secret +@all ~fw:* ~{fw:* ~cache:mine:* %s", rights);
    fw_redis_do(world->redis, command);
    world->config.redis_url = ret_url;
}

static void a_key_that_may_not_be_removed_becomes_a_dead_letter(void **state)
{
    fw_worker_world_t *world = *state;
    char url[256];
    log_in_as(world, "", url);
    fw_redis_do(world->redis, "MSET cache:mine:1 x cache:other:1 x cache:mine:2 x cache:mine:3 x");
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "cache:*").done);
    await_letter(world, "\"keys\":[\"cache:other:1\"]", "cache:mine");
    assert_int_equal(
        fw_redis_integer(world->redis, "EXISTS cache:mine:1 cache:mine:2 cache:mine:3"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS cache:other:1"), 1);
    assert_int_equal(fw_counter_value(world->series.sweep_keys_refused), 1);
}

static void a_sweep_that_is_not_allowed_becomes_a_dead_letter(void **state)
{
    fw_worker_world_t *world = *state;
    char url[256];
    log_in_as(world, "-scan", url);
    fw_redis_do(world->redis, "SET cache:mine:1 x");
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "cache:*").done);
    await_letter(world, "\"patterns\":[\"cache:*\"]", "cache:mine");
    assert_int_equal(fw_counter_value(world->series.sweeps_refused), 1);
}

static void patterns_match_as_redis_matches_them(void **state)
{
    enum { KEYS = 400, PATTERNS = 400 };
    static const char alphabet[] = "ab*?[]^-\\";
    fw_worker_world_t *world = *state;
    fw_random_t random = {(uint64_t)fw_clock_wall_us()};
    print_message("seed %llu\n", (unsigned long long)random.state);
    for (int i = 0; i < KEYS; i++) {
        char key[8];
        size_t size = 1 + fw_random_below(&random, 4);
        for (size_t k = 0; k < size; k++) {
            key[k] = alphabet[fw_random_below(&random, sizeof(alphabet) - 1)];
        }
        fw_redis_do(world->redis, "SET %b x", key, size);
    }
    redisReply *all = fw_redis_command(world->redis, "KEYS *");
    for (int i = 0; i < PATTERNS; i++) {
        char pattern[8];
        size_t size = 1 + fw_random_below(&random, 6);
        for (size_t k = 0; k < size; k++) {
            pattern[k] = alphabet[fw_random_below(&random, sizeof(alphabet) - 1)];
        }
        pattern[size] = 0;
        redisReply *matching = fw_redis_command(world->redis, "KEYS %b", pattern, size);
        size_t ours = 0;
        for (size_t k = 0; k < all->elements; k++) {
            const redisReply *key = all->element[k];
            ours += fw_glob_match((fw_text_t){pattern, size},
                                  (fw_bytes_t){(const uint8_t *)key->str, (size_t)key->len});
        }
        for (size_t k = 0; k < matching->elements; k++) {
            const redisReply *key = matching->element[k];
            if (!fw_glob_match((fw_text_t){pattern, size},
                               (fw_bytes_t){(const uint8_t *)key->str, (size_t)key->len})) {
                fail_msg("\"%s\" does not match \"%s\"", pattern, key->str);
            }
        }
        if (ours != matching->elements) {
            fail_msg("\"%s\" matches %zu keys instead of %zu", pattern, ours, matching->elements);
        }
        freeReplyObject(matching);
    }
    freeReplyObject(all);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(too_wide_a_pattern_is_refused_but_the_keys_are_purged),
        WORLD_TEST(a_sweep_removes_what_matches_and_nothing_else),
        WORLD_TEST(patterns_of_many_jobs_share_sweeps),
        WORLD_TEST(redis_is_kept_busy_for_its_share_of_the_time_only),
        WORLD_TEST(too_many_waiting_patterns_fail_the_job_for_another_worker),
        WORLD_TEST(a_sweep_outlives_a_lost_connection),
        WORLD_TEST(an_accepted_pattern_outlives_the_worker_that_took_it),
        WORLD_TEST(a_worker_waits_for_the_lease_of_another),
        WORLD_TEST(a_pattern_that_is_asked_for_during_its_sweep_is_swept_again),
        WORLD_TEST(a_full_redis_is_swept_at_once_and_the_job_comes_again),
        WORLD_TEST(a_pattern_never_removes_what_is_ours),
        WORLD_TEST(a_key_that_may_not_be_removed_becomes_a_dead_letter),
        WORLD_TEST(a_sweep_that_is_not_allowed_becomes_a_dead_letter),
        WORLD_TEST(patterns_match_as_redis_matches_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
