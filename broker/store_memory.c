/* store_memory.c - see store_memory.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/store_memory.h"

#include <assert.h>
#include <errno.h>

#include "proto/wildcard.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

enum {
    BUCKETS = 65536,
    RING_SIZE_FIRST = 4,
    EVENT_OVERHEAD = 64,
    SWEEP_CHANNELS_MAX = 4096, /* channels looked at in one tick */
};

typedef struct {
    fw_blob_t *publication;
    uint64_t fresh;
    int64_t appended_us;
    bool unconfirmed;
} event_t;

typedef struct channel {
    UT_hash_handle hh;
    struct channel *prev, *next; /* list of all channels, the one written longest ago first */
    fw_position_t head;          /* the newest event */
    uint64_t visible;            /* the newest released offset */
    const fw_policy_t *policy;
    uint64_t base; /* the oldest event kept; head.offset + 1 when none is */
    event_t *ring; /* event of offset o is at o & (ring_size - 1) */
    uint32_t ring_size;
    size_t bytes;
    int64_t written_us;
    size_t name_size;
    char name[];
} channel_t;

typedef struct {
    fw_store_t store;
    fw_store_memory_options_t options;
    channel_t *channels; /* by name */
    channel_t *by_age;
    channel_t *sweep;    /* where the next tick goes on */
    uint32_t *forgotten; /* channels forgotten or reset, per bucket */
    uint64_t generation; /* resets of every channel that is not kept */
    fw_store_stats_t stats;
} memory_t;

static memory_t *memory_of(fw_store_t *store)
{
    return (memory_t *)store;
}

/* splitmix64's finaliser: every input bit changes about half of the output bits. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t epoch_of_bucket(const memory_t *self, fw_text_t name, uint32_t *ret_bucket)
{
    uint32_t bucket = (uint32_t)XXH3_64bits(name.text, name.size) & (BUCKETS - 1);
    uint64_t epoch =
        mix(self->options.seed + mix((uint64_t)self->forgotten[bucket] << 16 | bucket) +
            mix(~self->generation));
    if (ret_bucket)
        *ret_bucket = bucket;
    epoch &= FW_EPOCH_MAX;
    return epoch ? epoch : 1; /* 0 means "no epoch known" */
}

static channel_t *find(const memory_t *self, fw_text_t name)
{
    channel_t *channel;
    HASH_FIND(hh, self->channels, name.text, name.size, channel);
    return channel;
}

static channel_t *create(memory_t *self, fw_text_t name)
{
    channel_t *channel = fw_alloc(1, sizeof *channel + name.size);
    channel->name_size = name.size;
    memcpy(channel->name, name.text, name.size);
    channel->head.epoch = epoch_of_bucket(self, name, NULL);
    channel->policy = fw_policies_find(self->options.policies, name);
    channel->base = 1;
    channel->ring_size = RING_SIZE_FIRST;
    channel->ring = fw_alloc(channel->ring_size, sizeof(event_t));
    HASH_ADD_KEYPTR(hh, self->channels, channel->name, channel->name_size, channel);
    DL_APPEND(self->by_age, channel);
    self->stats.channels++;
    return channel;
}

static event_t *event_at(const channel_t *channel, uint64_t offset)
{
    return &channel->ring[offset & (channel->ring_size - 1)];
}

static size_t cost_of(const event_t *event)
{
    return fw_blob_bytes(event->publication).size + EVENT_OVERHEAD;
}

static void drop_oldest(memory_t *self, channel_t *channel)
{
    event_t *event = event_at(channel, channel->base++);
    size_t cost = cost_of(event);
    channel->bytes -= cost;
    self->stats.bytes -= cost;
    self->stats.events--;
    self->stats.evicted_events++;
    fw_blob_release(&event->publication);
}

static bool is_empty(const channel_t *channel)
{
    return channel->base > channel->head.offset;
}

/* An event that waits in the barrier is not released yet: replay would have a hole without it. */
static bool can_drop_oldest(const channel_t *channel)
{
    return !is_empty(channel) && channel->base <= channel->visible;
}

