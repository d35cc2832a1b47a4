/* sweep.c - removes the keys that match patterns, a little at a time.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/sweep.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "workers/glob.h"

typedef struct {
    char *text;
    size_t size;
    bool running; /* part of the sweep that goes on now */
} pattern_t;

/* A key that matched and is not removed yet. */
typedef struct {
    uint8_t *data;
    size_t size;
} found_t;

struct fw_sweep {
    fw_sweep_limits_t limits;
    pattern_t *patterns; /* in the order of their requests: the running ones first */
    size_t patterns_count;
    bool running;
    bool asked;     /* a command is on its way */
    bool scan_done; /* the cursor came back to 0 */
    uint64_t cursor;
    char match[2 * FW_KEY_SIZE_MAX + 2];
    int64_t asked_us; /* when the command was given */
    int64_t rest_until_us;
    found_t *keys;
    size_t keys_count, keys_capacity;
    size_t keys_asked; /* of them, in the UNLINK that is on its way */
    fw_bytes_t asked_keys[FW_SWEEP_KEYS_PER_COMMAND]; /* views of them, for the step */
    size_t keys_alone; /* of them, to be removed one by one: together they were refused */
    fw_sweep_totals_t totals;
};

fw_sweep_t *fw_sweep_new(const fw_sweep_limits_t *limits)
{
    assert(limits->patterns_max > 0);
    assert(limits->count > 0);
    assert(limits->duty_percent >= 1 && limits->duty_percent <= 100);
    fw_sweep_t *self = fw_alloc(1, sizeof(*self));
    self->limits = *limits;
    self->patterns = fw_alloc(limits->patterns_max, sizeof(pattern_t));
    return self;
}

/* Forgets the first count of the keys. */
static void drop_keys(fw_sweep_t *self, size_t count)
{
    if (count == 0) {
        return; /* there may be no list yet */
    }
    for (size_t i = 0; i < count; i++) {
        free(self->keys[i].data);
    }
    self->keys_count -= count;
    memmove(self->keys, self->keys + count, self->keys_count * sizeof(found_t));
}

void fw_sweep_destroy(fw_sweep_t **self_p)
{
    fw_sweep_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->patterns_count; i++) {
        free(self->patterns[i].text);
    }
    free(self->patterns);
    if (self->keys) {
        drop_keys(self, self->keys_count);
    }
    free(self->keys);
    free(self);
    *self_p = NULL;
}

int fw_sweep_request(fw_sweep_t *self, fw_text_t pattern)
{
    assert(pattern.size <= FW_KEY_SIZE_MAX);
    for (size_t i = 0; i < self->patterns_count; i++) {
        const pattern_t *known = &self->patterns[i];
        if (!known->running && fw_text_equal((fw_text_t){known->text, known->size}, pattern)) {
            return 0;
        }
    }
    if (self->patterns_count == self->limits.patterns_max) {
        return -ENOSPC;
    }
    self->patterns[self->patterns_count++] =
        (pattern_t){.text = fw_copy_text(pattern.text, pattern.size), .size = pattern.size};
    return 0;
}

size_t fw_sweep_pending(const fw_sweep_t *self)
{
    return self->patterns_count;
}

/* ---- steps */

/* Begins a sweep for every pattern that waits. All of them are found among the keys that begin as
 * all of them do. */
static void begin(fw_sweep_t *self)
{
    char common[FW_KEY_SIZE_MAX];
    char other[FW_KEY_SIZE_MAX];
    size_t size = 0;
    for (size_t i = 0; i < self->patterns_count; i++) {
        pattern_t *pattern = &self->patterns[i];
        fw_text_t text = {pattern->text, pattern->size};
        pattern->running = true;
        size_t other_size = fw_glob_prefix(text, i == 0 ? common : other, NULL);
        size_t same = i == 0 ? other_size : 0;
        while (same < size && same < other_size && common[same] == other[same]) {
            same++;
        }
        size = same;
    }
    self->match[0] = 0;
    if (size > 0) {
        (void)fw_glob_begins_with(common, size, self->match);
    }
    self->running = true;
    self->scan_done = false;
    self->cursor = 0;
}

/* Ends the sweep: its patterns are done. */
static void end(fw_sweep_t *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->patterns_count; i++) {
        if (self->patterns[i].running) {
            free(self->patterns[i].text);
        } else {
            self->patterns[kept++] = self->patterns[i];
        }
    }
    self->patterns_count = kept;
    self->running = false;
}

