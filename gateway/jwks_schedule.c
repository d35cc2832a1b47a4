/* jwks_schedule.c - see jwks_schedule.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/jwks_schedule.h"

enum {
    JITTER_SHARE = 10,  /* of the time until the next fetch, so that not all come at once */
    DOUBLINGS_MAX = 16, /* of the cooldown, after failures */
};

fw_jwks_schedule_t fw_jwks_schedule(const fw_jwks_times_t *times, uint64_t seed, int64_t now_ms)
{
    return (fw_jwks_schedule_t){.times = *times, .random = {seed}, .due_ms = now_ms};
}

/* When the keys are too old; INT64_MAX while they cannot be. */
static int64_t lapse_ms(const fw_jwks_schedule_t *self)
{
    return self->holds && self->failures > 0 ? self->good_ms + self->times.keep_ms : INT64_MAX;
}

int64_t fw_jwks_schedule_next_ms(const fw_jwks_schedule_t *self)
{
    int64_t lapse = lapse_ms(self);
    return lapse < self->due_ms ? lapse : self->due_ms;
}

bool fw_jwks_schedule_is_due(const fw_jwks_schedule_t *self, int64_t now_ms)
{
    return now_ms >= self->due_ms;
}

/* A time that is a little shorter, never by more than its share. */
static int64_t jittered(fw_jwks_schedule_t *self, int64_t ms)
{
    return ms - (int64_t)fw_random_below(&self->random, (uint64_t)(ms / JITTER_SHARE) + 1);
}

static void ended(fw_jwks_schedule_t *self, int64_t now_ms, int64_t wait_ms)
{
    self->tried = true;
    self->tried_ms = now_ms;
    wait_ms = jittered(self, wait_ms);
    self->due_ms = now_ms + (wait_ms > self->times.cooldown_ms ? wait_ms : self->times.cooldown_ms);
}

void fw_jwks_schedule_fetched(fw_jwks_schedule_t *self, int64_t now_ms, int64_t max_age_s)
{
    const fw_jwks_times_t *times = &self->times;
    int64_t wait_ms = times->refresh_ms;
    if (max_age_s >= 0 && max_age_s < times->refresh_ms / 1000)
        wait_ms = max_age_s * 1000;
    if (wait_ms < times->cooldown_ms)
        wait_ms = times->cooldown_ms;
    self->good_ms = now_ms;
    self->holds = true;
    self->failures = 0;
    ended(self, now_ms, wait_ms);
}

void fw_jwks_schedule_failed(fw_jwks_schedule_t *self, int64_t now_ms)
{
    const fw_jwks_times_t *times = &self->times;
    unsigned doublings = self->failures < DOUBLINGS_MAX ? self->failures : DOUBLINGS_MAX;
    int64_t wait_ms = times->cooldown_ms << doublings;
    if (wait_ms > times->refresh_ms)
        wait_ms = times->refresh_ms;
    self->failures++;
    ended(self, now_ms, wait_ms);
}

void fw_jwks_schedule_asked(fw_jwks_schedule_t *self, int64_t now_ms)
{
    int64_t soonest_ms = self->tried ? self->tried_ms + self->times.cooldown_ms : now_ms;
    if (soonest_ms < self->due_ms)
        self->due_ms = soonest_ms;
}

bool fw_jwks_schedule_lapses(fw_jwks_schedule_t *self, int64_t now_ms)
{
    if (now_ms < lapse_ms(self))
        return false;
    self->holds = false;
    return true;
}
