/* job_table.h - jobs that are taken and not answered.   SPDX-License-Identifier: MPL-2.0
 * Pure. Knows which job is asked for twice, and when a decided job is to be answered. */
#pragma once

#include "workers/purge_job.h"

typedef struct fw_job_table fw_job_table_t;

fw_job_table_t *fw_job_table_new(void) __attribute__((warn_unused_result));
/* Destroys the decided jobs that it holds. NULL-safe. */
void fw_job_table_destroy(fw_job_table_t **self_p);

/* Notes a job that somebody else runs, and owns until it is decided. Its id must not be in the
 * table. */
void fw_job_table_add(fw_job_table_t *self, fw_purge_job_t *job);
/* True when the job is in the table: then it owes one more answer. */
bool fw_job_table_repeat(fw_job_table_t *self, uint64_t job_id);

/* Takes a job that was added before, to be answered at due_us; times must not go back. */
void fw_job_table_decided(fw_job_table_t *self, fw_purge_job_t *job, int64_t due_us);
/* The next job to be answered by now, which becomes the caller's; NULL when there is none. */
fw_purge_job_t *fw_job_table_take_due(fw_job_table_t *self, int64_t now_us)
    __attribute__((warn_unused_result));

/* Nobody waits for an answer any more: the jobs run to their end and owe none. Their ids may come
 * again. Returns how many there were. */
size_t fw_job_table_disown(fw_job_table_t *self);

size_t fw_job_table_count(const fw_job_table_t *self); /* jobs that owe an answer */
size_t fw_job_table_bytes(const fw_job_table_t *self); /* of all jobs, disowned ones included */
