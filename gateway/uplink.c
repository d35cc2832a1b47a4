/* uplink.c - see uplink.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/uplink.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/event_json.h"
#include "gateway/wakeup.h"
#include "runtime/alloc.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum {
    FENCE_SIZE_MAX = 32,
    POSITIONS_PER_TURN = 4,   /* requests of FW_POSITIONS_MAX channels */
    REPLAYS_AT_ONCE_MAX = 64, /* of one turn */
    JSON_SIZE_MIN = 4096,
    AGE_MS_MAX = 60000, /* a publisher's clock that is farther off says nothing */
    MISSED_BEACONS_MAX = 3,
};

struct fw_uplink {
    fw_uplink_options_t options;
    fw_codec_t *codec;
    zsock_t *events;
    zsock_t *control;
    fw_publisher_t *publisher;
    fw_wakeup_t *events_wakeup;
    fw_wakeup_t *control_wakeup;
    fw_wakeup_t *publisher_wakeup;
    uint64_t publisher_socket;
    uint64_t id;                              /* names our fences */
    uint8_t incarnation[FW_INCARNATION_SIZE]; /* ours */
    uint8_t broker[FW_INCARNATION_SIZE];      /* of the last Welcome */
    uint8_t beacon[FW_INCARNATION_SIZE];      /* of the last beacon */
    uint64_t beacon_number;
    uint32_t beacon_interval_ms;
    bool known;    /* there was a Welcome once */
    bool welcomed; /* on this connection */
    uint64_t last_request;
    uint64_t last_ping;
    int64_t now_ms; /* of the last turn or tick */
    int64_t greeted_ms;
    int64_t pinged_ms;
    int64_t control_heard_ms;
    int64_t events_heard_ms;
    int64_t beacon_heard_ms; /* 0 = none on this connection */
    int64_t reopen_ms;       /* when the sockets are opened; 0 = they are open */
    fw_backoff_t backoff;
    int64_t replays_refilled_ms;
    uint32_t replays_left;
    char *json;
    size_t json_size;
    fw_log_limit_t logged;
    bool reported_connected;
    fw_entry_t *entries[FW_REPLAY_EVENTS_MAX];
};

static void *raw(zsock_t *socket)
{
    return zsock_resolve(socket);
}

static void log_trouble(fw_uplink_t *self, int64_t now_ms, const char *message,
                        const fw_refusal_t *refusal)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->logged, now_ms, &suppressed))
        fw_log(FW_LOG_WARN, message, FW_KV_TEXT("field", refusal->field),
               FW_KV_TEXT("reason", refusal->reason), FW_KV_UINT("suppressed", suppressed));
}

static void close_sockets(fw_uplink_t *self)
{
    fw_wakeup_destroy(&self->events_wakeup);
    fw_wakeup_destroy(&self->control_wakeup);
    zsock_destroy(&self->events);
    zsock_destroy(&self->control);
    self->welcomed = false;
    self->beacon_heard_ms = 0;
}

static int subscribe(fw_uplink_t *self, int option, const char *topic, size_t size)
{
    return zmq_setsockopt(raw(self->events), option, topic, size) == 0 ? 0 : -errno;
}

static int open_sockets(fw_uplink_t *self, int64_t now_ms)
{
    fw_socket_settings_t sub = fw_socket_settings(FW_SOCKET_SUB_CONNECT);
    fw_socket_settings_t dealer = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    int result = fw_socket_open(&sub, self->options.events_endpoint, &self->events);
    if (result == 0)
        result = fw_socket_open(&dealer, self->options.control_endpoint, &self->control);
    if (result == 0)
        result = subscribe(self, ZMQ_SUBSCRIBE, FW_TOPIC_BEACON, strlen(FW_TOPIC_BEACON));
    if (result == 0)
        result = fw_wakeup_new(self->options.loop, self->events, &self->events_wakeup);
    if (result == 0)
        result = fw_wakeup_new(self->options.loop, self->control, &self->control_wakeup);
    if (result != 0) {
        close_sockets(self);
        return result;
    }
    self->reopen_ms = 0;
    self->control_heard_ms = now_ms;
    self->events_heard_ms = now_ms;
    self->greeted_ms = 0;
    fw_hub_link_lost(self->options.hub);
    return 0;
}

