/* jobs.c - the workers' link.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>

#include "broker/broker_loop.h"
#include "proto/arena.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

enum {
    CAPACITY_MAX = 100000,
    BATCH_BYTES_MAX = 128 * 1024, /* of names: then a message is sent at once */
    BATCH_IDLE_US = 10000000,     /* then its worker is perhaps gone */
};

static void on_hello(fw_broker_loop_t *self, const fw_peer_t *worker, const fw_hello_t *hello)
{
    fw_refusal_t refusal = {.field = "hello.capacity",
                            .reason = "is not between 1 and the limit",
                            .limit = CAPACITY_MAX,
                            .value = hello->capacity};
    if (!fw_broker_understands(self, FW_DOOR_JOBS, hello, worker))
        return;
    if (hello->capacity == 0 || hello->capacity > CAPACITY_MAX) {
        fw_message_t message = {.kind = FW_MESSAGE_REFUSAL, .refusal = refusal};
        fw_broker_refused(self, FW_DOOR_JOBS, "rule", &refusal);
        fw_broker_reply(self, self->jobs, FW_LINK_WORKER_DOWN, worker, &message);
        return;
    }
    if (!fw_core_worker_seen(self->core, worker, self->now_us))
        fw_log(FW_LOG_INFO, "worker joined", FW_KV_TEXT("worker", hello->name.text),
               FW_KV_UINT("capacity", hello->capacity));
    /* Welcome first: jobs may follow at once. */
    fw_broker_welcome(self, self->jobs, FW_LINK_WORKER_DOWN, worker);
    fw_core_worker(self->core, worker, hello->capacity, self->now_us);
}

/* A worker that we took for gone (or that spoke to our predecessor) must say hello again: it does
 * so when a ping gets no pong. */
static void on_known(fw_broker_loop_t *self, const fw_peer_t *worker, const fw_message_t *message)
{
    fw_message_t pong = {.kind = FW_MESSAGE_PONG};
    if (!fw_core_worker_seen(self->core, worker, self->now_us))
        return;
    switch (message->kind) {
    case FW_MESSAGE_JOB_DONE:
        fw_core_job_done(self->core, worker, &message->done, self->now_us);
        break;
    case FW_MESSAGE_JOBS_DONE:
        for (size_t i = 0; i < message->jobs_done.count; i++)
            fw_core_job_done(self->core, worker, &message->jobs_done.jobs[i], self->now_us);
        break;
    case FW_MESSAGE_JOB_FAILED:
        if (!message->failed.retryable) {
            fw_log(FW_LOG_ERROR, "a purge can never succeed; its event was released unconfirmed",
                   FW_KV_UINT("job", message->failed.job_id),
                   FW_KV_TEXT("reason", message->failed.reason.text));
        }
        fw_core_job_failed(self->core, worker, &message->failed, self->now_us);
        break;
    case FW_MESSAGE_PING:
        pong.number = message->number;
        fw_broker_reply(self, self->jobs, FW_LINK_WORKER_DOWN, worker, &pong);
        break;
    case FW_MESSAGE_GOODBYE:
        fw_log(FW_LOG_INFO, "worker left", FW_KV_TEXT("reason", message->goodbye.text));
        fw_core_worker_gone(self->core, worker, self->now_us);
        break;
    default:
        break; /* the decoder lets no other kind through on this link */
    }
}

void fw_broker_on_worker(fw_broker_loop_t *self, const fw_peer_t *worker, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    int result = fw_codec_decode(self->decoder, FW_LINK_WORKER_UP, frame, &message, &refusal);
    if (result < 0) {
        fw_message_t reply = {.kind = FW_MESSAGE_REFUSAL, .refusal = refusal};
        fw_broker_refused(self, FW_DOOR_JOBS, result == -EMSGSIZE ? "limit" : "malformed",
                          &refusal);
        fw_broker_reply(self, self->jobs, FW_LINK_WORKER_DOWN, worker, &reply);
        return;
    }
    if (message.kind == FW_MESSAGE_HELLO)
        on_hello(self, worker, &message.hello);
    else
        on_known(self, worker, &message);
}

