/* codec_decode.c - bytes to messages.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "proto/codec_internal.h"
#include "proto/wire_check.h"

static fw_bytes_t bytes_of(ProtobufCBinaryData data)
{
    return (fw_bytes_t){data.data, data.len};
}

static const fw_text_t *texts_of(fw_arena_t *arena, char **texts, size_t count)
{
    if (count == 0)
        return NULL;
    fw_text_t *list = fw_arena_take(arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = fw_text(texts[i]);
    return list;
}

static fw_position_t position_of(const Freshwire__V1__Position *position)
{
    return position ? (fw_position_t){position->epoch, position->offset} : (fw_position_t){0};
}

static int refuse_value(const char *field, const char *reason, uint64_t value,
                        fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.value = value};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return -EPROTO;
}

static const fw_channel_position_t *
positions_of(fw_arena_t *arena, Freshwire__V1__ChannelPosition **items, size_t count)
{
    if (count == 0)
        return NULL;
    fw_channel_position_t *list = fw_arena_take(arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] =
            (fw_channel_position_t){fw_text(items[i]->channel), position_of(items[i]->position)};
    return list;
}

static fw_payload_t payload_of(fw_arena_t *arena, const Freshwire__V1__Payload *payload)
{
    if (!payload || payload->kind_case == FRESHWIRE__V1__PAYLOAD__KIND__NOT_SET)
        return (fw_payload_t){.kind = FW_PAYLOAD_NONE, .type = FW_TEXT_NONE};
    if (payload->kind_case == FRESHWIRE__V1__PAYLOAD__KIND_JSON)
        return (fw_payload_t){
            .kind = FW_PAYLOAD_JSON, .bytes = bytes_of(payload->json), .type = FW_TEXT_NONE};
    if (payload->kind_case == FRESHWIRE__V1__PAYLOAD__KIND_BINARY)
        return (fw_payload_t){
            .kind = FW_PAYLOAD_BINARY, .bytes = bytes_of(payload->binary), .type = FW_TEXT_NONE};
    const fw_typed_payload_t *typed = fw_typed_payload_of_kind(payload->kind_case);
    assert(typed);
    /* All members of the union are pointers to a message: any of them reads it. */
    const ProtobufCMessage *message = (const ProtobufCMessage *)payload->project_created;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = fw_arena_take(arena, size);
    size_t written = protobuf_c_message_pack(message, packed);
    assert(written == size);
    return (fw_payload_t){.kind = FW_PAYLOAD_TYPED,
                          .bytes = {packed, size},
                          .message = message,
                          .type = fw_text(typed->type)};
}

static fw_exclude_t exclude_of(const Freshwire__V1__Exclude *exclude)
{
    if (!exclude)
        return (fw_exclude_t){FW_TEXT_NONE, FW_TEXT_NONE};
    return (fw_exclude_t){fw_text(exclude->user_id), fw_text(exclude->origin)};
}

static fw_invalidate_t invalidate_of(fw_arena_t *arena, const Freshwire__V1__Invalidate *from)
{
    if (!from)
        return (fw_invalidate_t){0};
    return (fw_invalidate_t){
        .keys = texts_of(arena, from->keys, from->n_keys),
        .keys_count = from->n_keys,
        .tags = texts_of(arena, from->tags, from->n_tags),
        .tags_count = from->n_tags,
        .patterns = texts_of(arena, from->patterns, from->n_patterns),
        .patterns_count = from->n_patterns,
    };
}

static fw_event_t event_of(fw_arena_t *arena, const Freshwire__V1__Event *from)
{
    fw_event_t event = {
        .id = fw_text(from->id),
        .type = fw_text(from->type),
        .data = payload_of(arena, from->data),
        .audience = texts_of(arena, from->audience, from->n_audience),
        .audience_count = from->n_audience,
        .exclude = exclude_of(from->exclude),
        .invalidate = invalidate_of(arena, from->invalidate),
        .origin = fw_text(from->origin),
        .user_id = fw_text(from->user_id),
        .ts = from->ts,
        .traceparent = fw_text(from->traceparent),
    };
    if (event.type.size == 0)
        event.type = event.data.type;
    return event;
}

