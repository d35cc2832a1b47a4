/* codec_decode.c - bytes to messages.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "proto/codec_internal.h"
#include "proto/utf8.h"
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

int fw_codec_refuse(const char *field, const char *reason, uint64_t limit, uint64_t value,
                    fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = limit, .value = value};
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
    size = protobuf_c_message_pack(message, packed);
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

fw_invalidate_t fw_codec_invalidate_of(fw_arena_t *arena, const Freshwire__V1__Invalidate *from)
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
        .invalidate = fw_codec_invalidate_of(arena, from->invalidate),
        .origin = fw_text(from->origin),
        .user_id = fw_text(from->user_id),
        .ts = from->ts,
        .traceparent = fw_text(from->traceparent),
        .client = from->client != 0,
    };
    if (event.type.size == 0)
        event.type = event.data.type;
    return event;
}

static fw_refusal_t refusal_of(const Freshwire__V1__Refusal *from)
{
    fw_refusal_t refusal = {.limit = from->limit, .value = from->value};
    fw_bytes_t field = {(const uint8_t *)from->field, strlen(from->field)};
    fw_bytes_t reason = {(const uint8_t *)from->reason, strlen(from->reason)};
    (void)fw_utf8_copy(refusal.field, sizeof refusal.field, field);
    (void)fw_utf8_copy(refusal.reason, sizeof refusal.reason, reason);
    return refusal;
}

/* Readers copy FW_INCARNATION_SIZE bytes without looking at the size again. */
static int check_incarnation(const char *field, ProtobufCBinaryData incarnation,
                             fw_refusal_t *ret_refusal)
{
    if (incarnation.len == FW_INCARNATION_SIZE)
        return 0;
    return fw_codec_refuse(field, "must be 16 bytes", FW_INCARNATION_SIZE, incarnation.len,
                           ret_refusal);
}

/* A decoder of one message. ret_refusal says why when the result is negative. */
typedef int decode_fn(fw_arena_t *arena, const void *message, fw_message_t *to,
                      fw_refusal_t *ret_refusal);

static int decode_hello(fw_arena_t *arena, const void *message, fw_message_t *to,
                        fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Hello *from = message;
    (void)arena;
    to->kind = FW_MESSAGE_HELLO;
    to->hello = (fw_hello_t){from->version, fw_text(from->name), bytes_of(from->incarnation),
                             from->capacity};
    return check_incarnation("hello.incarnation", from->incarnation, ret_refusal);
}

static int decode_welcome(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Welcome *from = message;
    (void)arena;
    to->kind = FW_MESSAGE_WELCOME;
    to->welcome = (fw_welcome_t){from->version, bytes_of(from->incarnation), from->credit,
                                 from->event_bytes_max, from->beacon_interval_ms};
    return check_incarnation("welcome.incarnation", from->incarnation, ret_refusal);
}

static int decode_ping(fw_arena_t *arena, const void *message, fw_message_t *to,
                       fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Ping *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_PING;
    to->number = from->number;
    return 0;
}

static int decode_pong(fw_arena_t *arena, const void *message, fw_message_t *to,
                       fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Pong *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_PONG;
    to->number = from->number;
    return 0;
}

static int decode_goodbye(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Goodbye *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_GOODBYE;
    to->goodbye = fw_text(from->reason);
    return 0;
}

static int decode_refusal(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal)
{
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_REFUSAL;
    to->refusal = refusal_of(message);
    return 0;
}

static int level_of(Freshwire__V1__AckLevel from, fw_ack_level_t *ret_level)
{
    switch (from) {
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_UNSPECIFIED:
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_PURGED:
        *ret_level = FW_ACK_PURGED;
        return 0;
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_ACCEPTED:
        *ret_level = FW_ACK_ACCEPTED;
        return 0;
    case FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_REPLICATED:
        *ret_level = FW_ACK_REPLICATED;
        return 0;
    default:
        return -EPROTO;
    }
}

static int decode_publish(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Publish *from = message;
    fw_ack_level_t level;
    if (!from->event)
        return fw_codec_refuse("event", "is missing", 0, 0, ret_refusal);
    if (level_of(from->level, &level) < 0)
        return fw_codec_refuse("publish.level", "is not a level", 0, (uint32_t)from->level,
                               ret_refusal);
    to->kind = FW_MESSAGE_PUBLISH;
    to->publish = (fw_publish_t){from->request_id, level, from->sequence,
                                 bytes_of(from->incarnation), event_of(arena, from->event)};
    if (from->incarnation.len == 0)
        return 0;
    return check_incarnation("publish.incarnation", from->incarnation, ret_refusal);
}

