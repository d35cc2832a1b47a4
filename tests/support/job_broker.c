/* job_broker.c - the broker on the job link, for tests.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/job_broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"

enum { BIND_MS_MAX = 10000 };

struct fw_job_broker {
    zsock_t *router;
    char *endpoint;
    fw_codec_t *decoder;
    fw_codec_t *encoder;
    bool silent;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    fw_peer_t worker;
    uint32_t capacity;
    unsigned hellos, goodbyes;
    fw_job_answer_t *answers; /* that came and were not asked for; a ring */
    size_t first, count, room;
    bool counting; /* answers are only counted */
    size_t counted;
};

__attribute__((noreturn)) static void give_up(const char *what, const char *detail)
{
    (void)fprintf(stderr, "job_broker: %s: %s\n", what, detail);
    abort();
}

fw_job_broker_t *fw_job_broker_start(void)
{
    fw_job_broker_t *self = fw_alloc(1, sizeof(*self));
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    int result = fw_socket_open(&settings, "tcp://127.0.0.1:*", &self->router);
    if (result != 0) {
        give_up("bind", zmq_strerror(-result));
    }
    self->endpoint = fw_socket_endpoint(self->router);
    self->decoder = fw_codec_new();
    self->encoder = fw_codec_new();
    fw_job_broker_set_incarnation(self, 1);
    return self;
}

void fw_job_broker_stop(fw_job_broker_t **self_p)
{
    fw_job_broker_t *self = *self_p;
    if (!self) {
        return;
    }
    zsock_destroy(&self->router);
    fw_codec_destroy(&self->decoder);
    fw_codec_destroy(&self->encoder);
    free(self->endpoint);
    free(self->answers);
    free(self);
    *self_p = NULL;
}

void fw_job_broker_down(fw_job_broker_t *self)
{
    zsock_destroy(&self->router);
}

void fw_job_broker_up(fw_job_broker_t *self)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    int64_t deadline_ms = fw_clock_ms() + BIND_MS_MAX;
    int result;
    /* A port that was closed a moment ago may still be held by ZeroMQ's own thread. */
    while ((result = fw_socket_open(&settings, self->endpoint, &self->router)) == -EADDRINUSE &&
           fw_clock_ms() < deadline_ms) {
        (void)zmq_poll(NULL, 0, 5);
    }
    if (result != 0) {
        give_up("bind", zmq_strerror(-result));
    }
}

const char *fw_job_broker_endpoint(const fw_job_broker_t *self)
{
    return self->endpoint;
}

void fw_job_broker_set_silent(fw_job_broker_t *self, bool silent)
{
    self->silent = silent;
}

void fw_job_broker_set_incarnation(fw_job_broker_t *self, uint8_t number)
{
    memset(self->incarnation, number, sizeof(self->incarnation));
}

const fw_peer_t *fw_job_broker_worker(const fw_job_broker_t *self)
{
    return &self->worker;
}

uint32_t fw_job_broker_capacity(const fw_job_broker_t *self)
{
    return self->capacity;
}

unsigned fw_job_broker_hellos(const fw_job_broker_t *self)
{
    return self->hellos;
}

unsigned fw_job_broker_goodbyes(const fw_job_broker_t *self)
{
    return self->goodbyes;
}

/* ---- sending */

void fw_job_broker_send_bytes(fw_job_broker_t *self, const void *bytes, size_t size)
{
    int result = fw_socket_send_to(self->router, &self->worker, (fw_bytes_t){bytes, size});
    if (result != 0) {
        give_up("send", zmq_strerror(-result));
    }
}

void fw_job_broker_send_message(fw_job_broker_t *self, const fw_message_t *message)
{
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_WORKER_DOWN, message);
    fw_job_broker_send_bytes(self, frame.data, frame.size);
}

void fw_job_broker_send_job(fw_job_broker_t *self, uint64_t job_id,
                            const fw_invalidate_t *invalidate)
{
    const fw_message_t message = {
        .kind = FW_MESSAGE_JOB,
        .job = {.job_id = job_id, .attempt = 1, .lease_ms = 1000, .invalidate = *invalidate}};
    fw_job_broker_send_message(self, &message);
}

