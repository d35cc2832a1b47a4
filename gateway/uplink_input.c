/* uplink_input.c - what the broker says.   SPDX-License-Identifier: MPL-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "gateway/event_json.h"
#include "gateway/uplink_internal.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { AGE_MS_MAX = 60000 }; /* a publisher's clock that is farther off says nothing */

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
    fw_entry_t *entry =
        fw_entry_new(delivery->position.offset, body, &ret_publication->exclude, received_us);
    fw_entry_set_data(entry, ret_publication->data.kind);
    return entry;
}

/* The take functions return whether it was something of a broker: only that is a sign of life. A
 * stranger on the broker's port may be talkative. */

static bool take_event(fw_uplink_t *self, fw_bytes_t body, int64_t now_us)
{
    const fw_gateway_metrics_t *metrics = self->options.metrics;
    fw_delivery_t delivery;
    fw_publication_t publication;
    fw_refusal_t refusal;
    fw_counter_add(metrics->received, 1);
    if (fw_codec_decode_delivery(self->codec, body, &delivery, &refusal) != 0) {
        if (fw_uplink_take_note(self, body, now_us))
            return true;
        fw_counter_add(metrics->refused[FW_REFUSED_EVENTS], 1);
        fw_uplink_trouble(self, now_us / 1000, "event of the broker is malformed, ignoring it",
                          &refusal);
        return false;
    }
    fw_channel_t *channel = fw_hub_find(self->options.hub, delivery.channel);
    if (!channel) {
        fw_counter_add(metrics->irrelevant, 1);
        return true;
    }
    if (fw_sync_knows(&channel->sync, delivery.position)) {
        fw_counter_add(metrics->duplicates, 1);
        return true;
    }
    fw_entry_t *entry = entry_of(self, &delivery, now_us, &publication, &refusal);
    if (!entry) {
        fw_counter_add(metrics->refused[FW_REFUSED_EVENTS], 1);
        fw_uplink_trouble(self, now_us / 1000, "event of the broker is malformed, ignoring it",
                          &refusal);
        return false;
    }
    observe_age(self, publication.ts);
    fw_hub_event(self->options.hub, channel, delivery.position.epoch, &entry);
    return true;
}

static bool take_beacon(fw_uplink_t *self, fw_bytes_t body, int64_t now_ms)
{
    fw_beacon_t beacon;
    fw_refusal_t refusal;
    if (fw_codec_decode_beacon(self->codec, body, &beacon, &refusal) != 0 ||
        beacon.incarnation.size != FW_INCARNATION_SIZE) {
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
        return false;
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
        if (self->options.rooms)
            fw_roster_suspect(fw_rooms_roster(self->options.rooms));
    }
    memcpy(self->beacon, beacon.incarnation.data, FW_INCARNATION_SIZE);
    self->beacon_number = beacon.number;
    return true;
}

static bool take_fence(fw_uplink_t *self, fw_bytes_t frame)
{
    char topic[FW_FENCE_SIZE_MAX];
    size_t prefix = fw_uplink_fence_topic(self, 0, topic) - 1;
    uint64_t number = 0;
    char digits[FW_FENCE_SIZE_MAX] = "";
    if (frame.size <= prefix || frame.size >= FW_FENCE_SIZE_MAX ||
        memcmp(frame.data, topic, prefix) != 0)
        return false; /* somebody else's */
    memcpy(digits, frame.data + prefix, frame.size - prefix);
    if (fw_offset_parse((fw_text_t){digits, frame.size - prefix}, &number) != 0 ||
        number > UINT32_MAX)
        return false;
    size_t size = fw_uplink_fence_topic(self, (uint32_t)number, topic);
    fw_uplink_subscribe(self, ZMQ_UNSUBSCRIBE, topic, size);
    fw_hub_fenced(self->options.hub, (uint32_t)number);
    self->fenced = true;
    fw_uplink_settled(self);
    return true;
}

