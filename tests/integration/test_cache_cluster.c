/* test_cache_cluster.c - the cache on a real Redis Cluster, and behind a Sentinel.
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
#include <string.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "cache/cluster.h"
#include "cache/slot_map.h"
#include "runtime/clock.h"
#include "tests/support/redis_cluster.h"

enum { USERS = 40, DEADLINE_MS = 30000 };

static const fw_text_t prefixes[] = {{"users:", 6}};
static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
static const fw_bytes_t value = {(const uint8_t *)"\x81\xa2id*", 5};

typedef struct {
    fw_redis_cluster_fixture_t *cluster;
    fw_cache_t *cache;
} world_t;

static fw_cache_t *make_cache(fw_cache_transport_t transport, bool cluster)
{
    fw_cache_t *cache = NULL;
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    rules.cluster = cluster;
    assert_int_equal(fw_cache_new(&rules, transport, &cache), 0);
    return cache;
}

static int setup_with(void **state, bool replica)
{
    static const fw_cache_redis_options_t options = {.timeout_ms = 2000};
    world_t *world = calloc(1, sizeof(*world));
    world->cluster = fw_redis_cluster_start(replica);
    const char *nodes = world->cluster->url + strlen("cluster://");
    world->cache = make_cache(fw_cache_cluster_transport(nodes, &options), true);
    *state = world;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, false);
}

static int setup_replicated(void **state)
{
    return setup_with(state, true);
}

static int teardown(void **state)
{
    world_t *world = *state;
    fw_cache_destroy(&world->cache);
    fw_redis_cluster_stop(&world->cluster);
    free(world);
    return 0;
}

static fw_cache_outcome_t read_tagged(fw_cache_t *cache, const char *key, const fw_text_t *its_tags)
{
    const fw_cache_request_t request = {.key = fw_text(key), .tags = its_tags, .tags_count = 2};
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(cache, &request, &read), 0);
    if (fw_cache_read_outcome(read)->status != FW_CACHE_HIT) {
        (void)fw_cache_fill(cache, read, value);
    }
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    fw_cache_end(cache, &read);
    return outcome;
}

static fw_cache_outcome_t read_once(fw_cache_t *cache, const char *key)
{
    return read_tagged(cache, key, tags);
}

static void await_hit(fw_cache_t *cache, const char *key)
{
    int64_t deadline_ms = fw_clock_ms() + DEADLINE_MS;
    while (read_once(cache, key).status != FW_CACHE_HIT) {
        if (fw_clock_ms() > deadline_ms) {
            fail_msg("%s is never served: %s", key, fw_cache_last_failure(cache));
        }
        (void)poll(NULL, 0, 20);
    }
}

static void entries_all_over_a_cluster_are_filled_served_and_purged(void **state)
{
    world_t *world = *state;
    char keys[USERS][16];
    fw_text_t names[USERS];
    for (size_t i = 0; i < USERS; i++) {
        int size = snprintf(keys[i], sizeof(keys[i]), "users:%zu", i);
        names[i] = (fw_text_t){keys[i], (size_t)size};
    }
    const fw_cache_purge_request_t requests[] = {
        {.tags = tags, .tags_count = 2},
        {.keys = names, .keys_count = 4}, /* the first of them */
        {.prefixes = prefixes, .prefixes_count = 1},
        {.everything = true},
    };
    for (size_t i = 0; i < 4; i++) {
        for (size_t user = 0; user < USERS; user++) {
            (void)read_once(world->cache, keys[user]);
            assert_int_equal(read_once(world->cache, keys[user]).status, FW_CACHE_HIT);
        }
        fw_cache_purged_t purged;
        assert_int_equal(fw_cache_invalidate(world->cache, &requests[i], &purged), 0);
        assert_int_equal(purged.keys_removed, requests[i].keys_count);
        for (size_t user = 0; user < USERS; user++) {
            bool named = requests[i].keys_count == 0 || user < requests[i].keys_count;
            assert_int_equal(read_once(world->cache, keys[user]).status,
                             named ? FW_CACHE_MISS : FW_CACHE_HIT);
        }
    }
    /* No command was refused, though each server had to be sent the scripts. */
    assert_string_equal(fw_cache_last_failure(world->cache), "");
}