void fw_job_broker_send_jobs(fw_job_broker_t *self, uint64_t first_id,
                             const fw_invalidate_t *invalidates, size_t count)
{
    fw_job_t jobs[FW_JOBS_MAX];
    if (count > FW_JOBS_MAX) {
        give_up("send", "too many jobs for a message");
    }
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (fw_job_t){
            .job_id = first_id + i, .attempt = 1, .lease_ms = 1000, .invalidate = invalidates[i]};
    }
    const fw_message_t message = {.kind = FW_MESSAGE_JOBS, .jobs = {jobs, count}};
    fw_job_broker_send_message(self, &message);
}

void fw_job_broker_send_two_frames(fw_job_broker_t *self)
{
    void *raw = zsock_resolve(self->router);
    if (zmq_send(raw, self->worker.id, self->worker.size, ZMQ_SNDMORE) < 0 ||
        zmq_send(raw, "one", 3, ZMQ_SNDMORE) < 0 || zmq_send(raw, "two", 3, 0) < 0) {
        give_up("send", zmq_strerror(errno));
    }
}

/* ---- receiving */

/* A worker that is gone need not be answered. */
static void reply(fw_job_broker_t *self, const fw_peer_t *peer, const fw_message_t *message)
{
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_WORKER_DOWN, message);
    int result = fw_socket_send_to(self->router, peer, frame);
    if (result != 0 && result != -EHOSTUNREACH) {
        give_up("reply", zmq_strerror(-result));
    }
}

static void on_hello(fw_job_broker_t *self, const fw_peer_t *peer, const fw_hello_t *hello)
{
    self->hellos++;
    self->worker = *peer;
    self->capacity = hello->capacity;
    const fw_message_t welcome = {
        .kind = FW_MESSAGE_WELCOME,
        .welcome = {.version = FW_PROTOCOL_VERSION,
                    .incarnation = {self->incarnation, sizeof(self->incarnation)}}};
    if (!self->silent) {
        reply(self, peer, &welcome);
    }
}

static void keep_answer(fw_job_broker_t *self, const fw_job_answer_t *answer)
{
    if (self->count == self->room) {
        size_t larger = self->room ? 2 * self->room : 64;
        fw_job_answer_t *ring = fw_alloc(larger, sizeof(*ring));
        for (size_t i = 0; i < self->count; i++) {
            ring[i] = self->answers[(self->first + i) % self->room];
        }
        free(self->answers);
        self->answers = ring;
        self->first = 0;
        self->room = larger;
    }
    self->answers[(self->first + self->count++) % self->room] = *answer;
}

static void on_done(fw_job_broker_t *self, const fw_job_done_t *done)
{
    self->counted++;
    if (self->counting) {
        return;
    }
    fw_job_answer_t answer = {.came = true,
                              .done = true,
                              .job_id = done->job_id,
                              .redis_time = done->redis_time,
                              .keys_removed = done->keys_removed,
                              .stamps_count = done->stamps_count};
    for (size_t i = 0; i < done->stamps_count; i++) {
        answer.stamps[i] = done->stamps[i].stamp;
    }
    keep_answer(self, &answer);
}

/* Handles one message; answers to jobs are kept. */
static void on_message(fw_job_broker_t *self, const fw_peer_t *peer, const fw_message_t *message)
{
    if (message->kind == FW_MESSAGE_HELLO) {
        on_hello(self, peer, &message->hello);
    } else if (message->kind == FW_MESSAGE_GOODBYE) {
        self->goodbyes++;
    } else if (message->kind == FW_MESSAGE_PING && !self->silent) {
        reply(self, peer, &(fw_message_t){.kind = FW_MESSAGE_PONG, .number = message->number});
    } else if (message->kind == FW_MESSAGE_JOB_FAILED) {
        fw_job_answer_t answer = {
            .came = true, .job_id = message->failed.job_id, .retryable = message->failed.retryable};
        (void)snprintf(answer.reason, sizeof(answer.reason), "%s", message->failed.reason.text);
        keep_answer(self, &answer);
    } else if (message->kind == FW_MESSAGE_JOB_DONE) {
        on_done(self, &message->done);
    } else if (message->kind == FW_MESSAGE_JOBS_DONE) {
        for (size_t i = 0; i < message->jobs_done.count; i++) {
            on_done(self, &message->jobs_done.jobs[i]);
        }
    }
}

