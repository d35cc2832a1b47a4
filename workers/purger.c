/* purger.c - takes jobs from the broker and purges Redis.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/purger.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/socket.h"
#include "workers/job_answers.h"
#include "workers/job_link.h"
#include "workers/job_table.h"
#include "workers/purge_piece.h"
#include "workers/redis_target.h"

enum {
    TICK_MS = 50,
    FRAMES_PER_TURN = 256, /* then the loop looks at everything else */
    GOODBYE_LINGER_MS = 1000,
};

typedef struct {
    const fw_purger_args_t *args;
    const fw_worker_metrics_t *metrics;
    zsock_t *pipe;
    fw_dial_t *dial; /* NULL when the broker's endpoint is none */
    zsock_t *socket; /* to the broker; NULL between two of them */
    zloop_t *loop;
    fw_codec_t *decoder;
    fw_codec_t *encoder;
    fw_job_link_t link;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t pings;
    int64_t turn_us; /* when this turn of reading from the broker began */
    int64_t taken;   /* jobs, in this turn */
    fw_redis_target_t *targets[FW_REDIS_TARGETS_MAX];
    size_t targets_up;
    fw_job_table_t *jobs;     /* taken and not answered */
    fw_purge_job_t **decided; /* in this turn, not counted and answered yet */
    size_t decided_count, decided_capacity;
    fw_job_answers_t *answers;
    bool draining; /* takes no more jobs */
    bool stopping; /* ends when all are answered, or at stop_at_ms */
    bool ended;
    int64_t stop_at_ms;
    fw_log_limit_t refused_limit;
} purger_t;

/* ---- sending */

static int send_message(purger_t *self, const fw_message_t *message)
{
    if (!self->socket) {
        return -ENOTCONN;
    }
    return fw_socket_send(self->socket, fw_codec_encode(self->encoder, FW_LINK_WORKER_UP, message));
}

static void refused(purger_t *self, fw_worker_refused_t reason, const char *what,
                    const char *detail)
{
    fw_counter_add(self->metrics->refused[reason], 1);
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->refused_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, what, FW_KV_TEXT("detail", detail),
               FW_KV_UINT("suppressed", suppressed));
    }
}

static void send_answers(void *context, const fw_message_t *message)
{
    purger_t *self = context;
    if (send_message(self, message) != 0) {
        /* The broker notices the silence and gives the jobs out again. */
        fw_counter_add(self->metrics->refused[FW_REFUSED_UNSENT], 1);
    }
}

/* Answers a job that is not taken. */
static void turn_down(purger_t *self, uint64_t job_id, fw_worker_refused_t reason, const char *text)
{
    refused(self, reason, "job turned down", text);
    fw_message_t message = {
        .kind = FW_MESSAGE_JOB_FAILED,
        .failed = {.job_id = job_id, .retryable = true, .reason = fw_text(text)}};
    if (send_message(self, &message) != 0) {
        fw_counter_add(self->metrics->refused[FW_REFUSED_UNSENT], 1);
    }
}

/* ---- jobs that are decided */

/* Counts and answers what this turn of the loop decided: the clock is asked and the counters, which
 * all purgers share, are touched once for all of it. */
static void count_decided(purger_t *self, int64_t now_us)
{
    const fw_worker_metrics_t *metrics = self->metrics;
    uint64_t outcomes[FW_OUTCOMES_COUNT] = {0};
    uint64_t keys = 0, keys_removed = 0, tags = 0;
    for (size_t i = 0; i < self->decided_count; i++) {
        fw_purge_job_t *job = self->decided[i];
        keys_removed += job->keys_removed;
        if (job->status == FW_PURGE_DONE) {
            keys += job->keys_count;
            tags += job->tags_count;
            fw_histogram_observe_us(metrics->purge_seconds, now_us - job->received_us);
        }
        outcomes[job->status == FW_PURGE_DONE     ? FW_OUTCOME_DONE
                 : job->status == FW_PURGE_FAILED ? FW_OUTCOME_FAILED
                                                  : FW_OUTCOME_REFUSED]++;
        fw_job_table_decided(self->jobs, job, now_us + self->args->config->delay_ms * 1000);
    }
    self->decided_count = 0;
    for (size_t i = 0; i < FW_OUTCOMES_COUNT; i++) {
        fw_counter_add(metrics->jobs[i], outcomes[i]);
    }
    fw_counter_add(metrics->keys_removed, keys_removed);
    fw_counter_add(metrics->keys, keys);
    fw_counter_add(metrics->tags, tags);
}

