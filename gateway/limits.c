/* limits.c - see limits.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/limits.h"

bool fw_bucket_take(fw_bucket_t *self, int64_t now_ms, uint32_t per_second, uint32_t burst)
{
    uint32_t now = (uint32_t)now_ms;
    if (!self->started) {
        self->started = true;
        self->filled_ms = now;
    }
    /* Modulo 2^32 ms: a session that says nothing for 49 days may find its bucket not yet full. */
    uint32_t passed_ms = now - self->filled_ms;
    uint64_t refilled = (uint64_t)passed_ms * per_second / 1000;
    if (refilled >= self->used) {
        self->used = 0;
        self->filled_ms = now;
    } else if (refilled > 0) {
        self->used = (uint16_t)(self->used - refilled);
        self->filled_ms += (uint32_t)(refilled * 1000 / per_second);
    }
    if (self->used >= burst)
        return false;
    self->used++;
    return true;
}
