/* test_cache_cluster.c - the same machines on a real Redis Cluster.   SPDX-License-Identifier:
 * MPL-2.0 Each command goes where its route says, and nowhere else: a command whose keys are in two
 * slots, or in another one than its route, would be refused. */
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
#include "tests/support/redis_cluster.h"

enum { COMMANDS_MAX = 16, USERS = 40 };

static const fw_text_t prefixes[] = {{"users:", 6}};
static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
static const fw_bytes_t value = {(const uint8_t *)"\x81\xa2id*", 5};

typedef struct {
    fw_redis_cluster_fixture_t *cluster;
    fw_cache_transport_t servers[FW_CLUSTER_PRIMARIES];
    size_t instead[FW_CLUSTER_PRIMARIES]; /* which server is asked for what this one holds */
    size_t asked[FW_CLUSTER_PRIMARIES];   /* commands that went there */
    fw_cache_t *cache;
} world_t;

/* Which server holds the key's slot: the one that does not send us on. */
static size_t owner_of(const world_t *world, const char *key)
{
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        redisReply *reply = redisCommand(world->cluster->redis[i], "EXISTS %s", key);
        bool owns = reply && reply->type == REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
        if (owns) {
            return i;
        }
    }
    fail_msg("nobody holds %s", key);
    return 0;
}

/* A server keeps its replies until it is asked again, so each is asked once a round trip. */
static int exchange(void *context, const fw_cache_command_t *commands, size_t count,
                    fw_cache_reply_t *ret_replies, const char **ret_reason)
{
    world_t *world = context;
    size_t owners[COMMANDS_MAX];
    assert_in_range(count, 1, COMMANDS_MAX);
    for (size_t i = 0; i < count; i++) {
        owners[i] = world->instead[owner_of(world, commands[i].route.text)];
    }
    for (size_t server = 0; server < FW_CLUSTER_PRIMARIES; server++) {
        fw_cache_command_t mine[COMMANDS_MAX];
        fw_cache_reply_t replies[COMMANDS_MAX];
        size_t mine_count = 0;
        for (size_t i = 0; i < count; i++) {
            if (owners[i] == server) {
                mine[mine_count++] = commands[i];
            }
        }
        if (mine_count == 0) {
            continue;
        }
        fw_cache_transport_t *transport = &world->servers[server];
        world->asked[server] += mine_count;
        int result = transport->exchange(transport->context, mine, mine_count, replies, ret_reason);
        if (result < 0) {
            return result;
        }
        for (size_t i = 0, at = 0; i < count; i++) {
            if (owners[i] == server) {
                ret_replies[i] = replies[at++];
            }
        }
    }
    return 0;
}

static void destroy(void *context)
{
    world_t *world = context;
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        world->servers[i].destroy(world->servers[i].context);
    }
}

static int setup(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    world->cluster = fw_redis_cluster_start(false);
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        const char *url = fw_redis_fixture_url(world->cluster->servers[i]);
        const fw_cache_redis_options_t options = {.path = url + strlen("unix://"),
                                                  .timeout_ms = 10000};
        world->servers[i] = fw_cache_redis_transport(&options);
        world->instead[i] = i;
    }
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    rules.cluster = true;
    const fw_cache_transport_t transport = {world, exchange, destroy};
    assert_int_equal(fw_cache_new(&rules, transport, &world->cache), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_t *world = *state;
    fw_cache_destroy(&world->cache);
    fw_redis_cluster_stop(&world->cluster);
    free(world);
    return 0;
}

static fw_cache_outcome_t read_once(world_t *world, const char *key)
{
    const fw_cache_request_t request = {.key = fw_text(key), .tags = tags, .tags_count = 2};
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_get(world->cache, &request, &read), 0);
    if (fw_cache_read_outcome(read)->status != FW_CACHE_HIT) {
        (void)fw_cache_fill(world->cache, read, value);
    }
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    fw_cache_end(world->cache, &read);
    return outcome;
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
            (void)read_once(world, keys[user]);
            assert_int_equal(read_once(world, keys[user]).status, FW_CACHE_HIT);
        }
        fw_cache_purged_t purged;
        assert_int_equal(fw_cache_invalidate(world->cache, &requests[i], &purged), 0);
        assert_int_equal(purged.keys_removed, requests[i].keys_count);
        for (size_t user = 0; user < USERS; user++) {
            bool named = requests[i].keys_count == 0 || user < requests[i].keys_count;
            assert_int_equal(read_once(world, keys[user]).status,
                             named ? FW_CACHE_MISS : FW_CACHE_HIT);
        }
    }
    /* No command was refused, though each server had to be sent the scripts. */
    assert_string_equal(fw_cache_last_failure(world->cache), "");
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        assert_true(world->asked[i] > 0);
    }
}

static void a_server_that_has_lost_the_slot_is_a_miss(void **state)
{
    world_t *world = *state;
    (void)read_once(world, "users:1");
    assert_int_equal(read_once(world, "users:1").status, FW_CACHE_HIT);
    /* Whoever routes by an old map is told so, and stores nothing. */
    size_t owner = owner_of(world, "fw:c:users:1");
    world->instead[owner] = (owner + 1) % FW_CLUSTER_PRIMARIES;
    fw_cache_outcome_t outcome = read_once(world, "users:1");
    assert_int_equal(outcome.status, FW_CACHE_MISS);
    assert_int_equal(outcome.reason, FW_CACHE_NO_ANSWER);
    assert_non_null(strstr(fw_cache_last_failure(world->cache), "MOVED"));
    const fw_text_t key = FW_TEXT("users:1");
    const fw_cache_purge_request_t purge = {.keys = &key, .keys_count = 1};
    fw_cache_purged_t purged;
    assert_int_equal(fw_cache_invalidate(world->cache, &purge, &purged), -EIO);
    world->instead[owner] = owner;
    assert_int_equal(read_once(world, "users:1").status, FW_CACHE_HIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_all_over_a_cluster_are_filled_served_and_purged,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_has_lost_the_slot_is_a_miss, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
