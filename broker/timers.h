/* timers.h - which of many deadlines is next.   SPDX-License-Identifier: MPL-2.0
 * A binary heap of timers that are part of other structs. Pure; one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t due_us;
    size_t place; /* 1-based place in the heap, 0 = not set */
    void *owner;  /* what the timer belongs to */
} fw_timer_t;

typedef struct fw_timers fw_timers_t;

fw_timers_t *fw_timers_new(void) __attribute__((warn_unused_result));
/* The timers themselves stay their owners'. */
void fw_timers_destroy(fw_timers_t **self_p);
/* Sets a timer, also one that is set already. owner must be filled in. */
void fw_timers_set(fw_timers_t *self, fw_timer_t *timer, int64_t due_us);
/* No effect on one that is not set. */
void fw_timers_cancel(fw_timers_t *self, fw_timer_t *timer);
/* Takes out the earliest timer that is due, or returns NULL. */
fw_timer_t *fw_timers_expire(fw_timers_t *self, int64_t now_us);
/* When the earliest is due; INT64_MAX when none is set. */
int64_t fw_timers_next_us(const fw_timers_t *self);
size_t fw_timers_count(const fw_timers_t *self);
