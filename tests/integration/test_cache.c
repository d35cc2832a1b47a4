/* test_cache.c - get, fill and invalidate against a real Redis.   SPDX-License-Identifier: MPL-2.0
 */
#include <errno.h>
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
#include "tests/support/redis_fixture.h"

static const fw_text_t prefixes[] = {{"users:", 6}};
static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
static const fw_bytes_t value = {(const uint8_t *)"\x81\xa2id*", 5};

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    fw_cache_t *cache;
} world_t;

static fw_cache_t *open_cache(const world_t *world, const fw_cache_rules_t *rules)
{
    const char *path = fw_redis_fixture_url(world->server) + strlen("unix://");
    const fw_cache_redis_options_t options = {.path = path};
    fw_cache_t *cache = NULL;
    assert_int_equal(fw_cache_new(rules, fw_cache_redis_transport(&options), &cache), 0);
    return cache;
}

static int setup(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    world->server = fw_redis_fixture_start();
    world->redis = fw_redis_fixture_connect(world->server);
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    world->cache = open_cache(world, &rules);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_t *world = *state;
    fw_cache_destroy(&world->cache);
    redisFree(world->redis);
    fw_redis_fixture_stop(&world->server);
    free(world);
    return 0;
}

static fw_cache_request_t request(const char *key)
{
    return (fw_cache_request_t){.key = fw_text(key), .tags = tags, .tags_count = 2};
}

/* A whole read; what was loaded is `payload`. */
static fw_cache_outcome_t read_as(fw_cache_t *cache, const fw_cache_request_t *asked,
                                  fw_bytes_t payload)
{
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(cache, asked, &read), 0);
    if (fw_cache_read_outcome(read)->status == FW_CACHE_HIT) {
        assert_true(fw_bytes_equal(fw_cache_read_outcome(read)->payload, payload));
    } else {
        (void)fw_cache_fill(cache, read, payload);
    }
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    fw_cache_end(cache, &read);
    assert_null(read);
    return outcome;
}

static fw_cache_status_t read_key(world_t *world, const char *key)
{
    fw_cache_request_t asked = request(key);
    return read_as(world->cache, &asked, value).status;
}

static void requests_that_cannot_be_asked_are_refused(void **state)
{
    world_t *world = *state;
    fw_cache_read_t *read = NULL;
    fw_cache_purged_t purged;
    fw_cache_request_t asked = request("");
    assert_int_equal(fw_cache_get(world->cache, &asked, &read), -EINVAL);
    const fw_cache_purge_request_t nothing = {0};
    assert_int_equal(fw_cache_invalidate(world->cache, &nothing, &purged), -EINVAL);
    fw_cache_end(world->cache, &read);
    const fw_cache_redis_options_t options = {0};
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.ttl_ms = 0;
    fw_cache_t *cache = NULL;
    assert_int_equal(fw_cache_new(&rules, fw_cache_redis_transport(&options), &cache), -EINVAL);
    assert_null(cache);
}

static void foreign_values_are_misses_and_break_nothing(void **state)
{
    world_t *world = *state;
    fw_redis_do(world->redis, "SET fw:c:users:1 hello");
    assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
    assert_int_equal(read_key(world, "users:1"), FW_CACHE_HIT);
    /* A list cannot be compared, so it stays; the value is loaded each time. */
    fw_redis_do(world->redis, "RPUSH fw:c:users:2 x");
    fw_cache_request_t asked = request("users:2");
    fw_cache_outcome_t outcome = read_as(world->cache, &asked, value);
    assert_int_equal(outcome.status, FW_CACHE_MISS);
    assert_int_equal(outcome.reason, FW_CACHE_NO_ANSWER);
    assert_non_null(strstr(fw_cache_last_failure(world->cache), "WRONGTYPE"));
    /* Stamps that are none are replaced. */
    fw_redis_do(world->redis, "DEL fw:t:projects fw:epoch");
    fw_redis_do(world->redis, "RPUSH fw:t:projects x");
    fw_redis_do(world->redis, "SET fw:epoch 007");
    assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
    assert_int_equal(read_key(world, "users:1"), FW_CACHE_HIT);
}

