/* codec_encode.c - messages to bytes.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>

#include "proto/channel.h"
#include "proto/codec_internal.h"
#include "proto/utf8.h"

/* protobuf-c's structs have no const, though packing writes to nothing. */
static char *text_in(fw_text_t text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text.text ? text.text : ""};
    assert(cast.in[text.size] == '\0');
    return cast.out;
}

/* Text for people, such as what another program said of an error: made to fit, never refused. */
static char *words_in(fw_arena_t *arena, fw_text_t text, size_t size_max)
{
    fw_bytes_t bytes = {(const uint8_t *)text.text, text.size};
    if (text.size <= size_max && fw_utf8_valid(bytes))
        return text_in(text);
    char *copy = fw_arena_take(arena, size_max + 1);
    (void)fw_utf8_copy(copy, size_max + 1, bytes);
    return copy;
}

static ProtobufCBinaryData bytes_in(fw_bytes_t bytes)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {.in = bytes.data};
    return (ProtobufCBinaryData){bytes.size, cast.out};
}

static char **texts_in(fw_arena_t *arena, const fw_text_t *texts, size_t count)
{
    char **list = fw_arena_take(arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = text_in(texts[i]);
    return list;
}

static Freshwire__V1__Position *position_in(fw_arena_t *arena, fw_position_t position)
{
    Freshwire__V1__Position *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__position__init(to);
    to->epoch = position.epoch;
    to->offset = position.offset;
    return to;
}

static Freshwire__V1__ChannelPosition **
positions_in(fw_arena_t *arena, const fw_channel_position_t *positions, size_t count)
{
    Freshwire__V1__ChannelPosition **list = fw_arena_take(arena, count * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        list[i] = fw_arena_take(arena, sizeof **list);
        freshwire__v1__channel_position__init(list[i]);
        list[i]->channel = text_in(positions[i].channel);
        list[i]->position = position_in(arena, positions[i].position);
    }
    return list;
}

/* A typed payload that came as bytes is decoded again, since protobuf-c packs structs only. */
static Freshwire__V1__Payload *typed_in(fw_arena_t *arena, const fw_payload_t *payload,
                                        Freshwire__V1__Payload *to)
{
    const fw_typed_payload_t *typed = fw_typed_payload_of_type(payload->type);
    assert(typed);
    union {
        const void *in;
        void *out;
    } message = {.in = payload->message};
    if (!message.in)
        message.out = fw_codec_unpack(typed->descriptor, arena, payload->bytes);
    assert(message.in);
    to->kind_case = typed->kind;
    to->project_created = message.out; /* all members of the union are such pointers */
    return to;
}

static Freshwire__V1__Payload *payload_in(fw_arena_t *arena, const fw_payload_t *payload)
{
    Freshwire__V1__Payload *to;
    if (payload->kind == FW_PAYLOAD_NONE)
        return NULL;
    to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__payload__init(to);
    switch (payload->kind) {
    case FW_PAYLOAD_NONE:
        break;
    case FW_PAYLOAD_JSON:
        to->kind_case = FRESHWIRE__V1__PAYLOAD__KIND_JSON;
        to->json = bytes_in(payload->bytes);
        break;
    case FW_PAYLOAD_BINARY:
        to->kind_case = FRESHWIRE__V1__PAYLOAD__KIND_BINARY;
        to->binary = bytes_in(payload->bytes);
        break;
    case FW_PAYLOAD_TYPED:
        return typed_in(arena, payload, to);
    }
    return to;
}

static Freshwire__V1__Exclude *exclude_in(fw_arena_t *arena, const fw_exclude_t *exclude)
{
    if (!exclude->user_id.size && !exclude->origin.size)
        return NULL;
    Freshwire__V1__Exclude *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__exclude__init(to);
    to->user_id = text_in(exclude->user_id);
    to->origin = text_in(exclude->origin);
    return to;
}

static Freshwire__V1__Invalidate *invalidate_in(fw_arena_t *arena, const fw_invalidate_t *from)
{
    if (!from->keys_count && !from->tags_count && !from->patterns_count)
        return NULL;
    Freshwire__V1__Invalidate *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__invalidate__init(to);
    to->keys = texts_in(arena, from->keys, from->keys_count);
    to->n_keys = from->keys_count;
    to->tags = texts_in(arena, from->tags, from->tags_count);
    to->n_tags = from->tags_count;
    to->patterns = texts_in(arena, from->patterns, from->patterns_count);
    to->n_patterns = from->patterns_count;
    return to;
}

static Freshwire__V1__Event *event_in(fw_arena_t *arena, const fw_event_t *from)
{
    Freshwire__V1__Event *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__event__init(to);
    to->id = text_in(from->id);
    to->type = text_in(from->type);
    to->data = payload_in(arena, &from->data);
    to->audience = texts_in(arena, from->audience, from->audience_count);
    to->n_audience = from->audience_count;
    to->exclude = exclude_in(arena, &from->exclude);
    to->invalidate = invalidate_in(arena, &from->invalidate);
    to->origin = text_in(from->origin);
    to->user_id = text_in(from->user_id);
    to->ts = from->ts;
    to->traceparent = text_in(from->traceparent);
    to->client = from->client;
    return to;
}

static Freshwire__V1__Hello *hello_in(fw_arena_t *arena, const fw_hello_t *from)
{
    Freshwire__V1__Hello *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__hello__init(to);
    to->version = from->version;
    to->name = words_in(arena, from->name, FW_NAME_SIZE_MAX);
    to->incarnation = bytes_in(from->incarnation);
    to->capacity = from->capacity;
    return to;
}

static Freshwire__V1__Welcome *welcome_in(fw_arena_t *arena, const fw_welcome_t *from)
{
    Freshwire__V1__Welcome *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__welcome__init(to);
    to->version = from->version;
    to->incarnation = bytes_in(from->incarnation);
    to->credit = from->credit;
    to->event_bytes_max = from->event_bytes_max;
    to->beacon_interval_ms = from->beacon_interval_ms;
    return to;
}

static Freshwire__V1__Refusal *refusal_in(fw_arena_t *arena, const fw_refusal_t *from)
{
    Freshwire__V1__Refusal *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__refusal__init(to);
    to->field = words_in(arena, fw_text(from->field), sizeof from->field - 1);
    to->reason = words_in(arena, fw_text(from->reason), sizeof from->reason - 1);
    to->limit = from->limit;
    to->value = from->value;
    return to;
}

static Freshwire__V1__Ping *ping_in(fw_arena_t *arena, uint64_t number)
{
    Freshwire__V1__Ping *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__ping__init(to);
    to->number = number;
    return to;
}

static Freshwire__V1__Pong *pong_in(fw_arena_t *arena, uint64_t number)
{
    Freshwire__V1__Pong *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__pong__init(to);
    to->number = number;
    return to;
}

static Freshwire__V1__Goodbye *goodbye_in(fw_arena_t *arena, fw_text_t reason)
{
    Freshwire__V1__Goodbye *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__goodbye__init(to);
    to->reason = words_in(arena, reason, FW_REASON_SIZE_MAX);
    return to;
}

static Freshwire__V1__Publish *publish_in(fw_arena_t *arena, const fw_publish_t *from)
{
    Freshwire__V1__Publish *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__publish__init(to);
    to->request_id = from->request_id;
    switch (from->level) {
    case FW_ACK_PURGED:
        to->level = FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_PURGED;
        break;
    case FW_ACK_ACCEPTED:
        to->level = FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_ACCEPTED;
        break;
    case FW_ACK_REPLICATED:
        to->level = FRESHWIRE__V1__ACK_LEVEL__ACK_LEVEL_REPLICATED;
        break;
    }
    to->sequence = from->sequence;
    to->incarnation = bytes_in(from->incarnation);
    to->event = event_in(arena, &from->event);
    return to;
}

static Freshwire__V1__PublishAck *ack_in(fw_arena_t *arena, const fw_publish_ack_t *from)
{
    Freshwire__V1__PublishAck *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__publish_ack__init(to);
    to->request_id = from->request_id;
    to->id = text_in(from->id);
    to->status = (Freshwire__V1__PublishStatus)from->status;
    to->positions = positions_in(arena, from->positions, from->positions_count);
    to->n_positions = from->positions_count;
    to->credit = from->credit;
    to->retry_after_ms = from->retry_after_ms;
    if (from->has_refusal)
        to->refusal = refusal_in(arena, &from->refusal);
    to->unconfirmed = from->unconfirmed;
    to->fresh = from->fresh;
    return to;
}

static Freshwire__V1__Job *job_in(fw_arena_t *arena, const fw_job_t *from)
{
    Freshwire__V1__Job *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__job__init(to);
    to->job_id = from->job_id;
    to->attempt = from->attempt;
    to->lease_ms = from->lease_ms;
    to->invalidate = invalidate_in(arena, &from->invalidate);
    to->cache_action = (Freshwire__V1__CacheAction)from->cache_action;
    to->broker = bytes_in(from->broker);
    return to;
}

static Freshwire__V1__Stamp **stamps_in(fw_arena_t *arena, const fw_stamp_t *from, size_t count)
{
    Freshwire__V1__Stamp **to = fw_arena_take(arena, count * sizeof *to);
    for (size_t i = 0; i < count; i++) {
        to[i] = fw_arena_take(arena, sizeof **to);
        freshwire__v1__stamp__init(to[i]);
        to[i]->tag = text_in(from[i].tag);
        to[i]->stamp = from[i].stamp;
    }
    return to;
}

static Freshwire__V1__JobDone *done_in(fw_arena_t *arena, const fw_job_done_t *from)
{
    Freshwire__V1__JobDone *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__job_done__init(to);
    to->job_id = from->job_id;
    to->redis_time = from->redis_time;
    to->stamps = stamps_in(arena, from->stamps, from->stamps_count);
    to->n_stamps = from->stamps_count;
    to->keys_removed = from->keys_removed;
    return to;
}

static Freshwire__V1__Jobs *jobs_in(fw_arena_t *arena, const fw_jobs_t *from)
{
    Freshwire__V1__Jobs *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__jobs__init(to);
    to->jobs = fw_arena_take(arena, from->count * sizeof(void *));
    for (size_t i = 0; i < from->count; i++)
        to->jobs[i] = job_in(arena, &from->jobs[i]);
    to->n_jobs = from->count;
    return to;
}

static Freshwire__V1__JobsDone *jobs_done_in(fw_arena_t *arena, const fw_jobs_done_t *from)
{
    Freshwire__V1__JobsDone *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__jobs_done__init(to);
    to->jobs = fw_arena_take(arena, from->count * sizeof(void *));
    for (size_t i = 0; i < from->count; i++)
        to->jobs[i] = done_in(arena, &from->jobs[i]);
    to->n_jobs = from->count;
    return to;
}

static Freshwire__V1__JobFailed *failed_in(fw_arena_t *arena, const fw_job_failed_t *from)
{
    Freshwire__V1__JobFailed *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__job_failed__init(to);
    to->job_id = from->job_id;
    to->retryable = from->retryable;
    to->reason = words_in(arena, from->reason, FW_REASON_SIZE_MAX);
    return to;
}

static Freshwire__V1__PositionsRequest *positions_request_in(fw_arena_t *arena,
                                                             const fw_positions_request_t *from)
{
    Freshwire__V1__PositionsRequest *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__positions_request__init(to);
    to->request_id = from->request_id;
    to->channels = texts_in(arena, from->channels, from->channels_count);
    to->n_channels = from->channels_count;
    return to;
}

static Freshwire__V1__PositionsReply *positions_reply_in(fw_arena_t *arena,
                                                         const fw_positions_reply_t *from)
{
    Freshwire__V1__PositionsReply *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__positions_reply__init(to);
    to->request_id = from->request_id;
    to->positions = positions_in(arena, from->positions, from->positions_count);
    to->n_positions = from->positions_count;
    to->unconfirmed = from->unconfirmed;
    return to;
}

static Freshwire__V1__ReplayRequest *replay_request_in(fw_arena_t *arena,
                                                       const fw_replay_request_t *from)
{
    Freshwire__V1__ReplayRequest *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__replay_request__init(to);
    to->request_id = from->request_id;
    to->channel = text_in(from->channel);
    to->since = position_in(arena, from->since);
    to->limit = from->limit;
    return to;
}

static void fill_delivery(fw_arena_t *arena, const fw_delivery_t *from, Freshwire__V1__Delivery *to)
{
    freshwire__v1__delivery__init(to);
    to->channel = text_in(from->channel);
    to->position = position_in(arena, from->position);
    to->fresh = from->fresh;
    to->unconfirmed = from->unconfirmed;
    to->spread_ms = from->spread_ms;
    to->publication = bytes_in(from->publication);
}

static Freshwire__V1__ReplayReply *replay_reply_in(fw_arena_t *arena, const fw_replay_reply_t *from)
{
    Freshwire__V1__ReplayReply *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__replay_reply__init(to);
    to->request_id = from->request_id;
    to->channel = text_in(from->channel);
    to->status = (Freshwire__V1__ReplayStatus)from->status;
    to->visible = position_in(arena, from->visible);
    to->deliveries = fw_arena_take(arena, from->deliveries_count * sizeof(void *));
    for (size_t i = 0; i < from->deliveries_count; i++) {
        to->deliveries[i] = fw_arena_take(arena, sizeof **to->deliveries);
        fill_delivery(arena, &from->deliveries[i], to->deliveries[i]);
    }
    to->n_deliveries = from->deliveries_count;
    to->unconfirmed = from->unconfirmed;
    return to;
}

static Freshwire__V1__FireMark *fire_mark_in(fw_arena_t *arena, const fw_fire_mark_t *from)
{
    Freshwire__V1__FireMark *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__fire_mark__init(to);
    to->incarnation = bytes_in(from->incarnation);
    to->last = from->last;
    to->kept = from->kept;
    return to;
}

static Freshwire__V1__FireMissing *fire_missing_in(fw_arena_t *arena, const fw_fire_missing_t *from)
{
    Freshwire__V1__FireMissing *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__fire_missing__init(to);
    to->incarnation = bytes_in(from->incarnation);
    to->first = from->first;
    to->count = from->count;
    return to;
}

/* The struct of one message, whatever link it goes over. */
static void *message_in(fw_arena_t *arena, const fw_message_t *message)
{
    switch (message->kind) {
    case FW_MESSAGE_HELLO:
        return hello_in(arena, &message->hello);
    case FW_MESSAGE_WELCOME:
        return welcome_in(arena, &message->welcome);
    case FW_MESSAGE_PING:
        return ping_in(arena, message->number);
    case FW_MESSAGE_PONG:
        return pong_in(arena, message->number);
    case FW_MESSAGE_GOODBYE:
        return goodbye_in(arena, message->goodbye);
    case FW_MESSAGE_REFUSAL:
        return refusal_in(arena, &message->refusal);
    case FW_MESSAGE_PUBLISH:
        return publish_in(arena, &message->publish);
    case FW_MESSAGE_PUBLISH_ACK:
        return ack_in(arena, &message->ack);
    case FW_MESSAGE_JOB:
        return job_in(arena, &message->job);
    case FW_MESSAGE_JOB_DONE:
        return done_in(arena, &message->done);
    case FW_MESSAGE_JOBS:
        return jobs_in(arena, &message->jobs);
    case FW_MESSAGE_JOBS_DONE:
        return jobs_done_in(arena, &message->jobs_done);
    case FW_MESSAGE_JOB_FAILED:
        return failed_in(arena, &message->failed);
    case FW_MESSAGE_POSITIONS_REQUEST:
        return positions_request_in(arena, &message->positions_request);
    case FW_MESSAGE_POSITIONS_REPLY:
        return positions_reply_in(arena, &message->positions_reply);
    case FW_MESSAGE_REPLAY_REQUEST:
        return replay_request_in(arena, &message->replay_request);
    case FW_MESSAGE_REPLAY_REPLY:
        return replay_reply_in(arena, &message->replay_reply);
    case FW_MESSAGE_FIRE_MARK:
        return fire_mark_in(arena, &message->fire_mark);
    case FW_MESSAGE_FIRE_MISSING:
        return fire_missing_in(arena, &message->fire_missing);
    case FW_MESSAGE_PRESENCE_REPORT:
    case FW_MESSAGE_PRESENCE_ACK:
    case FW_MESSAGE_PRESENCE_REQUEST:
    case FW_MESSAGE_PRESENCE_REPLY:
    case FW_MESSAGE_CLIENT_NOTE:
        return fw_codec_presence_in(arena, message);
    case FW_MESSAGE_SESSION_COMMAND:
    case FW_MESSAGE_SESSION_DONE:
    case FW_MESSAGE_SESSION_RESULT:
        return fw_codec_sessions_in(arena, message);
    }
    return NULL;
}

/* The number of the field that holds such a message, 0 when the envelope has none. */
static int field_of(const ProtobufCMessageDescriptor *envelope, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < envelope->n_fields; i++)
        if (envelope->fields[i].descriptor == message->descriptor)
            return (int)envelope->fields[i].id;
    return 0;
}

