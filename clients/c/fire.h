/* fire.h - publishes events to the broker without acknowledgement.   SPDX-License-Identifier:
 * MPL-2.0 For events whose loss is cheap: while the link is up they are handed to the network, and
 * that is all that is known. Events are counted, so that the broker sees what was lost. Not
 * thread-safe: one a thread. Nothing blocks, except fw_fire_wait. */
#pragma once

#include <czmq.h>

#include "proto/codec.h"

typedef struct fw_fire fw_fire_t;

/* Begins to connect to tcp://host:7001 or inproc://…; the text is copied. 0, or -EINVAL for a bad
 * endpoint. */
int fw_fire_new(const char *endpoint, fw_fire_t **ret_fire) __attribute__((warn_unused_result));
/* What ZeroMQ has not sent after linger_ms is dropped. NULL-safe, sets *self_p to NULL. */
void fw_fire_destroy(fw_fire_t **self_p, int linger_ms);

/* 0; -EHOSTUNREACH while the link is down (the event is not kept); -EMSGSIZE or -EPROTO with
 * ret_refusal when it breaks a limit. An empty id is replaced by a random one. */
int fw_fire_send(fw_fire_t *self, const fw_event_t *event, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));

/* Waits until the link is up, at most timeout_ms. 0 or -ETIMEDOUT. */
int fw_fire_wait(fw_fire_t *self, int64_t timeout_ms) __attribute__((warn_unused_result));
bool fw_fire_connected(fw_fire_t *self);
/* Becomes readable when the link goes up or down. */
zsock_t *fw_fire_socket(fw_fire_t *self);