static fw_hello_t hello_of(const Freshwire__V1__Hello *from)
{
    return (fw_hello_t){from->version, fw_text(from->name), bytes_of(from->incarnation),
                        from->capacity};
}

static fw_welcome_t welcome_of(const Freshwire__V1__Welcome *from)
{
    return (fw_welcome_t){from->version, bytes_of(from->incarnation), from->credit,
                          from->event_bytes_max, from->beacon_interval_ms};
}

static fw_refusal_t refusal_of(const Freshwire__V1__Refusal *from)
{
    fw_refusal_t refusal = {.limit = from->limit, .value = from->value};
    (void)snprintf(refusal.field, sizeof refusal.field, "%s", from->field);
    (void)snprintf(refusal.reason, sizeof refusal.reason, "%s", from->reason);
    return refusal;
}

static int decode_publish(fw_arena_t *arena, const Freshwire__V1__Publish *from,
                          fw_message_t *message, fw_refusal_t *ret_refusal)
{
    fw_ack_level_t level = FW_ACK_PURGED;
    if (!from->event)
        return refuse_value("event", "is missing", 0, ret_refusal);
    switch (from->level) {
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_UNSPECIFIED:
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_PURGED:
        break;
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_ACCEPTED:
        level = FW_ACK_ACCEPTED;
        break;
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_REPLICATED:
        level = FW_ACK_REPLICATED;
        break;
    default:
        return refuse_value("publish.level", "is not a level", (uint64_t)from->level, ret_refusal);
    }
    message->kind = FW_MESSAGE_PUBLISH;
    message->publish = (fw_publish_t){from->request_id, level, from->sequence,
                                      bytes_of(from->incarnation), event_of(arena, from->event)};
    return 0;
}

static int decode_ack(fw_arena_t *arena, const Freshwire__V1__PublishAck *from,
                      fw_message_t *message, fw_refusal_t *ret_refusal)
{
    if (from->status < FRESHWIRE__V1__PUBLISH_STATUS__PUBLISH_STATUS_OK ||
        from->status > FRESHWIRE__V1__PUBLISH_STATUS__PUBLISH_STATUS_REJECTED)
        return refuse_value("ack.status", "is not a status", (uint64_t)from->status, ret_refusal);
    message->kind = FW_MESSAGE_PUBLISH_ACK;
    message->ack = (fw_publish_ack_t){
        .request_id = from->request_id,
        .id = fw_text(from->id),
        .status = (fw_publish_status_t)from->status,
        .positions = positions_of(arena, from->positions, from->n_positions),
        .positions_count = from->n_positions,
        .credit = from->credit,
        .retry_after_ms = from->retry_after_ms,
        .has_refusal = from->refusal != NULL,
        .unconfirmed = from->unconfirmed != 0,
        .fresh = from->fresh,
    };
    if (from->refusal)
        message->ack.refusal = refusal_of(from->refusal);
    return 0;
}

static int decode_job(fw_arena_t *arena, const Freshwire__V1__Job *from, fw_message_t *message)
{
    message->kind = FW_MESSAGE_JOB;
    message->job = (fw_job_t){from->job_id, from->attempt, from->lease_ms,
                              invalidate_of(arena, from->invalidate)};
    return 0;
}

static int decode_done(fw_arena_t *arena, const Freshwire__V1__JobDone *from, fw_message_t *message)
{
    fw_stamp_t *stamps = fw_arena_take(arena, from->n_stamps * sizeof *stamps);
    for (size_t i = 0; i < from->n_stamps; i++)
        stamps[i] = (fw_stamp_t){fw_text(from->stamps[i]->tag), from->stamps[i]->stamp};
    message->kind = FW_MESSAGE_JOB_DONE;
    message->done =
        (fw_job_done_t){from->job_id, from->redis_time, stamps, from->n_stamps, from->keys_removed};
    return 0;
}

static int decode_delivery(const Freshwire__V1__Delivery *from, fw_delivery_t *delivery,
                           fw_refusal_t *ret_refusal)
{
    if (!from->position || !from->position->offset)
        return refuse_value("delivery.position", "is missing", 0, ret_refusal);
    *delivery = (fw_delivery_t){
        .channel = fw_text(from->channel),
        .position = position_of(from->position),
        .fresh = from->fresh,
        .unconfirmed = from->unconfirmed != 0,
        .spread_ms = from->spread_ms,
        .publication = bytes_of(from->publication),
    };
    return 0;
}

