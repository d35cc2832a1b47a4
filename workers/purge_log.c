/* purge_log.c - what was purged lately, to be purged again where it was lost.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_log.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

typedef struct {
    fw_purge_job_t *job;
    int64_t at_ms;
    bool settled;
} entry_t;

struct fw_purge_log {
    fw_purge_log_limits_t limits;
    entry_t *entries; /* a ring, oldest first */
    size_t first, count, capacity;
    uint64_t first_sequence; /* of the oldest entry, or of the next one when there is none */
    uint64_t watermark;      /* settled up to here */
    size_t bytes;
    uint64_t overflows;
};

fw_purge_log_t *fw_purge_log_new(const fw_purge_log_limits_t *limits)
{
    assert(limits->entries_max > 0);
    fw_purge_log_t *self = fw_alloc(1, sizeof(*self));
    self->limits = *limits;
    self->first_sequence = 1;
    return self;
}

static entry_t *at(const fw_purge_log_t *self, uint64_t sequence)
{
    assert(sequence >= self->first_sequence && sequence < self->first_sequence + self->count);
    return &self->entries[(self->first + (sequence - self->first_sequence)) % self->capacity];
}

static void forget_oldest(fw_purge_log_t *self)
{
    entry_t *oldest = &self->entries[self->first];
    self->bytes -= oldest->job->bytes;
    fw_purge_job_destroy(&oldest->job);
    self->first = (self->first + 1) % self->capacity;
    self->count--;
    self->first_sequence++;
    /* One that nobody knows any more cannot hold the others up; whoever asked for it still waits.
     */
    if (self->watermark + 1 < self->first_sequence) {
        self->watermark = self->first_sequence - 1;
    }
}

void fw_purge_log_destroy(fw_purge_log_t **self_p)
{
    fw_purge_log_t *self = *self_p;
    if (!self) {
        return;
    }
    while (self->count > 0) {
        forget_oldest(self);
    }
    free(self->entries);
    free(self);
    *self_p = NULL;
}

static void make_room(fw_purge_log_t *self)
{
    if (self->count < self->capacity) {
        return;
    }
    size_t larger = self->capacity ? 2 * self->capacity : 64;
    entry_t *ring = fw_alloc(larger, sizeof(entry_t));
    for (size_t i = 0; i < self->count && self->capacity > 0; i++) {
        ring[i] = self->entries[(self->first + i) % self->capacity];
    }
    free(self->entries);
    self->entries = ring;
    self->first = 0;
    self->capacity = larger;
}

uint64_t fw_purge_log_append(fw_purge_log_t *self, const fw_purge_job_t *job, int64_t now_ms)
{
    make_room(self);
    fw_purge_job_t *copy = fw_purge_job_again(job);
    self->entries[(self->first + self->count) % self->capacity] =
        (entry_t){.job = copy, .at_ms = now_ms};
    self->count++;
    self->bytes += copy->bytes;
    while (self->count > self->limits.entries_max ||
           (self->bytes > self->limits.bytes_max && self->count > 0)) {
        forget_oldest(self);
        self->overflows++;
    }
    return self->first_sequence + self->count - 1;
}

void fw_purge_log_settled(fw_purge_log_t *self, uint64_t sequence)
{
    if (sequence < self->first_sequence) {
        return; /* forgotten meanwhile */
    }
    at(self, sequence)->settled = true;
    while (self->watermark + 1 < self->first_sequence + self->count &&
           at(self, self->watermark + 1)->settled) {
        self->watermark++;
    }
}

uint64_t fw_purge_log_trim(fw_purge_log_t *self, int64_t now_ms)
{
    while (self->count > 0 && now_ms - self->entries[self->first].at_ms > self->limits.age_ms_max) {
        forget_oldest(self);
    }
    uint64_t overflows = self->overflows;
    self->overflows = 0;
    return overflows;
}

uint64_t fw_purge_log_watermark(const fw_purge_log_t *self)
{
    return self->watermark;
}

bool fw_purge_log_covers(const fw_purge_log_t *self, uint64_t sequence)
{
    return sequence + 1 >= self->first_sequence;
}

const fw_purge_job_t *fw_purge_log_next(const fw_purge_log_t *self, uint64_t *sequence_p)
{
    uint64_t sequence =
        *sequence_p + 1 < self->first_sequence ? self->first_sequence : *sequence_p + 1;
    if (sequence >= self->first_sequence + self->count) {
        return NULL;
    }
    *sequence_p = sequence;
    return at(self, sequence)->job;
}

size_t fw_purge_log_count(const fw_purge_log_t *self)
{
    return self->count;
}
