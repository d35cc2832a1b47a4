/* test_sync_random.c - one channel against a model of the broker, links that lose and delay,
 * restarts. SPDX-License-Identifier: MPL-2.0 A listener that follows the ring must see every offset
 * of an epoch once and in order, or a reset; and when the links behave again, everything that the
 * broker released. */
#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>

#include "gateway/sync.h"
#include "proto/codec.h"
#include "runtime/random.h"

enum { SEEDS = 4000, STEPS = 600, HISTORY = 24, QUEUE = 4096, BATCH = 5 };

typedef enum { EVENT, POSITION, REPLAY } kind_t;

/* A message on its way to the gateway. */
typedef struct {
    kind_t kind;
    uint64_t request;
    fw_position_t position; /* of the event; or what is visible */
    uint64_t since;
    uint32_t count;
    bool complete;
    bool reset;
} message_t;

typedef struct {
    message_t messages[QUEUE];
    size_t first, end;
} queue_t;

typedef struct {
    fw_random_t random;
    fw_position_t broker; /* what it released last */
    queue_t events;       /* both links keep their order, and know nothing of each other's */
    queue_t answers;
    fw_sync_t sync;
    uint64_t last_request;
    bool lossy;
    /* A listener. */
    uint64_t epoch;
    uint64_t cursor;
    uint64_t resets;
} world_t;

static const fw_ring_limits_t limits = {.events_max = 64, .bytes_max = 1 << 20};

static bool chance(world_t *world, unsigned percent)
{
    return fw_random_below(&world->random, 100) < percent;
}

static void push(queue_t *queue, message_t message)
{
    assert_true(queue->end < QUEUE);
    queue->messages[queue->end++] = message;
}

static void publish(world_t *world)
{
    world->broker.offset++;
    if (!world->lossy || !chance(world, 10))
        push(&world->events, (message_t){.kind = EVENT, .position = world->broker});
}

static void ask(world_t *world)
{
    unsigned needs = fw_sync_needs(&world->sync);
    if (needs & FW_SYNC_NEEDS_POSITION) {
        uint64_t request = ++world->last_request;
        fw_sync_position_asked(&world->sync, request, 0);
        if (!world->lossy || !chance(world, 10))
            push(&world->answers, (message_t){POSITION, request, world->broker, 0, 0, true, false});
    }
    if (!(needs & FW_SYNC_NEEDS_REPLAY))
        return;
    uint64_t request = ++world->last_request;
    fw_position_t since;
    uint32_t limit;
    fw_sync_replay_asked(&world->sync, request, 0, &since, &limit);
    message_t answer = {REPLAY, request, world->broker, since.offset, 0, true, false};
    uint64_t oldest = world->broker.offset > HISTORY ? world->broker.offset - HISTORY : 0;
    if (since.epoch != world->broker.epoch || since.offset < oldest ||
        since.offset > world->broker.offset) {
        answer.reset = true;
    } else {
        uint64_t count = world->broker.offset - since.offset;
        uint64_t most = limit < BATCH ? limit : BATCH;
        answer.count = (uint32_t)(count < most ? count : most);
        answer.complete = answer.count == count;
    }
    if (!world->lossy || !chance(world, 10))
        push(&world->answers, answer);
}

static void observe(world_t *world, unsigned changed)
{
    if (changed & (FW_SYNC_RESET | FW_SYNC_SETTLES) && world->epoch == 0)
        world->cursor = world->sync.ring.base - 1;
    if (changed & FW_SYNC_RESET) {
        world->cursor = world->sync.ring.base - 1;
        world->resets++;
    } else if (world->epoch != 0) {
        assert_int_equal(world->epoch, world->sync.epoch);
    }
    world->epoch = world->sync.epoch;
    uint64_t head = fw_ring_head(&world->sync.ring);
    while (world->epoch != 0 && world->cursor < head) {
        const fw_entry_t *entry = fw_ring_at(&world->sync.ring, world->cursor + 1);
        assert_non_null(entry);
        assert_int_equal(fw_entry_offset(entry), ++world->cursor);
        /* The model writes the epoch where the time of receipt goes. */
        assert_int_equal(fw_entry_received_us(entry), (int64_t)world->epoch);
    }
}