static void settle(purger_t *self)
{
    int64_t now_us = fw_clock_us();
    fw_purge_job_t *job;
    count_decided(self, now_us);
    /* Draining cuts the test aid short: what is done is answered. */
    while ((job = fw_job_table_take_due(self->jobs, self->draining ? INT64_MAX : now_us))) {
        /* Before the answer: whoever has it may look. */
        fw_gauge_add(self->metrics->outstanding, job->leases > 0 ? -1 : 0);
        fw_job_answers_add(self->answers, &job);
    }
    fw_job_answers_flush(self->answers);
}

/* Answers that had come from Redis have been looked at. */
static void on_turn(void *context)
{
    purger_t *self = context;
    if (self->decided_count > 0) {
        settle(self);
    }
}

/* A target has done, or failed to do, its piece of a job. Answered at the end of this turn. */
static void on_decided(void *context, fw_purge_job_t **piece_p)
{
    purger_t *self = context;
    fw_purge_job_t *job = (*piece_p)->whole ? fw_purge_piece_merge(piece_p) : *piece_p;
    *piece_p = NULL;
    if (!job) {
        return; /* Another target is still at it. */
    }
    if (self->decided_count == self->decided_capacity) {
        self->decided_capacity = self->decided_capacity ? 2 * self->decided_capacity : 64;
        self->decided = fw_realloc(self->decided, self->decided_capacity, sizeof(fw_purge_job_t *));
    }
    self->decided[self->decided_count++] = job;
}

/* ---- what the broker says */

static void on_job(purger_t *self, const fw_job_t *job, int64_t now_us)
{
    if (self->draining) {
        turn_down(self, job->job_id, FW_REFUSED_STOPPING, "the worker stops");
        return;
    }
    if (fw_job_table_repeat(self->jobs, job->job_id)) {
        fw_counter_add(self->metrics->jobs[FW_OUTCOME_DUPLICATE], 1);
        return;
    }
    if (fw_job_table_count(self->jobs) >= self->args->config->capacity) {
        turn_down(self, job->job_id, FW_REFUSED_CAPACITY, "more jobs than the worker's capacity");
        return;
    }
    if (fw_job_table_bytes(self->jobs) >= FW_PURGER_BYTES_MAX) {
        turn_down(self, job->job_id, FW_REFUSED_MEMORY, "the worker holds too many bytes of jobs");
        return;
    }
    fw_purge_job_t *copy = fw_purge_job_new(job, self->args->config->name_space, now_us);
    fw_job_table_add(self->jobs, copy);
    self->taken++;
    if (self->args->targets_count == 1) {
        fw_redis_target_add(self->targets[0], &copy);
        return;
    }
    /* All pieces before the first is begun: one that fails at once must not be taken for all. */
    fw_purge_job_t *pieces[FW_REDIS_TARGETS_MAX];
    for (size_t i = 0; i < self->args->targets_count; i++) {
        pieces[i] = fw_purge_piece_new(copy, NULL, NULL);
    }
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_redis_target_add(self->targets[i], &pieces[i]);
    }
}

static void on_welcome(purger_t *self, const fw_welcome_t *welcome, int64_t now_ms)
{
    bool was_serving = self->link.state == FW_JOB_LINK_SERVING;
    for (size_t i = 0;
         welcome->incarnation.size == FW_INCARNATION_SIZE && i < self->args->targets_count; i++) {
        fw_redis_target_met(self->targets[i], welcome->incarnation.data);
    }
    if (fw_job_link_welcomed(&self->link, welcome->incarnation, now_ms)) {
        size_t orphans = fw_job_table_disown(self->jobs);
        fw_counter_add(self->metrics->jobs[FW_OUTCOME_ORPHAN], orphans);
        fw_gauge_add(self->metrics->outstanding, -(int64_t)orphans);
        fw_log(FW_LOG_WARN, "the broker is another process than before",
               FW_KV_UINT("orphaned_jobs", orphans));
    }
    if (!was_serving && self->link.state == FW_JOB_LINK_SERVING) {
        fw_dial_answered(self->dial);
        fw_log(FW_LOG_INFO, "broker link is up");
    }
}

