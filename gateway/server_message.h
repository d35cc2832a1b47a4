/* server_message.h - what the gateway itself says to a client, as JSON text.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Each function appends one object; given a buffer that is too small it only counts
 * (json_text.h). */
#pragma once

#include "gateway/close_code.h"
#include "proto/json_text.h"
#include "proto/position.h"

enum { FW_SESSION_ID_SIZE = 16 };

/* Where a session stands in a channel; recovered: a position was given and everything after it
 * follows. */
typedef struct {
    fw_text_t channel;
    fw_position_t position;
    bool recovered;
} fw_standing_t;

typedef struct {
    uint64_t session_id;
    fw_text_t user_id; /* empty = anonymous */
    uint32_t ping_interval_ms;
    uint32_t reconnect_window_ms;
    bool degraded;
    const fw_standing_t *standings;
    size_t standings_count;
} fw_server_welcome_t;

typedef struct {
    fw_text_t request_id; /* empty when the client gave none */
    fw_close_code_t code;
    const char *reason;
    bool temporary;
    const char *action; /* what of the request failed, when it is not all of it; NULL = nothing */
    fw_text_t channel;  /* empty when it is about none */
} fw_server_error_t;

void fw_server_welcome(fw_json_t *json, const fw_server_welcome_t *welcome);
void fw_server_subscribed(fw_json_t *json, fw_text_t request_id, const fw_standing_t *standing);
/* reason: "" when the client asked for it. */
void fw_server_unsubscribed(fw_json_t *json, fw_text_t request_id, fw_text_t channel,
                            const char *reason);
void fw_server_reset(fw_json_t *json, fw_reset_reason_t reason, fw_text_t channel,
                     fw_position_t position);
/* The events up to here are not for this session: without it they would look like a hole. */
void fw_server_position(fw_json_t *json, fw_text_t channel, fw_position_t position);
void fw_server_error(fw_json_t *json, const fw_server_error_t *error);
void fw_server_published(fw_json_t *json, fw_text_t request_id);
void fw_server_ping(fw_json_t *json);
void fw_server_pong(fw_json_t *json);
/* A new token was taken; expires_in_ms: 0 = never. */
void fw_server_refreshed(fw_json_t *json, fw_text_t request_id, int64_t expires_in_ms);
/* The token has expired: another one is expected within the grace period. */
void fw_server_expired(fw_json_t *json, uint32_t grace_ms);
/* The links to the broker are down (events may come late), or up again. */
void fw_server_degraded(fw_json_t *json, bool degraded);
void fw_server_drain(fw_json_t *json, uint32_t reconnect_window_ms);
/* What a close frame says, for those who get none. */
void fw_server_close(fw_json_t *json, const fw_close_t *close);
