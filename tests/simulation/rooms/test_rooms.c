/* test_rooms.c - who is in which room: gateways and a broker that crash, links that lose, delay,
 * double and reorder.   SPDX-License-Identifier: MPL-2.0
 * When all is quiet again, every list that somebody watches is the truth, sessions included. Before
 * that: who was there all the time is never said to have left, and batches are bounded. The seed is
 * printed; FW_TEST_SEED=… runs that world alone. */
#include "tests/simulation/rooms/rooms_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

enum {
    WORLDS = 150,
    CHAOS_MS = 60 * 1000,
    QUIET_MS = 70 * 1000, /* more than a grace, the settling of a new broker, and an audit */
};

/* ------ what happens */

static void drop_link(world_t *world, int index)
{
    gateway_t *gateway = &world->gateways[index];
    gateway->linked = false;
    gateway->link_up_ms = world->now_ms + 1 + below(world, OUTAGE_MS_MAX);
}

static void move_user(world_t *world)
{
    gateway_t *gateway = &world->gateways[below(world, GATEWAYS)];
    int room = (int)below(world, ROOMS);
    int user = 1 + (int)below(world, USERS - 1);
    char name[16];
    if (gateway->sessions[room][user] > 0 && below(world, 2) == 0) {
        gateway->sessions[room][user]--;
        fw_roster_leave(gateway->roster, fw_text(rooms[room]), user_name(user, name),
                        below(world, 2) == 0);
    } else if (gateway->sessions[room][user] < 3) {
        enter(gateway, room, user);
    }
}

static void move_watcher(world_t *world)
{
    gateway_t *gateway = &world->gateways[below(world, GATEWAYS)];
    int room = (int)below(world, ROOMS);
    if (gateway->watchers[room] > 0 && below(world, 2) == 0) {
        fw_roster_unwatch(gateway->roster, fw_text(rooms[room]));
        if (--gateway->watchers[room] == 0)
            gateway->known[room] = false;
    } else if (gateway->watchers[room] < 3) {
        gateway->watchers[room]++;
        fw_roster_watch(gateway->roster, fw_text(rooms[room]));
    }
}

static void restart_broker(world_t *world)
{
    fw_presence_destroy(&world->presence);
    for (int i = 0; i < GATEWAYS; i++)
        drop_link(world, i);
    memset(world->told_ms, 0, sizeof world->told_ms);
    start_broker(world);
}

static void happen(world_t *world)
{
    uint32_t dice = below(world, 10000);
    if (dice < 2000)
        move_user(world);
    else if (dice < 2300)
        move_watcher(world);
    else if (dice < 2330)
        drop_link(world, (int)below(world, GATEWAYS));
    else if (dice < 2340) {
        int index = 1 + (int)below(world, GATEWAYS - 1); /* the anchor's stays */
        stop_gateway(&world->gateways[index]);
        start_gateway(world, index);
    } else if (dice < 2345) {
        restart_broker(world);
    } else if (dice < 2355) {
        for (int i = 0; i < 60; i++)
            move_user(world);
    }
}

static void step(world_t *world)
{
    world->now_ms += STEP_MS;
    if (world->chaos)
        happen(world);
    deliver(world);
    for (int i = 0; i < GATEWAYS; i++)
        gateway_speaks(&world->gateways[i]);
    fw_presence_tick(world->presence, world->now_ms * 1000);
}

static void compare(const world_t *world, uint64_t seed)
{
    for (int room = 0; room < ROOMS; room++) {
        uint32_t truth[USERS] = {0};
        uint64_t count = 0;
        for (int i = 0; i < GATEWAYS; i++)
            for (int user = 0; user < USERS; user++)
                truth[user] += world->gateways[i].sessions[room][user];
        for (int user = 0; user < USERS; user++)
            count += truth[user] > 0;
        for (int i = 0; i < GATEWAYS; i++) {
            const gateway_t *gateway = &world->gateways[i];
            if (gateway->watchers[room] == 0)
                continue;
            if (!gateway->known[room] ||
                gateway->count[room] != (gateway->too_many[room] ? count : gateway->count[room]))
                fail_msg("seed %" PRIu64 ": gateway %d has no list of %s, or a wrong count", seed,
                         i, rooms[room]);
            if (count > world->members_max)
                assert_true(gateway->too_many[room]);
            for (int user = 0; user < USERS && !gateway->too_many[room]; user++) {
                if (gateway->view[room][user] != truth[user])
                    fail_msg("seed %" PRIu64
                             ": gateway %d says that user %d has %u sessions in %s, "
                             "not %u",
                             seed, i, user, gateway->view[room][user], rooms[room], truth[user]);
            }
        }
    }
}

static struct {
    uint64_t notes, reports, changes;
} totals;

static void run(uint64_t seed, uint32_t members_max)
{
    world_t *world = fw_alloc(1, sizeof *world);
    world->random.state = seed;
    world->members_max = members_max;
    world->chaos = true;
    world->now_ms = 1000000;
    world->codec = fw_codec_new();
    world->other = fw_codec_new();
    start_broker(world);
    for (int i = 0; i < GATEWAYS; i++)
        start_gateway(world, i);
    for (int room = 0; room < ROOMS; room++)
        enter(&world->gateways[0], room, ANCHOR);
    while (world->now_ms < 1000000 + CHAOS_MS)
        step(world);
    world->chaos = false;
    for (int i = 0; i < GATEWAYS; i++)
        if (!world->gateways[i].linked)
            world->gateways[i].link_up_ms = world->now_ms;
    while (world->now_ms < 1000000 + CHAOS_MS + QUIET_MS)
        step(world);
    compare(world, seed);
    totals.notes += world->notes;
    totals.reports += world->reports;
    totals.changes += world->changes;
    uint64_t changes = world->changes;
    for (int i = 0; i < 100; i++)
        step(world);
    assert_true(world->changes == changes);
    for (int i = 0; i < GATEWAYS; i++)
        stop_gateway(&world->gateways[i]);
    fw_presence_destroy(&world->presence);
    for (size_t i = 0; i < world->packets_count; i++)
        free(world->packets[i].bytes);
    fw_codec_destroy(&world->codec);
    fw_codec_destroy(&world->other);
    free(world);
}

static void run_all(uint32_t members_max)
{
    const char *given = getenv("FW_TEST_SEED");
    uint64_t first;
    fw_random_bytes(&first, sizeof first);
    first %= 1000000000;
    if (given)
        first = strtoull(given, NULL, 10);
    printf("FW_TEST_SEED=%" PRIu64 "\n", first);
    for (uint64_t seed = first; seed < first + (given ? 1 : WORLDS); seed++) {
        if (getenv("FW_TEST_VERBOSE"))
            printf("world %" PRIu64 "\n", seed);
        run(seed, members_max);
    }
    printf("%" PRIu64 " reports, %" PRIu64 " notes, %" PRIu64 " changes told\n", totals.reports,
           totals.notes, totals.changes);
    assert_true(totals.notes > 0 && totals.changes > 0);
}

static void lists_are_the_truth_when_all_is_quiet(void **state)
{
    (void)state;
    run_all(1000);
}

static void counts_are_the_truth_of_rooms_that_are_too_large(void **state)
{
    (void)state;
    run_all(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_the_truth_when_all_is_quiet),
        cmocka_unit_test(counts_are_the_truth_of_rooms_that_are_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
