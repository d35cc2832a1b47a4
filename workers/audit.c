/* audit.c - see audit.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"
#include "runtime/random.h"

enum { PREFIX_SIZE = 80, SECOND_MS = 1000 };

typedef struct sample sample_t;

/* The last sample of a tag. */
typedef struct {
    UT_hash_handle hh; /* by tag, whose text is the sample's */
    sample_t *sample;
} last_t;

struct sample {
    fw_audit_sample_t view;
    sample_t *prev, *next; /* in the queue of its timescale */
    bool busy;             /* being checked: in no queue */
    int64_t taken_ms;
    size_t bytes;
    last_t lasts[FW_AUDIT_TAGS_MAX];
    fw_text_t keys[FW_AUDIT_KEYS_MAX];
    fw_audit_tag_t tags[FW_AUDIT_TAGS_MAX];
    char texts[];
};

struct fw_audit {
    fw_audit_limits_t limits;
    char prefix[PREFIX_SIZE]; /* of the cache's entries */
    size_t prefix_size;
    sample_t *queues[FW_AUDIT_SCALES_MAX]; /* the one that is due first stands first */
    sample_t *busy;
    last_t *lasts;
    fw_audit_tally_t tallies[FW_AUDIT_SCALES_MAX];
    size_t samples;
    size_t bytes;
    uint64_t numbers;
    int64_t tokens_ms; /* a sample costs SECOND_MS of them, rate of them come a millisecond */
    int64_t filled_ms;
    fw_random_t random;
};

fw_audit_t *fw_audit_new(const fw_audit_limits_t *limits, const char *name_space)
{
    assert(limits->scales_count >= 1 && limits->scales_count <= FW_AUDIT_SCALES_MAX);
    assert(limits->rate >= 1);
    fw_audit_t *self = fw_alloc(1, sizeof(*self));
    self->limits = *limits;
    int size = snprintf(self->prefix, sizeof(self->prefix), "%s:c:", name_space);
    assert(size > 0 && (size_t)size < sizeof(self->prefix));
    self->prefix_size = (size_t)size;
    self->random.state = limits->seed;
    self->tokens_ms = (int64_t)limits->rate * SECOND_MS;
    return self;
}

static void forget(fw_audit_t *self, sample_t *sample)
{
    for (size_t i = 0; i < sample->view.tags_count; i++) {
        if (sample->lasts[i].sample) {
            HASH_DELETE(hh, self->lasts, &sample->lasts[i]);
        }
    }
    self->samples--;
    self->bytes -= sample->bytes;
    free(sample);
}

void fw_audit_destroy(fw_audit_t **self_p)
{
    fw_audit_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < FW_AUDIT_SCALES_MAX; i++) {
        while (self->queues[i]) {
            sample_t *sample = self->queues[i];
            DL_DELETE(self->queues[i], sample);
            forget(self, sample);
        }
    }
    while (self->busy) {
        sample_t *sample = self->busy;
        DL_DELETE(self->busy, sample);
        forget(self, sample);
    }
    assert(self->samples == 0 && !self->lasts);
    free(self);
    *self_p = NULL;
}

/* ---- sampling */

static bool is_entry(const fw_audit_t *self, fw_text_t key)
{
    return key.size > self->prefix_size && memcmp(key.text, self->prefix, self->prefix_size) == 0;
}

/* Draws at most limit of count, each as likely as any other; *ret_chosen are indexes. */
static size_t draw(fw_audit_t *self, size_t count, size_t limit, size_t *ret_chosen)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count && chosen < limit; i++) {
        size_t left = count - i;
        if (fw_random_below(&self->random, left) < limit - chosen) {
            ret_chosen[chosen++] = i;
        }
    }
    return chosen;
}

static uint64_t stamp_of(const fw_purged_t *purged, fw_text_t tag)
{
    for (size_t i = 0; i < purged->stamps_count; i++) {
        if (fw_text_equal(purged->stamps[i].tag, tag)) {
            return purged->stamps[i].stamp;
        }
    }
    return 0;
}

