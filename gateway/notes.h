/* notes.h - what a channel tells those who are there now, and nobody later.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. A second small ring of a channel, made at its first note: changes of presence, and events
 * of clients that are not kept. A subscriber has a second cursor into it, in the channel's list of
 * subscribers. Who is lapped misses events, and gets the whole list of members instead of its
 * changes: framed once for everybody, in parts, it stands for a place in the ring. */
#pragma once

#include "gateway/ring.h"

enum {
    FW_NOTES_MAX = 128,                 /* of one channel; beyond, the oldest is dropped */
    FW_NOTES_BYTES_MAX = 256 * 1024,    /* of one channel */
    FW_NOTES_AGE_US = 10 * 1000 * 1000, /* older ones are dropped */
};

typedef enum {
    FW_NOTE_EVENT,    /* for everybody */
    FW_NOTE_PRESENCE, /* for those who watch */
} fw_note_kind_t;

typedef struct fw_notes fw_notes_t;

/* Where a subscriber stands. */
typedef struct {
    uint32_t cursor; /* number of the last note that was read */
    bool watches;    /* wants presence */
    bool list;       /* is to get the whole list of members before its changes */
    bool parts;      /* is reading it: the cursor counts its parts */
} fw_note_place_t;

fw_notes_t *fw_notes_new(void) __attribute__((warn_unused_result));
void fw_notes_destroy(fw_notes_t **self_p);

/* The number of the newest note. */
uint32_t fw_notes_head(const fw_notes_t *self);
/* The number that the next entry must have as its offset. */
uint64_t fw_notes_next_number(const fw_notes_t *self);
void fw_notes_add(fw_notes_t *self, fw_note_kind_t kind, fw_entry_t **entry_p);
/* Drops everything: who has not read it has missed it. */
void fw_notes_clear(fw_notes_t *self);

/* The list of members as of now, in parts; takes the entries and the array. */
void fw_notes_set_list(fw_notes_t *self, fw_entry_t **parts, uint32_t count, int64_t now_us);
/* It is of no use any more. */
void fw_notes_drop_list(fw_notes_t *self);
/* There is a list, and every change since then is in the ring. */
bool fw_notes_has_list(const fw_notes_t *self);
/* Somebody waits for a list since the last fw_notes_set_list. */
bool fw_notes_wants_list(const fw_notes_t *self);

/* The next one to be written, NULL when there is none (yet); moves the place over what is not for
 * it. binary: its binary frame is there. The next part or note comes when
 * the cursor was moved on by one. */
const fw_entry_t *fw_notes_next(fw_notes_t *self, fw_note_place_t *place, bool binary);

/* Drops what is too old, and a list that nobody has read for as long. */
void fw_notes_expire(fw_notes_t *self, int64_t now_us);
/* Memory that it takes. */
size_t fw_notes_bytes(const fw_notes_t *self);
