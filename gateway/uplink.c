/* uplink.c - see uplink.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/uplink_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum {
    POSITIONS_PER_TURN = 4,   /* requests of FW_POSITIONS_MAX channels */
    REPLAYS_AT_ONCE_MAX = 64, /* of one turn */
    MISSED_BEACONS_MAX = 3,
    REOPEN_FLOOR_MS = 50,
    REOPEN_BASE_MS = 250,
    REOPEN_MS_MAX = 4000,
    STALL_MS = 500, /* not called for so long, this process stood still */
};

static void *raw(zsock_t *socket)
{
    return zsock_resolve(socket);
}

void fw_uplink_trouble(fw_uplink_t *self, int64_t now_ms, const char *message,
                       const fw_refusal_t *refusal)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->logged, now_ms, &suppressed))
        fw_log(FW_LOG_WARN, message, FW_KV_TEXT("field", refusal->field),
               FW_KV_TEXT("reason", refusal->reason), FW_KV_UINT("suppressed", suppressed));
}

void fw_uplink_subscribe(fw_uplink_t *self, int option, const char *topic, size_t size)
{
    int result = zmq_setsockopt(raw(self->events), option, topic, size);
    assert(result == 0);
    (void)result;
}

size_t fw_uplink_fence_topic(const fw_uplink_t *self, uint32_t fence,
                             char ret_topic[FW_FENCE_SIZE_MAX])
{
    int size = snprintf(ret_topic, FW_FENCE_SIZE_MAX,
                        FW_TOPIC_FENCE_PREFIX "%016" PRIx64 "-%" PRIu32, self->id, fence);
    return (size_t)size;
}

static void close_sockets(fw_uplink_t *self)
{
    fw_wakeup_destroy(&self->events_wakeup);
    fw_wakeup_destroy(&self->control_wakeup);
    zsock_destroy(&self->events);
    zsock_destroy(&self->control);
    self->welcomed = false;
    self->fenced = false;
    self->beacon_heard_ms = 0;
    self->strange_ms = 0;
    self->control_at = NULL;
}

/* Both sockets must reach the same broker: when one name stands for several, one address of them.
 * 0; -EINPROGRESS while a name is being looked up; another negative errno. */
static int connect_sockets(fw_uplink_t *self, int64_t now_ms)
{
    fw_socket_settings_t sub = fw_socket_settings(FW_SOCKET_SUB_CONNECT);
    fw_socket_settings_t dealer = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    const char *events = NULL;
    int result = 0;
    if (!self->control_at)
        result = fw_dial_next(self->control_dial, now_ms, &self->control_at);
    if (result == 0)
        result = fw_dial_beside(self->events_dial, self->control_dial, now_ms, &events);
    sub.security = dealer.security = self->options.security;
    sub.server_key = dealer.server_key = fw_dial_server_key(self->control_dial);
    if (result == 0)
        result = fw_socket_open(&sub, events, &self->events);
    if (result == 0)
        result = fw_socket_open(&dealer, self->control_at, &self->control);
    return result;
}

static int open_sockets(fw_uplink_t *self, int64_t now_ms)
{
    int result = connect_sockets(self, now_ms);
    if (result == -EINPROGRESS)
        return result;
    if (result == 0)
        result = fw_wakeup_new(self->options.loop, self->events, &self->events_wakeup);
    if (result == 0)
        result = fw_wakeup_new(self->options.loop, self->control, &self->control_wakeup);
    if (result != 0) {
        close_sockets(self);
        return result;
    }
    fw_uplink_subscribe(self, ZMQ_SUBSCRIBE, FW_TOPIC_BEACON, strlen(FW_TOPIC_BEACON));
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
    self->note_codec = fw_codec_new();
    self->beacon_interval_ms = 500;
    self->json_size = FW_UPLINK_JSON_SIZE_MIN;
    self->json = fw_alloc(1, self->json_size);
    fw_random_bytes(&self->id, sizeof self->id);
    fw_random_bytes(self->incarnation, sizeof self->incarnation);
    fw_random_bytes(&seed, sizeof seed);
    self->backoff = fw_backoff_make(REOPEN_FLOOR_MS, REOPEN_BASE_MS, REOPEN_MS_MAX, seed);
    fw_publisher_options_t publisher = {
        .endpoint = options->publish_endpoint,
        .name = "gateway",
        .in_flight_max = FW_POSTS_MAX,
        .timeout_ms = FW_UPLINK_PUBLISH_TIMEOUT_MS,
        .security = options->security,
    };
    int result = fw_publisher_new(&publisher, options->published, options->published_context,
                                  &self->publisher);
    if (result == 0)
        result = fw_dial_new(options->control_endpoint, &self->control_dial);
    if (result == 0)
        result = fw_dial_new(options->events_endpoint, &self->events_dial);
    if (result == 0)
        result = open_sockets(self, now_ms);
    if (result == -EINPROGRESS || result == -EHOSTUNREACH || result == -EAGAIN) {
        /* Its name is not known yet: as good as a broker that is not there. */
        self->reopen_ms = now_ms + FW_RESOLVE_POLL_MS;
        result = 0;
    }
    if (result != 0) {
        fw_uplink_destroy(&self);
        return result;
    }
    self->ticked_ms = now_ms;
    *ret_uplink = self;
    return 0;
}