int fw_uplink_new(const fw_uplink_options_t *options, int64_t now_ms, fw_uplink_t **ret_uplink)
{
    fw_uplink_t *self = fw_alloc(1, sizeof *self);
    uint64_t seed;
    self->options = *options;
    self->codec = fw_codec_new();
    self->beacon_interval_ms = 500;
    self->json_size = JSON_SIZE_MIN;
    self->json = fw_alloc(1, self->json_size);
    fw_random_bytes(&self->id, sizeof self->id);
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    fw_random_bytes(&seed, sizeof seed);
    self->backoff = fw_backoff_make(50, 250, 5000, seed);
    fw_publisher_options_t publisher = {
        .endpoint = options->publish_endpoint,
        .name = "gateway",
        .in_flight_max = FW_POSTS_MAX,
        .timeout_ms = FW_UPLINK_PUBLISH_TIMEOUT_MS,
    };
    int result = fw_publisher_new(&publisher, options->published, options->published_context,
                                  &self->publisher);
    if (result == 0)
        result = open_sockets(self, now_ms);
    if (result != 0) {
        fw_uplink_destroy(&self);
        return result;
    }
    *ret_uplink = self;
    return 0;
}

static int say(fw_uplink_t *self, const fw_message_t *message)
{
    return fw_socket_send(self->control, fw_codec_encode(self->codec, FW_LINK_GATEWAY_UP, message));
}

void fw_uplink_destroy(fw_uplink_t **self_p)
{
    fw_uplink_t *self = *self_p;
    if (!self)
        return;
    if (self->control && self->welcomed) {
        fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("stopping")};
        zsock_set_linger(self->control, 100);
        (void)say(self, &goodbye);
    }
    fw_wakeup_destroy(&self->publisher_wakeup);
    fw_publisher_destroy(&self->publisher);
    close_sockets(self);
    fw_codec_destroy(&self->codec);
    free(self->json);
    free(self);
    *self_p = NULL;
}

/* ------ what the broker says */

static void observe_age(fw_uplink_t *self, int64_t ts_ms)
{
    int64_t age_ms = fw_clock_wall_ms() - ts_ms;
    if (ts_ms > 0 && age_ms >= 0 && age_ms <= AGE_MS_MAX)
        fw_histogram_observe_us(self->options.metrics->age, age_ms * 1000);
}

/* NULL when the publication in it cannot be read. */
static fw_entry_t *entry_of(fw_uplink_t *self, const fw_delivery_t *delivery, int64_t received_us,
                            fw_publication_t *ret_publication, fw_refusal_t *ret_refusal)
{
    if (fw_codec_decode_publication(self->codec, delivery->publication, ret_publication,
                                    ret_refusal) != 0)
        return NULL;
    fw_json_t json = {.buffer = self->json, .size = self->json_size};
    fw_event_json(&json, delivery, ret_publication);
    if (json.needed > self->json_size) {
        self->json_size = json.needed * 2;
        self->json = fw_realloc(self->json, self->json_size, 1);
        json = (fw_json_t){.buffer = self->json, .size = self->json_size};
        fw_event_json(&json, delivery, ret_publication);
    }
    fw_bytes_t body = {(const uint8_t *)self->json, json.needed};
    return fw_entry_new(delivery->position.offset, body, &ret_publication->exclude, received_us);
}

static void take_event(fw_uplink_t *self, fw_bytes_t body, int64_t now_us)
{
    const fw_gateway_metrics_t *metrics = self->options.metrics;
    fw_delivery_t delivery;
    fw_publication_t publication;
    fw_refusal_t refusal;
    fw_counter_add(metrics->received, 1);
    if (fw_codec_decode_delivery(self->codec, body, &delivery, &refusal) != 0) {
        fw_counter_add(metrics->refused[FW_REFUSED_EVENTS], 1);
        log_trouble(self, now_us / 1000, "event of the broker is malformed, ignoring it", &refusal);
        return;
    }
    fw_channel_t *channel = fw_hub_find(self->options.hub, delivery.channel);
    if (!channel) {
        fw_counter_add(metrics->irrelevant, 1);
        return;
    }
    if (fw_sync_knows(&channel->sync, delivery.position)) {
        fw_counter_add(metrics->duplicates, 1);
        return;
    }
    fw_entry_t *entry = entry_of(self, &delivery, now_us, &publication, &refusal);
    if (!entry) {
        fw_counter_add(metrics->refused[FW_REFUSED_EVENTS], 1);
        log_trouble(self, now_us / 1000, "event of the broker is malformed, ignoring it", &refusal);
        return;
    }
    observe_age(self, publication.ts);
    fw_hub_event(self->options.hub, channel, delivery.position.epoch, &entry);
}