/* ---- sending */

struct fw_broker_batch {
    UT_hash_handle hh; /* by worker */
    fw_peer_t worker;
    fw_arena_t *texts; /* of the jobs: they may end before they are sent */
    fw_job_t jobs[FW_JOBS_MAX];
    size_t count;
    size_t bytes;
    int64_t used_us;
};

static fw_broker_batch_t *batch_of(fw_broker_loop_t *self, const fw_peer_t *worker)
{
    fw_broker_batch_t *batch;
    HASH_FIND(hh, self->batches, worker->id, worker->size, batch);
    if (!batch) {
        batch = fw_alloc(1, sizeof *batch);
        batch->worker = *worker;
        batch->texts = fw_arena_new();
        HASH_ADD_KEYPTR(hh, self->batches, batch->worker.id, batch->worker.size, batch);
    }
    return batch;
}

static const fw_text_t *keep_texts(fw_broker_batch_t *batch, const fw_text_t *texts, size_t count)
{
    if (count == 0)
        return NULL;
    fw_text_t *copies = fw_arena_take(batch->texts, count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        char *copy = fw_arena_take(batch->texts, texts[i].size + 1);
        memcpy(copy, texts[i].text, texts[i].size);
        copy[texts[i].size] = '\0';
        copies[i] = (fw_text_t){copy, texts[i].size};
        batch->bytes += texts[i].size;
    }
    return copies;
}

static void keep_job(fw_broker_batch_t *batch, const fw_job_t *job)
{
    fw_job_t *copy = &batch->jobs[batch->count++];
    *copy = *job; /* OPEN and CLOSE point to our own incarnation, which stays */
    fw_invalidate_t *purges = &copy->invalidate;
    purges->keys = keep_texts(batch, purges->keys, purges->keys_count);
    purges->tags = keep_texts(batch, purges->tags, purges->tags_count);
    purges->patterns = keep_texts(batch, purges->patterns, purges->patterns_count);
}

static int send_batch(fw_broker_loop_t *self, fw_broker_batch_t *batch)
{
    fw_message_t message = {.kind = FW_MESSAGE_JOBS, .jobs = {batch->jobs, batch->count}};
    if (batch->count == 1)
        message = (fw_message_t){.kind = FW_MESSAGE_JOB, .job = batch->jobs[0]};
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_WORKER_DOWN, &message);
    int result = batch->count > 0 ? fw_socket_send_to(self->jobs, &batch->worker, frame) : 0;
    fw_arena_reset(batch->texts);
    batch->count = batch->bytes = 0;
    return result;
}

int fw_broker_send_job(void *loop, const fw_peer_t *worker, const fw_job_t *job)
{
    fw_broker_loop_t *self = loop;
    fw_broker_batch_t *batch = batch_of(self, worker);
    batch->used_us = self->now_us;
    keep_job(batch, job);
    if (batch->count < FW_JOBS_MAX && batch->bytes < BATCH_BYTES_MAX)
        return 0;
    return send_batch(self, batch);
}

static void forget_batch(fw_broker_loop_t *self, fw_broker_batch_t *batch)
{
    HASH_DELETE(hh, self->batches, batch);
    fw_arena_destroy(&batch->texts);
    free(batch);
}

void fw_broker_send_jobs(fw_broker_loop_t *self)
{
    fw_broker_batch_t *batch = self->batches;
    while (batch) {
        fw_broker_batch_t *next = batch->hh.next;
        if (send_batch(self, batch) < 0) {
            fw_peer_t worker = batch->worker;
            forget_batch(self, batch);
            /* Its jobs go to others, whose batches may be behind us: once more from the start. */
            fw_core_worker_gone(self->core, &worker, self->now_us);
            next = self->batches;
        } else if (self->now_us - batch->used_us > BATCH_IDLE_US) {
            forget_batch(self, batch);
        }
        batch = next;
    }
}

void fw_broker_forget_jobs(fw_broker_loop_t *self)
{
    while (self->batches)
        forget_batch(self, self->batches);
}
