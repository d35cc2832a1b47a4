/* fire.h - publishes events to the broker without acknowledgement.   SPDX-License-Identifier:
 * MPL-2.0
 * For events whose loss is cheap: while the link is up they are handed to the network, and that is
 * all that is known. Events are numbered, so that the broker sees what was lost and asks for it;
 * the last FW_KEPT_EVENTS_MAX of them are kept to be sent again. Not thread-safe: one a thread.
 * Nothing blocks, except fw_fire_wait.
 *
 * The link is supervised in fw_fire_service, which every other call calls as well: a socket on
 * which no broker subscribes for FW_FIRE_SILENCE_MS is made anew after a jittered wait, because
 * ZeroMQ gives a connection to a wrong peer up for good. Who sends seldom calls it when
 * fw_fire_deadline_ms says so, or the end of a burst may be missed for that long. */
#pragma once

#include <czmq.h>

#include "clients/c/kept.h"
#include "proto/codec.h"
#include "runtime/security.h"

typedef struct fw_fire fw_fire_t;

enum {
    FW_FIRE_SILENCE_MS = 3000, /* without a broker that subscribes; then another socket */
    FW_FIRE_REOPEN_BASE_MS = 100,
    FW_FIRE_REOPEN_MS_MAX = 2000,
    FW_FIRE_MARK_MS = 1000,            /* between marks, while there is something new to tell */
    FW_FIRE_RESENDS_PER_SECOND = 2000, /* events sent again; what is asked for beyond waits */
    FW_FIRE_RESENDS_AT_ONCE = 256,
};

typedef struct {
    const char *endpoint;          /* tcp://host:7001 or inproc://…; copied */
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
} fw_fire_options_t;

/* Begins to connect. 0, or -EINVAL for a bad endpoint. */
int fw_fire_new(const fw_fire_options_t *options, fw_fire_t **ret_fire)
    __attribute__((warn_unused_result));
/* Tells the broker how far it has counted. What ZeroMQ has not sent after linger_ms is dropped.
 * NULL-safe, sets *self_p to NULL. */
void fw_fire_destroy(fw_fire_t **self_p, int linger_ms);

/* 0; -EHOSTUNREACH while the link is down, -EAGAIN while it takes no more (the event is neither
 * kept nor numbered: it is the caller's again); -EMSGSIZE or -EPROTO with ret_refusal when it
 * breaks a limit. An empty id is replaced by a random one. */
int fw_fire_send(fw_fire_t *self, const fw_event_t *event, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));
/* Reads what the broker asks for, sends it again, tells how far was counted, opens another socket
 * when this one is useless. now_ms is fw_clock_ms(). */
void fw_fire_service(fw_fire_t *self, int64_t now_ms);
/* When to call service at the latest. */
int64_t fw_fire_deadline_ms(const fw_fire_t *self);

/* Waits until the link is up, at most timeout_ms. 0 or -ETIMEDOUT. */
int fw_fire_wait(fw_fire_t *self, int64_t timeout_ms) __attribute__((warn_unused_result));
bool fw_fire_connected(fw_fire_t *self);
/* Becomes readable when the link goes up or down, or the broker asks; NULL while there is none. It
 * may be another one after every call: socket_number then has grown. */
zsock_t *fw_fire_socket(fw_fire_t *self);
uint64_t fw_fire_socket_number(const fw_fire_t *self);

/* Counted since the beginning, for the owner's metrics. */
typedef struct {
    uint64_t sent;       /* events put on the wire, each once */
    uint64_t resent;     /* because the broker asked */
    uint64_t gone;       /* that it asked for and that are not kept any more */
    uint64_t refused;    /* -EHOSTUNREACH and -EAGAIN */
    uint64_t reopened;   /* sockets that no broker subscribed on */
    uint64_t bad_frames; /* that are no message of the broker */
} fw_fire_stats_t;

const fw_fire_stats_t *fw_fire_stats(const fw_fire_t *self);
