/* intake.c - events come in: decoded, checked, and refused with the field that is wrong.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "broker/broker_loop.h"

static int refuse_json(const char *reason, int position, fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.value = (uint64_t)(position > 0 ? position : 0)};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "data");
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "is not JSON: %s", reason);
    return -EPROTO;
}

/* Gateways put the text into a frame as it is, so it must be one JSON value; and several frames may
 * be joined by newlines, which in JSON can only be white space between tokens. bytes are the
 * decoder's own copy. */
static int check_json(fw_payload_t *payload, fw_refusal_t *ret_refusal)
{
    json_error_t error;
    union {
        const uint8_t *in;
        char *out;
    } text = {.in = payload->bytes.data};
    if (payload->kind != FW_PAYLOAD_JSON)
        return 0;
    json_t *value = json_loadb(text.out, payload->bytes.size,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!value)
        return refuse_json(error.text, error.position, ret_refusal);
    json_decref(value);
    for (size_t i = 0; i < payload->bytes.size; i++)
        if (text.out[i] == '\n' || text.out[i] == '\r')
            text.out[i] = ' ';
    return 0;
}

static int check(fw_publish_t *publish, fw_refusal_t *ret_refusal)
{
    int result = fw_event_check(&publish->event, ret_refusal);
    if (result == 0)
        result = check_json(&publish->event.data, ret_refusal);
    if (result == 0 && publish->level == FW_ACK_REPLICATED) {
        *ret_refusal = (fw_refusal_t){.field = "publish.level",
                                      .reason = "\"replicated\" needs a store with replicas"};
        result = -EPROTO;
    }
    return result;
}

static void reject(fw_broker_loop_t *self, const fw_peer_t *publisher, uint64_t request_id,
                   fw_text_t id, const fw_refusal_t *refusal)
{
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK,
                            .ack = {.request_id = request_id,
                                    .id = id,
                                    .status = FW_PUBLISH_REJECTED,
                                    .credit = self->config.credit,
                                    .has_refusal = true,
                                    .refusal = *refusal}};
    if (publisher)
        fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &message);
}

static void on_publish(fw_broker_loop_t *self, const fw_peer_t *publisher, fw_publish_t *publish)
{
    fw_refusal_t refusal;
    if (check(publish, &refusal) < 0) {
        fw_broker_refused(self, publisher ? FW_DOOR_PUBLISH : FW_DOOR_FIRE, "rule", &refusal);
        reject(self, publisher, publish->request_id, publish->event.id, &refusal);
        return;
    }
    fw_core_publish(self->core, publisher, publish, self->now_us, self->wall_ms);
}

/* A publish whose event passes a limit still deserves its acknowledgement. The envelope's first
 * bytes are enough to find the request: Publish is field 2, request_id is its field 1, and encoders
 * write fields in order. */
static uint64_t request_of(fw_bytes_t frame)
{
    const uint8_t *at = frame.data;
    const uint8_t *end = at + frame.size;
    uint64_t request_id = 0;
    unsigned shift = 0;
    if (frame.size < 3 || *at++ != (2 << 3 | 2))
        return 0;
    while (at < end && *at & 0x80)
        at++;
    at++;
    if (at >= end || *at++ != 1 << 3)
        return 0;
    for (; at < end && shift < 64; shift += 7) {
        request_id |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            return request_id;
    }
    return 0;
}

static void on_malformed(fw_broker_loop_t *self, const fw_peer_t *publisher, fw_bytes_t frame,
                         int result, const fw_refusal_t *refusal)
{
    fw_message_t message = {.kind = FW_MESSAGE_REFUSAL, .refusal = *refusal};
    uint64_t request_id = request_of(frame);
    fw_broker_refused(self, publisher ? FW_DOOR_PUBLISH : FW_DOOR_FIRE,
                      result == -EMSGSIZE ? "limit" : "malformed", refusal);
    if (publisher && request_id)
        reject(self, publisher, request_id, FW_TEXT_NONE, refusal);
    else if (publisher)
        fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &message);
}

void fw_broker_on_publisher(fw_broker_loop_t *self, const fw_peer_t *publisher, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    int result = fw_codec_decode(self->decoder, FW_LINK_PUBLISHER_UP, frame, &message, &refusal);
    if (result < 0) {
        on_malformed(self, publisher, frame, result, &refusal);
        return;
    }
    if (message.kind == FW_MESSAGE_PUBLISH) {
        on_publish(self, publisher, &message.publish);
        return;
    }
    if (!publisher) {
        refusal = (fw_refusal_t){.field = "message", .reason = "is not an event"};
        fw_broker_refused(self, FW_DOOR_FIRE, "malformed", &refusal);
        return;
    }
    if (message.kind == FW_MESSAGE_GOODBYE) {
        fw_core_publisher_gone(self->core, publisher);
        return;
    }
    fw_core_publisher_seen(self->core, publisher, self->now_us);
    if (message.kind == FW_MESSAGE_HELLO) {
        fw_broker_welcome(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher);
    } else if (message.kind == FW_MESSAGE_PING) {
        fw_message_t pong = {.kind = FW_MESSAGE_PONG, .number = message.number};
        fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &pong);
    }
}

void fw_broker_acknowledge(void *loop, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    fw_broker_loop_t *self = loop;
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK, .ack = *ack};
    fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &message);
}
