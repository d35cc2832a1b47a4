/* publisher.c - publishes events to the broker, acknowledged.   SPDX-License-Identifier: MPL-2.0 */
#include "clients/c/publisher.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/event_id.h"
#include "clients/c/liveness.h"
#include "clients/c/window.h"
#include "proto/utf8.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum {
    ANSWERS_PER_SERVICE = 1024, /* then the owner gets its loop back */
    GOODBYE_LINGER_MS = 100,
};

_Static_assert((int)FW_PUBLISHER_IN_FLIGHT_MAX == (int)FW_WINDOW_IN_FLIGHT_MAX,
               "one limit, two names");
_Static_assert((int)FW_PUBLISHER_BYTES_MAX == (int)FW_WINDOW_BYTES_MAX, "one limit, two names");
_Static_assert((int)FW_PUBLISHER_TIMEOUT_MS_MAX == (int)FW_WINDOW_TIMEOUT_MS_MAX,
               "one limit, two names");

struct fw_publisher {
    fw_publisher_done_fn *done;
    void *context;
    fw_dial_t *dial;
    const fw_security_t *security;
    char *name;
    uint8_t incarnation[FW_INCARNATION_SIZE];        /* ours */
    uint8_t broker_incarnation[FW_INCARNATION_SIZE]; /* of the last Welcome */
    fw_codec_t *codec;
    fw_window_t *window;
    fw_liveness_t liveness;
    zsock_t *socket;
    uint64_t socket_number;
    uint64_t sequence; /* of the last event taken */
    uint64_t ping;
    uint32_t data_bytes_max; /* that the broker takes in one event; 0 = unknown */
    bool more;               /* the last service left answers unread, and what it read made sense */
    bool serving, ending;
    fw_publisher_stats_t stats;
    fw_refusal_t refusal;
};

static void close_socket(fw_publisher_t *self)
{
    if (!self->socket)
        return;
    zsock_destroy(&self->socket);
    self->socket_number++;
}

/* 0; -EINPROGRESS: the host's address is being looked up; another negative errno. */
static int open_socket(fw_publisher_t *self, int64_t now_ms)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    const char *endpoint = NULL;
    int result = fw_dial_next(self->dial, now_ms, &endpoint);
    settings.security = self->security;
    settings.server_key = fw_dial_server_key(self->dial);
    if (result == 0)
        result = fw_socket_open(&settings, endpoint, &self->socket);
    if (result == 0) {
        self->socket_number++;
        fw_liveness_opened(&self->liveness, now_ms);
    } else if (result == -EINPROGRESS) {
        fw_liveness_opening(&self->liveness, now_ms);
    } else {
        fw_liveness_lost(&self->liveness, now_ms);
    }
    return result;
}

static void lose_link(fw_publisher_t *self)
{
    self->stats.links_lost++;
    fw_window_close(self->window);
}

/* ZeroMQ has no connection, or the broker does not know it: what was sent may never have arrived.
 */
static void lose_connection(fw_publisher_t *self, int64_t now_ms)
{
    if (self->liveness.state != FW_LIVENESS_UP)
        return;
    fw_liveness_hello_again(&self->liveness, now_ms);
    lose_link(self);
}

static bool is_name(const char *name)
{
    size_t size = strnlen(name, FW_NAME_SIZE_MAX + 1);
    return size <= FW_NAME_SIZE_MAX && fw_utf8_printable((fw_bytes_t){(const uint8_t *)name, size});
}

