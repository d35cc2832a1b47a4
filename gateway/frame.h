/* frame.h - the head of a WebSocket frame that a server sends.   SPDX-License-Identifier: MPL-2.0
 * Pure. Server frames are not masked, so the same bytes serve every session. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_FRAME_HEAD_SIZE_MAX = 10,
    FW_FRAME_CLOSE_SIZE_MAX = 127, /* a whole close frame */
};

typedef enum {
    FW_FRAME_TEXT = 1,
    FW_FRAME_BINARY = 2,
    FW_FRAME_CLOSE = 8,
    FW_FRAME_PING = 9,
    FW_FRAME_PONG = 10,
} fw_frame_kind_t;

/* What the messages of a session are written in. */
typedef enum {
    FW_ENCODING_JSON,     /* text messages: freshwire.v1.json, and plain clients */
    FW_ENCODING_PROTOBUF, /* binary messages: freshwire.v1.protobuf */
    FW_ENCODING_SSE,      /* server-sent events, see sse.h */
} fw_encoding_t;

enum { FW_ENCODINGS = FW_ENCODING_SSE + 1 };

/* Size of the head of an unfragmented frame with so many bytes of payload. */
size_t fw_frame_head_size(size_t payload_size);
/* Writes it; returns its size. */
size_t fw_frame_head(fw_frame_kind_t kind, size_t payload_size,
                     uint8_t ret_head[FW_FRAME_HEAD_SIZE_MAX]);

/* The payload of a whole frame. */
fw_bytes_t fw_frame_payload(fw_bytes_t frame);

/* Writes a whole close frame; a reason of more than 123 bytes is cut. Returns its size. */
size_t fw_frame_close(unsigned code, const char *reason,
                      uint8_t ret_frame[FW_FRAME_CLOSE_SIZE_MAX]);
