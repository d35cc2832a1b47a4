/* sweep.h - removes the keys that match patterns, a little at a time.
 * SPDX-License-Identifier: MPL-2.0
 * Pure: says what to ask Redis next, is told what it answered. One SCAN over the keys serves every
 * pattern that waited when it began; later ones wait for the next, because a key that it has passed
 * is not seen again. Never KEYS. The rest after each step keeps the share of time that Redis spends
 * on sweeps below duty_percent. */
#pragma once

#include "proto/codec.h"

enum {
    FW_SWEEP_KEYS_PER_COMMAND = 500,
    FW_SWEEP_FAILED_REST_US = 500 * 1000,
};

typedef struct {
    size_t patterns_max;   /* waiting and running at once; more are refused */
    uint32_t count;        /* SCAN COUNT */
    uint32_t duty_percent; /* 1..100 */
} fw_sweep_limits_t;

typedef struct fw_sweep fw_sweep_t;

fw_sweep_t *fw_sweep_new(const fw_sweep_limits_t *limits) __attribute__((warn_unused_result));
void fw_sweep_destroy(fw_sweep_t **self_p); /* NULL-safe */

/* Asks for a pattern to be swept by a sweep that begins later than this call. 0, also when the same
 * pattern waits already; -ENOSPC when patterns_max are waiting or running. */
int fw_sweep_request(fw_sweep_t *self, fw_text_t pattern) __attribute__((warn_unused_result));
size_t fw_sweep_pending(const fw_sweep_t *self); /* patterns waiting or running */

typedef enum {
    FW_SWEEP_IDLE,   /* nothing to do */
    FW_SWEEP_REST,   /* nothing before until_us */
    FW_SWEEP_SCAN,   /* SCAN cursor [MATCH match] COUNT count */
    FW_SWEEP_UNLINK, /* UNLINK of these keys */
} fw_sweep_kind_t;

typedef struct {
    fw_sweep_kind_t kind;
    int64_t until_us;
    uint64_t cursor;
    const char *match; /* "" = every key */
    uint32_t count;
    const fw_bytes_t *keys;
    size_t keys_count;
} fw_sweep_step_t;

/* What to do now. A SCAN or UNLINK must be answered by exactly one of the functions below before
 * the next step; what the step points to lives until then. */
fw_sweep_step_t fw_sweep_next(fw_sweep_t *self, int64_t now_us);

/* The answer to SCAN: the next cursor, 0 at the end, and keys, which are copied if they match. */
void fw_sweep_scanned(fw_sweep_t *self, uint64_t cursor, const fw_bytes_t *keys, size_t count,
                      int64_t now_us);
void fw_sweep_unlinked(fw_sweep_t *self, int64_t now_us);
/* Redis will never do this. Keys are then removed one by one, so that only those that are refused
 * by themselves stay; a SCAN that is refused gives up its patterns. Both are counted. */
void fw_sweep_refused(fw_sweep_t *self, int64_t now_us);
/* Not now, or the connection was lost: the sweep begins again from the start after a rest, because
 * a cursor means nothing to another server. */
void fw_sweep_failed(fw_sweep_t *self, int64_t now_us);

typedef struct {
    uint64_t sweeps;         /* finished */
    uint64_t sweeps_refused; /* given up */
    uint64_t keys_scanned;   /* looked at */
    uint64_t keys_matched;   /* given to UNLINK */
    uint64_t keys_refused;   /* could not be removed */
} fw_sweep_totals_t;

fw_sweep_totals_t fw_sweep_totals(const fw_sweep_t *self);
