/* wire_any.c - see wire_any.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/wire_any.h"

#include "proto/channel.h"

#define SAME(member) (a->member == b->member)
#define SAME_TEXT(member) fw_text_equal(a->member, b->member)
#define SAME_BYTES(member) fw_bytes_equal(a->member, b->member)
#define SAME_LIST(equal, list, count)                                                              \
    (a->count == b->count && lists_equal(a->list, b->list, a->count, sizeof *a->list, equal))

typedef bool equal_fn(const void *a, const void *b);

static bool lists_equal(const void *a, const void *b, size_t count, size_t size, equal_fn *equal)
{
    for (size_t i = 0; i < count; i++)
        if (!equal((const char *)a + i * size, (const char *)b + i * size))
            return false;
    return true;
}

static bool texts_equal(const void *left, const void *right)
{
    const fw_text_t *a = left, *b = right;
    return fw_text_equal(*a, *b);
}

static bool positions_equal(fw_position_t a, fw_position_t b)
{
    return a.epoch == b.epoch && a.offset == b.offset;
}

static bool channel_positions_equal(const void *left, const void *right)
{
    const fw_channel_position_t *a = left, *b = right;
    return SAME_TEXT(channel) && positions_equal(a->position, b->position);
}

static bool stamps_equal(const void *left, const void *right)
{
    const fw_stamp_t *a = left, *b = right;
    return SAME_TEXT(tag) && SAME(stamp);
}

static bool deliveries_equal(const void *left, const void *right)
{
    const fw_delivery_t *a = left, *b = right;
    return SAME_TEXT(channel) && positions_equal(a->position, b->position) && SAME(fresh) &&
           SAME(unconfirmed) && SAME(spread_ms) && SAME_BYTES(publication);
}

static bool payloads_equal(const fw_payload_t *a, const fw_payload_t *b)
{
    return SAME(kind) && SAME_BYTES(bytes) && SAME_TEXT(type);
}

static bool invalidates_equal(const fw_invalidate_t *a, const fw_invalidate_t *b)
{
    return SAME_LIST(texts_equal, keys, keys_count) && SAME_LIST(texts_equal, tags, tags_count) &&
           SAME_LIST(texts_equal, patterns, patterns_count);
}

static bool events_equal(const fw_event_t *a, const fw_event_t *b)
{
    return SAME_TEXT(id) && SAME_TEXT(type) && payloads_equal(&a->data, &b->data) &&
           SAME_LIST(texts_equal, audience, audience_count) && SAME_TEXT(exclude.user_id) &&
           SAME_TEXT(exclude.origin) && invalidates_equal(&a->invalidate, &b->invalidate) &&
           SAME_TEXT(origin) && SAME_TEXT(user_id) && SAME(ts) && SAME_TEXT(traceparent) &&
           SAME(client);
}

static bool publications_equal(const fw_publication_t *a, const fw_publication_t *b)
{
    return SAME_TEXT(id) && SAME_TEXT(type) && payloads_equal(&a->data, &b->data) &&
           SAME_TEXT(exclude.user_id) && SAME_TEXT(exclude.origin) && SAME_TEXT(origin) &&
           SAME_TEXT(user_id) && SAME(ts) && SAME_TEXT(traceparent) && SAME(client);
}

static bool refusals_equal(const fw_refusal_t *a, const fw_refusal_t *b)
{
    return strcmp(a->field, b->field) == 0 && strcmp(a->reason, b->reason) == 0 && SAME(limit) &&
           SAME(value);
}

static bool acks_equal(const fw_publish_ack_t *a, const fw_publish_ack_t *b)
{
    return SAME(request_id) && SAME_TEXT(id) && SAME(status) &&
           SAME_LIST(channel_positions_equal, positions, positions_count) && SAME(credit) &&
           SAME(retry_after_ms) && SAME(has_refusal) &&
           (!a->has_refusal || refusals_equal(&a->refusal, &b->refusal)) && SAME(unconfirmed) &&
           SAME(fresh);
}

static bool members_equal(const void *left, const void *right)
{
    const fw_room_member_t *a = left, *b = right;
    return SAME_TEXT(user_id) && SAME(sessions) && SAME(left);
}

static bool rooms_equal(const void *left, const void *right)
{
    const fw_room_members_t *a = left, *b = right;
    return SAME_TEXT(channel) && SAME_LIST(members_equal, members, members_count);
}

static bool room_versions_equal(const void *left, const void *right)
{
    const fw_room_version_t *a = left, *b = right;
    return SAME_TEXT(channel) && SAME(epoch) && SAME(version);
}

static bool commands_equal(const fw_session_command_t *a, const fw_session_command_t *b)
{
    bool same = SAME(command_id) && SAME(action) && SAME_TEXT(user_id) && SAME_TEXT(session_id) &&
                SAME(code) && SAME_TEXT(reason) && SAME_TEXT(channel);
    for (size_t i = 0; i < FW_ROOM_CLAIMS; i++)
        same = same && SAME(claims[i].given) &&
               SAME_LIST(texts_equal, claims[i].patterns, claims[i].count);
    return same;
}

static bool presence_replies_equal(const fw_presence_reply_t *a, const fw_presence_reply_t *b)
{
    return SAME(request_id) && SAME_TEXT(channel) && SAME(epoch) && SAME(version) && SAME(same) &&
           SAME(too_many) && SAME(count) && SAME_LIST(members_equal, members, members_count) &&
           SAME(settling_ms);
}

static bool notes_equal(const fw_note_t *a, const fw_note_t *b)
{
    return SAME_TEXT(channel) && SAME_BYTES(publication) && SAME(presence.epoch) &&
           SAME(presence.previous) && SAME(presence.version) && SAME(presence.count) &&
           SAME(presence.too_many) &&
           SAME_LIST(members_equal, presence.changes, presence.changes_count);
}

static bool missing_equal(const fw_fire_missing_t *a, const fw_fire_missing_t *b)
{
    return SAME_BYTES(incarnation) && SAME(first) && SAME(count);
}

static bool jobs_equal(const void *left, const void *right)
{
    const fw_job_t *a = left, *b = right;
    return SAME(job_id) && SAME(attempt) && SAME(lease_ms) &&
           invalidates_equal(&a->invalidate, &b->invalidate) && SAME(cache_action) &&
           SAME_BYTES(broker);
}

static bool dones_equal(const void *left, const void *right)
{
    const fw_job_done_t *a = left, *b = right;
    return SAME(job_id) && SAME(redis_time) && SAME(keys_removed) &&
           SAME_LIST(stamps_equal, stamps, stamps_count);
}

static bool positions_replies_equal(const fw_positions_reply_t *a, const fw_positions_reply_t *b)
{
    return SAME(request_id) && SAME_LIST(channel_positions_equal, positions, positions_count) &&
           SAME(unconfirmed);
}

static bool rooms_messages_equal(const fw_message_t *a, const fw_message_t *b)
{
    if (a->kind == FW_MESSAGE_PRESENCE_REPORT)
        return SAME(presence_report.number) && SAME(presence_report.begin) &&
               SAME(presence_report.complete) &&
               SAME_LIST(rooms_equal, presence_report.rooms, presence_report.rooms_count);
    if (a->kind == FW_MESSAGE_PRESENCE_ACK)
        return SAME(presence_ack.number) && SAME(presence_ack.again);
    if (a->kind == FW_MESSAGE_PRESENCE_REQUEST)
        return SAME(presence_request.request_id) &&
               SAME_LIST(room_versions_equal, presence_request.rooms, presence_request.rooms_count);
    if (a->kind == FW_MESSAGE_PRESENCE_REPLY)
        return presence_replies_equal(&a->presence_reply, &b->presence_reply);
    return SAME_TEXT(client_note.channel) && SAME_BYTES(client_note.publication);
}

static bool messages_equal(const fw_message_t *a, const fw_message_t *b)
{
    if (!SAME(kind))
        return false;
    switch (a->kind) {
    case FW_MESSAGE_HELLO:
        return SAME(hello.version) && SAME_TEXT(hello.name) && SAME_BYTES(hello.incarnation) &&
               SAME(hello.capacity);
    case FW_MESSAGE_WELCOME:
        return SAME(welcome.version) && SAME_BYTES(welcome.incarnation) && SAME(welcome.credit) &&
               SAME(welcome.event_bytes_max) && SAME(welcome.beacon_interval_ms);
    case FW_MESSAGE_PING:
    case FW_MESSAGE_PONG:
        return SAME(number);
    case FW_MESSAGE_GOODBYE:
        return SAME_TEXT(goodbye);
    case FW_MESSAGE_REFUSAL:
        return refusals_equal(&a->refusal, &b->refusal);
    case FW_MESSAGE_PUBLISH:
        return SAME(publish.request_id) && SAME(publish.level) && SAME(publish.sequence) &&
               SAME_BYTES(publish.incarnation) &&
               events_equal(&a->publish.event, &b->publish.event);
    case FW_MESSAGE_PUBLISH_ACK:
        return acks_equal(&a->ack, &b->ack);
    case FW_MESSAGE_JOB:
        return jobs_equal(&a->job, &b->job);
    case FW_MESSAGE_JOBS:
        return SAME_LIST(jobs_equal, jobs.jobs, jobs.count);
    case FW_MESSAGE_JOB_DONE:
        return dones_equal(&a->done, &b->done);
    case FW_MESSAGE_JOBS_DONE:
        return SAME_LIST(dones_equal, jobs_done.jobs, jobs_done.count);
    case FW_MESSAGE_JOB_FAILED:
        return SAME(failed.job_id) && SAME(failed.retryable) && SAME_TEXT(failed.reason);
    case FW_MESSAGE_POSITIONS_REQUEST:
        return SAME(positions_request.request_id) &&
               SAME_LIST(texts_equal, positions_request.channels, positions_request.channels_count);
    case FW_MESSAGE_POSITIONS_REPLY:
        return positions_replies_equal(&a->positions_reply, &b->positions_reply);
    case FW_MESSAGE_REPLAY_REQUEST:
        return SAME(replay_request.request_id) && SAME_TEXT(replay_request.channel) &&
               positions_equal(a->replay_request.since, b->replay_request.since) &&
               SAME(replay_request.limit);
    case FW_MESSAGE_REPLAY_REPLY:
        return SAME(replay_reply.request_id) && SAME_TEXT(replay_reply.channel) &&
               SAME(replay_reply.status) &&
               positions_equal(a->replay_reply.visible, b->replay_reply.visible) &&
               SAME_LIST(deliveries_equal, replay_reply.deliveries,
                         replay_reply.deliveries_count) &&
               SAME(replay_reply.unconfirmed);
    case FW_MESSAGE_FIRE_MARK:
        return SAME_BYTES(fire_mark.incarnation) && SAME(fire_mark.last) && SAME(fire_mark.kept);
    case FW_MESSAGE_FIRE_MISSING:
        return missing_equal(&a->fire_missing, &b->fire_missing);
    case FW_MESSAGE_PRESENCE_REPORT:
    case FW_MESSAGE_PRESENCE_ACK:
    case FW_MESSAGE_PRESENCE_REQUEST:
    case FW_MESSAGE_PRESENCE_REPLY:
    case FW_MESSAGE_CLIENT_NOTE:
        return rooms_messages_equal(a, b);
    case FW_MESSAGE_SESSION_COMMAND:
        return commands_equal(&a->session_command, &b->session_command);
    case FW_MESSAGE_SESSION_DONE:
        return SAME(session_done.command_id) && SAME(session_done.sessions);
    case FW_MESSAGE_SESSION_RESULT:
        return SAME(session_result.command_id) && SAME(session_result.gateways) &&
               SAME(session_result.answered) && SAME(session_result.sessions) &&
               SAME_TEXT(session_result.refused);
    }
    return false;
}

bool fw_any_equal(const fw_any_t *a, const fw_any_t *b)
{
    if (!SAME(decoder))
        return false;
    switch (a->decoder) {
    case FW_ANY_DELIVERY:
        return deliveries_equal(&a->delivery, &b->delivery);
    case FW_ANY_BEACON:
        return SAME_BYTES(beacon.incarnation) && SAME(beacon.number) && SAME(beacon.ts_us);
    case FW_ANY_PURGED:
        return SAME(purged.redis_time) && SAME(purged.took_us) &&
               invalidates_equal(&a->purged.invalidate, &b->purged.invalidate) &&
               SAME_LIST(stamps_equal, purged.stamps, purged.stamps_count);
    case FW_ANY_NOTE:
        return notes_equal(&a->note, &b->note);
    case FW_ANY_PUBLICATION:
        return publications_equal(&a->publication, &b->publication);
    default:
        return messages_equal(&a->message, &b->message);
    }
}

int fw_any_decode(fw_codec_t *codec, int decoder, fw_bytes_t data, fw_any_t *ret_any,
                  fw_refusal_t *ret_refusal)
{
    ret_any->decoder = decoder;
    switch (decoder) {
    case FW_ANY_DELIVERY:
        return fw_codec_decode_delivery(codec, data, &ret_any->delivery, ret_refusal);
    case FW_ANY_BEACON:
        return fw_codec_decode_beacon(codec, data, &ret_any->beacon, ret_refusal);
    case FW_ANY_PURGED:
        return fw_codec_decode_purged(codec, data, &ret_any->purged, ret_refusal);
    case FW_ANY_NOTE:
        return fw_codec_decode_note(codec, data, &ret_any->note, ret_refusal);
    case FW_ANY_PUBLICATION:
        return fw_codec_decode_publication(codec, data, &ret_any->publication, ret_refusal);
    default:
        return fw_codec_decode(codec, (fw_link_t)decoder, data, &ret_any->message, ret_refusal);
    }
}

static fw_bytes_t encode_publication(fw_codec_t *codec, const fw_publication_t *publication)
{
    fw_event_t event = {
        .id = publication->id,
        .type = publication->type,
        .data = publication->data,
        .exclude = publication->exclude,
        .origin = publication->origin,
        .user_id = publication->user_id,
        .ts = publication->ts,
        .traceparent = publication->traceparent,
        .client = publication->client,
    };
    return fw_codec_encode_publication(codec, &event);
}

fw_bytes_t fw_any_encode(fw_codec_t *codec, const fw_any_t *any)
{
    fw_bytes_t frame;
    size_t topic_size = 0;
    switch (any->decoder) {
    case FW_ANY_DELIVERY:
        frame = fw_codec_encode_event_frame(codec, &any->delivery);
        topic_size = FW_TOPIC_SIZE;
        break;
    case FW_ANY_BEACON:
        frame = fw_codec_encode_beacon_frame(codec, &any->beacon);
        topic_size = sizeof FW_TOPIC_BEACON - 1;
        break;
    case FW_ANY_PURGED:
        frame = fw_codec_encode_purged_frame(codec, &any->purged);
        topic_size = sizeof FW_TOPIC_AUDIT - 1;
        break;
    case FW_ANY_NOTE:
        frame = fw_codec_encode_note_frame(codec, &any->note);
        topic_size = FW_TOPIC_SIZE;
        break;
    case FW_ANY_PUBLICATION:
        return encode_publication(codec, &any->publication);
    default:
        return fw_codec_encode(codec, (fw_link_t)any->decoder, &any->message);
    }
    return (fw_bytes_t){frame.data + topic_size, frame.size - topic_size};
}
