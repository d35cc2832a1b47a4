/* fake_broker.c - see fake_broker.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/fake_broker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/channel.h"
#include "proto/json_text.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum { CHANNELS_MAX = 4096, TOPICS_MAX = 8192, POSTPONED_MAX = 64 };

typedef struct {
    uint64_t offset;
    uint8_t *publication;
    size_t size;
} event_t;

typedef struct {
    char name[FW_CHANNEL_SIZE_MAX + 1];
    event_t *events;
    size_t count;
    uint64_t visible;
} channel_t;

struct fake_broker {
    fake_settings_t settings;
    fake_counts_t counts;
    zsock_t *events, *control, *publish;
    char *events_endpoint, *control_endpoint, *publish_endpoint;
    fw_codec_t *codec;   /* decodes */
    fw_codec_t *encoder; /* encodes what borrows from a decoded message */
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint64_t epoch;
    uint64_t beacon;
    int64_t beacon_ms;
    channel_t *channels;
    size_t channels_count;
    char (*topics)[64];
    char postponed[POSTPONED_MAX][FW_EVENT_ID_SIZE_MAX + 1];
    size_t postponed_count;
    char last_published[4096];
};

/* A port that was closed a moment ago may still be held by ZeroMQ's own thread. */
static zsock_t *open_one(fw_socket_role_t role, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    int64_t end_ms = fw_clock_ms() + 10000;
    zsock_t *socket = NULL;
    while (fw_socket_open(&settings, endpoint, &socket) == -EADDRINUSE && fw_clock_ms() < end_ms)
        (void)poll(NULL, 0, 5);
    assert(socket);
    return socket;
}

static void open_all(fake_broker_t *self)
{
    self->events = open_one(FW_SOCKET_XPUB_BIND, self->events_endpoint);
    self->control = open_one(FW_SOCKET_ROUTER_BIND, self->control_endpoint);
    self->publish = open_one(FW_SOCKET_ROUTER_BIND, self->publish_endpoint);
}

static void keep_endpoint(char **endpoint_p, zsock_t *socket)
{
    free(*endpoint_p);
    *endpoint_p = fw_socket_endpoint(socket);
}

fake_broker_t *fake_broker_new(void)
{
    fake_broker_t *self = calloc(1, sizeof *self);
    assert(self);
    self->events_endpoint = strdup("tcp://127.0.0.1:*");
    self->control_endpoint = strdup("tcp://127.0.0.1:*");
    self->publish_endpoint = strdup("tcp://127.0.0.1:*");
    self->codec = fw_codec_new();
    self->encoder = fw_codec_new();
    self->channels = calloc(CHANNELS_MAX, sizeof *self->channels);
    self->topics = calloc(TOPICS_MAX, sizeof *self->topics);
    self->epoch = 1000;
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    open_all(self);
    keep_endpoint(&self->events_endpoint, self->events);
    keep_endpoint(&self->control_endpoint, self->control);
    keep_endpoint(&self->publish_endpoint, self->publish);
    return self;
}

static void forget_history(fake_broker_t *self)
{
    for (size_t i = 0; i < self->channels_count; i++) {
        for (size_t k = 0; k < self->channels[i].count; k++)
            free(self->channels[i].events[k].publication);
        free(self->channels[i].events);
    }
    memset(self->channels, 0, CHANNELS_MAX * sizeof *self->channels);
    self->channels_count = 0;
}

void fake_broker_down(fake_broker_t *self)
{
    zsock_destroy(&self->events);
    zsock_destroy(&self->control);
    zsock_destroy(&self->publish);
}

void fake_broker_destroy(fake_broker_t **self_p)
{
    fake_broker_t *self = *self_p;
    if (!self)
        return;
    fake_broker_down(self);
    forget_history(self);
    free(self->channels);
    free(self->topics);
    free(self->events_endpoint);
    free(self->control_endpoint);
    free(self->publish_endpoint);
    fw_codec_destroy(&self->codec);
    fw_codec_destroy(&self->encoder);
    free(self);
    *self_p = NULL;
}

void fake_broker_up(fake_broker_t *self, bool forgets)
{
    if (forgets) {
        forget_history(self);
        self->epoch++;
        fw_random_bytes(self->incarnation, sizeof self->incarnation);
        self->beacon = 0;
    }
    self->counts.subscriptions = 0;
    memset(self->topics, 0, TOPICS_MAX * sizeof *self->topics);
    open_all(self);
}

void fake_broker_restart(fake_broker_t *self, bool forgets)
{
    fake_broker_down(self);
    fake_broker_up(self, forgets);
}

fake_settings_t *fake_broker_settings(fake_broker_t *self)
{
    return &self->settings;
}

