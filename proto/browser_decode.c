/* browser_decode.c - from a ClientMessage to the JSON of a client.   SPDX-License-Identifier:
 * MPL-2.0
 */
#include <errno.h>
#include <stdio.h>

#include "freshwire/v1/browser.pb-c.h"
#include "proto/browser.h"
#include "proto/codec_internal.h"
#include "proto/json_check.h"
#include "proto/position.h"
#include "proto/wire_check.h"

static void literal(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

typedef struct {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field;
    const void *at;
} member_t;

/* before: what stands before the first member that has a value. */
static void write_fields(fw_json_t *json, const ProtobufCMessage *message, const char *before);

static void write_position(fw_json_t *json, const Freshwire__V1__Position *position,
                           const char *before)
{
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
    size_t size = fw_epoch_format(position->epoch, epoch);
    literal(json, before);
    literal(json, "\"epoch\":");
    fw_json_string(json, (fw_text_t){epoch, size});
    literal(json, ",\"offset\":");
    fw_json_quoted_number(json, position->offset);
}

static void write_list(fw_json_t *json, const member_t *member)
{
    const char *base = (const char *)member->message;
    size_t count = *(const size_t *)(const void *)(base + member->field->quantifier_offset);
    ProtobufCMessage *const *elements = *(ProtobufCMessage *const *const *)member->at;
    literal(json, "[");
    for (size_t i = 0; i < count; i++) {
        literal(json, i > 0 ? ",{" : "{");
        write_fields(json, elements[i], "");
        literal(json, "}");
    }
    literal(json, "]");
}

/* False when it has no value. */
static bool write_member(fw_json_t *json, const member_t *member, const char *before)
{
    const ProtobufCFieldDescriptor *field = member->field;
    bool list = field->label == PROTOBUF_C_LABEL_REPEATED;
    if (!list && !fw_codec_value_is_set(field, member->at))
        return false;
    if (field->descriptor == &freshwire__v1__position__descriptor) {
        write_position(json, *(const Freshwire__V1__Position *const *)member->at, before);
        return true;
    }
    literal(json, before);
    fw_json_string(json, fw_text(field->name));
    literal(json, ":");
    if (list) {
        write_list(json, member);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *value = member->at;
        fw_json_raw(json, value->data, value->len); /* see check_values */
    } else {
        fw_codec_value_json(json, field, member->at);
    }
    return true;
}

static void write_fields(fw_json_t *json, const ProtobufCMessage *message, const char *before)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const member_t member = {message, field, (const char *)message + field->offset};
        if (write_member(json, &member, before))
            before = ",";
    }
}

/* Bytes are spliced in as JSON values. */
static bool check_values(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const void *at = (const char *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_BYTES)
            continue;
        const ProtobufCBinaryData *value = at;
        if (value->len > 0 && !fw_json_valid((fw_bytes_t){value->data, value->len}))
            return false;
    }
    return true;
}

static int refuse(const char *field, const char *reason, fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = 0};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return -EBADMSG;
}

static const char *name_of(const Freshwire__V1__ClientMessage *message)
{
    return protobuf_c_message_descriptor_get_field(message->base.descriptor,
                                                   (unsigned)message->message_case)
        ->name;
}

static void write_all(fw_json_t *json, const char *name, const ProtobufCMessage *message)
{
    literal(json, "{\"type\":\"fw.");
    literal(json, name);
    literal(json, "\"");
    write_fields(json, message, ",");
    literal(json, "}");
}

int fw_browser_decode(fw_codec_t *codec, fw_bytes_t data, fw_bytes_t *ret_json,
                      fw_refusal_t *ret_refusal)
{
    const ProtobufCMessageDescriptor *descriptor = &freshwire__v1__client_message__descriptor;
    int result = fw_wire_check(descriptor, data, ret_refusal);
    if (result != 0)
        return result;
    fw_arena_reset(codec->decoded);
    const Freshwire__V1__ClientMessage *message = fw_codec_unpack(descriptor, codec->decoded, data);
    if (!message || message->message_case == FRESHWIRE__V1__CLIENT_MESSAGE__MESSAGE__NOT_SET)
        return refuse("message", "is empty or of an unknown kind", ret_refusal);
    const ProtobufCMessage *member = &message->hello->base; /* every kind is a message pointer */
    if (!check_values(member))
        return refuse("data", "is not one JSON value", ret_refusal);
    fw_json_t measure = {.buffer = NULL};
    write_all(&measure, name_of(message), member);
    char *buffer = (char *)fw_codec_reserve(codec, measure.needed);
    fw_json_t json = {.buffer = buffer, .size = measure.needed};
    write_all(&json, name_of(message), member);
    *ret_json = (fw_bytes_t){(const uint8_t *)buffer, json.needed};
    return 0;
}
