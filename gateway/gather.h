/* gather.h - what to write to a session next.   SPDX-License-Identifier: MPL-2.0
 * Pure. One write costs some microseconds of kernel time whatever its size, so everything that a
 * session may read is put into one piece. A single event is written from the ring itself; several
 * are copied once, and every session that stands at the same place of the same channel gets the
 * same copy. Server-sent events are always copied: each piece of them ends with an id of its own.
 */
#pragma once

#include "gateway/session.h"

enum {
    FW_GATHER_BYTES_MAX = 64 * 1024, /* of one piece; only a single larger event passes it */
    FW_GATHER_BEHIND_BYTES =
        16 * 1024, /* for a session whose socket is full: what is left over is copied */
};

typedef struct fw_gather fw_gather_t;

typedef struct {
    fw_bytes_t bytes; /* valid until the next call */
    uint32_t events;
    uint32_t lapped;   /* resets because the session was too slow */
    int64_t oldest_us; /* when the uplink got the oldest of the events; 0 without events */
    size_t grown;      /* bytes that the rings grew by, because a form of an event was made */
    bool more;         /* there is more to write */
} fw_output_t;

/* One for all sessions of a shard that read alike. batch: several events share a message, one a
 * line or as a ServerBatch; of server-sent events: without names. */
fw_gather_t *fw_gather_new(fw_encoding_t encoding, bool batch) __attribute__((warn_unused_result));
void fw_gather_destroy(fw_gather_t **self_p);

/* Takes what the session has to be sent, at most limit bytes where that is possible, and moves its
 * cursors behind it. False when there is nothing. */
bool fw_gather_next(fw_gather_t *self, fw_session_t *session, size_t limit,
                    fw_output_t *ret_output);