static bool take_token(fw_audit_t *self, int64_t now_ms)
{
    int64_t most = (int64_t)self->limits.rate * SECOND_MS;
    int64_t passed_ms = now_ms - self->filled_ms;
    self->filled_ms = now_ms;
    if (passed_ms >= SECOND_MS) {
        self->tokens_ms = most;
    } else if (passed_ms > 0) {
        self->tokens_ms += passed_ms * self->limits.rate;
        self->tokens_ms = self->tokens_ms > most ? most : self->tokens_ms;
    }
    if (self->tokens_ms < SECOND_MS) {
        return false;
    }
    self->tokens_ms -= SECOND_MS;
    return true;
}

static fw_text_t keep(char **at, fw_text_t text)
{
    fw_text_t kept = {*at, text.size};
    memcpy(*at, text.text, text.size);
    (*at)[text.size] = 0;
    *at += text.size + 1;
    return kept;
}

/* From now on an entry with this tag is compared with this purge. */
static void lead(fw_audit_t *self, sample_t *sample, size_t index)
{
    fw_text_t tag = sample->tags[index].tag;
    last_t *last = NULL;
    HASH_FIND(hh, self->lasts, tag.text, tag.size, last);
    if (last) {
        HASH_DELETE(hh, self->lasts, last);
        last->sample = NULL;
    }
    last = &sample->lasts[index];
    last->sample = sample;
    HASH_ADD_KEYPTR(hh, self->lasts, tag.text, tag.size, last);
}

static sample_t *make(fw_audit_t *self, const fw_purged_t *purged, const fw_text_t *keys,
                      size_t keys_count, const fw_text_t *tags, size_t tags_count)
{
    size_t size = sizeof(sample_t);
    for (size_t i = 0; i < keys_count; i++) {
        size += keys[i].size + 1;
    }
    for (size_t i = 0; i < tags_count; i++) {
        size += tags[i].size + 1;
    }
    if (self->samples >= self->limits.samples_max || self->bytes + size > self->limits.bytes_max) {
        return NULL;
    }
    sample_t *sample = fw_alloc(1, size);
    char *at = sample->texts;
    sample->bytes = size;
    sample->view = (fw_audit_sample_t){
        .number = ++self->numbers,
        .redis_time = purged->redis_time,
        .bound_us = fw_audit_bound_us(purged->redis_time, purged->took_us, self->limits.slack_us),
        .keys = sample->keys,
        .keys_count = keys_count,
        .tags = sample->tags,
        .tags_count = tags_count,
    };
    for (size_t i = 0; i < keys_count; i++) {
        sample->keys[i] = keep(&at, keys[i]);
    }
    for (size_t i = 0; i < tags_count; i++) {
        sample->tags[i] = (fw_audit_tag_t){keep(&at, tags[i]), stamp_of(purged, tags[i])};
        lead(self, sample, i);
    }
    self->samples++;
    self->bytes += size;
    return sample;
}

static int64_t due_ms(const fw_audit_t *self, const sample_t *sample, size_t scale)
{
    return sample->taken_ms + self->limits.scales_ms[scale];
}

/* Into the queue of its timescale. Checks may end in another order than they began, so the place is
 * looked for, from the end. */
static void await(fw_audit_t *self, sample_t *sample)
{
    size_t scale = sample->view.scale;
    sample_t *head = self->queues[scale];
    sample_t *after = head ? head->prev : NULL;
    while (after && after->taken_ms > sample->taken_ms) {
        after = after == head ? NULL : after->prev;
    }
    if (!head || !after) {
        DL_PREPEND(self->queues[scale], sample);
    } else {
        DL_APPEND_ELEM(self->queues[scale], after, sample);
    }
}

