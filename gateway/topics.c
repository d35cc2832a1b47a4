/* topics.c - see topics.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/topics.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

enum { SLOTS_MIN = 64 };

#define KEY_MASK UINT64_C(0xffffffffffff)

/* There may be one for every session. */
typedef struct {
    uint64_t key : 48;   /* the topic's bytes; 0 = free */
    bool changed : 1;    /* in the list of changes */
    bool subscribed : 1; /* on the socket */
    uint32_t holders;    /* 0 = to be unsubscribed */
    uint32_t fence;
} topic_t;

_Static_assert(sizeof(topic_t) == 16, "a slot stays small");
_Static_assert(FW_TOPIC_SIZE * 8 == 48, "a topic is a key");

struct fw_topics {
    topic_t *slots;
    uint32_t slots_count; /* a power of two */
    uint32_t count;
    uint64_t *changes; /* keys, in the order in which they changed */
    size_t changes_first;
    size_t changes_end;
    size_t changes_capacity;
    uint32_t fence;  /* the next one to be subscribed, or the one under way */
    uint32_t passed; /* the last one that came back */
    bool under_way;
    bool wanted;   /* some topic waits for the next one */
    bool repeated; /* none has come back since the socket was opened */
};

static uint64_t key_of(fw_text_t channel)
{
    char topic[FW_TOPIC_SIZE];
    uint64_t key = 0;
    fw_channel_topic(channel, topic);
    memcpy(&key, topic, sizeof topic);
    return key;
}

static uint32_t home_of(const fw_topics_t *self, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(mixed >> 32) & (self->slots_count - 1);
}

/* The slot of a key, or the free one where it would go. */
static topic_t *seek(const fw_topics_t *self, uint64_t key)
{
    uint32_t index = home_of(self, key);
    while (self->slots[index].key != 0 && self->slots[index].key != key)
        index = (index + 1) & (self->slots_count - 1);
    return &self->slots[index];
}

static void grow(fw_topics_t *self)
{
    topic_t *old = self->slots;
    uint32_t old_count = self->slots_count;
    self->slots_count = old_count ? old_count * 2 : SLOTS_MIN;
    self->slots = fw_alloc(self->slots_count, sizeof *self->slots);
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].key != 0)
            *seek(self, old[i].key) = old[i];
    free(old);
}

fw_topics_t *fw_topics_new(void)
{
    fw_topics_t *self = fw_alloc(1, sizeof *self);
    self->fence = 1;
    grow(self);
    return self;
}

void fw_topics_destroy(fw_topics_t **self_p)
{
    fw_topics_t *self = *self_p;
    if (!self)
        return;
    free(self->slots);
    free(self->changes);
    free(self);
    *self_p = NULL;
}

static void change(fw_topics_t *self, topic_t *topic)
{
    if (topic->changed)
        return;
    if (self->changes_end == self->changes_capacity) {
        self->changes_capacity = self->changes_capacity ? self->changes_capacity * 2 : 16;
        self->changes = fw_realloc(self->changes, self->changes_capacity, sizeof *self->changes);
    }
    topic->changed = true;
    self->changes[self->changes_end++] = topic->key;
}

/* The first fence that will be subscribed after now. */
static uint32_t next_fence(const fw_topics_t *self)
{
    return self->under_way ? self->fence + 1 : self->fence;
}

uint32_t fw_topics_hold(fw_topics_t *self, fw_text_t channel)
{
    uint64_t key = key_of(channel);
    topic_t *topic = seek(self, key);
    if (topic->key == 0) {
        if (2 * (self->count + 1) > self->slots_count) {
            grow(self);
            topic = seek(self, key);
        }
        self->count++;
        *topic = (topic_t){.key = key & KEY_MASK};
    }
    if (topic->holders++ == 0 && !topic->subscribed) {
        topic->fence = next_fence(self);
        self->wanted = true;
        change(self, topic);
    }
    return topic->fence;
}

void fw_topics_release(fw_topics_t *self, fw_text_t channel)
{
    topic_t *topic = seek(self, key_of(channel));
    assert(topic->holders > 0);
    if (--topic->holders == 0)
        change(self, topic);
}

uint32_t fw_topics_fence_of(const fw_topics_t *self, fw_text_t channel)
{
    return seek(self, key_of(channel))->fence;
}

bool fw_topics_passed(const fw_topics_t *self, uint32_t fence)
{
    return (int32_t)(self->passed - fence) >= 0;
}

static void forget(fw_topics_t *self, topic_t *topic)
{
    uint32_t mask = self->slots_count - 1;
    uint32_t hole = (uint32_t)(topic - self->slots);
    for (uint32_t i = (hole + 1) & mask; self->slots[i].key != 0; i = (i + 1) & mask) {
        uint32_t home = home_of(self, self->slots[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            self->slots[hole] = self->slots[i];
            hole = i;
        }
    }
    self->slots[hole] = (topic_t){.key = 0};
    self->count--;
}

bool fw_topics_next_change(fw_topics_t *self, char ret_topic[FW_TOPIC_SIZE], bool *ret_subscribe)
{
    while (self->changes_first < self->changes_end) {
        uint64_t key = self->changes[self->changes_first++];
        topic_t *topic = seek(self, key);
        topic->changed = false;
        bool wanted = topic->holders > 0;
        bool subscribed = topic->subscribed;
        topic->subscribed = wanted;
        if (!wanted)
            forget(self, topic);
        if (wanted == subscribed)
            continue; /* it changed its mind */
        memcpy(ret_topic, &key, FW_TOPIC_SIZE);
        *ret_subscribe = wanted;
        return true;
    }
    self->changes_first = 0;
    self->changes_end = 0;
    return false;
}

uint32_t fw_topics_next_fence(fw_topics_t *self)
{
    if (!self->wanted || self->under_way || self->changes_first < self->changes_end)
        return 0;
    self->wanted = false;
    self->under_way = true;
    return self->fence;
}

bool fw_topics_fenced(fw_topics_t *self, uint32_t fence)
{
    if (!self->under_way || fence != self->fence)
        return false; /* of an earlier socket */
    /* One that was under way already may have come back before what gave rise to the next. */
    bool first = self->repeated && !self->wanted;
    self->under_way = false;
    if (first)
        self->repeated = false;
    self->passed = self->fence++;
    return first;
}

uint32_t fw_topics_under_way(const fw_topics_t *self)
{
    return self->under_way ? self->fence : 0;
}

void fw_topics_lost(fw_topics_t *self)
{
    if (!self->under_way)
        return;
    self->under_way = false;
    self->fence++; /* covers all that the lost one would have */
    self->wanted = true;
}

void fw_topics_refence(fw_topics_t *self)
{
    self->wanted = true;
    self->repeated = true;
}

void fw_topics_repeat(fw_topics_t *self)
{
    if (self->under_way)
        self->fence++; /* an answer to the old one must not count */
    self->under_way = false;
    self->wanted = true; /* a fence also when there are no topics: it shows that the link works */
    self->repeated = true;
    for (uint32_t i = 0; i < self->slots_count; i++) {
        topic_t *topic = &self->slots[i];
        if (topic->key == 0)
            continue;
        topic->subscribed = false;
        topic->fence = self->fence;
        change(self, topic);
    }
}
