/* server_message.c - see server_message.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/server_message.h"

#include <inttypes.h>
#include <stdio.h>

static void literal(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

static void member(fw_json_t *json, const char *key, fw_text_t value)
{
    literal(json, ",\"");
    literal(json, key);
    literal(json, "\":");
    fw_json_string(json, value);
}

static void number(fw_json_t *json, const char *key, int64_t value)
{
    literal(json, ",\"");
    literal(json, key);
    literal(json, "\":");
    fw_json_number(json, value);
}

static void place(fw_json_t *json, fw_text_t channel, fw_position_t position)
{
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
    size_t size = fw_epoch_format(position.epoch, epoch);
    literal(json, "\"channel\":");
    fw_json_string(json, channel);
    member(json, "epoch", (fw_text_t){epoch, size});
    literal(json, ",\"offset\":");
    fw_json_quoted_number(json, position.offset);
}

static void standing(fw_json_t *json, const fw_standing_t *self)
{
    place(json, self->channel, self->position);
    literal(json, self->recovered ? ",\"recovered\":true" : ",\"recovered\":false");
}

static void request(fw_json_t *json, fw_text_t request_id)
{
    if (request_id.size > 0)
        member(json, "request_id", request_id);
}

void fw_server_welcome(fw_json_t *json, const fw_server_welcome_t *welcome)
{
    char id[FW_SESSION_ID_SIZE + 1];
    (void)snprintf(id, sizeof id, "%016" PRIx64, welcome->session_id);
    literal(json, "{\"type\":\"fw.welcome\"");
    member(json, "session_id", fw_text(id));
    if (welcome->user_id.size > 0)
        member(json, "user_id", welcome->user_id);
    number(json, "ping_interval_ms", welcome->ping_interval_ms);
    number(json, "reconnect_window_ms", welcome->reconnect_window_ms);
    if (welcome->degraded)
        literal(json, ",\"degraded\":true");
    literal(json, ",\"subscriptions\":[");
    for (size_t i = 0; i < welcome->standings_count; i++) {
        literal(json, i > 0 ? ",{" : "{");
        standing(json, &welcome->standings[i]);
        literal(json, "}");
    }
    literal(json, "]}");
}

void fw_server_subscribed(fw_json_t *json, fw_text_t request_id, const fw_standing_t *self)
{
    literal(json, "{\"type\":\"fw.subscribed\"");
    request(json, request_id);
    literal(json, ",");
    standing(json, self);
    literal(json, "}");
}

void fw_server_unsubscribed(fw_json_t *json, fw_text_t request_id, fw_text_t channel,
                            const char *reason)
{
    literal(json, "{\"type\":\"fw.unsubscribed\"");
    request(json, request_id);
    member(json, "channel", channel);
    if (*reason)
        member(json, "reason", fw_text(reason));
    literal(json, "}");
}

static const char *reason_text(fw_reset_reason_t reason)
{
    switch (reason) {
    case FW_RESET_HISTORY:
        return "history";
    case FW_RESET_LAPPED:
        return "lapped";
    case FW_RESET_EPOCH:
        return "epoch";
    case FW_RESET_UNCONFIRMED:
        return "unconfirmed";
    case FW_RESET_NONE:
        break;
    }
    return "";
}

void fw_server_reset(fw_json_t *json, fw_reset_reason_t reason, fw_text_t channel,
                     fw_position_t position)
{
    literal(json, "{\"type\":\"fw.reset\",\"reason\":\"");
    literal(json, reason_text(reason));
    literal(json, "\",");
    place(json, channel, position);
    literal(json, "}");
}

void fw_server_position(fw_json_t *json, fw_text_t channel, fw_position_t position)
{
    literal(json, "{\"type\":\"fw.position\",");
    place(json, channel, position);
    literal(json, "}");
}

void fw_server_error(fw_json_t *json, const fw_server_error_t *error)
{
    literal(json, "{\"type\":\"fw.error\"");
    request(json, error->request_id);
    number(json, "code", (int64_t)error->code);
    member(json, "reason", fw_text(error->reason));
    literal(json, error->temporary ? ",\"temporary\":true" : ",\"temporary\":false");
    if (error->channel.size > 0)
        member(json, "channel", error->channel);
    if (error->action)
        member(json, "action", fw_text(error->action));
    literal(json, "}");
}

void fw_server_published(fw_json_t *json, fw_text_t request_id)
{
    literal(json, "{\"type\":\"fw.published\"");
    request(json, request_id);
    literal(json, "}");
}

void fw_server_ping(fw_json_t *json)
{
    literal(json, "{\"type\":\"fw.ping\"}");
}

void fw_server_pong(fw_json_t *json)
{
    literal(json, "{\"type\":\"fw.pong\"}");
}

void fw_server_refreshed(fw_json_t *json, fw_text_t request_id, int64_t expires_in_ms)
{
    literal(json, "{\"type\":\"fw.refreshed\"");
    request(json, request_id);
    if (expires_in_ms > 0)
        number(json, "expires_in_ms", expires_in_ms);
    literal(json, "}");
}

void fw_server_expired(fw_json_t *json, uint32_t grace_ms)
{
    literal(json, "{\"type\":\"fw.expired\"");
    number(json, "grace_ms", grace_ms);
    literal(json, "}");
}

void fw_server_degraded(fw_json_t *json, bool degraded)
{
    literal(json, degraded ? "{\"type\":\"fw.degraded\",\"degraded\":true}"
                           : "{\"type\":\"fw.degraded\",\"degraded\":false}");
}

void fw_server_drain(fw_json_t *json, uint32_t reconnect_window_ms)
{
    literal(json, "{\"type\":\"fw.drain\"");
    number(json, "reconnect_window_ms", reconnect_window_ms);
    literal(json, "}");
}

void fw_server_close(fw_json_t *json, const fw_close_t *close)
{
    literal(json, "{\"type\":\"fw.close\"");
    number(json, "code", (int64_t)close->code);
    member(json, "reason", fw_text(close->reason));
    literal(json, "}");
}