int fw_uplink_say(fw_uplink_t *self, const fw_message_t *message)
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
        (void)fw_uplink_say(self, &goodbye);
    }
    fw_wakeup_destroy(&self->publisher_wakeup);
    fw_publisher_destroy(&self->publisher);
    close_sockets(self);
    fw_dial_destroy(&self->control_dial);
    fw_dial_destroy(&self->events_dial);
    fw_codec_destroy(&self->codec);
    fw_codec_destroy(&self->note_codec);
    free(self->json);
    free(self);
    *self_p = NULL;
}

/* ------ what the hub wants */

static void apply_topics(fw_uplink_t *self)
{
    fw_topic_change_t change;
    while (fw_hub_next_change(self->options.hub, &change))
        fw_uplink_subscribe(self, change.subscribe ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, change.topic,
                            FW_TOPIC_SIZE);
    uint32_t fence = fw_hub_next_fence(self->options.hub);
    if (fence > 0) {
        char topic[FW_FENCE_SIZE_MAX];
        size_t size = fw_uplink_fence_topic(self, fence, topic);
        fw_uplink_subscribe(self, ZMQ_SUBSCRIBE, topic, size);
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
    if (fw_uplink_say(self, &request) != 0) {
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
            fw_counter_add(self->options.metrics->replays_paced, 1);
            return;
        }
        self->replays_left--;
        fw_message_t request = {.kind = FW_MESSAGE_REPLAY_REQUEST};
        request.replay_request.request_id = ++self->last_request;
        request.replay_request.channel = fw_channel_name(channel);
        fw_sync_replay_asked(&channel->sync, self->last_request, now_ms,
                             &request.replay_request.since, &request.replay_request.limit);
        /* One that cannot be sent is asked again when its answer is overdue. */
        (void)fw_uplink_say(self, &request);
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
        all = fw_uplink_receive_answers(self);
        all = fw_uplink_receive_events(self) && all;
        apply_topics(self);
        ask(self, now_ms);
        fw_uplink_ask_rooms(self, now_ms);
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
        .capacity = self->options.commands.obey ? FW_UPLINK_COMMANDS_KEPT : 0,
    };
    self->greeted_ms = now_ms;
    (void)fw_uplink_say(self, &hello);
}

static void ping(fw_uplink_t *self, int64_t now_ms)
{
    fw_message_t message = {.kind = FW_MESSAGE_PING, .number = ++self->last_ping};
    self->pinged_ms = now_ms;
    (void)fw_uplink_say(self, &message);
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

void fw_uplink_settled(fw_uplink_t *self)
{
    if (!self->welcomed || !self->fenced)
        return;
    fw_backoff_reset(&self->backoff);
    fw_dial_answered(self->control_dial);
    fw_dial_answered(self->events_dial);
}

/* Positions of one broker and events of another: no name or port may lead to two of them for
 * long. */
static bool is_strange(fw_uplink_t *self, int64_t now_ms)
{
    bool strange = self->welcomed && self->beacon_heard_ms > 0 &&
                   memcmp(self->beacon, self->broker, FW_INCARNATION_SIZE) != 0;
    if (!strange)
        self->strange_ms = 0;
    else if (self->strange_ms == 0)
        self->strange_ms = now_ms;
    return strange && now_ms - self->strange_ms >= FW_UPLINK_SILENCE_MS;
}

static void reopen(fw_uplink_t *self, int64_t now_ms)
{
    int result = open_sockets(self, now_ms);
    if (result == 0) {
        fw_counter_add(self->options.metrics->reopened, 1);
        return;
    }
    if (result == -EINPROGRESS) {
        self->reopen_ms = now_ms + FW_RESOLVE_POLL_MS;
        return;
    }
    self->reopen_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    const fw_refusal_t refusal = {.reason = "sockets cannot be opened"};
    fw_uplink_trouble(self, now_ms, "broker link cannot be opened, retrying", &refusal);
}

/* What was not looked at was not silent: it may wait to be read. */
static void forgive_own_pause(fw_uplink_t *self, int64_t now_ms)
{
    int64_t pause_ms = now_ms - self->ticked_ms;
    self->ticked_ms = now_ms;
    if (pause_ms <= STALL_MS)
        return;
    self->control_heard_ms += pause_ms;
    self->events_heard_ms += pause_ms;
}

void fw_uplink_tick(fw_uplink_t *self, int64_t now_ms)
{
    self->now_ms = now_ms;
    forgive_own_pause(self, now_ms);
    if (self->reopen_ms > 0) {
        if (now_ms >= self->reopen_ms)
            reopen(self, now_ms);
    } else if (now_ms - self->control_heard_ms >= FW_UPLINK_SILENCE_MS ||
               now_ms - self->events_heard_ms >= FW_UPLINK_SILENCE_MS || is_strange(self, now_ms)) {
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
