/* close_code.h - why a session is closed, and why a place in a channel is lost.
 * SPDX-License-Identifier: MPL-2.0
 * The range tells a client what to do next: 40xx reconnect, 41xx get a new token first, 42xx wait,
 * 44xx never. */
#pragma once

typedef enum {
    FW_CLOSE_NONE = 0,
    FW_CLOSE_LATER = 1, /* not closed: the message is to be given again, see dialogue_grants.h */
    FW_CLOSE_PROTOCOL = 1002, /* not frames as RFC 6455 has them */
    FW_CLOSE_BINARY = 1003,   /* a binary message where JSON is spoken, or the reverse */
    FW_CLOSE_BAD_TEXT = 1007, /* a text message that is not UTF-8 */
    FW_CLOSE_TOO_BIG = 1009,
    FW_CLOSE_DRAINING = 4000,
    FW_CLOSE_SLOW = 4001,
    FW_CLOSE_NO_PONG = 4003,
    FW_CLOSE_TOKEN_EXPIRED = 4100,
    FW_CLOSE_TOKEN_REFUSED = 4101, /* or missing */
    FW_CLOSE_KEY_UNKNOWN = 4201,   /* of the token; it may be known soon */
    FW_CLOSE_TOO_MANY = 4290,
    FW_CLOSE_BAD_REQUEST = 4400,
    FW_CLOSE_FORBIDDEN = 4403,
    FW_CLOSE_NO_PROTOCOL = 4406,
} fw_close_code_t;

/* A code and the reason that goes with it: static text of at most 123 bytes. */
typedef struct {
    fw_close_code_t code;
    const char *reason;
} fw_close_t;

#define FW_CLOSE_NOT ((fw_close_t){FW_CLOSE_NONE, ""})

typedef enum {
    FW_RESET_NONE,
    FW_RESET_HISTORY,     /* what was missed is not kept any more */
    FW_RESET_LAPPED,      /* the session read too slowly */
    FW_RESET_EPOCH,       /* the channel began anew */
    FW_RESET_UNCONFIRMED, /* and the broker cannot say yet that the cache holds nothing stale */
} fw_reset_reason_t;

enum { FW_RESETS = FW_RESET_UNCONFIRMED + 1 };
