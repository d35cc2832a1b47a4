/* barrier.h - keeps every channel in offset order while events wait for their purge.
 * SPDX-License-Identifier: MPL-2.0 Pure. An event stands in one queue per channel; it leaves a
 * channel when it is ready and everything before it in that channel has left. Other channels are
 * not held up. */
#pragma once

#include "proto/codec.h"

typedef struct fw_barrier fw_barrier_t;
typedef struct fw_barrier_queue fw_barrier_queue_t;

/* An event in one channel; part of its owner's struct. */
typedef struct fw_held {
    fw_text_t channel; /* borrowed from the owner */
    fw_position_t position;
    void *owner;
    bool ready;
    fw_barrier_queue_t *queue; /* NULL when it is not held */
    struct fw_held *prev, *next;
} fw_held_t;

/* Called for each event that leaves, in offset order of its channel. It may call fw_barrier_ready
 * and fw_barrier_enter. */
typedef void fw_barrier_leave_fn(void *context, fw_held_t *held);

fw_barrier_t *fw_barrier_new(fw_barrier_leave_fn *leave, void *context)
    __attribute__((warn_unused_result));
/* What is still held stays its owner's. */
void fw_barrier_destroy(fw_barrier_t **self_p);
/* Must be called in offset order of the channel. An event that is ready and has nobody before it
 * leaves at once. */
void fw_barrier_enter(fw_barrier_t *self, fw_held_t *held);
/* The event may leave as soon as it is its turn. */
void fw_barrier_ready(fw_barrier_t *self, fw_held_t *held);
size_t fw_barrier_count(const fw_barrier_t *self);
