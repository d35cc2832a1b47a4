/* test_backoff.c - waits grow to the cap, are spread, and never overflow. SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/backoff.h"

static int64_t limit_of(unsigned attempt)
{
    int64_t limit = attempt < 40 ? INT64_C(100) << attempt : 8000;
    return limit < 8000 ? limit : 8000;
}

static void a_thousand_failures_stay_between_floor_and_cap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fw_backoff_t backoff = fw_backoff_make(50, 100, 8000, seed);
        for (unsigned i = 0; i < 1000; i++) {
            int64_t wait = fw_backoff_next_ms(&backoff);
            assert_true(wait >= 50);
            assert_true(wait <= limit_of(i));
        }
    }
}

static void a_cap_near_the_largest_number_does_not_overflow(void **state)
{
    (void)state;
    fw_backoff_t backoff = fw_backoff_make(0, INT64_MAX / 2, INT64_MAX - 1, 7);
    for (unsigned i = 0; i < 200; i++)
        assert_true(fw_backoff_next_ms(&backoff) >= 0);
}

static void waits_are_spread_over_the_whole_range(void **state)
{
    (void)state;
    unsigned low = 0;
    unsigned high = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        fw_backoff_t backoff = fw_backoff_make(0, 1000, 1000, seed);
        int64_t wait = fw_backoff_next_ms(&backoff);
        low += wait < 250;
        high += wait > 750;
    }
    assert_in_range(low, 180, 320);
    assert_in_range(high, 180, 320);
}

static void a_success_begins_anew(void **state)
{
    (void)state;
    fw_backoff_t backoff = fw_backoff_make(0, 10, 100000, 3);
    for (unsigned i = 0; i < 20; i++)
        (void)fw_backoff_next_ms(&backoff);
    fw_backoff_reset(&backoff);
    assert_int_equal(backoff.attempt, 0);
    assert_true(fw_backoff_next_ms(&backoff) <= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_failures_stay_between_floor_and_cap),
        cmocka_unit_test(a_cap_near_the_largest_number_does_not_overflow),
        cmocka_unit_test(waits_are_spread_over_the_whole_range),
        cmocka_unit_test(a_success_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
