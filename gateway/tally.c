/* tally.c - see tally.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "runtime/alloc.h"

enum { CAPACITY_MIN = 64 };

typedef struct {
    fw_tally_key_t key;
    uint32_t count; /* 0 = free */
} entry_t;

struct fw_tally {
    entry_t *entries;
    size_t capacity; /* a power of 2 */
    size_t size;
    uint64_t seed;
};

fw_tally_t *fw_tally_new(uint64_t seed)
{
    fw_tally_t *self = fw_alloc(1, sizeof *self);
    self->seed = seed;
    self->capacity = CAPACITY_MIN;
    self->entries = fw_alloc(self->capacity, sizeof *self->entries);
    return self;
}

void fw_tally_destroy(fw_tally_t **self_p)
{
    fw_tally_t *self = *self_p;
    if (!self)
        return;
    free(self->entries);
    free(self);
    *self_p = NULL;
}

fw_tally_key_t fw_tally_text(const fw_tally_t *self, fw_text_t text)
{
    fw_tally_key_t key;
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(text.text, text.size, self->seed));
    _Static_assert(sizeof canonical == sizeof key, "a key is a hash of 128 bits");
    memcpy(&key, &canonical, sizeof key);
    return key;
}

static size_t home(const fw_tally_t *self, const fw_tally_key_t *key)
{
    return (size_t)XXH3_64bits_withSeed(key, sizeof *key, self->seed) & (self->capacity - 1);
}

/* Where the key is, or would be. */
static size_t place_of(const fw_tally_t *self, const fw_tally_key_t *key)
{
    size_t place = home(self, key);
    while (self->entries[place].count > 0 &&
           memcmp(&self->entries[place].key, key, sizeof *key) != 0)
        place = (place + 1) & (self->capacity - 1);
    return place;
}

static void resize(fw_tally_t *self, size_t capacity)
{
    entry_t *old = self->entries;
    size_t old_capacity = self->capacity;
    self->entries = fw_alloc(capacity, sizeof *self->entries);
    self->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].count > 0)
            self->entries[place_of(self, &old[i].key)] = old[i];
    }
    free(old);
}

bool fw_tally_add(fw_tally_t *self, const fw_tally_key_t *key, uint32_t limit)
{
    entry_t *entry = &self->entries[place_of(self, key)];
    if (limit > 0 && entry->count >= limit)
        return false;
    if (entry->count++ > 0)
        return true;
    entry->key = *key;
    self->size++;
    if (self->size * 4 > self->capacity * 3)
        resize(self, self->capacity * 2);
    return true;
}

/* Closes the gap: moves back whoever would not be found across it. */
static void close_gap(fw_tally_t *self, size_t gap)
{
    size_t mask = self->capacity - 1;
    for (size_t i = (gap + 1) & mask; self->entries[i].count > 0; i = (i + 1) & mask) {
        size_t wanted = home(self, &self->entries[i].key);
        if (((i - wanted) & mask) < ((i - gap) & mask))
            continue;
        self->entries[gap] = self->entries[i];
        self->entries[i].count = 0;
        gap = i;
    }
}

void fw_tally_remove(fw_tally_t *self, const fw_tally_key_t *key)
{
    size_t place = place_of(self, key);
    assert(self->entries[place].count > 0);
    if (--self->entries[place].count > 0)
        return;
    self->size--;
    close_gap(self, place);
    if (self->capacity > CAPACITY_MIN && self->size * 8 < self->capacity)
        resize(self, self->capacity / 2);
}

uint32_t fw_tally_count(const fw_tally_t *self, const fw_tally_key_t *key)
{
    return self->entries[place_of(self, key)].count;
}

size_t fw_tally_size(const fw_tally_t *self)
{
    return self->size;
}
