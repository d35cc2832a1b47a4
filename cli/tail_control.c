/* tail_control.c - asks the broker where channels stand.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/tail_control.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum { HELLO_MS = 1000, BLOCKED_MS = 50 /* ZeroMQ has no connection yet */ };

struct fw_tail_control {
    zsock_t *socket;
    fw_codec_t *codec;
    const fw_text_t *channels;
    size_t count;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t request_id;
    int64_t hello_ms; /* when the next Hello is due */
    bool asking;      /* a question waits for its answer, or to be asked */
};

int fw_tail_control_new(const char *endpoint, const fw_text_t *channels, size_t count,
                        fw_tail_control_t **ret_control)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    zsock_t *socket = NULL;
    int result = fw_socket_open(&settings, endpoint, &socket);
    if (result != 0) {
        return result;
    }
    fw_tail_control_t *self = fw_alloc(1, sizeof *self);
    self->socket = socket;
    self->codec = fw_codec_new();
    self->channels = channels;
    self->count = count;
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
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
    self->asking = true;
    self->hello_ms = INT64_MIN;
}

static void ask(fw_tail_control_t *self)
{
    fw_message_t request = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                            .positions_request = {.request_id = ++self->request_id,
                                                  .channels = self->channels,
                                                  .channels_count = self->count}};
    /* If it cannot be sent, the next Hello asks again. */
    (void)!send_message(self, &request);
}

static void take(fw_tail_control_t *self, fw_bytes_t frame, fw_tail_position_fn *on_position,
                 void *context)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal) != 0) {
        return;
    }
    if (message.kind == FW_MESSAGE_WELCOME && self->asking) {
        ask(self);
        return;
    }
    if (message.kind != FW_MESSAGE_POSITIONS_REPLY ||
        message.positions_reply.request_id != self->request_id) {
        return;
    }
    self->asking = false;
    for (size_t i = 0; i < message.positions_reply.positions_count; i++) {
        on_position(context, &message.positions_reply.positions[i]);
    }
}

void fw_tail_control_service(fw_tail_control_t *self, int64_t now_ms,
                             fw_tail_position_fn *on_position, void *context)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int result;
    while ((result = fw_socket_receive(self->socket, &frame)) == 0 || result == -EBADMSG) {
        if (result == 0) {
            take(self, fw_socket_bytes(&frame), on_position, context);
        }
    }
    zmq_msg_close(&frame);
    if (!self->asking || now_ms < self->hello_ms) {
        return;
    }
    fw_message_t hello = {.kind = FW_MESSAGE_HELLO,
                          .hello = {.version = FW_PROTOCOL_VERSION,
                                    .name = FW_TEXT("freshwire tail"),
                                    .incarnation = {self->incarnation, sizeof self->incarnation}}};
    self->hello_ms = now_ms + (send_message(self, &hello) == 0 ? HELLO_MS : BLOCKED_MS);
}
