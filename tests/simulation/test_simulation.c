/* SPDX-License-Identifier: MPL-2.0
 * Goal: whatever links and processes do, no browser is told of an event before its purge, misses
 * one, sees one twice or out of order, or reads something older than it was told, without being
 * told to fetch anew; and no publisher is told what is not so. Method: random worlds (world.h),
 * each from its seed, on every core; then the same with planted bugs, each of which must be found.
 * FRESHWIRE_SEEDS sets how many worlds there are, FRESHWIRE_FIRST the first; FRESHWIRE_SEED runs
 * one (with FRESHWIRE_BUG, _WITHOUT and _EVENTS as a failure prints them). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "tests/simulation/world.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 60 };
#else
enum { SEEDS = 500 };
#endif

enum { CORES_MAX = 64, BUG_SEEDS = 200, FAILURES_SHOWN = 3, PROGRESS_US = 10 * 1000000 };

static uint64_t number_from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

/* What a core has found so far. */
typedef struct {
    sim_figures_t figures;
    uint64_t failures;
} part_t;

static void tell_failure(sim_options_t options)
{
    static sim_report_t report;
    sim_figures_t figures = {0};
    sim_shrink(&options);
    options.traced = true;
    if (!sim_run(&options, &figures, &report))
        sim_print(&options, &report);
}

static void run_part(uint64_t first, uint64_t last, uint64_t step, bool tells, int to)
{
    static sim_report_t report;
    part_t part = {0};
    int64_t told_us = fw_clock_us();
    for (uint64_t seed = first; seed <= last; seed += step) {
        sim_options_t options = {.seed = seed};
        if (!sim_run(&options, &part.figures, &report) && part.failures++ < FAILURES_SHOWN)
            tell_failure(options);
        if (tells && fw_clock_us() - told_us > PROGRESS_US) {
            told_us = fw_clock_us();
            fprintf(stderr, "simulated %llu of %llu worlds\n", (unsigned long long)seed,
                    (unsigned long long)last);
        }
    }
    _exit(write(to, &part, sizeof part) == (ssize_t)sizeof part ? 0 : 1);
}

static void add(sim_figures_t *to, const sim_figures_t *from)
{
    uint64_t *sums = (uint64_t *)to;
    const uint64_t *numbers = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += numbers[i];
}

static void print_figures(const sim_figures_t *f, double seconds)
{
    print_message("%llu worlds in %.1f s: %llu events (%llu fire and forget), %llu releases (%llu "
                  "unconfirmed), %llu received, %llu lost frames\n",
                  (unsigned long long)f->worlds, seconds, (unsigned long long)f->events,
                  (unsigned long long)f->fired, (unsigned long long)f->releases,
                  (unsigned long long)f->unconfirmed, (unsigned long long)f->received,
                  (unsigned long long)f->lost);
    print_message("%llu crashes, %llu clean stops, %llu breaks, %llu replays, %llu resets (%llu in "
                  "doubt); fire and forget: %llu repaired, %llu given up\n",
                  (unsigned long long)f->crashes, (unsigned long long)f->stops,
                  (unsigned long long)f->breaks, (unsigned long long)f->replays,
                  (unsigned long long)f->resets, (unsigned long long)f->doubtful,
                  (unsigned long long)f->repaired, (unsigned long long)f->given_up);
    print_message("cache: %llu flushes, %llu reads, %llu hits, %llu reads while a purge was owed\n",
                  (unsigned long long)f->flushes, (unsigned long long)f->reads,
                  (unsigned long long)f->hits, (unsigned long long)f->excused);
}

static uint64_t run_all(uint64_t first, uint64_t count, sim_figures_t *ret_figures)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t step = cores < 1 ? 1 : cores > CORES_MAX ? CORES_MAX : (uint64_t)cores;
    uint64_t failures = 0;
    int from[CORES_MAX];
    for (uint64_t i = 0; i < step; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        (void)fflush(NULL);
        pid_t pid = fork();
        if (pid == 0)
            run_part(first + i, first + count - 1, step, i == 0, ends[1]);
        assert_true(pid > 0);
        close(ends[1]);
        from[i] = ends[0];
    }
    for (uint64_t i = 0; i < step; i++) {
        part_t part;
        assert_int_equal(read(from[i], &part, sizeof part), sizeof part);
        close(from[i]);
        add(ret_figures, &part.figures);
        failures += part.failures;
    }
    while (wait(NULL) > 0)
        ;
    return failures;
}

static void every_promise_is_kept_in_every_world(void **state)
{
    (void)state;
    sim_figures_t figures = {0};
    int64_t began_us = fw_clock_us();
    uint64_t failures = run_all(number_from_environment("FRESHWIRE_FIRST", 1),
                                number_from_environment("FRESHWIRE_SEEDS", SEEDS), &figures);
    print_figures(&figures, (double)(fw_clock_us() - began_us) / 1e6);
    if (failures > 0)
        fail_msg("%llu worlds in which a promise was broken", (unsigned long long)failures);
    assert_true(figures.received > 0);
    assert_true(figures.hits > 0);
    assert_true(figures.unconfirmed > 0);
    assert_true(figures.given_up > 0);
    assert_true(figures.doubtful > 0);
}

static void a_planted_bug_is_found(void **state)
{
    static sim_report_t report;
    const sim_bug_t *bug = *state;
    sim_figures_t figures = {0};
    for (uint64_t seed = 1; seed <= BUG_SEEDS; seed++) {
        sim_options_t options = {.seed = seed, .bug = *bug};
        if (!sim_run(&options, &figures, &report)) {
            print_message("%s: found at seed %llu: %s\n", sim_bug_name(*bug),
                          (unsigned long long)seed, report.violation);
            return;
        }
    }
    fail_msg("not found in %d worlds", BUG_SEEDS);
}

static int run_one(uint64_t seed)
{
    static sim_report_t report;
    const char *bug = getenv("FRESHWIRE_BUG");
    sim_figures_t figures = {0};
    sim_options_t options = {.seed = seed,
                             .without = (unsigned)number_from_environment("FRESHWIRE_WITHOUT", 0),
                             .events_max = (uint32_t)number_from_environment("FRESHWIRE_EVENTS", 0),
                             .traced = true,
                             .told = true};
    for (sim_bug_t i = SIM_NO_BUG; bug && i < SIM_BUGS; i++)
        if (strcmp(bug, sim_bug_name(i)) == 0)
            options.bug = i;
    bool kept = sim_run(&options, &figures, &report);
    sim_print(&options, &report);
    return kept ? 0 : 1;
}

int main(void)
{
    static sim_bug_t bugs[SIM_BUGS];
    static char names[SIM_BUGS][64];
    struct CMUnitTest tests[SIM_BUGS];
    if (getenv("FRESHWIRE_SEED"))
        return run_one(number_from_environment("FRESHWIRE_SEED", 1));
    tests[0] = (struct CMUnitTest)cmocka_unit_test(every_promise_is_kept_in_every_world);
    for (sim_bug_t bug = SIM_NO_BUG + 1; bug < SIM_BUGS; bug++) {
        bugs[bug] = bug;
        (void)snprintf(names[bug], sizeof names[bug], "planted_bug_is_found: %s",
                       sim_bug_name(bug));
        tests[bug] =
            (struct CMUnitTest){names[bug], a_planted_bug_is_found, NULL, NULL, &bugs[bug]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
