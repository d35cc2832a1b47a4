/* truth.h - what really happened, to hold every claim against.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/codec.h"

enum { SIM_CHANNELS = 5, SIM_EVENTS_MAX = 4096, SIM_EPOCHS_MAX = 64 };

/* One released event of one channel. */
typedef struct {
    uint64_t epoch, offset;
    uint32_t number; /* of the event */
} sim_release_t;

typedef struct {
    uint64_t seed;
    sim_release_t *releases[SIM_CHANNELS];
    size_t releases_count[SIM_CHANNELS], releases_capacity[SIM_CHANNELS];
    bool purges[SIM_EVENTS_MAX];        /* the event invalidates something */
    uint64_t purged_at[SIM_EVENTS_MAX]; /* Redis time of its first purge, 0 = never */
    char violation[256];                /* the first one found; empty = none */
} sim_truth_t;

const char *sim_channel_name(size_t channel);
/* SIM_CHANNELS when it is none of ours. */
size_t sim_channel_index(const char *name);

void sim_truth_clear(sim_truth_t *self);
void sim_truth_released(sim_truth_t *self, size_t channel, fw_position_t position, uint32_t number);
/* The event at a place; UINT32_MAX when nothing was released there. */
uint32_t sim_truth_at(const sim_truth_t *self, size_t channel, fw_position_t position);
/* Notes a broken promise; the first one counts. */
void sim_violation(sim_truth_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