static void on_message(purger_t *self, const fw_message_t *message, int64_t now_ms)
{
    char detail[sizeof(message->refusal.field) + sizeof(message->refusal.reason) + 2];
    switch (message->kind) {
    case FW_MESSAGE_JOB:
        on_job(self, &message->job, self->turn_us);
        return;
    case FW_MESSAGE_JOBS:
        for (size_t i = 0; i < message->jobs.count; i++) {
            on_job(self, &message->jobs.jobs[i], self->turn_us);
        }
        return;
    case FW_MESSAGE_WELCOME:
        on_welcome(self, &message->welcome, now_ms);
        return;
    case FW_MESSAGE_PONG:
        return;
    case FW_MESSAGE_GOODBYE:
        fw_log(FW_LOG_INFO, "the broker leaves", FW_KV_TEXT("reason", message->goodbye.text));
        fw_job_link_dismissed(&self->link, now_ms);
        return;
    case FW_MESSAGE_REFUSAL:
        (void)snprintf(detail, sizeof(detail), "%s %s", message->refusal.field,
                       message->refusal.reason);
        refused(self, FW_REFUSED_BY_BROKER, "the broker refused a message", detail);
        fw_job_link_dismissed(&self->link, now_ms);
        return;
    case FW_MESSAGE_HELLO:
    case FW_MESSAGE_PING:
    case FW_MESSAGE_PUBLISH:
    case FW_MESSAGE_PUBLISH_ACK:
    case FW_MESSAGE_JOB_DONE:
    case FW_MESSAGE_JOBS_DONE:
    case FW_MESSAGE_JOB_FAILED:
    case FW_MESSAGE_POSITIONS_REQUEST:
    case FW_MESSAGE_POSITIONS_REPLY:
    case FW_MESSAGE_REPLAY_REQUEST:
    case FW_MESSAGE_REPLAY_REPLY:
    case FW_MESSAGE_FIRE_MARK:
    case FW_MESSAGE_FIRE_MISSING:
    case FW_MESSAGE_PRESENCE_REPORT:
    case FW_MESSAGE_PRESENCE_ACK:
    case FW_MESSAGE_PRESENCE_REQUEST:
    case FW_MESSAGE_PRESENCE_REPLY:
    case FW_MESSAGE_CLIENT_NOTE:
    case FW_MESSAGE_SESSION_COMMAND:
    case FW_MESSAGE_SESSION_DONE:
    case FW_MESSAGE_SESSION_RESULT:
        break;
    }
    refused(self, FW_REFUSED_UNEXPECTED, "unexpected message of the broker, ignoring", "");
}

static void on_frame(purger_t *self, zmq_msg_t *frame, int64_t now_ms)
{
    fw_message_t message;
    fw_refusal_t refusal = {.field = ""};
    if (fw_codec_decode(self->decoder, FW_LINK_WORKER_DOWN, fw_socket_bytes(frame), &message,
                        &refusal) != 0) {
        char detail[sizeof(refusal.field) + sizeof(refusal.reason) + 2];
        (void)snprintf(detail, sizeof(detail), "%s %s", refusal.field, refusal.reason);
        refused(self, FW_REFUSED_GARBAGE, "malformed message on the broker link, ignoring", detail);
        return;
    }
    /* Only what makes sense proves that a broker is there. */
    fw_job_link_heard(&self->link, now_ms);
    on_message(self, &message, now_ms);
}

static int on_readable(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    (void)reader;
    purger_t *self = arg;
    int64_t now_ms = fw_clock_ms();
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    self->turn_us = fw_clock_us();
    self->taken = 0;
    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        int result = fw_socket_receive(self->socket, &frame);
        if (result == -EBADMSG) {
            refused(self, FW_REFUSED_GARBAGE, "malformed message on the broker link, ignoring",
                    "more than one frame");
            continue;
        }
        if (result != 0) {
            break;
        }
        on_frame(self, &frame, now_ms);
    }
    zmq_msg_close(&frame);
    fw_gauge_add(self->metrics->outstanding, self->taken);
    /* After all that were there: they become one pipeline. */
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_redis_target_run(self->targets[i]);
    }
    on_turn(self);
    return 0;
}

/* ---- the broker link */