static void forget(memory_t *self, channel_t *channel)
{
    uint32_t bucket;
    while (!is_empty(channel))
        drop_oldest(self, channel);
    (void)epoch_of_bucket(self, (fw_text_t){channel->name, channel->name_size}, &bucket);
    self->forgotten[bucket]++;
    if (self->sweep == channel)
        self->sweep = channel->next;
    self->stats.channels--;
    self->stats.evicted_channels++;
    HASH_DELETE(hh, self->channels, channel);
    DL_DELETE(self->by_age, channel);
    free(channel->ring);
    free(channel);
}

static void grow(channel_t *channel)
{
    uint32_t size = channel->ring_size * 2;
    event_t *ring = fw_alloc(size, sizeof(event_t));
    for (uint64_t offset = channel->base; offset <= channel->head.offset; offset++)
        ring[offset & (size - 1)] = *event_at(channel, offset);
    free(channel->ring);
    channel->ring = ring;
    channel->ring_size = size;
}

static void bound_channel(memory_t *self, channel_t *channel)
{
    while (can_drop_oldest(channel) &&
           (channel->head.offset - channel->base + 1 > channel->policy->events_max ||
            channel->bytes > channel->policy->bytes_max))
        drop_oldest(self, channel);
}

/* Channels give history in the order in which they were last written. */
static void bound_all(memory_t *self)
{
    for (channel_t *channel = self->by_age, *next; channel; channel = next) {
        next = channel->next;
        bool crowded = self->stats.channels > self->options.channels_max;
        if (!crowded && self->stats.bytes <= self->options.bytes_max)
            return;
        while ((crowded || self->stats.bytes > self->options.bytes_max) && can_drop_oldest(channel))
            drop_oldest(self, channel);
        if (crowded && is_empty(channel))
            forget(self, channel);
    }
}

static fw_position_t append_one(memory_t *self, fw_text_t name, fw_blob_t *publication,
                                int64_t now_us)
{
    channel_t *channel = find(self, name);
    if (!channel)
        channel = create(self, name);
    if (channel->head.offset - channel->base + 1 == channel->ring_size)
        grow(channel);
    channel->head.offset++;
    event_t *event = event_at(channel, channel->head.offset);
    *event = (event_t){.publication = fw_blob_hold(publication), .appended_us = now_us};
    channel->bytes += cost_of(event);
    self->stats.bytes += cost_of(event);
    self->stats.events++;
    channel->written_us = now_us;
    DL_DELETE(self->by_age, channel);
    DL_APPEND(self->by_age, channel);
    return channel->head;
}

static void memory_append(fw_store_t *store, fw_store_append_t *batch, size_t count)
{
    memory_t *self = memory_of(store);
    for (size_t i = 0; i < count; i++) {
        fw_store_append_t *append = &batch[i];
        for (size_t k = 0; k < append->channels_count; k++)
            append->ret_positions[k] =
                append_one(self, append->channels[k], append->publication, append->now_us);
        append->result = 0;
        store->answers.appended(store->answers.context, append);
    }
}

static void memory_commit(fw_store_t *store, fw_store_commit_t *batch, size_t count)
{
    memory_t *self = memory_of(store);
    for (size_t i = 0; i < count; i++) {
        fw_store_commit_t *commit = &batch[i];
        channel_t *channel = find(self, commit->channel);
        assert(channel && commit->position.offset == channel->visible + 1);
        commit->position.epoch = channel->head.epoch;
        event_t *event = event_at(channel, commit->position.offset);
        event->fresh = commit->fresh;
        event->unconfirmed = commit->unconfirmed;
        channel->visible = commit->position.offset;
        commit->result = 0;
        store->answers.committed(store->answers.context, commit);
        bound_channel(self, channel);
    }
    bound_all(self);
}