static int decode_ack(fw_arena_t *arena, const void *message, fw_message_t *to,
                      fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PublishAck *from = message;
    if (from->status < FRESHWIRE__V1__PUBLISH_STATUS__PUBLISH_STATUS_OK ||
        from->status > FRESHWIRE__V1__PUBLISH_STATUS__PUBLISH_STATUS_REJECTED)
        return fw_codec_refuse("ack.status", "is not a status", 0, (uint32_t)from->status,
                               ret_refusal);
    to->kind = FW_MESSAGE_PUBLISH_ACK;
    to->ack = (fw_publish_ack_t){
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
        to->ack.refusal = refusal_of(from->refusal);
    return 0;
}

static int decode_fire_mark(fw_arena_t *arena, const void *message, fw_message_t *to,
                            fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__FireMark *from = message;
    (void)arena;
    to->kind = FW_MESSAGE_FIRE_MARK;
    to->fire_mark = (fw_fire_mark_t){bytes_of(from->incarnation), from->last, from->kept};
    return check_incarnation("fire_mark.incarnation", from->incarnation, ret_refusal);
}

static int decode_fire_missing(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__FireMissing *from = message;
    (void)arena;
    to->kind = FW_MESSAGE_FIRE_MISSING;
    to->fire_missing = (fw_fire_missing_t){bytes_of(from->incarnation), from->first, from->count};
    return check_incarnation("fire_missing.incarnation", from->incarnation, ret_refusal);
}

static int decode_positions_request(fw_arena_t *arena, const void *message, fw_message_t *to,
                                    fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PositionsRequest *from = message;
    (void)ret_refusal;
    to->kind = FW_MESSAGE_POSITIONS_REQUEST;
    to->positions_request = (fw_positions_request_t){
        from->request_id, texts_of(arena, from->channels, from->n_channels), from->n_channels};
    return 0;
}

static int decode_positions_reply(fw_arena_t *arena, const void *message, fw_message_t *to,
                                  fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PositionsReply *from = message;
    (void)ret_refusal;
    to->kind = FW_MESSAGE_POSITIONS_REPLY;
    to->positions_reply = (fw_positions_reply_t){
        from->request_id, positions_of(arena, from->positions, from->n_positions),
        from->n_positions, from->unconfirmed != 0};
    return 0;
}

static int decode_replay_request(fw_arena_t *arena, const void *message, fw_message_t *to,
                                 fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__ReplayRequest *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_REPLAY_REQUEST;
    to->replay_request = (fw_replay_request_t){from->request_id, fw_text(from->channel),
                                               position_of(from->since), from->limit};
    return 0;
}

/* False when the delivery has no place in its channel. */
static bool delivery_of(const Freshwire__V1__Delivery *from, fw_delivery_t *delivery)
{
    *delivery = (fw_delivery_t){
        .channel = fw_text(from->channel),
        .position = position_of(from->position),
        .fresh = from->fresh,
        .unconfirmed = from->unconfirmed != 0,
        .spread_ms = from->spread_ms,
        .publication = bytes_of(from->publication),
    };
    return delivery->position.epoch && delivery->position.offset;
}

static int decode_replay_reply(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__ReplayReply *from = message;
    fw_delivery_t *deliveries = NULL;
    if (from->status < FRESHWIRE__V1__REPLAY_STATUS__REPLAY_STATUS_COMPLETE ||
        from->status > FRESHWIRE__V1__REPLAY_STATUS__REPLAY_STATUS_RESET)
        return fw_codec_refuse("replay.status", "is not a status", 0, (uint32_t)from->status,
                               ret_refusal);
    if (from->n_deliveries > 0)
        deliveries = fw_arena_take(arena, from->n_deliveries * sizeof *deliveries);
    for (size_t i = 0; i < from->n_deliveries; i++) {
        if (!delivery_of(from->deliveries[i], &deliveries[i])) {
            char field[64];
            (void)snprintf(field, sizeof field, "replay.deliveries[%zu].position", i);
            return fw_codec_refuse(field, "is missing", 0, 0, ret_refusal);
        }
    }
    to->kind = FW_MESSAGE_REPLAY_REPLY;
    to->replay_reply = (fw_replay_reply_t){
        .request_id = from->request_id,
        .channel = fw_text(from->channel),
        .status = (fw_replay_status_t)from->status,
        .visible = position_of(from->visible),
        .deliveries = deliveries,
        .deliveries_count = from->n_deliveries,
        .unconfirmed = from->unconfirmed != 0,
    };
    return 0;
}

#define MESSAGE(name) &freshwire__v1__##name##__descriptor

/* Which messages a link carries is said by its envelope in the schema; this says how each is
 * read. */
static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    decode_fn *decode;
} decoders[] = {
    {MESSAGE(publish), decode_publish},
    {MESSAGE(publish_ack), decode_ack},
    {MESSAGE(job), fw_codec_job_of},
    {MESSAGE(jobs), fw_codec_jobs_of},
    {MESSAGE(job_done), fw_codec_done_of},
    {MESSAGE(jobs_done), fw_codec_jobs_done_of},
    {MESSAGE(job_failed), fw_codec_failed_of},
    {MESSAGE(fire_mark), decode_fire_mark},
    {MESSAGE(fire_missing), decode_fire_missing},
    {MESSAGE(positions_request), decode_positions_request},
    {MESSAGE(positions_reply), decode_positions_reply},
    {MESSAGE(replay_request), decode_replay_request},
    {MESSAGE(replay_reply), decode_replay_reply},
    {MESSAGE(presence_report), fw_codec_presence_report_of},
    {MESSAGE(presence_ack), fw_codec_presence_ack_of},
    {MESSAGE(presence_request), fw_codec_presence_request_of},
    {MESSAGE(presence_reply), fw_codec_presence_reply_of},
    {MESSAGE(client_note), fw_codec_client_note_of},
    {MESSAGE(session_command), fw_codec_session_command_of},
    {MESSAGE(session_command_done), fw_codec_session_done_of},
    {MESSAGE(session_command_result), fw_codec_session_result_of},
    {MESSAGE(ping), decode_ping},
    {MESSAGE(pong), decode_pong},
    {MESSAGE(hello), decode_hello},
    {MESSAGE(welcome), decode_welcome},
    {MESSAGE(goodbye), decode_goodbye},
    {MESSAGE(refusal), decode_refusal},
};

