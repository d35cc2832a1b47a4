/* test_workers_cluster.c - a Redis Cluster is purged, whatever its servers say.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/slot_map.h"
#include "runtime/clock.h"
#include "tests/support/redis_cluster.h"
#include "tests/support/worker_world.h"

enum { KEYS = 60 };

static fw_redis_cluster_fixture_t *cluster;

static int setup(void **state)
{
    cluster = fw_redis_cluster_start(false);
    (void)fw_worker_world_setup(state);
    fw_worker_world_t *world = *state;
    world->config.redis_url = cluster->url;
    return 0;
}

static int teardown(void **state)
{
    (void)fw_worker_world_teardown(state);
    fw_redis_cluster_stop(&cluster);
    return 0;
}

static int setup_with_replica(void **state)
{
    cluster = fw_redis_cluster_start(true);
    (void)fw_worker_world_setup(state);
    fw_worker_world_t *world = *state;
    world->config.redis_url = cluster->url;
    return 0;
}

/* A key that the server holds. */
static void key_at(size_t server, const char *prefix, char ret_key[64])
{
    for (int i = 0;; i++) {
        (void)snprintf(ret_key, 64, "%s:%d", prefix, i);
        size_t owner = fw_slot_of(fw_text(ret_key)) / (size_t)(FW_SLOTS / FW_CLUSTER_PRIMARIES);
        if ((owner < FW_CLUSTER_PRIMARIES ? owner : FW_CLUSTER_PRIMARIES - 1) == server) {
            return;
        }
    }
}

static long long exists(size_t server, const char *key)
{
    return fw_redis_integer(cluster->redis[server], "EXISTS %s", key);
}

/* A job until it is done; each failure on the way must be one that may pass. */
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

static void a_job_reaches_keys_and_tags_on_every_server(void **state)
{
    fw_worker_world_t *world = *state;
    static char texts[KEYS][64];
    static fw_text_t names[KEYS];
    bool used[FW_CLUSTER_PRIMARIES] = {false};
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "name:%d", i);
        names[i] = fw_text(texts[i]);
        used[fw_redis_cluster_owner(cluster, texts[i])] = true;
    }
    assert_true(used[0] && used[1] && used[2]);
    fw_redis_do(fw_redis_cluster_at(cluster, "bystander"), "SET bystander x");
    fw_worker_world_start(world);
    const fw_invalidate_t invalidate = {
        .keys = names, .keys_count = KEYS, .tags = names, .tags_count = KEYS};
    fw_job_broker_send_job(world->broker, 1, &invalidate);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(answer.done);
    assert_int_equal(answer.keys_removed, KEYS);
    assert_int_equal(answer.stamps_count, KEYS);
    assert_int_equal(fw_redis_cluster_size(cluster), 1 + KEYS);
}

static void a_slot_that_moved_is_found_at_its_new_server(void **state)
{
    fw_worker_world_t *world = *state;
    char key[64];
    key_at(0, "page", key);
    fw_worker_world_start(world);
    (void)do_until_done(world, key, NULL);
    int slot = fw_slot_of(fw_text(key));
    fw_redis_cluster_migrate(cluster, slot, 0, 2);
    fw_redis_cluster_assign(cluster, slot, 2);
    fw_redis_do(cluster->redis[2], "SET %s x", key);
    fw_job_answer_t answer = fw_worker_world_do(world, 1, key, NULL, NULL);
    assert_true(answer.done);
    assert_int_equal(answer.keys_removed, 1);
    assert_int_equal(exists(2, key), 0);
    assert_true(fw_counter_value(world->series.redis_errors[FW_REDIS_MOVED]) > 0);
}

