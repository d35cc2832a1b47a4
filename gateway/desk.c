/* desk.c - see desk.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/desk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/desk_answer.h"
#include "gateway/session_request.h"
#include "proto/codec.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum {
    TURN_MAX = 256, /* frames of one socket, then the others have their turn */
    WAIT_MS = 100,
};

/* A request of the admin port that shards are working on. */
typedef struct {
    uint64_t number; /* ours; 0 = free */
    uint64_t asked;  /* the admin port's */
    fw_peer_t peer;
    int64_t until_ms;
    fw_session_query_t query;
    bool lists;
    uint32_t missing; /* shards whose part of a list is not there */
    char *parts[FW_SHARDS_MAX];
} request_t;

typedef struct {
    const fw_desk_args_t *args;
    zsock_t *pipe;
    zsock_t *admin;
    zsock_t *shards;
    fw_codec_t *codec;
    fw_peer_t peers[FW_SHARDS_MAX]; /* size 0 = has not said hello */
    request_t requests[FW_DESK_REQUESTS_MAX];
    uint64_t last_number;
    fw_counter_t *answered, *refused, *late;
} desk_t;

static void reply(desk_t *self, const fw_peer_t *peer, fw_admin_reply_t reply, char *body)
{
    size_t size;
    reply.body = (fw_bytes_t){(const uint8_t *)body, strlen(body)};
    uint8_t *frame = fw_admin_reply_pack(&reply, &size);
    int result = fw_socket_send_to(self->admin, peer, (fw_bytes_t){frame, size});
    /* Who does not take its answer has gone. */
    fw_counter_add(result != 0 || reply.status == 504 ? self->late
                   : reply.status < 400               ? self->answered
                                                      : self->refused,
                   1);
    free(frame);
    free(body);
}

static void refuse(desk_t *self, const fw_peer_t *peer, uint64_t asked, unsigned status,
                   const char *detail, const char *field)
{
    fw_admin_reply_t answer = {
        .number = asked, .status = status, .retry_after_s = status == 429 || status == 503 ? 1 : 0};
    reply(self, peer, answer, fw_admin_problem(status, detail, field));
}

/* ------ requests under way */

static request_t *find(desk_t *self, uint64_t number)
{
    for (size_t i = 0; i < FW_DESK_REQUESTS_MAX; i++)
        if (self->requests[i].number == number)
            return &self->requests[i];
    return NULL;
}

static request_t *begin(desk_t *self, const fw_peer_t *peer, uint64_t asked)
{
    request_t *request = find(self, 0);
    if (!request) {
        refuse(self, peer, asked, 503, "too many requests are waiting", NULL);
        return NULL;
    }
    *request = (request_t){.number = ++self->last_number,
                           .asked = asked,
                           .peer = *peer,
                           .until_ms = fw_clock_ms() + FW_DESK_TIME_MS};
    return request;
}

static void end(request_t *request)
{
    for (size_t i = 0; i < FW_SHARDS_MAX; i++)
        free(request->parts[i]);
    *request = (request_t){.number = 0};
}

static void end_late(desk_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < FW_DESK_REQUESTS_MAX; i++) {
        request_t *request = &self->requests[i];
        if (request->number == 0 || now_ms < request->until_ms)
            continue;
        refuse(self, &request->peer, request->asked, 504,
               request->lists ? "a shard does not answer" : "the broker does not answer", NULL);
        end(request);
    }
}

/* ------ to the shards */

static int send_frame(desk_t *self, uint32_t shard, const fw_desk_frame_t *frame, fw_bytes_t more)
{
    if (self->peers[shard].size == 0)
        return -ENOTCONN;
    uint8_t *bytes = fw_alloc(1, sizeof *frame + more.size);
    memcpy(bytes, frame, sizeof *frame);
    if (more.size > 0)
        memcpy(bytes + sizeof *frame, more.data, more.size);
    int result = fw_socket_send_to(self->shards, &self->peers[shard],
                                   (fw_bytes_t){bytes, sizeof *frame + more.size});
    free(bytes);
    return result;
}

