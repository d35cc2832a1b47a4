/* window.h - the events that wait for their acknowledgement.   SPDX-License-Identifier: MPL-2.0
 * Pure. Gives out request ids, decides which frame goes on the wire next, counts the broker's
 * credit, remembers when to send again and when to give up. Every added frame leaves exactly once:
 * by answer, expire or cancel. Bounded by in_flight_max events and FW_WINDOW_BYTES_MAX; when full,
 * fw_window_add refuses. */
#pragma once

#include "proto/codec.h"

enum {
    FW_WINDOW_IN_FLIGHT_MAX = 65536,
    FW_WINDOW_BYTES_MAX = 64 * 1024 * 1024, /* encoded frames; one frame always fits */
    FW_WINDOW_ANSWER_MS =
        2000, /* without an answer for so long, plus jitter, a frame is sent again */
    FW_WINDOW_RETRY_AFTER_MS_MAX = 60000, /* what the broker may ask for; more is cut */
    FW_WINDOW_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
};

typedef struct fw_window fw_window_t;

typedef struct {
    uint32_t in_flight_max; /* 1..FW_WINDOW_IN_FLIGHT_MAX */
    int64_t timeout_ms;     /* 1..FW_WINDOW_TIMEOUT_MS_MAX, from add */
    uint64_t seed;          /* of the jitter */
} fw_window_options_t;

/* NULL when an option is out of its range. */
fw_window_t *fw_window_new(const fw_window_options_t *options) __attribute__((warn_unused_result));
void fw_window_destroy(fw_window_t **self_p);

/* The request id that the next added frame gets: 1, 2, 3 … */
uint64_t fw_window_next_id(const fw_window_t *self);
/* Copies the frame, whose request id must be fw_window_next_id. 0, or -EAGAIN when the window is
 * full: in_flight_max or the byte bound is reached or, while the link is open, the broker's credit.
 */
int fw_window_add(fw_window_t *self, fw_bytes_t frame, int64_t now_ms)
    __attribute__((warn_unused_result));
bool fw_window_full(const fw_window_t *self);

/* The broker said Welcome: everything not acknowledged goes on the wire (again), oldest first, as
 * credit allows. */
void fw_window_open(fw_window_t *self, uint32_t credit);
/* The link is lost: nothing is on the wire any more. */
void fw_window_close(fw_window_t *self);
/* Credit below what is on the wire only stops new frames. 0 stops everything until it grows again.
 */
void fw_window_set_credit(fw_window_t *self, uint32_t credit);
uint32_t fw_window_credit(const fw_window_t *self);

/* The frame to put on the wire now, borrowed until it leaves the window. False when there is none.
 * attempt: 0 when it was never sent before. The caller sends it and calls fw_window_sent, or leaves
 * it for later. */
bool fw_window_next(fw_window_t *self, int64_t now_ms, uint64_t *ret_request_id,
                    fw_bytes_t *ret_frame, unsigned *ret_attempt)
    __attribute__((warn_unused_result));
void fw_window_sent(fw_window_t *self, uint64_t request_id, int64_t now_ms);

typedef enum {
    FW_WINDOW_ENDED,   /* it has left the window: tell its owner */
    FW_WINDOW_AGAIN,   /* it will be sent again, with the same id */
    FW_WINDOW_UNKNOWN, /* not one of ours, already ended, or never sent: ignore it */
} fw_window_verdict_t;

fw_window_verdict_t fw_window_answer(fw_window_t *self, uint64_t request_id,
                                     fw_publish_status_t status, uint32_t retry_after_ms,
                                     int64_t now_ms) __attribute__((warn_unused_result));

/* Takes one event out whose timeout has passed. False when there is none. */
bool fw_window_expire(fw_window_t *self, int64_t now_ms, uint64_t *ret_request_id)
    __attribute__((warn_unused_result));
/* Takes the oldest event out. False when the window is empty. */
bool fw_window_cancel(fw_window_t *self, uint64_t *ret_request_id)
    __attribute__((warn_unused_result));

/* When next or expire will have something to do; now_ms when they have already; INT64_MAX when only
 * an answer helps. */
int64_t fw_window_deadline_ms(const fw_window_t *self, int64_t now_ms);

size_t fw_window_count(const fw_window_t *self);      /* events in it */
size_t fw_window_wire_count(const fw_window_t *self); /* of these, how many the broker may hold */
size_t fw_window_bytes(const fw_window_t *self);
