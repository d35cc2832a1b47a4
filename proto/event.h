/* event.h - events, what they may hold, and the rules they keep.   SPDX-License-Identifier: MPL-2.0
 * Pure. Every text and list is borrowed. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_EVENT_TYPE_SIZE_MAX = 64,
    FW_EVENT_ID_SIZE_MAX = 128,
    FW_PAYLOAD_SIZE_MAX = 64 * 1024,
    FW_PUBLICATION_SIZE_MAX = FW_PAYLOAD_SIZE_MAX + 4096, /* encoded */
    FW_AUDIENCE_MAX = 64,
    FW_INVALIDATE_KEYS_MAX = 1000,
    FW_INVALIDATE_TAGS_MAX = 256,
    FW_INVALIDATE_PATTERNS_MAX = 16,
    FW_KEY_SIZE_MAX = 1024,
    FW_TAG_SIZE_MAX = 256,
    FW_ORIGIN_SIZE_MAX = 128,
    FW_USER_ID_SIZE_MAX = 180,
    FW_TRACEPARENT_SIZE_MAX = 64,
};

/* Why a message was refused. Field is a path such as "audience[3]" (in an event) or
 * "replay.channel". */
typedef struct {
    char field[96];
    char reason[160];
    uint64_t limit;
    uint64_t value;
} fw_refusal_t;

typedef enum {
    FW_PAYLOAD_NONE,
    FW_PAYLOAD_JSON,
    FW_PAYLOAD_BINARY,
    FW_PAYLOAD_TYPED, /* one of the six event messages */
} fw_payload_kind_t;

typedef struct {
    fw_payload_kind_t kind;
    fw_bytes_t bytes;    /* JSON text or bytes; of a typed payload its encoded message */
    const void *message; /* typed: the decoded message, for fw_codec_payload_json only */
    fw_text_t type;      /* typed: the event type that the message belongs to */
} fw_payload_t;

typedef struct {
    fw_text_t user_id;
    fw_text_t origin;
} fw_exclude_t;

typedef struct {
    const fw_text_t *keys;
    size_t keys_count;
    const fw_text_t *tags;
    size_t tags_count;
    const fw_text_t *patterns;
    size_t patterns_count;
} fw_invalidate_t;

typedef struct {
    fw_text_t id;
    fw_text_t type;
    fw_payload_t data;
    const fw_text_t *audience;
    size_t audience_count;
    fw_exclude_t exclude;
    fw_invalidate_t invalidate;
    fw_text_t origin;
    fw_text_t user_id;
    int64_t ts; /* milliseconds */
    fw_text_t traceparent;
    bool client; /* published by the browser of user_id */
} fw_event_t;

typedef struct {
    fw_text_t id;
    fw_text_t type;
    fw_payload_t data;
    fw_exclude_t exclude;
    fw_text_t origin;
    fw_text_t user_id;
    int64_t ts;
    fw_text_t traceparent;
    bool client;
} fw_publication_t;

/* Checks what decoders do not: types, names of channels, that JSON data is one JSON value. Every
 * event from outside passes here once, wherever it came from (a link, JSON, flags), before it goes
 * on. 0, -EMSGSIZE or -EPROTO with ret_refusal filled in. */
int fw_event_check(const fw_event_t *event, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));
