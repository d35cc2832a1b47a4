/* kept.c - the last events of a fire-and-forget link, to be sent again when the broker asks.
 * SPDX-License-Identifier: MPL-2.0 */
#include "clients/c/kept.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

typedef struct {
    uint8_t *frame; /* NULL = free */
    int64_t added_ms;
    uint32_t size;
    bool wanted;
} slot_t;

struct fw_kept {
    slot_t slots[FW_KEPT_EVENTS_MAX]; /* of an event: its number, modulo */
    uint64_t last;
    uint64_t oldest;
    uint64_t seek; /* nothing before this number is wanted */
    uint32_t wanted;
    size_t bytes;
};

_Static_assert((FW_KEPT_EVENTS_MAX & (FW_KEPT_EVENTS_MAX - 1)) == 0, "a number finds its slot");

static slot_t *slot_of(fw_kept_t *self, uint64_t number)
{
    return &self->slots[number % FW_KEPT_EVENTS_MAX];
}

fw_kept_t *fw_kept_new(void)
{
    fw_kept_t *self = fw_alloc(1, sizeof *self);
    self->oldest = 1;
    self->seek = 1;
    return self;
}

void fw_kept_destroy(fw_kept_t **self_p)
{
    fw_kept_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < FW_KEPT_EVENTS_MAX; i++)
        free(self->slots[i].frame);
    free(self);
    *self_p = NULL;
}

static void set_wanted(fw_kept_t *self, slot_t *slot, bool wanted)
{
    self->wanted += wanted && !slot->wanted;
    self->wanted -= !wanted && slot->wanted;
    slot->wanted = wanted;
}

static void drop_oldest(fw_kept_t *self)
{
    slot_t *slot = slot_of(self, self->oldest++);
    set_wanted(self, slot, false);
    self->bytes -= slot->size;
    free(slot->frame);
    *slot = (slot_t){.frame = NULL};
}

void fw_kept_expire(fw_kept_t *self, int64_t now_ms)
{
    while (self->oldest <= self->last &&
           now_ms - slot_of(self, self->oldest)->added_ms > FW_KEPT_AGE_MS)
        drop_oldest(self);
}

uint64_t fw_kept_add(fw_kept_t *self, fw_bytes_t frame, int64_t now_ms)
{
    assert(frame.size > 0);
    assert(frame.size <= UINT32_MAX);
    while (self->oldest <= self->last && (self->last - self->oldest + 1 >= FW_KEPT_EVENTS_MAX ||
                                          self->bytes + frame.size > FW_KEPT_BYTES_MAX))
        drop_oldest(self);
    slot_t *slot = slot_of(self, ++self->last);
    assert(!slot->frame);
    slot->frame = fw_alloc(1, frame.size);
    memcpy(slot->frame, frame.data, frame.size);
    slot->added_ms = now_ms;
    slot->size = (uint32_t)frame.size;
    self->bytes += frame.size;
    return self->last;
}

uint64_t fw_kept_last(const fw_kept_t *self)
{
    return self->last;
}

uint64_t fw_kept_oldest(const fw_kept_t *self)
{
    return self->oldest;
}

size_t fw_kept_bytes(const fw_kept_t *self)
{
    return self->bytes;
}

uint64_t fw_kept_want(fw_kept_t *self, uint64_t first, uint64_t count)
{
    if (first == 0 || count == 0 || first > self->last)
        return 0;
    uint64_t end = count > self->last - first ? self->last + 1 : first + count;
    uint64_t begin = first < self->oldest ? self->oldest : first;
    uint64_t gone = first < self->oldest ? (end < self->oldest ? end : self->oldest) - first : 0;
    for (uint64_t number = begin; number < end; number++)
        set_wanted(self, slot_of(self, number), true);
    if (begin < end && begin < self->seek)
        self->seek = begin;
    return gone;
}

/* The number of the oldest wanted event; one must be. */
static uint64_t first_wanted(const fw_kept_t *self)
{
    uint64_t number = self->seek < self->oldest ? self->oldest : self->seek;
    while (!self->slots[number % FW_KEPT_EVENTS_MAX].wanted)
        number++;
    assert(number <= self->last);
    return number;
}

bool fw_kept_next(const fw_kept_t *self, fw_bytes_t *ret_frame)
{
    if (self->wanted == 0)
        return false;
    const slot_t *slot = &self->slots[first_wanted(self) % FW_KEPT_EVENTS_MAX];
    *ret_frame = (fw_bytes_t){slot->frame, slot->size};
    return true;
}

void fw_kept_sent(fw_kept_t *self)
{
    assert(self->wanted > 0);
    uint64_t number = first_wanted(self);
    set_wanted(self, slot_of(self, number), false);
    self->seek = self->wanted > 0 ? number + 1 : self->last + 1;
}
