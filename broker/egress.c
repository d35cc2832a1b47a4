/* egress.c - released events, beacons and fences go out to every gateway that subscribed.
 * SPDX-License-Identifier: MPL-2.0 The link is lossy for a gateway that does not read (and for that
 * one only): gateways find every gap by themselves. */
#include "broker/broker_loop.h"
#include "proto/channel.h"

enum {
    QUEUE_FRAMES_MIN = 1000,
    QUEUE_FRAMES_MAX = 100000,
    AUDITED_PER_SECOND = 1000, /* purges that auditors are told of; they check far fewer */
    UNSUBSCRIBED_TRIM = 10000, /* topics that went: their memory is worth giving back */
};

void fw_broker_send_event(fw_broker_loop_t *self, fw_bytes_t frame)
{
    if (fw_socket_send(self->events, frame) < 0) {
        fw_counter_add(self->metrics.send_dropped, 1);
        return;
    }
    fw_counter_add(self->metrics.sent_frames, 1);
    fw_counter_add(self->metrics.sent_bytes, frame.size);
    self->sizes += frame.size;
    self->squares += (uint64_t)frame.size * frame.size;
}

/* ZeroMQ counts messages, memory is bytes. The size that counts is that of the frame that a byte is
 * part of, on average: many small ones do not hide a few large ones, which another gateway may be
 * subscribed to alone. */
void fw_broker_fit_queue(fw_broker_loop_t *self)
{
    if (self->sizes == 0)
        return;
    uint64_t typical = self->squares / self->sizes;
    uint64_t fits = self->config.queue_bytes_max / (typical + sizeof(zmq_msg_t));
    int frames = fits > QUEUE_FRAMES_MAX   ? QUEUE_FRAMES_MAX
                 : fits < QUEUE_FRAMES_MIN ? QUEUE_FRAMES_MIN
                                           : (int)fits;
    self->sizes = self->squares = 0;
    int difference = frames - self->queue_frames_max;
    if (difference > -frames / 4 && difference < frames / 4)
        return;
    self->queue_frames_max = frames;
    zsock_set_sndhwm(self->events, frames);
}

void fw_broker_deliver(void *loop, const fw_delivery_t *delivery)
{
    fw_broker_loop_t *self = loop;
    fw_broker_send_event(self, fw_codec_encode_event_frame(self->encoder, delivery));
}

void fw_broker_beacon(fw_broker_loop_t *self)
{
    fw_beacon_t beacon = {{self->incarnation, sizeof self->incarnation},
                          ++self->beacon_number,
                          (uint64_t)self->wall_ms * 1000};
    fw_broker_send_event(self, fw_codec_encode_beacon_frame(self->encoder, &beacon));
}

void fw_broker_alarm(void *loop)
{
    fw_broker_loop_t *self = loop;
    self->beacon_number++;
    fw_broker_beacon(self);
}

/* Ends a connection that asks for too much; ZeroMQ forgets its topics. */
static void cut(fw_broker_loop_t *self)
{
    if (!fw_cut(self->events_sender, self->events_port))
        return;
    self->trims = true;
    fw_counter_add(self->metrics.subscriptions_cut, 1);
    fw_log(FW_LOG_WARN,
           "a connection of the event link subscribed to too much, or to what is no topic: cut",
           FW_KV_UINT("limit", self->config.subscriptions_max));
}

void fw_broker_purged(void *loop, const fw_purged_t *purged)
{
    fw_broker_loop_t *self = loop;
    int64_t second = self->now_us / 1000000;
    if (!self->audited)
        return;
    if (second != self->audit_second) {
        self->audit_second = second;
        self->audit_told = 0;
    }
    if (self->audit_told++ >= AUDITED_PER_SECOND)
        return;
    fw_broker_send_event(self, fw_codec_encode_purged_frame(self->encoder, purged));
}

static bool is_audit(fw_bytes_t topic)
{
    size_t size = sizeof FW_TOPIC_AUDIT - 1;
    return topic.size == size && memcmp(topic.data, FW_TOPIC_AUDIT, size) == 0;
}

/* 1 + topic subscribes, 0 + topic ends it; ZeroMQ keeps the books. A fence is a topic that is
 * echoed: what was subscribed before it is in force when the echo arrives. */
void fw_broker_on_subscription(fw_broker_loop_t *self, fw_bytes_t frame)
{
    fw_refusal_t refusal = {.field = "subscription", .value = frame.size};
    if (frame.size == 0 || frame.data[0] > 1) {
        fw_broker_refused(self, FW_DOOR_EVENTS, "malformed", &refusal);
        return;
    }
    fw_bytes_t topic = {frame.data + 1, frame.size - 1};
    if (is_audit(topic))
        self->audited = frame.data[0] == 1; /* 0 comes when the last one has gone */
    if (frame.data[0] == 0) {
        self->trims |= ++self->unsubscribed % UNSUBSCRIBED_TRIM == 0;
        return;
    }
    fw_topic_kind_t kind = fw_topic_kind(topic);
    if (self->events_sender >= 0 &&
        !fw_subscriptions_add(self->subscriptions, self->events_sender, kind, self->now_us / 1000))
        cut(self);
    if (kind == FW_TOPIC_FOREIGN) {
        (void)snprintf(refusal.reason, sizeof refusal.reason, "is no topic");
        refusal.limit = FW_FENCE_TOPIC_SIZE_MAX;
        fw_broker_refused(self, FW_DOOR_EVENTS, "rule", &refusal);
    } else if (kind == FW_TOPIC_FENCE) {
        fw_counter_add(self->metrics.fences, 1);
        fw_broker_send_event(self, topic);
    }
}
