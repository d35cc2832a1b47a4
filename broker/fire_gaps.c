/* fire_gaps.c - see fire_gaps.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/fire_gaps.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"

/* Numbers that have not come: first to first + count - 1. */
typedef struct {
    uint64_t first;
    uint64_t count;
    int64_t lost_us; /* then it is given up */
    int64_t ask_us;  /* next */
} range_t;

typedef struct publisher {
    UT_hash_handle hh;
    struct publisher *prev, *next; /* the one heard longest ago first */
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t first; /* what lies before it was not asked for; 0 = there was a mark */
    uint64_t last;  /* highest number seen or told */
    range_t *ranges;
    size_t ranges_count;
    size_t user_size;
    char user[FW_FIRE_USER_SIZE_MAX];
} publisher_t;

struct fw_fire_gaps {
    fw_fire_gaps_options_t options;
    fw_fire_gaps_output_t output;
    publisher_t *publishers;
    publisher_t *by_age;
    int64_t next_us;
    fw_fire_gaps_stats_t stats;
};

fw_fire_gaps_t *fw_fire_gaps_new(const fw_fire_gaps_options_t *options,
                                 const fw_fire_gaps_output_t *output)
{
    fw_fire_gaps_t *self = fw_alloc(1, sizeof *self);
    self->options = *options;
    self->output = *output;
    self->next_us = INT64_MAX;
    return self;
}

static fw_text_t user_of(const publisher_t *publisher)
{
    return (fw_text_t){publisher->user, publisher->user_size};
}

/* Takes out a range whose events will not come. */
static void give_up(fw_fire_gaps_t *self, publisher_t *publisher, size_t index)
{
    uint64_t count = publisher->ranges[index].count;
    publisher->ranges_count--;
    memmove(&publisher->ranges[index], &publisher->ranges[index + 1],
            (publisher->ranges_count - index) * sizeof(range_t));
    self->stats.missing -= count;
    self->stats.lost += count;
    self->output.lost(self->output.context, user_of(publisher), count);
}

static void forget(fw_fire_gaps_t *self, publisher_t *publisher)
{
    while (publisher->ranges_count > 0)
        give_up(self, publisher, 0);
    HASH_DELETE(hh, self->publishers, publisher);
    DL_DELETE(self->by_age, publisher);
    self->stats.publishers--;
    free(publisher->ranges);
    free(publisher);
}

void fw_fire_gaps_destroy(fw_fire_gaps_t **self_p)
{
    fw_fire_gaps_t *self = *self_p;
    if (!self)
        return;
    while (self->by_age) {
        self->by_age->ranges_count = 0;
        forget(self, self->by_age);
    }
    free(self);
    *self_p = NULL;
}

static publisher_t *find(const fw_fire_gaps_t *self, fw_bytes_t incarnation)
{
    publisher_t *publisher;
    HASH_FIND(hh, self->publishers, incarnation.data, incarnation.size, publisher);
    return publisher;
}

/* NULL when the incarnation is another key's: who copies it must not change what is known of it. */
static publisher_t *see(fw_fire_gaps_t *self, fw_bytes_t incarnation, fw_text_t user,
                        uint64_t last_if_new, uint64_t first_if_new)
{
    publisher_t *publisher = find(self, incarnation);
    if (publisher && !fw_text_equal(user_of(publisher), user))
        return NULL;
    if (publisher) {
        DL_DELETE(self->by_age, publisher);
        DL_APPEND(self->by_age, publisher);
        return publisher;
    }
    assert(incarnation.size == FW_INCARNATION_SIZE);
    while (self->by_age && self->stats.publishers >= self->options.publishers_max)
        forget(self, self->by_age);
    publisher = fw_alloc(1, sizeof *publisher);
    memcpy(publisher->incarnation, incarnation.data, incarnation.size);
    publisher->last = last_if_new;
    publisher->first = first_if_new;
    publisher->user_size = user.size < FW_FIRE_USER_SIZE_MAX ? user.size : FW_FIRE_USER_SIZE_MAX;
    memcpy(publisher->user, user.text, publisher->user_size);
    HASH_ADD(hh, self->publishers, incarnation, sizeof publisher->incarnation, publisher);
    DL_APPEND(self->by_age, publisher);
    self->stats.publishers++;
    return publisher;
}

static void look_at(fw_fire_gaps_t *self, int64_t at_us)
{
    if (at_us < self->next_us)
        self->next_us = at_us;
}

static void add_range(fw_fire_gaps_t *self, publisher_t *publisher, uint64_t first, uint64_t last,
                      int64_t now_us)
{
    if (publisher->ranges_count == FW_FIRE_RANGES_MAX)
        give_up(self, publisher, 0);
    if (!publisher->ranges)
        publisher->ranges = fw_alloc(FW_FIRE_RANGES_MAX, sizeof(range_t));
    range_t *range = &publisher->ranges[publisher->ranges_count++];
    *range = (range_t){.first = first,
                       .count = last - first + 1,
                       .lost_us = now_us + self->options.repair_us,
                       .ask_us = now_us + FW_FIRE_ASK_FIRST_MS * INT64_C(1000)};
    self->stats.missing += range->count;
    look_at(self, range->ask_us);
}

