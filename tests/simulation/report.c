/* report.c - a failing world is made small and told.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>

#include "tests/simulation/world.h"

static const char *const bug_names[SIM_BUGS] = {
    [SIM_NO_BUG] = "none",
    [SIM_BUG_NO_FENCE] = "no-fence",
    [SIM_BUG_EARLY_RELEASE] = "early-release",
    [SIM_BUG_NO_AUDIT] = "no-audit",
    [SIM_BUG_SILENT_RESET] = "silent-reset",
    [SIM_BUG_REPLAY_PAST_VISIBLE] = "replay-past-visible",
    [SIM_BUG_LATE_PURGE] = "late-purge",
    [SIM_BUG_UNMARKED] = "unmarked",
    [SIM_BUG_NO_OPEN] = "no-open",
    [SIM_BUG_EARLY_ANSWER] = "early-answer",
    [SIM_BUG_CLOSED_OWING] = "closed-owing",
    [SIM_BUG_NO_FLUSH] = "no-flush",
    [SIM_BUG_TWICE] = "twice",
    [SIM_BUG_NEW_ID] = "new-id",
    [SIM_BUG_NO_MARKS] = "no-marks",
    [SIM_BUG_SILENT_LOSS] = "silent-loss",
};

static const char *const fault_names[SIM_FAULTS] = {
    "loss", "broker-crash", "broker-stop",  "gateway-crash", "gateway-slow",
    "link", "browser",      "browser-slow", "worker",        "redis"};

const char *sim_bug_name(sim_bug_t bug)
{
    return bug_names[bug];
}

static bool fails(const sim_options_t *options)
{
    sim_figures_t figures = {0};
    sim_report_t report;
    return !sim_run(options, &figures, &report);
}

/* Leaves out one kind of fault after the other, then events at the end, as long as it still fails:
 * maybe for another reason, which is as good. */
void sim_shrink(sim_options_t *options)
{
    sim_options_t smaller = *options;
    for (unsigned i = 0; i < SIM_FAULTS; i++) {
        smaller.without = options->without | 1U << i;
        if (fails(&smaller))
            options->without = smaller.without;
    }
    smaller = *options;
    for (uint32_t step = 256; step > 0; step /= 2) {
        uint32_t most = options->events_max > 0 ? options->events_max : 512;
        smaller.events_max = most > step ? most - step : most;
        while (smaller.events_max < most && fails(&smaller)) {
            options->events_max = most = smaller.events_max;
            smaller.events_max = most > step ? most - step : most;
        }
    }
}

void sim_print(const sim_options_t *options, const sim_report_t *report)
{
    size_t first = report->lines > SIM_TRACE_LINES ? report->lines - SIM_TRACE_LINES : 0;
    printf("seed %llu, planted bug %s: %s\n", (unsigned long long)options->seed,
           sim_bug_name(options->bug), report->violation);
    printf("faults left out:");
    for (unsigned i = 0; i < SIM_FAULTS; i++)
        if (options->without & 1U << i)
            printf(" %s", fault_names[i]);
    printf("; events at most: %u\n", options->events_max);
    for (size_t i = first; i < report->lines && !options->told; i++)
        printf("  %s\n", report->trace[i % SIM_TRACE_LINES]);
    printf("again: FRESHWIRE_SEED=%llu FRESHWIRE_WITHOUT=%u FRESHWIRE_EVENTS=%u FRESHWIRE_BUG=%s\n",
           (unsigned long long)options->seed, options->without, options->events_max,
           sim_bug_name(options->bug));
    (void)fflush(stdout);
}