static void open_socket(purger_t *self, int64_t now_ms)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    const char *endpoint = NULL;
    int result = self->dial ? fw_dial_next(self->dial, now_ms, &endpoint) : -EINVAL;
    if (result == -EINPROGRESS) {
        fw_job_link_opening(&self->link, now_ms);
        return;
    }
    if (result == 0) {
        settings.security = self->args->config->security;
        settings.server_key = fw_dial_server_key(self->dial);
        result = fw_socket_open(&settings, endpoint, &self->socket);
    }
    if (result != 0) {
        uint64_t suppressed = 0;
        self->socket = NULL;
        fw_job_link_failed(&self->link, now_ms);
        if (fw_log_limited(&self->refused_limit, now_ms, &suppressed)) {
            fw_log(FW_LOG_ERROR, "cannot open the broker link, retrying", FW_KV_ERROR(result),
                   FW_KV_UINT("suppressed", suppressed));
        }
        return;
    }
    result = zloop_reader(self->loop, self->socket, on_readable, self);
    assert(result == 0);
    zloop_reader_set_tolerant(self->loop, self->socket);
}

static void close_socket(purger_t *self)
{
    if (self->socket) {
        zloop_reader_end(self->loop, self->socket);
        zsock_destroy(&self->socket);
    }
}

static void say(purger_t *self, const fw_message_t *message, int64_t now_ms)
{
    if (send_message(self, message) != 0) {
        fw_job_link_unsent(&self->link, now_ms);
    }
}

static void say_hello(purger_t *self, int64_t now_ms)
{
    const fw_message_t hello = {
        .kind = FW_MESSAGE_HELLO,
        .hello = {.version = FW_PROTOCOL_VERSION,
                  .name = fw_text(self->args->name),
                  .incarnation = {self->incarnation, sizeof(self->incarnation)},
                  .capacity = self->args->config->capacity}};
    say(self, &hello, now_ms);
}

static void say_goodbye(purger_t *self, int64_t now_ms)
{
    const char *reason = self->draining ? "the worker stops" : "redis is not connected";
    fw_log(FW_LOG_INFO, "leaving the broker", FW_KV_TEXT("reason", reason));
    const fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = fw_text(reason)};
    say(self, &goodbye, now_ms);
}

/* Wanted by the broker: a worker whose Redis is there, and that does not leave. */
static void steer_link(purger_t *self, int64_t now_ms)
{
    bool idle = fw_job_table_count(self->jobs) == 0;
    bool leaves = self->draining && idle;
    fw_job_link_want(&self->link, self->targets_up > 0 && !leaves, now_ms);
    fw_job_link_action_t action;
    while ((action = fw_job_link_next(&self->link, now_ms)) != FW_JOB_LINK_NOTHING) {
        const fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = ++self->pings};
        switch (action) {
        case FW_JOB_LINK_OPEN:
            open_socket(self, now_ms);
            break;
        case FW_JOB_LINK_CLOSE:
            fw_log(FW_LOG_WARN, "the broker is silent, opening another socket");
            close_socket(self);
            break;
        case FW_JOB_LINK_SAY_HELLO:
            say_hello(self, now_ms);
            break;
        case FW_JOB_LINK_SAY_PING:
            say(self, &ping, now_ms);
            break;
        case FW_JOB_LINK_SAY_GOODBYE:
            say_goodbye(self, now_ms);
            break;
        case FW_JOB_LINK_NOTHING:
            break;
        }
    }
    fw_condition_set(self->args->broker_up, self->link.state == FW_JOB_LINK_SERVING);
}

/* One target is enough to be given work: what the others miss is tried again until they are there.
 */
static void on_ready(void *context)
{
    purger_t *self = context;
    self->targets_up = 0;
    for (size_t i = 0; i < self->args->targets_count; i++) {
        self->targets_up += self->targets[i] && fw_redis_target_ready(self->targets[i]);
    }
    fw_condition_set(self->args->redis_up, self->targets_up == self->args->targets_count);
    steer_link(self, fw_clock_ms());
}

/* ---- the loop */

static bool finished(const purger_t *self, int64_t now_ms)
{
    return self->stopping && (fw_job_table_count(self->jobs) == 0 || now_ms >= self->stop_at_ms);
}

static int on_tick(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    purger_t *self = arg;
    int64_t now_ms = fw_clock_ms();
    fw_pulse_beat(self->args->pulse, now_ms);
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_redis_target_tick(self->targets[i], now_ms);
    }
    settle(self);
    steer_link(self, now_ms);
    self->ended = finished(self, now_ms);
    return self->ended ? -1 : 0;
}