static const char *stored_key(const char *key, char text[64])
{
    (void)snprintf(text, 64, "fw:c:%s", key);
    return text;
}

static void a_slot_that_has_moved_is_followed(void **state)
{
    world_t *world = *state;
    char text[64];
    (void)read_once(world->cache, "users:1");
    fw_text_t key = fw_text(stored_key("users:1", text));
    size_t from = fw_redis_cluster_owner(world->cluster, "fw:c:users:1");
    size_t to = (from + 1) % FW_CLUSTER_PRIMARIES;
    fw_redis_do(world->cluster->redis[from], "DEL fw:c:users:1");
    fw_redis_cluster_migrate(world->cluster, fw_slot_of(key), from, to);

    /* On its way: what is not at the old server any more is asked for at the new one. */
    assert_int_equal(read_once(world->cache, "users:1").status, FW_CACHE_MISS);
    assert_int_equal(read_once(world->cache, "users:1").status, FW_CACHE_HIT);
    redisReply *asking = fw_redis_command(world->cluster->redis[to], "ASKING");
    freeReplyObject(asking);
    assert_int_equal(fw_redis_integer(world->cluster->redis[to], "EXISTS fw:c:users:1"), 1);

    /* There. */
    fw_redis_cluster_assign(world->cluster, fw_slot_of(key), to);
    assert_int_equal(read_once(world->cache, "users:1").status, FW_CACHE_HIT);
    const fw_text_t name = FW_TEXT("users:1");
    const fw_cache_purge_request_t purge = {.keys = &name, .keys_count = 1};
    fw_cache_purged_t purged;
    assert_int_equal(fw_cache_invalidate(world->cache, &purge, &purged), 0);
    assert_int_equal(purged.keys_removed, 1);
    assert_int_equal(read_once(world->cache, "users:1").status, FW_CACHE_MISS);
    assert_string_equal(fw_cache_last_failure(world->cache), "");
}

static size_t server_of(const char *key)
{
    size_t server = fw_slot_of(fw_text(key)) / (FW_SLOTS / FW_CLUSTER_PRIMARIES);
    return server < FW_CLUSTER_PRIMARIES ? server : FW_CLUSTER_PRIMARIES - 1;
}

static void what_a_lost_server_holds_is_a_miss_and_the_rest_is_served(void **state)
{
    enum { GONE = 1, ORDERS = 20 };
    /* Their stamps and the epoch's are on the first server. */
    const fw_text_t near[] = {FW_TEXT("team:8"), FW_TEXT("team:9")};
    world_t *world = *state;
    char text[64], key[16];
    for (int i = 0; i < ORDERS; i++) {
        (void)snprintf(key, sizeof(key), "orders:%d", i);
        assert_true(read_tagged(world->cache, key, near).stored);
    }
    fw_redis_fixture_kill(world->cluster->servers[GONE]);
    size_t lost = 0;
    for (int i = 0; i < ORDERS; i++) {
        (void)snprintf(key, sizeof(key), "orders:%d", i);
        fw_cache_outcome_t outcome = read_tagged(world->cache, key, near);
        const fw_text_t name = fw_text(key);
        const fw_cache_purge_request_t purge = {.keys = &name, .keys_count = 1};
        fw_cache_purged_t purged;
        int result = fw_cache_invalidate(world->cache, &purge, &purged);
        if (server_of(stored_key(key, text)) == GONE) {
            assert_int_equal(outcome.status, FW_CACHE_MISS);
            assert_int_equal(outcome.reason, FW_CACHE_NO_ANSWER);
            assert_int_equal(result, -EIO);
            lost++;
        } else {
            assert_int_equal(outcome.status, FW_CACHE_HIT);
            assert_int_equal(result, 0);
        }
    }
    assert_in_range(lost, 1, ORDERS - 1);
    assert_string_not_equal(fw_cache_last_failure(world->cache), "");
}