static fw_entry_t *entry_of(uint64_t epoch, uint64_t offset)
{
    fw_exclude_t nobody = {FW_TEXT_NONE, FW_TEXT_NONE};
    return fw_entry_new(offset, bytes_of("{}"), &nobody, (int64_t)epoch);
}

static void deliver(world_t *world, queue_t *queue)
{
    if (queue->first == queue->end)
        return;
    message_t message = queue->messages[queue->first++];
    unsigned changed = 0;
    fw_entry_t *entries[BATCH];
    switch (message.kind) {
    case EVENT:
        entries[0] = entry_of(message.position.epoch, message.position.offset);
        changed = fw_sync_event(&world->sync, &limits, message.position.epoch, &entries[0]);
        break;
    case POSITION:
        changed = fw_sync_position(&world->sync, &limits, message.request, message.position);
        break;
    case REPLAY:
        for (uint32_t i = 0; i < message.count; i++)
            entries[i] = entry_of(message.position.epoch, message.since + 1 + i);
        fw_sync_replay_t replay = {message.request,  message.complete, message.reset,
                                   message.position, entries,          message.count};
        changed = fw_sync_replayed(&world->sync, &limits, &replay);
        break;
    }
    observe(world, changed);
}

static void restart_broker(world_t *world)
{
    world->broker =
        (fw_position_t){world->broker.epoch + 1 + fw_random_below(&world->random, 5), 0};
}

static void lose_link(world_t *world)
{
    world->events.first = world->events.end;
    world->answers.first = world->answers.end;
    fw_sync_link_lost(&world->sync);
    fw_sync_fenced(&world->sync);
    fw_sync_suspect(&world->sync);
}

static void resume(world_t *world)
{
    if (world->sync.state == FW_SYNC_LIVE && world->sync.visible > 0)
        (void)!fw_sync_resume(&world->sync, fw_random_below(&world->random, world->sync.visible));
}

static void step(world_t *world)
{
    unsigned dice = (unsigned)fw_random_below(&world->random, 100);
    if (dice < 35)
        publish(world);
    else if (dice < 60)
        deliver(world, &world->events);
    else if (dice < 75)
        deliver(world, &world->answers);
    else if (dice < 92)
        ask(world);
    else if (dice < 94)
        (void)fw_sync_expire(&world->sync, INT64_MAX / 2);
    else if (dice < 96)
        fw_sync_suspect(&world->sync);
    else if (dice < 98)
        resume(world);
    else if (chance(world, 30))
        restart_broker(world);
    else if (chance(world, 30))
        lose_link(world);
}

static void settle(world_t *world)
{
    world->lossy = false;
    (void)fw_sync_expire(&world->sync, INT64_MAX / 2);
    fw_sync_suspect(&world->sync);
    for (int i = 0; i < 200; i++) {
        ask(world);
        while (world->events.first < world->events.end)
            deliver(world, &world->events);
        while (world->answers.first < world->answers.end)
            deliver(world, &world->answers);
    }
    assert_int_equal(world->sync.epoch, world->broker.epoch);
    assert_int_equal(fw_ring_head(&world->sync.ring), world->broker.offset);
    assert_int_equal(world->cursor, world->broker.offset);
    assert_null(world->sync.repair);
}

static void every_offset_is_seen_once_and_in_order_or_reset(void **state)
{
    (void)state;
    uint64_t resets = 0;
    world_t *world = calloc(1, sizeof *world);
    assert_non_null(world);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        *world = (world_t){.random = {seed}, .broker = {1000, 0}, .lossy = true};
        fw_sync_init(&world->sync);
        fw_sync_fenced(&world->sync);
        for (int i = 0; i < STEPS; i++)
            step(world);
        settle(world);
        resets += world->resets;
        fw_sync_clear(&world->sync);
    }
    print_message("%d seeds, %llu resets\n", SEEDS, (unsigned long long)resets);
    assert_true(resets > SEEDS / 4);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_offset_is_seen_once_and_in_order_or_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
