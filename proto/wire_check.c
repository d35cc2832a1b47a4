/* wire_check.c - see wire_check.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/wire_check.h"

#include <errno.h>
#include <stdio.h>

#include "freshwire/v1/events.pb-c.h"
#include "freshwire/v1/gateway.pb-c.h"
#include "freshwire/v1/jobs.pb-c.h"
#include "freshwire/v1/link.pb-c.h"
#include "freshwire/v1/publish.pb-c.h"
#include "proto/channel.h"
#include "proto/utf8.h"

enum {
    DEPTH_MAX = 8,
    FIELD_ID_MAX = 16,
    UNKNOWN_FIELDS_MAX = 16,
    OTHER_TEXT_SIZE_MAX = 1024, /* of text fields without a limit of their own */
    TEAM_MEMBERS_MAX = 1000,
};

/* bytes: largest size of one value; count: most values of a repeated field. 0 = the default. */
typedef struct {
    uint32_t bytes, count;
} field_limit_t;

typedef struct {
    const ProtobufCMessageDescriptor *descriptor;
    field_limit_t fields[FIELD_ID_MAX];
} message_limit_t;

#define LIMITS(name) .descriptor = &freshwire__v1__##name##__descriptor

static const message_limit_t limits[] = {
    {LIMITS(event), .fields = {[1] = {FW_EVENT_ID_SIZE_MAX, 0},
                               [2] = {FW_EVENT_TYPE_SIZE_MAX, 0},
                               [3] = {FW_PAYLOAD_SIZE_MAX + 16, 0},
                               [4] = {FW_CHANNEL_SIZE_MAX, FW_AUDIENCE_MAX},
                               [7] = {FW_ORIGIN_SIZE_MAX, 0},
                               [8] = {FW_USER_ID_SIZE_MAX, 0},
                               [10] = {FW_TRACEPARENT_SIZE_MAX, 0}}},
    {LIMITS(publication), .fields = {[1] = {FW_EVENT_ID_SIZE_MAX, 0},
                                     [2] = {FW_EVENT_TYPE_SIZE_MAX, 0},
                                     [3] = {FW_PAYLOAD_SIZE_MAX + 16, 0},
                                     [5] = {FW_ORIGIN_SIZE_MAX, 0},
                                     [6] = {FW_USER_ID_SIZE_MAX, 0},
                                     [8] = {FW_TRACEPARENT_SIZE_MAX, 0}}},
    {LIMITS(payload), .fields = {[1] = {FW_PAYLOAD_SIZE_MAX, 0}, [2] = {FW_PAYLOAD_SIZE_MAX, 0}}},
    {LIMITS(exclude), .fields = {[1] = {FW_USER_ID_SIZE_MAX, 0}, [2] = {FW_ORIGIN_SIZE_MAX, 0}}},
    {LIMITS(invalidate), .fields = {[1] = {FW_KEY_SIZE_MAX, FW_INVALIDATE_KEYS_MAX},
                                    [2] = {FW_TAG_SIZE_MAX, FW_INVALIDATE_TAGS_MAX},
                                    [3] = {FW_KEY_SIZE_MAX, FW_INVALIDATE_PATTERNS_MAX}}},
    {LIMITS(channel_position), .fields = {[1] = {FW_CHANNEL_SIZE_MAX, 0}}},
    {LIMITS(delivery),
     .fields = {[1] = {FW_CHANNEL_SIZE_MAX, 0}, [6] = {FW_PUBLICATION_SIZE_MAX, 0}}},
    {LIMITS(hello), .fields = {[2] = {FW_NAME_SIZE_MAX, 0}, [3] = {FW_INCARNATION_SIZE, 0}}},
    {LIMITS(welcome), .fields = {[2] = {FW_INCARNATION_SIZE, 0}}},
    {LIMITS(goodbye), .fields = {[1] = {FW_REASON_SIZE_MAX, 0}}},
    {LIMITS(publish), .fields = {[4] = {FW_INCARNATION_SIZE, 0}}},
    {LIMITS(publish_ack), .fields = {[2] = {FW_EVENT_ID_SIZE_MAX, 0}, [4] = {0, FW_AUDIENCE_MAX}}},
    {LIMITS(job_done), .fields = {[3] = {0, FW_INVALIDATE_TAGS_MAX}}},
    {LIMITS(stamp), .fields = {[1] = {FW_TAG_SIZE_MAX, 0}}},
    {LIMITS(job_failed), .fields = {[3] = {FW_REASON_SIZE_MAX, 0}}},
    {LIMITS(beacon), .fields = {[1] = {FW_INCARNATION_SIZE, 0}}},
    {LIMITS(positions_request), .fields = {[2] = {FW_CHANNEL_SIZE_MAX, FW_POSITIONS_MAX}}},
    {LIMITS(positions_reply), .fields = {[2] = {0, FW_POSITIONS_MAX}}},
    {LIMITS(replay_request), .fields = {[2] = {FW_CHANNEL_SIZE_MAX, 0}}},
    {LIMITS(replay_reply),
     .fields = {[2] = {FW_CHANNEL_SIZE_MAX, 0}, [5] = {0, FW_REPLAY_EVENTS_MAX}}},
    {LIMITS(team_updated), .fields = {[3] = {FW_USER_ID_SIZE_MAX, TEAM_MEMBERS_MAX}}},
};

/* Where the walk is: a chain of stack frames, turned into text only for a refusal. */
typedef struct place {
    const struct place *parent;
    const char *name;
    long index; /* of a repeated field, else -1 */
} place_t;

typedef struct {
    const uint8_t *at, *end;
} reader_t;

