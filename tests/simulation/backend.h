/* backend.h - the database, the cache in Redis, and the API that reads through it.
 * SPDX-License-Identifier: MPL-2.0
 * The version of an object is the number of the event that changed it last; it is committed when
 * the event is made. The cache is what docs/decisions say of it: an entry carries the stamps that
 * its tag and the cache's epoch had before the load; it is served when both are still the same, and
 * when its fill began after the reader's token. */
#pragma once

#include "runtime/random.h"
#include "tests/simulation/truth.h"

enum { SIM_FILLS_MAX = 64, SIM_RECORD_SIZE = 64 };

typedef struct {
    bool present;
    uint32_t version;
    uint64_t stamp, epoch; /* when the fill began */
    uint64_t started_at;   /* Redis time */
    size_t object;
    int64_t stored_us; /* when the fill arrives */
} sim_entry_t;

typedef struct {
    sim_truth_t *truth;
    fw_random_t random;
    int64_t now_us;
    uint32_t committed[SIM_OBJECTS]; /* the database */
    uint64_t stamps[SIM_OBJECTS];    /* 0 = absent */
    uint64_t epoch;
    uint64_t last_stamp;
    sim_entry_t entries[SIM_OBJECTS];
    sim_entry_t fills[SIM_FILLS_MAX]; /* loaded, and not written yet */
    char record[SIM_RECORD_SIZE];     /* which broker vouches for the cache */
    uint64_t reads, hits, flushes;
} sim_backend_t;

uint64_t sim_redis_time(const sim_backend_t *self);
/* A mutation is committed. */
void sim_backend_commit(sim_backend_t *self, uint32_t number);
/* Reads an object: its version. Token 0 = none; bypass = not from the cache. */
uint32_t sim_backend_read(sim_backend_t *self, size_t object, uint64_t fresh, bool bypass);
/* Fills arrive, others read, something is evicted. */
void sim_backend_run(sim_backend_t *self, int64_t now_us);

/* What a worker does. */
void sim_backend_purge(sim_backend_t *self, uint32_t number);
void sim_backend_flush(sim_backend_t *self);
/* Redis was restarted, and had nothing on disk. */
void sim_backend_empty(sim_backend_t *self);

/* The cache would serve a version older than this one to a reader without a token. */
bool sim_backend_is_stale(const sim_backend_t *self, size_t object, uint32_t version);