static fw_desk_frame_t frame_of(fw_desk_kind_t kind, uint64_t number)
{
    fw_desk_frame_t frame;
    memset(&frame, 0, sizeof frame); /* the gaps, too */
    frame.kind = kind;
    frame.request = number;
    return frame;
}

static void command(desk_t *self, const fw_peer_t *peer, const fw_admin_request_t *asked)
{
    fw_session_request_t parsed;
    fw_refusal_t refusal = {.field = ""};
    int result = fw_session_request_parse(asked->path, asked->body, &parsed, &refusal);
    if (result != 0) {
        bool known = result != -ENOENT;
        refuse(self, peer, asked->number,
               result == -EPROTO ? 422
               : known           ? 400
                                 : 404,
               known ? refusal.reason : NULL, known ? refusal.field : NULL);
        return;
    }
    request_t *request = begin(self, peer, asked->number);
    if (request) {
        fw_message_t message = {.kind = FW_MESSAGE_SESSION_COMMAND,
                                .session_command = parsed.command};
        message.session_command.command_id = request->number;
        fw_desk_frame_t frame = frame_of(FW_DESK_COMMAND, request->number);
        fw_bytes_t bytes = fw_codec_encode(self->codec, FW_LINK_GATEWAY_UP, &message);
        if (send_frame(self, 0, &frame, bytes) != 0) {
            refuse(self, peer, asked->number, 503, "the gateway is starting or stopping", NULL);
            end(request);
        }
    }
    fw_session_request_clear(&parsed);
}

static void list(desk_t *self, const fw_peer_t *peer, const fw_admin_request_t *asked)
{
    fw_session_query_t query;
    fw_refusal_t refusal = {.field = ""};
    if (fw_session_query_parse(asked->query, &query, &refusal) != 0) {
        refuse(self, peer, asked->number, 400, refusal.reason, refusal.field);
        return;
    }
    request_t *request = begin(self, peer, asked->number);
    if (!request)
        return;
    fw_desk_frame_t frame = frame_of(FW_DESK_LIST, request->number);
    frame.after = query.after;
    frame.limit = query.limit;
    frame.text_size = (uint32_t)query.user_id.size;
    if (query.user_id.size > 0)
        memcpy(frame.text, query.user_id.text, query.user_id.size);
    request->lists = true;
    request->query = query;
    request->query.user_id = FW_TEXT_NONE; /* it was borrowed */
    request->missing = self->args->shards;
    for (uint32_t i = 0; i < self->args->shards; i++)
        (void)send_frame(self, i, &frame, (fw_bytes_t){NULL, 0}); /* else it will be late */
}

static void ask(desk_t *self, const fw_peer_t *peer, const fw_admin_request_t *asked)
{
    if (asked->post)
        command(self, peer, asked);
    else if (fw_text_equal(asked->path, FW_TEXT("/v1/sessions")))
        list(self, peer, asked);
    else
        refuse(self, peer, asked->number, 404, "this path answers POST, or does not exist", NULL);
}

/* ------ from the shards */

static void take_result(desk_t *self, const fw_desk_frame_t *frame)
{
    request_t *request = find(self, frame->request);
    fw_text_t refused = {frame->text, frame->text_size};
    if (frame->request == 0 || !request || request->lists)
        return;
    fw_admin_reply_t answer = {.number = request->asked};
    char *body = fw_desk_result_answer(frame->gateways, frame->answered, frame->sessions, refused,
                                       &answer.status);
    answer.retry_after_s = answer.status == 429 || answer.status == 503 ? 1 : 0;
    reply(self, &request->peer, answer, body);
    end(request);
}

static void take_part(desk_t *self, const fw_desk_frame_t *frame, fw_bytes_t lines)
{
    request_t *request = find(self, frame->request);
    if (frame->request == 0 || !request || !request->lists || frame->shard >= self->args->shards ||
        request->parts[frame->shard])
        return;
    request->parts[frame->shard] = fw_copy_text((const char *)lines.data, lines.size);
    if (--request->missing > 0)
        return;
    fw_admin_reply_t answer = {.number = request->asked, .status = 200};
    reply(self, &request->peer, answer,
          fw_desk_list_answer(request->parts, self->args->shards, request->query.limit));
    end(request);
}

