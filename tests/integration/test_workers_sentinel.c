/* test_workers_sentinel.c - the primary is where the Sentinels say; several Redis are all purged.
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

static fw_job_answer_t do_until_done(fw_worker_world_t *world, const char *key, const char *tag)
{
    static uint64_t job_id = 1000;
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    for (;;) {
        fw_job_answer_t answer = fw_worker_world_do(world, ++job_id, key, tag, NULL);
        if (answer.done) {
            return answer;
        }
        assert_true(answer.retryable);
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 50);
    }
}

/* Waits for a text in what the server says about replication, or a Sentinel about its masters. */
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

static void sentinels_that_are_not_there_are_asked_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_fixture_t *sentinel = fw_redis_fixture_start_sentinel(world->server);
    fw_redis_fixture_kill(sentinel);
    char url[128];
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:1,127.0.0.1:%d/main",
                   fw_redis_fixture_port(sentinel));
    world->config.redis_url = url;
    assert_int_equal(
        fw_workers_start(&world->config, world->metrics, world->health, &world->workers), 0);
    fw_worker_world_await(world, world->series.redis_errors[FW_REDIS_LOST], 2);
    assert_int_equal(fw_job_broker_hellos(world->broker), 0);
    fw_redis_fixture_restart(sentinel);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    assert_true(fw_worker_world_do(world, 1, "a", "t", NULL).done);
    fw_workers_stop(&world->workers);
    fw_redis_fixture_stop(&sentinel);
}

/* It is looked at now and then. */
static void await_unready(fw_worker_world_t *world)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_health_ready(world->health, fw_clock_ms())) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 5);
    }
}

static void a_name_that_sentinels_do_not_know_purges_nothing(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_fixture_t *sentinel = fw_redis_fixture_start_sentinel(world->server);
    char url[128];
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%d/other",
                   fw_redis_fixture_port(sentinel));
    world->config.redis_url = url;
    assert_int_equal(
        fw_workers_start(&world->config, world->metrics, world->health, &world->workers), 0);
    assert_false(fw_job_broker_wait_hello(world->broker, 1500));
    await_unready(world);
    fw_workers_stop(&world->workers);
    fw_redis_fixture_stop(&sentinel);
}

static void the_server_that_sentinels_promote_is_followed(void **state)
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
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%d/main/0",
                   fw_redis_fixture_port(sentinel));
    world->config.redis_url = url;
    fw_worker_world_start(world);
    fw_redis_do(world->redis, "SET a x");
    assert_int_equal((do_until_done(world, "a", "t")).keys_removed, 1);
    fw_redis_fixture_kill(world->server);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", fw_redis_fixture_port(replica));
    await_text(asked, "INFO sentinel", address);
    redisFree(promoted); /* A Sentinel closes the connections of a server that it promotes. */
    promoted = fw_redis_fixture_connect(replica);
    fw_redis_do(promoted, "SET a x");
    (void)do_until_done(world, "a", "t");
    assert_int_equal(fw_redis_integer(promoted, "EXISTS a"), 0);
    fw_workers_stop(&world->workers);
    redisFree(asked);
    redisFree(promoted);
    fw_redis_fixture_stop(&sentinel);
    fw_redis_fixture_stop(&replica);
}

/* Starts a server with a replica, and a Sentinel that has promoted the replica: its configuration
 * is newer than that of a Sentinel that has seen no failover. */
typedef struct {
    fw_redis_fixture_t *old, *promoted, *sentinel;
} failed_over_t;

