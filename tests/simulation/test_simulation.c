/* SPDX-License-Identifier: MPL-2.0
 * Goal: whatever links and processes do, no browser is told of an event before its purge, misses
 * one, sees one twice or out of order, without being told; and no publisher is told what is not so.
 * Method: random worlds (world.h), each from its seed; then the same with planted bugs, each of
 * which must be found. FRESHWIRE_SEEDS sets how many worlds there are, FRESHWIRE_SEED runs one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/simulation/world.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 60 };
#else
enum { SEEDS = 500 };
#endif

static uint64_t number_from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void every_promise_is_kept_in_every_world(void **state)
{
    (void)state;
    char violation[256];
    sim_figures_t figures = {0};
    uint64_t only = number_from_environment("FRESHWIRE_SEED", 0);
    uint64_t first = only ? only : 1;
    uint64_t last = only ? only : number_from_environment("FRESHWIRE_SEEDS", SEEDS);
    for (uint64_t seed = first; seed <= last; seed++)
        if (!sim_run(seed, SIM_NO_BUG, &figures, violation, sizeof violation))
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
    print_message(
        "seeds %llu to %llu: %llu events, %llu releases, %llu received, %llu lost frames, "
        "%llu crashes, %llu breaks, %llu replays, %llu resets\n",
        (unsigned long long)first, (unsigned long long)last, (unsigned long long)figures.events,
        (unsigned long long)figures.releases, (unsigned long long)figures.received,
        (unsigned long long)figures.lost, (unsigned long long)figures.crashes,
        (unsigned long long)figures.breaks, (unsigned long long)figures.replays,
        (unsigned long long)figures.resets);
    assert_true(figures.received > 0);
}

static void find(sim_bug_t bug, uint64_t seeds)
{
    char violation[256];
    sim_figures_t figures = {0};
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (!sim_run(seed, bug, &figures, violation, sizeof violation)) {
            print_message("found at seed %llu: %s\n", (unsigned long long)seed, violation);
            return;
        }
    }
    fail_msg("not found in %llu worlds", (unsigned long long)seeds);
}

static void a_missing_fence_is_found(void **state)
{
    (void)state;
    find(SIM_BUG_NO_FENCE, 100);
}

static void a_release_before_the_purge_is_found(void **state)
{
    (void)state;
    find(SIM_BUG_EARLY_RELEASE, 100);
}

static void a_missing_audit_is_found(void **state)
{
    (void)state;
    find(SIM_BUG_NO_AUDIT, 100);
}

static void a_silent_reset_is_found(void **state)
{
    (void)state;
    find(SIM_BUG_SILENT_RESET, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promise_is_kept_in_every_world),
        cmocka_unit_test(a_missing_fence_is_found),
        cmocka_unit_test(a_release_before_the_purge_is_found),
        cmocka_unit_test(a_missing_audit_is_found),
        cmocka_unit_test(a_silent_reset_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
