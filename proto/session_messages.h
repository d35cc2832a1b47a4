/* session_messages.h - commands about the live sessions of a user, decoded.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Every text and list is borrowed: from the codec that decoded it, or from the sender. */
#pragma once

#include "proto/event.h"

enum {
    FW_SESSION_ID_DIGITS = 16,      /* hexadecimal digits */
    FW_CLOSE_REASON_SIZE_MAX = 123, /* of a WebSocket close frame */
    FW_ROOM_PATTERNS_MAX = 256,     /* of one claim */
    FW_ROOM_CLAIMS = 3,             /* rooms, publish, presence */
};

typedef enum {
    FW_SESSIONS_DISCONNECT = 1,
    FW_SESSIONS_UNSUBSCRIBE = 2,
    FW_SESSIONS_REFRESH = 3,
} fw_session_action_t;

typedef struct {
    bool given;
    const fw_text_t *patterns;
    size_t count;
} fw_room_patterns_t;

typedef struct {
    uint64_t command_id;
    fw_session_action_t action;
    fw_text_t user_id;
    fw_text_t session_id;                      /* DISCONNECT: empty = all of the user */
    uint32_t code;                             /* DISCONNECT */
    fw_text_t reason;                          /* DISCONNECT; may be empty */
    fw_text_t channel;                         /* UNSUBSCRIBE */
    fw_room_patterns_t claims[FW_ROOM_CLAIMS]; /* REFRESH, at least one of them */
} fw_session_command_t;

typedef struct {
    uint64_t command_id;
    uint32_t sessions;
} fw_session_done_t;

typedef struct {
    uint64_t command_id;
    uint32_t gateways;
    uint32_t answered;
    uint64_t sessions;
    fw_text_t refused; /* empty = it was done */
} fw_session_result_t;

/* 0, or -EPROTO and ret_refusal: the field, named as in the admin API. */
int fw_session_command_check(const fw_session_command_t *command, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));
