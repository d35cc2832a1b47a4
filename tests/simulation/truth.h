/* truth.h - what really happened, to hold every claim against.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/codec.h"

enum {
    SIM_CHANNELS = 5,
    SIM_OBJECTS = 40, /* object o is shown in channel o % SIM_CHANNELS */
    SIM_EVENTS_MAX = 2048,
    SIM_ERAS_MAX = 64,
};

/* One released event of one channel. */
typedef struct {
    uint64_t epoch, offset;
    uint32_t number; /* of the event */
    uint32_t life;   /* of the broker */
} sim_release_t;

/* An epoch of a channel was told in this era. */
typedef struct {
    uint64_t epoch;
    uint32_t era;
} sim_epoch_t;

typedef struct {
    bool purges;         /* it changes its object, and invalidates it */
    bool unconfirmed;    /* was released so in some channel */
    bool acknowledged;   /* its publisher was told that it is in */
    bool released, lost; /* in some channel; declared lost on the fire-and-forget link */
    size_t object;
    uint64_t purged_at;  /* Redis time of its first purge, 0 = never */
    int64_t accepted_us; /* when this life of the broker took it in, 0 = not */
} sim_event_t;

typedef struct {
    sim_release_t *releases[SIM_CHANNELS];
    size_t releases_count[SIM_CHANNELS], releases_capacity[SIM_CHANNELS];
    sim_event_t events[SIM_EVENTS_MAX]; /* by number, from 1 */
    uint32_t numbers;                   /* of the last event made */
    uint32_t life, era;                 /* an era ends with the broker's life, or with a loss */
    sim_epoch_t epochs[SIM_CHANNELS][SIM_ERAS_MAX];
    size_t epochs_count[SIM_CHANNELS];
    uint32_t gone[SIM_ERAS_MAX][SIM_OBJECTS]; /* newest event of each object that an era's resets
                                                 stand for */
    char violation[256];                      /* the first one found; empty = none */
} sim_truth_t;

const char *sim_channel_name(size_t channel);
/* SIM_CHANNELS when it is none of ours. */
size_t sim_channel_index(const char *name);

void sim_truth_clear(sim_truth_t *self);
void sim_truth_released(sim_truth_t *self, size_t channel, fw_position_t position, uint32_t number);
/* The event at a place; UINT32_MAX when nothing was released there. */
uint32_t sim_truth_at(const sim_truth_t *self, size_t channel, fw_position_t position);
/* From now on resets stand for everything that is settled: of a broker that is no more, or lost. */
void sim_truth_new_era(sim_truth_t *self, bool new_life);
/* The broker tells of an epoch. */
void sim_truth_told(sim_truth_t *self, size_t channel, uint64_t epoch);
/* What a reset to this epoch stands for: an array by object. */
const uint32_t *sim_truth_gone(const sim_truth_t *self, size_t channel, uint64_t epoch);
/* The cache's epoch was raised: every purge that was owed is done. */
void sim_truth_flushed(sim_truth_t *self, uint64_t redis_time);
/* Events of an object that were released unconfirmed, and whose purge is still owed. */
size_t sim_truth_owed(const sim_truth_t *self, size_t object);
/* Notes a broken promise; the first one counts. */
void sim_violation(sim_truth_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
