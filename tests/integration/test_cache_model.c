/* test_cache_model.c - the Redis of the simulation answers as a real one does.
 * SPDX-License-Identifier: MPL-2.0 Random commands go to both. Their clocks differ, so times and
 * stamps are compared by what they are for: whether they are there, and whether they changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cache/entry.h"
#include "cache/redis.h"
#include "runtime/random.h"
#include "tests/simulation/cache/redis_model.h"
#include "tests/support/redis_fixture.h"

enum { ROUNDS = 4000, ENTRIES = 2, STAMPS = 3, LEASES = 3 };

static const fw_text_t entry_keys[ENTRIES] = {{"fw:c:a", 6}, {"fw:c:b", 6}};
static const fw_text_t stamp_keys[STAMPS] = {{"fw:epoch", 8}, {"fw:t:x", 6}, {"fw:t:y", 6}};

typedef struct {
    fw_random_t random;
    redis_model_t model;
    fw_cache_transport_t real;
    char leases[LEASES][FW_CACHE_LEASE_SIZE + 1];
    char values[LEASES][FW_CACHE_LEASE_SIZE + 9]; /* begin with a lease's bytes */
} world_t;

static fw_bytes_t text_bytes(const char *text)
{
    return (fw_bytes_t){(const uint8_t *)text, strlen(text)};
}

static fw_bytes_t pick(world_t *world)
{
    size_t which = fw_random_below(&world->random, LEASES + 1);
    return which == LEASES ? (fw_bytes_t){(const uint8_t *)"", 0}
                           : text_bytes(world->leases[which]);
}

static fw_cache_command_t draw(world_t *world)
{
    fw_cache_command_t command = {
        .kind = (fw_cache_command_kind_t)fw_random_below(&world->random, FW_CACHE_COMMAND_KINDS),
        .with_source = true,
        .keys = &entry_keys[fw_random_below(&world->random, ENTRIES)],
        .keys_count = 1,
    };
    size_t lease = fw_random_below(&world->random, LEASES);
    switch (command.kind) {
    case FW_CACHE_COMMAND_READ:
    case FW_CACHE_COMMAND_UNLINK:
        break;
    case FW_CACHE_COMMAND_ACQUIRE:
        command.arguments[0] = pick(world);
        command.arguments[1] = text_bytes(world->leases[lease]);
        command.arguments[2] = text_bytes("60000");
        command.arguments_count = 3;
        break;
    case FW_CACHE_COMMAND_STORE:
        command.arguments[0] = text_bytes(world->leases[lease]);
        command.arguments[1] = text_bytes(world->values[fw_random_below(&world->random, LEASES)]);
        command.arguments[2] = text_bytes("60000");
        command.arguments_count = 3;
        break;
    case FW_CACHE_COMMAND_RELEASE:
        command.arguments[0] = text_bytes(world->leases[lease]);
        command.arguments_count = 1;
        break;
    case FW_CACHE_COMMAND_CAPTURE:
    case FW_CACHE_COMMAND_BUMP:
        command.keys = stamp_keys;
        command.keys_count = 1 + fw_random_below(&world->random, STAMPS);
        command.arguments[0] = text_bytes("60000");
        command.arguments_count = 1;
        break;
    case FW_CACHE_COMMAND_TIME:
    case FW_CACHE_COMMAND_KINDS:
        command.keys_count = 0;
        break;
    }
    return command;
}

static fw_cache_reply_t ask(world_t *world, const fw_cache_command_t *command)
{
    fw_cache_reply_t reply;
    const char *reason = NULL;
    assert_int_equal(world->real.exchange(world->real.context, command, 1, &reply, &reason), 0);
    if (reply.error) {
        fail_msg("%s", reply.error);
    }
    return reply;
}

/* Whether what is in the model is the same as what the real one holds: bytes of entries, and which
 * stamps there are. */
static void compare_all(world_t *world)
{
    for (size_t i = 0; i < ENTRIES + STAMPS; i++) {
        fw_text_t key = i < ENTRIES ? entry_keys[i] : stamp_keys[i - ENTRIES];
        const fw_cache_command_t get = {
            .kind = FW_CACHE_COMMAND_READ, .keys = &key, .keys_count = 1};
        fw_bytes_t real = ask(world, &get).values[0];
        fw_bytes_t model = redis_model_get(&world->model, key);
        assert_int_equal(real.data != NULL, model.data != NULL);
        if (i < ENTRIES && real.data && model.data) {
            assert_true(fw_bytes_equal(real, model));
        }
    }
}

static void the_model_answers_as_redis_does(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_redis_fixture_t *server = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(server);
    const fw_cache_redis_options_t options = {
        .path = fw_redis_fixture_url(server) + strlen("unix://"), .timeout_ms = 10000};
    world_t *world = calloc(1, sizeof(*world));
    world->random.state = seed;
    world->real = fw_cache_redis_transport(&options);
    world->model.now_us = UINT64_C(1000000000);
    for (int i = 0; i < LEASES; i++) {
        (void)snprintf(world->leases[i], sizeof(world->leases[i]), "CWL1lease-number-00%d", i);
        (void)snprintf(world->values[i], sizeof(world->values[i]), "CWL1lease-number-00%d+value",
                       i);
    }
    uint64_t bumped[2][STAMPS] = {{0}};
    for (int round = 0; round < ROUNDS; round++) {
        fw_cache_command_t command = draw(world);
        if (command.kind == FW_CACHE_COMMAND_KINDS) {
            /* Instead of a command: a stamp is lost, or something else lies there. */
            size_t index = fw_random_below(&world->random, STAMPS);
            static const char *const odd[] = {"", "word", "007", "-5", "1.5", "99999999999999999"};
            const char *text = odd[fw_random_below(&world->random, 6)];
            fw_text_t key = stamp_keys[index];
            fw_redis_do(redis, text[0] ? "SET %s %s" : "DEL %s", key.text, text);
            if (text[0]) {
                redis_model_set(&world->model, key, text_bytes(text), 60000);
            } else {
                (void)redis_model_unlink(&world->model, key);
            }
            bumped[0][index] = bumped[1][index] = 0;
            continue;
        }
        model_reply_t model;
        world->model.now_us++;
        redis_model_run(&world->model, &command, &model);
        fw_cache_reply_t real = ask(world, &command);
        assert_int_equal(real.values_count, model.reply.values_count);
        assert_int_equal(real.integer, model.reply.integer);
        const fw_cache_reply_t *replies[] = {&model.reply, &real};
        for (size_t side = 0; side < 2 && command.keys == stamp_keys; side++) {
            for (size_t i = 0; i < command.keys_count; i++) {
                uint64_t stamp = fw_cache_stamp_parse(replies[side]->values[i]);
                assert_true(stamp > 0);
                /* A capture changes nothing, a bump always raises. */
                bool captured = command.kind == FW_CACHE_COMMAND_CAPTURE;
                assert_true(bumped[side][i] == 0 ||
                            (captured ? stamp == bumped[side][i] : stamp > bumped[side][i]));
                bumped[side][i] = stamp;
            }
        }
        compare_all(world);
    }
    world->real.destroy(world->real.context);
    free(world);
    redisFree(redis);
    fw_redis_fixture_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_model_answers_as_redis_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
