/* fire_gaps.h - what was lost on the fire-and-forget link.   SPDX-License-Identifier: MPL-2.0
 * Pure. Publishers number their events; a hole is asked for again, and what does not come in time
 * is lost. Known by their incarnation: one that was not seen before is asked for everything that it
 * still keeps, because what it sent may have met the broker before this one. */
#pragma once

#include "proto/codec.h"

typedef struct fw_fire_gaps fw_fire_gaps_t;

enum {
    FW_FIRE_RANGES_MAX = 64,    /* holes of one publisher; beyond, the oldest is lost */
    FW_FIRE_USER_SIZE_MAX = 40, /* a public key in Z85 */
    FW_FIRE_ASK_FIRST_MS = 100, /* another connection may still bring it */
    FW_FIRE_ASK_AGAIN_MS = 500,
};

typedef struct {
    uint32_t publishers_max; /* remembered; beyond, the one heard longest ago is forgotten */
    int64_t repair_us;       /* then a hole is lost */
} fw_fire_gaps_options_t;

typedef struct {
    void *context;
    /* Ask the publisher for these events. */
    void (*ask)(void *context, const fw_fire_missing_t *missing);
    /* These events will not come any more. user is the publisher's key, empty when it has none. */
    void (*lost)(void *context, fw_text_t user, uint64_t count);
} fw_fire_gaps_output_t;

typedef enum {
    FW_FIRE_NEW,
    FW_FIRE_REPAIRED, /* it fills a hole */
    FW_FIRE_REPEATED, /* it was there before: not to be published again */
} fw_fire_verdict_t;

fw_fire_gaps_t *fw_fire_gaps_new(const fw_fire_gaps_options_t *options,
                                 const fw_fire_gaps_output_t *output)
    __attribute__((warn_unused_result));
void fw_fire_gaps_destroy(fw_fire_gaps_t **self_p);

/* An event with a number (1 or more) and an incarnation has come. */
fw_fire_verdict_t fw_fire_gaps_event(fw_fire_gaps_t *self, fw_bytes_t incarnation,
                                     uint64_t sequence, fw_text_t user, int64_t now_us);
/* A publisher says how far it has counted. */
void fw_fire_gaps_mark(fw_fire_gaps_t *self, const fw_fire_mark_t *mark, fw_text_t user,
                       int64_t now_us);
void fw_fire_gaps_tick(fw_fire_gaps_t *self, int64_t now_us);
/* When tick has something to do at the latest. */
int64_t fw_fire_gaps_next_us(const fw_fire_gaps_t *self);

typedef struct {
    uint64_t publishers; /* remembered now */
    uint64_t missing;    /* not here, and not given up, now */
    uint64_t repaired, lost, repeated;
} fw_fire_gaps_stats_t;

void fw_fire_gaps_stats(const fw_fire_gaps_t *self, fw_fire_gaps_stats_t *ret_stats);
