/* jwks_schedule.h - when a key set is fetched, and when its keys are too old.
 * SPDX-License-Identifier: MPL-2.0 Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/random.h"

typedef struct {
    int64_t refresh_ms;  /* at least so often */
    int64_t cooldown_ms; /* at most so often */
    int64_t keep_ms;     /* keys are good for so long after the last good fetch, if none follows */
} fw_jwks_times_t;

typedef struct {
    fw_jwks_times_t times;
    fw_random_t random;
    int64_t due_ms;    /* of the next fetch */
    int64_t tried_ms;  /* the last one */
    int64_t good_ms;   /* the last good one */
    uint32_t failures; /* since then */
    bool tried;
    bool holds; /* there was a good one, and its keys are not too old */
} fw_jwks_schedule_t;

/* The first fetch is due at once. */
fw_jwks_schedule_t fw_jwks_schedule(const fw_jwks_times_t *times, uint64_t seed, int64_t now_ms);

/* When there is something to do next. */
int64_t fw_jwks_schedule_next_ms(const fw_jwks_schedule_t *self);
bool fw_jwks_schedule_is_due(const fw_jwks_schedule_t *self, int64_t now_ms);
/* A fetch ended. max_age_s: for how long its server says that it is good; negative = it does not
 * say. The next one comes then, within the bounds and a little earlier than everybody's; after a
 * failure, after the cooldown, twice that, and so on. */
void fw_jwks_schedule_fetched(fw_jwks_schedule_t *self, int64_t now_ms, int64_t max_age_s);
void fw_jwks_schedule_failed(fw_jwks_schedule_t *self, int64_t now_ms);
/* Somebody came with a key that is not known: sooner, but not before the cooldown is over. */
void fw_jwks_schedule_asked(fw_jwks_schedule_t *self, int64_t now_ms);
/* True once, when the keys are too old to be believed. */
bool fw_jwks_schedule_lapses(fw_jwks_schedule_t *self, int64_t now_ms);