static int on_control(zloop_t *loop, zsock_t *reader, void *arg)
{
    purger_t *self = arg;
    fw_control_t control;
    while ((control = fw_actor_receive(self->pipe))) {
        switch (control) {
        case FW_CONTROL_STOP:
            self->stopping = true;
            self->draining = true;
            self->stop_at_ms = fw_clock_ms() + FW_PURGER_STOP_MS;
            /* The pipe says STOP for ever from now on. */
            zloop_reader_end(loop, reader);
            /* Not only at the next tick: stopping an idle worker takes no time. */
            return on_tick(loop, 0, self);
        case FW_CONTROL_DRAIN:
            self->draining = true;
            break;
        case FW_CONTROL_RELOAD:
            break;
        }
    }
    return 0;
}

/* ---- life */

static void start_targets(purger_t *self)
{
    for (size_t i = 0; i < self->args->targets_count; i++) {
        const fw_redis_target_config_t target = {
            .config = self->args->config,
            .url = &self->args->targets[i],
            .name = self->args->name,
            .sweeper_name = self->args->sweeper_name,
            .metrics = self->metrics,
            .on_decided = on_decided,
            .on_ready = on_ready,
            .on_turn = on_turn,
            .context = self,
        };
        self->targets[i] = fw_redis_target_new(self->loop, &target);
    }
}

static void start(purger_t *self)
{
    uint64_t seed;
    fw_random_bytes(&seed, sizeof(seed));
    fw_random_bytes(self->incarnation, sizeof(self->incarnation));
    self->link = fw_job_link_make(seed, fw_clock_ms());
    int result = fw_dial_new(self->args->config->jobs_endpoint, &self->dial);
    if (result != 0) {
        fw_log(FW_LOG_ERROR, "the broker's endpoint is none", FW_KV_ERROR(result));
    }
    self->decoder = fw_codec_new();
    self->encoder = fw_codec_new();
    self->jobs = fw_job_table_new();
    self->answers = fw_job_answers_new(send_answers, self);
    self->loop = zloop_new();
    assert(self->loop);
    zloop_set_nonstop(self->loop, true); /* Stopping is said through the pipe only. */
    start_targets(self);
    result = zloop_reader(self->loop, self->pipe, on_control, self);
    assert(result == 0);
    int timer = zloop_timer(self->loop, TICK_MS, 0, on_tick, self);
    assert(timer >= 0);
    (void)result;
    (void)timer;
}

/* Leaves Redis and then the broker: what Redis has not answered by now fails, and the broker is
 * told so. */
static void end(purger_t *self)
{
    size_t unanswered = fw_job_table_count(self->jobs);
    if (unanswered > 0) {
        fw_log(FW_LOG_WARN, "stopped with work undone", FW_KV_UINT("jobs", unanswered));
    }
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_redis_target_destroy(&self->targets[i]);
    }
    settle(self);
    assert(fw_job_table_count(self->jobs) == 0);
    if (self->link.state != FW_JOB_LINK_AWAY) {
        say_goodbye(self, fw_clock_ms());
    }
    if (self->socket) {
        /* The last answers and the goodbye are given a moment to leave. */
        zsock_set_linger(self->socket, GOODBYE_LINGER_MS);
    }
    close_socket(self);
    fw_condition_set(self->args->redis_up, false);
    fw_condition_set(self->args->broker_up, false);
    fw_pulse_end(self->args->pulse);
    fw_dial_destroy(&self->dial);
    fw_job_table_destroy(&self->jobs);
    free(self->decided);
    fw_job_answers_destroy(&self->answers);
    zloop_destroy(&self->loop);
    fw_codec_destroy(&self->decoder);
    fw_codec_destroy(&self->encoder);
}

void fw_purger_run(zsock_t *pipe, void *args)
{
    const fw_purger_args_t *own = args;
    purger_t self = {.args = own, .metrics = own->metrics, .pipe = pipe};
    start(&self);
    fw_actor_ready(pipe, 0);
    /* czmq 4.2.1 leaves the loop on EINTR; signals are blocked here, and still. */
    while (!self.ended) {
        zloop_start(self.loop);
    }
    end(&self);
}
