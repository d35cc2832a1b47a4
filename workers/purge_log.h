/* purge_log.h - what was purged lately, to be purged again where it was lost.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Written before Redis is asked (a write-ahead log). Bounded by age, count and bytes: the
 * oldest entries are forgotten, and fw_purge_log_covers tells whether that matters. */
#pragma once

#include "workers/purge_job.h"

typedef struct {
    int64_t age_ms_max;
    size_t entries_max;
    size_t bytes_max;
} fw_purge_log_limits_t;

enum { FW_PURGE_LOG_NAMES = 2048 };

typedef struct fw_purge_log fw_purge_log_t;

fw_purge_log_t *fw_purge_log_new(const fw_purge_log_limits_t *limits)
    __attribute__((warn_unused_result));
void fw_purge_log_destroy(fw_purge_log_t **self_p); /* NULL-safe */

/* Notes what a job purges, in about as many bytes as its names have. Its number: 1, 2, 3… */
uint64_t fw_purge_log_append(fw_purge_log_t *self, const fw_purge_job_t *job, int64_t now_ms);
/* Redis has done it, or whoever asked for it has been told that it has not. */
void fw_purge_log_settled(fw_purge_log_t *self, uint64_t sequence);
/* Forgets what is too old. Returns how many entries were forgotten because there were too many,
 * since the last call. */
uint64_t fw_purge_log_trim(fw_purge_log_t *self, int64_t now_ms);

/* Everything up to here is settled. */
uint64_t fw_purge_log_watermark(const fw_purge_log_t *self);
/* Is everything behind this number still known? */
bool fw_purge_log_covers(const fw_purge_log_t *self, uint64_t sequence);
/* A job of our own that purges what the first entries behind *sequence_p did, patterns included: so
 * many as together name at most FW_PURGE_LOG_NAMES keys and as many tags. *sequence_p becomes the
 * number of the last of them. NULL when there is none. The caller owns it. */
fw_purge_job_t *fw_purge_log_next(const fw_purge_log_t *self, uint64_t *sequence_p)
    __attribute__((warn_unused_result));
size_t fw_purge_log_count(const fw_purge_log_t *self);
