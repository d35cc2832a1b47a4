/* jobs.c - the workers' link.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>

#include "broker/broker_loop.h"

enum { CAPACITY_MAX = 100000 };

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

int fw_broker_send_job(void *loop, const fw_peer_t *worker, const fw_job_t *job)
{
    fw_broker_loop_t *self = loop;
    fw_message_t message = {.kind = FW_MESSAGE_JOB, .job = *job};
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_WORKER_DOWN, &message);
    return fw_socket_send_to(self->jobs, worker, frame);
}
