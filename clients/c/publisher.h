/* publisher.h - publishes events to the broker, acknowledged.   SPDX-License-Identifier: MPL-2.0
 * One DEALER socket with the broker's credit window; not thread-safe: one publisher a thread.
 * Nothing blocks, except fw_publisher_wait. An event that is not acknowledged is sent again with
 * the same id after a jittered wait, also across reconnects and broker restarts, until its timeout;
 * the broker drops what it has already seen.
 *
 *     fw_publisher_t *publisher = NULL;
 *     fw_publisher_options_t options = {.endpoint = "tcp://127.0.0.1:7002", .name = "orders"};
 *     int result = fw_publisher_new(&options, done, context, &publisher);
 *     fw_text_t audience[] = {FW_TEXT("room:42")};
 *     fw_event_t event = {.type = FW_TEXT("project_updated"), .audience = audience, .audience_count
 * = 1}; result = fw_publisher_send(publisher, &event, FW_ACK_PURGED, fw_clock_ms(), &request_id,
 * &refusal); while (fw_publisher_in_flight(publisher) > 0) fw_publisher_wait(publisher, 1000); //
 * done(context, request_id, 0, ack) is called in here fw_publisher_destroy(&publisher);
 *
 * With a loop of your own: poll fw_publisher_socket (or its ZMQ_FD, which is edge-triggered) and
 * fw_publisher_deadline_ms, and call fw_publisher_service when either fires. now_ms is
 * fw_clock_ms() of runtime/clock.h everywhere: monotonic milliseconds.
 *
 * Order: the broker gets events in the order of fw_publisher_send. One that it refuses for the
 * moment (RETRY, OVERLOAD) or that was lost with a connection may be overtaken by later ones; who
 * needs strict order waits for each. */
#pragma once

#include <czmq.h>

#include "proto/codec.h"
#include "runtime/security.h"

typedef struct fw_publisher fw_publisher_t;

enum {
    FW_PUBLISHER_IN_FLIGHT_DEFAULT = 1024,
    FW_PUBLISHER_IN_FLIGHT_MAX = 65536,
    FW_PUBLISHER_TIMEOUT_MS_DEFAULT = 30000,
    FW_PUBLISHER_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
    FW_PUBLISHER_BYTES_MAX = 64 * 1024 * 1024, /* encoded events in flight */
};

/* The texts are copied. */
typedef struct {
    const char *endpoint;   /* tcp://host:7002 or inproc://… */
    const char *name;       /* for the broker's log, at most 128 bytes; NULL = none */
    uint32_t in_flight_max; /* events waiting for an acknowledgement, 0 = 1,024; the broker's credit
                               may be lower */
    int64_t timeout_ms; /* an event without an acknowledgement for so long is given up; 0 = 30 s */
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
} fw_publisher_options_t;

/* What happened to one event; called exactly once for each that fw_publisher_send took, from
 * fw_publisher_service, _wait or _destroy. error 0            the broker answered: ack->status is
 * FW_PUBLISH_OK, FW_PUBLISH_DUPLICATE (the same id was published before: its first positions) or
 * FW_PUBLISH_REJECTED (never: see ack->refusal) error -ETIMEDOUT   no answer in timeout_ms; the
 * event may still take effect. ack is NULL error -ECANCELED   the publisher was destroyed first;
 * the event may still take effect. ack is NULL ack is borrowed until done returns. done may send
 * further events; it must not service, wait or destroy. */
typedef void fw_publisher_done_fn(void *context, uint64_t request_id, int error,
                                  const fw_publish_ack_t *ack);

/* Begins to connect; a broker that is not there yet is no error. 0; -EINVAL for a bad endpoint,
 * name or number. */
int fw_publisher_new(const fw_publisher_options_t *options, fw_publisher_done_fn *done,
                     void *context, fw_publisher_t **ret_publisher)
    __attribute__((warn_unused_result));
/* Every event still waiting is answered -ECANCELED first. NULL-safe, sets *self_p to NULL. */
void fw_publisher_destroy(fw_publisher_t **self_p);

/* Takes a copy of the event, also while the link is down. 0 and its request id (1, 2, 3 …); -EAGAIN
 * when the window is full: min(credit, in_flight_max) events or FW_PUBLISHER_BYTES_MAX (wait for an
 * answer); -EMSGSIZE or -EPROTO with ret_refusal when it breaks a limit; -ECANCELED from a done
 * that fw_publisher_destroy called. An empty id is replaced by a random one; an id of your own,
 * stored with the mutation, lets a later process repeat the event safely. */
int fw_publisher_send(fw_publisher_t *self, const fw_event_t *event, fw_ack_level_t level,
                      int64_t now_ms, uint64_t *ret_request_id, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));
/* Reads answers, keeps the link alive, sends again what is due; calls done for each event that
 * ended. */
void fw_publisher_service(fw_publisher_t *self, int64_t now_ms);
/* Waits until there is something to do, at most timeout_ms, then services. For callers without a
 * loop. */
void fw_publisher_wait(fw_publisher_t *self, int64_t timeout_ms);

/* The socket to poll for input, or NULL while the link waits to be opened again. It may be another
 * one after every service: socket_number then has grown. */
zsock_t *fw_publisher_socket(fw_publisher_t *self);
uint64_t fw_publisher_socket_number(const fw_publisher_t *self);
int64_t fw_publisher_deadline_ms(const fw_publisher_t *self,
                                 int64_t now_ms); /* when to call service at the latest */
size_t fw_publisher_in_flight(const fw_publisher_t *self);
/* The broker answered Hello and is not silent. */
bool fw_publisher_connected(const fw_publisher_t *self);

/* Counted since the beginning, for the owner's metrics. */
typedef struct {
    uint64_t sent;                               /* events put on the wire, each once */
    uint64_t resent;                             /* further times */
    uint64_t ok, duplicates, rejected, timeouts; /* how events ended */
    uint64_t postponed;                          /* answers RETRY and OVERLOAD */
    uint64_t links_lost;  /* silence, Goodbye, or a broker that no longer knew us */
    uint64_t bad_answers; /* not a message, or about an event that does not wait */
} fw_publisher_stats_t;

const fw_publisher_stats_t *fw_publisher_stats(const fw_publisher_t *self);
/* What the broker last refused on this link as a whole (its protocol version, an unreadable
 * message); reason is "" when it never did. */
const fw_refusal_t *fw_publisher_refusal(const fw_publisher_t *self);