static int decode_replay_reply(fw_arena_t *arena, const Freshwire__V1__ReplayReply *from,
                               fw_message_t *message, fw_refusal_t *ret_refusal)
{
    fw_delivery_t *deliveries = fw_arena_take(arena, from->n_deliveries * sizeof *deliveries);
    if (from->status < FRESHWIRE__V1__REPLAY_STATUS__REPLAY_STATUS_COMPLETE ||
        from->status > FRESHWIRE__V1__REPLAY_STATUS__REPLAY_STATUS_RESET)
        return refuse_value("replay.status", "is not a status", (uint64_t)from->status,
                            ret_refusal);
    for (size_t i = 0; i < from->n_deliveries; i++) {
        int result = decode_delivery(from->deliveries[i], &deliveries[i], ret_refusal);
        if (result < 0)
            return result;
    }
    message->kind = FW_MESSAGE_REPLAY_REPLY;
    message->replay_reply = (fw_replay_reply_t){
        .request_id = from->request_id,
        .channel = fw_text(from->channel),
        .status = (fw_replay_status_t)from->status,
        .visible = position_of(from->visible),
        .deliveries = deliveries,
        .deliveries_count = from->n_deliveries,
    };
    return 0;
}

/* The messages that every link has in common. */
static int decode_hello(const Freshwire__V1__Hello *from, fw_message_t *message)
{
    *message = (fw_message_t){.kind = FW_MESSAGE_HELLO, .hello = hello_of(from)};
    return 0;
}

static int decode_welcome(const Freshwire__V1__Welcome *from, fw_message_t *message)
{
    *message = (fw_message_t){.kind = FW_MESSAGE_WELCOME, .welcome = welcome_of(from)};
    return 0;
}

static int decode_number(fw_message_kind_t kind, uint64_t number, fw_message_t *message)
{
    *message = (fw_message_t){.kind = kind, .number = number};
    return 0;
}

static int decode_goodbye(const Freshwire__V1__Goodbye *from, fw_message_t *message)
{
    *message = (fw_message_t){.kind = FW_MESSAGE_GOODBYE, .goodbye = fw_text(from->reason)};
    return 0;
}

static int decode_refusal(const Freshwire__V1__Refusal *from, fw_message_t *message)
{
    *message = (fw_message_t){.kind = FW_MESSAGE_REFUSAL, .refusal = refusal_of(from)};
    return 0;
}

static int decode_empty(fw_refusal_t *ret_refusal)
{
    return refuse_value("message", "is empty or of an unknown kind", 0, ret_refusal);
}