/* The key is at its old server, at its new one, or at neither; several keys are at both. */
static void a_slot_that_moves_is_purged_at_both_servers(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    (void)do_until_done(world, "any", NULL);
    int slot = fw_slot_of(FW_TEXT("tag"));
    size_t from = fw_redis_cluster_owner(cluster, "{tag}old");
    size_t to = (from + 1) % FW_CLUSTER_PRIMARIES;
    fw_redis_cluster_migrate(cluster, slot, from, to);
    fw_redis_do(cluster->redis[to], "ASKING");
    fw_redis_do(cluster->redis[to], "SET {tag}new x");
    const fw_text_t keys[] = {FW_TEXT("{tag}old"), FW_TEXT("{tag}new"), FW_TEXT("{tag}none")};
    const fw_invalidate_t invalidate = {
        .keys = keys, .keys_count = 3, .tags = keys, .tags_count = 3};
    fw_job_broker_send_job(world->broker, 1, &invalidate);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(answer.done);
    assert_int_equal(answer.keys_removed, 2);
    assert_int_equal(answer.stamps_count, 3);
    /* Its old server sends whoever looks for it to the new one: it is not there. */
    redisReply *reply = redisCommand(cluster->redis[from], "EXISTS {tag}old");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_memory_equal(reply->str, "ASK", 3);
    freeReplyObject(reply);
    fw_redis_do(cluster->redis[to], "ASKING");
    assert_int_equal(exists(to, "{tag}new"), 0);
    assert_true(fw_counter_value(world->series.redis_errors[FW_REDIS_ASK]) > 0);
}

static void a_sweep_covers_every_server_and_any_slot(void **state)
{
    enum { MANY = 3000 };
    fw_worker_world_t *world = *state;
    for (int i = 0; i < MANY; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "user:%d", i);
        size_t owner = fw_slot_of(fw_text(key)) / (size_t)(FW_SLOTS / FW_CLUSTER_PRIMARIES);
        owner = owner < FW_CLUSTER_PRIMARIES ? owner : FW_CLUSTER_PRIMARIES - 1;
        fw_redis_do(cluster->redis[owner], "SET %s x", key);
    }
    fw_redis_do(fw_redis_cluster_at(cluster, "page:1"), "SET page:1 x");
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, NULL, NULL, "user:*").done);
    fw_worker_world_await(world, world->series.sweeps_done, FW_CLUSTER_PRIMARIES);
    redisContext *queue = cluster->redis[0];
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        redisReply *reply = redisCommand(cluster->redis[i], "EXISTS fw:sweeps");
        queue = reply->type == REDIS_REPLY_INTEGER ? cluster->redis[i] : queue;
        freeReplyObject(reply);
    }
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_redis_integer(queue, "EXISTS fw:sweeps {fw:sweeps}:owner") > 0) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 10);
    }
    assert_int_equal(fw_redis_cluster_size(cluster), 1);
}

static void a_broker_opens_and_closes_a_cluster(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    uint8_t broker[FW_INCARNATION_SIZE] = {1};
    static const fw_cache_action_t actions[] = {FW_CACHE_OPEN, FW_CACHE_CLOSE, FW_CACHE_FLUSH};
    for (uint64_t i = 0; i < 3; i++) {
        const fw_message_t message = {
            .kind = FW_MESSAGE_JOB,
            .job = {.job_id = i, .cache_action = actions[i], .broker = {broker, sizeof(broker)}}};
        fw_job_broker_send_message(world->broker, &message);
        fw_job_answer_t answer = fw_worker_world_answer(world);
        assert_true(answer.done);
        assert_true(answer.redis_time > 0);
    }
    assert_int_equal(fw_redis_cluster_size(cluster), 1);
}

static void a_dead_server_fails_what_it_holds_and_nothing_else(void **state)
{
    fw_worker_world_t *world = *state;
    char lost[64];
    char kept[64];
    key_at(0, "page", lost);
    key_at(1, "page", kept);
    fw_worker_world_start(world);
    (void)do_until_done(world, lost, NULL);
    (void)do_until_done(world, kept, NULL);
    fw_redis_fixture_kill(cluster->servers[0]);
    fw_job_answer_t answer = fw_worker_world_do(world, 1, lost, NULL, NULL);
    assert_true(!answer.done && answer.retryable);
    (void)do_until_done(world, kept, NULL);
}

