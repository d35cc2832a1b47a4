/* intake.c - events come in: decoded, checked, and refused with the field that is wrong.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>

#include "broker/broker_loop.h"

static int check(const fw_publish_t *publish, fw_refusal_t *ret_refusal)
{
    int result = fw_event_check(&publish->event, ret_refusal);
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

static fw_text_t sender_key(const fw_broker_loop_t *self)
{
    return self->sender ? (fw_text_t){self->sender->key, FW_KEY_SIZE} : FW_TEXT_NONE;
}

static void on_publish(fw_broker_loop_t *self, const fw_peer_t *publisher,
                       const fw_publish_t *publish)
{
    fw_refusal_t refusal;
    if (!publisher && !fw_broker_fire_is_new(self, publish, sender_key(self)))
        return;
    if (check(publish, &refusal) < 0) {
        fw_broker_refused(self, publisher ? FW_DOOR_PUBLISH : FW_DOOR_FIRE, "rule", &refusal);
        reject(self, publisher, publish->request_id, publish->event.id, &refusal);
        return;
    }
    if (fw_permissions_check(self->sender, &publish->event, &refusal) < 0) {
        fw_broker_refused(self, publisher ? FW_DOOR_PUBLISH : FW_DOOR_FIRE, "permission", &refusal);
        reject(self, publisher, publish->request_id, publish->event.id, &refusal);
        return;
    }
    fw_core_publish(self->core, publisher, publish, self->now_us, self->wall_ms);
}

static void on_malformed(fw_broker_loop_t *self, const fw_peer_t *publisher, fw_bytes_t frame,
                         int result, const fw_refusal_t *refusal)
{
    fw_message_t message = {.kind = FW_MESSAGE_REFUSAL, .refusal = *refusal};
    uint64_t request_id = fw_codec_refused_request(frame);
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
    if (!publisher && message.kind == FW_MESSAGE_FIRE_MARK) {
        fw_fire_gaps_mark(self->fire_gaps, &message.fire_mark, sender_key(self), self->now_us);
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
    if (message.kind == FW_MESSAGE_HELLO &&
        !fw_broker_understands(self, FW_DOOR_PUBLISH, &message.hello, publisher))
        return;
    if (message.kind == FW_MESSAGE_HELLO) {
        fw_core_publisher(self->core, publisher, self->now_us);
        fw_broker_welcome(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher);
    } else if (message.kind == FW_MESSAGE_PING) {
        /* One that greeted our predecessor must learn that we are another: it repeats its events.
         */
        fw_message_t pong = {.kind = FW_MESSAGE_PONG, .number = message.number};
        if (!fw_core_publisher_seen(self->core, publisher, self->now_us))
            pong =
                (fw_message_t){.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("say hello first")};
        fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &pong);
    }
}

void fw_broker_acknowledge(void *loop, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    fw_broker_loop_t *self = loop;
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK, .ack = *ack};
    fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &message);
}
