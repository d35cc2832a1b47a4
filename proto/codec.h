/* codec.h - every message between Freshwire processes, decoded and encoded.
 * SPDX-License-Identifier: MPL-2.0 Pure. The only code that sees protobuf-c. A decoder first walks
 * the bytes and checks every size, count, depth and text against the limits below, and only then
 * allocates. Not thread-safe: one codec an actor. */
#pragma once

#include "proto/bytes.h"
#include "proto/position.h"

enum {
    FW_PROTOCOL_VERSION = 1,
    FW_INCARNATION_SIZE = 16,
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
    FW_NAME_SIZE_MAX = 128,
    FW_REASON_SIZE_MAX = 512,
    FW_TRACEPARENT_SIZE_MAX = 64,
    FW_POSITIONS_MAX = 512,              /* channels in one positions request */
    FW_REPLAY_EVENTS_MAX = 256,          /* deliveries in one replay reply */
    FW_FRAME_SIZE_MAX = 1024 * 1024,     /* what a bound socket accepts */
    FW_REPLY_SIZE_MAX = 8 * 1024 * 1024, /* what a connecting socket accepts */
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
} fw_publication_t;

typedef struct {
    fw_text_t channel;
    fw_position_t position;
    uint64_t fresh; /* microseconds of Redis time, 0 = nothing was invalidated */
    bool unconfirmed;
    uint32_t spread_ms;
    fw_bytes_t publication; /* encoded; fw_codec_decode_publication reads it */
} fw_delivery_t;

typedef struct {
    fw_text_t channel;
    fw_position_t position;
} fw_channel_position_t;

typedef struct {
    uint32_t version;
    fw_text_t name;
    fw_bytes_t incarnation;
    uint32_t capacity;
} fw_hello_t;

typedef struct {
    uint32_t version;
    fw_bytes_t incarnation;
    uint32_t credit;
    uint32_t event_bytes_max;
    uint32_t beacon_interval_ms;
} fw_welcome_t;

typedef enum {
    FW_ACK_PURGED = 0, /* the default */
    FW_ACK_ACCEPTED = 1,
    FW_ACK_REPLICATED = 3,
} fw_ack_level_t;

typedef enum {
    FW_PUBLISH_OK = 1,
    FW_PUBLISH_DUPLICATE = 2,
    FW_PUBLISH_RETRY = 3,
    FW_PUBLISH_OVERLOAD = 4,
    FW_PUBLISH_REJECTED = 5,
} fw_publish_status_t;

typedef struct {
    uint64_t request_id;
    fw_ack_level_t level;
    uint64_t sequence;
    fw_bytes_t incarnation;
    fw_event_t event;
} fw_publish_t;

typedef struct {
    uint64_t request_id;
    fw_text_t id;
    fw_publish_status_t status;
    const fw_channel_position_t *positions;
    size_t positions_count;
    uint32_t credit;
    uint32_t retry_after_ms;
    bool has_refusal;
    fw_refusal_t refusal;
    bool unconfirmed;
    uint64_t fresh;
} fw_publish_ack_t;

typedef struct {
    uint64_t job_id;
    uint32_t attempt;
    uint32_t lease_ms;
    fw_invalidate_t invalidate;
} fw_job_t;

typedef struct {
    fw_text_t tag;
    uint64_t stamp;
} fw_stamp_t;

typedef struct {
    uint64_t job_id;
    uint64_t redis_time; /* microseconds */
    const fw_stamp_t *stamps;
    size_t stamps_count;
    uint32_t keys_removed;
} fw_job_done_t;

typedef struct {
    uint64_t job_id;
    bool retryable;
    fw_text_t reason;
} fw_job_failed_t;

typedef struct {
    fw_bytes_t incarnation;
    uint64_t number;
    uint64_t ts_us;
} fw_beacon_t;

typedef struct {
    uint64_t request_id;
    const fw_text_t *channels;
    size_t channels_count;
} fw_positions_request_t;

typedef struct {
    uint64_t request_id;
    const fw_channel_position_t *positions;
    size_t positions_count;
} fw_positions_reply_t;

typedef struct {
    uint64_t request_id;
    fw_text_t channel;
    fw_position_t since;
    uint32_t limit;
} fw_replay_request_t;

typedef enum {
    FW_REPLAY_COMPLETE = 1,
    FW_REPLAY_MORE = 2,
    FW_REPLAY_RESET = 3,
} fw_replay_status_t;

