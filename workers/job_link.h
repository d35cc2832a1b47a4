/* job_link.h - when to say what on the link to the broker.   SPDX-License-Identifier: MPL-2.0
 * Pure. Hello every second until Welcome, then Ping every second; Hello again when one was not
 * answered. Three seconds of silence mean a dead link: the socket is closed and another one opened
 * after a jittered wait. A worker that cannot purge stays away: it says Goodbye, so that the broker
 * gives its jobs to others, and Hello when it can again. */
#pragma once

#include "proto/codec.h"
#include "runtime/backoff.h"

enum {
    FW_JOB_LINK_HELLO_MS = 1000,
    FW_JOB_LINK_RETRY_MS = 50, /* until the first Hello has left: the socket is not connected yet */
    FW_JOB_LINK_PING_MS = 1000,
    FW_JOB_LINK_SILENCE_MS = 3000,
    FW_JOB_LINK_STALL_MS = 500,  /* not asked for so long, this process stood still */
    FW_JOB_LINK_OPENING_MS = 20, /* between looks while the broker's name is looked up */
    FW_JOB_LINK_BACKOFF_MS = 100,
    FW_JOB_LINK_BACKOFF_MS_MAX = 2000,
};

typedef enum {
    FW_JOB_LINK_AWAY,     /* not to be given work */
    FW_JOB_LINK_GREETING, /* Hello is not answered yet */
    FW_JOB_LINK_SERVING,
} fw_job_link_state_t;

typedef enum {
    FW_JOB_LINK_NOTHING,
    FW_JOB_LINK_OPEN,
    FW_JOB_LINK_CLOSE,
    FW_JOB_LINK_SAY_HELLO,
    FW_JOB_LINK_SAY_PING,
    FW_JOB_LINK_SAY_GOODBYE,
} fw_job_link_action_t;

typedef struct {
    fw_job_link_state_t state;
    bool open;
    bool wanted; /* can this worker purge? */
    int64_t heard_ms;
    int64_t asked_ms; /* the last time that it was asked what to do */
    int64_t next_ms;  /* of Hello or Ping; when it is not open, of opening */
    bool knows_broker;
    uint8_t broker[FW_INCARNATION_SIZE];
    fw_backoff_t backoff;
} fw_job_link_t;

fw_job_link_t fw_job_link_make(uint64_t seed, int64_t now_ms);

/* Can this worker purge? */
void fw_job_link_want(fw_job_link_t *self, bool wanted, int64_t now_ms);

/* What to do now; ask again until it is NOTHING, and at least every 100 ms. Time in which nobody
 * asked is not the broker's silence: this process stood still, and what the broker said waits. */
fw_job_link_action_t fw_job_link_next(fw_job_link_t *self, int64_t now_ms);
/* The socket could not be opened: yet, because its address is being looked up, or at all. */
void fw_job_link_opening(fw_job_link_t *self, int64_t now_ms);
void fw_job_link_failed(fw_job_link_t *self, int64_t now_ms);
/* The last thing to be said could not be sent. */
void fw_job_link_unsent(fw_job_link_t *self, int64_t now_ms);

/* Any frame of the broker, before what it says is looked at. */
void fw_job_link_heard(fw_job_link_t *self, int64_t now_ms);
/* True when this is another broker process than the one before: jobs of that one are of no interest
 * to it. */
bool fw_job_link_welcomed(fw_job_link_t *self, fw_bytes_t incarnation, int64_t now_ms);
/* The broker does not know us, which is how a new connection under the old socket looks; or it
 * leaves. */
void fw_job_link_dismissed(fw_job_link_t *self, int64_t now_ms);
