/* fake_intake.c - the broker's end of the publish link, for tests of publishers.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/fake_intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum { BIND_MS_MAX = 5000 };

struct fake_intake {
    fake_intake_state_t state;
    zsock_t *router;
    char *endpoint;
    fw_codec_t *codec;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    fw_peer_t peer; /* heard last */
};

static void require(bool holds, const char *what)
{
    if (holds) {
        return;
    }
    (void)fprintf(stderr, "fake intake: %s: %s\n", what, strerror(errno));
    abort();
}

static void bind_to(fake_intake_t *self, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    int64_t deadline_ms = fw_clock_ms() + BIND_MS_MAX;
    int result;
    /* ZeroMQ closes a listening socket some time after zmq_close. */
    while ((result = fw_socket_open(&settings, endpoint, &self->router)) == -EADDRINUSE &&
           fw_clock_ms() < deadline_ms) {
        (void)zmq_poll(NULL, 0, 5);
    }
    errno = -result;
    require(result == 0, "bind");
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
}

fake_intake_t *fake_intake_new(void)
{
    fake_intake_t *self = fw_alloc(1, sizeof *self);
    self->codec = fw_codec_new();
    self->state.status = FW_PUBLISH_OK;
    self->state.version = FW_PROTOCOL_VERSION;
    self->state.credit = 1000;
    self->state.copies = 1;
    bind_to(self, "tcp://127.0.0.1:*");
    self->endpoint = fw_socket_endpoint(self->router);
    return self;
}

void fake_intake_destroy(fake_intake_t **self_p)
{
    fake_intake_t *self = *self_p;
    if (!self) {
        return;
    }
    zsock_destroy(&self->router);
    fw_codec_destroy(&self->codec);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

fake_intake_state_t *fake_intake_state(fake_intake_t *self)
{
    return &self->state;
}

const char *fake_intake_endpoint(const fake_intake_t *self)
{
    return self->endpoint;
}

void fake_intake_down(fake_intake_t *self)
{
    zsock_destroy(&self->router);
}

void fake_intake_up(fake_intake_t *self)
{
    bind_to(self, self->endpoint);
}

static void send_bytes(fake_intake_t *self, fw_bytes_t bytes)
{
    /* The publisher may be gone, as it may from a real broker. */
    (void)!fw_socket_send_to(self->router, &self->peer, bytes);
}

static void send_message(fake_intake_t *self, const fw_message_t *message)
{
    send_bytes(self, fw_codec_encode(self->codec, FW_LINK_PUBLISHER_DOWN, message));
}

static void send_garbage(fake_intake_t *self)
{
    uint8_t noise[64];
    fw_random_bytes(noise, sizeof noise);
    send_bytes(self, (fw_bytes_t){noise, sizeof noise});
    send_bytes(self, (fw_bytes_t){noise, 0});
    /* A message of another link. */
    fw_message_t job = {.kind = FW_MESSAGE_JOB, .job = {.job_id = 1, .attempt = 1, .lease_ms = 1}};
    send_bytes(self, fw_codec_encode(self->codec, FW_LINK_WORKER_DOWN, &job));
}

void fake_intake_acknowledge(fake_intake_t *self, uint64_t request_id, fw_publish_status_t status)
{
    fw_channel_position_t position = {.channel = FW_TEXT("room:42"), .position = {7, 1}};
    fw_message_t ack = {.kind = FW_MESSAGE_PUBLISH_ACK,
                        .ack = {.request_id = request_id,
                                .id = FW_TEXT("from the broker"),
                                .status = status,
                                .credit = self->state.credit,
                                .retry_after_ms = self->state.retry_after_ms,
                                .positions = &position,
                                .positions_count = status == FW_PUBLISH_OK ? 1 : 0}};
    if (status == FW_PUBLISH_REJECTED) {
        ack.ack.has_refusal = true;
        ack.ack.refusal = (fw_refusal_t){.field = "type", .reason = "is not liked", .limit = 3};
    }
    for (unsigned i = 0; i < self->state.copies; i++) {
        send_message(self, &ack);
    }
}

static void remember(fake_intake_t *self, const fw_publish_t *publish)
{
    fake_intake_state_t *state = &self->state;
    state->publishes++;
    state->last_request_id = publish->request_id;
    state->last_sequence = publish->sequence;
    state->last_level = publish->level;
    (void)snprintf(state->last_id, sizeof state->last_id, "%s", publish->event.id.text);
    for (size_t i = state->ids_count; i-- > 0;) {
        if (strcmp(state->ids[i], state->last_id) == 0) {
            state->arrivals[i]++;
            return;
        }
    }
    require(state->ids_count < FAKE_INTAKE_EVENTS_MAX, "too many events");
    memcpy(state->ids[state->ids_count], state->last_id, FAKE_INTAKE_ID_SIZE);
    state->arrivals[state->ids_count++] = 1;
}

static void on_publish(fake_intake_t *self, const fw_publish_t *publish)
{
    fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("restart")};
    remember(self, publish);
    if (self->state.mode == FAKE_GOODBYE) {
        send_message(self, &goodbye);
    } else if (self->state.mode == FAKE_ANSWER) {
        fake_intake_acknowledge(self, publish->request_id, self->state.status);
    }
}

static void on_message(fake_intake_t *self, const fw_message_t *message)
{
    bool answers = self->state.mode == FAKE_ANSWER || self->state.mode == FAKE_GOODBYE;
    fw_message_t answer;
    if (message->kind == FW_MESSAGE_PUBLISH) {
        on_publish(self, &message->publish);
    } else if (message->kind == FW_MESSAGE_HELLO) {
        self->state.hellos++;
        answer =
            (fw_message_t){.kind = FW_MESSAGE_WELCOME,
                           .welcome = {.version = self->state.version,
                                       .incarnation = {self->incarnation, sizeof self->incarnation},
                                       .credit = self->state.credit,
                                       .event_bytes_max = FW_PAYLOAD_SIZE_MAX}};
        if (answers) {
            send_message(self, &answer);
        }
    } else if (message->kind == FW_MESSAGE_PING) {
        self->state.pings++;
        answer = (fw_message_t){.kind = FW_MESSAGE_PONG, .number = message->number};
        if (answers) {
            send_message(self, &answer);
        }
    } else if (message->kind == FW_MESSAGE_GOODBYE) {
        self->state.goodbyes++;
    }
}

void fake_intake_serve(fake_intake_t *self)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (self->router && fw_socket_receive_from(self->router, &self->peer, &frame) == 0) {
        fw_message_t message;
        fw_refusal_t refusal;
        int result = fw_codec_decode(self->codec, FW_LINK_PUBLISHER_UP, fw_socket_bytes(&frame),
                                     &message, &refusal);
        require(result == 0, "the publisher sent what is no message");
        if (self->state.mode == FAKE_GARBAGE) {
            send_garbage(self);
        }
        on_message(self, &message);
    }
    zmq_msg_close(&frame);
}
