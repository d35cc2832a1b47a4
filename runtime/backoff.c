/* backoff.c - how long to wait before trying again.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/backoff.h"

#include <assert.h>

fw_backoff_t fw_backoff_make(int64_t floor_ms, int64_t base_ms, int64_t cap_ms, uint64_t seed)
{
    assert(floor_ms >= 0);
    assert(base_ms > 0);
    assert(cap_ms >= base_ms);
    assert(cap_ms >= floor_ms);
    assert(cap_ms < INT64_MAX);
    return (fw_backoff_t){
        .floor_ms = floor_ms, .base_ms = base_ms, .cap_ms = cap_ms, .random = {.state = seed}};
}

int64_t fw_backoff_next_ms(fw_backoff_t *self)
{
    /* base * 2^attempt, without shifting past the cap and so without overflow. */
    int64_t limit = self->cap_ms;
    if (self->attempt < 62 && self->base_ms <= self->cap_ms >> self->attempt)
        limit = self->base_ms << self->attempt;
    if (self->attempt < 63)
        self->attempt++;
    int64_t wait = (int64_t)fw_random_below(&self->random, (uint64_t)limit + 1);
    return wait < self->floor_ms ? self->floor_ms : wait;
}

void fw_backoff_reset(fw_backoff_t *self)
{
    self->attempt = 0;
}