static void the_replica_that_takes_over_is_found(void **state)
{
    world_t *world = *state;
    fw_redis_do(world->cluster->redis[0], "WAIT 1 1000");
    fw_redis_fixture_kill(world->cluster->servers[0]);
    for (int i = 0; i < USERS; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "users:%d", i);
        await_hit(world->cache, key);
    }
    const fw_cache_purge_request_t everything = {.everything = true};
    fw_cache_purged_t purged;
    assert_int_equal(fw_cache_invalidate(world->cache, &everything, &purged), 0);
    assert_int_equal(read_once(world->cache, "users:1").status, FW_CACHE_MISS);
}

static void a_cluster_that_is_not_there_is_a_miss(void **state)
{
    (void)state;
    static const fw_cache_redis_options_t options = {.timeout_ms = 500};
    static const char *const nodes[] = {"127.0.0.1:1", "", ":::", "127.0.0.1:1,[::1]:1", ",,"};
    for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
        fw_cache_t *cache = make_cache(fw_cache_cluster_transport(nodes[i], &options), true);
        fw_cache_outcome_t outcome = read_once(cache, "users:1");
        assert_int_equal(outcome.status, FW_CACHE_MISS);
        assert_int_equal(outcome.reason, FW_CACHE_NO_ANSWER);
        fw_cache_destroy(&cache);
    }
}

static void the_primary_that_a_sentinel_promotes_is_followed(void **state)
{
    (void)state;
    fw_redis_fixture_t *first = fw_redis_fixture_start();
    fw_redis_fixture_t *second = fw_redis_fixture_start();
    redisContext *replica = fw_redis_fixture_connect(second);
    fw_redis_do(replica, "REPLICAOF 127.0.0.1 %d", fw_redis_fixture_port(first));
    fw_redis_fixture_t *sentinel = fw_redis_fixture_start_sentinel(first);
    char sentinels[64];
    (void)snprintf(sentinels, sizeof(sentinels), "127.0.0.1:1,127.0.0.1:%d",
                   fw_redis_fixture_port(sentinel));
    const fw_cache_redis_options_t options = {
        .sentinels = sentinels, .primary = "main", .timeout_ms = 2000};
    fw_cache_t *cache = make_cache(fw_cache_redis_transport(&options), false);
    await_hit(cache, "users:1");
    redisContext *asked = fw_redis_fixture_connect(sentinel);
    int64_t deadline_ms = fw_clock_ms() + DEADLINE_MS;
    bool known = false;
    while (!known) { /* the Sentinel must have found the replica before it can promote it */
        redisReply *reply = fw_redis_command(asked, "INFO sentinel");
        known = strstr(reply->str, "slaves=1") != NULL;
        freeReplyObject(reply);
        assert_true(fw_clock_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    fw_redis_fixture_kill(first);
    await_hit(cache, "users:2");
    redisFree(replica); /* the Sentinel has ended it, with all others of the new primary */
    replica = fw_redis_fixture_connect(second);
    assert_int_equal(fw_redis_integer(replica, "EXISTS fw:c:users:2"), 1);
    fw_cache_destroy(&cache);

    const fw_cache_redis_options_t wrong = {.sentinels = sentinels, .primary = "other"};
    cache = make_cache(fw_cache_redis_transport(&wrong), false);
    assert_int_equal(read_once(cache, "users:1").reason, FW_CACHE_NO_ANSWER);
    assert_non_null(strstr(fw_cache_last_failure(cache), "does not know a primary other"));
    fw_cache_destroy(&cache);
    redisFree(asked);
    redisFree(replica);
    fw_redis_fixture_stop(&sentinel);
    fw_redis_fixture_stop(&second);
    fw_redis_fixture_stop(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_that_is_not_there_is_a_miss),
        cmocka_unit_test_setup_teardown(entries_all_over_a_cluster_are_filled_served_and_purged,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_that_has_moved_is_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_lost_server_holds_is_a_miss_and_the_rest_is_served,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_replica_that_takes_over_is_found, setup_replicated,
                                        teardown),
        cmocka_unit_test(the_primary_that_a_sentinel_promotes_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