/* The answer that came first. */
static fw_job_answer_t take_answer(fw_job_broker_t *self)
{
    if (self->count == 0) {
        return (fw_job_answer_t){.came = false};
    }
    fw_job_answer_t answer = self->answers[self->first];
    self->first = (self->first + 1) % self->room;
    self->count--;
    return answer;
}

/* Receives until an answer comes, the condition on the counters holds, or the time is over. */
static fw_job_answer_t receive(fw_job_broker_t *self, int64_t timeout_ms, unsigned hellos,
                               unsigned goodbyes)
{
    fw_job_answer_t answer = take_answer(self);
    int64_t deadline_ms = answer.came ? 0 : fw_clock_ms() + timeout_ms;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    self->counted = 0;
    while (!answer.came && !(self->counting && self->counted > 0) && self->hellos < hellos &&
           self->goodbyes < goodbyes) {
        fw_peer_t peer;
        if (fw_socket_receive_from(self->router, &peer, &frame) == 0) {
            fw_message_t message;
            fw_refusal_t refusal;
            if (fw_codec_decode(self->decoder, FW_LINK_WORKER_UP, fw_socket_bytes(&frame), &message,
                                &refusal) != 0) {
                give_up("the worker sent what is no message", refusal.reason);
            }
            on_message(self, &peer, &message);
            answer = take_answer(self);
            continue;
        }
        int64_t left_ms = deadline_ms - fw_clock_ms();
        if (left_ms <= 0) {
            break;
        }
        zmq_pollitem_t item = {.socket = zsock_resolve(self->router), .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, left_ms);
    }
    zmq_msg_close(&frame);
    return answer;
}

enum { NEVER = 1000000 };

fw_job_answer_t fw_job_broker_wait_answer(fw_job_broker_t *self, int64_t timeout_ms)
{
    return receive(self, timeout_ms, NEVER, NEVER);
}

size_t fw_job_broker_wait_done(fw_job_broker_t *self, int64_t timeout_ms)
{
    self->counting = true;
    fw_job_answer_t answer = receive(self, timeout_ms, NEVER, NEVER);
    self->counting = false;
    if (answer.came) {
        give_up("a job failed", answer.reason);
    }
    return self->counted;
}

bool fw_job_broker_serve(fw_job_broker_t *self, int64_t duration_ms)
{
    bool came = false;
    int64_t deadline_ms = fw_clock_ms() + duration_ms;
    while (fw_clock_ms() < deadline_ms) {
        came |= receive(self, deadline_ms - fw_clock_ms(), NEVER, NEVER).came;
    }
    return came;
}

bool fw_job_broker_wait_hello(fw_job_broker_t *self, int64_t timeout_ms)
{
    unsigned before = self->hellos;
    int64_t deadline_ms = fw_clock_ms() + timeout_ms;
    while (self->hellos == before && fw_clock_ms() < deadline_ms) {
        (void)receive(self, deadline_ms - fw_clock_ms(), before + 1, NEVER);
    }
    return self->hellos > before;
}

bool fw_job_broker_wait_goodbye(fw_job_broker_t *self, int64_t timeout_ms)
{
    unsigned before = self->goodbyes;
    int64_t deadline_ms = fw_clock_ms() + timeout_ms;
    while (self->goodbyes == before && fw_clock_ms() < deadline_ms) {
        (void)receive(self, deadline_ms - fw_clock_ms(), NEVER, before + 1);
    }
    return self->goodbyes > before;
}
