/* cache_world.c - readers, fillers, purges and faults, one Redis command at a time.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/cache/cache_world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/cache/cache_state.h"

enum {
    STEPS = 4000,
    SETTLE_STEPS = 30000,
    READERS_MAX = TASKS - 4, /* the rest is for purges */
    STEP_US_MAX = 1000,
};

uint64_t cache_draw(world_t *world, uint64_t bound)
{
    return fw_random_below(&world->random, bound);
}

bool cache_chance(world_t *world, uint64_t one_in)
{
    return cache_draw(world, one_in) == 0;
}

fw_text_t cache_object_key(unsigned object)
{
    static const fw_text_t keys[OBJECTS] = {{"users:0", 7}, {"users:1", 7}, {"teams:2", 7}};
    return keys[object];
}

fw_text_t cache_object_tag(unsigned object)
{
    static const fw_text_t tags[OBJECTS] = {{"o0", 2}, {"o1", 2}, {"o2", 2}};
    return tags[object];
}

void cache_broken(world_t *world, const char *format, ...)
{
    if (world->broken) {
        return;
    }
    world->broken = true;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->violation, world->violation_size, format, arguments);
    va_end(arguments);
}

size_t cache_next_command(world_t *world, task_t *task, size_t count)
{
    assert(count <= REPLIES_MAX);
    size_t index = 0;
    do {
        /* The servers of a cluster do not wait for one another. */
        index = world->scenario.cluster ? cache_draw(world, count)
                                        : (size_t)__builtin_popcount(task->ran);
    } while (task->ran >> index & 1);
    task->ran |= UINT32_C(1) << index;
    return index;
}

void cache_task_free(task_t *task)
{
    fw_cache_read_destroy(&task->read);
    fw_cache_purge_destroy(&task->purge);
    task->kind = TASK_FREE;
}

static void pass_time(world_t *world, uint64_t us)
{
    world->now_us += us;
    world->redis.now_us += us;
}

/* ---- who begins what */

static task_t *free_task(world_t *world, task_kind_t kind)
{
    task_t *found = NULL;
    size_t readers = 0;
    for (size_t i = 0; i < TASKS; i++) {
        readers += world->tasks[i].kind == TASK_READ;
        if (world->tasks[i].kind == TASK_FREE) {
            found = &world->tasks[i];
        }
    }
    return kind == TASK_READ && readers >= READERS_MAX ? NULL : found;
}

static void commit(world_t *world)
{
    if (world->events_count == EVENTS_MAX) {
        return;
    }
    unsigned object = (unsigned)cache_draw(world, OBJECTS);
    event_t *event = &world->events[world->events_count++];
    *event = (event_t){.object = object, .version = ++world->versions[object]};
    world->committed_us[object][event->version] = world->now_us;
    event->kind = (purge_kind_t)cache_draw(world, PURGE_KINDS);
    if (event->kind == PURGE_PREFIX && object == 2) {
        event->kind = PURGE_TAG; /* Its key begins with no registered prefix. */
    }
    if (world->scenario.algorithm != READ_WITHOUT_EPOCH && event->kind == PURGE_EPOCH &&
        !cache_chance(world, 4)) {
        event->kind = PURGE_ALL; /* Seldom, or nothing would ever be served. */
    }
}

/* A worker takes any event that is not confirmed, in any order; and some a second time. */
static void deliver(world_t *world)
{
    size_t first = cache_draw(world, world->events_count);
    for (size_t i = 0; i < world->events_count; i++) {
        size_t index = (first + i) % world->events_count;
        task_t *task = free_task(world, TASK_PURGE);
        if (task && (!world->events[index].confirmed ||
                     (!world->quiet && i == 0 && cache_chance(world, 20)))) {
            cache_purge_start(world, task, index);
            return;
        }
    }
}

static bool is_recovering(const world_t *world)
{
    for (size_t i = 0; i < TASKS; i++) {
        const task_t *task = &world->tasks[i];
        if (task->kind == TASK_PURGE && task->event == EVENTS_MAX) {
            return true;
        }
    }
    return false;
}