int fw_publisher_new(const fw_publisher_options_t *options, fw_publisher_done_fn *done,
                     void *context, fw_publisher_t **ret_publisher)
{
    const char *name = options->name ? options->name : "";
    if (!options->endpoint || !is_name(name))
        return -EINVAL;
    fw_window_options_t window = {
        .in_flight_max =
            options->in_flight_max ? options->in_flight_max : FW_PUBLISHER_IN_FLIGHT_DEFAULT,
        .timeout_ms = options->timeout_ms ? options->timeout_ms : FW_PUBLISHER_TIMEOUT_MS_DEFAULT,
    };
    fw_random_bytes(&window.seed, sizeof window.seed);
    fw_publisher_t *self = fw_alloc(1, sizeof *self);
    self->done = done;
    self->context = context;
    self->security = options->security;
    self->name = fw_copy_text(name, strlen(name));
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    self->codec = fw_codec_new();
    self->liveness = fw_liveness_make(~window.seed);
    self->window = fw_window_new(&window);
    int result = self->window ? fw_dial_new(options->endpoint, &self->dial) : -EINVAL;
    if (result == 0)
        result = open_socket(self, fw_clock_ms());
    if (result == -EINVAL || result == -EMFILE) {
        fw_publisher_destroy(&self);
        return result;
    }
    *ret_publisher = self;
    return 0;
}

static int send_message(fw_publisher_t *self, const fw_message_t *message)
{
    return fw_socket_send(self->socket,
                          fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, message));
}

void fw_publisher_destroy(fw_publisher_t **self_p)
{
    fw_publisher_t *self = *self_p;
    if (!self)
        return;
    assert(!self->serving);
    self->ending = true;
    uint64_t request_id;
    while (self->window && fw_window_cancel(self->window, &request_id))
        self->done(self->context, request_id, -ECANCELED, NULL);
    if (self->socket && self->liveness.state == FW_LIVENESS_UP) {
        fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("closed")};
        zsock_set_linger(self->socket, GOODBYE_LINGER_MS);
        (void)send_message(self, &goodbye);
    }
    close_socket(self);
    fw_window_destroy(&self->window);
    fw_codec_destroy(&self->codec);
    fw_dial_destroy(&self->dial);
    free(self->name);
    free(self);
    *self_p = NULL;
}

/* Puts on the wire what the window allows. */
static void pump(fw_publisher_t *self, int64_t now_ms)
{
    uint64_t request_id;
    fw_bytes_t frame;
    unsigned attempt;
    while (self->socket && fw_window_next(self->window, now_ms, &request_id, &frame, &attempt)) {
        if (fw_socket_send(self->socket, frame) != 0) {
            lose_connection(self, now_ms);
            return;
        }
        fw_window_sent(self->window, request_id, now_ms);
        if (attempt == 0)
            self->stats.sent++;
        else
            self->stats.resent++;
    }
}

static int refuse_size(const char *field, const char *reason, size_t limit, size_t value,
                       fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = limit, .value = value};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return -EMSGSIZE;
}

static int check(const fw_publisher_t *self, const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    int result = fw_event_check(event, ret_refusal);
    if (result != 0)
        return result;
    if (self->data_bytes_max > 0 && event->data.bytes.size > self->data_bytes_max)
        return refuse_size("data", "is larger than the broker takes", self->data_bytes_max,
                           event->data.bytes.size, ret_refusal);
    return fw_window_full(self->window) ? -EAGAIN : 0;
}

int fw_publisher_send(fw_publisher_t *self, const fw_event_t *event, fw_ack_level_t level,
                      int64_t now_ms, uint64_t *ret_request_id, fw_refusal_t *ret_refusal)
{
    if (self->ending)
        return -ECANCELED;
    int result = check(self, event, ret_refusal);
    if (result != 0)
        return result;
    char id[FW_EVENT_ID_RANDOM_SIZE + 1];
    fw_message_t message = {
        .kind = FW_MESSAGE_PUBLISH,
        .publish = {.request_id = fw_window_next_id(self->window),
                    .level = level,
                    .sequence = self->sequence + 1,
                    .incarnation = {self->incarnation, sizeof self->incarnation},
                    .event = *event}};
    if (event->id.size == 0)
        message.publish.event.id = fw_event_id_random(id);
    fw_bytes_t frame = fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, &message);
    /* The broker's socket would cut the connection, and every retry would do so again. */
    if (frame.size > FW_FRAME_SIZE_MAX)
        return refuse_size("event", "is too large when encoded", FW_FRAME_SIZE_MAX, frame.size,
                           ret_refusal);
    result = fw_window_add(self->window, frame, now_ms);
    if (result != 0)
        return result;
    self->sequence++;
    *ret_request_id = message.publish.request_id;
    pump(self, now_ms);
    return 0;
}

