/* test_workers_failover.c - what Redis forgets is purged again, or everything is invalid.
 * SPDX-License-Identifier: MPL-2.0 */
#include <poll.h>
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

static uint64_t number_at(redisContext *redis, const char *key)
{
    redisReply *reply = fw_redis_command(redis, "GET %s", key);
    uint64_t number = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return number;
}

static void do_until_done(fw_worker_world_t *world, const char *key, const char *tag)
{
    static uint64_t job_id = 1000;
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (!fw_worker_world_do(world, ++job_id, key, tag, NULL).done) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 50);
    }
}

/* Takes another Redis for the world's, which it then stops. */
static void use_server(fw_worker_world_t *world, const char *const *arguments)
{
    redisFree(world->redis);
    fw_redis_fixture_stop(&world->server);
    world->server = fw_redis_fixture_start_with(arguments);
    world->redis = fw_redis_fixture_connect(world->server);
    world->config.redis_url = fw_redis_fixture_url(world->server);
}

static void crash_and_restart(fw_worker_world_t *world)
{
    redisFree(world->redis);
    fw_redis_fixture_kill(world->server);
    fw_redis_fixture_restart(world->server);
    world->redis = fw_redis_fixture_connect(world->server);
}

/* When the newest mark was set. */
static long long marked_us(fw_worker_world_t *world)
{
    static const char script[] =
        "local newest = 0 "
        "for _, mark in ipairs(redis.call('HVALS', 'fw:lineage')) do "
        "  newest = math.max(newest, tonumber(string.match(mark, '^%d+ (%d+) ') or 0)) "
        "end "
        "return newest";
    return fw_redis_integer(world->redis, "EVAL %s 0", script);
}

/* Two marks from now: the second one knows everything that was answered until now. */
static void await_next_mark(fw_worker_world_t *world)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    for (int marks = 0; marks < 2; marks++) {
        long long before = marked_us(world);
        while (marked_us(world) == before) {
            assert_true(fw_clock_ms() < deadline_ms);
            (void)fw_job_broker_serve(world->broker, 20);
        }
    }
}

static uint64_t flushes(fw_worker_world_t *world)
{
    return fw_counter_value(world->series.lineage_flushed);
}

static void a_first_worker_trusts_nothing_and_a_second_one_trusts_the_first(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    assert_int_equal(flushes(world), 1);
    uint64_t epoch = number_at(world->redis, "fw:epoch");
    assert_true(epoch > 0);
    fw_workers_stop(&world->workers);
    fw_worker_world_start(world);
    await_next_mark(world);
    assert_int_equal(fw_redis_integer(world->redis, "HLEN fw:lineage"), 2);
    assert_int_equal(flushes(world), 1);
    assert_int_equal(number_at(world->redis, "fw:epoch"), epoch);
}

static void an_old_data_file_is_purged_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    do_until_done(world, "a", "t");
    fw_redis_do(world->redis, "SET a old");
    fw_redis_do(world->redis, "SET fw:broker %s", "0123456789abcdef0123456789abcdef clean");
    uint64_t before = number_at(world->redis, "fw:t:t");
    await_next_mark(world);
    fw_redis_do(world->redis, "SAVE");
    do_until_done(world, "a", "t");
    uint64_t lost = number_at(world->redis, "fw:t:t");
    assert_true(lost > before);
    crash_and_restart(world);
    fw_worker_world_await(world, world->series.lineage_jobs, 1);
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (number_at(world->redis, "fw:t:t") <= before ||
           fw_redis_integer(world->redis, "EXISTS a fw:broker") > 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    /* One is enough: the first worker's was the only flush. */
    assert_int_equal(flushes(world), 1);
    assert_int_equal(fw_counter_value(world->series.lineage_replayed), 1);
}

static void a_data_file_from_before_this_worker_flushes(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    fw_redis_do(world->redis, "SAVE");
    fw_worker_world_start(world);
    do_until_done(world, "a", "t");
    crash_and_restart(world);
    assert_int_equal(number_at(world->redis, "fw:epoch"), 5);
    fw_worker_world_await(world, world->series.lineage_flushed, 2);
    fw_worker_world_await_mark(world);
    assert_true(number_at(world->redis, "fw:epoch") > 5);
    assert_int_equal(fw_counter_value(world->series.lineage_replayed), 0);
}

static void a_record_that_promises_nothing_stays(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "SET fw:broker %s", "0123456789abcdef0123456789abcdef running");
    fw_worker_world_start(world);
    assert_int_equal(flushes(world), 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:broker"), 1);
}

static void a_complete_journal_flushes_nothing(void **state)
{
    fw_worker_world_t *world = *state;
    static const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    use_server(world, arguments);
    fw_worker_world_start(world);
    do_until_done(world, "a", "t");
    await_next_mark(world);
    uint64_t epoch = number_at(world->redis, "fw:epoch");
    crash_and_restart(world);
    fw_worker_world_await(world, world->series.lineage_replayed, 1);
    await_next_mark(world);
    assert_int_equal(number_at(world->redis, "fw:epoch"), epoch);
    assert_int_equal(flushes(world), 1);
}

static void a_redis_that_was_emptied_is_flushed(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    await_next_mark(world);
    fw_redis_do(world->redis, "FLUSHALL");
    fw_worker_world_await(world, world->series.lineage_flushed, 2);
    fw_worker_world_await_mark(world);
    assert_true(number_at(world->redis, "fw:epoch") > 0);
}