fw_bytes_t fw_codec_pack(fw_codec_t *self, const ProtobufCMessage *message, const char *topic,
                         size_t topic_size)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *buffer = fw_codec_reserve(self, topic_size + size);
    if (topic_size > 0)
        memcpy(buffer, topic, topic_size);
    size = protobuf_c_message_pack(message, buffer + topic_size);
    return (fw_bytes_t){buffer, topic_size + size};
}

fw_bytes_t fw_codec_encode(fw_codec_t *self, fw_link_t link, const fw_message_t *message)
{
    const ProtobufCMessageDescriptor *descriptor = fw_envelope_descriptor(link);
    fw_arena_reset(self->encoding);
    fw_envelope_t envelope = {.base = PROTOBUF_C_MESSAGE_INIT(descriptor),
                              .message = message_in(self->encoding, message)};
    assert(envelope.message);
    envelope.message_case = field_of(descriptor, envelope.message);
    assert(envelope.message_case != 0);
    return fw_codec_pack(self, &envelope.base, NULL, 0);
}

fw_bytes_t fw_codec_encode_publication(fw_codec_t *self, const fw_event_t *event)
{
    Freshwire__V1__Publication publication;
    freshwire__v1__publication__init(&publication);
    fw_arena_reset(self->encoding);
    publication.id = text_in(event->id);
    publication.type = text_in(event->type);
    publication.data = payload_in(self->encoding, &event->data);
    publication.exclude = exclude_in(self->encoding, &event->exclude);
    publication.origin = text_in(event->origin);
    publication.user_id = text_in(event->user_id);
    publication.ts = event->ts;
    publication.traceparent = text_in(event->traceparent);
    publication.client = event->client;
    return fw_codec_pack(self, &publication.base, NULL, 0);
}

