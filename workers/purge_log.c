/* purge_log.c - what was purged lately, to be purged again where it was lost.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_log.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "workers/purge_plan.h"

enum { BLOCK_SIZE = 64 * 1024 };

/* What a job purges: sizes of its keys, stamp keys and patterns, then their bytes. Written one
 * behind the other, since the log is read only when something was lost. */
typedef struct {
    int64_t at_ms;
    uint32_t size; /* of all of it, rounded up to whole records' alignment */
    uint16_t keys_count, tags_count, patterns_count;
    bool settled;
    uint16_t sizes[];
} record_t;

/* Records stand in blocks, the oldest block first. */
typedef struct block {
    struct block *next;
    size_t capacity, used;
    size_t records; /* not forgotten */
    _Alignas(record_t) char bytes[];
} block_t;

struct fw_purge_log {
    fw_purge_log_limits_t limits;
    record_t **records; /* a ring, oldest first */
    size_t first, count, capacity;
    block_t *oldest, *newest;
    uint64_t first_sequence; /* of the oldest record, or of the next one when there is none */
    uint64_t watermark;      /* settled up to here */
    size_t bytes;
    uint64_t overflows;
};

_Static_assert((int)FW_KEY_SIZE_MAX <= UINT16_MAX &&
                   (int)FW_TAG_SIZE_MAX + (int)FW_PURGE_NAME_SPACE_SIZE_MAX + 8 <= UINT16_MAX &&
                   (int)FW_INVALIDATE_KEYS_MAX + (int)FW_INVALIDATE_PATTERNS_MAX <= UINT16_MAX &&
                   (int)FW_INVALIDATE_TAGS_MAX < UINT16_MAX,
               "counts and sizes fit a record");

_Static_assert((int)FW_INVALIDATE_KEYS_MAX + (int)FW_INVALIDATE_PATTERNS_MAX <=
                       (int)FW_PURGE_LOG_NAMES &&
                   2 * (int)FW_PURGE_LOG_NAMES <= (int)FW_PURGE_ITEMS_MAX,
               "any record fits a job, and any such job a plan");

fw_purge_log_t *fw_purge_log_new(const fw_purge_log_limits_t *limits)
{
    assert(limits->entries_max > 0);
    fw_purge_log_t *self = fw_alloc(1, sizeof(*self));
    self->limits = *limits;
    self->first_sequence = 1;
    return self;
}

static record_t *at(const fw_purge_log_t *self, uint64_t sequence)
{
    assert(sequence >= self->first_sequence && sequence < self->first_sequence + self->count);
    size_t index = self->first + (size_t)(sequence - self->first_sequence);
    return self->records[index & (self->capacity - 1)];
}

static void forget_oldest(fw_purge_log_t *self)
{
    self->bytes -= self->records[self->first]->size;
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    self->first_sequence++;
    block_t *block = self->oldest;
    if (--block->records == 0) {
        self->oldest = block->next;
        self->newest = self->oldest ? self->newest : NULL;
        free(block);
    }
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
    free(self->records);
    free(self);
    *self_p = NULL;
}

static void make_room(fw_purge_log_t *self)
{
    if (self->count < self->capacity) {
        return;
    }
    size_t larger = self->capacity ? 2 * self->capacity : 64;
    record_t **ring = fw_alloc(larger, sizeof(record_t *));
    for (size_t i = 0; i < self->count; i++) {
        ring[i] = self->records[(self->first + i) & (self->capacity - 1)];
    }
    free(self->records);
    self->records = ring;
    self->first = 0;
    self->capacity = larger;
}

/* Room for a record behind the newest one. */
static record_t *take(fw_purge_log_t *self, size_t size)
{
    block_t *block = self->newest;
    if (!block || block->capacity - block->used < size) {
        size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = fw_realloc(NULL, 1, sizeof(block_t) + capacity);
        *block = (block_t){.capacity = capacity};
        if (self->newest) {
            self->newest->next = block;
        } else {
            self->oldest = block;
        }
        self->newest = block;
    }
    record_t *record = (void *)(block->bytes + block->used);
    block->used += size;
    block->records++;
    return record;
}

/* Sum of the texts' sizes. */
static size_t bytes_of(const fw_text_t *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += texts[i].size;
    }
    return size;
}

/* Writes texts behind each other; at_p is where the bytes of the next one go. */
static void write_texts(uint16_t *sizes, char **at_p, const fw_text_t *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sizes[i] = (uint16_t)texts[i].size;
        if (texts[i].size > 0) {
            memcpy(*at_p, texts[i].text, texts[i].size);
        }
        *at_p += texts[i].size;
    }
}