static void memory_read(fw_store_t *store, fw_store_read_t *read)
{
    memory_t *self = memory_of(store);
    channel_t *channel = find(self, read->channel);
    read->ret_count = 0;
    read->result = 0;
    read->ret_visible = channel ? (fw_position_t){channel->head.epoch, channel->visible}
                                : (fw_position_t){epoch_of_bucket(self, read->channel, NULL), 0};
    uint64_t base = channel ? channel->base : 1;
    if (read->since.epoch != read->ret_visible.epoch ||
        read->since.offset > read->ret_visible.offset || read->since.offset + 1 < base) {
        read->ret_status = FW_REPLAY_RESET;
    } else {
        uint64_t offset = read->since.offset + 1;
        for (; offset <= read->ret_visible.offset && read->ret_count < read->limit; offset++) {
            const event_t *event = event_at(channel, offset);
            read->ret_events[read->ret_count++] =
                (fw_store_event_t){{read->ret_visible.epoch, offset},
                                   event->publication,
                                   event->fresh,
                                   event->unconfirmed};
        }
        read->ret_status = offset > read->ret_visible.offset ? FW_REPLAY_COMPLETE : FW_REPLAY_MORE;
    }
    read->answer(read->context, read);
}

static void memory_positions(fw_store_t *store, fw_store_positions_t *positions)
{
    memory_t *self = memory_of(store);
    for (size_t i = 0; i < positions->channels_count; i++) {
        const channel_t *channel = find(self, positions->channels[i]);
        positions->ret_visible[i] =
            channel ? (fw_position_t){channel->head.epoch, channel->visible}
                    : (fw_position_t){epoch_of_bucket(self, positions->channels[i], NULL), 0};
    }
    positions->result = 0;
    positions->answer(positions->context, positions);
}

static bool matches(const channel_t *channel, const fw_text_t *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fw_wildcard_match(patterns[i], (fw_text_t){channel->name, channel->name_size}))
            return true;
    return false;
}

static void memory_reset(fw_store_t *store, const fw_text_t *patterns, size_t count)
{
    memory_t *self = memory_of(store);
    uint32_t bucket;
    self->generation++;
    self->stats.resets++;
    for (channel_t *channel = self->by_age; channel; channel = channel->next) {
        if (!matches(channel, patterns, count))
            continue;
        while (can_drop_oldest(channel))
            drop_oldest(self, channel);
        fw_text_t name = {channel->name, channel->name_size};
        (void)epoch_of_bucket(self, name, &bucket);
        self->forgotten[bucket]++;
        channel->head.epoch = epoch_of_bucket(self, name, NULL);
    }
}

static void memory_tick(fw_store_t *store, int64_t now_us)
{
    memory_t *self = memory_of(store);
    channel_t *channel = self->sweep ? self->sweep : self->by_age;
    for (int i = 0; channel && i < SWEEP_CHANNELS_MAX; i++) {
        channel_t *next = channel->next;
        while (can_drop_oldest(channel) &&
               now_us - event_at(channel, channel->base)->appended_us > channel->policy->age_us_max)
            drop_oldest(self, channel);
        if (is_empty(channel) && now_us - channel->written_us > self->options.idle_us_max)
            forget(self, channel);
        channel = next;
    }
    self->sweep = channel;
}

static void memory_stats(const fw_store_t *store, fw_store_stats_t *ret_stats)
{
    *ret_stats = ((const memory_t *)store)->stats;
}

static void memory_destroy(fw_store_t *store)
{
    memory_t *self = memory_of(store);
    while (self->by_age)
        forget(self, self->by_age);
    free(self->forgotten);
    free(self);
}

fw_store_t *fw_store_memory_new(const fw_store_memory_options_t *options,
                                const fw_store_answers_t *answers)
{
    static const fw_store_engine_t engine = {
        .destroy = memory_destroy,
        .append = memory_append,
        .commit = memory_commit,
        .read = memory_read,
        .positions = memory_positions,
        .reset = memory_reset,
        .tick = memory_tick,
        .stats = memory_stats,
    };
    memory_t *self = fw_alloc(1, sizeof *self);
    self->store = (fw_store_t){&engine, *answers};
    self->options = *options;
    self->forgotten = fw_alloc(BUCKETS, sizeof *self->forgotten);
    return &self->store;
}
