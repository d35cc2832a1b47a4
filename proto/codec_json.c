/* codec_json.c - payloads as JSON.   SPDX-License-Identifier: MPL-2.0
 * Typed payloads follow their descriptor, so a new field needs no code: names as in the schema,
 * what is unset is left out, 64-bit numbers are strings. */
#include <assert.h>
#include <stddef.h>

#include "proto/codec_internal.h"
#include "proto/json_text.h"

static void write_message(fw_json_t *json, const ProtobufCMessage *message);

void fw_codec_value_json(fw_json_t *json, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        fw_json_string(json, fw_text(*(const char *const *)at));
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        fw_json_raw(json, "\"", 1);
        fw_json_number(json, *(const int64_t *)at);
        fw_json_raw(json, "\"", 1);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        fw_json_quoted_number(json, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        fw_json_number(json, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        fw_json_number(json, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        fw_json_raw(json, *(const protobuf_c_boolean *)at ? "true" : "false",
                    *(const protobuf_c_boolean *)at ? 4 : 5);
        break;
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = at;
        fw_json_base64(json, (fw_bytes_t){bytes->data, bytes->len});
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(json, *(ProtobufCMessage *const *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_ENUM:
        /* No event has such a field; the unit test of every typed payload ends here when one gets
         * it. */
        assert(false);
        break;
    }
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

/* proto3 has no presence for single values: the default is the same as unset. */
bool fw_codec_value_is_set(const ProtobufCFieldDescriptor *field, const void *at)
{
    static const uint8_t zero[8];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return **(const char *const *)at != '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const void *const *)at != NULL;
    default:
        return memcmp(at, zero, value_size(field)) != 0;
    }
}

static void write_list(fw_json_t *json, const ProtobufCFieldDescriptor *field, const char *list,
                       size_t count)
{
    fw_json_raw(json, "[", 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fw_json_raw(json, ",", 1);
        fw_codec_value_json(json, field, list + i * value_size(field));
    }
    fw_json_raw(json, "]", 1);
}

static void write_message(fw_json_t *json, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const char *base = (const char *)message;
    const char *separator = "{";
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const void *at = base + field->offset;
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count =
            repeated ? *(const size_t *)(const void *)(base + field->quantifier_offset) : 0;
        if (repeated ? count == 0 : !fw_codec_value_is_set(field, at))
            continue;
        fw_json_raw(json, separator, 1);
        separator = ",";
        fw_json_string(json, fw_text(field->name));
        fw_json_raw(json, ":", 1);
        if (repeated)
            write_list(json, field, *(const char *const *)at, count);
        else
            fw_codec_value_json(json, field, at);
    }
    fw_json_raw(json, *separator == '{' ? "{}" : "}", *separator == '{' ? 2 : 1);
}

/* Valid JSON holds line breaks between its tokens only, so that a space does as well. */
static void write_line(fw_json_t *json, fw_bytes_t text)
{
    fw_json_raw(json, text.data, text.size);
    if (json->needed > json->size || text.size == 0)
        return;
    char *copy = json->buffer + (json->needed - text.size);
    for (size_t i = 0; i < text.size; i++)
        if (copy[i] == '\n' || copy[i] == '\r')
            copy[i] = ' ';
}

size_t fw_codec_payload_json(const fw_payload_t *payload, char *buffer, size_t size)
{
    fw_json_t json = {buffer, size, 0};
    switch (payload->kind) {
    case FW_PAYLOAD_NONE:
        fw_json_raw(&json, "null", 4);
        break;
    case FW_PAYLOAD_JSON:
        write_line(&json, payload->bytes);
        break;
    case FW_PAYLOAD_BINARY:
        fw_json_base64(&json, payload->bytes);
        break;
    case FW_PAYLOAD_TYPED:
        assert(payload->message);
        write_message(&json, payload->message);
        break;
    }
    return json.needed;
}
