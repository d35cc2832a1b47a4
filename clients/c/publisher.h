/* publisher.h - publishes events to the broker, acknowledged.   SPDX-License-Identifier: MPL-2.0
 * One DEALER socket with the broker's credit window; not thread-safe. The owner waits on fw_publisher_socket (or on
 * its ZMQ_FD) and on fw_publisher_deadline_ms, and calls fw_publisher_service when either fires. An event that is not
 * acknowledged is sent again with the same id after a jittered wait, also across reconnects, until its deadline. */
#pragma once

#include <czmq.h>

#include "proto/codec.h"

typedef struct fw_publisher fw_publisher_t;

typedef struct {
    const char *endpoint;    /* tcp://host:7002 or inproc://… */
    const char *name;        /* for the broker's log */
    uint32_t in_flight_max;  /* events waiting for an acknowledgement; the broker's credit may be lower */
    int64_t timeout_ms;      /* an event without an acknowledgement for so long is given up */
} fw_publisher_options_t;

/* What happened to one event. status is the broker's, or 0 with error -ETIMEDOUT or -ECANCELED. ack may be NULL. */
typedef void fw_publisher_done_fn(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack);

int fw_publisher_new(const fw_publisher_options_t *options, fw_publisher_done_fn *done, void *context,
                     fw_publisher_t **ret_publisher) __attribute__((warn_unused_result));
/* Every event still waiting is answered -ECANCELED first. */
void fw_publisher_destroy(fw_publisher_t **self_p);

/* Takes a copy of the event. 0 and its request id; -EAGAIN when the window is full (wait for an answer), -EMSGSIZE or
 * -EPROTO with ret_refusal when it breaks a limit. An empty id is replaced by a random one. */
int fw_publisher_send(fw_publisher_t *self, const fw_event_t *event, fw_ack_level_t level, int64_t now_ms,
                      uint64_t *ret_request_id, fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* Reads answers, keeps the link alive, sends again what is due; calls done for each event that ended. */
void fw_publisher_service(fw_publisher_t *self, int64_t now_ms);

zsock_t *fw_publisher_socket(fw_publisher_t *self);
int64_t fw_publisher_deadline_ms(const fw_publisher_t *self, int64_t now_ms); /* when to call service at the latest */
size_t fw_publisher_in_flight(const fw_publisher_t *self);
/* The broker answered Hello and is not silent. */
bool fw_publisher_connected(const fw_publisher_t *self);