static void format_place(const place_t *place, char *buffer, size_t size)
{
    if (place->parent) {
        format_place(place->parent, buffer, size);
        size_t used = strlen(buffer);
        if (used && used + 1 < size) {
            buffer[used] = '.';
            buffer[used + 1] = '\0';
        }
    }
    size_t used = strlen(buffer);
    if (place->index >= 0)
        (void)snprintf(buffer + used, size - used, "%s[%ld]", place->name, place->index);
    else
        (void)snprintf(buffer + used, size - used, "%s", place->name);
}

static int refuse(const place_t *place, int result, const char *reason, uint64_t limit,
                  uint64_t value, fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = limit, .value = value};
    format_place(place, ret_refusal->field, sizeof ret_refusal->field);
    if (!ret_refusal->field[0])
        (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "message");
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return result;
}

static bool read_varint(reader_t *reader, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (reader->at == reader->end)
            return false;
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static const message_limit_t *find_limits(const ProtobufCMessageDescriptor *descriptor)
{
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].descriptor == descriptor)
            return &limits[i];
    return NULL;
}

static int wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
    return -1;
}

/* Reads one value; of a length-prefixed one, *ret_bytes is what it holds. */
static bool read_value(reader_t *reader, unsigned wire_type, fw_bytes_t *ret_bytes)
{
    uint64_t number = 0;
    size_t skip = 0;
    size_t left;
    *ret_bytes = (fw_bytes_t){0};
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(reader, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        skip = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        skip = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(reader, &number) || number > (uint64_t)(reader->end - reader->at))
            return false;
        *ret_bytes = (fw_bytes_t){reader->at, (size_t)number};
        skip = (size_t)number;
        break;
    default:
        return false;
    }
    left = (size_t)(reader->end - reader->at);
    if (skip > left)
        return false;
    reader->at += skip;
    return true;
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, const place_t *place,
                         fw_bytes_t data, unsigned depth, fw_refusal_t *ret_refusal);

static int check_known(const ProtobufCFieldDescriptor *field, const field_limit_t *limit,
                       const place_t *place, fw_bytes_t value, unsigned depth,
                       fw_refusal_t *ret_refusal)
{
    uint32_t bytes_max = limit && limit->bytes ? limit->bytes : OTHER_TEXT_SIZE_MAX;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (limit && limit->bytes && value.size > limit->bytes)
            return refuse(place, -EMSGSIZE, "is too large", limit->bytes, value.size, ret_refusal);
        return check_message(field->descriptor, place, value, depth + 1, ret_refusal);
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES)
        return 0;
    if (value.size > bytes_max)
        return refuse(place, -EMSGSIZE, "is too long", bytes_max, value.size, ret_refusal);
    if (field->type == PROTOBUF_C_TYPE_STRING &&
        (!fw_utf8_valid(value) || (value.size && memchr(value.data, 0, value.size))))
        return refuse(place, -EBADMSG, "is not UTF-8 text", 0, 0, ret_refusal);
    return 0;
}

static int check_field(const ProtobufCMessageDescriptor *descriptor, const message_limit_t *limit,
                       const place_t *parent, reader_t *reader, uint32_t counts[FIELD_ID_MAX],
                       unsigned depth, fw_refusal_t *ret_refusal)
{
    uint64_t tag;
    fw_bytes_t value;
    if (!read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0 ||
        !read_value(reader, (unsigned)tag & 7, &value))
        return refuse(parent, -EBADMSG, "is not a message of this protocol", 0, 0, ret_refusal);
    uint32_t id = (uint32_t)(tag >> 3);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(descriptor, (unsigned)id);
    if (!field || id >= FIELD_ID_MAX) {
        /* A newer peer's field: skipped, as long as there are few. counts[0] is free for it. */
        if (++counts[0] > UNKNOWN_FIELDS_MAX)
            return refuse(parent, -EMSGSIZE, "has too many unknown fields", UNKNOWN_FIELDS_MAX,
                          counts[0], ret_refusal);
        return 0;
    }
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    place_t place = {parent, field->name, repeated ? (long)counts[id] : -1};
    uint32_t count_max = 1;
    if (repeated)
        count_max = limit && limit->fields[id].count ? limit->fields[id].count : 1;
    if (++counts[id] > count_max)
        return refuse(&place, repeated ? -EMSGSIZE : -EBADMSG,
                      repeated ? "is one too many" : "is given twice", count_max, counts[id],
                      ret_refusal);
    if (wire_type_of(field->type) != (int)(tag & 7))
        return refuse(&place, -EBADMSG, "has the wrong kind of value", 0, 0, ret_refusal);
    return check_known(field, limit ? &limit->fields[id] : NULL, &place, value, depth, ret_refusal);
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, const place_t *place,
                         fw_bytes_t data, unsigned depth, fw_refusal_t *ret_refusal)
{
    uint32_t counts[FIELD_ID_MAX] = {0};
    const message_limit_t *limit = find_limits(descriptor);
    reader_t reader = {data.data, data.data + data.size};
    if (depth > DEPTH_MAX)
        return refuse(place, -EMSGSIZE, "is nested too deeply", DEPTH_MAX, depth, ret_refusal);
    while (reader.at < reader.end) {
        int result = check_field(descriptor, limit, place, &reader, counts, depth, ret_refusal);
        if (result < 0)
            return result;
    }
    return 0;
}

int fw_wire_check(const ProtobufCMessageDescriptor *descriptor, fw_bytes_t data,
                  fw_refusal_t *ret_refusal)
{
    place_t place = {NULL, "", -1};
    if (data.size > FW_REPLY_SIZE_MAX)
        return refuse(&place, -EMSGSIZE, "is too large", FW_REPLY_SIZE_MAX, data.size, ret_refusal);
    return check_message(descriptor, &place, data, 1, ret_refusal);
}
