/* fire.c - publishes events to the broker without acknowledgement.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "clients/c/fire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/c/event_id.h"
#include "runtime/alloc.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum { FRAMES_PER_SERVICE = 1024 /* of the broker; then the owner gets its loop back */ };

struct fw_fire {
    fw_dial_t *dial;
    const fw_security_t *security;
    zsock_t *socket; /* NULL = to be opened at due_ms */
    uint64_t socket_number;
    fw_codec_t *codec;
    fw_kept_t *kept;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    bool up;         /* the broker subscribed, and did not go since */
    bool mark_due;   /* at once: it is new, or asked for what is gone */
    uint64_t marked; /* the last number that the broker was told */
    int64_t marked_ms;
    int64_t due_ms;    /* of opening */
    int64_t down_ms;   /* since when there is a socket on which nobody subscribes */
    int64_t served_ms; /* the last service, so that time does not go back */
    int64_t refilled_ms;
    int64_t resends_left;
    fw_backoff_t backoff;
    fw_fire_stats_t stats;
};

static void close_socket(fw_fire_t *self)
{
    if (!self->socket)
        return;
    zsock_destroy(&self->socket);
    self->socket_number++;
    self->up = false;
}

/* 0; -EINPROGRESS: the host's address is being looked up; another negative errno. */
static int open_socket(fw_fire_t *self, int64_t now_ms)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_CONNECT);
    const char *endpoint = NULL;
    int result = fw_dial_next(self->dial, now_ms, &endpoint);
    settings.security = self->security;
    settings.server_key = fw_dial_server_key(self->dial);
    if (result == 0)
        result = fw_socket_open(&settings, endpoint, &self->socket);
    if (result == 0) {
        self->socket_number++;
        self->down_ms = now_ms;
    } else if (result == -EINPROGRESS) {
        self->due_ms = now_ms + FW_RESOLVE_POLL_MS;
    } else {
        self->due_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    }
    return result;
}

int fw_fire_new(const fw_fire_options_t *options, fw_fire_t **ret_fire)
{
    if (!options->endpoint)
        return -EINVAL;
    uint64_t seed;
    fw_random_bytes(&seed, sizeof seed);
    fw_fire_t *self = fw_alloc(1, sizeof *self);
    self->security = options->security;
    self->codec = fw_codec_new();
    self->kept = fw_kept_new();
    self->backoff = fw_backoff_make(0, FW_FIRE_REOPEN_BASE_MS, FW_FIRE_REOPEN_MS_MAX, seed);
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    self->served_ms = fw_clock_ms();
    int result = fw_dial_new(options->endpoint, &self->dial);
    if (result == 0)
        result = open_socket(self, self->served_ms);
    if (result == -EINVAL || result == -EMFILE) {
        fw_fire_destroy(&self, 0);
        return result;
    }
    *ret_fire = self;
    return 0;
}

static void send_mark(fw_fire_t *self, int64_t now_ms)
{
    fw_kept_expire(self->kept, now_ms);
    fw_message_t mark = {.kind = FW_MESSAGE_FIRE_MARK,
                         .fire_mark = {.incarnation = {self->incarnation, FW_INCARNATION_SIZE},
                                       .last = fw_kept_last(self->kept),
                                       .kept = fw_kept_oldest(self->kept)}};
    if (fw_socket_send(self->socket, fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, &mark)))
        return; /* said again soon */
    self->mark_due = false;
    self->marked = mark.fire_mark.last;
    self->marked_ms = now_ms;
}

void fw_fire_destroy(fw_fire_t **self_p, int linger_ms)
{
    fw_fire_t *self = *self_p;
    if (!self)
        return;
    if (self->socket) {
        if (self->up && self->marked != fw_kept_last(self->kept))
            send_mark(self, self->served_ms);
        zsock_set_linger(self->socket, linger_ms);
        close_socket(self);
    }
    fw_dial_destroy(&self->dial);
    fw_kept_destroy(&self->kept);
    fw_codec_destroy(&self->codec);
    free(self);
    *self_p = NULL;
}

static void take_missing(fw_fire_t *self, const fw_fire_missing_t *missing)
{
    if (!fw_bytes_equal(missing->incarnation, (fw_bytes_t){self->incarnation, FW_INCARNATION_SIZE}))
        return; /* every publisher hears it */
    fw_kept_expire(self->kept, self->served_ms);
    uint64_t gone = fw_kept_want(self->kept, missing->first, missing->count);
    self->stats.gone += gone;
    /* The broker need not wait for what will not come. */
    if (gone > 0)
        self->mark_due = true;
}

/* The broker's one subscription: a 1 when it comes, a 0 when its connection goes. */
static void take_subscription(fw_fire_t *self, fw_bytes_t frame, int64_t now_ms)
{
    if (frame.size > 1) {
        self->stats.bad_frames++; /* no broker subscribes to a part */
        return;
    }
    bool up = frame.data[0] == 1;
    if (up == self->up)
        return;
    self->up = up;
    self->down_ms = now_ms;
    if (!up)
        return;
    self->mark_due = true;
    fw_backoff_reset(&self->backoff);
    fw_dial_answered(self->dial);
}

static void take_frame(fw_fire_t *self, fw_bytes_t frame, int64_t now_ms)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (frame.size > 0 && frame.data[0] <= 1)
        take_subscription(self, frame, now_ms);
    else if (fw_codec_decode(self->codec, FW_LINK_PUBLISHER_DOWN, frame, &message, &refusal) == 0 &&
             message.kind == FW_MESSAGE_FIRE_MISSING)
        take_missing(self, &message.fire_missing);
    else
        self->stats.bad_frames++;
}

