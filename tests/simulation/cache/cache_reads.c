/* cache_reads.c - readers of the cache's world, ours and those known to be wrong.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "tests/simulation/cache/cache_state.h"

enum { LOAD_NOT_BEGUN, LOAD_ASKED, LOAD_ANSWERED };
enum { NAIVE_GET, NAIVE_ASK, NAIVE_MEMBER, NAIVE_SET, NAIVE_MEMBER_AFTER };

static bool is_ours(const world_t *world)
{
    switch (world->scenario.algorithm) {
    case READ_NAIVE:
    case READ_MEMBERS_AFTER:
    case READ_MEMBERS_BEFORE:
        return false;
    default:
        return true;
    }
}

static void write_payload(unsigned object, unsigned version, uint8_t ret_payload[PAYLOAD_SIZE])
{
    ret_payload[0] = 0x92;
    ret_payload[1] = (uint8_t)object;
    ret_payload[2] = 0xcd;
    ret_payload[3] = (uint8_t)(version >> 8);
    ret_payload[4] = (uint8_t)version;
}

/* What was served from the cache. */
static void check(world_t *world, const task_t *task, fw_bytes_t payload)
{
    world->figures->hits++;
    if (payload.size != PAYLOAD_SIZE || payload.data[1] != task->object) {
        cache_broken(world, "object %u was served something else", task->object);
        return;
    }
    unsigned version = (unsigned)payload.data[3] << 8 | payload.data[4];
    if (version > world->versions[task->object]) {
        cache_broken(world, "object %u: version %u was never committed", task->object, version);
    }
    if (task->bypass) {
        cache_broken(world, "object %u was served to a reader who bypasses", task->object);
    }
    /* Who brings no token is promised nothing while a failover is not made up for. */
    bool promised = task->told || task->generation == world->failovers;
    if (promised && version < task->floor) {
        cache_broken(world, "object %u: version %u served, %u was purged before", task->object,
                     version, task->floor);
    }
}

/* What the database answers now: with replicas, perhaps what was true a while ago. */
static unsigned query(world_t *world, unsigned object)
{
    unsigned version = world->versions[object];
    if (world->scenario.lag && cache_chance(world, 2)) {
        uint64_t at_us = world->now_us - cache_draw(world, LAG_US);
        while (world->committed_us[object][version] > at_us) {
            version--;
        }
    }
    return version;
}

/* ---- ours */

void cache_read_start(world_t *world, task_t *task, unsigned object)
{
    *task = (task_t){.kind = TASK_READ, .object = object};
    world->figures->reads++;
    /* Browsers refetch with the token of the last event they were told of; others know nothing. */
    bool told = world->tokens[object] > 0 && (world->quiet || cache_chance(world, 2));
    /* Between a failover and the epoch that ends it only a token is a promise; and a purge by key
     * alone leaves no stamp that a hold-off could be counted from. */
    task->told = told;
    task->generation = world->failovers;
    if (told || !world->window) {
        bool by_tag = world->scenario.lag && !told;
        task->floor = by_tag ? world->confirmed_by_tag[object] : world->confirmed[object];
        world->figures->checked += task->floor > 0;
    }
    if (!is_ours(world)) {
        return;
    }
    fw_text_t tags[] = {FW_TEXT("all"), cache_object_tag(object)};
    fw_cache_request_t request = {.key = cache_object_key(object), .tags = tags, .tags_count = 2};
    request.fresh_us = told ? world->tokens[object] : 0;
    request.bypass = task->bypass = !world->quiet && cache_chance(world, 20);
    request.no_store = !world->quiet && cache_chance(world, 20);
    if (world->scenario.algorithm == READ_WITHOUT_TOKEN) {
        request.fresh_us = 0;
    }
    uint8_t nonce[FW_CACHE_NONCE_SIZE] = {0};
    if (world->scenario.algorithm != READ_ONE_LEASE) {
        uint64_t number = fw_random_next(&world->random);
        memcpy(nonce, &number, sizeof(number));
    }
    int result = fw_cache_read_new(&world->rules, &request, nonce, (int64_t)(world->now_us / 1000),
                                   &task->read);
    assert(result == 0);
    (void)result;
}