static void take_welcome(fw_publisher_t *self, const fw_welcome_t *welcome, int64_t now_ms)
{
    if (welcome->version != FW_PROTOCOL_VERSION ||
        welcome->incarnation.size != FW_INCARNATION_SIZE) {
        self->stats.bad_answers++;
        self->refusal = (fw_refusal_t){.field = "welcome.version",
                                       .reason = "is not spoken here",
                                       .limit = FW_PROTOCOL_VERSION,
                                       .value = welcome->version};
        return;
    }
    bool same =
        memcmp(self->broker_incarnation, welcome->incarnation.data, FW_INCARNATION_SIZE) == 0;
    bool begins = fw_liveness_welcomed(&self->liveness, now_ms);
    fw_dial_answered(self->dial);
    self->data_bytes_max = welcome->event_bytes_max;
    memcpy(self->broker_incarnation, welcome->incarnation.data, FW_INCARNATION_SIZE);
    if (begins || !same)
        fw_window_open(self->window, welcome->credit);
    else
        fw_window_set_credit(self->window, welcome->credit);
}

static void take_ack(fw_publisher_t *self, const fw_publish_ack_t *ack, int64_t now_ms)
{
    fw_liveness_heard(&self->liveness, now_ms);
    switch (
        fw_window_answer(self->window, ack->request_id, ack->status, ack->retry_after_ms, now_ms)) {
    case FW_WINDOW_UNKNOWN:
        /* Also the second answer to an event that was sent twice. Its credit may be an old one. */
        self->stats.bad_answers++;
        return;
    case FW_WINDOW_AGAIN:
        self->stats.postponed++;
        fw_window_set_credit(self->window, ack->credit);
        return;
    case FW_WINDOW_ENDED:
        break;
    }
    fw_window_set_credit(self->window, ack->credit);
    if (ack->status == FW_PUBLISH_OK)
        self->stats.ok++;
    else if (ack->status == FW_PUBLISH_DUPLICATE)
        self->stats.duplicates++;
    else
        self->stats.rejected++;
    self->done(self->context, ack->request_id, 0, ack);
}

static void take_refusal(fw_publisher_t *self, const fw_refusal_t *refusal, int64_t now_ms)
{
    self->refusal = *refusal;
    fw_liveness_heard(&self->liveness, now_ms);
    lose_connection(self, now_ms);
}

static void take_goodbye(fw_publisher_t *self, int64_t now_ms)
{
    fw_liveness_lost(&self->liveness, now_ms);
    lose_link(self);
    close_socket(self);
}

static void take_frame(fw_publisher_t *self, fw_bytes_t frame, int64_t now_ms)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->codec, FW_LINK_PUBLISHER_DOWN, frame, &message, &refusal) != 0) {
        self->stats.bad_answers++;
        return;
    }
    if (message.kind == FW_MESSAGE_WELCOME)
        take_welcome(self, &message.welcome, now_ms);
    else if (message.kind == FW_MESSAGE_PUBLISH_ACK)
        take_ack(self, &message.ack, now_ms);
    else if (message.kind == FW_MESSAGE_PONG)
        fw_liveness_heard(&self->liveness, now_ms);
    else if (message.kind == FW_MESSAGE_REFUSAL)
        take_refusal(self, &message.refusal, now_ms);
    else if (message.kind == FW_MESSAGE_GOODBYE)
        take_goodbye(self, now_ms);
    else
        self->stats.bad_answers++;
}

static void read_answers(fw_publisher_t *self, int64_t now_ms)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int left = ANSWERS_PER_SERVICE;
    uint64_t bad_before = self->stats.bad_answers;
    while (self->socket && left > 0) {
        int result = fw_socket_receive(self->socket, &frame);
        if (result == 0)
            take_frame(self, fw_socket_bytes(&frame), now_ms);
        else if (result == -EBADMSG)
            self->stats.bad_answers++;
        else
            break;
        left--;
    }
    /* A peer that only talks nonsense must not keep us from noticing that the broker is silent. */
    self->more = left == 0 && self->stats.bad_answers - bad_before < ANSWERS_PER_SERVICE;
    zmq_msg_close(&frame);
}

