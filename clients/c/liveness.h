/* liveness.h - is the broker still there, and what to do about it.   SPDX-License-Identifier:
 * MPL-2.0 Pure. Hello every second until Welcome, then a Ping every second; three seconds without a
 * valid message mean that the socket is useless (ZeroMQ gives some connections up for good) and
 * must be made anew, after a jittered wait. */
#pragma once

#include <stdbool.h>

#include "runtime/backoff.h"

enum {
    FW_LIVENESS_INTERVAL_MS = 1000,
    FW_LIVENESS_SILENCE_MS = 3000,
    FW_LIVENESS_BLOCKED_MS = 50, /* between tries while ZeroMQ has no connection */
    FW_LIVENESS_OPENING_MS = 20, /* between looks while a name is looked up */
    FW_LIVENESS_REOPEN_BASE_MS = 100,
    FW_LIVENESS_REOPEN_MS_MAX = 2000,
};

typedef enum {
    FW_LIVENESS_CLOSED, /* no socket */
    FW_LIVENESS_HELLO,  /* a socket, no Welcome on it yet */
    FW_LIVENESS_UP,     /* welcomed, and not silent */
} fw_liveness_state_t;

typedef struct {
    fw_liveness_state_t state;
    int64_t due_ms;   /* CLOSED: when to open; else: when to send the next Hello or Ping */
    int64_t heard_ms; /* last valid message, or when the socket was opened */
    int64_t hello_ms; /* last Hello */
    int64_t
        looked_ms; /* last call of fw_liveness_next: silence counts only while somebody listens */
    fw_backoff_t backoff;
} fw_liveness_t;

typedef enum {
    FW_LIVENESS_WAIT, /* nothing until fw_liveness_deadline_ms */
    FW_LIVENESS_OPEN, /* make a socket, then call fw_liveness_opened, _opening or _lost */
    FW_LIVENESS_SEND_HELLO,
    FW_LIVENESS_SEND_PING,
    FW_LIVENESS_CLOSE, /* destroy the socket; the wait for the next one has begun */
} fw_liveness_step_t;

/* Closed, to be opened at once. */
fw_liveness_t fw_liveness_make(uint64_t seed);

/* What to do now; call until it says WAIT. */
fw_liveness_step_t fw_liveness_next(fw_liveness_t *self, int64_t now_ms)
    __attribute__((warn_unused_result));
int64_t fw_liveness_deadline_ms(const fw_liveness_t *self);

void fw_liveness_opened(fw_liveness_t *self, int64_t now_ms);
/* Where to connect to is still being looked up: asks again soon. */
void fw_liveness_opening(fw_liveness_t *self, int64_t now_ms);
/* The socket is gone, or could not be made: the next one after a wait. */
void fw_liveness_lost(fw_liveness_t *self, int64_t now_ms);
/* The Hello or Ping could not be sent: it is due again soon. */
void fw_liveness_blocked(fw_liveness_t *self, int64_t now_ms);
/* A valid message came. */
void fw_liveness_heard(fw_liveness_t *self, int64_t now_ms);
/* Welcome came. True when the link was not up before. */
bool fw_liveness_welcomed(fw_liveness_t *self, int64_t now_ms);
/* The connection is a new one that the broker does not know, or there is none: say Hello, at most
 * once a second. */
void fw_liveness_hello_again(fw_liveness_t *self, int64_t now_ms);
