/* world.h - broker, workers, gateways, publishers, browsers and the links between them, in one
 * thread and on one clock. SPDX-License-Identifier: MPL-2.0 The broker is the real core with the
 * real store; the gateways are the real hubs, sessions and cursors; messages are the real
 * encodings. Simulated are time, links (loss, delay, duplication, reordering, breaks), crashes and
 * slowness, all from one seed. */
#pragma once

#include "tests/simulation/truth.h"

/* Bugs to plant: the simulation must find each of them. */
typedef enum {
    SIM_NO_BUG,
    SIM_BUG_NO_FENCE,      /* the gateway takes its subscriptions for certain at once */
    SIM_BUG_EARLY_RELEASE, /* the broker tells gateways before the purge */
    SIM_BUG_NO_AUDIT,      /* nobody looks for a lost tail */
    SIM_BUG_SILENT_RESET,  /* browsers are not told of resets */
} sim_bug_t;

typedef struct {
    uint64_t events, releases, received, resets, replays, crashes, breaks, lost;
} sim_figures_t;

/* Runs one world; figures are added to ret_figures. Returns true when every promise was kept, else
 * ret_violation says which was not. */
bool sim_run(uint64_t seed, sim_bug_t bug, sim_figures_t *ret_figures, char *ret_violation,
             size_t size) __attribute__((warn_unused_result));