fw_bytes_t fw_codec_encode_event_frame(fw_codec_t *self, const fw_delivery_t *delivery)
{
    Freshwire__V1__Delivery to;
    char topic[FW_TOPIC_SIZE];
    fw_arena_reset(self->encoding);
    fill_delivery(self->encoding, delivery, &to);
    fw_channel_topic(delivery->channel, topic);
    return fw_codec_pack(self, &to.base, topic, sizeof topic);
}

fw_bytes_t fw_codec_encode_beacon_frame(fw_codec_t *self, const fw_beacon_t *beacon)
{
    Freshwire__V1__Beacon to;
    freshwire__v1__beacon__init(&to);
    to.incarnation = bytes_in(beacon->incarnation);
    to.number = beacon->number;
    to.ts_us = beacon->ts_us;
    return fw_codec_pack(self, &to.base, FW_TOPIC_BEACON, sizeof FW_TOPIC_BEACON - 1);
}

fw_bytes_t fw_codec_encode_purged_frame(fw_codec_t *self, const fw_purged_t *purged)
{
    Freshwire__V1__Purged to;
    freshwire__v1__purged__init(&to);
    fw_arena_reset(self->encoding);
    to.redis_time = purged->redis_time;
    to.invalidate = invalidate_in(self->encoding, &purged->invalidate);
    to.stamps = stamps_in(self->encoding, purged->stamps, purged->stamps_count);
    to.n_stamps = purged->stamps_count;
    to.took_us = purged->took_us;
    return fw_codec_pack(self, &to.base, FW_TOPIC_AUDIT, sizeof FW_TOPIC_AUDIT - 1);
}
