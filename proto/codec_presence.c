/* codec_presence.c - messages about who is in which room, and notes.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <assert.h>
#include <errno.h>

#include "freshwire/v1/presence.pb-c.h"
#include "proto/channel.h"
#include "proto/codec_internal.h"
#include "proto/wire_check.h"

typedef Freshwire__V1__RoomMember member_message_t;

/* ------ encoding */

static char *text_in(fw_text_t text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text.text ? text.text : ""};
    assert(cast.in[text.size] == '\0');
    return cast.out;
}

static ProtobufCBinaryData bytes_in(fw_bytes_t bytes)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {.in = bytes.data};
    return (ProtobufCBinaryData){bytes.size, cast.out};
}

static member_message_t **members_in(fw_arena_t *arena, const fw_room_member_t *from, size_t count)
{
    member_message_t **list = fw_arena_take(arena, count * sizeof *list);
    member_message_t *members = fw_arena_take(arena, count * sizeof *members);
    for (size_t i = 0; i < count; i++) {
        freshwire__v1__room_member__init(&members[i]);
        members[i].user_id = text_in(from[i].user_id);
        members[i].sessions = from[i].sessions;
        members[i].left = from[i].left;
        list[i] = &members[i];
    }
    return list;
}

static void *report_in(fw_arena_t *arena, const fw_presence_report_t *from)
{
    Freshwire__V1__PresenceReport *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__presence_report__init(to);
    to->number = from->number;
    to->begin = from->begin;
    to->complete = from->complete;
    to->n_rooms = from->rooms_count;
    to->rooms = fw_arena_take(arena, from->rooms_count * sizeof *to->rooms);
    for (size_t i = 0; i < from->rooms_count; i++) {
        to->rooms[i] = fw_arena_take(arena, sizeof **to->rooms);
        freshwire__v1__room_members__init(to->rooms[i]);
        to->rooms[i]->channel = text_in(from->rooms[i].channel);
        to->rooms[i]->members =
            members_in(arena, from->rooms[i].members, from->rooms[i].members_count);
        to->rooms[i]->n_members = from->rooms[i].members_count;
    }
    return to;
}

static void *ack_in(fw_arena_t *arena, const fw_presence_ack_t *from)
{
    Freshwire__V1__PresenceAck *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__presence_ack__init(to);
    to->number = from->number;
    to->again = from->again;
    return to;
}

static void *request_in(fw_arena_t *arena, const fw_presence_request_t *from)
{
    Freshwire__V1__PresenceRequest *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__presence_request__init(to);
    to->request_id = from->request_id;
    to->n_rooms = from->rooms_count;
    to->rooms = fw_arena_take(arena, from->rooms_count * sizeof *to->rooms);
    for (size_t i = 0; i < from->rooms_count; i++) {
        to->rooms[i] = fw_arena_take(arena, sizeof **to->rooms);
        freshwire__v1__room_version__init(to->rooms[i]);
        to->rooms[i]->channel = text_in(from->rooms[i].channel);
        to->rooms[i]->epoch = from->rooms[i].epoch;
        to->rooms[i]->version = from->rooms[i].version;
    }
    return to;
}

static void *reply_in(fw_arena_t *arena, const fw_presence_reply_t *from)
{
    Freshwire__V1__PresenceReply *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__presence_reply__init(to);
    to->request_id = from->request_id;
    to->channel = text_in(from->channel);
    to->epoch = from->epoch;
    to->version = from->version;
    to->same = from->same;
    to->too_many = from->too_many;
    to->count = from->count;
    to->members = members_in(arena, from->members, from->members_count);
    to->n_members = from->members_count;
    to->settling_ms = from->settling_ms;
    return to;
}

static void *client_note_in(fw_arena_t *arena, const fw_client_note_t *from)
{
    Freshwire__V1__ClientNote *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__client_note__init(to);
    to->channel = text_in(from->channel);
    to->publication = bytes_in(from->publication);
    return to;
}

void *fw_codec_presence_in(fw_arena_t *arena, const fw_message_t *message)
{
    if (message->kind == FW_MESSAGE_PRESENCE_REPORT)
        return report_in(arena, &message->presence_report);
    if (message->kind == FW_MESSAGE_PRESENCE_ACK)
        return ack_in(arena, &message->presence_ack);
    if (message->kind == FW_MESSAGE_PRESENCE_REQUEST)
        return request_in(arena, &message->presence_request);
    if (message->kind == FW_MESSAGE_PRESENCE_REPLY)
        return reply_in(arena, &message->presence_reply);
    assert(message->kind == FW_MESSAGE_CLIENT_NOTE);
    return client_note_in(arena, &message->client_note);
}

static Freshwire__V1__PresenceDiff *diff_in(fw_arena_t *arena, const fw_presence_diff_t *from)
{
    Freshwire__V1__PresenceDiff *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__presence_diff__init(to);
    to->epoch = from->epoch;
    to->previous = from->previous;
    to->version = from->version;
    to->count = from->count;
    to->too_many = from->too_many;
    to->changes = members_in(arena, from->changes, from->changes_count);
    to->n_changes = from->changes_count;
    return to;
}

fw_bytes_t fw_codec_encode_note_frame(fw_codec_t *self, const fw_note_t *note)
{
    Freshwire__V1__Note inner;
    Freshwire__V1__Delivery outer;
    char topic[FW_TOPIC_SIZE];
    fw_arena_reset(self->encoding);
    freshwire__v1__note__init(&inner);
    freshwire__v1__delivery__init(&outer);
    if (note->publication.size > 0)
        inner.publication = bytes_in(note->publication);
    else
        inner.presence = diff_in(self->encoding, &note->presence);
    size_t size = freshwire__v1__note__get_packed_size(&inner);
    uint8_t *packed = fw_arena_take(self->encoding, size);
    size = freshwire__v1__note__pack(&inner, packed);
    outer.channel = text_in(note->channel);
    outer.note = (ProtobufCBinaryData){size, packed};
    fw_channel_topic(note->channel, topic);
    return fw_codec_pack(self, &outer.base, topic, sizeof topic);
}

