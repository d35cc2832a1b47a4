/* test_cache_soak.c - threads that read, write and purge at once on a real Redis that misbehaves.
 * SPDX-License-Identifier: MPL-2.0 The "database" is one number for each object, which only grows;
 * a read that is served less than what was purged before it began is stale. FRESHWIRE_SOAK_MS sets
 * how long it takes. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "cache/redis.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "tests/support/redis_fixture.h"

enum { READERS = 4, OBJECTS = 5, PAYLOAD_SIZE = 9, SOAK_MS = 1500, PURGE_KINDS = 4, CROWD = 24 };

static const fw_text_t prefixes[] = {{"users:", 6}};

typedef struct {
    fw_redis_fixture_t *server;
    uint64_t seed;
    atomic_bool ended;
    atomic_uint_fast64_t committed[OBJECTS];
    atomic_uint_fast64_t purged[OBJECTS]; /* what a read that begins now must reach */
    atomic_uint_fast64_t reads, hits, stale, impossible, unpurged;
} world_t;

static fw_cache_t *open_cache(const world_t *world)
{
    const fw_cache_redis_options_t options = {
        .path = fw_redis_fixture_url(world->server) + strlen("unix://"), .timeout_ms = 5000};
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    fw_cache_t *cache = NULL;
    if (fw_cache_new(&rules, fw_cache_redis_transport(&options), &cache) != 0) {
        abort();
    }
    return cache;
}

static fw_text_t name_of(const char *prefix, size_t object, char buffer[16])
{
    int size = snprintf(buffer, 16, "%s%zu", prefix, object);
    return (fw_text_t){buffer, (size_t)size};
}

static uint64_t version_of(fw_bytes_t payload)
{
    uint64_t version = 0;
    for (size_t i = 1; i < payload.size; i++) {
        version = version << 8 | payload.data[i];
    }
    return version;
}

static void read_once(world_t *world, fw_cache_t *cache, fw_random_t *random)
{
    char key[16];
    char tag[16];
    size_t object = fw_random_below(random, OBJECTS);
    const fw_text_t tags[] = {name_of("o", object, tag), FW_TEXT("all")};
    const fw_cache_request_t request = {
        .key = name_of("users:", object, key), .tags = tags, .tags_count = 2};
    uint64_t floor = atomic_load(&world->purged[object]);
    fw_cache_read_t *read = NULL;
    if (fw_cache_get(cache, &request, &read) != 0) {
        abort();
    }
    atomic_fetch_add(&world->reads, 1);
    if (fw_cache_read_outcome(read)->status == FW_CACHE_HIT) {
        uint64_t version = version_of(fw_cache_read_outcome(read)->payload);
        atomic_fetch_add(&world->hits, 1);
        atomic_fetch_add(&world->stale, version < floor);
        atomic_fetch_add(&world->impossible, version > atomic_load(&world->committed[object]));
    } else {
        uint64_t version = atomic_load(&world->committed[object]);
        (void)poll(NULL, 0, (int)fw_random_below(random, 3)); /* the rest of the load */
        uint8_t payload[PAYLOAD_SIZE] = {0xcf};
        for (size_t i = 0; i < 8; i++) {
            payload[1 + i] = (uint8_t)(version >> (56 - 8 * i));
        }
        (void)fw_cache_fill(cache, read, (fw_bytes_t){payload, sizeof(payload)});
    }
    fw_cache_end(cache, &read);
}

static void *read_on(void *argument)
{
    world_t *world = argument;
    fw_random_t random = {world->seed + (uint64_t)(uintptr_t)&random};
    fw_cache_t *cache = open_cache(world);
    while (!atomic_load(&world->ended)) {
        read_once(world, cache, &random);
    }
    fw_cache_destroy(&cache);
    return NULL;
}

static void purge(world_t *world, fw_cache_t *cache, size_t object, uint64_t kind)
{
    char key[16];
    char tag[16];
    const fw_text_t tags[] = {name_of("o", object, tag)};
    const fw_text_t keys[] = {name_of("users:", object, key)};
    const fw_cache_purge_request_t requests[PURGE_KINDS] = {
        {.tags = tags, .tags_count = 1},
        {.keys = keys, .keys_count = 1},
        {.prefixes = prefixes, .prefixes_count = 1},
        {.everything = true},
    };
    fw_cache_purged_t purged;
    /* As a worker does: until it is done. */
    while (fw_cache_invalidate(cache, &requests[kind], &purged) != 0) {
        atomic_fetch_add(&world->unpurged, 1);
        if (atomic_load(&world->ended)) {
            return;
        }
        (void)poll(NULL, 0, 5);
    }
}

