/* SPDX-License-Identifier: MPL-2.0
 * Per channel, events leave in offset order and only when ready; channels do not hold up each
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/barrier.h"
#include "runtime/random.h"

typedef struct {
    fw_held_t *left[64];
    size_t count;
} log_t;

static void note(void *context, fw_held_t *held)
{
    log_t *log = context;
    log->left[log->count++] = held;
}

static fw_held_t make(const char *channel, uint64_t offset, bool ready)
{
    return (fw_held_t){.channel = fw_text(channel), .position = {1, offset}, .ready = ready};
}

static void a_ready_event_with_nobody_before_it_leaves_at_once(void **state)
{
    (void)state;
    log_t log = {0};
    fw_barrier_t *barrier = fw_barrier_new(note, &log);
    fw_held_t held = make("room:1", 1, true);
    fw_barrier_enter(barrier, &held);
    assert_int_equal(log.count, 1);
    assert_int_equal(fw_barrier_count(barrier), 0);
    fw_barrier_destroy(&barrier);
}

static void a_ready_event_waits_for_the_one_before_it(void **state)
{
    (void)state;
    log_t log = {0};
    fw_barrier_t *barrier = fw_barrier_new(note, &log);
    fw_held_t first = make("room:1", 1, false);
    fw_held_t second = make("room:1", 2, true);
    fw_barrier_enter(barrier, &first);
    fw_barrier_enter(barrier, &second);
    assert_int_equal(log.count, 0);
    assert_int_equal(fw_barrier_count(barrier), 2);
    fw_barrier_ready(barrier, &first);
    assert_int_equal(log.count, 2);
    assert_ptr_equal(log.left[0], &first);
    assert_ptr_equal(log.left[1], &second);
    fw_barrier_destroy(&barrier);
}

static void another_channel_is_not_held_up(void **state)
{
    (void)state;
    log_t log = {0};
    fw_barrier_t *barrier = fw_barrier_new(note, &log);
    fw_held_t slow = make("room:1", 1, false);
    fw_held_t other = make("room:2", 1, true);
    fw_barrier_enter(barrier, &slow);
    fw_barrier_enter(barrier, &other);
    assert_int_equal(log.count, 1);
    assert_ptr_equal(log.left[0], &other);
    fw_barrier_destroy(&barrier);
}

static void one_that_becomes_ready_behind_another_stays(void **state)
{
    (void)state;
    log_t log = {0};
    fw_barrier_t *barrier = fw_barrier_new(note, &log);
    fw_held_t first = make("broadcast", 4, false);
    fw_held_t second = make("broadcast", 5, false);
    fw_barrier_enter(barrier, &first);
    fw_barrier_enter(barrier, &second);
    fw_barrier_ready(barrier, &second);
    assert_int_equal(log.count, 0);
    fw_barrier_ready(barrier, &first);
    assert_int_equal(log.count, 2);
    fw_barrier_destroy(&barrier);
}

typedef struct {
    fw_barrier_t *barrier;
    fw_held_t *next;
    size_t count;
} chain_t;

static void enter_next(void *context, fw_held_t *held)
{
    chain_t *chain = context;
    chain->count++;
    if (held->position.offset == 1)
        fw_barrier_enter(chain->barrier, chain->next);
}

static void an_event_may_enter_while_another_leaves(void **state)
{
    (void)state;
    fw_held_t first = make("room:1", 1, false);
    fw_held_t second = make("room:1", 2, true);
    chain_t chain = {.next = &second};
    chain.barrier = fw_barrier_new(enter_next, &chain);
    fw_barrier_enter(chain.barrier, &first);
    fw_barrier_ready(chain.barrier, &first);
    assert_int_equal(chain.count, 2);
    assert_int_equal(fw_barrier_count(chain.barrier), 0);
    fw_barrier_destroy(&chain.barrier);
}

enum { CHANNELS = 5, EVENTS = 4000 };

typedef struct {
    uint64_t released[CHANNELS];
    size_t count;
} order_t;

static void check_order(void *context, fw_held_t *held)
{
    order_t *order = context;
    size_t channel = (size_t)(held->channel.text[5] - '0');
    assert_int_equal(held->position.offset, order->released[channel] + 1);
    order->released[channel]++;
    order->count++;
}

static void every_event_leaves_once_and_in_order_whatever_becomes_ready_first(void **state)
{
    (void)state;
    static const char *const names[CHANNELS] = {"room:0", "room:1", "room:2", "room:3", "room:4"};
    static fw_held_t held[EVENTS];
    const uint64_t seed = 7;
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    uint64_t offsets[CHANNELS] = {0};
    order_t order = {0};
    fw_barrier_t *barrier = fw_barrier_new(check_order, &order);
    size_t entered = 0;
    while (order.count < EVENTS) {
        if (entered < EVENTS && fw_random_below(&random, 2)) {
            size_t channel = fw_random_below(&random, CHANNELS);
            bool ready = fw_random_below(&random, 3) == 0;
            held[entered] = make(names[channel], ++offsets[channel], ready);
            fw_barrier_enter(barrier, &held[entered++]);
        } else if (entered > 0) {
            size_t from = entered == EVENTS ? 0 : entered - fw_random_below(&random, entered) - 1;
            for (size_t i = from; i < entered; i++) {
                if (held[i].queue && !held[i].ready) {
                    fw_barrier_ready(barrier, &held[i]);
                    break;
                }
            }
        }
    }
    assert_int_equal(fw_barrier_count(barrier), 0);
    fw_barrier_destroy(&barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_event_with_nobody_before_it_leaves_at_once),
        cmocka_unit_test(a_ready_event_waits_for_the_one_before_it),
        cmocka_unit_test(another_channel_is_not_held_up),
        cmocka_unit_test(one_that_becomes_ready_behind_another_stays),
        cmocka_unit_test(an_event_may_enter_while_another_leaves),
        cmocka_unit_test(every_event_leaves_once_and_in_order_whatever_becomes_ready_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