static int decode_envelope(fw_arena_t *arena, const fw_envelope_t *envelope, fw_message_t *to,
                           fw_refusal_t *ret_refusal)
{
    const ProtobufCMessageDescriptor *descriptor =
        envelope->message_case ? envelope->message->descriptor : NULL;
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        if (decoders[i].descriptor == descriptor)
            return decoders[i].decode(arena, envelope->message, to, ret_refusal);
    return fw_codec_refuse("message", "is empty or of an unknown kind", 0, 0, ret_refusal);
}

/* Publishers know their event, not our envelope: paths begin at the event. */
static void shorten_field(fw_refusal_t *refusal)
{
    static const char prefix[] = "publish.event.";
    size_t size = sizeof prefix - 1;
    if (strncmp(refusal->field, prefix, size) == 0)
        memmove(refusal->field, refusal->field + size, strlen(refusal->field) - size + 1);
}

int fw_codec_unpack_checked(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
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
        /* The check and protobuf-c disagree: the fuzzer looks for this reason. */
        (void)fw_codec_refuse("message", "passed the check and cannot be read", 0, 0, ret_refusal);
        return -EBADMSG;
    }
    return 0;
}

int fw_codec_decode(fw_codec_t *self, fw_link_t link, fw_bytes_t data, fw_message_t *ret_message,
                    fw_refusal_t *ret_refusal)
{
    void *envelope;
    fw_message_t message = {0};
    int result = fw_codec_unpack_checked(fw_envelope_descriptor(link), self->decoded, data,
                                         &envelope, ret_refusal);
    if (result == 0)
        result = decode_envelope(self->decoded, envelope, &message, ret_refusal);
    if (result == 0)
        *ret_message = message;
    return result;
}

uint64_t fw_codec_refused_request(fw_bytes_t data)
{
    fw_bytes_t publish, none;
    uint64_t number;
    if (!fw_wire_find(data, FRESHWIRE__V1__PUBLISHER_UP__MESSAGE_PUBLISH, &publish, &number) ||
        !fw_wire_find(publish, 1, &none, &number))
        return 0;
    return number;
}

int fw_codec_decode_delivery(fw_codec_t *self, fw_bytes_t data, fw_delivery_t *ret_delivery,
                             fw_refusal_t *ret_refusal)
{
    void *from;
    fw_delivery_t delivery;
    int result = fw_codec_unpack_checked(&freshwire__v1__delivery__descriptor, self->decoded, data,
                                         &from, ret_refusal);
    if (result < 0)
        return result;
    if (!delivery_of(from, &delivery))
        return fw_codec_refuse("position", "is missing", 0, 0, ret_refusal);
    *ret_delivery = delivery;
    return 0;
}

int fw_codec_decode_beacon(fw_codec_t *self, fw_bytes_t data, fw_beacon_t *ret_beacon,
                           fw_refusal_t *ret_refusal)
{
    void *from;
    int result = fw_codec_unpack_checked(&freshwire__v1__beacon__descriptor, self->decoded, data,
                                         &from, ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Beacon *beacon = from;
    result = check_incarnation("incarnation", beacon->incarnation, ret_refusal);
    if (result < 0)
        return result;
    *ret_beacon = (fw_beacon_t){bytes_of(beacon->incarnation), beacon->number, beacon->ts_us};
    return 0;
}

int fw_codec_decode_publication(fw_codec_t *self, fw_bytes_t data,
                                fw_publication_t *ret_publication, fw_refusal_t *ret_refusal)
{
    void *from;
    int result = fw_codec_unpack_checked(&freshwire__v1__publication__descriptor, self->publication,
                                         data, &from, ret_refusal);
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
        .client = publication->client != 0,
    };
    if (ret_publication->type.size == 0)
        ret_publication->type = ret_publication->data.type;
    return 0;
}