static void take_beacon(fw_uplink_t *self, fw_bytes_t body, int64_t now_ms)
{
    fw_beacon_t beacon;
    fw_refusal_t refusal;
    if (fw_codec_decode_beacon(self->codec, body, &beacon, &refusal) != 0 ||
        beacon.incarnation.size != FW_INCARNATION_SIZE) {
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
        return;
    }
    bool first = self->beacon_heard_ms == 0;
    bool same = memcmp(self->beacon, beacon.incarnation.data, FW_INCARNATION_SIZE) == 0;
    self->beacon_heard_ms = now_ms;
    if (!first && !same) {
        /* The broker was restarted behind our backs; its control link does not know us yet. */
        self->greeted_ms = 0;
        self->welcomed = false;
        fw_hub_suspect(self->options.hub);
    } else if (!first && beacon.number > self->beacon_number + 1) {
        fw_counter_add(self->options.metrics->beacons_missed,
                       beacon.number - self->beacon_number - 1);
        fw_hub_suspect(self->options.hub);
    }
    memcpy(self->beacon, beacon.incarnation.data, FW_INCARNATION_SIZE);
    self->beacon_number = beacon.number;
}

static size_t fence_topic(const fw_uplink_t *self, uint32_t fence, char ret_topic[FENCE_SIZE_MAX])
{
    int size = snprintf(ret_topic, FENCE_SIZE_MAX, FW_TOPIC_FENCE_PREFIX "%016" PRIx64 "-%" PRIu32,
                        self->id, fence);
    return (size_t)size;
}

static void take_fence(fw_uplink_t *self, fw_bytes_t frame)
{
    char topic[FENCE_SIZE_MAX];
    size_t prefix = fence_topic(self, 0, topic) - 1;
    uint64_t number = 0;
    char digits[FENCE_SIZE_MAX] = "";
    if (frame.size <= prefix || frame.size >= FENCE_SIZE_MAX ||
        memcmp(frame.data, topic, prefix) != 0)
        return; /* somebody else's */
    memcpy(digits, frame.data + prefix, frame.size - prefix);
    if (fw_offset_parse((fw_text_t){digits, frame.size - prefix}, &number) != 0 ||
        number > UINT32_MAX)
        return;
    size_t size = fence_topic(self, (uint32_t)number, topic);
    (void)subscribe(self, ZMQ_UNSUBSCRIBE, topic, size);
    fw_hub_fenced(self->options.hub, (uint32_t)number);
}

static void take_frame(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us)
{
    size_t beacon = strlen(FW_TOPIC_BEACON);
    if (frame.size >= beacon && memcmp(frame.data, FW_TOPIC_BEACON, beacon) == 0)
        take_beacon(self, (fw_bytes_t){frame.data + beacon, frame.size - beacon}, now_us / 1000);
    else if (frame.size > 0 && frame.data[0] == FW_TOPIC_FENCE_PREFIX[0])
        take_fence(self, frame);
    else if (frame.size > FW_TOPIC_SIZE)
        take_event(self, (fw_bytes_t){frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE},
                   now_us);
    else
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
}

static void welcome(fw_uplink_t *self, const fw_welcome_t *welcome_message)
{
    if (welcome_message->incarnation.size != FW_INCARNATION_SIZE)
        return;
    bool same = self->known &&
                memcmp(self->broker, welcome_message->incarnation.data, FW_INCARNATION_SIZE) == 0;
    if (self->known && !same)
        fw_hub_suspect(self->options.hub);
    memcpy(self->broker, welcome_message->incarnation.data, FW_INCARNATION_SIZE);
    if (welcome_message->beacon_interval_ms > 0)
        self->beacon_interval_ms = welcome_message->beacon_interval_ms;
    self->known = true;
    self->welcomed = true;
    fw_backoff_reset(&self->backoff);
}