static int decode_publisher_up(fw_arena_t *arena, const Freshwire__V1__PublisherUp *from,
                               fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__PUBLISHER_UP__MESSAGE_HELLO:
        return decode_hello(from->hello, message);
    case FRESHWIRE__V1__PUBLISHER_UP__MESSAGE_PUBLISH:
        return decode_publish(arena, from->publish, message, ret_refusal);
    case FRESHWIRE__V1__PUBLISHER_UP__MESSAGE_PING:
        return decode_number(FW_MESSAGE_PING, from->ping->number, message);
    case FRESHWIRE__V1__PUBLISHER_UP__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static int decode_publisher_down(fw_arena_t *arena, const Freshwire__V1__PublisherDown *from,
                                 fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__PUBLISHER_DOWN__MESSAGE_WELCOME:
        return decode_welcome(from->welcome, message);
    case FRESHWIRE__V1__PUBLISHER_DOWN__MESSAGE_ACK:
        return decode_ack(arena, from->ack, message, ret_refusal);
    case FRESHWIRE__V1__PUBLISHER_DOWN__MESSAGE_PONG:
        return decode_number(FW_MESSAGE_PONG, from->pong->number, message);
    case FRESHWIRE__V1__PUBLISHER_DOWN__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    case FRESHWIRE__V1__PUBLISHER_DOWN__MESSAGE_REFUSAL:
        return decode_refusal(from->refusal, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static int decode_worker_up(fw_arena_t *arena, const Freshwire__V1__WorkerUp *from,
                            fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__WORKER_UP__MESSAGE_HELLO:
        return decode_hello(from->hello, message);
    case FRESHWIRE__V1__WORKER_UP__MESSAGE_DONE:
        return decode_done(arena, from->done, message);
    case FRESHWIRE__V1__WORKER_UP__MESSAGE_FAILED:
        message->kind = FW_MESSAGE_JOB_FAILED;
        message->failed = (fw_job_failed_t){from->failed->job_id, from->failed->retryable != 0,
                                            fw_text(from->failed->reason)};
        return 0;
    case FRESHWIRE__V1__WORKER_UP__MESSAGE_PING:
        return decode_number(FW_MESSAGE_PING, from->ping->number, message);
    case FRESHWIRE__V1__WORKER_UP__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static int decode_worker_down(fw_arena_t *arena, const Freshwire__V1__WorkerDown *from,
                              fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__WORKER_DOWN__MESSAGE_WELCOME:
        return decode_welcome(from->welcome, message);
    case FRESHWIRE__V1__WORKER_DOWN__MESSAGE_JOB:
        return decode_job(arena, from->job, message);
    case FRESHWIRE__V1__WORKER_DOWN__MESSAGE_PONG:
        return decode_number(FW_MESSAGE_PONG, from->pong->number, message);
    case FRESHWIRE__V1__WORKER_DOWN__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    case FRESHWIRE__V1__WORKER_DOWN__MESSAGE_REFUSAL:
        return decode_refusal(from->refusal, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static int decode_gateway_up(fw_arena_t *arena, const Freshwire__V1__GatewayUp *from,
                             fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__GATEWAY_UP__MESSAGE_HELLO:
        return decode_hello(from->hello, message);
    case FRESHWIRE__V1__GATEWAY_UP__MESSAGE_POSITIONS:
        message->kind = FW_MESSAGE_POSITIONS_REQUEST;
        message->positions_request = (fw_positions_request_t){
            from->positions->request_id,
            texts_of(arena, from->positions->channels, from->positions->n_channels),
            from->positions->n_channels};
        return 0;
    case FRESHWIRE__V1__GATEWAY_UP__MESSAGE_REPLAY:
        message->kind = FW_MESSAGE_REPLAY_REQUEST;
        message->replay_request =
            (fw_replay_request_t){from->replay->request_id, fw_text(from->replay->channel),
                                  position_of(from->replay->since), from->replay->limit};
        return 0;
    case FRESHWIRE__V1__GATEWAY_UP__MESSAGE_PING:
        return decode_number(FW_MESSAGE_PING, from->ping->number, message);
    case FRESHWIRE__V1__GATEWAY_UP__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static int decode_gateway_down(fw_arena_t *arena, const Freshwire__V1__GatewayDown *from,
                               fw_message_t *message, fw_refusal_t *ret_refusal)
{
    switch (from->message_case) {
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_WELCOME:
        return decode_welcome(from->welcome, message);
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_POSITIONS:
        message->kind = FW_MESSAGE_POSITIONS_REPLY;
        message->positions_reply = (fw_positions_reply_t){
            from->positions->request_id,
            positions_of(arena, from->positions->positions, from->positions->n_positions),
            from->positions->n_positions};
        return 0;
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_REPLAY:
        return decode_replay_reply(arena, from->replay, message, ret_refusal);
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_PONG:
        return decode_number(FW_MESSAGE_PONG, from->pong->number, message);
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_GOODBYE:
        return decode_goodbye(from->goodbye, message);
    case FRESHWIRE__V1__GATEWAY_DOWN__MESSAGE_REFUSAL:
        return decode_refusal(from->refusal, message);
    default:
        return decode_empty(ret_refusal);
    }
}

static const ProtobufCMessageDescriptor *descriptor_of(fw_link_t link)
{
    switch (link) {
    case FW_LINK_PUBLISHER_UP:
        return &freshwire__v1__publisher_up__descriptor;
    case FW_LINK_PUBLISHER_DOWN:
        return &freshwire__v1__publisher_down__descriptor;
    case FW_LINK_WORKER_UP:
        return &freshwire__v1__worker_up__descriptor;
    case FW_LINK_WORKER_DOWN:
        return &freshwire__v1__worker_down__descriptor;
    case FW_LINK_GATEWAY_UP:
        return &freshwire__v1__gateway_up__descriptor;
    case FW_LINK_GATEWAY_DOWN:
        return &freshwire__v1__gateway_down__descriptor;
    }
    return NULL;
}

/* Publishers know their event, not our envelope: paths begin at the event. */
static void shorten_field(fw_refusal_t *refusal)
{
    static const char prefix[] = "publish.event.";
    size_t size = sizeof prefix - 1;
    if (strncmp(refusal->field, prefix, size) == 0)
        memmove(refusal->field, refusal->field + size, strlen(refusal->field) - size + 1);
}

static int unpack_checked(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
                          fw_bytes_t data, void **ret_message, fw_refusal_t *ret_refusal)
{
    fw_arena_reset(arena);
    *ret_refusal = (fw_refusal_t){0};
    int result = fw_wire_check(descriptor, data, ret_refusal);
    if (result < 0) {
        shorten_field(ret_refusal);
        return result;
    }
    *ret_message = fw_codec_unpack(descriptor, arena, data);
    if (!*ret_message) {
        (void)refuse_value("message", "is not a message of this protocol", 0, ret_refusal);
        return -EBADMSG;
    }
    return 0;
}

int fw_codec_decode(fw_codec_t *self, fw_link_t link, fw_bytes_t data, fw_message_t *ret_message,
                    fw_refusal_t *ret_refusal)
{
    void *from;
    fw_message_t message = {0};
    int result = unpack_checked(descriptor_of(link), self->decoded, data, &from, ret_refusal);
    if (result < 0)
        return result;
    switch (link) {
    case FW_LINK_PUBLISHER_UP:
        result = decode_publisher_up(self->decoded, from, &message, ret_refusal);
        break;
    case FW_LINK_PUBLISHER_DOWN:
        result = decode_publisher_down(self->decoded, from, &message, ret_refusal);
        break;
    case FW_LINK_WORKER_UP:
        result = decode_worker_up(self->decoded, from, &message, ret_refusal);
        break;
    case FW_LINK_WORKER_DOWN:
        result = decode_worker_down(self->decoded, from, &message, ret_refusal);
        break;
    case FW_LINK_GATEWAY_UP:
        result = decode_gateway_up(self->decoded, from, &message, ret_refusal);
        break;
    case FW_LINK_GATEWAY_DOWN:
        result = decode_gateway_down(self->decoded, from, &message, ret_refusal);
        break;
    }
    if (result == 0)
        *ret_message = message;
    return result;
}

int fw_codec_decode_delivery(fw_codec_t *self, fw_bytes_t data, fw_delivery_t *ret_delivery,
                             fw_refusal_t *ret_refusal)
{
    void *from;
    int result = unpack_checked(&freshwire__v1__delivery__descriptor, self->decoded, data, &from,
                                ret_refusal);
    if (result < 0)
        return result;
    return decode_delivery(from, ret_delivery, ret_refusal);
}

int fw_codec_decode_beacon(fw_codec_t *self, fw_bytes_t data, fw_beacon_t *ret_beacon,
                           fw_refusal_t *ret_refusal)
{
    void *from;
    int result =
        unpack_checked(&freshwire__v1__beacon__descriptor, self->decoded, data, &from, ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Beacon *beacon = from;
    *ret_beacon = (fw_beacon_t){bytes_of(beacon->incarnation), beacon->number, beacon->ts_us};
    return 0;
}

int fw_codec_decode_publication(fw_codec_t *self, fw_bytes_t data,
                                fw_publication_t *ret_publication, fw_refusal_t *ret_refusal)
{
    void *from;
    int result = unpack_checked(&freshwire__v1__publication__descriptor, self->publication, data,
                                &from, ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Publication *publication = from;
    *ret_publication = (fw_publication_t){
        .id = fw_text(publication->id),
        .type = fw_text(publication->type),
        .data = payload_of(self->publication, publication->data),
        .exclude = exclude_of(publication->exclude),
        .origin = fw_text(publication->origin),
        .user_id = fw_text(publication->user_id),
        .ts = publication->ts,
        .traceparent = fw_text(publication->traceparent),
    };
    return 0;
}
