/* wrong_peer.h - somebody else on the broker's port, for tests of links.
 * SPDX-License-Identifier: MPL-2.0
 * Single-threaded: wrong_peer_turn does what is due. Whatever fails here ends the test program. */
#pragma once

typedef enum {
    WRONG_REP,     /* a ZeroMQ socket of a type that speaks with none of ours */
    WRONG_HTTP,    /* an HTTP server */
    WRONG_GARBAGE, /* greets as ZeroMQ does, then talks nonsense */
    WRONG_MUTE,    /* accepts connections and says nothing */
    WRONG_KINDS,
} wrong_kind_t;

typedef struct wrong_peer wrong_peer_t;

/* Listens at an endpoint, tcp://127.0.0.1:port; waits until the port is free. */
wrong_peer_t *wrong_peer_new(wrong_kind_t kind, const char *endpoint);
void wrong_peer_destroy(wrong_peer_t **self_p); /* closes its connections, too */
void wrong_peer_turn(wrong_peer_t *self);
/* Connections that came; not counted for WRONG_REP. */
unsigned wrong_peer_connections(const wrong_peer_t *self);
