/* dedupe.c - see dedupe.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/dedupe.h"

#include <assert.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"

typedef struct item {
    fw_dedupe_entry_t entry; /* first: an entry pointer is an item pointer */
    UT_hash_handle hh;
    struct item *prev, *next; /* oldest first */
    int64_t added_us;
    size_t id_size;
    size_t bytes; /* all of it */
    char *texts;  /* the id, then the channel names, each with its closing 0 */
} item_t;

struct fw_dedupe {
    item_t *items;
    item_t *by_age;
    size_t count;
    int64_t age_us_max;
    uint32_t count_max;
    size_t bytes;
    size_t bytes_max;
};

fw_dedupe_t *fw_dedupe_new(int64_t age_us_max, uint32_t count_max, size_t bytes_max)
{
    fw_dedupe_t *self = fw_alloc(1, sizeof *self);
    self->age_us_max = age_us_max;
    self->count_max = count_max;
    self->bytes_max = bytes_max;
    return self;
}

static void forget(fw_dedupe_t *self, item_t *item)
{
    HASH_DELETE(hh, self->items, item);
    DL_DELETE(self->by_age, item);
    self->count--;
    self->bytes -= item->bytes;
    free(item->entry.positions);
    free(item->texts);
    free(item);
}

void fw_dedupe_destroy(fw_dedupe_t **self_p)
{
    fw_dedupe_t *self = *self_p;
    if (!self)
        return;
    while (self->by_age)
        forget(self, self->by_age);
    free(self);
    *self_p = NULL;
}

fw_dedupe_entry_t *fw_dedupe_find(fw_dedupe_t *self, fw_text_t id)
{
    item_t *item;
    HASH_FIND(hh, self->items, id.text, id.size, item);
    return item ? &item->entry : NULL;
}

static void copy_texts(item_t *item, fw_text_t id, const fw_text_t *channels, size_t count)
{
    size_t size = id.size + 1;
    for (size_t i = 0; i < count; i++)
        size += channels[i].size + 1;
    item->texts = fw_alloc(1, size);
    item->bytes = sizeof *item + size + count * sizeof *item->entry.positions;
    memcpy(item->texts, id.text, id.size);
    item->id_size = id.size;
    item->entry.positions = fw_alloc(count, sizeof *item->entry.positions);
    item->entry.positions_count = count;
    char *at = item->texts + id.size + 1;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, channels[i].text, channels[i].size);
        item->entry.positions[i].channel = (fw_text_t){at, channels[i].size};
        at += channels[i].size + 1;
    }
}

fw_dedupe_entry_t *fw_dedupe_add(fw_dedupe_t *self, fw_text_t id, const fw_text_t *channels,
                                 size_t channels_count, int64_t now_us)
{
    item_t *item = fw_alloc(1, sizeof *item);
    assert(id.size > 0 && !fw_dedupe_find(self, id));
    copy_texts(item, id, channels, channels_count);
    item->added_us = now_us;
    HASH_ADD_KEYPTR(hh, self->items, item->texts, item->id_size, item);
    DL_APPEND(self->by_age, item);
    self->count++;
    self->bytes += item->bytes;
    fw_dedupe_expire(self, now_us);
    return &item->entry;
}

void fw_dedupe_remove(fw_dedupe_t *self, fw_dedupe_entry_t *entry)
{
    forget(self, (item_t *)entry);
}

void fw_dedupe_expire(fw_dedupe_t *self, int64_t now_us)
{
    /* An entry in flight at the head is younger than any barrier time-out, so waiting for it costs
     * nothing. */
    while (self->by_age && self->by_age->entry.finished &&
           (self->count > self->count_max || self->bytes > self->bytes_max ||
            now_us - self->by_age->added_us > self->age_us_max))
        forget(self, self->by_age);
}

size_t fw_dedupe_count(const fw_dedupe_t *self)
{
    return self->count;
}