static void read_link(fw_fire_t *self, int64_t now_ms)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (int left = FRAMES_PER_SERVICE; left > 0; left--) {
        int result = fw_socket_receive(self->socket, &frame);
        if (result == 0)
            take_frame(self, fw_socket_bytes(&frame), now_ms);
        else if (result == -EBADMSG)
            self->stats.bad_frames++;
        else
            break;
    }
    (void)zmq_msg_close(&frame);
}

static void send_again(fw_fire_t *self, int64_t now_ms)
{
    fw_bytes_t frame;
    int64_t refill = (now_ms - self->refilled_ms) * FW_FIRE_RESENDS_PER_SECOND / 1000;
    if (refill > 0) {
        self->refilled_ms = now_ms;
        self->resends_left += refill;
        if (self->resends_left > FW_FIRE_RESENDS_AT_ONCE)
            self->resends_left = FW_FIRE_RESENDS_AT_ONCE;
    }
    while (self->resends_left > 0 && fw_kept_next(self->kept, &frame)) {
        if (fw_socket_send(self->socket, frame) != 0)
            return; /* it takes no more at present */
        fw_kept_sent(self->kept);
        self->resends_left--;
        self->stats.resent++;
    }
}

static bool mark_is_due(const fw_fire_t *self, int64_t now_ms)
{
    return self->mark_due || (self->marked != fw_kept_last(self->kept) &&
                              now_ms - self->marked_ms >= FW_FIRE_MARK_MS);
}

void fw_fire_service(fw_fire_t *self, int64_t now_ms)
{
    if (now_ms < self->served_ms)
        now_ms = self->served_ms;
    self->served_ms = now_ms;
    if (!self->socket && (now_ms < self->due_ms || open_socket(self, now_ms) != 0))
        return;
    read_link(self, now_ms);
    if (self->up) {
        send_again(self, now_ms);
        if (mark_is_due(self, now_ms))
            send_mark(self, now_ms);
    } else if (now_ms - self->down_ms >= FW_FIRE_SILENCE_MS) {
        close_socket(self);
        self->stats.reopened++;
        self->due_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    }
}

int64_t fw_fire_deadline_ms(const fw_fire_t *self)
{
    fw_bytes_t frame;
    if (!self->socket)
        return self->due_ms;
    if (!self->up)
        return self->down_ms + FW_FIRE_SILENCE_MS;
    if (self->mark_due || fw_kept_next(self->kept, &frame))
        return self->served_ms + 1;
    /* Nothing to tell: only so that what the broker asks is read. */
    return (self->marked == fw_kept_last(self->kept) ? self->served_ms : self->marked_ms) +
           FW_FIRE_MARK_MS;
}

bool fw_fire_connected(fw_fire_t *self)
{
    fw_fire_service(self, fw_clock_ms());
    return self->up;
}

static int refuse_size(size_t size, fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = FW_FRAME_SIZE_MAX, .value = size};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "event");
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "is too large when encoded");
    return -EMSGSIZE;
}

int fw_fire_send(fw_fire_t *self, const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    int result = fw_event_check(event, ret_refusal);
    if (result != 0)
        return result;
    if (!fw_fire_connected(self)) {
        self->stats.refused++;
        return -EHOSTUNREACH;
    }
    char id[FW_EVENT_ID_RANDOM_SIZE + 1];
    fw_message_t message = {
        .kind = FW_MESSAGE_PUBLISH,
        .publish = {.level = FW_ACK_ACCEPTED,
                    .sequence = fw_kept_last(self->kept) + 1,
                    .incarnation = {self->incarnation, sizeof self->incarnation},
                    .event = *event}};
    if (event->id.size == 0)
        message.publish.event.id = fw_event_id_random(id);
    fw_bytes_t frame = fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, &message);
    if (frame.size > FW_FRAME_SIZE_MAX)
        return refuse_size(frame.size, ret_refusal);
    result = fw_socket_send(self->socket, frame);
    if (result != 0) {
        self->stats.refused++;
        return result;
    }
    (void)fw_kept_add(self->kept, frame, self->served_ms);
    self->stats.sent++;
    return 0;
}

int fw_fire_wait(fw_fire_t *self, int64_t timeout_ms)
{
    int64_t end_ms = fw_clock_ms() + timeout_ms;
    for (;;) {
        if (fw_fire_connected(self))
            return 0;
        int64_t now_ms = fw_clock_ms();
        if (now_ms >= end_ms)
            return -ETIMEDOUT;
        int64_t until_ms = fw_fire_deadline_ms(self);
        int64_t wait_ms = (until_ms < end_ms ? until_ms : end_ms) - now_ms;
        zmq_pollitem_t item = {.events = ZMQ_POLLIN};
        if (self->socket)
            item.socket = zsock_resolve(self->socket);
        (void)zmq_poll(&item, self->socket ? 1 : 0, wait_ms > 0 ? (long)wait_ms : 0);
    }
}

zsock_t *fw_fire_socket(fw_fire_t *self)
{
    return self->socket;
}

uint64_t fw_fire_socket_number(const fw_fire_t *self)
{
    return self->socket_number;
}

const fw_fire_stats_t *fw_fire_stats(const fw_fire_t *self)
{
    return &self->stats;
}