fw_audit_offer_t fw_audit_offer(fw_audit_t *self, const fw_purged_t *purged, int64_t now_ms)
{
    const fw_invalidate_t *names = &purged->invalidate;
    fw_text_t keys[FW_AUDIT_KEYS_MAX];
    fw_text_t tags[FW_AUDIT_TAGS_MAX];
    size_t chosen[FW_AUDIT_KEYS_MAX];
    size_t keys_count = 0;
    size_t count = draw(self, names->keys_count, FW_AUDIT_KEYS_MAX, chosen);
    for (size_t i = 0; i < count; i++) {
        if (is_entry(self, names->keys[chosen[i]])) {
            keys[keys_count++] = names->keys[chosen[i]];
        }
    }
    size_t tags_count = draw(self, names->tags_count, FW_AUDIT_TAGS_MAX, chosen);
    for (size_t i = 0; i < tags_count; i++) {
        tags[i] = names->tags[chosen[i]];
    }
    if (keys_count + tags_count == 0 || purged->redis_time == 0) {
        return FW_AUDIT_EMPTY;
    }
    if (!take_token(self, now_ms)) {
        return FW_AUDIT_RATE;
    }
    sample_t *sample = make(self, purged, keys, keys_count, tags, tags_count);
    if (!sample) {
        return FW_AUDIT_FULL;
    }
    sample->taken_ms = now_ms;
    await(self, sample);
    return FW_AUDIT_TAKEN;
}

/* ---- checking */

const fw_audit_sample_t *fw_audit_take(fw_audit_t *self, int64_t now_ms)
{
    for (size_t scale = 0; scale < self->limits.scales_count; scale++) {
        sample_t *sample = self->queues[scale];
        if (sample && due_ms(self, sample, scale) <= now_ms) {
            DL_DELETE(self->queues[scale], sample);
            DL_APPEND(self->busy, sample);
            sample->busy = true;
            return &sample->view;
        }
    }
    return NULL;
}

static void count(fw_audit_tally_t *tally, fw_audit_verdict_t verdict)
{
    switch (verdict) {
    case FW_AUDIT_STALE:
        tally->stale++;
        tally->checked++;
        break;
    case FW_AUDIT_CLEAN:
        tally->checked++;
        break;
    case FW_AUDIT_UNJUDGED:
        tally->unjudged++;
        break;
    }
}

void fw_audit_checked(fw_audit_t *self, const fw_audit_sample_t *view, fw_audit_verdict_t verdict,
                      int64_t now_ms)
{
    sample_t *sample = NULL;
    DL_FOREACH(self->busy, sample)
    {
        if (&sample->view == view) {
            break;
        }
    }
    assert(sample && sample->busy);
    DL_DELETE(self->busy, sample);
    sample->busy = false;
    count(&self->tallies[sample->view.scale], verdict);
    sample->view.scale++;
    /* Of several that are overdue the last one counts: one check answers for now only. */
    while (sample->view.scale + 1 < self->limits.scales_count &&
           due_ms(self, sample, sample->view.scale + 1) <= now_ms) {
        self->tallies[sample->view.scale].missed++;
        sample->view.scale++;
    }
    if (sample->view.scale < self->limits.scales_count) {
        await(self, sample);
    } else {
        forget(self, sample);
    }
}

int64_t fw_audit_next_ms(const fw_audit_t *self)
{
    int64_t next_ms = INT64_MAX;
    for (size_t scale = 0; scale < self->limits.scales_count; scale++) {
        if (self->queues[scale]) {
            int64_t at_ms = due_ms(self, self->queues[scale], scale);
            next_ms = at_ms < next_ms ? at_ms : next_ms;
        }
    }
    return next_ms;
}

/* ---- what is come across */

const fw_audit_sample_t *fw_audit_suspect(fw_audit_t *self, fw_bytes_t tag, uint64_t start_us)
{
    last_t *last = NULL;
    HASH_FIND(hh, self->lasts, tag.data, tag.size, last);
    if (!last || last->sample->view.scale == 0 || start_us > last->sample->view.bound_us) {
        return NULL;
    }
    return &last->sample->view;
}

void fw_audit_came_across(fw_audit_t *self, size_t scale, fw_audit_verdict_t verdict)
{
    if (verdict == FW_AUDIT_STALE) {
        count(&self->tallies[scale < self->limits.scales_count ? scale : 0], verdict);
    }
}

fw_audit_tally_t fw_audit_tally(const fw_audit_t *self, size_t scale)
{
    assert(scale < self->limits.scales_count);
    return self->tallies[scale];
}

size_t fw_audit_samples(const fw_audit_t *self)
{
    return self->samples;
}

size_t fw_audit_bytes(const fw_audit_t *self)
{
    return self->bytes;
}
