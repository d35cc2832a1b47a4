/* connection.h - one TCP connection of a shard, and the publish that it may carry.
 * SPDX-License-Identifier: MPL-2.0
 * Shared by the files of the shard; for nobody else. */
#pragma once

#include <libwebsockets.h>

#include "gateway/address.h"
#include "gateway/dialogue.h"
#include "gateway/frame_check.h"

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
typedef struct fw_guest fw_guest_t;

/* What is only there until a session begins, or for ever on a connection that has none. */
typedef struct {
    fw_arrival_t *arrival; /* what the handshake brought; during the upgrade */
    fw_post_t *post;       /* the publish under way */
    char *farewell;        /* answer to be sent when the request's body has been read */
    size_t farewell_size;
    char *reason; /* of the close, when others gave it */
} fw_request_t;

/* A message that comes in pieces. */
typedef struct {
    uint32_t size;
    uint32_t capacity;
    uint16_t empty_fragments;
    bool old; /* it was there at the last ping */
    uint8_t bytes[];
} fw_assembly_t;

/* One TCP connection as far as we need it beside libwebsockets. Kept small, as the session is. */
typedef struct {
    struct lws *wsi;
    fw_session_t *session;    /* NULL before the upgrade */
    fw_request_t *request;    /* NULL when there is nothing of it */
    fw_assembly_t *assembly;  /* NULL when no message is under way */
    char *room;               /* of the path, until the session has greeted */
    const char *close_reason; /* static, or of the request */
    fw_guest_t *guest;        /* the deadline of its request; NULL when there is none */
    fw_close_t broken;        /* the rule of the wire that its client broke */
    fw_frame_check_t check;   /* where its client is in its frames */
    fw_address_t address;     /* of the client, as far as it is known */
    int fd;
    uint16_t close_code; /* pending or sent; 0 = none */
    uint8_t endpoint;    /* fw_endpoint_t */
    uint8_t padding;     /* of server-sent events: KiB after each piece */
    bool asked : 1;      /* a request was understood */
    bool websocket : 1;  /* counted in websockets */
    bool close_sent : 1;
    bool watched : 1;         /* something was seen of what its client sends */
    bool head_read : 1;       /* the head of its request is behind us */
    bool address_counted : 1; /* in the tallies of the door */
    bool user_counted : 1;
    uint8_t head_matched; /* how much of the end of a head came last */
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
