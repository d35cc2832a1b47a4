/* connection.h - one TCP connection of a shard, and the publish that it may carry.
 * SPDX-License-Identifier: MPL-2.0
 * Shared by the files of the shard; for nobody else. */
#pragma once

#include <libwebsockets.h>

#include "gateway/dialogue.h"

/* What a session's timer stands for. */
typedef enum {
    FW_PHASE_NONE,
    FW_PHASE_HELLO,
    FW_PHASE_PING,
    FW_PHASE_PONG,
    FW_PHASE_CLOSING,
} fw_phase_t;

typedef struct fw_post fw_post_t;

/* One TCP connection as far as we need it beside libwebsockets: made when its first request has
 * been read. */
typedef struct {
    struct lws *wsi;
    fw_session_t *session; /* NULL before the upgrade and after the end */
    fw_opening_t *opening; /* only during the upgrade; its texts are in opening_texts */
    char *opening_texts;
    char *room;       /* of the path */
    uint8_t *message; /* the message under way */
    fw_post_t *post;  /* the HTTP publish under way */
    char *farewell;   /* HTTP answer to be sent when the request's body has been read */
    size_t farewell_size;
    fw_close_t close; /* pending */
    uint32_t message_size;
    uint32_t message_capacity;
    uint16_t empty_fragments;
    uint8_t endpoint; /* fw_endpoint_t */
    bool message_old; /* the message under way was there at the last ping */
    bool websocket;   /* counted in websockets */
    bool close_sent;
    bool asked; /* a request was understood */
} fw_connection_t;

struct fw_post {
    fw_connection_t *connection; /* NULL when the client has gone */
    fw_post_t *next;
    fw_post_t *previous;
    enum { FW_POST_READING, FW_POST_WAITING, FW_POST_ANSWERED } state;
    uint64_t request_id;
    char *id; /* Idempotency-Key, or empty */
    uint8_t *body;
    size_t size;
    size_t expected;
    char *response;
    size_t response_size;
};