static void begin(world_t *world)
{
    if (!world->quiet && cache_chance(world, 50)) {
        commit(world);
    }
    if (world->events_count > 0 && cache_chance(world, world->quiet ? 2 : 15)) {
        deliver(world);
    }
    task_t *task = free_task(world, TASK_PURGE);
    if (task && world->window && !is_recovering(world) && cache_chance(world, 40)) {
        cache_purge_start(world, task, EVENTS_MAX);
    }
    task = free_task(world, TASK_READ);
    if (task && !world->quiet && cache_chance(world, 2)) {
        cache_read_start(world, task, (unsigned)cache_draw(world, OBJECTS));
    }
}

/* ---- what goes wrong */

static void cut(world_t *world, uint64_t one_in)
{
    for (size_t i = 0; i < TASKS; i++) {
        task_t *task = &world->tasks[i];
        bool sending =
            (task->read && fw_cache_read_step(task->read) == FW_CACHE_STEP_SEND) || task->purge;
        if (sending && cache_chance(world, one_in)) {
            task->cut = true;
            world->figures->cuts++;
        }
    }
}

static void fail_over(world_t *world)
{
    int64_t skew_us = 0;
    if (world->scenario.skew) {
        skew_us = (int64_t)cache_draw(world, MARGIN_US) - MARGIN_US / 2;
        /* Two servers' clocks differ by no more than the margin, however often they take turns. */
        int64_t ahead_us = (int64_t)(world->redis.now_us - world->now_us);
        if (ahead_us + skew_us > MARGIN_US / 2 || ahead_us + skew_us < -MARGIN_US / 2) {
            skew_us = -ahead_us;
        }
    }
    int server = world->scenario.cluster ? (int)cache_draw(world, 2) : -1;
    redis_model_fail_over(&world->redis, &world->replica, server, skew_us);
    world->failovers++;
    world->figures->failovers++;
    world->window = true;
    /* No purge is half on the old server and half on the new one: a worker that loses its
     * connection begins again. */
    for (size_t i = 0; i < TASKS; i++) {
        if (world->tasks[i].kind == TASK_PURGE) {
            world->tasks[i].cut = true;
        }
    }
    cut(world, 2);
}

static void go_wrong(world_t *world)
{
    const cache_scenario_t *scenario = &world->scenario;
    if (scenario->evictions && cache_chance(world, 12)) {
        world->figures->evictions +=
            redis_model_evict(&world->redis, cache_draw(world, MODEL_ITEMS_MAX / 4));
    }
    if (scenario->crashes && cache_chance(world, 40)) {
        task_t *task = &world->tasks[cache_draw(world, TASKS)];
        world->figures->crashes += task->kind != TASK_FREE;
        cache_task_free(task);
    }
    if (scenario->cuts && cache_chance(world, 60)) {
        cut(world, 4);
    }
    if (scenario->forgets && cache_chance(world, 50)) {
        world->redis.scripts = 0;
    }
    /* Clocks that differ matter when one failover follows another soon. */
    if (scenario->failovers && cache_chance(world, scenario->skew ? 120 : 40)) {
        world->replica = world->redis;
    }
    if (scenario->failovers && cache_chance(world, scenario->skew ? 60 : 300)) {
        fail_over(world);
    }
}

/* ---- the run */

static void advance(world_t *world)
{
    size_t first = cache_draw(world, TASKS);
    for (size_t i = 0; i < TASKS; i++) {
        task_t *task = &world->tasks[(first + i) % TASKS];
        if (task->kind == TASK_FREE || task->wake_us > world->now_us) {
            continue;
        }
        if (task->kind == TASK_READ) {
            cache_read_advance(world, task);
        } else {
            cache_purge_advance(world, task);
        }
        return;
    }
}

static bool is_settled(const world_t *world)
{
    for (size_t i = 0; i < TASKS; i++) {
        if (world->tasks[i].kind != TASK_FREE) {
            return false;
        }
    }
    for (size_t i = 0; i < world->events_count; i++) {
        if (!world->events[i].confirmed) {
            return false;
        }
    }
    return !world->window;
}

