/* SPDX-License-Identifier: MPL-2.0
 * Goal: whatever readers, purges and Redis do, and in whatever order, nobody is served what was
 * purged before he asked. Method: random worlds (cache_world.h), one Redis command at a time; then
 * algorithms that are known to be wrong, each of which must be caught, or the worlds are too tame.
 * FRESHWIRE_CACHE_SEEDS sets how many worlds there are (sanitizers take a tenth), FRESHWIRE_SEED
 * runs one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/simulation/cache/cache_world.h"

static const uint64_t seeds_default = 1000;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t slower = 10;
#else
static const uint64_t slower = 1;
#endif
enum { CONTROL_SEEDS = 300 };

static uint64_t number_from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void print_figures(const cache_figures_t *figures)
{
    print_message("%llu reads (%llu must not be stale), %llu hits, %llu stored, %llu rejected by "
                  "token, %llu purges, %llu failovers, %llu evictions, %llu crashes, %llu cuts\n",
                  (unsigned long long)figures->reads, (unsigned long long)figures->checked,
                  (unsigned long long)figures->hits, (unsigned long long)figures->stored,
                  (unsigned long long)figures->rejected, (unsigned long long)figures->purges,
                  (unsigned long long)figures->failovers, (unsigned long long)figures->evictions,
                  (unsigned long long)figures->crashes, (unsigned long long)figures->cuts);
}

static void nothing_stale_is_served_in_any_world(void **state)
{
    (void)state;
    char violation[256];
    cache_figures_t figures = {0};
    uint64_t only = number_from_environment("FRESHWIRE_SEED", 0);
    uint64_t first = only ? only : 1;
    uint64_t last = number_from_environment("FRESHWIRE_CACHE_SEEDS", seeds_default) / slower;
    last = only ? only : last;
    for (uint64_t seed = first; seed <= last; seed++) {
        cache_scenario_t scenario = cache_world_any(seed);
        if (!cache_world_run(seed, &scenario, &figures, violation, sizeof(violation))) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
        }
    }
    print_message("seeds %llu to %llu: ", (unsigned long long)first, (unsigned long long)last);
    print_figures(&figures);
    assert_true(only || 100 * figures.hits > 10 * figures.reads);
}

/* Never to cache at all would be never stale too. */
static void a_calm_world_is_served_from_the_cache(void **state)
{
    (void)state;
    char violation[256];
    cache_figures_t figures = {0};
    const cache_scenario_t calm = {.algorithm = READ_OURS};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        if (!cache_world_run(seed, &calm, &figures, violation, sizeof(violation))) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
        }
    }
    print_figures(&figures);
    assert_int_equal(figures.failovers + figures.evictions + figures.crashes + figures.cuts, 0);
    assert_true(100 * figures.hits > 40 * figures.reads);
}

static void find_in(uint64_t seeds, cache_scenario_t scenario)
{
    char violation[256];
    cache_figures_t figures = {0};
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (!cache_world_run(seed, &scenario, &figures, violation, sizeof(violation))) {
            print_message("caught at seed %llu: %s\n", (unsigned long long)seed, violation);
            return;
        }
    }
    fail_msg("not caught in %llu worlds", (unsigned long long)seeds);
}

static void find(cache_scenario_t scenario)
{
    find_in(CONTROL_SEEDS, scenario);
}

static void set_after_delete_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_NAIVE});
}

static void tag_members_added_after_the_value_are_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_MEMBERS_AFTER});
}

static void tag_members_added_before_the_value_are_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_MEMBERS_BEFORE});
}

static void a_store_without_compare_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_WITHOUT_LEASE});
}

static void one_lease_for_all_readers_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_ONE_LEASE, .slow = true});
}

static void stamps_captured_after_the_load_are_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_STAMPS_AFTER});
}

static void a_missing_stamp_that_counts_from_zero_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_MISSING_IS_ZERO, .evictions = true});
}

static void an_epoch_that_is_not_looked_at_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_WITHOUT_EPOCH});
}

static void an_epoch_that_is_not_looked_at_after_a_failover_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_WITHOUT_EPOCH, .failovers = true});
}

static void a_failover_without_the_token_is_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_WITHOUT_TOKEN, .failovers = true});
}

static void lagging_loads_without_hold_off_are_caught(void **state)
{
    (void)state;
    find((cache_scenario_t){.algorithm = READ_WITHOUT_HOLD_OFF, .lag = true});
}

static void differing_clocks_without_margin_are_caught(void **state)
{
    (void)state;
    /* Takes two failovers and a purge between them, within what the clocks differ. */
    find_in(3000,
            (cache_scenario_t){
                .algorithm = READ_WITHOUT_MARGIN, .failovers = true, .skew = true, .slow = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_after_delete_is_caught),
        cmocka_unit_test(tag_members_added_after_the_value_are_caught),
        cmocka_unit_test(tag_members_added_before_the_value_are_caught),
        cmocka_unit_test(a_store_without_compare_is_caught),
        cmocka_unit_test(one_lease_for_all_readers_is_caught),
        cmocka_unit_test(stamps_captured_after_the_load_are_caught),
        cmocka_unit_test(a_missing_stamp_that_counts_from_zero_is_caught),
        cmocka_unit_test(an_epoch_that_is_not_looked_at_is_caught),
        cmocka_unit_test(an_epoch_that_is_not_looked_at_after_a_failover_is_caught),
        cmocka_unit_test(a_failover_without_the_token_is_caught),
        cmocka_unit_test(lagging_loads_without_hold_off_are_caught),
        cmocka_unit_test(differing_clocks_without_margin_are_caught),
        cmocka_unit_test(nothing_stale_is_served_in_any_world),
        cmocka_unit_test(a_calm_world_is_served_from_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
