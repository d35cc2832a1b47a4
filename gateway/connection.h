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
typedef struct fw_arrival fw_arrival_t;

/* What is only there until a session begins, or for ever on a connection that has none. */
typedef struct {
    fw_arrival_t *arrival; /* what the handshake brought; during the upgrade */
    fw_post_t *post;       /* the publish under way */
    char *farewell;        /* answer to be sent when the request's body has been read */
    size_t farewell_size;
} fw_request_t;

/* A message that comes in pieces. */
typedef struct {
    uint32_t size;
    uint32_t capacity;
    uint16_t empty_fragments;
    bool old; /* it was there at the last ping */
    uint8_t bytes[];
} fw_assembly_t;

/* One TCP connection as far as we need it beside libwebsockets: made when its first request has
 * been read. Kept small, as the session is. */
typedef struct {
    struct lws *wsi;
    fw_session_t *session;    /* NULL before the upgrade */
    fw_request_t *request;    /* NULL when there is nothing of it */
    fw_assembly_t *assembly;  /* NULL when no message is under way */
    char *room;               /* of the path, until the session has greeted */
    const char *close_reason; /* static */
    uint16_t close_code;      /* pending or sent; 0 = none */
    uint8_t endpoint;         /* fw_endpoint_t */
    uint8_t padding;          /* of server-sent events: KiB after each piece */
    bool asked : 1;           /* a request was understood */
    bool websocket : 1;       /* counted in websockets */
    bool close_sent : 1;
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