static void send_hello(fw_publisher_t *self, int64_t now_ms)
{
    fw_message_t hello = {.kind = FW_MESSAGE_HELLO,
                          .hello = {.version = FW_PROTOCOL_VERSION,
                                    .name = fw_text(self->name),
                                    .incarnation = {self->incarnation, sizeof self->incarnation}}};
    if (send_message(self, &hello) != 0)
        fw_liveness_blocked(&self->liveness, now_ms);
}

static void send_ping(fw_publisher_t *self, int64_t now_ms)
{
    fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = ++self->ping};
    if (send_message(self, &ping) != 0) {
        lose_connection(self, now_ms);
        return;
    }
    /* No credit and nothing on the wire: no answer will ever tell that there is credit again. */
    if (fw_window_credit(self->window) == 0)
        send_hello(self, now_ms);
}

static void keep_alive(fw_publisher_t *self, int64_t now_ms)
{
    for (;;) {
        bool was_up = self->liveness.state == FW_LIVENESS_UP;
        switch (fw_liveness_next(&self->liveness, now_ms)) {
        case FW_LIVENESS_WAIT:
            return;
        case FW_LIVENESS_OPEN:
            (void)open_socket(self, now_ms);
            break;
        case FW_LIVENESS_SEND_HELLO:
            send_hello(self, now_ms);
            break;
        case FW_LIVENESS_SEND_PING:
            send_ping(self, now_ms);
            break;
        case FW_LIVENESS_CLOSE:
            if (was_up)
                lose_link(self);
            close_socket(self);
            break;
        }
    }
}

void fw_publisher_service(fw_publisher_t *self, int64_t now_ms)
{
    assert(!self->serving);
    assert(!self->ending);
    self->serving = true;
    read_answers(self, now_ms);
    if (!self->more)
        keep_alive(self, now_ms);
    uint64_t request_id;
    while (fw_window_expire(self->window, now_ms, &request_id)) {
        self->stats.timeouts++;
        self->done(self->context, request_id, -ETIMEDOUT, NULL);
    }
    pump(self, now_ms);
    self->serving = false;
}

void fw_publisher_wait(fw_publisher_t *self, int64_t timeout_ms)
{
    int64_t now_ms = fw_clock_ms();
    int64_t wait_ms = fw_publisher_deadline_ms(self, now_ms) - now_ms;
    if (wait_ms > timeout_ms)
        wait_ms = timeout_ms > 0 ? timeout_ms : 0;
    zmq_pollitem_t item = {.events = ZMQ_POLLIN};
    if (self->socket)
        item.socket = zsock_resolve(self->socket);
    /* An interrupted poll only makes service come early. */
    (void)zmq_poll(&item, self->socket ? 1 : 0, (long)wait_ms);
    fw_publisher_service(self, fw_clock_ms());
}

zsock_t *fw_publisher_socket(fw_publisher_t *self)
{
    return self->socket;
}

uint64_t fw_publisher_socket_number(const fw_publisher_t *self)
{
    return self->socket_number;
}

int64_t fw_publisher_deadline_ms(const fw_publisher_t *self, int64_t now_ms)
{
    if (self->more)
        return now_ms;
    int64_t deadline_ms = fw_window_deadline_ms(self->window, now_ms);
    int64_t alive_ms = fw_liveness_deadline_ms(&self->liveness);
    if (alive_ms < deadline_ms)
        deadline_ms = alive_ms;
    return deadline_ms < now_ms ? now_ms : deadline_ms;
}

size_t fw_publisher_in_flight(const fw_publisher_t *self)
{
    return fw_window_count(self->window);
}

bool fw_publisher_connected(const fw_publisher_t *self)
{
    return self->liveness.state == FW_LIVENESS_UP;
}

const fw_publisher_stats_t *fw_publisher_stats(const fw_publisher_t *self)
{
    return &self->stats;
}

const fw_refusal_t *fw_publisher_refusal(const fw_publisher_t *self)
{
    return &self->refusal;
}
