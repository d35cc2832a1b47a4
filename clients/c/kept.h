/* kept.h - the last events of a fire-and-forget link, to be sent again when the broker asks.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Encoded frames, numbered without a hole; bounded by FW_KEPT_EVENTS_MAX and
 * FW_KEPT_BYTES_MAX: the oldest make room. And by age: a broker that starts asks for everything
 * that is kept, and nobody wants the events of an hour ago. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_KEPT_EVENTS_MAX = 1024,
    FW_KEPT_BYTES_MAX = 1024 * 1024, /* of the frames; one frame always fits */
    FW_KEPT_AGE_MS = 30 * 1000,
};

typedef struct fw_kept fw_kept_t;

fw_kept_t *fw_kept_new(void) __attribute__((warn_unused_result));
void fw_kept_destroy(fw_kept_t **self_p); /* NULL-safe, sets *self_p to NULL */

/* Copies the frame of the next event; returns its number: 1, 2, 3 … */
uint64_t fw_kept_add(fw_kept_t *self, fw_bytes_t frame, int64_t now_ms);
/* Drops what is too old by now. */
void fw_kept_expire(fw_kept_t *self, int64_t now_ms);
uint64_t fw_kept_last(const fw_kept_t *self);   /* the last number used; 0 = none */
uint64_t fw_kept_oldest(const fw_kept_t *self); /* that is kept; last + 1 when none is */
size_t fw_kept_bytes(const fw_kept_t *self);

/* The broker asks for count events from first on. Returns how many of them were sent once and are
 * not kept any more; numbers that were never used are ignored. */
uint64_t fw_kept_want(fw_kept_t *self, uint64_t first, uint64_t count);
/* The oldest event that is wanted, borrowed until the next add. False when there is none. */
bool fw_kept_next(const fw_kept_t *self, fw_bytes_t *ret_frame) __attribute__((warn_unused_result));
/* That one was sent. */
void fw_kept_sent(fw_kept_t *self);
