/* cache_state.h - what the files of the cache's world share.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "cache/purge.h"
#include "cache/read.h"
#include "runtime/random.h"
#include "tests/simulation/cache/cache_world.h"
#include "tests/simulation/cache/redis_model.h"

enum {
    OBJECTS = 3,
    TASKS = 12,
    EVENTS_MAX = 256,
    REPLIES_MAX = 10,
    PAYLOAD_SIZE = 5,
    LAG_US = 60000,
    MARGIN_US = 200000,
};

typedef enum { TASK_FREE, TASK_READ, TASK_PURGE } task_kind_t;

/* What a mutation makes stale. */
typedef enum {
    PURGE_TAG,
    PURGE_ALL, /* a tag that every object has */
    PURGE_PREFIX,
    PURGE_KEY,
    PURGE_BOTH, /* tag and key */
    PURGE_EPOCH,
    PURGE_KINDS
} purge_kind_t;

typedef struct {
    unsigned object;
    unsigned version;
    purge_kind_t kind;
    bool confirmed;
} event_t;

typedef struct {
    task_kind_t kind;
    uint64_t wake_us;
    /* One round trip. */
    uint32_t ran; /* bit set of the commands that have been run */
    model_reply_t replies[REPLIES_MAX];
    bool cut;            /* its connection is lost: the replies never come */
    uint64_t generation; /* failovers when it began */
    /* A read. */
    unsigned object;
    unsigned floor; /* what it must not be older than */
    bool told;      /* it brings a freshness token */
    bool bypass;
    fw_cache_read_t *read;
    unsigned phase; /* of a load, or of an algorithm that is not ours */
    unsigned version;
    /* A purge. */
    fw_cache_purge_t *purge;
    size_t event; /* EVENTS_MAX: the recovery after a failover */
    uint32_t members;
} task_t;

typedef struct {
    cache_scenario_t scenario;
    fw_random_t random;
    fw_cache_rules_t rules;
    uint64_t now_us; /* everybody's clock but Redis' */
    redis_model_t redis;
    redis_model_t replica; /* what a failover would go back to */
    uint64_t failovers;
    bool window; /* since a failover, and until the epoch was raised after it */
    bool quiet;  /* nothing goes wrong any more */
    unsigned versions[OBJECTS];
    uint64_t committed_us[OBJECTS][EVENTS_MAX + 1];
    unsigned confirmed[OBJECTS];        /* version whose purge was confirmed */
    unsigned confirmed_by_tag[OBJECTS]; /* by a stamp, not only by a key */
    uint64_t tokens[OBJECTS];           /* the newest freshness token */
    event_t events[EVENTS_MAX];
    size_t events_count;
    task_t tasks[TASKS];
    cache_figures_t *figures;
    bool broken;
    char *violation;
    size_t violation_size;
} world_t;

uint64_t cache_draw(world_t *world, uint64_t bound); /* uniform in [0, bound) */
bool cache_chance(world_t *world, uint64_t one_in);  /* true once in so many */
fw_text_t cache_object_key(unsigned object);
fw_text_t cache_object_tag(unsigned object);
void cache_broken(world_t *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Which of the count commands of a round trip is run next; marks it. */
size_t cache_next_command(world_t *world, task_t *task, size_t count);
/* Runs one command of a machine, as the algorithm under test would. */
void cache_run(world_t *world, const fw_cache_command_t *command, model_reply_t *ret_reply);

/* One step of a reader: one Redis command, or a part of a load. cache_read_start may refuse. */
void cache_read_start(world_t *world, task_t *task, unsigned object);
void cache_read_advance(world_t *world, task_t *task);
/* The same for a purge of event, or EVENTS_MAX. */
void cache_purge_start(world_t *world, task_t *task, size_t event);
void cache_purge_advance(world_t *world, task_t *task);
void cache_task_free(task_t *task);