/* Reads every object and then again, when nothing else happens: nothing stale may be left, and the
 * last read must be a hit. */
static void read_all(world_t *world)
{
    for (int round = 0; round < 3; round++) {
        for (unsigned object = 0; object < OBJECTS; object++) {
            uint64_t hits = world->figures->hits;
            task_t *task = &world->tasks[0];
            cache_read_start(world, task, object);
            for (int i = 0; task->kind != TASK_FREE && i < SETTLE_STEPS; i++) {
                pass_time(world, 1000);
                if (task->wake_us <= world->now_us) {
                    cache_read_advance(world, task);
                }
            }
            if (round == 2 && !world->scenario.expiry && world->figures->hits == hits) {
                cache_broken(world, "object %u is not served from the cache", object);
            }
        }
        pass_time(world, 1000000);
    }
}

static void settle(world_t *world)
{
    world->quiet = true;
    for (int i = 0; i < SETTLE_STEPS && !world->broken && !is_settled(world); i++) {
        pass_time(world, 1 + cache_draw(world, STEP_US_MAX));
        begin(world);
        advance(world);
    }
    if (!is_settled(world)) {
        cache_broken(world, "something never ends");
    }
    /* Leases of the dead run out. */
    pass_time(world, 1000 * (uint64_t)world->rules.lease_ms);
    if (!world->broken) {
        read_all(world);
    }
}

static void set_rules(world_t *world)
{
    static const fw_text_t prefixes[] = {{"users:", 6}};
    fw_cache_rules_t *rules = &world->rules;
    *rules = fw_cache_rules_defaults();
    rules->prefixes = prefixes;
    rules->prefixes_count = 1;
    rules->wait_ms = 200;
    rules->cluster = world->scenario.cluster;
    if (world->scenario.expiry) {
        rules->ttl_ms = 150;
        rules->stamp_ttl_ms = 300;
        rules->lease_ms = 60;
    }
    if (world->scenario.lag && world->scenario.algorithm != READ_WITHOUT_HOLD_OFF) {
        rules->hold_off_ms = LAG_US / 1000;
    }
    if (world->scenario.skew && world->scenario.algorithm != READ_WITHOUT_MARGIN) {
        rules->margin_ms = MARGIN_US / 1000;
    }
    int result = fw_cache_rules_check(rules);
    assert(result == 0);
    (void)result;
}

cache_scenario_t cache_world_any(uint64_t seed)
{
    fw_random_t random = {seed * 7919};
    uint64_t bits = fw_random_next(&random);
    /* The first world is calm, so that something plain is tried as well. */
    bits = seed == 1 ? 0 : bits;
    return (cache_scenario_t){
        .evictions = bits & 1,
        .expiry = (bits & 6) == 6,
        .failovers = bits & 8,
        .skew = bits & 16,
        .lag = (bits & 96) == 96,
        .crashes = bits & 128,
        .cuts = bits & 256,
        .forgets = bits & 512,
        .slow = bits & 1024,
        .cluster = bits & 2048,
    };
}

bool cache_world_run(uint64_t seed, const cache_scenario_t *scenario, cache_figures_t *figures,
                     char *violation, size_t violation_size)
{
    world_t *world = calloc(1, sizeof(*world));
    assert(world);
    world->scenario = *scenario;
    world->random.state = seed;
    world->figures = figures;
    world->violation = violation;
    world->violation_size = violation_size;
    world->now_us = UINT64_C(1732270000000000);
    world->redis.now_us = world->now_us;
    world->replica = world->redis;
    set_rules(world);
    for (int i = 0; i < STEPS && !world->broken; i++) {
        pass_time(world, 1 + cache_draw(world, STEP_US_MAX));
        begin(world);
        go_wrong(world);
        advance(world);
    }
    if (!world->broken && world->scenario.algorithm == READ_OURS) {
        settle(world);
    }
    for (size_t i = 0; i < TASKS; i++) {
        cache_task_free(&world->tasks[i]);
    }
    bool kept = !world->broken;
    free(world);
    return kept;
}
