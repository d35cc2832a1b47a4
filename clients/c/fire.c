/* fire.c - publishes events to the broker without acknowledgement.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "clients/c/fire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/c/event_id.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/socket.h"

struct fw_fire {
    zsock_t *socket;
    fw_codec_t *codec;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t sequence;
    bool up; /* the broker subscribed, and did not go since */
};

int fw_fire_new(const char *endpoint, fw_fire_t **ret_fire)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_CONNECT);
    zsock_t *socket = NULL;
    int result = endpoint ? fw_socket_open(&settings, endpoint, &socket) : -EINVAL;
    if (result != 0)
        return result;
    fw_fire_t *self = fw_alloc(1, sizeof *self);
    self->socket = socket;
    self->codec = fw_codec_new();
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    *ret_fire = self;
    return 0;
}

void fw_fire_destroy(fw_fire_t **self_p, int linger_ms)
{
    fw_fire_t *self = *self_p;
    if (!self)
        return;
    zsock_set_linger(self->socket, linger_ms);
    zsock_destroy(&self->socket);
    fw_codec_destroy(&self->codec);
    free(self);
    *self_p = NULL;
}

/* The broker's one subscription: a first byte of 1 when it comes, of 0 when its connection goes. */
static void read_link(fw_fire_t *self)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int result;
    while ((result = fw_socket_receive(self->socket, &frame)) != -EAGAIN) {
        fw_bytes_t bytes = fw_socket_bytes(&frame);
        if (result == 0 && bytes.size == 1)
            self->up = bytes.data[0] == 1;
        else if (result != 0 && result != -EBADMSG)
            break;
    }
    zmq_msg_close(&frame);
}

bool fw_fire_connected(fw_fire_t *self)
{
    read_link(self);
    return self->up;
}

int fw_fire_send(fw_fire_t *self, const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    int result = fw_event_check(event, ret_refusal);
    if (result != 0)
        return result;
    if (!fw_fire_connected(self))
        return -EHOSTUNREACH;
    char id[FW_EVENT_ID_RANDOM_SIZE + 1];
    fw_message_t message = {
        .kind = FW_MESSAGE_PUBLISH,
        .publish = {.level = FW_ACK_ACCEPTED,
                    .sequence = self->sequence + 1,
                    .incarnation = {self->incarnation, sizeof self->incarnation},
                    .event = *event}};
    if (event->id.size == 0)
        message.publish.event.id = fw_event_id_random(id);
    fw_bytes_t frame = fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, &message);
    if (frame.size > FW_FRAME_SIZE_MAX) {
        *ret_refusal = (fw_refusal_t){.limit = FW_FRAME_SIZE_MAX, .value = frame.size};
        (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "event");
        (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason,
                       "is too large when encoded");
        return -EMSGSIZE;
    }
    /* Counted also when ZeroMQ refuses it: a hole in the numbers is how the broker learns of a
     * loss. */
    self->sequence++;
    return fw_socket_send(self->socket, frame);
}

int fw_fire_wait(fw_fire_t *self, int64_t timeout_ms)
{
    int64_t deadline_ms = fw_clock_ms() + timeout_ms;
    for (;;) {
        if (fw_fire_connected(self))
            return 0;
        int64_t left_ms = deadline_ms - fw_clock_ms();
        if (left_ms <= 0)
            return -ETIMEDOUT;
        zmq_pollitem_t item = {.socket = zsock_resolve(self->socket), .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, (long)left_ms);
    }
}

zsock_t *fw_fire_socket(fw_fire_t *self)
{
    return self->socket;
}
