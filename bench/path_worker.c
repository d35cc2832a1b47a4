/* path_worker.c - a worker without its sockets, for bench_path.   SPDX-License-Identifier: MPL-2.0
 */
#include "bench/path_worker.h"

#include <stdio.h>

#include "bench/peers.h"
#include "workers/job_answers.h"
#include "workers/job_table.h"
#include "workers/purge_log.h"
#include "workers/purge_plan.h"

enum { KEY_SIZE = 32 };

typedef struct {
    fw_codec_t *broker, *in, *out;
    fw_job_table_t *table;
    fw_purge_log_t *log;
    fw_purge_plan_t *plan;
    fw_job_answers_t *answers;
    size_t answered;
} worker_t;

static fw_bytes_t encode_jobs(fw_codec_t *codec, size_t first)
{
    static char texts[BENCH_JOBS_A_MESSAGE][KEY_SIZE];
    static fw_text_t keys[BENCH_JOBS_A_MESSAGE];
    static fw_job_t jobs[BENCH_JOBS_A_MESSAGE];
    for (size_t i = 0; i < BENCH_JOBS_A_MESSAGE; i++) {
        (void)snprintf(texts[i], KEY_SIZE, "fw:c:user:%zu", first + i);
        keys[i] = fw_text(texts[i]);
        jobs[i] = (fw_job_t){.job_id = first + i,
                             .attempt = 1,
                             .lease_ms = 2000,
                             .invalidate = {.keys = &keys[i], .keys_count = 1}};
    }
    const fw_message_t message = {.kind = FW_MESSAGE_JOBS, .jobs = {jobs, BENCH_JOBS_A_MESSAGE}};
    return fw_codec_encode(codec, FW_LINK_WORKER_DOWN, &message);
}

void bench_encode_jobs(size_t count)
{
    fw_codec_t *codec = fw_codec_new();
    for (size_t at = 0; at < count; at += BENCH_JOBS_A_MESSAGE)
        (void)encode_jobs(codec, at + 1);
    fw_codec_destroy(&codec);
}

static void on_answers(void *context, const fw_message_t *message)
{
    worker_t *self = context;
    (void)fw_codec_encode(self->out, FW_LINK_WORKER_UP, message);
    self->answered += message->kind == FW_MESSAGE_JOBS_DONE ? message->jobs_done.count : 1;
}

static void take(worker_t *self, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    bench_must(fw_codec_decode(self->in, FW_LINK_WORKER_DOWN, frame, &message, &refusal));
    for (size_t i = 0; i < message.jobs.count; i++) {
        fw_purge_job_t *job = fw_purge_job_new(&message.jobs.jobs[i], "fw", 0);
        fw_job_table_add(self->table, job);
        job->sequence = fw_purge_log_append(self->log, job, 0);
        bench_must(fw_purge_plan_add(self->plan, &job));
    }
}

/* As Redis answers: keys were there, and it is some time. */
static void purge(worker_t *self)
{
    if (!fw_purge_plan_begin(self->plan))
        bench_fail("nothing to purge");
    size_t count = fw_purge_plan_commands(self->plan);
    for (size_t i = 0; i < count; i++) {
        const fw_purge_command_t *command = fw_purge_plan_command(self->plan, i);
        const fw_purge_reply_t reply = {.number = command->kind == FW_PURGE_TIME
                                                      ? UINT64_C(1732270000123456)
                                                      : command->names_count};
        (void)fw_purge_plan_reply(self->plan, i, &reply);
    }
    fw_purge_job_t *job;
    while ((job = fw_purge_plan_take(self->plan))) {
        fw_purge_log_settled(self->log, job->sequence);
        fw_job_table_decided(self->table, job, 0);
    }
    while ((job = fw_job_table_take_due(self->table, 0)))
        fw_job_answers_add(self->answers, &job);
    fw_job_answers_flush(self->answers);
}

void bench_run_worker(size_t count)
{
    const fw_purge_log_limits_t limits = {
        .age_ms_max = 60000, .entries_max = 1000, .bytes_max = 1 << 20};
    worker_t self = {.broker = fw_codec_new(), .in = fw_codec_new(), .out = fw_codec_new()};
    self.table = fw_job_table_new();
    self.log = fw_purge_log_new(&limits);
    self.plan = fw_purge_plan_new(1, false);
    self.answers = fw_job_answers_new(on_answers, &self);
    for (size_t at = 0; at < count; at += BENCH_JOBS_A_MESSAGE) {
        take(&self, encode_jobs(self.broker, at + 1));
        purge(&self);
    }
    if (self.answered != count)
        bench_fail("jobs were not answered");
    fw_job_answers_destroy(&self.answers);
    fw_purge_plan_destroy(&self.plan);
    fw_purge_log_destroy(&self.log);
    fw_job_table_destroy(&self.table);
    fw_codec_destroy(&self.out);
    fw_codec_destroy(&self.in);
    fw_codec_destroy(&self.broker);
}