const fake_counts_t *fake_broker_counts(const fake_broker_t *self)
{
    return &self->counts;
}

const char *fake_broker_events(const fake_broker_t *self)
{
    return self->events_endpoint;
}

const char *fake_broker_control(const fake_broker_t *self)
{
    return self->control_endpoint;
}

const char *fake_broker_publish(const fake_broker_t *self)
{
    return self->publish_endpoint;
}

uint64_t fake_broker_epoch(const fake_broker_t *self)
{
    return self->epoch;
}

const char *fake_broker_last_published(const fake_broker_t *self)
{
    return self->last_published;
}

static channel_t *find(const fake_broker_t *self, fw_text_t name)
{
    for (size_t i = 0; i < self->channels_count; i++)
        if (strcmp(self->channels[i].name, name.text) == 0)
            return &self->channels[i];
    return NULL;
}

static channel_t *find_or_make(fake_broker_t *self, fw_text_t name)
{
    channel_t *channel = find(self, name);
    if (channel)
        return channel;
    assert(self->channels_count < CHANNELS_MAX);
    channel = &self->channels[self->channels_count++];
    (void)snprintf(channel->name, sizeof channel->name, "%s", name.text);
    return channel;
}

uint64_t fake_broker_visible(const fake_broker_t *self, const char *name)
{
    const channel_t *channel = find(self, fw_text(name));
    return channel ? channel->visible : 0;
}

/* ------ events */

static fw_delivery_t delivery_of(const fake_broker_t *self, const channel_t *channel,
                                 const event_t *event)
{
    return (fw_delivery_t){
        .channel = fw_text(channel->name),
        .position = {self->epoch, event->offset},
        .publication = {event->publication, event->size},
    };
}

static uint64_t append(fake_broker_t *self, channel_t *channel, const fw_event_t *event, bool lost)
{
    assert(channel->count < FAKE_EVENTS_MAX);
    if (!channel->events)
        channel->events = calloc(FAKE_EVENTS_MAX, sizeof *channel->events);
    event_t *kept = &channel->events[channel->count++];
    fw_bytes_t publication = fw_codec_encode_publication(self->encoder, event);
    kept->offset = ++channel->visible;
    kept->size = publication.size;
    kept->publication = malloc(publication.size + 1);
    memcpy(kept->publication, publication.data, publication.size);
    if (lost || self->settings.mute)
        return kept->offset;
    fw_delivery_t delivery = delivery_of(self, channel, kept);
    int result =
        fw_socket_send(self->events, fw_codec_encode_event_frame(self->encoder, &delivery));
    assert(result == 0);
    (void)result;
    return kept->offset;
}

uint64_t fake_broker_release(fake_broker_t *self, const fake_event_t *event)
{
    channel_t *channel = find_or_make(self, fw_text(event->channel));
    char data[32];
    (void)snprintf(data, sizeof data, "%llu", (unsigned long long)channel->visible + 1);
    const char *json = event->data ? event->data : data;
    fw_event_t made = {
        .id = FW_TEXT("e"),
        .type = fw_text(event->type ? event->type : "t"),
        .data = {.kind = FW_PAYLOAD_JSON,
                 .bytes = {(const uint8_t *)json, strlen(json)},
                 .type = FW_TEXT_NONE},
        .exclude = {fw_text(event->exclude_user), fw_text(event->exclude_origin)},
        .origin = FW_TEXT_NONE,
        .user_id = FW_TEXT_NONE,
        .ts = fw_clock_wall_ms(),
        .traceparent = FW_TEXT_NONE,
    };
    return append(self, channel, &made, event->lost);
}

void fake_broker_send_event_frame(fake_broker_t *self, const void *data, size_t size)
{
    int result = fw_socket_send(self->events, (fw_bytes_t){data, size});
    assert(result == 0);
    (void)result;
}

static void send_beacon(fake_broker_t *self)
{
    fw_beacon_t beacon = {
        .incarnation = {self->incarnation, sizeof self->incarnation},
        .number = ++self->beacon,
        .ts_us = (uint64_t)fw_clock_wall_us(),
    };
    self->beacon_ms = fw_clock_ms();
    (void)!fw_socket_send(self->events, fw_codec_encode_beacon_frame(self->encoder, &beacon));
}

void fake_broker_skip_beacons(fake_broker_t *self, unsigned count)
{
    self->beacon += count;
}

