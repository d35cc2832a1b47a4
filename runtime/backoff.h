/* backoff.h - how long to wait before trying again.   SPDX-License-Identifier: MPL-2.0
 * Pure. Full jitter: uniform in [0, min(cap, base * 2^attempt)], never below floor_ms. */
#pragma once

#include "runtime/random.h"

typedef struct {
    int64_t floor_ms;
    int64_t base_ms;
    int64_t cap_ms;
    unsigned attempt; /* tries since the last success */
    fw_random_t random;
} fw_backoff_t;

fw_backoff_t fw_backoff_make(int64_t floor_ms, int64_t base_ms, int64_t cap_ms, uint64_t seed);
int64_t fw_backoff_next_ms(fw_backoff_t *self); /* counts one failed try and returns the wait */
void fw_backoff_reset(fw_backoff_t *self);