static void take_positions(fw_uplink_t *self, const fw_positions_reply_t *reply)
{
    for (size_t i = 0; i < reply->positions_count; i++) {
        fw_channel_t *channel = fw_hub_find(self->options.hub, reply->positions[i].channel);
        if (channel)
            fw_hub_position(self->options.hub, channel, reply->request_id,
                            reply->positions[i].position);
    }
}

static void take_replay(fw_uplink_t *self, const fw_replay_reply_t *reply, int64_t now_us)
{
    fw_channel_t *channel = fw_hub_find(self->options.hub, reply->channel);
    if (!channel)
        return;
    fw_sync_replay_t replay = {
        .request_id = reply->request_id,
        .complete = reply->status == FW_REPLAY_COMPLETE,
        .reset = reply->status == FW_REPLAY_RESET,
        .visible = reply->visible,
        .entries = self->entries,
    };
    for (size_t i = 0; i < reply->deliveries_count && i < FW_REPLAY_EVENTS_MAX; i++) {
        fw_publication_t publication;
        fw_refusal_t refusal;
        fw_entry_t *entry = entry_of(self, &reply->deliveries[i], now_us, &publication, &refusal);
        if (!entry) {
            /* The hole that it leaves ends in a reset: never silent. */
            fw_counter_add(self->options.metrics->refused[FW_REFUSED_CONTROL], 1);
            break;
        }
        self->entries[replay.count++] = entry;
    }
    fw_hub_replayed(self->options.hub, channel, &replay);
}

static void take_answer(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal) != 0) {
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_CONTROL], 1);
        log_trouble(self, now_us / 1000, "answer of the broker is malformed, ignoring it",
                    &refusal);
        return;
    }
    switch (message.kind) {
    case FW_MESSAGE_WELCOME:
        welcome(self, &message.welcome);
        break;
    case FW_MESSAGE_POSITIONS_REPLY:
        take_positions(self, &message.positions_reply);
        break;
    case FW_MESSAGE_REPLAY_REPLY:
        take_replay(self, &message.replay_reply, now_us);
        break;
    case FW_MESSAGE_REFUSAL:
        /* Most likely it does not know us any more. */
        log_trouble(self, now_us / 1000, "the broker refused a message, greeting it again",
                    &message.refusal);
        self->welcomed = false;
        break;
    case FW_MESSAGE_GOODBYE:
        self->welcomed = false;
        break;
    case FW_MESSAGE_PONG:
    case FW_MESSAGE_HELLO:
    case FW_MESSAGE_PING:
    case FW_MESSAGE_PUBLISH:
    case FW_MESSAGE_PUBLISH_ACK:
    case FW_MESSAGE_JOB:
    case FW_MESSAGE_JOB_DONE:
    case FW_MESSAGE_JOB_FAILED:
    case FW_MESSAGE_POSITIONS_REQUEST:
    case FW_MESSAGE_REPLAY_REQUEST:
        break; /* the pong's arrival is all that counts; the others never come on this link */
    }
}

typedef void take_fn(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us);

/* Receives until there is nothing more; false when the budget ended before. */
static bool receive_all(fw_uplink_t *self, zsock_t *socket, take_fn *take, int64_t *heard_ms)
{
    zmq_msg_t frame;
    unsigned budget = FW_UPLINK_FRAMES_PER_TURN;
    int64_t now_us = 0;
    int result = 0;
    (void)zmq_msg_init(&frame);
    while (budget > 0) {
        result = fw_socket_receive(socket, &frame);
        if (result == -EBADMSG) {
            fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
        } else if (result != 0) {
            break;
        } else {
            /* The clock is read once per few frames: reading it costs as much as finding a channel.
             */
            if (budget % 16 == 0)
                now_us = fw_clock_us();
            take(self, fw_socket_bytes(&frame), now_us);
        }
        budget--;
    }
    (void)zmq_msg_close(&frame);
    if (now_us > 0)
        *heard_ms = now_us / 1000;
    return budget > 0;
}