static void every_kind_of_purge_ends_what_it_names(void **state)
{
    world_t *world = *state;
    const fw_text_t key = FW_TEXT("users:1");
    const fw_cache_purge_request_t requests[] = {
        {.tags = tags, .tags_count = 1},
        {.keys = &key, .keys_count = 1},
        {.prefixes = prefixes, .prefixes_count = 1},
        {.everything = true},
    };
    for (size_t i = 0; i < 4; i++) {
        (void)read_key(world, "users:1");
        (void)read_key(world, "teams:1");
        assert_int_equal(read_key(world, "users:1"), FW_CACHE_HIT);
        fw_cache_purged_t purged;
        assert_int_equal(fw_cache_invalidate(world->cache, &requests[i], &purged), 0);
        assert_true(purged.done);
        assert_true(purged.fresh_us > UINT64_C(1700000000000000));
        assert_int_equal(purged.keys_removed, requests[i].keys_count);
        assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
        /* Neither the key nor the prefix is that of the other entry. */
        bool named = requests[i].tags_count > 0 || requests[i].everything;
        assert_int_equal(read_key(world, "teams:1"), named ? FW_CACHE_MISS : FW_CACHE_HIT);
    }
}

static void what_is_loaded_while_it_is_purged_is_not_served(void **state)
{
    world_t *world = *state;
    const fw_text_t key = FW_TEXT("users:1");
    const fw_cache_purge_request_t requests[] = {
        {.tags = tags, .tags_count = 1},
        {.keys = &key, .keys_count = 1},
        {.prefixes = prefixes, .prefixes_count = 1},
        {.everything = true},
    };
    for (size_t i = 0; i < 4; i++) {
        fw_redis_do(world->redis, "FLUSHALL");
        fw_cache_request_t asked = request("users:1");
        fw_cache_read_t *read = NULL;
        fw_cache_purged_t purged;
        assert_int_equal(fw_cache_get(world->cache, &asked, &read), 0);
        assert_int_equal(fw_cache_invalidate(world->cache, &requests[i], &purged), 0);
        bool stored = fw_cache_fill(world->cache, read, value);
        /* A key's purge takes the lease away; the others leave an entry that was born invalid. */
        assert_int_equal(stored, requests[i].keys_count == 0);
        if (!stored) {
            assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_PURGED);
        }
        fw_cache_end(world->cache, &read);
        assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
        assert_int_equal(read_key(world, "users:1"), FW_CACHE_HIT);
    }
}

static void a_token_rejects_what_is_older(void **state)
{
    world_t *world = *state;
    const fw_text_t other = FW_TEXT("elsewhere");
    const fw_cache_purge_request_t purge = {.tags = &other, .tags_count = 1};
    (void)read_key(world, "users:1");
    fw_cache_purged_t purged;
    assert_int_equal(fw_cache_invalidate(world->cache, &purge, &purged), 0);
    fw_cache_request_t asked = request("users:1");
    asked.fresh_us = purged.fresh_us;
    fw_cache_outcome_t outcome = read_as(world->cache, &asked, value);
    assert_int_equal(outcome.status, FW_CACHE_STALE_REJECTED);
    assert_true(outcome.stored);
    assert_int_equal(read_as(world->cache, &asked, value).status, FW_CACHE_HIT);
    asked.bypass = true;
    assert_int_equal(read_as(world->cache, &asked, value).status, FW_CACHE_BYPASS);
}

static void a_read_that_is_not_filled_gives_its_lease_back(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request("users:1");
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(world->cache, &asked, &read), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:users:1"), 1);
    fw_cache_end(world->cache, &read);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:users:1"), 0);
}

static void lost_scripts_are_loaded_again(void **state)
{
    world_t *world = *state;
    for (int i = 0; i < 3; i++) {
        fw_redis_do(world->redis, "SCRIPT FLUSH");
        fw_redis_do(world->redis, "FLUSHALL");
        fw_cache_request_t asked = request("users:1");
        assert_true(read_as(world->cache, &asked, value).stored);
        fw_redis_do(world->redis, "SCRIPT FLUSH");
        const fw_cache_purge_request_t purge = {.everything = true};
        fw_cache_purged_t purged;
        assert_int_equal(fw_cache_invalidate(world->cache, &purge, &purged), 0);
        assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
    }
    assert_int_equal(fw_cache_stats(world->cache).failures, 0);
}

