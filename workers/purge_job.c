/* purge_job.c - one job of the broker, copied, and what became of it.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "workers/glob.h"

enum { EPOCH_EXTRA = 6 }; /* what the key of the epoch has besides the name space */

/* Job, texts and bytes are one block; this is where the next of each goes. */
typedef struct {
    fw_text_t *text;
    char *bytes;
} cursor_t;

static size_t total_size(const fw_text_t *texts, size_t count, size_t extra)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += texts[i].size + extra;
    }
    return size;
}

static void add_text(cursor_t *cursor, const char *prefix, size_t prefix_size, fw_text_t text)
{
    memcpy(cursor->bytes, prefix, prefix_size);
    if (text.size > 0) {
        memcpy(cursor->bytes + prefix_size, text.text, text.size);
    }
    size_t size = prefix_size + text.size;
    cursor->bytes[size] = 0;
    *cursor->text++ = (fw_text_t){cursor->bytes, size};
    cursor->bytes += size + 1;
}

/* The key that a pattern without special characters is. False when it is a true pattern. */
static bool add_literal(cursor_t *cursor, fw_text_t pattern)
{
    bool literal = false;
    size_t size = fw_glob_prefix(pattern, cursor->bytes, &literal);
    if (!literal || size == 0) {
        return false;
    }
    cursor->bytes[size] = 0;
    *cursor->text++ = (fw_text_t){cursor->bytes, size};
    cursor->bytes += size + 1;
    return true;
}

/* The stamp that every entry of the cache carries. */
static void add_epoch(cursor_t *cursor, const char *name_space)
{
    int size = snprintf(cursor->bytes, FW_PURGE_NAME_SPACE_SIZE_MAX + EPOCH_EXTRA + 1, "%s:epoch",
                        name_space);
    *cursor->text++ = (fw_text_t){cursor->bytes, (size_t)size};
    cursor->bytes += size + 1;
}

static void copy_invalidate(fw_purge_job_t *self, const fw_invalidate_t *from, const char *prefix,
                            const char *name_space, cursor_t *cursor)
{
    self->keys = cursor->text;
    for (size_t i = 0; i < from->keys_count; i++) {
        add_text(cursor, "", 0, from->keys[i]);
    }
    for (size_t i = 0; i < from->patterns_count; i++) {
        (void)add_literal(cursor, from->patterns[i]);
    }
    self->keys_count = (size_t)(cursor->text - self->keys);
    self->stamp_keys = cursor->text;
    self->tags_count = from->tags_count;
    self->tag_at = strlen(prefix);
    for (size_t i = 0; i < from->tags_count; i++) {
        add_text(cursor, prefix, self->tag_at, from->tags[i]);
    }
    if (self->action == FW_CACHE_FLUSH) {
        add_epoch(cursor, name_space);
        self->tags_count++;
    }
    self->patterns = cursor->text;
    for (size_t i = 0; i < from->patterns_count; i++) {
        bool literal = false;
        if (fw_glob_prefix(from->patterns[i], NULL, &literal) == 0 || !literal) {
            add_text(cursor, "", 0, from->patterns[i]);
        }
    }
    self->patterns_count = (size_t)(cursor->text - self->patterns);
}

fw_purge_job_t *fw_purge_job_block(size_t extra_bytes)
{
    size_t size = sizeof(fw_purge_job_t) + extra_bytes;
    fw_purge_job_t *self = fw_realloc(NULL, 1, size);
    memset(self, 0, offsetof(fw_purge_job_t, reason) + 1);
    self->bytes = size;
    return self;
}

/* Makes the block; cursor is where the texts and their bytes go. */
static fw_purge_job_t *make(size_t texts, size_t stamps, size_t bytes, cursor_t *ret_cursor)
{
    size_t texts_at = sizeof(fw_purge_job_t);
    size_t stamps_at = texts_at + texts * sizeof(fw_text_t);
    size_t bytes_at = stamps_at + stamps * sizeof(fw_stamp_t);
    fw_purge_job_t *self = fw_purge_job_block(bytes_at - texts_at + bytes + 1);
    char *block = (void *)self;
    self->stamps = (void *)(block + stamps_at);
    *ret_cursor = (cursor_t){(void *)(block + texts_at), block + bytes_at};
    return self;
}

