/* job_answers.c - answers to the broker, several in one message.   SPDX-License-Identifier: MPL-2.0
 */
#include "workers/job_answers.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

struct fw_job_answers {
    fw_job_answers_fn *send;
    void *context;
    fw_job_done_t done[FW_JOBS_MAX]; /* to be sent; they point into the jobs */
    size_t done_count;
    size_t stamps_count;
    fw_purge_job_t *jobs[FW_JOBS_MAX];
    size_t jobs_count;
};

fw_job_answers_t *fw_job_answers_new(fw_job_answers_fn *send, void *context)
{
    fw_job_answers_t *self = fw_alloc(1, sizeof(*self));
    self->send = send;
    self->context = context;
    return self;
}

static void forget(fw_job_answers_t *self)
{
    for (size_t i = 0; i < self->jobs_count; i++) {
        fw_purge_job_destroy(&self->jobs[i]);
    }
    self->jobs_count = 0;
    self->done_count = 0;
    self->stamps_count = 0;
}

void fw_job_answers_destroy(fw_job_answers_t **self_p)
{
    fw_job_answers_t *self = *self_p;
    if (!self) {
        return;
    }
    forget(self);
    free(self);
    *self_p = NULL;
}

void fw_job_answers_flush(fw_job_answers_t *self)
{
    fw_message_t message = {.kind = FW_MESSAGE_JOBS_DONE,
                            .jobs_done = {self->done, self->done_count}};
    if (self->done_count == 1) {
        message = (fw_message_t){.kind = FW_MESSAGE_JOB_DONE, .done = self->done[0]};
    }
    if (self->done_count > 0) {
        self->send(self->context, &message);
    }
    forget(self);
}

static void add_done(fw_job_answers_t *self, const fw_purge_job_t *job)
{
    if (self->done_count == FW_JOBS_MAX ||
        (self->done_count > 0 &&
         self->stamps_count + job->stamps_count > FW_JOB_ANSWERS_STAMPS_MAX)) {
        fw_job_answers_flush(self);
    }
    self->done[self->done_count++] = (fw_job_done_t){.job_id = job->job_id,
                                                     .redis_time = job->redis_time,
                                                     .stamps = job->stamps,
                                                     .stamps_count = job->stamps_count,
                                                     .keys_removed = job->keys_removed};
    self->stamps_count += job->stamps_count;
}

static void send_failed(fw_job_answers_t *self, const fw_purge_job_t *job)
{
    const fw_message_t message = {.kind = FW_MESSAGE_JOB_FAILED,
                                  .failed = {.job_id = job->job_id,
                                             .retryable = job->status != FW_PURGE_REFUSED,
                                             .reason = fw_text(job->reason)}};
    self->send(self->context, &message);
}

void fw_job_answers_add(fw_job_answers_t *self, fw_purge_job_t **job_p)
{
    fw_purge_job_t *job = *job_p;
    assert(job->status != FW_PURGE_OPEN);
    for (uint32_t i = 0; i < job->leases; i++) {
        if (job->status == FW_PURGE_DONE) {
            add_done(self, job);
        } else {
            send_failed(self, job);
        }
    }
    if (job->leases == 0 || job->status != FW_PURGE_DONE) {
        fw_purge_job_destroy(job_p);
        return;
    }
    /* Each has at least one answer in the list, so there is room. */
    assert(self->jobs_count < FW_JOBS_MAX);
    self->jobs[self->jobs_count++] = job;
    *job_p = NULL;
}