static void a_worker_that_is_missed_after_a_failover_flushes_once(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_do(world->redis, "HSET fw:lineage gone %s",
                "7 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    fw_worker_world_start(world);
    fw_worker_world_await(world, world->series.lineage_flushed, 1);
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(world->redis, "HEXISTS fw:lineage gone") == 1) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    await_next_mark(world);
    assert_int_equal(flushes(world), 1);
}

/* Waits for a text in an answer of the server. */
static void await_text(redisContext *redis, const char *command, const char *expected)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    for (bool good = false; !good; (void)poll(NULL, 0, 20)) {
        redisReply *reply = fw_redis_command(redis, command);
        good = strstr(reply->str, expected) != NULL;
        freeReplyObject(reply);
        assert_true(good || fw_clock_ms() < deadline_ms);
    }
}

static void a_replica_that_lacks_the_last_purges_is_purged_again(void **state)
{
    fw_worker_world_t *world = *state;
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", fw_redis_fixture_port(world->server));
    const char *const arguments[] = {"--replicaof", "127.0.0.1", port, NULL};
    fw_redis_fixture_t *replica = fw_redis_fixture_start_with(arguments);
    redisContext *promoted = fw_redis_fixture_connect(replica);
    await_text(promoted, "INFO replication", "master_link_status:up");
    fw_redis_fixture_t *sentinel = fw_redis_fixture_start_sentinel(world->server);
    redisContext *asked = fw_redis_fixture_connect(sentinel);
    await_text(asked, "INFO sentinel", "slaves=1");
    char url[128];
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%d/main",
                   fw_redis_fixture_port(sentinel));
    world->config.redis_url = url;
    fw_worker_world_start(world);
    do_until_done(world, "a", "t");
    fw_redis_do(world->redis, "SET a old");
    await_next_mark(world);
    assert_int_equal(fw_redis_integer(world->redis, "WAIT 1 5000"), 1);
    uint64_t before = number_at(world->redis, "fw:t:t");
    /* From now on the replica gets nothing more, while the worker goes on. */
    fw_redis_do(world->redis, "CONFIG SET requirepass other");
    fw_redis_do(world->redis, "CLIENT KILL TYPE replica");
    do_until_done(world, "a", "t");
    assert_int_equal(fw_redis_integer(promoted, "EXISTS a"), 1);
    fw_redis_fixture_kill(world->server);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", fw_redis_fixture_port(replica));
    await_text(asked, "INFO sentinel", address);
    redisFree(promoted);
    promoted = fw_redis_fixture_connect(replica);
    fw_worker_world_await(world, world->series.lineage_replayed, 1);
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (number_at(promoted, "fw:t:t") <= before || fw_redis_integer(promoted, "EXISTS a") > 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    assert_int_equal(flushes(world), 1);
    fw_workers_stop(&world->workers);
    redisFree(asked);
    redisFree(promoted);
    fw_redis_fixture_stop(&sentinel);
    fw_redis_fixture_stop(&replica);
}

static void a_purge_that_was_refused_holds_up_no_repair(void **state)
{
    fw_worker_world_t *world = *state;
    static const char *const arguments[] = {"--enable-debug-command", "yes", NULL};
    use_server(world, arguments);
    char url[256];
    (void)snprintf(url, sizeof(url), "unix://worker:secret@%s",
                   fw_redis_fixture_url(world->server) + strlen("unix://"));
    fw_redis_do(world->redis, "ACL SETUSER worker on >secret +@all ~fw:* ~{fw:* ~mine:*");
    world->config.redis_url = url;
    fw_worker_world_start(world);
    do_until_done(world, "mine:1", "t");
    await_next_mark(world);
    fw_job_answer_t answer = fw_worker_world_do(world, 1, "theirs:1", "t", NULL);
    assert_true(!answer.done && !answer.retryable);
    do_until_done(world, "mine:1", "t");
    /* As if a replica had taken over. */
    uint64_t replayed = fw_counter_value(world->series.lineage_replayed);
    fw_redis_do(world->redis, "DEBUG CHANGE-REPL-ID");
    fw_worker_world_await(world, world->series.lineage_replayed, replayed + 1);
    await_next_mark(world);
    await_next_mark(world);
    assert_int_equal(fw_counter_value(world->series.lineage_replayed), replayed + 1);
    assert_int_equal(flushes(world), 1);
    assert_int_equal(fw_redis_integer(world->redis, "LLEN fw:dead"), 1);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_first_worker_trusts_nothing_and_a_second_one_trusts_the_first),
        WORLD_TEST(an_old_data_file_is_purged_again),
        WORLD_TEST(a_data_file_from_before_this_worker_flushes),
        WORLD_TEST(a_record_that_promises_nothing_stays),
        WORLD_TEST(a_complete_journal_flushes_nothing),
        WORLD_TEST(a_redis_that_was_emptied_is_flushed),
        WORLD_TEST(a_worker_that_is_missed_after_a_failover_flushes_once),
        WORLD_TEST(a_replica_that_lacks_the_last_purges_is_purged_again),
        WORLD_TEST(a_purge_that_was_refused_holds_up_no_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
