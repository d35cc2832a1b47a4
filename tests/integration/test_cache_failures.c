/* test_cache_failures.c - a Redis that is away, hangs or refuses never breaks a caller.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "cache/redis.h"
#include "runtime/clock.h"
#include "tests/support/redis_fixture.h"

enum { DEADLINE_MS = 10000, TIMEOUT_MS = 100 };

static const fw_bytes_t value = {(const uint8_t *)"*", 1};

typedef struct {
    fw_redis_fixture_t *server;
    fw_cache_t *cache;
} world_t;

static fw_cache_t *open_cache(const fw_cache_redis_options_t *options)
{
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    fw_cache_t *cache = NULL;
    assert_int_equal(fw_cache_new(&rules, fw_cache_redis_transport(options), &cache), 0);
    return cache;
}

static int setup(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    world->server = fw_redis_fixture_start();
    const char *path = fw_redis_fixture_url(world->server) + strlen("unix://");
    const fw_cache_redis_options_t options = {.path = path, .timeout_ms = TIMEOUT_MS};
    world->cache = open_cache(&options);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_t *world = *state;
    fw_cache_destroy(&world->cache);
    fw_redis_fixture_stop(&world->server);
    free(world);
    return 0;
}

static fw_cache_outcome_t read_once(fw_cache_t *cache)
{
    const fw_cache_request_t request = {.key = FW_TEXT("k")};
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(cache, &request, &read), 0);
    (void)fw_cache_fill(cache, read, value);
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    fw_cache_end(cache, &read);
    return outcome;
}

static int purge_once(fw_cache_t *cache, fw_cache_purged_t *ret_purged)
{
    const fw_cache_purge_request_t purge = {.everything = true};
    return fw_cache_invalidate(cache, &purge, ret_purged);
}

static void until_it_is_served(fw_cache_t *cache)
{
    int64_t deadline_ms = fw_clock_ms() + DEADLINE_MS;
    while (read_once(cache).status != FW_CACHE_HIT) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
}

static void an_address_that_does_not_answer_is_a_miss(void **state)
{
    (void)state;
    const fw_cache_redis_options_t options[] = {
        {.path = "/nonexistent/redis.sock"},
        {.host = "127.0.0.1", .port = 1},
        {.host = "name.invalid"},
    };
    for (size_t i = 0; i < 3; i++) {
        fw_cache_t *cache = open_cache(&options[i]);
        fw_cache_outcome_t outcome = read_once(cache);
        assert_int_equal(outcome.status, FW_CACHE_MISS);
        assert_int_equal(outcome.reason, FW_CACHE_NO_ANSWER);
        assert_false(outcome.stored);
        fw_cache_purged_t purged;
        assert_int_equal(purge_once(cache, &purged), -EIO);
        assert_false(purged.done);
        assert_true(strlen(purged.failure) > 0);
        fw_cache_destroy(&cache);
    }
}

/* Also: writing to a connection that the server has closed raises a signal that ends processes. */
static void a_server_that_dies_is_a_miss_and_is_used_again(void **state)
{
    world_t *world = *state;
    until_it_is_served(world->cache);
    fw_redis_fixture_kill(world->server);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read_once(world->cache).reason, FW_CACHE_NO_ANSWER);
    }
    fw_redis_fixture_restart(world->server);
    until_it_is_served(world->cache);
}

static void a_connection_that_was_closed_while_idle_is_not_noticed(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    until_it_is_served(world->cache);
    uint64_t failures = fw_cache_stats(world->cache).failures;
    for (int i = 0; i < 3; i++) {
        fw_redis_do(redis, "CLIENT KILL TYPE normal SKIPME yes");
        assert_int_equal(read_once(world->cache).status, FW_CACHE_HIT);
        fw_redis_do(redis, "CLIENT KILL TYPE normal SKIPME yes");
        fw_cache_purged_t purged;
        assert_int_equal(purge_once(world->cache, &purged), 0);
        assert_true(read_once(world->cache).stored);
    }
    assert_int_equal(fw_cache_stats(world->cache).failures, failures);
    redisFree(redis);
}

static void a_server_that_hangs_costs_three_timeouts_and_no_more(void **state)
{
    world_t *world = *state;
    until_it_is_served(world->cache);
    fw_redis_fixture_pause(world->server);
    int64_t began_ms = fw_clock_ms();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_once(world->cache).status, FW_CACHE_MISS);
    }
    assert_true(fw_clock_ms() - began_ms >= INT64_C(3) * TIMEOUT_MS);
    began_ms = fw_clock_ms();
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(read_once(world->cache).reason, FW_CACHE_NO_ANSWER);
    }
    /* One may have been the one that tries again after the rest. */
    assert_true(fw_clock_ms() - began_ms < FW_CACHE_REDIS_REST_MS);
    fw_redis_fixture_resume(world->server);
    until_it_is_served(world->cache);
}