static bool take_frame(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us)
{
    size_t beacon = strlen(FW_TOPIC_BEACON);
    if (frame.size >= beacon && memcmp(frame.data, FW_TOPIC_BEACON, beacon) == 0)
        return take_beacon(self, (fw_bytes_t){frame.data + beacon, frame.size - beacon},
                           now_us / 1000);
    if (frame.size > 0 && frame.data[0] == FW_TOPIC_FENCE_PREFIX[0])
        return take_fence(self, frame);
    if (frame.size > FW_TOPIC_SIZE)
        return take_event(
            self, (fw_bytes_t){frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE}, now_us);
    fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
    return false;
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
    if (self->options.rooms)
        fw_roster_linked(fw_rooms_roster(self->options.rooms));
    fw_uplink_settled(self);
}

static void take_positions(fw_uplink_t *self, const fw_positions_reply_t *reply)
{
    for (size_t i = 0; i < reply->positions_count; i++) {
        fw_channel_t *channel = fw_hub_find(self->options.hub, reply->positions[i].channel);
        if (!channel)
            continue;
        fw_hub_doubt(channel, reply->unconfirmed);
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
    fw_hub_doubt(channel, reply->unconfirmed);
    fw_hub_replayed(self->options.hub, channel, &replay);
}

static bool take_answer(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal) != 0) {
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_CONTROL], 1);
        fw_uplink_trouble(self, now_us / 1000, "answer of the broker is malformed, ignoring it",
                          &refusal);
        return false;
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
        fw_uplink_trouble(self, now_us / 1000, "the broker refused a message, greeting it again",
                          &message.refusal);
        self->welcomed = false;
        break;
    case FW_MESSAGE_GOODBYE:
        self->welcomed = false;
        break;
    case FW_MESSAGE_PRESENCE_ACK:
    case FW_MESSAGE_PRESENCE_REPLY:
        fw_uplink_take_presence(self, &message, now_us / 1000);
        break;
    case FW_MESSAGE_SESSION_COMMAND:
    case FW_MESSAGE_SESSION_RESULT:
        fw_uplink_take_sessions(self, &message);
        break;
    case FW_MESSAGE_PONG:
    case FW_MESSAGE_HELLO:
    case FW_MESSAGE_PING:
    case FW_MESSAGE_PUBLISH:
    case FW_MESSAGE_PUBLISH_ACK:
    case FW_MESSAGE_JOB:
    case FW_MESSAGE_JOB_DONE:
    case FW_MESSAGE_JOBS:
    case FW_MESSAGE_JOBS_DONE:
    case FW_MESSAGE_JOB_FAILED:
    case FW_MESSAGE_POSITIONS_REQUEST:
    case FW_MESSAGE_REPLAY_REQUEST:
    case FW_MESSAGE_FIRE_MARK:
    case FW_MESSAGE_FIRE_MISSING:
    case FW_MESSAGE_PRESENCE_REPORT:
    case FW_MESSAGE_PRESENCE_REQUEST:
    case FW_MESSAGE_CLIENT_NOTE:
    case FW_MESSAGE_SESSION_DONE:
        break; /* the pong's arrival is all that counts; the others never come on this link */
    }
    return true;
}

typedef bool take_fn(fw_uplink_t *self, fw_bytes_t frame, int64_t now_us);

static bool receive_all(fw_uplink_t *self, zsock_t *socket, take_fn *take, int64_t *heard_ms)
{
    zmq_msg_t frame;
    unsigned budget = FW_UPLINK_FRAMES_PER_TURN;
    int64_t now_us = 0;
    bool alive = false;
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
            alive = take(self, fw_socket_bytes(&frame), now_us) || alive;
        }
        budget--;
    }
    (void)zmq_msg_close(&frame);
    if (alive)
        *heard_ms = now_us / 1000;
    return budget > 0;
}

bool fw_uplink_receive_events(fw_uplink_t *self)
{
    return receive_all(self, self->events, take_frame, &self->events_heard_ms);
}

bool fw_uplink_receive_answers(fw_uplink_t *self)
{
    return receive_all(self, self->control, take_answer, &self->control_heard_ms);
}
