/* notes.c - see notes.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/notes.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

static const fw_ring_limits_t limits = {FW_NOTES_MAX, FW_NOTES_BYTES_MAX};

struct fw_notes {
    fw_ring_t ring;
    fw_entry_t **parts; /* of the list; NULL = there is none */
    uint64_t list_head; /* the newest note when the list was made */
    int64_t list_us;    /* when it was made, or asked for last */
    uint32_t parts_count;
    bool list_read;              /* since the last look */
    bool list_asked;             /* somebody waits for one */
    uint8_t kinds[FW_NOTES_MAX]; /* fw_note_kind_t, by number */
};

fw_notes_t *fw_notes_new(void)
{
    fw_notes_t *self = fw_alloc(1, sizeof *self);
    fw_ring_start(&self->ring, 0);
    return self;
}

void fw_notes_drop_list(fw_notes_t *self)
{
    for (uint32_t i = 0; i < self->parts_count; i++)
        fw_entry_destroy(&self->parts[i]);
    free(self->parts);
    self->parts = NULL;
    self->parts_count = 0;
}

void fw_notes_destroy(fw_notes_t **self_p)
{
    fw_notes_t *self = *self_p;
    if (!self)
        return;
    fw_notes_drop_list(self);
    fw_ring_clear(&self->ring);
    free(self);
    *self_p = NULL;
}

uint32_t fw_notes_head(const fw_notes_t *self)
{
    return (uint32_t)fw_ring_head(&self->ring);
}

uint64_t fw_notes_next_number(const fw_notes_t *self)
{
    return fw_ring_head(&self->ring) + 1;
}

void fw_notes_add(fw_notes_t *self, fw_note_kind_t kind, fw_entry_t **entry_p)
{
    self->kinds[fw_notes_next_number(self) % FW_NOTES_MAX] = (uint8_t)kind;
    fw_ring_append(&self->ring, &limits, entry_p);
}

void fw_notes_clear(fw_notes_t *self)
{
    uint64_t head = fw_ring_head(&self->ring);
    fw_ring_clear(&self->ring);
    /* A number is left out: nobody can have read everything. */
    fw_ring_start(&self->ring, head + 1);
}

void fw_notes_set_list(fw_notes_t *self, fw_entry_t **parts, uint32_t count, int64_t now_us)
{
    assert(count > 0);
    fw_notes_drop_list(self);
    self->parts = parts;
    self->parts_count = count;
    self->list_head = fw_ring_head(&self->ring);
    self->list_us = now_us;
    self->list_asked = false;
}

bool fw_notes_has_list(const fw_notes_t *self)
{
    return self->parts && !fw_ring_lapped(&self->ring, self->list_head);
}

bool fw_notes_wants_list(const fw_notes_t *self)
{
    return self->list_asked;
}

/* The next part of the list, NULL when it was read to its end, or is another one by now. */
static const fw_entry_t *next_part(fw_notes_t *self, fw_note_place_t *place, bool binary)
{
    if (self->parts && place->cursor < self->parts_count) {
        self->list_read = true;
        if (binary)
            fw_entry_make_binary(&self->parts[place->cursor]);
        return self->parts[place->cursor];
    }
    place->parts = false;
    place->list = !self->parts;
    place->cursor = self->parts ? (uint32_t)self->list_head : fw_notes_head(self);
    return NULL;
}

/* Who waits for a list reads events meanwhile, and begins with it where it stands for. */
static bool begin_list(fw_notes_t *self, fw_note_place_t *place)
{
    if (!place->list)
        return false;
    if (!fw_notes_has_list(self) || place->cursor - (uint32_t)self->list_head - 1 < INT32_MAX) {
        self->list_asked = true; /* there is none, or it is older than where this one stands */
        return false;
    }
    if (place->cursor != (uint32_t)self->list_head)
        return false;
    place->parts = true;
    place->cursor = 0;
    return true;
}

const fw_entry_t *fw_notes_next(fw_notes_t *self, fw_note_place_t *place, bool binary)
{
    uint64_t head = fw_ring_head(&self->ring);
    for (;;) {
        if (place->parts || begin_list(self, place)) {
            const fw_entry_t *part = next_part(self, place, binary);
            if (part)
                return part;
        }
        uint32_t behind = (uint32_t)head - place->cursor;
        if (behind == 0)
            return NULL;
        if (behind > self->ring.count) {
            place->cursor = (uint32_t)head - self->ring.count;
            place->list = place->watches;
            continue;
        }
        uint64_t number = head - behind + 1;
        bool presence = self->kinds[number % FW_NOTES_MAX] == FW_NOTE_PRESENCE;
        if (!presence || (place->watches && !place->list))
            return binary ? fw_ring_binary_at(&self->ring, number)
                          : fw_ring_at(&self->ring, number);
        place->cursor++;
    }
}

void fw_notes_expire(fw_notes_t *self, int64_t now_us)
{
    while (self->ring.count > 0) {
        const fw_entry_t *oldest = fw_ring_at(&self->ring, self->ring.base);
        if (now_us - fw_entry_received_us(oldest) < FW_NOTES_AGE_US)
            break;
        (void)fw_ring_drop_oldest(&self->ring);
    }
    if (self->list_read)
        self->list_us = now_us;
    self->list_read = false;
    if (self->parts && now_us - self->list_us >= FW_NOTES_AGE_US)
        fw_notes_drop_list(self);
}

size_t fw_notes_bytes(const fw_notes_t *self)
{
    size_t bytes = sizeof *self + self->ring.bytes + self->ring.capacity * sizeof(fw_entry_t *);
    for (uint32_t i = 0; i < self->parts_count; i++)
        bytes += fw_entry_bytes(self->parts[i]) + sizeof(fw_entry_t *);
    return bytes;
}