static void advance_send(world_t *world, task_t *task)
{
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_read_commands(task->read, &count);
    int64_t now_ms = (int64_t)(world->now_us / 1000);
    if (task->cut) {
        task->cut = false;
        task->ran = 0;
        fw_cache_read_replies(task->read, NULL, now_ms);
        return;
    }
    size_t index = cache_next_command(world, task, count);
    cache_run(world, &commands[index], &task->replies[index]);
    if (task->ran == (UINT32_C(1) << count) - 1) {
        fw_cache_reply_t replies[REPLIES_MAX];
        for (size_t i = 0; i < count; i++) {
            replies[i] = task->replies[i].reply;
        }
        task->ran = 0;
        fw_cache_read_replies(task->read, replies, now_ms);
    }
}

/* A load takes its time before and after the database looks. */
static void advance_load(world_t *world, task_t *task)
{
    uint64_t longest_us = world->scenario.slow ? 80000 : 8000;
    if (task->phase == LOAD_NOT_BEGUN) {
        task->phase = LOAD_ASKED;
        task->wake_us = world->now_us + cache_draw(world, longest_us);
    } else if (task->phase == LOAD_ASKED) {
        task->version = query(world, task->object);
        task->phase = LOAD_ANSWERED;
        task->wake_us = world->now_us + cache_draw(world, longest_us);
    } else if (!world->quiet && cache_chance(world, 30)) {
        fw_cache_read_failed(task->read);
    } else {
        uint8_t payload[PAYLOAD_SIZE];
        write_payload(task->object, task->version, payload);
        fw_cache_read_loaded(task->read, (fw_bytes_t){payload, sizeof(payload)});
    }
}

static void finish(world_t *world, task_t *task)
{
    const fw_cache_outcome_t *outcome = fw_cache_read_outcome(task->read);
    world->figures->stored += outcome->stored;
    world->figures->rejected += outcome->status == FW_CACHE_STALE_REJECTED;
    if (outcome->status == FW_CACHE_HIT) {
        check(world, task, outcome->payload);
    }
    cache_task_free(task);
}

static void advance_ours(world_t *world, task_t *task)
{
    switch (fw_cache_read_step(task->read)) {
    case FW_CACHE_STEP_SEND:
        advance_send(world, task);
        break;
    case FW_CACHE_STEP_PAUSE:
        task->wake_us = world->now_us + 1000 * (uint64_t)fw_cache_read_pause_ms(task->read);
        fw_cache_read_paused(task->read);
        break;
    case FW_CACHE_STEP_LOAD:
        advance_load(world, task);
        break;
    case FW_CACHE_STEP_DONE:
        break;
    }
    if (fw_cache_read_step(task->read) == FW_CACHE_STEP_DONE) {
        finish(world, task);
    }
}

/* ---- what others do */

static void advance_naive(world_t *world, task_t *task)
{
    fw_text_t key = cache_object_key(task->object);
    fw_text_t set = cache_object_tag(task->object);
    uint8_t payload[PAYLOAD_SIZE];
    write_payload(task->object, task->version, payload);
    switch (task->phase) {
    case NAIVE_GET: {
        fw_bytes_t value = redis_model_get(&world->redis, key);
        if (value.data) {
            check(world, task, value);
            cache_task_free(task);
            return;
        }
        task->wake_us = world->now_us + cache_draw(world, 8000);
        break;
    }
    case NAIVE_ASK:
        task->version = query(world, task->object);
        task->wake_us = world->now_us + cache_draw(world, 8000);
        break;
    case NAIVE_MEMBER:
        if (world->scenario.algorithm == READ_MEMBERS_BEFORE) {
            redis_model_set_add(&world->redis, set, task->object);
        }
        break;
    case NAIVE_SET:
        redis_model_set(&world->redis, key, (fw_bytes_t){payload, sizeof(payload)},
                        world->rules.ttl_ms);
        break;
    case NAIVE_MEMBER_AFTER:
        if (world->scenario.algorithm == READ_MEMBERS_AFTER) {
            redis_model_set_add(&world->redis, set, task->object);
        }
        cache_task_free(task);
        return;
    default:
        break;
    }
    task->phase++;
}

void cache_read_advance(world_t *world, task_t *task)
{
    if (is_ours(world)) {
        advance_ours(world, task);
    } else {
        advance_naive(world, task);
    }
}
