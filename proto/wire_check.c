/* wire_check.c - see wire_check.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/wire_check.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "proto/utf8.h"
#include "proto/wire_limits.h"

enum {
    UNKNOWN_FIELDS_MAX = 16, /* of one message; a newer peer has a few, an attacker many */
    VARINT_SIZE_MAX = 10,
    PREFIX_SIZE_MAX = 5, /* of a tag or a length: what protobuf-c reads */
};

typedef struct {
    const uint8_t *at, *end;
} reader_t;

/* One field as it lies there: a number or, when length-prefixed, its content. */
typedef struct {
    uint32_t id;
    unsigned wire_type;
    uint64_t number;
    fw_bytes_t content;
} value_t;

/* Where the walk is: a chain of stack frames, turned into text only for a refusal. */
typedef struct place {
    const struct place *parent;
    const char *name;
    long index; /* of a repeated field, else -1 */
} place_t;

/* One message on the way through its fields. */
typedef struct {
    const ProtobufCMessageDescriptor *descriptor;
    const fw_message_limit_t *limit;
    const place_t *place;
    uint32_t counts[FW_WIRE_FIELD_ID_MAX + 1]; /* values seen of each field; [0]: unknown fields */
    bool oneof_set;                            /* no message has more than one oneof */
    fw_refusal_t *refusal;
} walk_t;

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

static bool read_varint(reader_t *reader, unsigned size_max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (reader->at < reader->end && *reader->at < 0x80) {
        *ret_value = *reader->at++; /* nearly every tag and length */
        return true;
    }
    for (unsigned i = 0; i < size_max && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        if (i == VARINT_SIZE_MAX - 1 && byte > 1)
            return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(reader_t *reader, uint64_t size)
{
    if (size > (uint64_t)(reader->end - reader->at))
        return false;
    reader->at += size;
    return true;
}

/* Reads a tag and its value. Groups do not exist in proto3. */
static bool read_value(reader_t *reader, value_t *ret_value)
{
    uint64_t tag, size;
    if (!read_varint(reader, PREFIX_SIZE_MAX, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    ret_value->id = (uint32_t)(tag >> 3);
    ret_value->wire_type = (unsigned)tag & 7;
    switch (ret_value->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(reader, VARINT_SIZE_MAX, &ret_value->number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(reader, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(reader, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(reader, PREFIX_SIZE_MAX, &size))
            return false;
        ret_value->content = (fw_bytes_t){reader->at, (size_t)size};
        return skip(reader, size);
    default:
        return false;
    }
}

static unsigned wire_type_of(ProtobufCType type)
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
        break;
    }
    return PROTOBUF_C_WIRE_TYPE_VARINT;
}

static int check_message(const ProtobufCMessageDescriptor *descriptor,
                         const fw_message_limit_t *limit, const place_t *place, fw_bytes_t data,
                         fw_refusal_t *ret_refusal);

/* The value of a known field, after its kind and count. */
static int check_value(const ProtobufCFieldDescriptor *field, const fw_field_limit_t *limit,
                       const place_t *place, const value_t *value, fw_refusal_t *ret_refusal)
{
    fw_bytes_t content = value->content;
    switch (wire_type_of(field->type)) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (limit->number_max && value->number > limit->number_max)
            return refuse(place, -EMSGSIZE, "is too large", limit->number_max, value->number,
                          ret_refusal);
        return 0;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        break;
    default:
        return 0;
    }
    if (content.size > limit->size_max &&
        (limit->size_max || field->type != PROTOBUF_C_TYPE_MESSAGE))
        return refuse(place, -EMSGSIZE, "is too long", limit->size_max, content.size, ret_refusal);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(field->descriptor, fw_wire_limits(field->descriptor), place, content,
                             ret_refusal);
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return 0;
    if (content.size && memchr(content.data, 0, content.size))
        return refuse(place, -EBADMSG, "holds a zero byte", 0, 0, ret_refusal);
    if (!fw_utf8_valid(content))
        return refuse(place, -EBADMSG, "is not UTF-8 text", 0, 0, ret_refusal);
    return 0;
}

/* How often a field may stand in one message. */
static int check_count(walk_t *walk, const ProtobufCFieldDescriptor *field, const place_t *place)
{
    uint32_t count = ++walk->counts[field->id];
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        uint32_t count_max = walk->limit->fields[field->id].count_max;
        if (count > count_max)
            return refuse(place, -EMSGSIZE, "is one too many", count_max, count, walk->refusal);
        return 0;
    }
    /* The last of several would count in proto3, which two readers may see differently. */
    if (count > 1)
        return refuse(place, -EBADMSG, "is given twice", 1, count, walk->refusal);
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (walk->oneof_set)
            return refuse(place, -EBADMSG, "is given beside another of its kind", 0, 0,
                          walk->refusal);
        walk->oneof_set = true;
    }
    return 0;
}

static int check_field(walk_t *walk, const value_t *value)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(walk->descriptor, value->id);
    if (!field) {
        if (++walk->counts[0] > UNKNOWN_FIELDS_MAX)
            return refuse(walk->place, -EMSGSIZE, "has too many unknown fields", UNKNOWN_FIELDS_MAX,
                          walk->counts[0], walk->refusal);
        return 0;
    }
    assert(field->id <= FW_WIRE_FIELD_ID_MAX);
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    place_t place = {walk->place, field->name, repeated ? (long)walk->counts[field->id] : -1};
    int result = check_count(walk, field, &place);
    if (result < 0)
        return result;
    if (wire_type_of(field->type) != value->wire_type)
        return refuse(&place, -EBADMSG, "has the wrong kind of value", 0, 0, walk->refusal);
    return check_value(field, &walk->limit->fields[field->id], &place, value, walk->refusal);
}

/* Recursion is as deep as the schema nests, since unknown fields are not entered. */
static int check_message(const ProtobufCMessageDescriptor *descriptor,
                         const fw_message_limit_t *limit, const place_t *place, fw_bytes_t data,
                         fw_refusal_t *ret_refusal)
{
    walk_t walk = {
        .descriptor = descriptor, .limit = limit, .place = place, .refusal = ret_refusal};
    if (data.size == 0)
        return 0;
    reader_t reader = {data.data, data.data + data.size};
    while (reader.at < reader.end) {
        value_t value = {0};
        if (!read_value(&reader, &value))
            return refuse(place, -EBADMSG, "is not a message of this protocol", 0, 0, ret_refusal);
        int result = check_field(&walk, &value);
        if (result < 0)
            return result;
    }
    return 0;
}

int fw_wire_check(const ProtobufCMessageDescriptor *descriptor, fw_bytes_t data,
                  fw_refusal_t *ret_refusal)
{
    const fw_message_limit_t *limit = fw_wire_limits(descriptor);
    place_t place = {NULL, "", -1};
    if (data.size > limit->size_max)
        return refuse(&place, -EMSGSIZE, "is too large", limit->size_max, data.size, ret_refusal);
    return check_message(descriptor, limit, &place, data, ret_refusal);
}

bool fw_wire_find(fw_bytes_t data, uint32_t field_id, fw_bytes_t *ret_content, uint64_t *ret_number)
{
    if (data.size == 0)
        return false;
    reader_t reader = {data.data, data.data + data.size};
    value_t value = {0};
    while (reader.at < reader.end && read_value(&reader, &value)) {
        if (value.id != field_id)
            continue;
        *ret_content = value.content;
        *ret_number = value.number;
        return true;
    }
    return false;
}