uint64_t fw_purge_log_append(fw_purge_log_t *self, const fw_purge_job_t *job, int64_t now_ms)
{
    size_t texts = job->keys_count + job->tags_count + job->patterns_count;
    size_t size =
        sizeof(record_t) + texts * sizeof(uint16_t) + bytes_of(job->keys, job->keys_count) +
        bytes_of(job->stamp_keys, job->tags_count) + bytes_of(job->patterns, job->patterns_count);
    size = (size + _Alignof(record_t) - 1) & ~(_Alignof(record_t) - 1);
    make_room(self);
    record_t *record = take(self, size);
    *record = (record_t){.at_ms = now_ms,
                         .size = (uint32_t)size,
                         .keys_count = (uint16_t)job->keys_count,
                         .tags_count = (uint16_t)job->tags_count,
                         .patterns_count = (uint16_t)job->patterns_count};
    char *bytes = (char *)(record->sizes + texts);
    uint16_t *sizes = record->sizes;
    write_texts(sizes, &bytes, job->keys, job->keys_count);
    write_texts(sizes + job->keys_count, &bytes, job->stamp_keys, job->tags_count);
    write_texts(sizes + job->keys_count + job->tags_count, &bytes, job->patterns,
                job->patterns_count);
    self->records[(self->first + self->count) & (self->capacity - 1)] = record;
    self->count++;
    self->bytes += size;
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
    while (self->count > 0 &&
           now_ms - self->records[self->first]->at_ms > self->limits.age_ms_max) {
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

/* Names of several records, by kind. */
typedef struct {
    fw_text_t keys[FW_PURGE_LOG_NAMES];
    fw_text_t stamp_keys[FW_PURGE_LOG_NAMES];
    fw_text_t patterns[FW_INVALIDATE_PATTERNS_MAX];
    size_t keys_count, tags_count, patterns_count;
} names_t;

static bool has_room(const names_t *names, const record_t *record)
{
    return names->keys_count + record->keys_count <= FW_PURGE_LOG_NAMES &&
           names->tags_count + record->tags_count <= FW_PURGE_LOG_NAMES &&
           names->patterns_count + record->patterns_count <= FW_INVALIDATE_PATTERNS_MAX;
}

static const uint16_t *read_texts(const uint16_t *sizes, const char **bytes_p, size_t count,
                                  fw_text_t *texts)
{
    for (size_t i = 0; i < count; i++) {
        texts[i] = (fw_text_t){*bytes_p, sizes[i]};
        *bytes_p += sizes[i];
    }
    return sizes + count;
}

static void add_record(names_t *names, const record_t *record)
{
    size_t count = (size_t)record->keys_count + record->tags_count + record->patterns_count;
    const char *bytes = (const char *)(record->sizes + count);
    const uint16_t *sizes = record->sizes;
    sizes = read_texts(sizes, &bytes, record->keys_count, names->keys + names->keys_count);
    sizes = read_texts(sizes, &bytes, record->tags_count, names->stamp_keys + names->tags_count);
    (void)read_texts(sizes, &bytes, record->patterns_count,
                     names->patterns + names->patterns_count);
    names->keys_count += record->keys_count;
    names->tags_count += record->tags_count;
    names->patterns_count += record->patterns_count;
}

fw_purge_job_t *fw_purge_log_next(const fw_purge_log_t *self, uint64_t *sequence_p)
{
    uint64_t end = self->first_sequence + self->count;
    uint64_t sequence =
        *sequence_p + 1 < self->first_sequence ? self->first_sequence : *sequence_p + 1;
    if (sequence >= end) {
        return NULL;
    }
    names_t *names = fw_alloc(1, sizeof(*names));
    while (sequence < end && has_room(names, at(self, sequence))) {
        add_record(names, at(self, sequence++));
    }
    *sequence_p = sequence - 1;
    const fw_purge_job_t from = {.keys = names->keys,
                                 .keys_count = names->keys_count,
                                 .stamp_keys = names->stamp_keys,
                                 .tags_count = names->tags_count,
                                 .patterns = names->patterns,
                                 .patterns_count = names->patterns_count};
    fw_purge_job_t *job = fw_purge_job_again(&from);
    free(names);
    return job;
}

size_t fw_purge_log_count(const fw_purge_log_t *self)
{
    return self->count;
}