fw_sweep_step_t fw_sweep_next(fw_sweep_t *self, int64_t now_us)
{
    assert(!self->asked);
    if (self->patterns_count == 0) {
        return (fw_sweep_step_t){.kind = FW_SWEEP_IDLE};
    }
    if (now_us < self->rest_until_us) {
        return (fw_sweep_step_t){.kind = FW_SWEEP_REST, .until_us = self->rest_until_us};
    }
    if (!self->running) {
        begin(self);
    }
    self->asked = true;
    self->asked_us = now_us;
    /* What was found is removed at once: so no more than one answer of SCAN is ever held. */
    if (self->keys_count > 0) {
        size_t limit = self->keys_alone > 0 ? 1 : FW_SWEEP_KEYS_PER_COMMAND;
        self->keys_asked = self->keys_count < limit ? self->keys_count : limit;
        for (size_t i = 0; i < self->keys_asked; i++) {
            self->asked_keys[i] = (fw_bytes_t){self->keys[i].data, self->keys[i].size};
        }
        return (fw_sweep_step_t){
            .kind = FW_SWEEP_UNLINK, .keys = self->asked_keys, .keys_count = self->keys_asked};
    }
    return (fw_sweep_step_t){.kind = FW_SWEEP_SCAN,
                             .cursor = self->cursor,
                             .match = self->match,
                             .count = self->limits.count};
}

/* Rests so long that the time Redis was busy is at most its share. */
static void rest(fw_sweep_t *self, int64_t now_us)
{
    int64_t busy_us = now_us > self->asked_us ? now_us - self->asked_us : 0;
    int64_t duty = self->limits.duty_percent;
    self->rest_until_us = now_us + (busy_us * (100 - duty) + duty - 1) / duty;
    self->asked = false;
}

static void end_if_done(fw_sweep_t *self)
{
    if (self->scan_done && self->keys_count == 0) {
        self->totals.sweeps++;
        end(self);
    }
}

static bool matches_any(const fw_sweep_t *self, fw_bytes_t key)
{
    for (size_t i = 0; i < self->patterns_count && self->patterns[i].running; i++) {
        fw_text_t pattern = {self->patterns[i].text, self->patterns[i].size};
        if (fw_glob_match(pattern, key)) {
            return true;
        }
    }
    return false;
}

void fw_sweep_scanned(fw_sweep_t *self, uint64_t cursor, const fw_bytes_t *keys, size_t count,
                      int64_t now_us)
{
    assert(self->asked && self->keys_count == 0);
    self->totals.keys_scanned += count;
    for (size_t i = 0; i < count; i++) {
        if (!matches_any(self, keys[i])) {
            continue;
        }
        if (self->keys_count == self->keys_capacity) {
            self->keys_capacity = self->keys_capacity ? 2 * self->keys_capacity : 64;
            self->keys = fw_realloc(self->keys, self->keys_capacity, sizeof(found_t));
        }
        uint8_t *copy = fw_alloc(1, keys[i].size + 1);
        memcpy(copy, keys[i].data, keys[i].size);
        self->keys[self->keys_count++] = (found_t){copy, keys[i].size};
    }
    self->totals.keys_matched += self->keys_count;
    self->cursor = cursor;
    self->scan_done = cursor == 0;
    rest(self, now_us);
    end_if_done(self);
}

/* The keys of the last UNLINK are settled, one way or the other. */
static void settle(fw_sweep_t *self, int64_t now_us)
{
    drop_keys(self, self->keys_asked);
    self->keys_asked = 0;
    self->keys_alone -= self->keys_alone > 0 ? 1 : 0;
    rest(self, now_us);
    end_if_done(self);
}

void fw_sweep_unlinked(fw_sweep_t *self, int64_t now_us)
{
    assert(self->asked && self->keys_asked > 0);
    settle(self, now_us);
}

void fw_sweep_refused(fw_sweep_t *self, int64_t now_us)
{
    assert(self->asked);
    if (self->keys_asked > 1) {
        self->keys_alone = self->keys_asked;
        self->keys_asked = 0;
        rest(self, now_us);
    } else if (self->keys_asked == 1) {
        self->totals.keys_refused++;
        settle(self, now_us);
    } else {
        self->totals.sweeps_refused++;
        rest(self, now_us);
        end(self);
    }
}

void fw_sweep_failed(fw_sweep_t *self, int64_t now_us)
{
    assert(self->asked);
    drop_keys(self, self->keys_count);
    self->keys_asked = 0;
    self->keys_alone = 0;
    self->running = false;
    for (size_t i = 0; i < self->patterns_count; i++) {
        self->patterns[i].running = false;
    }
    rest(self, now_us);
    if (self->rest_until_us < now_us + FW_SWEEP_FAILED_REST_US) {
        self->rest_until_us = now_us + FW_SWEEP_FAILED_REST_US;
    }
}

fw_sweep_totals_t fw_sweep_totals(const fw_sweep_t *self)
{
    return self->totals;
}
