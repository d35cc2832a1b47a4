/* registry.c - see registry.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/registry.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

#include "runtime/alloc.h"

enum { SLOTS_MIN = 64, NONE = 0 };

/* A slot holds a place in the dense array + 1 and part of the hash, so that most probes need not
 * look at the name. */
typedef struct {
    uint32_t place;
    uint32_t hash;
} slot_t;

struct fw_registry {
    fw_channel_t **channels;
    uint32_t count;
    uint32_t capacity;
    slot_t *slots;
    uint32_t slots_count; /* a power of two, at least twice count */
};

static uint32_t hash_of(fw_text_t name)
{
    return (uint32_t)XXH3_64bits(name.text, name.size);
}

fw_registry_t *fw_registry_new(void)
{
    fw_registry_t *self = fw_alloc(1, sizeof *self);
    self->slots_count = SLOTS_MIN;
    self->slots = fw_alloc(SLOTS_MIN, sizeof *self->slots);
    return self;
}

void fw_registry_destroy(fw_registry_t **self_p)
{
    fw_registry_t *self = *self_p;
    if (!self)
        return;
    assert(self->count == 0);
    free(self->channels);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

/* The slot of a name, or the free one where it would go. */
static uint32_t seek(const fw_registry_t *self, fw_text_t name, uint32_t hash)
{
    uint32_t mask = self->slots_count - 1;
    uint32_t index = hash & mask;
    for (;; index = (index + 1) & mask) {
        const slot_t *slot = &self->slots[index];
        if (slot->place == NONE)
            return index;
        if (slot->hash == hash &&
            fw_text_equal(fw_channel_name(self->channels[slot->place - 1]), name))
            return index;
    }
}

static void grow_slots(fw_registry_t *self)
{
    free(self->slots);
    self->slots_count *= 2;
    self->slots = fw_alloc(self->slots_count, sizeof *self->slots);
    for (uint32_t i = 0; i < self->count; i++) {
        fw_text_t name = fw_channel_name(self->channels[i]);
        uint32_t hash = hash_of(name);
        self->slots[seek(self, name, hash)] = (slot_t){i + 1, hash};
    }
}

void fw_registry_add(fw_registry_t *self, fw_channel_t *channel)
{
    fw_text_t name = fw_channel_name(channel);
    uint32_t hash = hash_of(name);
    if (2 * (self->count + 1) > self->slots_count)
        grow_slots(self);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : SLOTS_MIN;
        self->channels = fw_realloc(self->channels, self->capacity, sizeof(fw_channel_t *));
    }
    uint32_t index = seek(self, name, hash);
    assert(self->slots[index].place == NONE);
    self->channels[self->count++] = channel;
    self->slots[index] = (slot_t){self->count, hash};
}

/* Frees a slot and moves those behind it back, so that no probe ends too early. */
static void free_slot(fw_registry_t *self, uint32_t index)
{
    uint32_t mask = self->slots_count - 1;
    uint32_t hole = index;
    for (uint32_t i = (hole + 1) & mask; self->slots[i].place != NONE; i = (i + 1) & mask) {
        uint32_t home = self->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            self->slots[hole] = self->slots[i];
            hole = i;
        }
    }
    self->slots[hole] = (slot_t){NONE, 0};
}

void fw_registry_remove(fw_registry_t *self, fw_channel_t *channel)
{
    fw_text_t name = fw_channel_name(channel);
    uint32_t index = seek(self, name, hash_of(name));
    uint32_t place = self->slots[index].place;
    assert(place != NONE);
    assert(self->channels[place - 1] == channel);
    free_slot(self, index);
    fw_channel_t *last = self->channels[self->count - 1];
    if (last != channel) {
        fw_text_t last_name = fw_channel_name(last);
        self->slots[seek(self, last_name, hash_of(last_name))].place = place;
        self->channels[place - 1] = last;
    }
    self->count--;
}

fw_channel_t *fw_registry_find(const fw_registry_t *self, fw_text_t name)
{
    uint32_t place = self->slots[seek(self, name, hash_of(name))].place;
    return place == NONE ? NULL : self->channels[place - 1];
}

size_t fw_registry_count(const fw_registry_t *self)
{
    return self->count;
}

fw_channel_t *fw_registry_at(const fw_registry_t *self, size_t place)
{
    return place < self->count ? self->channels[place] : NULL;
}
