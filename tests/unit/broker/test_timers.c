/* SPDX-License-Identifier: MPL-2.0
 * The heap of timers gives them back in order, whatever was set, moved and cancelled before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/timers.h"
#include "runtime/random.h"

enum { TIMERS = 200, STEPS = 20000 };

static void gives_nothing_when_empty(void **state)
{
    (void)state;
    fw_timers_t *timers = fw_timers_new();
    assert_null(fw_timers_expire(timers, INT64_MAX));
    assert_int_equal(fw_timers_next_us(timers), INT64_MAX);
    fw_timers_destroy(&timers);
    assert_null(timers);
    fw_timers_destroy(&timers);
}

static void cancelling_a_timer_that_is_not_set_does_nothing(void **state)
{
    (void)state;
    int owner;
    fw_timer_t timer = {.owner = &owner};
    fw_timers_t *timers = fw_timers_new();
    fw_timers_cancel(timers, &timer);
    assert_int_equal(fw_timers_count(timers), 0);
    fw_timers_destroy(&timers);
}

static void does_not_give_a_timer_before_it_is_due(void **state)
{
    (void)state;
    int owner;
    fw_timer_t timer = {.owner = &owner};
    fw_timers_t *timers = fw_timers_new();
    fw_timers_set(timers, &timer, 100);
    assert_null(fw_timers_expire(timers, 99));
    assert_ptr_equal(fw_timers_expire(timers, 100), &timer);
    assert_null(fw_timers_expire(timers, 100));
    fw_timers_destroy(&timers);
}

static int64_t earliest(const fw_timer_t *timers)
{
    int64_t due = INT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (timers[i].place && timers[i].due_us < due)
            due = timers[i].due_us;
    return due;
}

static void agrees_with_a_list_after_random_steps(void **state)
{
    (void)state;
    const uint64_t seed = 20261122;
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    fw_timer_t list[TIMERS] = {0};
    fw_timers_t *timers = fw_timers_new();
    for (int i = 0; i < TIMERS; i++)
        list[i].owner = &list[i];
    for (int step = 0; step < STEPS; step++) {
        fw_timer_t *timer = &list[fw_random_below(&random, TIMERS)];
        switch (fw_random_below(&random, 4)) {
        case 0:
            fw_timers_cancel(timers, timer);
            break;
        case 1: {
            int64_t due = earliest(list);
            fw_timer_t *expired = fw_timers_expire(timers, due == INT64_MAX ? 0 : due);
            assert_true(due == INT64_MAX ? !expired : expired && expired->due_us == due);
            break;
        }
        default:
            fw_timers_set(timers, timer, (int64_t)fw_random_below(&random, 1000));
        }
        assert_int_equal(fw_timers_next_us(timers), earliest(list));
    }
    fw_timers_destroy(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_nothing_when_empty),
        cmocka_unit_test(cancelling_a_timer_that_is_not_set_does_nothing),
        cmocka_unit_test(does_not_give_a_timer_before_it_is_due),
        cmocka_unit_test(agrees_with_a_list_after_random_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
