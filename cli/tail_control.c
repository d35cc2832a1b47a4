/* tail_control.c - asks the broker where channels stand.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/tail_control.h"

#include <errno.h>
#include <stdlib.h>

#include "clients/c/liveness.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/random.h"
#include "runtime/socket.h"

struct fw_tail_control {
    fw_dial_t *dial;
    const fw_security_t *security;
    zsock_t *socket; /* NULL between two of them */
    fw_liveness_t liveness;
    fw_codec_t *codec;
    const fw_text_t *channels;
    size_t count;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t request_id;
    uint64_t ping;
    bool wanted; /* something was asked: before, the broker need not know of it */
    bool asking; /* a question waits for its answer, or to be asked */
};

/* 0; -EINPROGRESS while the broker's name is looked up; another negative errno. */
static int open_socket(fw_tail_control_t *self, int64_t now_ms)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    const char *endpoint = NULL;
    int result = fw_dial_next(self->dial, now_ms, &endpoint);
    settings.security = self->security;
    settings.server_key = fw_dial_server_key(self->dial);
    if (result == 0) {
        result = fw_socket_open(&settings, endpoint, &self->socket);
    }
    if (result == 0) {
        fw_liveness_opened(&self->liveness, now_ms);
    } else if (result == -EINPROGRESS) {
        fw_liveness_opening(&self->liveness, now_ms);
    } else {
        fw_liveness_lost(&self->liveness, now_ms);
    }
    return result;
}

int fw_tail_control_new(const char *endpoint, const fw_security_t *security,
                        const fw_text_t *channels, size_t count, fw_tail_control_t **ret_control)
{
    uint64_t seed;
    fw_random_bytes(&seed, sizeof seed);
    fw_tail_control_t *self = fw_alloc(1, sizeof *self);
    self->security = security;
    self->codec = fw_codec_new();
    self->channels = channels;
    self->count = count;
    self->liveness = fw_liveness_make(seed);
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    int result = fw_dial_new(endpoint, &self->dial);
    if (result == 0) {
        result = open_socket(self, fw_clock_ms());
    }
    if (result == -EINVAL) {
        fw_tail_control_destroy(&self);
        return result;
    }
    *ret_control = self;
    return 0;
}

static int send_message(fw_tail_control_t *self, const fw_message_t *message)
{
    return fw_socket_send(self->socket, fw_codec_encode(self->codec, FW_LINK_GATEWAY_UP, message));
}

void fw_tail_control_destroy(fw_tail_control_t **self_p)
{
    fw_tail_control_t *self = *self_p;
    if (!self) {
        return;
    }
    zsock_destroy(&self->socket);
    fw_dial_destroy(&self->dial);
    fw_codec_destroy(&self->codec);
    free(self);
    *self_p = NULL;
}

zsock_t *fw_tail_control_socket(fw_tail_control_t *self)
{
    return self->socket;
}

void fw_tail_control_ask(fw_tail_control_t *self)
{
    self->wanted = true;
    self->asking = true;
    /* The broker that it greeted may have gone with the events' connection. */
    fw_liveness_hello_again(&self->liveness, fw_clock_ms());
}

static void ask(fw_tail_control_t *self)
{
    fw_message_t request = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                            .positions_request = {.request_id = ++self->request_id,
                                                  .channels = self->channels,
                                                  .channels_count = self->count}};
    /* If it cannot be sent, the next Welcome asks again. */
    (void)!send_message(self, &request);
}

static void take(fw_tail_control_t *self, fw_bytes_t frame, int64_t now_ms,
                 fw_tail_position_fn *on_position, void *context)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal) != 0) {
        return;
    }
    fw_liveness_heard(&self->liveness, now_ms);
    if (message.kind == FW_MESSAGE_WELCOME) {
        (void)fw_liveness_welcomed(&self->liveness, now_ms);
        fw_dial_answered(self->dial);
        if (self->asking) {
            ask(self);
        }
    } else if (message.kind == FW_MESSAGE_REFUSAL) {
        fw_liveness_hello_again(&self->liveness, now_ms);
    } else if (message.kind == FW_MESSAGE_POSITIONS_REPLY &&
               message.positions_reply.request_id == self->request_id) {
        self->asking = false;
        for (size_t i = 0; i < message.positions_reply.positions_count; i++) {
            on_position(context, &message.positions_reply.positions[i]);
        }
    }
}

static void say_hello(fw_tail_control_t *self, int64_t now_ms)
{
    fw_message_t hello = {.kind = FW_MESSAGE_HELLO,
                          .hello = {.version = FW_PROTOCOL_VERSION,
                                    .name = FW_TEXT("freshwire tail"),
                                    .incarnation = {self->incarnation, sizeof self->incarnation}}};
    if (send_message(self, &hello) != 0) {
        fw_liveness_blocked(&self->liveness, now_ms);
    }
}

static void say_ping(fw_tail_control_t *self, int64_t now_ms)
{
    fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = ++self->ping};
    if (send_message(self, &ping) != 0) {
        fw_liveness_hello_again(&self->liveness, now_ms);
    }
}

static void keep_alive(fw_tail_control_t *self, int64_t now_ms)
{
    fw_liveness_step_t step;
    while (self->wanted && (step = fw_liveness_next(&self->liveness, now_ms)) != FW_LIVENESS_WAIT) {
        if (step == FW_LIVENESS_OPEN) {
            (void)!open_socket(self, now_ms);
        } else if (step == FW_LIVENESS_SEND_HELLO) {
            say_hello(self, now_ms);
        } else if (step == FW_LIVENESS_SEND_PING) {
            say_ping(self, now_ms);
        } else {
            zsock_destroy(&self->socket);
        }
    }
}

void fw_tail_control_service(fw_tail_control_t *self, int64_t now_ms,
                             fw_tail_position_fn *on_position, void *context)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int result = -EAGAIN;
    while (self->socket &&
           ((result = fw_socket_receive(self->socket, &frame)) == 0 || result == -EBADMSG)) {
        if (result == 0) {
            take(self, fw_socket_bytes(&frame), now_ms, on_position, context);
        }
    }
    zmq_msg_close(&frame);
    keep_alive(self, now_ms);
}
