/* frame_check.h - are the bytes of a client frames as RFC 6455 wants them?
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Sees every byte before libwebsockets does, in pieces of any size: what that library lets
 * pass (frames without a mask, close frames of one byte, floods of pings) ends here, with a close
 * code. Pings go no further either, since that library answers only one of several. */
#pragma once

#include <stddef.h>

#include "gateway/close_code.h"
#include "gateway/limits.h"
#include "proto/bytes.h"

enum {
    FW_EXTRA_FRAMES_PER_SECOND = 50, /* pings, pongs and pieces of messages; beyond: close 4290 */
    FW_EXTRA_FRAMES_BURST = 500,
};

/* A ping was complete; payload is borrowed for the call. */
typedef void fw_pinged_fn(void *context, fw_bytes_t payload);

typedef struct {
    uint64_t message_bytes_max;
    fw_pinged_fn *pinged; /* NULL: pings are left where they are */
    void *context;
} fw_frame_rules_t;

/* All zero: before the first frame. */
typedef struct {
    uint64_t left;       /* bytes of the payload that are still to come */
    uint64_t message;    /* bytes of the message under way */
    fw_bucket_t extra;   /* frames that are no whole message */
    uint8_t *ping;       /* payload of a ping that comes in pieces; owned */
    uint8_t head[14];    /* of the frame under way; its mask stays for the payload */
    uint8_t filled;      /* bytes of head; beyond its end: in the payload */
    uint8_t seen;        /* bytes of a close frame's payload, up to 125 */
    uint8_t continues;   /* of its reason: UTF-8 bytes that the character still needs */
    uint8_t low, high;   /* what the next of them may be */
    uint8_t first;       /* of its code */
    bool in_message : 1; /* a continuation is expected */
    bool in_payload : 1;
    bool removed : 1; /* this frame goes no further */
    bool closed : 1;  /* a close frame was complete: what follows is not for us */
} fw_frame_check_t;

/* Checks the next bytes and takes pings out of them. ret_good: how many of what is left may be read
 * on; when the result is a close, or behind a close frame, that is not all. */
fw_close_t fw_frame_check(fw_frame_check_t *self, const fw_frame_rules_t *rules, int64_t now_ms,
                          uint8_t *bytes, size_t size, size_t *ret_good)
    __attribute__((warn_unused_result));
/* Frees what it holds. */
void fw_frame_check_clear(fw_frame_check_t *self);

/* A code that may be sent in a close frame (RFC 6455, 7.4, and IANA's registry). */
bool fw_close_code_valid(unsigned code);