/* ------ decoding */

static fw_bytes_t bytes_of(ProtobufCBinaryData data)
{
    return (fw_bytes_t){data.data, data.len};
}

static const fw_room_member_t *members_of(fw_arena_t *arena, member_message_t **from, size_t count)
{
    if (count == 0)
        return NULL;
    fw_room_member_t *list = fw_arena_take(arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] =
            (fw_room_member_t){fw_text(from[i]->user_id), from[i]->sessions, from[i]->left != 0};
    return list;
}

int fw_codec_presence_report_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PresenceReport *from = message;
    fw_room_members_t *rooms = NULL;
    if (from->number == 0)
        return fw_codec_refuse("presence_report.number", "is missing", 0, 0, ret_refusal);
    if (from->n_rooms > 0)
        rooms = fw_arena_take(arena, from->n_rooms * sizeof *rooms);
    for (size_t i = 0; i < from->n_rooms; i++) {
        const Freshwire__V1__RoomMembers *room = from->rooms[i];
        rooms[i] =
            (fw_room_members_t){fw_text(room->channel),
                                members_of(arena, room->members, room->n_members), room->n_members};
    }
    to->kind = FW_MESSAGE_PRESENCE_REPORT;
    to->presence_report = (fw_presence_report_t){from->number, from->begin != 0,
                                                 from->complete != 0, rooms, from->n_rooms};
    return 0;
}

int fw_codec_presence_ack_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                             fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PresenceAck *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_PRESENCE_ACK;
    to->presence_ack = (fw_presence_ack_t){from->number, from->again != 0};
    return 0;
}

int fw_codec_presence_request_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                 fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PresenceRequest *from = message;
    fw_room_version_t *rooms = NULL;
    (void)ret_refusal;
    if (from->n_rooms > 0)
        rooms = fw_arena_take(arena, from->n_rooms * sizeof *rooms);
    for (size_t i = 0; i < from->n_rooms; i++)
        rooms[i] = (fw_room_version_t){fw_text(from->rooms[i]->channel), from->rooms[i]->epoch,
                                       from->rooms[i]->version};
    to->kind = FW_MESSAGE_PRESENCE_REQUEST;
    to->presence_request = (fw_presence_request_t){from->request_id, rooms, from->n_rooms};
    return 0;
}

int fw_codec_presence_reply_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PresenceReply *from = message;
    if (from->epoch == 0)
        return fw_codec_refuse("presence_reply.epoch", "is missing", 0, 0, ret_refusal);
    to->kind = FW_MESSAGE_PRESENCE_REPLY;
    to->presence_reply = (fw_presence_reply_t){
        .request_id = from->request_id,
        .channel = fw_text(from->channel),
        .epoch = from->epoch,
        .version = from->version,
        .same = from->same != 0,
        .too_many = from->too_many != 0,
        .count = from->count,
        .members = members_of(arena, from->members, from->n_members),
        .members_count = from->n_members,
        .settling_ms = from->settling_ms,
    };
    return 0;
}

int fw_codec_client_note_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                            fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__ClientNote *from = message;
    (void)arena;
    if (from->publication.len == 0)
        return fw_codec_refuse("note.publication", "is missing", 0, 0, ret_refusal);
    to->kind = FW_MESSAGE_CLIENT_NOTE;
    to->client_note = (fw_client_note_t){fw_text(from->channel), bytes_of(from->publication)};
    return 0;
}

static int note_of(fw_arena_t *arena, const Freshwire__V1__Note *from, fw_note_t *note,
                   fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__PresenceDiff *diff = from->presence;
    note->publication = bytes_of(from->publication);
    if ((diff != NULL) == (note->publication.size > 0))
        return fw_codec_refuse("note", "is not one of the two kinds", 0, 0, ret_refusal);
    if (!diff)
        return 0;
    if (diff->epoch == 0)
        return fw_codec_refuse("note.presence.epoch", "is missing", 0, 0, ret_refusal);
    note->presence = (fw_presence_diff_t){
        .epoch = diff->epoch,
        .previous = diff->previous,
        .version = diff->version,
        .count = diff->count,
        .too_many = diff->too_many != 0,
        .changes = members_of(arena, diff->changes, diff->n_changes),
        .changes_count = diff->n_changes,
    };
    return 0;
}

int fw_codec_decode_note(fw_codec_t *self, fw_bytes_t data, fw_note_t *ret_note,
                         fw_refusal_t *ret_refusal)
{
    void *delivery;
    fw_note_t note = {.channel = FW_TEXT_NONE};
    int result = fw_codec_unpack_checked(&freshwire__v1__delivery__descriptor, self->decoded, data,
                                         &delivery, ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Delivery *outer = delivery;
    if (outer->note.len == 0)
        return fw_codec_refuse("note", "is missing", 0, 0, ret_refusal);
    /* The delivery stays in the arena: the note borrows its channel. */
    result = fw_wire_check(&freshwire__v1__note__descriptor, bytes_of(outer->note), ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Note *inner =
        fw_codec_unpack(&freshwire__v1__note__descriptor, self->decoded, bytes_of(outer->note));
    if (!inner)
        return -EBADMSG;
    note.channel = fw_text(outer->channel);
    result = note_of(self->decoded, inner, &note, ret_refusal);
    if (result == 0)
        *ret_note = note;
    return result;
}
