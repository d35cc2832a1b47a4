/* ring.c - see ring.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"

enum { CAPACITY_MIN = 4 };

static fw_entry_t **slot(const fw_ring_t *self, uint32_t index)
{
    return &self->entries[(self->first + index) & (self->capacity - 1)];
}

static void reserve(fw_ring_t *self, uint32_t count)
{
    if (count <= self->capacity)
        return;
    uint32_t capacity = self->capacity ? self->capacity : CAPACITY_MIN;
    while (capacity < count)
        capacity *= 2;
    fw_entry_t **entries = fw_alloc(capacity, sizeof(fw_entry_t *));
    for (uint32_t i = 0; i < self->count; i++)
        entries[i] = *slot(self, i);
    free(self->entries);
    self->entries = entries;
    self->first = 0;
    self->capacity = capacity;
}

bool fw_ring_drop_oldest(fw_ring_t *self)
{
    if (self->count == 0)
        return false;
    fw_entry_t **oldest = slot(self, 0);
    self->bytes -= fw_entry_bytes(*oldest);
    fw_entry_destroy(oldest);
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    self->base++;
    return true;
}

void fw_ring_clear(fw_ring_t *self)
{
    while (fw_ring_drop_oldest(self))
        ;
    free(self->entries);
    *self = (fw_ring_t){.base = self->base};
}

void fw_ring_start(fw_ring_t *self, uint64_t head)
{
    fw_ring_clear(self);
    self->base = head + 1;
}

uint64_t fw_ring_head(const fw_ring_t *self)
{
    return self->base + self->count - 1;
}

const fw_entry_t *fw_ring_at(const fw_ring_t *self, uint64_t offset)
{
    if (offset < self->base || offset - self->base >= self->count)
        return NULL;
    return *slot(self, (uint32_t)(offset - self->base));
}

const fw_entry_t *fw_ring_binary_at(fw_ring_t *self, uint64_t offset)
{
    if (!fw_ring_at(self, offset))
        return NULL;
    fw_entry_t **entry_p = slot(self, (uint32_t)(offset - self->base));
    self->bytes -= fw_entry_bytes(*entry_p);
    fw_entry_make_binary(entry_p);
    self->bytes += fw_entry_bytes(*entry_p);
    return *entry_p;
}

bool fw_ring_lapped(const fw_ring_t *self, uint64_t cursor)
{
    return cursor + 1 < self->base;
}

void fw_ring_append(fw_ring_t *self, const fw_ring_limits_t *limits, fw_entry_t **entry_p)
{
    fw_entry_t *entry = *entry_p;
    assert(fw_entry_offset(entry) == fw_ring_head(self) + 1);
    size_t bytes = fw_entry_bytes(entry);
    while (self->count > 0 &&
           (self->count >= limits->events_max || self->bytes + bytes > limits->bytes_max))
        (void)fw_ring_drop_oldest(self);
    reserve(self, self->count + 1);
    *slot(self, self->count) = entry;
    self->count++;
    self->bytes += bytes;
    *entry_p = NULL;
}

int fw_ring_prepend(fw_ring_t *self, const fw_ring_limits_t *limits, fw_entry_t **entries,
                    uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert(fw_entry_offset(entries[i]) == self->base - count + i);
        bytes += fw_entry_bytes(entries[i]);
    }
    if (count > limits->events_max || self->count > limits->events_max - count ||
        self->bytes + bytes > limits->bytes_max)
        return -ENOSPC;
    if (count == 0)
        return 0;
    reserve(self, self->count + count);
    self->first = (self->first - count) & (self->capacity - 1);
    self->count += count;
    self->base -= count;
    self->bytes += bytes;
    for (uint32_t i = 0; i < count; i++) {
        *slot(self, i) = entries[i];
        entries[i] = NULL;
    }
    return 0;
}
