/* codec_internal.h - shared by the files of the codec only.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "freshwire/v1/events.pb-c.h"
#include "freshwire/v1/gateway.pb-c.h"
#include "freshwire/v1/jobs.pb-c.h"
#include "freshwire/v1/link.pb-c.h"
#include "freshwire/v1/presence.pb-c.h"
#include "freshwire/v1/publish.pb-c.h"
#include "proto/arena.h"
#include "proto/codec.h"
#include "proto/json_text.h"

struct fw_codec {
    fw_arena_t *decoded;     /* of the last message, delivery or beacon */
    fw_arena_t *publication; /* of the last publication */
    fw_arena_t *encoding;    /* structs that live while one message is packed */
    uint8_t *buffer;         /* the last encoded message */
    size_t capacity;
};

/* One of the six typed payloads. */
typedef struct {
    Freshwire__V1__Payload__KindCase kind;
    const char *type;
    const ProtobufCMessageDescriptor *descriptor;
} fw_typed_payload_t;

/* NULL when there is none such. */
const fw_typed_payload_t *fw_typed_payload_of_kind(Freshwire__V1__Payload__KindCase kind);
const fw_typed_payload_t *fw_typed_payload_of_type(fw_text_t type);

/* Every envelope is one oneof of message pointers, so all six share this layout (codec.c asserts
 * it). */
typedef struct {
    ProtobufCMessage base;
    int message_case; /* field number, 0 = not set */
    ProtobufCMessage *message;
} fw_envelope_t;

const ProtobufCMessageDescriptor *fw_envelope_descriptor(fw_link_t link);

/* Unpacks bytes that passed fw_wire_check. NULL when protobuf-c disagrees with the check. */
void *fw_codec_unpack(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
                      fw_bytes_t data) __attribute__((warn_unused_result));
/* Makes the buffer at least so large; its content is lost. */
uint8_t *fw_codec_reserve(fw_codec_t *self, size_t size) __attribute__((warn_unused_result));
/* A field of one value, or one of a repeated one, as JSON; bytes as base64. */
void fw_codec_value_json(fw_json_t *json, const ProtobufCFieldDescriptor *field, const void *at);
/* It is not the default. */
bool fw_codec_value_is_set(const ProtobufCFieldDescriptor *field, const void *at);

/* codec_encode.c: the topic, if any, and the message. */
fw_bytes_t fw_codec_pack(fw_codec_t *self, const ProtobufCMessage *message, const char *topic,
                         size_t topic_size);
/* codec_decode.c. -EPROTO, with the refusal filled in. */
int fw_codec_refuse(const char *field, const char *reason, uint64_t limit, uint64_t value,
                    fw_refusal_t *ret_refusal);
/* Resets the arena, checks every limit, unpacks. */
int fw_codec_unpack_checked(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
                            fw_bytes_t data, void **ret_message, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));

fw_invalidate_t fw_codec_invalidate_of(fw_arena_t *arena, const Freshwire__V1__Invalidate *from);

/* codec_jobs.c */
int fw_codec_job_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                    fw_refusal_t *ret_refusal);
int fw_codec_jobs_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                     fw_refusal_t *ret_refusal);
int fw_codec_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                     fw_refusal_t *ret_refusal);
int fw_codec_jobs_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal);
int fw_codec_failed_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                       fw_refusal_t *ret_refusal);

/* codec_presence.c: the struct of a message, and the message of a struct. */
void *fw_codec_presence_in(fw_arena_t *arena, const fw_message_t *message);
int fw_codec_presence_report_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                fw_refusal_t *ret_refusal);
int fw_codec_presence_ack_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                             fw_refusal_t *ret_refusal);
int fw_codec_presence_request_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                 fw_refusal_t *ret_refusal);
int fw_codec_presence_reply_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal);
int fw_codec_client_note_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                            fw_refusal_t *ret_refusal);

/* codec_sessions.c */
void *fw_codec_sessions_in(fw_arena_t *arena, const fw_message_t *message);
int fw_codec_session_command_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                fw_refusal_t *ret_refusal);
int fw_codec_session_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                             fw_refusal_t *ret_refusal);
int fw_codec_session_result_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal);