static void take_subscription(fake_broker_t *self, fw_bytes_t frame)
{
    char topic[64] = "";
    assert(frame.size >= 1 && frame.size < sizeof topic);
    memcpy(topic, frame.data + 1, frame.size - 1);
    size_t slot = 0;
    while (slot < TOPICS_MAX && self->topics[slot][0] && strcmp(self->topics[slot], topic) != 0)
        slot++;
    assert(slot < TOPICS_MAX);
    bool known = self->topics[slot][0];
    if (frame.data[0] == 1 && !known) {
        (void)snprintf(self->topics[slot], sizeof self->topics[slot], "%s", topic);
        self->counts.subscriptions++;
    }
    if (frame.data[0] == 1 && topic[0] == '~') {
        self->counts.fences++;
        if (!self->settings.mute)
            (void)!fw_socket_send(self->events, (fw_bytes_t){frame.data + 1, frame.size - 1});
    }
}

/* ------ control */

static void answer(fake_broker_t *self, zsock_t *socket, const fw_peer_t *peer, fw_link_t link,
                   const fw_message_t *message)
{
    if (!self->settings.mute)
        (void)!fw_socket_send_to(socket, peer, fw_codec_encode(self->encoder, link, message));
}

static void welcome(fake_broker_t *self, zsock_t *socket, const fw_peer_t *peer, fw_link_t link)
{
    fw_message_t message = {.kind = FW_MESSAGE_WELCOME};
    message.welcome = (fw_welcome_t){
        .version = FW_PROTOCOL_VERSION,
        .incarnation = {self->incarnation, sizeof self->incarnation},
        .credit = 1000,
        .event_bytes_max = FW_PAYLOAD_SIZE_MAX,
        .beacon_interval_ms = FAKE_BEACON_MS,
    };
    self->counts.hellos++;
    answer(self, socket, peer, link, &message);
}

static void positions(fake_broker_t *self, const fw_peer_t *peer,
                      const fw_positions_request_t *request)
{
    static fw_channel_position_t list[FW_POSITIONS_MAX];
    self->counts.positions++;
    if (self->settings.holds_positions)
        return;
    for (size_t i = 0; i < request->channels_count; i++) {
        const channel_t *channel = find(self, request->channels[i]);
        list[i] = (fw_channel_position_t){request->channels[i],
                                          {self->epoch, channel ? channel->visible : 0}};
    }
    fw_message_t message = {.kind = FW_MESSAGE_POSITIONS_REPLY};
    message.positions_reply = (fw_positions_reply_t){.request_id = request->request_id,
                                                     .positions = list,
                                                     .positions_count = request->channels_count,
                                                     .unconfirmed = self->settings.unconfirmed};
    answer(self, self->control, peer, FW_LINK_GATEWAY_DOWN, &message);
}

static void replay(fake_broker_t *self, const fw_peer_t *peer, const fw_replay_request_t *request)
{
    static fw_delivery_t list[FW_REPLAY_EVENTS_MAX];
    channel_t *channel = find_or_make(self, request->channel);
    size_t limit = request->limit;
    size_t count = 0;
    self->counts.replays++;
    if (self->settings.replay_limit > 0 && limit > self->settings.replay_limit)
        limit = self->settings.replay_limit;
    fw_message_t message = {.kind = FW_MESSAGE_REPLAY_REPLY};
    message.replay_reply = (fw_replay_reply_t){
        .request_id = request->request_id,
        .channel = request->channel,
        .status = FW_REPLAY_RESET,
        .visible = {self->epoch, channel->visible},
        .deliveries = list,
        .unconfirmed = self->settings.unconfirmed,
    };
    bool reachable = request->since.epoch == self->epoch &&
                     request->since.offset <= channel->visible && !self->settings.refuses_replays;
    for (size_t i = 0; reachable && i < channel->count && count < limit; i++)
        if (channel->events[i].offset > request->since.offset)
            list[count++] = delivery_of(self, channel, &channel->events[i]);
    if (reachable)
        message.replay_reply.status =
            request->since.offset + count == channel->visible ? FW_REPLAY_COMPLETE : FW_REPLAY_MORE;
    message.replay_reply.deliveries_count = count;
    answer(self, self->control, peer, FW_LINK_GATEWAY_DOWN, &message);
}

static void take_control(fake_broker_t *self, const fw_peer_t *peer, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    int result = fw_codec_decode(self->codec, FW_LINK_GATEWAY_UP, frame, &message, &refusal);
    assert(result == 0);
    (void)result;
    if (message.kind == FW_MESSAGE_HELLO) {
        welcome(self, self->control, peer, FW_LINK_GATEWAY_DOWN);
    } else if (message.kind == FW_MESSAGE_PING) {
        fw_message_t pong = {.kind = FW_MESSAGE_PONG, .number = message.number};
        answer(self, self->control, peer, FW_LINK_GATEWAY_DOWN, &pong);
    } else if (message.kind == FW_MESSAGE_POSITIONS_REQUEST) {
        positions(self, peer, &message.positions_request);
    } else if (message.kind == FW_MESSAGE_REPLAY_REQUEST) {
        replay(self, peer, &message.replay_request);
    } else if (message.kind != FW_MESSAGE_PRESENCE_REPORT) { /* that has tests of its own */
        assert(message.kind == FW_MESSAGE_GOODBYE);
        self->counts.goodbyes++;
    }
}

