/* socket.h - the one place that makes ZeroMQ sockets.   SPDX-License-Identifier: MPL-2.0
 * Every option is set here, to values that were each learnt from a measured failure
 * (docs/decisions/). A socket belongs to the thread that opened it. Nothing here blocks. */
#pragma once

#include <czmq.h>

#include "proto/bytes.h"
#include "runtime/security.h"

typedef enum {
    FW_SOCKET_ROUTER_BIND,    /* requests from many peers */
    FW_SOCKET_DEALER_CONNECT, /* one request link to one peer */
    FW_SOCKET_XSUB_BIND,      /* fire-and-forget input; subscribes to everything by itself */
    FW_SOCKET_XPUB_CONNECT, /* fire-and-forget output; receives 1 when the link is up, 0 when it is
                               down */
    FW_SOCKET_XPUB_BIND,    /* fan-out; receives every subscription, also repeated ones */
    FW_SOCKET_SUB_CONNECT,  /* fan-in of subscribed topics */
} fw_socket_role_t;

enum {
    FW_SOCKET_BIND_BYTES_MAX = 1024 * 1024, /* FW_FRAME_SIZE_MAX of proto/codec.h */
    FW_SOCKET_CONNECT_BYTES_MAX =
        8 * 1024 * 1024, /* more than a broker sends: a refusal here would end the link */
};

/* Everything that may differ; fw_socket_settings gives the values of a role. */
typedef struct {
    fw_socket_role_t role;
    int send_hwm;              /* messages, 0 = unbounded */
    int receive_hwm;           /* messages, 0 = unbounded */
    int heartbeat_interval_ms; /* 0 = none; only on bound sockets */
    int heartbeat_timeout_ms;
    int handshake_ms;
    int64_t message_bytes_max;
    int reconnect_ms; /* plus up to as much jitter */
    int reconnect_ms_max;
    int receive_buffer_bytes; /* SO_RCVBUF, 0 = the kernel's */
    int send_buffer_bytes;    /* SO_SNDBUF, 0 = the kernel's */
    /* CURVE on every transport but inproc; NULL = none. Must outlive the socket. */
    const fw_security_t *security;
    fw_domain_t domain;  /* of a bound socket: which door it is */
    unsigned server_key; /* of a connecting one: which server key it trusts, modulo their number */
} fw_socket_settings_t;

fw_socket_settings_t fw_socket_settings(fw_socket_role_t role);

/* Pure: 0, or -EINVAL and *ret_reason (static text) for a combination that is known to lose
 * messages or to abort the process: a SUB or XSUB with a finite send_hwm, a heartbeat on a
 * connecting socket, a heartbeat with a finite receive_hwm, a message_bytes_max below 1024, a
 * negative value. */
int fw_socket_check(const fw_socket_settings_t *settings, const char **ret_reason)
    __attribute__((warn_unused_result));

/* Opens a socket and binds or connects every endpoint of a comma-separated list ("tcp://…",
 * "ipc://…", "inproc://…", "tcp://127.0.0.1:*"). 0; -EINVAL for bad settings or a bad endpoint,
 * -EADDRINUSE, -EMFILE …; on failure nothing stays open. When all endpoints are on this machine,
 * reconnects come after 100 ms, at most 1 s. The caller destroys it with zsock_destroy. */
int fw_socket_open(const fw_socket_settings_t *settings, const char *endpoints,
                   zsock_t **ret_socket) __attribute__((warn_unused_result));

/* Endpoint that the last bind got, with the real port ("tcp://127.0.0.1:41233"). The caller frees
 * it. */
char *fw_socket_endpoint(zsock_t *socket) __attribute__((warn_unused_result));

enum { FW_PEER_SIZE_MAX = 32 };

/* A ROUTER's name for one connection; new at every connection, never chosen by the peer. */
typedef struct {
    uint8_t size;
    uint8_t id[FW_PEER_SIZE_MAX];
} fw_peer_t;

/* Sends one frame. 0; -EAGAIN when it would block; -EHOSTUNREACH when the peer is gone. The bytes
 * are copied. */
int fw_socket_send(zsock_t *socket, fw_bytes_t frame) __attribute__((warn_unused_result));
int fw_socket_send_to(zsock_t *router, const fw_peer_t *peer, fw_bytes_t frame)
    __attribute__((warn_unused_result));

/* Receives one message of exactly one frame into an initialised zmq_msg_t. 0; -EAGAIN when there is
 * none; -EBADMSG when the message had more frames, or came from a peer that chose its own routing
 * id (all of it is dropped; go on receiving). */
int fw_socket_receive(zsock_t *socket, zmq_msg_t *frame) __attribute__((warn_unused_result));
int fw_socket_receive_from(zsock_t *router, fw_peer_t *ret_peer, zmq_msg_t *frame)
    __attribute__((warn_unused_result));
/* The key of the peer that sent a frame (of a ROUTER: the frame of fw_socket_receive_from), 40
 * characters; empty for a peer without one. Lives as long as the frame. Costs two look-ups in a
 * small map: do not ask on links without keys. */
fw_text_t fw_socket_user(zmq_msg_t *frame);
/* View of a received frame; lives as long as the zmq_msg_t is not closed or received into again. */
fw_bytes_t fw_socket_bytes(zmq_msg_t *frame);
