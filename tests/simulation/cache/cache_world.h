/* cache_world.h - readers, fillers, purges and faults, one Redis command at a time.
 * SPDX-License-Identifier: MPL-2.0 The seed decides everything. What is checked after every read is
 * the promise itself: a read that starts after the purge of version n was confirmed is not served
 * anything older than n from the cache. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    READ_OURS,
    /* Known to be wrong: each must be caught. */
    READ_NAIVE,            /* GET, load, SET; a purge deletes the key */
    READ_MEMBERS_AFTER,    /* SET, then SADD to the tag; a purge SPOPs and UNLINKs (cashews) */
    READ_MEMBERS_BEFORE,   /* SADD, then SET; a purge deletes members and set (Laravel once) */
    READ_WITHOUT_LEASE,    /* ours, but the store does not compare */
    READ_ONE_LEASE,        /* ours, but every reader has the same lease (rueidisaside) */
    READ_STAMPS_AFTER,     /* ours, but the stamps are those found after the load */
    READ_MISSING_IS_ZERO,  /* ours, but a stamp that is missing starts again at 1, as INCR does */
    READ_WITHOUT_EPOCH,    /* ours, but the epoch is not looked at */
    READ_WITHOUT_TOKEN,    /* ours, but the freshness token is dropped */
    READ_WITHOUT_HOLD_OFF, /* ours, but loads lag behind and nobody says so */
    READ_WITHOUT_MARGIN,   /* ours, but clocks differ and nobody says so */
    READ_ALGORITHMS
} read_algorithm_t;

typedef struct {
    read_algorithm_t algorithm;
    bool evictions;
    bool expiry;    /* entries, stamps and leases run out soon */
    bool failovers; /* the last writes are lost; tokens, and later an epoch, make up for it */
    bool skew;      /* after a failover the clock is another one; there is a margin */
    bool lag;       /* loads read replicas that are behind; there is a hold-off */
    bool crashes;   /* of readers and of workers, between any two commands */
    bool cuts;      /* connections are lost: replies never come */
    bool forgets;   /* scripts are lost */
    bool slow;      /* loads take long */
    bool cluster;   /* one key a command */
} cache_scenario_t;

typedef struct {
    uint64_t reads, hits, checked, stored, rejected, purges, failovers, evictions, crashes, cuts;
} cache_figures_t;

/* Any of the faults, drawn from the seed. */
cache_scenario_t cache_world_any(uint64_t seed);
/* Runs one world. False when the promise was broken; then violation says how. Figures are added. */
bool cache_world_run(uint64_t seed, const cache_scenario_t *scenario, cache_figures_t *figures,
                     char *violation, size_t violation_size);