/* ------ publish */

static void keep_published(fake_broker_t *self, const fw_event_t *event)
{
    fw_json_t json = {.buffer = self->last_published, .size = sizeof self->last_published - 1};
    fw_json_raw(&json, "{\"type\":", 8);
    fw_json_string(&json, event->type);
    fw_json_raw(&json, ",\"data\":", 8);
    fw_json_raw(&json, event->data.bytes.data, event->data.bytes.size);
    fw_json_raw(&json, ",\"id\":", 6);
    fw_json_string(&json, event->id);
    for (size_t i = 0; i < event->audience_count; i++) {
        fw_json_raw(&json, i == 0 ? ",\"audience\":[" : ",", i == 0 ? 13 : 1);
        fw_json_string(&json, event->audience[i]);
    }
    fw_json_raw(&json, "]}", 2);
    self->last_published[json.needed < sizeof self->last_published ? json.needed : 0] = '\0';
}

static bool postpones(fake_broker_t *self, fw_text_t id)
{
    for (size_t i = 0; i < self->postponed_count; i++)
        if (strcmp(self->postponed[i], id.text) == 0)
            return false;
    assert(self->postponed_count < POSTPONED_MAX);
    (void)snprintf(self->postponed[self->postponed_count++], FW_EVENT_ID_SIZE_MAX + 1, "%s",
                   id.text);
    return true;
}

static void take_publish(fake_broker_t *self, const fw_peer_t *peer, const fw_publish_t *publish)
{
    fw_channel_position_t list[FW_AUDIENCE_MAX];
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK};
    fw_publish_ack_t *ack = &message.ack;
    *ack = (fw_publish_ack_t){.request_id = publish->request_id,
                              .id = publish->event.id,
                              .status = FW_PUBLISH_OK,
                              .positions = list,
                              .credit = 1000};
    self->counts.published++;
    keep_published(self, &publish->event);
    if (self->settings.publish == FAKE_SILENT)
        return;
    if (self->settings.publish == FAKE_REJECT) {
        ack->status = FW_PUBLISH_REJECTED;
        ack->has_refusal = true;
        ack->refusal = (fw_refusal_t){.field = "audience", .reason = "is not for you", .limit = 1};
    } else if (self->settings.publish == FAKE_POSTPONE && postpones(self, publish->event.id)) {
        ack->status = FW_PUBLISH_RETRY;
        ack->retry_after_ms = 10;
    } else {
        for (size_t i = 0; i < publish->event.audience_count; i++) {
            channel_t *channel = find_or_make(self, publish->event.audience[i]);
            uint64_t offset = append(self, channel, &publish->event, false);
            list[ack->positions_count++] =
                (fw_channel_position_t){publish->event.audience[i], {self->epoch, offset}};
        }
    }
    answer(self, self->publish, peer, FW_LINK_PUBLISHER_DOWN, &message);
}

static void take_publisher(fake_broker_t *self, const fw_peer_t *peer, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    int result = fw_codec_decode(self->codec, FW_LINK_PUBLISHER_UP, frame, &message, &refusal);
    assert(result == 0);
    (void)result;
    if (message.kind == FW_MESSAGE_HELLO) {
        welcome(self, self->publish, peer, FW_LINK_PUBLISHER_DOWN);
    } else if (message.kind == FW_MESSAGE_PING) {
        fw_message_t pong = {.kind = FW_MESSAGE_PONG, .number = message.number};
        answer(self, self->publish, peer, FW_LINK_PUBLISHER_DOWN, &pong);
    } else if (message.kind == FW_MESSAGE_PUBLISH) {
        take_publish(self, peer, &message.publish);
    }
}

void fake_broker_turn(void *context)
{
    fake_broker_t *self = context;
    zmq_msg_t frame;
    fw_peer_t peer;
    if (!self->events)
        return; /* down */
    (void)zmq_msg_init(&frame);
    if (!self->settings.mute && fw_clock_ms() - self->beacon_ms >= FAKE_BEACON_MS)
        send_beacon(self);
    while (fw_socket_receive(self->events, &frame) == 0)
        take_subscription(self, fw_socket_bytes(&frame));
    while (fw_socket_receive_from(self->control, &peer, &frame) == 0)
        take_control(self, &peer, fw_socket_bytes(&frame));
    while (fw_socket_receive_from(self->publish, &peer, &frame) == 0)
        take_publisher(self, &peer, fw_socket_bytes(&frame));
    (void)zmq_msg_close(&frame);
}