static void *write_on(void *argument)
{
    world_t *world = argument;
    fw_random_t random = {world->seed};
    fw_cache_t *cache = open_cache(world);
    while (!atomic_load(&world->ended)) {
        size_t object = fw_random_below(&random, OBJECTS);
        uint64_t version = atomic_fetch_add(&world->committed[object], 1) + 1;
        uint64_t kind = fw_random_below(&random, 10);
        purge(world, cache, object, kind < 5 ? 0 : kind < 8 ? 1 : kind == 8 ? 2 : 3);
        if (!atomic_load(&world->ended)) {
            atomic_store(&world->purged[object], version);
        }
        (void)poll(NULL, 0, (int)fw_random_below(&random, 4));
    }
    fw_cache_destroy(&cache);
    return NULL;
}

/* What operators and machines do to a Redis. */
static void disturb(redisContext *redis, fw_random_t *random)
{
    static const char *const victims[] = {"fw:epoch", "fw:t:o1", "fw:t:users:*", "fw:c:users:2"};
    switch (fw_random_below(random, 4)) {
    case 0:
        fw_redis_do(redis, "SCRIPT FLUSH");
        break;
    case 1:
        fw_redis_do(redis, "CLIENT KILL TYPE normal SKIPME yes");
        break;
    case 2:
        fw_redis_do(redis, "UNLINK %s", victims[fw_random_below(random, 4)]);
        break;
    default:
        fw_redis_do(redis, "CLIENT PAUSE 20 ALL");
        break;
    }
}

static void *read_what_all_want(void *argument)
{
    world_t *world = argument;
    const fw_cache_request_t request = {.key = FW_TEXT("users:popular")};
    fw_cache_t *cache = open_cache(world);
    fw_cache_read_t *read = NULL;
    if (fw_cache_get(cache, &request, &read) != 0) {
        abort();
    }
    if (fw_cache_read_outcome(read)->status == FW_CACHE_HIT) {
        atomic_fetch_add(&world->hits, 1);
    } else {
        static const uint8_t payload[] = {0xc3};
        atomic_fetch_add(&world->reads, 1);
        (void)poll(NULL, 0, 100); /* a load that takes its time */
        (void)fw_cache_fill(cache, read, (fw_bytes_t){payload, sizeof(payload)});
    }
    fw_cache_end(cache, &read);
    fw_cache_destroy(&cache);
    return NULL;
}

static void one_load_serves_everybody_who_waits(void **state)
{
    (void)state;
    static world_t world;
    pthread_t threads[CROWD];
    world.server = fw_redis_fixture_start();
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_what_all_want, &world), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(world.reads, 1);
    assert_int_equal(world.hits, CROWD - 1);
    fw_redis_fixture_stop(&world.server);
}

static void nothing_stale_is_served_by_a_real_redis(void **state)
{
    (void)state;
    const char *soak = getenv("FRESHWIRE_SOAK_MS");
    int64_t end_ms = fw_clock_ms() + (soak ? strtoll(soak, NULL, 10) : SOAK_MS);
    static world_t world;
    world.seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)world.seed);
    world.server = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(world.server);
    pthread_t threads[READERS + 1];
    for (size_t i = 0; i <= READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i ? read_on : write_on, &world), 0);
    }
    fw_random_t random = {world.seed + 1};
    while (fw_clock_ms() < end_ms) {
        (void)poll(NULL, 0, (int)fw_random_below(&random, 40));
        disturb(redis, &random);
    }
    atomic_store(&world.ended, true);
    for (size_t i = 0; i <= READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint64_t commits = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        commits += atomic_load(&world.committed[i]);
    }
    print_message("%llu reads, %llu hits, %llu commits, %llu purges tried again\n",
                  (unsigned long long)world.reads, (unsigned long long)world.hits,
                  (unsigned long long)commits, (unsigned long long)world.unpurged);
    assert_int_equal(world.stale, 0);
    assert_int_equal(world.impossible, 0);
    assert_true(commits > 20);
    assert_true(5 * world.hits > world.reads);
    redisFree(redis);
    fw_redis_fixture_stop(&world.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_load_serves_everybody_who_waits),
        cmocka_unit_test(nothing_stale_is_served_by_a_real_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