/* Splits the range that holds the number. False when none does. */
static bool fill(fw_fire_gaps_t *self, publisher_t *publisher, uint64_t sequence)
{
    for (size_t i = 0; i < publisher->ranges_count; i++) {
        range_t *range = &publisher->ranges[i];
        if (sequence < range->first || sequence - range->first >= range->count)
            continue;
        range_t after = *range;
        after.first = sequence + 1;
        after.count = range->count - (sequence - range->first) - 1;
        range->count = sequence - range->first;
        self->stats.missing--;
        if (range->count > 0 && after.count > 0 && publisher->ranges_count < FW_FIRE_RANGES_MAX) {
            memmove(range + 2, range + 1, (publisher->ranges_count - i - 1) * sizeof *range);
            range[1] = after;
            publisher->ranges_count++;
        } else if (range->count > 0 && after.count > 0) {
            /* No room for two: what lies before is given up. */
            uint64_t before = range->count;
            *range = after;
            self->stats.missing -= before;
            self->stats.lost += before;
            self->output.lost(self->output.context, user_of(publisher), before);
        } else if (after.count > 0) {
            *range = after;
        } else if (range->count == 0) {
            publisher->ranges_count--;
            memmove(range, range + 1, (publisher->ranges_count - i) * sizeof *range);
        }
        return true;
    }
    return false;
}

fw_fire_verdict_t fw_fire_gaps_event(fw_fire_gaps_t *self, fw_bytes_t incarnation,
                                     uint64_t sequence, fw_text_t user, int64_t now_us)
{
    publisher_t *publisher = see(self, incarnation, user, sequence - 1, sequence);
    if (!publisher)
        return FW_FIRE_NEW;
    if (sequence > publisher->last) {
        if (sequence - publisher->last > 1)
            add_range(self, publisher, publisher->last + 1, sequence - 1, now_us);
        publisher->last = sequence;
        return FW_FIRE_NEW;
    }
    if (fill(self, publisher, sequence)) {
        self->stats.repaired++;
        return FW_FIRE_REPAIRED;
    }
    self->stats.repeated++;
    return FW_FIRE_REPEATED;
}

/* What the publisher does not keep any more cannot be repaired. */
static void give_up_before(fw_fire_gaps_t *self, publisher_t *publisher, uint64_t kept)
{
    for (size_t i = publisher->ranges_count; i-- > 0;) {
        range_t *range = &publisher->ranges[i];
        if (range->first >= kept)
            continue;
        uint64_t gone = kept - range->first;
        if (gone >= range->count) {
            give_up(self, publisher, i);
            continue;
        }
        range->first += gone;
        range->count -= gone;
        self->stats.missing -= gone;
        self->stats.lost += gone;
        self->output.lost(self->output.context, user_of(publisher), gone);
    }
}

void fw_fire_gaps_mark(fw_fire_gaps_t *self, const fw_fire_mark_t *mark, fw_text_t user,
                       int64_t now_us)
{
    bool sane = mark->kept >= 1 && mark->kept <= mark->last;
    uint64_t before = sane ? mark->kept - 1 : mark->last;
    publisher_t *publisher = see(self, mark->incarnation, user, before, 0);
    if (!publisher)
        return;
    /* It was met by an event: its mark was lost, or overtaken. */
    if (publisher->first > 0 && sane && mark->kept < publisher->first)
        add_range(self, publisher, mark->kept, publisher->first - 1, now_us);
    publisher->first = 0;
    if (mark->last > publisher->last) {
        add_range(self, publisher, publisher->last + 1, mark->last, now_us);
        publisher->last = mark->last;
    }
    give_up_before(self, publisher, sane ? mark->kept : mark->last + 1);
}

static void tick_publisher(fw_fire_gaps_t *self, publisher_t *publisher, int64_t now_us)
{
    for (size_t i = 0; i < publisher->ranges_count;) {
        range_t *range = &publisher->ranges[i];
        if (range->lost_us <= now_us) {
            give_up(self, publisher, i);
            continue;
        }
        if (range->ask_us <= now_us) {
            uint32_t count = range->count > UINT32_MAX ? UINT32_MAX : (uint32_t)range->count;
            fw_fire_missing_t missing = {
                {publisher->incarnation, FW_INCARNATION_SIZE}, range->first, count};
            self->output.ask(self->output.context, &missing);
            range->ask_us = now_us + FW_FIRE_ASK_AGAIN_MS * INT64_C(1000);
        }
        look_at(self, range->ask_us < range->lost_us ? range->ask_us : range->lost_us);
        i++;
    }
}

void fw_fire_gaps_tick(fw_fire_gaps_t *self, int64_t now_us)
{
    if (now_us < self->next_us)
        return;
    self->next_us = INT64_MAX;
    for (publisher_t *publisher = self->by_age; publisher; publisher = publisher->next)
        tick_publisher(self, publisher, now_us);
}

int64_t fw_fire_gaps_next_us(const fw_fire_gaps_t *self)
{
    return self->next_us;
}

void fw_fire_gaps_stats(const fw_fire_gaps_t *self, fw_fire_gaps_stats_t *ret_stats)
{
    *ret_stats = self->stats;
}
