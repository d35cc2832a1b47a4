/* ring.h - the recent events of one channel, without a hole.   SPDX-License-Identifier: MPL-2.0
 * Pure. Holds the offsets base..head; base == head + 1 when empty. Bounded by count and bytes: the
 * oldest entries make room, and a cursor that stood before them is lapped. The struct is visible so
 * that a channel can hold it by value: every user has a channel of its own, and idle memory per
 * session is a promise. */
#pragma once

#include "gateway/entry.h"

typedef struct {
    fw_entry_t **entries; /* circular; NULL until the first event */
    uint64_t base;        /* offset of the oldest entry */
    size_t bytes;         /* of all entries */
    uint32_t first;       /* place of the oldest entry in entries */
    uint32_t count;
    uint32_t capacity; /* a power of two, or 0 */
} fw_ring_t;

typedef struct {
    uint32_t events_max;
    size_t bytes_max;
} fw_ring_limits_t;

/* Empties the ring and lets it stand behind head; also for a ring that is all zero. */
void fw_ring_start(fw_ring_t *self, uint64_t head);
void fw_ring_clear(fw_ring_t *self); /* frees everything */

uint64_t fw_ring_head(const fw_ring_t *self);
/* NULL when offset is not in the ring. */
const fw_entry_t *fw_ring_at(const fw_ring_t *self, uint64_t offset);
/* The same, with its binary frame, which may have to be made: the ring grows by it beyond the limit
 * of its bytes then, until the next append. */
const fw_entry_t *fw_ring_binary_at(fw_ring_t *self, uint64_t offset);
/* The event after this place has been dropped. */
bool fw_ring_lapped(const fw_ring_t *self, uint64_t cursor);

/* Takes the entry; its offset must be head + 1 (assert). Drops the oldest ones to keep the limits,
 * never itself. */
void fw_ring_append(fw_ring_t *self, const fw_ring_limits_t *limits, fw_entry_t **entry_p);
/* Takes all entries, oldest first, which must end right before base (assert); or -ENOSPC and none,
 * when they would not fit into the limits together with what is there. */
int fw_ring_prepend(fw_ring_t *self, const fw_ring_limits_t *limits, fw_entry_t **entries,
                    uint32_t count) __attribute__((warn_unused_result));
/* Drops the oldest entry; false when there is none. */
bool fw_ring_drop_oldest(fw_ring_t *self);
