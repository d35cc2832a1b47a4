/* pacer.h - channels that grew and whose listeners are told at the next tick.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Ticks are at multiples of the delay, so that channels with the same delay share one, and a
 * session that listens to several of them is written to once. */
#pragma once

#include "gateway/channel.h"

typedef struct {
    fw_channel_t *channel; /* NULL where one has gone */
    int64_t due_ms;
} fw_paced_t;

/* All zero is empty. */
typedef struct {
    fw_paced_t *paced;
    size_t count;
    size_t capacity;
    size_t timed; /* so many of them, at the beginning, have got their time */
    int64_t next_ms;
    size_t looked; /* while the due ones are taken: how many were looked at, and the time of the */
    int64_t later_ms; /* next one of them */
} fw_pacer_t;

void fw_pacer_clear(fw_pacer_t *self);
/* One that grew, whose delay is not 0; at most once until it is taken. */
void fw_pacer_add(fw_pacer_t *self, fw_channel_t *channel);
void fw_pacer_forget(fw_pacer_t *self, const fw_channel_t *channel);
/* Gives those that were added their time. Returns the time of the next tick; 0 when none waits. */
int64_t fw_pacer_next_ms(fw_pacer_t *self, int64_t now_ms);
/* One whose tick has come; NULL when there is none. To be called until then. */
fw_channel_t *fw_pacer_take(fw_pacer_t *self, int64_t now_ms);
