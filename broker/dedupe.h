/* dedupe.h - remembers event ids, so that a retry is not a second event.   SPDX-License-Identifier:
 * MPL-2.0 Pure. Bounded by age, count and bytes: beyond any of them the oldest id is forgotten. */
#pragma once

#include "proto/codec.h"

typedef struct fw_dedupe fw_dedupe_t;

/* One remembered event. */
typedef struct {
    fw_channel_position_t *positions; /* owned by the entry; offset 0 = not known yet */
    size_t positions_count;
    bool finished; /* the barrier has passed */
    bool unconfirmed;
    uint64_t fresh;
    void *record; /* the event in flight, NULL when finished */
} fw_dedupe_entry_t;

fw_dedupe_t *fw_dedupe_new(int64_t age_us_max, uint32_t count_max, size_t bytes_max)
    __attribute__((warn_unused_result));
void fw_dedupe_destroy(fw_dedupe_t **self_p);
/* The entry of an id, or NULL. Borrowed until the next call that adds or expires. */
fw_dedupe_entry_t *fw_dedupe_find(fw_dedupe_t *self, fw_text_t id);
/* Remembers an id that is not there yet (assert), with its channels; their positions are filled in
 * by the caller when they are known. An entry that is not finished is never forgotten, so its
 * pointer stays valid until then. */
fw_dedupe_entry_t *fw_dedupe_add(fw_dedupe_t *self, fw_text_t id, const fw_text_t *channels,
                                 size_t channels_count, int64_t now_us);
/* Forgets an id whose event came to nothing. */
void fw_dedupe_remove(fw_dedupe_t *self, fw_dedupe_entry_t *entry);
/* Forgets what is too old. */
void fw_dedupe_expire(fw_dedupe_t *self, int64_t now_us);
size_t fw_dedupe_count(const fw_dedupe_t *self);
