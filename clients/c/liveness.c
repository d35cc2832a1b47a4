/* liveness.c - is the broker still there, and what to do about it.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "clients/c/liveness.h"

fw_liveness_t fw_liveness_make(uint64_t seed)
{
    return (fw_liveness_t){
        .state = FW_LIVENESS_CLOSED,
        .due_ms = INT64_MIN,
        .backoff = fw_backoff_make(0, FW_LIVENESS_REOPEN_BASE_MS, FW_LIVENESS_REOPEN_MS_MAX, seed),
    };
}

/* After a pause in which nobody listened or pinged, silence proves nothing: grant one more
 * interval. */
static void forgive_own_pause(fw_liveness_t *self, int64_t now_ms)
{
    int64_t least_ms = now_ms - FW_LIVENESS_SILENCE_MS + FW_LIVENESS_INTERVAL_MS;
    if (now_ms - self->looked_ms > FW_LIVENESS_INTERVAL_MS + FW_LIVENESS_INTERVAL_MS / 2 &&
        self->heard_ms < least_ms)
        self->heard_ms = least_ms;
    self->looked_ms = now_ms;
}

fw_liveness_step_t fw_liveness_next(fw_liveness_t *self, int64_t now_ms)
{
    if (self->state == FW_LIVENESS_CLOSED)
        return now_ms >= self->due_ms ? FW_LIVENESS_OPEN : FW_LIVENESS_WAIT;
    forgive_own_pause(self, now_ms);
    if (now_ms - self->heard_ms >= FW_LIVENESS_SILENCE_MS) {
        fw_liveness_lost(self, now_ms);
        return FW_LIVENESS_CLOSE;
    }
    if (now_ms < self->due_ms)
        return FW_LIVENESS_WAIT;
    self->due_ms = now_ms + FW_LIVENESS_INTERVAL_MS;
    if (self->state == FW_LIVENESS_UP)
        return FW_LIVENESS_SEND_PING;
    self->hello_ms = now_ms;
    return FW_LIVENESS_SEND_HELLO;
}

int64_t fw_liveness_deadline_ms(const fw_liveness_t *self)
{
    int64_t silent_ms = self->heard_ms + FW_LIVENESS_SILENCE_MS;
    if (self->state == FW_LIVENESS_CLOSED || self->due_ms < silent_ms)
        return self->due_ms;
    return silent_ms;
}

void fw_liveness_opened(fw_liveness_t *self, int64_t now_ms)
{
    self->state = FW_LIVENESS_HELLO;
    self->due_ms = now_ms;
    self->heard_ms = now_ms;
    self->looked_ms = now_ms;
}

void fw_liveness_opening(fw_liveness_t *self, int64_t now_ms)
{
    self->due_ms = now_ms + FW_LIVENESS_OPENING_MS;
}

void fw_liveness_lost(fw_liveness_t *self, int64_t now_ms)
{
    self->state = FW_LIVENESS_CLOSED;
    self->due_ms = now_ms + fw_backoff_next_ms(&self->backoff);
}

void fw_liveness_blocked(fw_liveness_t *self, int64_t now_ms)
{
    self->due_ms = now_ms + FW_LIVENESS_BLOCKED_MS;
}

void fw_liveness_heard(fw_liveness_t *self, int64_t now_ms)
{
    self->heard_ms = now_ms;
}

bool fw_liveness_welcomed(fw_liveness_t *self, int64_t now_ms)
{
    bool was_up = self->state == FW_LIVENESS_UP;
    fw_liveness_heard(self, now_ms);
    fw_backoff_reset(&self->backoff);
    if (!was_up)
        self->due_ms = now_ms + FW_LIVENESS_INTERVAL_MS;
    self->state = FW_LIVENESS_UP;
    return !was_up;
}

void fw_liveness_hello_again(fw_liveness_t *self, int64_t now_ms)
{
    if (self->state != FW_LIVENESS_UP)
        return;
    self->state = FW_LIVENESS_HELLO;
    int64_t allowed_ms = self->hello_ms + FW_LIVENESS_INTERVAL_MS;
    self->due_ms = allowed_ms > now_ms ? allowed_ms : now_ms;
}