static failed_over_t fail_over(void)
{
    failed_over_t self = {.old = fw_redis_fixture_start()};
    char text[32];
    (void)snprintf(text, sizeof(text), "%d", fw_redis_fixture_port(self.old));
    const char *const arguments[] = {"--replicaof", "127.0.0.1", text, NULL};
    self.promoted = fw_redis_fixture_start_with(arguments);
    redisContext *replica = fw_redis_fixture_connect(self.promoted);
    await_text(replica, "INFO replication", "master_link_status:up");
    redisFree(replica);
    self.sentinel = fw_redis_fixture_start_sentinel(self.old);
    redisContext *asked = fw_redis_fixture_connect(self.sentinel);
    await_text(asked, "INFO sentinel", "slaves=1");
    fw_redis_fixture_kill(self.old);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%d", fw_redis_fixture_port(self.promoted));
    await_text(asked, "INFO sentinel", text);
    redisFree(asked);
    return self;
}

static void sentinels_that_disagree_are_judged_by_their_configuration(void **state)
{
    fw_worker_world_t *world = *state;
    failed_over_t other = fail_over();
    fw_redis_fixture_t *behind = fw_redis_fixture_start_sentinel(world->server);
    redisContext *promoted = fw_redis_fixture_connect(other.promoted);
    char url[128];
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%d,127.0.0.1:%d/main",
                   fw_redis_fixture_port(behind), fw_redis_fixture_port(other.sentinel));
    world->config.redis_url = url;
    fw_worker_world_start(world);
    /* The one that is behind may have been the first to answer: a while later it does not count. */
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    do {
        assert_true(fw_clock_ms() < deadline_ms);
        fw_redis_do(promoted, "SET a x");
        (void)do_until_done(world, "a", "t");
    } while (fw_redis_integer(promoted, "EXISTS a") > 0);
    fw_redis_do(world->redis, "SET a x");
    (void)do_until_done(world, "a", "t");
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 1);
    /* When only that one is left it is believed, rather than nobody. */
    fw_redis_fixture_kill(other.sentinel);
    deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(world->redis, "EXISTS a") > 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)do_until_done(world, "a", "t");
        (void)fw_job_broker_serve(world->broker, 50);
    }
    fw_workers_stop(&world->workers);
    redisFree(promoted);
    fw_redis_fixture_stop(&behind);
    fw_redis_fixture_stop(&other.sentinel);
    fw_redis_fixture_stop(&other.promoted);
    fw_redis_fixture_stop(&other.old);
}

static void every_redis_is_purged_before_a_job_is_done(void **state)
{
    fw_worker_world_t *world = *state;
    fw_redis_fixture_t *second = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(second);
    char url[256];
    (void)snprintf(url, sizeof(url), "%s %s", fw_redis_fixture_url(world->server),
                   fw_redis_fixture_url(second));
    world->config.redis_url = url;
    fw_redis_do(world->redis, "SET a x");
    fw_redis_do(redis, "SET a x");
    fw_redis_do(redis, "SET fw:t:t 99");
    fw_worker_world_start(world);
    fw_job_answer_t answer = do_until_done(world, "a", "t");
    assert_int_equal(answer.stamps_count, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    assert_int_equal(fw_redis_integer(redis, "EXISTS a"), 0);
    redisReply *stamp = fw_redis_command(redis, "GET fw:t:t");
    assert_true(strtoull(stamp->str, NULL, 10) >= answer.stamps[0]);
    freeReplyObject(stamp);
    /* One that stands still keeps the job from being done; the other one is purged nevertheless. */
    fw_redis_do(world->redis, "SET a x");
    fw_redis_fixture_pause(second);
    answer = fw_worker_world_do(world, 1, "a", NULL, NULL);
    assert_true(!answer.done && answer.retryable);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS a"), 0);
    await_unready(world);
    fw_redis_fixture_resume(second);
    (void)do_until_done(world, "a", NULL);
    fw_workers_stop(&world->workers);
    redisFree(redis);
    fw_redis_fixture_stop(&second);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(sentinels_that_are_not_there_are_asked_again),
        WORLD_TEST(a_name_that_sentinels_do_not_know_purges_nothing),
        WORLD_TEST(the_server_that_sentinels_promote_is_followed),
        WORLD_TEST(sentinels_that_disagree_are_judged_by_their_configuration),
        WORLD_TEST(every_redis_is_purged_before_a_job_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
