/* route.h - what a request's path and headers ask for.   SPDX-License-Identifier: MPL-2.0
 * Pure. libwebsockets has decoded percent escapes in path and arguments before (and joined repeated
 * slashes), so nothing is decoded here a second time. Nothing of a query is ever logged: it may
 * hold a token. */
#pragma once

#include <stddef.h>

#include "proto/bytes.h"

typedef enum {
    FW_ENDPOINT_NONE,
    FW_ENDPOINT_ALL,           /* <prefix>/ws */
    FW_ENDPOINT_NOTIFICATIONS, /* <prefix>/ws/notifications */
    FW_ENDPOINT_ROOM,          /* <prefix>/ws/room/<room> */
    FW_ENDPOINT_EVENTS,        /* <prefix>/v1/events */
} fw_endpoint_t;

typedef struct {
    fw_endpoint_t endpoint;
    fw_text_t room; /* borrows from the path */
    bool stream;    /* <prefix>/sse…: server-sent events instead of a WebSocket */
} fw_route_t;

fw_route_t fw_route_parse(fw_text_t prefix, fw_text_t path);

/* The value when argument is "<name>=<value>". */
bool fw_route_argument(fw_text_t argument, const char *name, fw_text_t *ret_value);

/* The token of "Bearer <token>"; empty when the header is something else. */
fw_text_t fw_route_bearer(fw_text_t authorization);

#define FW_SUBPROTOCOL_JSON "freshwire.v1.json"
#define FW_SUBPROTOCOL_PROTOBUF "freshwire.v1.protobuf"

enum { FW_SUBPROTOCOL_SIZE_MAX = 63 };

typedef enum {
    FW_SUBPROTOCOL_NONE,        /* nothing was offered: a plain client */
    FW_SUBPROTOCOL_OURS,        /* the first one of ours is JSON */
    FW_SUBPROTOCOL_OURS_BINARY, /* it is protobuf */
    FW_SUBPROTOCOL_UNKNOWN,     /* only others were offered; the first one is in ret_first */
    FW_SUBPROTOCOL_BAD,         /* not a list of tokens, or one is too long */
} fw_subprotocol_t;

/* Chooses from a Sec-WebSocket-Protocol header. */
fw_subprotocol_t fw_route_subprotocol(fw_text_t offered,
                                      char ret_first[FW_SUBPROTOCOL_SIZE_MAX + 1]);

/* Is this Origin header in the list? An empty list allows any; who sends no Origin is no browser,
 * so it is not a page of somebody else's. */
bool fw_route_origin_allowed(const char *const *origins, size_t count, fw_text_t origin);