static void a_replica_that_took_over_is_followed(void **state)
{
    fw_worker_world_t *world = *state;
    char key[64];
    key_at(0, "page", key);
    fw_worker_world_start(world);
    (void)do_until_done(world, key, "t");
    fw_redis_fixture_kill(cluster->servers[0]);
    (void)do_until_done(world, key, "t");
    redisContext *promoted = cluster->redis[FW_CLUSTER_PRIMARIES];
    fw_redis_do(promoted, "SET %s x", key);
    (void)do_until_done(world, key, "t");
    assert_int_equal(exists(FW_CLUSTER_PRIMARIES, key), 0);
}

static uint64_t stamp_at(redisContext *redis, const char *tag)
{
    redisReply *reply = fw_redis_command(redis, "GET fw:t:%s", tag);
    uint64_t stamp = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return stamp;
}

/* When the newest of the marks there was set. */
static long long marked_us(redisContext *redis)
{
    static const char script[] =
        "local newest = 0 "
        "for _, key in ipairs(redis.call('KEYS', '*fw:lineage')) do "
        "  for _, mark in ipairs(redis.call('HVALS', key)) do "
        "    newest = math.max(newest, tonumber(string.match(mark, '^%d+ (%d+) '))) "
        "  end "
        "end "
        "return newest";
    return fw_redis_integer(redis, "EVAL %s 0", script);
}

/* Two marks from now: the second one knows everything that was answered until now. */
static void await_next_mark(fw_worker_world_t *world, redisContext *redis)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    for (int marks = 0; marks < 2; marks++) {
        long long before = marked_us(redis);
        while (marked_us(redis) == before) {
            assert_true(fw_clock_ms() < deadline_ms);
            (void)fw_job_broker_serve(world->broker, 20);
        }
    }
}

static void a_replica_that_lacks_the_last_purges_is_purged_again(void **state)
{
    fw_worker_world_t *world = *state;
    redisContext *primary = cluster->redis[0];
    redisContext *replica = cluster->redis[FW_CLUSTER_PRIMARIES];
    char key[64];
    char tag_key[64];
    key_at(0, "page", key);
    key_at(0, "fw:t:tag", tag_key); /* so that the stamp is there as well */
    const char *tag = tag_key + strlen("fw:t:");
    fw_worker_world_start(world);
    (void)do_until_done(world, key, tag);
    fw_redis_do(primary, "SET %s old", key);
    await_next_mark(world, primary);
    assert_int_equal(fw_redis_integer(primary, "WAIT 1 10000"), 1);
    uint64_t before = stamp_at(primary, tag);
    uint64_t jobs_before = fw_counter_value(world->series.lineage_jobs);
    /* From now on the replica gets nothing more, while the worker goes on. */
    fw_redis_do(primary, "CONFIG SET requirepass other");
    fw_redis_do(primary, "CLIENT KILL TYPE replica");
    (void)do_until_done(world, key, tag);
    assert_true(stamp_at(primary, tag) > before);
    fw_redis_do(replica, "READONLY");
    assert_int_equal(exists(FW_CLUSTER_PRIMARIES, key), 1);
    fw_redis_fixture_kill(cluster->servers[0]);
    fw_redis_do(replica, "CLUSTER FAILOVER TAKEOVER");
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (exists(FW_CLUSTER_PRIMARIES, key) > 0 || stamp_at(replica, tag) <= before) {
        assert_true(fw_clock_ms() < deadline_ms);
        (void)fw_job_broker_serve(world->broker, 20);
    }
    /* By the log of purges, not by a new epoch. */
    assert_true(fw_counter_value(world->series.lineage_jobs) > jobs_before);
}

#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_job_reaches_keys_and_tags_on_every_server),
        CLUSTER_TEST(a_slot_that_moved_is_found_at_its_new_server),
        CLUSTER_TEST(a_slot_that_moves_is_purged_at_both_servers),
        CLUSTER_TEST(a_sweep_covers_every_server_and_any_slot),
        CLUSTER_TEST(a_broker_opens_and_closes_a_cluster),
        CLUSTER_TEST(a_dead_server_fails_what_it_holds_and_nothing_else),
        cmocka_unit_test_setup_teardown(a_replica_that_took_over_is_followed, setup_with_replica,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_replica_that_lacks_the_last_purges_is_purged_again,
                                        setup_with_replica, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
