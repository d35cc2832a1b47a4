/* world.h - broker, workers, cache, gateways, publishers, browsers and the links between them, in
 * one thread and on one clock. SPDX-License-Identifier: MPL-2.0
 * The broker is the real core with the real store, the real gaps of the fire-and-forget link and
 * the real rules of the cache's record; the gateways are the real hubs, sessions and cursors;
 * messages are the real encodings. Simulated are time, links (loss, delay, duplication, reordering,
 * breaks), crashes, clean restarts and slowness, the cache and those who read through it, all from
 * one seed. */
#pragma once

#include "tests/simulation/truth.h"

/* Bugs to plant, all of them in the simulation's own layers: it must find each of them. */
typedef enum {
    SIM_NO_BUG,
    SIM_BUG_NO_FENCE,            /* the gateway takes its subscriptions for certain at once */
    SIM_BUG_EARLY_RELEASE,       /* the broker tells gateways before the purge */
    SIM_BUG_NO_AUDIT,            /* nobody looks for a lost tail */
    SIM_BUG_SILENT_RESET,        /* browsers are not told of resets */
    SIM_BUG_REPLAY_PAST_VISIBLE, /* a replay includes what is not released yet */
    SIM_BUG_LATE_PURGE,          /* a worker answers first and purges then */
    SIM_BUG_UNMARKED,            /* what is not confirmed is released as if it were */
    SIM_BUG_NO_OPEN,             /* a broker that crashed leaves the cache as it is */
    SIM_BUG_EARLY_ANSWER,        /* gateways reset before the cache is opened, without a mark */
    SIM_BUG_CLOSED_OWING,        /* a broker that crashed is taken for one that ended cleanly */
    SIM_BUG_NO_FLUSH,            /* purges are given up and the cache is not flushed */
    SIM_BUG_TWICE,               /* a browser is sent an event twice */
    SIM_BUG_NEW_ID,              /* a publisher's retry is another event */
    SIM_BUG_NO_MARKS,            /* a fire-and-forget publisher does not say how far it counted */
    SIM_BUG_SILENT_LOSS,         /* what is lost on the fire-and-forget link is only counted */
    SIM_BUGS,
} sim_bug_t;

const char *sim_bug_name(sim_bug_t bug);

/* Kinds of faults, each of which can be left out: that is how a failure is made small. */
enum {
    SIM_FAULT_LOSS = 1 << 0,          /* and duplication, and reordering */
    SIM_FAULT_BROKER_CRASH = 1 << 1,  /* without a goodbye */
    SIM_FAULT_BROKER_STOP = 1 << 2,   /* clean */
    SIM_FAULT_GATEWAY_CRASH = 1 << 3, /* */
    SIM_FAULT_GATEWAY_SLOW = 1 << 4,  /* does not read; the event link overflows */
    SIM_FAULT_LINK = 1 << 5,          /* between gateway and broker */
    SIM_FAULT_BROWSER = 1 << 6,       /* leaves and comes back */
    SIM_FAULT_BROWSER_SLOW = 1 << 7,  /* its socket does not drain */
    SIM_FAULT_WORKER = 1 << 8,        /* crashes, hangs, answers late */
    SIM_FAULT_REDIS = 1 << 9,         /* away for a while, or restarted empty */
    SIM_FAULTS = 10,
};

typedef struct {
    uint64_t seed;
    sim_bug_t bug;
    unsigned without;    /* set of SIM_FAULT_ */
    uint32_t events_max; /* 0 = as many as there are */
    bool traced;         /* the last lines are kept for the report */
    bool told;           /* every line is printed */
} sim_options_t;

typedef struct {
    uint64_t worlds, events, fired, releases, unconfirmed, received, resets, doubtful, replays,
        crashes, stops, breaks, lost, repaired, given_up, flushes, reads, hits, excused;
} sim_figures_t;

enum { SIM_TRACE_LINES = 48, SIM_TRACE_SIZE = 120 };

typedef struct {
    char violation[256]; /* empty = every promise was kept */
    size_t lines;        /* of the trace, of which the last SIM_TRACE_LINES are kept */
    char trace[SIM_TRACE_LINES][SIM_TRACE_SIZE];
} sim_report_t;

/* Runs one world; figures are added to ret_figures. True when every promise was kept. */
bool sim_run(const sim_options_t *options, sim_figures_t *ret_figures, sim_report_t *ret_report)
    __attribute__((warn_unused_result));
/* Of a failing world: leaves out what is not needed for it to fail. */
void sim_shrink(sim_options_t *options);
void sim_print(const sim_options_t *options, const sim_report_t *report);