static void times_to_live_are_kept(void **state)
{
    world_t *world = *state;
    (void)read_key(world, "users:1");
    assert_in_range(fw_redis_integer(world->redis, "PTTL fw:c:users:1"), 290000, 300000);
    assert_in_range(fw_redis_integer(world->redis, "PTTL fw:epoch"), 86000000, 86400000);
    fw_cache_request_t asked = request("users:2");
    asked.ttl_ms = 5000;
    (void)read_as(world->cache, &asked, value);
    assert_in_range(fw_redis_integer(world->redis, "PTTL fw:c:users:2"), 4000, 5000);
    asked = request("users:3");
    (void)read_as(world->cache, &asked, (fw_bytes_t){(const uint8_t *)"\xc0", 1});
    assert_in_range(fw_redis_integer(world->redis, "PTTL fw:c:users:3"), 29000, 30000);
}

static void large_values_are_compressed_and_come_back(void **state)
{
    world_t *world = *state;
    size_t size = 3 + 60000;
    uint8_t *large = malloc(size);
    memset(large, 'x', size);
    static const uint8_t head[] = {0xda, 0xea, 0x60}; /* a text of 60,000 bytes */
    memcpy(large, head, sizeof(head));
    fw_cache_request_t asked = request("users:1");
    assert_true(read_as(world->cache, &asked, (fw_bytes_t){large, size}).stored);
    assert_true(fw_redis_integer(world->redis, "STRLEN fw:c:users:1") < 2000);
    assert_int_equal(read_as(world->cache, &asked, (fw_bytes_t){large, size}).status, FW_CACHE_HIT);
    free(large);
}

static void two_caches_share_what_they_fill(void **state)
{
    world_t *world = *state;
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    /* As for a cluster: one key a command, which a single server does as well. */
    rules.cluster = true;
    fw_cache_t *other = open_cache(world, &rules);
    (void)read_key(world, "users:1");
    fw_cache_request_t asked = request("users:1");
    assert_int_equal(read_as(other, &asked, value).status, FW_CACHE_HIT);
    const fw_cache_purge_request_t purge = {.tags = tags, .tags_count = 2};
    fw_cache_purged_t purged;
    assert_int_equal(fw_cache_invalidate(other, &purge, &purged), 0);
    assert_int_equal(read_key(world, "users:1"), FW_CACHE_MISS);
    fw_cache_stats_t stats = fw_cache_stats(other);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.failures, 0);
    fw_cache_destroy(&other);
}

static void the_second_reader_waits_and_is_served(void **state)
{
    world_t *world = *state;
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    rules.wait_ms = 60;
    fw_cache_t *other = open_cache(world, &rules);
    fw_cache_request_t asked = request("users:1");
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(world->cache, &asked, &read), 0);
    fw_cache_outcome_t outcome = read_as(other, &asked, value);
    assert_int_equal(outcome.status, FW_CACHE_MISS);
    assert_int_equal(outcome.reason, FW_CACHE_BUSY);
    assert_true(fw_cache_fill(world->cache, read, value));
    assert_false(fw_cache_fill(world->cache, read, value));
    fw_cache_end(world->cache, &read);
    assert_int_equal(read_as(other, &asked, value).status, FW_CACHE_HIT);
    fw_cache_destroy(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_that_cannot_be_asked_are_refused),
        TEST(foreign_values_are_misses_and_break_nothing),
        TEST(every_kind_of_purge_ends_what_it_names),
        TEST(what_is_loaded_while_it_is_purged_is_not_served),
        TEST(a_token_rejects_what_is_older),
        TEST(a_read_that_is_not_filled_gives_its_lease_back),
        TEST(lost_scripts_are_loaded_again),
        TEST(times_to_live_are_kept),
        TEST(large_values_are_compressed_and_come_back),
        TEST(two_caches_share_what_they_fill),
        TEST(the_second_reader_waits_and_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
