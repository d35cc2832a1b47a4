/* test_jwks_schedule.c - when a key set is fetched.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/jwks_schedule.h"

enum { REFRESH_MS = 600000, COOLDOWN_MS = 10000, KEEP_MS = 86400000, START_MS = 5000 };

static fw_jwks_schedule_t begin(void)
{
    const fw_jwks_times_t times = {REFRESH_MS, COOLDOWN_MS, KEEP_MS};
    return fw_jwks_schedule(&times, 7, START_MS);
}

static void assert_between(int64_t value, int64_t low, int64_t high)
{
    if (value < low || value > high)
        fail_msg("%lld is not in %lld to %lld", (long long)value, (long long)low, (long long)high);
}

static void the_first_fetch_is_due_at_once_and_not_hurried(void **state)
{
    (void)state;
    fw_jwks_schedule_t schedule = begin();
    assert_true(fw_jwks_schedule_is_due(&schedule, START_MS));
    assert_false(fw_jwks_schedule_lapses(&schedule, START_MS + KEEP_MS));
    fw_jwks_schedule_asked(&schedule, START_MS);
    assert_int_equal(fw_jwks_schedule_next_ms(&schedule), START_MS);
}

static void failures_come_at_growing_distances_up_to_a_limit(void **state)
{
    (void)state;
    fw_jwks_schedule_t schedule = begin();
    int64_t now_ms = START_MS;
    for (int i = 0; i < 100; i++) {
        int64_t wait_ms = i < 6 ? (int64_t)COOLDOWN_MS << i : REFRESH_MS;
        if (wait_ms > REFRESH_MS)
            wait_ms = REFRESH_MS;
        fw_jwks_schedule_failed(&schedule, now_ms);
        assert_between(schedule.due_ms - now_ms, wait_ms - wait_ms / 10, wait_ms);
        now_ms = schedule.due_ms;
    }
}

static void the_next_fetch_comes_when_the_server_says_within_bounds(void **state)
{
    (void)state;
    const struct {
        int64_t max_age_s, wait_ms;
    } cases[] = {
        {-1, REFRESH_MS},        {0, COOLDOWN_MS},   {1, COOLDOWN_MS},        {60, 60000},
        {600, REFRESH_MS},       {3600, REFRESH_MS}, {INT64_MAX, REFRESH_MS}, {599, 599000},
        {INT64_MIN, REFRESH_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_jwks_schedule_t schedule = begin();
        fw_jwks_schedule_fetched(&schedule, START_MS, cases[i].max_age_s);
        assert_between(schedule.due_ms - START_MS, cases[i].wait_ms - cases[i].wait_ms / 10,
                       cases[i].wait_ms);
    }
}

static void gateways_that_began_together_do_not_fetch_together(void **state)
{
    (void)state;
    const fw_jwks_times_t times = {REFRESH_MS, COOLDOWN_MS, KEEP_MS};
    int64_t first_ms = 0;
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fw_jwks_schedule_t schedule = fw_jwks_schedule(&times, seed, START_MS);
        fw_jwks_schedule_fetched(&schedule, START_MS, -1);
        if (seed == 0)
            first_ms = schedule.due_ms;
        different += schedule.due_ms != first_ms;
    }
    assert_true(different > 15);
}

static void an_unknown_key_hurries_it_but_not_before_the_cooldown(void **state)
{
    (void)state;
    fw_jwks_schedule_t schedule = begin();
    fw_jwks_schedule_fetched(&schedule, START_MS, -1);
    for (int i = 0; i < 1000; i++)
        fw_jwks_schedule_asked(&schedule, START_MS + i);
    assert_int_equal(fw_jwks_schedule_next_ms(&schedule), START_MS + COOLDOWN_MS);
    /* Long after the last one: at once. */
    fw_jwks_schedule_fetched(&schedule, START_MS, -1);
    fw_jwks_schedule_asked(&schedule, START_MS + 2 * COOLDOWN_MS);
    assert_true(fw_jwks_schedule_is_due(&schedule, START_MS + 2 * COOLDOWN_MS));
    /* And never after it would have come anyway. */
    fw_jwks_schedule_fetched(&schedule, START_MS, 0);
    int64_t due_ms = schedule.due_ms;
    fw_jwks_schedule_asked(&schedule, START_MS);
    assert_true(schedule.due_ms <= due_ms);
}

static void keys_lapse_once_and_only_when_fetches_fail(void **state)
{
    (void)state;
    fw_jwks_schedule_t schedule = begin();
    fw_jwks_schedule_fetched(&schedule, START_MS, -1);
    /* Late, but nothing has failed. */
    assert_false(fw_jwks_schedule_lapses(&schedule, START_MS + KEEP_MS + 1));
    fw_jwks_schedule_failed(&schedule, START_MS + 1000);
    assert_false(fw_jwks_schedule_lapses(&schedule, START_MS + KEEP_MS - 1));
    for (int i = 0; i < 10; i++)
        fw_jwks_schedule_failed(&schedule, START_MS + KEEP_MS - 5);
    assert_int_equal(fw_jwks_schedule_next_ms(&schedule), START_MS + KEEP_MS);
    assert_true(fw_jwks_schedule_lapses(&schedule, START_MS + KEEP_MS));
    assert_false(fw_jwks_schedule_lapses(&schedule, START_MS + KEEP_MS));
    fw_jwks_schedule_fetched(&schedule, START_MS + KEEP_MS, -1);
    assert_false(fw_jwks_schedule_lapses(&schedule, START_MS + 3 * (int64_t)KEEP_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_fetch_is_due_at_once_and_not_hurried),
        cmocka_unit_test(failures_come_at_growing_distances_up_to_a_limit),
        cmocka_unit_test(the_next_fetch_comes_when_the_server_says_within_bounds),
        cmocka_unit_test(gateways_that_began_together_do_not_fetch_together),
        cmocka_unit_test(an_unknown_key_hurries_it_but_not_before_the_cooldown),
        cmocka_unit_test(keys_lapse_once_and_only_when_fetches_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
