/* job_answers.h - answers to the broker, several in one message.   SPDX-License-Identifier: MPL-2.0
 * Pure. What was done in the same turn of the loop leaves together; what failed leaves by itself.
 */
#pragma once

#include "workers/purge_job.h"

enum { FW_JOB_ANSWERS_STAMPS_MAX = 1024 }; /* of one message, which keeps it far below its limit */

typedef struct fw_job_answers fw_job_answers_t;

/* Sends a message of the worker; what it points to lives until it returns. */
typedef void fw_job_answers_fn(void *context, const fw_message_t *message);

fw_job_answers_t *fw_job_answers_new(fw_job_answers_fn *send, void *context)
    __attribute__((warn_unused_result));
/* Forgets what was not sent. NULL-safe. */
void fw_job_answers_destroy(fw_job_answers_t **self_p);

/* Takes a decided job and answers it as often as it was asked for, by the next flush at the latest.
 */
void fw_job_answers_add(fw_job_answers_t *self, fw_purge_job_t **job_p);
void fw_job_answers_flush(fw_job_answers_t *self);
