/* cache_purges.c - purges of the cache's world, and what wrong algorithms make of commands.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/cache/cache_state.h"

static bool is_epoch(fw_text_t key)
{
    return fw_text_equal(key, FW_TEXT("fw:epoch"));
}

/* The entry that is to be stored, with the stamps that are in Redis now. */
static void store_with_new_stamps(world_t *world, const fw_cache_command_t *command,
                                  model_reply_t *ret_reply)
{
    fw_cache_entry_t entry;
    int result = fw_cache_entry_decode(command->arguments[1], FW_CACHE_PAYLOAD_SIZE_MAX, &entry);
    assert(result == 0);
    for (size_t i = 0; i < entry.stamps_count; i++) {
        char name[MODEL_KEY_SIZE_MAX + 1];
        fw_text_t key;
        fw_text_t tag = {(const char *)entry.stamps[i].tag.data, entry.stamps[i].tag.size};
        fw_cache_stamp_key_write(world->rules.name, tag, name, &key);
        uint64_t stamp = fw_cache_stamp_parse(redis_model_get(&world->redis, key));
        entry.stamps[i].stamp = stamp ? stamp : entry.stamps[i].stamp;
    }
    uint8_t *data = NULL;
    size_t size = 0;
    result = fw_cache_entry_encode(&entry, &data, &size);
    assert(result == 0);
    fw_cache_command_t changed = *command;
    changed.arguments[1] = (fw_bytes_t){data, size};
    redis_model_run(&world->redis, &changed, ret_reply);
    fw_cache_entry_clear(&entry);
    free(data);
}

/* What INCR on a counter would do. */
static void run_with_counters(world_t *world, const fw_cache_command_t *command,
                              model_reply_t *ret_reply)
{
    static const uint8_t one[] = {'1'};
    bool first_is_entry = command->kind == FW_CACHE_COMMAND_READ;
    if (command->kind == FW_CACHE_COMMAND_BUMP) {
        uint64_t old[REPLIES_MAX];
        for (size_t i = 0; i < command->keys_count; i++) {
            old[i] = fw_cache_stamp_parse(redis_model_get(&world->redis, command->keys[i]));
        }
        redis_model_run(&world->redis, command, ret_reply);
        for (size_t i = 0; i < command->keys_count && !ret_reply->reply.error; i++) {
            char text[24];
            int size =
                snprintf(text, sizeof(text), "%llu", (unsigned long long)(old[i] ? old[i] + 1 : 2));
            redis_model_set(&world->redis, command->keys[i],
                            (fw_bytes_t){(const uint8_t *)text, (size_t)size},
                            world->rules.stamp_ttl_ms);
        }
        return;
    }
    fw_cache_command_t read = *command;
    read.kind = FW_CACHE_COMMAND_READ;
    redis_model_run(&world->redis, &read, ret_reply);
    for (size_t i = first_is_entry; i < ret_reply->reply.values_count; i++) {
        if (!ret_reply->values[i].data) {
            ret_reply->values[i] = (fw_bytes_t){one, sizeof(one)};
        }
    }
}

void cache_run(world_t *world, const fw_cache_command_t *command, model_reply_t *ret_reply)
{
    static const uint8_t one[] = {'1'};
    bool stamps =
        command->kind == FW_CACHE_COMMAND_READ || command->kind == FW_CACHE_COMMAND_CAPTURE;
    read_algorithm_t algorithm = world->scenario.algorithm;
    if (algorithm == READ_WITHOUT_LEASE && command->kind == FW_CACHE_COMMAND_STORE) {
        redis_model_set(&world->redis, command->keys[0], command->arguments[1],
                        world->rules.ttl_ms);
        *ret_reply = (model_reply_t){.reply = {.integer = 1}};
    } else if (algorithm == READ_STAMPS_AFTER && command->kind == FW_CACHE_COMMAND_STORE) {
        store_with_new_stamps(world, command, ret_reply);
    } else if (algorithm == READ_MISSING_IS_ZERO &&
               (stamps || command->kind == FW_CACHE_COMMAND_BUMP)) {
        run_with_counters(world, command, ret_reply);
    } else {
        redis_model_run(&world->redis, command, ret_reply);
    }
    for (size_t i = 0; algorithm == READ_WITHOUT_EPOCH && stamps && !ret_reply->reply.error &&
                       i < command->keys_count;
         i++) {
        if (is_epoch(command->keys[i])) {
            ret_reply->values[i] = (fw_bytes_t){one, sizeof(one)};
        }
    }
}

