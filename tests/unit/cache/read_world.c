/* read_world.c - reads, one round trip at a time, of a Redis in memory.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/cache/read_world.h"

enum { COMMANDS_MAX = 16 };

static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
const fw_bytes_t world_value = {(const uint8_t *)"\x81\xa2id*", 5};

int world_setup(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    world->rules = fw_cache_rules_defaults();
    world->redis.now_us = 1000000;
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    free(*state);
    return 0;
}

fw_cache_request_t world_request(void)
{
    return (fw_cache_request_t){.key = FW_TEXT("projects:7"), .tags = tags, .tags_count = 2};
}

fw_cache_read_t *world_begin(world_t *world, const fw_cache_request_t *asked)
{
    uint8_t nonce[FW_CACHE_NONCE_SIZE] = {++world->nonce};
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_read_new(&world->rules, asked, nonce, world->now_ms, &read), 0);
    return read;
}

/* One round trip. */
void world_send(world_t *world, fw_cache_read_t *read)
{
    static model_reply_t storage[COMMANDS_MAX];
    fw_cache_reply_t replies[COMMANDS_MAX];
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_read_commands(read, &count);
    assert_in_range(count, 1, COMMANDS_MAX);
    for (size_t i = 0; i < count; i++) {
        world->redis.now_us++;
        redis_model_run(&world->redis, &commands[i], &storage[i]);
        replies[i] = storage[i].reply;
    }
    world->commands += count;
    fw_cache_read_replies(read, replies, world->now_ms);
}

fw_cache_step_t world_go_on(world_t *world, fw_cache_read_t *read)
{
    while (fw_cache_read_step(read) == FW_CACHE_STEP_SEND) {
        world_send(world, read);
    }
    return fw_cache_read_step(read);
}

/* A whole read: the status, and whether it stored. */
fw_cache_status_t world_read_whole(world_t *world, const fw_cache_request_t *asked,
                                   bool *ret_stored)
{
    fw_cache_read_t *read = world_begin(world, asked);
    if (world_go_on(world, read) == FW_CACHE_STEP_LOAD) {
        fw_cache_read_loaded(read, world_value);
        world_go_on(world, read);
    }
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_DONE);
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    if (outcome.status == FW_CACHE_HIT) {
        assert_true(fw_bytes_equal(outcome.payload, world_value));
    }
    *ret_stored = outcome.stored;
    fw_cache_read_destroy(&read);
    return outcome.status;
}

void world_fill(world_t *world)
{
    bool stored = false;
    fw_cache_request_t asked = world_request();
    (void)world_read_whole(world, &asked, &stored);
    assert_true(stored);
}

void world_put(world_t *world, const char *key, const void *data, size_t size)
{
    redis_model_set(&world->redis, fw_text(key), (fw_bytes_t){data, size}, 60000);
}

fw_bytes_t world_get(world_t *world, const char *key)
{
    return redis_model_get(&world->redis, fw_text(key));
}