fw_purge_job_t *fw_purge_job_new(const fw_job_t *job, const char *name_space, int64_t received_us)
{
    char prefix[FW_PURGE_NAME_SPACE_SIZE_MAX + 4];
    size_t prefix_size = strlen(name_space) + 3;
    assert(prefix_size < sizeof(prefix));
    memcpy(prefix, name_space, prefix_size - 3);
    memcpy(prefix + prefix_size - 3, ":t:", 4);
    const fw_invalidate_t *from = &job->invalidate;
    bool flush = job->cache_action == FW_CACHE_FLUSH;
    size_t stamps = from->tags_count + flush;
    size_t texts = from->keys_count + stamps + from->patterns_count;
    size_t bytes = total_size(from->keys, from->keys_count, 1) +
                   total_size(from->tags, from->tags_count, prefix_size + 1) +
                   total_size(from->patterns, from->patterns_count, 1) +
                   (flush ? strlen(name_space) + EPOCH_EXTRA + 1 : 0);
    cursor_t cursor;
    fw_purge_job_t *self = make(texts, stamps, bytes, &cursor);
    self->job_id = job->job_id;
    self->leases = 1;
    self->received_us = received_us;
    self->action = job->cache_action;
    if (job->broker.size == sizeof(self->broker)) {
        memcpy(self->broker, job->broker.data, sizeof(self->broker));
    }
    copy_invalidate(self, from, prefix, name_space, &cursor);
    if (flush) {
        self->tag_at = 0; /* The epoch is no tag, and who flushes needs no stamps. */
    }
    return self;
}

static void add_texts(cursor_t *cursor, const fw_text_t *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_text(cursor, "", 0, texts[i]);
    }
}

fw_purge_job_t *fw_purge_job_again(const fw_purge_job_t *job)
{
    cursor_t cursor;
    fw_purge_job_t *self =
        make(job->keys_count + job->tags_count + job->patterns_count, job->tags_count,
             total_size(job->keys, job->keys_count, 1) +
                 total_size(job->stamp_keys, job->tags_count, 1) +
                 total_size(job->patterns, job->patterns_count, 1),
             &cursor);
    self->keys = cursor.text;
    self->keys_count = job->keys_count;
    add_texts(&cursor, job->keys, job->keys_count);
    self->stamp_keys = cursor.text;
    self->tags_count = job->tags_count;
    add_texts(&cursor, job->stamp_keys, job->tags_count);
    self->patterns = cursor.text;
    self->patterns_count = job->patterns_count;
    add_texts(&cursor, job->patterns, job->patterns_count);
    return self;
}

fw_purge_job_t *fw_purge_job_of(const fw_text_t *keys, size_t keys_count,
                                const fw_text_t *stamp_keys, size_t stamp_keys_count)
{
    const fw_purge_job_t from = {.keys = keys,
                                 .keys_count = keys_count,
                                 .stamp_keys = stamp_keys,
                                 .tags_count = stamp_keys_count};
    return fw_purge_job_again(&from);
}

_Static_assert(sizeof(fw_purge_job_t) % _Alignof(fw_text_t) == 0, "texts follow the job");
_Static_assert(_Alignof(fw_stamp_t) == _Alignof(fw_text_t), "stamps follow the texts");

void fw_purge_job_destroy(fw_purge_job_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

size_t fw_purge_job_items(const fw_purge_job_t *self)
{
    return self->keys_count + self->tags_count;
}

void fw_purge_job_fail(fw_purge_job_t *self, fw_purge_status_t status, const char *what,
                       const char *detail)
{
    self->status = status;
    (void)snprintf(self->reason, sizeof(self->reason), "%s%s%s", what, *detail ? ": " : "", detail);
    for (char *byte = self->reason; *byte; byte++) {
        if (*byte < ' ' || *byte > '~') {
            *byte = '?';
        }
    }
}

bool fw_purge_job_check_patterns(fw_purge_job_t *self, size_t prefix_min)
{
    for (size_t i = 0; i < self->patterns_count; i++) {
        if (fw_glob_prefix(self->patterns[i], NULL, NULL) < prefix_min) {
            char what[96];
            (void)snprintf(what, sizeof(what),
                           "a pattern must begin with %zu characters that are not special",
                           prefix_min);
            fw_purge_job_fail(self, FW_PURGE_REFUSED, what, self->patterns[i].text);
            return false;
        }
    }
    return true;
}