static void replies_that_come_too_late_are_nobodys(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    until_it_is_served(world->cache);
    fw_redis_do(redis, "CLIENT PAUSE 150 ALL");
    assert_int_equal(read_once(world->cache).reason, FW_CACHE_NO_ANSWER);
    /* The answer to that read must not become the answer to this purge. */
    fw_cache_purged_t purged;
    int64_t deadline_ms = fw_clock_ms() + DEADLINE_MS;
    while (purge_once(world->cache, &purged) != 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    assert_true(purged.fresh_us > UINT64_C(1700000000000000));
    until_it_is_served(world->cache);
    redisFree(redis);
}

static void a_replica_is_not_used(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    until_it_is_served(world->cache);
    /* What was a primary becomes a replica: a purge that is refused drops the connection, and the
     * next one finds out. What the replica holds is not served. */
    fw_redis_do(redis, "REPLICAOF 127.0.0.1 1");
    fw_cache_purged_t purged;
    assert_int_equal(purge_once(world->cache, &purged), -EIO);
    assert_non_null(strstr(purged.failure, "READONLY"));
    assert_int_equal(read_once(world->cache).status, FW_CACHE_MISS);
    assert_non_null(strstr(fw_cache_last_failure(world->cache), "replica"));
    fw_redis_do(redis, "REPLICAOF NO ONE");
    until_it_is_served(world->cache);
    redisFree(redis);
}

/* Nobody writes, so nothing would be refused: the server is asked what it is, once a second. */
static void what_has_become_a_replica_stops_being_read_from(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    until_it_is_served(world->cache);
    fw_redis_do(redis, "REPLICAOF 127.0.0.1 1");
    int64_t deadline_ms = fw_clock_ms() + DEADLINE_MS;
    while (read_once(world->cache).status == FW_CACHE_HIT) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    assert_non_null(strstr(fw_cache_last_failure(world->cache), "replica"));
    redisFree(redis);
}

static void a_full_server_is_a_miss_and_can_still_be_purged(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    until_it_is_served(world->cache);
    fw_redis_do(redis, "CONFIG SET maxmemory 1");
    assert_int_equal(read_once(world->cache).status, FW_CACHE_HIT);
    fw_cache_purged_t purged;
    assert_int_equal(purge_once(world->cache, &purged), 0);
    fw_cache_outcome_t outcome = read_once(world->cache);
    assert_int_equal(outcome.status, FW_CACHE_MISS);
    assert_false(outcome.stored);
    fw_redis_do(redis, "CONFIG SET maxmemory 0");
    until_it_is_served(world->cache);
    redisFree(redis);
}

static void passwords_and_databases_are_used(void **state)
{
    world_t *world = *state;
    redisContext *redis = fw_redis_fixture_connect(world->server);
    fw_redis_do(redis, "ACL SETUSER shop on >secret ~* +@all");
    fw_redis_do(redis, "CONFIG SET requirepass main");
    const char *path = fw_redis_fixture_url(world->server) + strlen("unix://");
    const fw_cache_redis_options_t wrong[] = {
        {.path = path}, {.path = path, .password = "guess"}, {.path = path, .user = "shop"}};
    for (size_t i = 0; i < 3; i++) {
        fw_cache_t *cache = open_cache(&wrong[i]);
        assert_int_equal(read_once(cache).reason, FW_CACHE_NO_ANSWER);
        fw_cache_destroy(&cache);
    }
    const fw_cache_redis_options_t right[] = {
        {.path = path, .password = "main", .database = 3},
        {.path = path, .user = "shop", .password = "secret", .database = 4}};
    for (size_t i = 0; i < 2; i++) {
        fw_cache_t *cache = open_cache(&right[i]);
        assert_true(read_once(cache).stored);
        assert_int_equal(read_once(cache).status, FW_CACHE_HIT);
        fw_cache_destroy(&cache);
    }
    fw_redis_do(redis, "SELECT 3");
    assert_int_equal(fw_redis_integer(redis, "EXISTS fw:c:k"), 1);
    fw_redis_do(redis, "SELECT 0");
    assert_int_equal(fw_redis_integer(redis, "EXISTS fw:c:k"), 0);
    redisFree(redis);
}

static redisContext *connect_by_hand(void *context)
{
    const world_t *world = context;
    return redisConnectUnix(fw_redis_fixture_url(world->server) + strlen("unix://"));
}

static redisContext *connect_in_vain(void *context)
{
    (void)context;
    return NULL;
}

static void a_connection_can_be_made_by_the_caller(void **state)
{
    const fw_cache_redis_options_t vain = {.connect = connect_in_vain};
    fw_cache_t *cache = open_cache(&vain);
    assert_int_equal(read_once(cache).reason, FW_CACHE_NO_ANSWER);
    fw_cache_destroy(&cache);
    const fw_cache_redis_options_t options = {.connect = connect_by_hand,
                                              .connect_context = *state};
    cache = open_cache(&options);
    until_it_is_served(cache);
    fw_cache_destroy(&cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_that_does_not_answer_is_a_miss),
        TEST(a_server_that_dies_is_a_miss_and_is_used_again),
        TEST(a_connection_that_was_closed_while_idle_is_not_noticed),
        TEST(a_server_that_hangs_costs_three_timeouts_and_no_more),
        TEST(replies_that_come_too_late_are_nobodys),
        TEST(a_replica_is_not_used),
        TEST(what_has_become_a_replica_stops_being_read_from),
        TEST(a_full_server_is_a_miss_and_can_still_be_purged),
        TEST(passwords_and_databases_are_used),
        TEST(a_connection_can_be_made_by_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