typedef struct {
    uint64_t request_id;
    fw_text_t channel;
    fw_replay_status_t status;
    fw_position_t visible;
    const fw_delivery_t *deliveries;
    size_t deliveries_count;
} fw_replay_reply_t;

typedef enum {
    FW_MESSAGE_HELLO = 1,
    FW_MESSAGE_WELCOME,
    FW_MESSAGE_PING,
    FW_MESSAGE_PONG,
    FW_MESSAGE_GOODBYE,
    FW_MESSAGE_REFUSAL,
    FW_MESSAGE_PUBLISH,
    FW_MESSAGE_PUBLISH_ACK,
    FW_MESSAGE_JOB,
    FW_MESSAGE_JOB_DONE,
    FW_MESSAGE_JOB_FAILED,
    FW_MESSAGE_POSITIONS_REQUEST,
    FW_MESSAGE_POSITIONS_REPLY,
    FW_MESSAGE_REPLAY_REQUEST,
    FW_MESSAGE_REPLAY_REPLY,
} fw_message_kind_t;

/* One message of any link, as a tagged union. */
typedef struct {
    fw_message_kind_t kind;
    union {
        fw_hello_t hello;
        fw_welcome_t welcome;
        uint64_t number;   /* PING, PONG */
        fw_text_t goodbye; /* the reason */
        fw_refusal_t refusal;
        fw_publish_t publish;
        fw_publish_ack_t ack;
        fw_job_t job;
        fw_job_done_t done;
        fw_job_failed_t failed;
        fw_positions_request_t positions_request;
        fw_positions_reply_t positions_reply;
        fw_replay_request_t replay_request;
        fw_replay_reply_t replay_reply;
    };
} fw_message_t;

/* The six envelopes: which messages may appear depends on the link and the direction. */
typedef enum {
    FW_LINK_PUBLISHER_UP,
    FW_LINK_PUBLISHER_DOWN,
    FW_LINK_WORKER_UP,
    FW_LINK_WORKER_DOWN,
    FW_LINK_GATEWAY_UP,
    FW_LINK_GATEWAY_DOWN,
} fw_link_t;

typedef struct fw_codec fw_codec_t;

/* A codec owns the memory of its last decoded message and a buffer for the last encoded one. */
fw_codec_t *fw_codec_new(void) __attribute__((warn_unused_result));
void fw_codec_destroy(fw_codec_t **self_p);

/* Decodes one message of a link. The result borrows from data and from the codec, until the codec
 * decodes again. 0; -EBADMSG when the bytes are not such a message, -EMSGSIZE when a limit is
 * passed, -EPROTO when a value is not allowed: ret_refusal then says which field. Never more than
 * one error is reported. */
int fw_codec_decode(fw_codec_t *self, fw_link_t link, fw_bytes_t data, fw_message_t *ret_message,
                    fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));

/* Decodes the body of an event frame (after its topic), as above. */
int fw_codec_decode_delivery(fw_codec_t *self, fw_bytes_t data, fw_delivery_t *ret_delivery,
                             fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
int fw_codec_decode_beacon(fw_codec_t *self, fw_bytes_t data, fw_beacon_t *ret_beacon,
                           fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* Decodes a publication without ending the life of what the last other decode returned. */
int fw_codec_decode_publication(fw_codec_t *self, fw_bytes_t data,
                                fw_publication_t *ret_publication, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));

/* Encoders. The result borrows from the codec, until it encodes again. The message must be one that
 * the link carries and keep every limit (assert): senders check what they take from outside. */
fw_bytes_t fw_codec_encode(fw_codec_t *self, fw_link_t link, const fw_message_t *message);
fw_bytes_t fw_codec_encode_publication(fw_codec_t *self, const fw_event_t *event);
/* An event frame: the channel's topic and the delivery. */
fw_bytes_t fw_codec_encode_event_frame(fw_codec_t *self, const fw_delivery_t *delivery);
fw_bytes_t fw_codec_encode_beacon_frame(fw_codec_t *self, const fw_beacon_t *beacon);

/* Checks an event that did not come through a decoder (from JSON or flags) by the same rules.
 * 0, -EMSGSIZE or -EPROTO with ret_refusal filled in. */
int fw_event_check(const fw_event_t *event, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));

/* Writes a payload as one JSON value (typed: an object with the proto's field names, 64-bit numbers
 * as strings; binary: a base64 string; none: null). JSON payloads are copied as they are. Returns
 * the bytes written, or the size needed when it is larger than size (then nothing useful is
 * written). */
size_t fw_codec_payload_json(const fw_payload_t *payload, char *buffer, size_t size);