/* ---- purges */

void cache_purge_start(world_t *world, task_t *task, size_t event)
{
    *task = (task_t){.kind = TASK_PURGE, .event = event, .generation = world->failovers};
    fw_cache_purge_request_t request = {0};
    fw_text_t all = FW_TEXT("all");
    fw_text_t prefix = FW_TEXT("users:");
    unsigned object = event < EVENTS_MAX ? world->events[event].object : 0;
    purge_kind_t kind = event < EVENTS_MAX ? world->events[event].kind : PURGE_EPOCH;
    fw_text_t tag = cache_object_tag(object);
    fw_text_t key = cache_object_key(object);
    switch (kind) {
    case PURGE_ALL:
        request.tags = &all;
        request.tags_count = 1;
        break;
    case PURGE_PREFIX:
        request.prefixes = &prefix;
        request.prefixes_count = 1;
        break;
    case PURGE_EPOCH:
        request.everything = true;
        break;
    case PURGE_BOTH:
    case PURGE_KEY:
        request.keys = &key;
        request.keys_count = 1;
        if (kind == PURGE_KEY) {
            break;
        }
        __attribute__((fallthrough));
    case PURGE_TAG:
    case PURGE_KINDS:
        request.tags = &tag;
        request.tags_count = 1;
        break;
    }
    int result = fw_cache_purge_new(&world->rules, &request, &task->purge);
    assert(result == 0);
    (void)result;
}

/* The event is released: whoever reads from now on must not be served less. */
static void confirm(world_t *world, size_t index, uint64_t token)
{
    event_t *event = &world->events[index];
    unsigned object = event->object;
    event->confirmed = true;
    world->figures->purges++;
    if (event->version > world->confirmed[object]) {
        world->confirmed[object] = event->version;
    }
    if (event->kind != PURGE_KEY && event->version > world->confirmed_by_tag[object]) {
        world->confirmed_by_tag[object] = event->version;
    }
    if (token > world->tokens[object]) {
        world->tokens[object] = token;
    }
}

static void advance_ours(world_t *world, task_t *task)
{
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_purge_commands(task->purge, &count);
    if (task->cut) {
        fw_cache_purge_replies(task->purge, NULL);
    } else {
        size_t index = cache_next_command(world, task, count);
        cache_run(world, &commands[index], &task->replies[index]);
        if (task->ran != (UINT32_C(1) << count) - 1) {
            return;
        }
        fw_cache_reply_t replies[REPLIES_MAX];
        for (size_t i = 0; i < count; i++) {
            replies[i] = task->replies[i].reply;
        }
        task->ran = 0;
        fw_cache_purge_replies(task->purge, replies);
    }
    if (fw_cache_purge_step(task->purge) != FW_CACHE_STEP_DONE) {
        return;
    }
    const fw_cache_purged_t *outcome = fw_cache_purge_outcome(task->purge);
    if (outcome->done && task->event < EVENTS_MAX) {
        confirm(world, task->event, outcome->fresh_us);
    } else if (outcome->done && task->generation == world->failovers) {
        world->window = false;
    }
    cache_task_free(task);
}

/* What wrong algorithms do; whatever the event says, they purge what the object's key holds. */
static void advance_naive(world_t *world, task_t *task)
{
    unsigned object = world->events[task->event].object;
    fw_text_t set = cache_object_tag(object);
    bool sets = world->scenario.algorithm != READ_NAIVE;
    if (task->phase == 0 && sets) {
        task->members = redis_model_set_members(&world->redis, set);
        if (world->scenario.algorithm == READ_MEMBERS_AFTER) {
            redis_model_unlink(&world->redis, set); /* SPOP of all */
        }
    } else if (task->phase < 2) {
        if (!sets || task->members) {
            redis_model_unlink(&world->redis, cache_object_key(object));
        }
    } else {
        if (world->scenario.algorithm == READ_MEMBERS_BEFORE) {
            redis_model_unlink(&world->redis, set);
        }
        confirm(world, task->event, world->redis.now_us);
        cache_task_free(task);
        return;
    }
    task->phase++;
}

void cache_purge_advance(world_t *world, task_t *task)
{
    switch (world->scenario.algorithm) {
    case READ_NAIVE:
    case READ_MEMBERS_AFTER:
    case READ_MEMBERS_BEFORE:
        advance_naive(world, task);
        break;
    default:
        advance_ours(world, task);
        break;
    }
}