/* ------ what the hub wants */

static void apply_topics(fw_uplink_t *self)
{
    fw_topic_change_t change;
    while (fw_hub_next_change(self->options.hub, &change)) {
        int result = subscribe(self, change.subscribe ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE,
                               change.topic, FW_TOPIC_SIZE);
        assert(result == 0);
        (void)result;
    }
    uint32_t fence = fw_hub_next_fence(self->options.hub);
    if (fence > 0) {
        char topic[FENCE_SIZE_MAX];
        size_t size = fence_topic(self, fence, topic);
        (void)subscribe(self, ZMQ_SUBSCRIBE, topic, size);
    }
}

/* One request for the positions of as many channels as want one. False when there is none, or it
 * cannot be sent. */
static bool ask_positions(fw_uplink_t *self, int64_t now_ms)
{
    fw_channel_t *asked[FW_POSITIONS_MAX];
    fw_text_t names[FW_POSITIONS_MAX];
    size_t count = 0;
    fw_hub_t *hub = self->options.hub;
    for (fw_channel_t *channel = fw_hub_first_needy(hub); channel && count < FW_POSITIONS_MAX;
         channel = fw_hub_next_needy(hub, channel)) {
        if (!(fw_sync_needs(&channel->sync) & FW_SYNC_NEEDS_POSITION))
            continue;
        asked[count] = channel;
        names[count++] = fw_channel_name(channel);
    }
    if (count == 0)
        return false;
    fw_message_t request = {.kind = FW_MESSAGE_POSITIONS_REQUEST};
    request.positions_request = (fw_positions_request_t){
        .request_id = ++self->last_request, .channels = names, .channels_count = count};
    if (say(self, &request) != 0) {
        fw_hub_want(hub);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        fw_sync_position_asked(&asked[i]->sync, self->last_request, now_ms);
    return true;
}

static void refill_replays(fw_uplink_t *self, int64_t now_ms)
{
    int64_t refill = (now_ms - self->replays_refilled_ms) * FW_UPLINK_REPLAYS_PER_SECOND / 1000;
    if (refill <= 0)
        return;
    self->replays_refilled_ms = now_ms;
    refill += self->replays_left;
    self->replays_left = refill > REPLAYS_AT_ONCE_MAX ? REPLAYS_AT_ONCE_MAX : (uint32_t)refill;
}

static void ask_replays(fw_uplink_t *self, int64_t now_ms)
{
    fw_hub_t *hub = self->options.hub;
    refill_replays(self, now_ms);
    for (fw_channel_t *channel = fw_hub_first_needy(hub); channel;
         channel = fw_hub_next_needy(hub, channel)) {
        if (!(fw_sync_needs(&channel->sync) & FW_SYNC_NEEDS_REPLAY))
            continue;
        if (self->replays_left == 0) {
            fw_hub_want(hub); /* at the next tick */
            return;
        }
        self->replays_left--;
        fw_message_t request = {.kind = FW_MESSAGE_REPLAY_REQUEST};
        request.replay_request.request_id = ++self->last_request;
        request.replay_request.channel = fw_channel_name(channel);
        fw_sync_replay_asked(&channel->sync, self->last_request, now_ms,
                             &request.replay_request.since, &request.replay_request.limit);
        /* One that cannot be sent is asked again when its answer is overdue. */
        (void)say(self, &request);
    }
}

static void ask(fw_uplink_t *self, int64_t now_ms)
{
    if (!self->welcomed || !fw_hub_wants(self->options.hub))
        return;
    int requests = 0;
    while (requests < POSITIONS_PER_TURN && ask_positions(self, now_ms))
        requests++;
    if (requests == POSITIONS_PER_TURN)
        fw_hub_want(self->options.hub);
    ask_replays(self, now_ms);
}

/* ------ time */

static bool has_input(zsock_t *socket)
{
    int events = 0;
    size_t size = sizeof events;
    if (!socket)
        return false;
    return zmq_getsockopt(raw(socket), ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

/* The publisher may have opened another socket. */
static void follow_publisher(fw_uplink_t *self)
{
    uint64_t number = fw_publisher_socket_number(self->publisher);
    if (number == self->publisher_socket && self->publisher_wakeup)
        return;
    zsock_t *socket = fw_publisher_socket(self->publisher);
    fw_wakeup_destroy(&self->publisher_wakeup);
    self->publisher_socket = number;
    if (socket && fw_wakeup_new(self->options.loop, socket, &self->publisher_wakeup) != 0)
        self->publisher_wakeup = NULL; /* the tick services it all the same */
}

bool fw_uplink_turn(fw_uplink_t *self, int64_t now_ms)
{
    bool all = true;
    self->now_ms = now_ms;
    fw_publisher_service(self->publisher, now_ms);
    follow_publisher(self);
    if (self->events) {
        all = receive_all(self, self->control, take_answer, &self->control_heard_ms);
        all = receive_all(self, self->events, take_frame, &self->events_heard_ms) && all;
        apply_topics(self);
        ask(self, now_ms);
    }
    /* Sending and subscribing may have taken the wake-up of what has just come. */
    return !all || has_input(self->events) || has_input(self->control) ||
           has_input(fw_publisher_socket(self->publisher));
}

static void greet(fw_uplink_t *self, int64_t now_ms)
{
    fw_message_t hello = {.kind = FW_MESSAGE_HELLO};
    hello.hello = (fw_hello_t){
        .version = FW_PROTOCOL_VERSION,
        .name = FW_TEXT("gateway"),
        .incarnation = {self->incarnation, sizeof self->incarnation},
    };
    self->greeted_ms = now_ms;
    (void)say(self, &hello);
}

static void ping(fw_uplink_t *self, int64_t now_ms)
{
    fw_message_t message = {.kind = FW_MESSAGE_PING, .number = ++self->last_ping};
    self->pinged_ms = now_ms;
    (void)say(self, &message);
}

static void report(fw_uplink_t *self)
{
    bool connected = fw_uplink_connected(self);
    if (connected == self->reported_connected)
        return;
    self->reported_connected = connected;
    fw_log(connected ? FW_LOG_INFO : FW_LOG_WARN,
           connected ? "broker link is up" : "broker link is down, retrying",
           FW_KV_TEXT("events", self->options.events_endpoint),
           FW_KV_TEXT("control", self->options.control_endpoint));
}

/* What waits to be read counts: this thread may have been the one that was silent. */
static bool is_silent(zsock_t *socket, int64_t silent_ms)
{
    return silent_ms >= FW_UPLINK_SILENCE_MS && !has_input(socket);
}

static void reopen(fw_uplink_t *self, int64_t now_ms)
{
    int result = open_sockets(self, now_ms);
    if (result == 0) {
        fw_counter_add(self->options.metrics->reopened, 1);
        return;
    }
    self->reopen_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    const fw_refusal_t refusal = {.reason = "sockets cannot be opened"};
    log_trouble(self, now_ms, "broker link cannot be opened, retrying", &refusal);
}

void fw_uplink_tick(fw_uplink_t *self, int64_t now_ms)
{
    self->now_ms = now_ms;
    if (self->reopen_ms > 0) {
        if (now_ms >= self->reopen_ms)
            reopen(self, now_ms);
    } else if (is_silent(self->control, now_ms - self->control_heard_ms) ||
               is_silent(self->events, now_ms - self->events_heard_ms)) {
        close_sockets(self);
        self->reopen_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    } else if (!self->welcomed && now_ms - self->greeted_ms >= FW_UPLINK_PING_MS) {
        greet(self, now_ms);
    } else if (self->welcomed && now_ms - self->pinged_ms >= FW_UPLINK_PING_MS) {
        ping(self, now_ms);
    }
    report(self);
}

bool fw_uplink_connected(const fw_uplink_t *self)
{
    int64_t patience_ms = (int64_t)(MISSED_BEACONS_MAX + 1) * self->beacon_interval_ms;
    if (patience_ms > FW_UPLINK_SILENCE_MS)
        patience_ms = FW_UPLINK_SILENCE_MS;
    return self->welcomed && self->beacon_heard_ms > 0 &&
           self->now_ms - self->beacon_heard_ms < patience_ms;
}

fw_publisher_t *fw_uplink_publisher(fw_uplink_t *self)
{
    return self->publisher;
}