static void take(desk_t *self, const fw_peer_t *peer, fw_bytes_t bytes)
{
    fw_desk_frame_t frame;
    assert(bytes.size >= sizeof frame); /* of a shard of ours */
    memcpy(&frame, bytes.data, sizeof frame);
    fw_bytes_t more = {bytes.data + sizeof frame, bytes.size - sizeof frame};
    switch ((fw_desk_kind_t)frame.kind) {
    case FW_DESK_HELLO:
        assert(frame.shard < FW_SHARDS_MAX);
        self->peers[frame.shard] = *peer;
        break;
    case FW_DESK_RESULT:
        take_result(self, &frame);
        break;
    case FW_DESK_LISTED:
        take_part(self, &frame, more);
        break;
    case FW_DESK_COMMAND:
    case FW_DESK_LIST:
        assert(false); /* of ours */
    }
}

/* ------ the actor */

static void receive(desk_t *self, zsock_t *socket)
{
    fw_peer_t peer;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (int i = 0; i < TURN_MAX; i++) {
        fw_admin_request_t request;
        int result = fw_socket_receive_from(socket, &peer, &frame);
        if (result == -EBADMSG)
            continue;
        if (result != 0)
            break;
        if (socket == self->shards)
            take(self, &peer, fw_socket_bytes(&frame));
        else if (fw_admin_request_unpack(fw_socket_bytes(&frame), &request) == 0)
            ask(self, &peer, &request);
    }
    (void)zmq_msg_close(&frame);
}

static int open_sockets(desk_t *self)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    int result = fw_socket_open(&settings, self->args->shards_endpoint, &self->shards);
    if (result == 0)
        result = fw_socket_open(&settings, self->args->admin_endpoint, &self->admin);
    return result;
}

static void serve(desk_t *self)
{
    for (;;) {
        zmq_pollitem_t items[] = {
            {.socket = zsock_resolve(self->pipe), .events = ZMQ_POLLIN},
            {.socket = zsock_resolve(self->admin), .events = ZMQ_POLLIN},
            {.socket = zsock_resolve(self->shards), .events = ZMQ_POLLIN},
        };
        (void)zmq_poll(items, sizeof items / sizeof *items, WAIT_MS);
        int64_t now_ms = fw_clock_ms();
        fw_pulse_beat(self->args->pulse, now_ms);
        fw_control_t control;
        while ((control = fw_actor_receive(self->pipe)) != 0)
            if (control == FW_CONTROL_STOP)
                return;
        receive(self, self->shards);
        receive(self, self->admin);
        end_late(self, now_ms);
    }
}

static void make_metrics(desk_t *self)
{
    const char *name = "freshwire_gateway_session_requests_total";
    const char *help = "Requests of the admin API about sessions, by outcome; late is one that not "
                       "every gateway answered in time.";
    fw_metrics_t *m = self->args->metrics;
    self->answered = fw_metrics_counter(m, name, help, "outcome=\"answered\"");
    self->refused = fw_metrics_counter(m, name, help, "outcome=\"refused\"");
    self->late = fw_metrics_counter(m, name, help, "outcome=\"late\"");
}

void fw_desk_run(zsock_t *pipe, void *args)
{
    desk_t *self = fw_alloc(1, sizeof *self);
    self->args = args;
    self->pipe = pipe;
    self->codec = fw_codec_new();
    make_metrics(self);
    int result = open_sockets(self);
    fw_actor_ready(pipe, result);
    if (result == 0)
        serve(self);
    fw_pulse_end(self->args->pulse);
    for (size_t i = 0; i < FW_DESK_REQUESTS_MAX; i++)
        end(&self->requests[i]);
    zsock_destroy(&self->admin);
    zsock_destroy(&self->shards);
    fw_codec_destroy(&self->codec);
    free(self);
}
