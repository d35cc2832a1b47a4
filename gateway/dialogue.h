/* dialogue.h - how a session begins, and what its client may say.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Decides by mode, token and endpoint; every outcome is a state of the session, messages in
 * it, or a close code. */
#pragma once

#include "gateway/auth.h"
#include "gateway/client_message.h"
#include "gateway/hub.h"
#include "gateway/route.h"

typedef struct {
    fw_hub_t *hub;
    fw_codec_t *codec; /* for binary messages */
    const fw_auth_t *auth;
    bool anonymous;        /* sessions without a token may use <prefix>/ws */
    uint32_t channels_max; /* per session */
    uint64_t *refused;     /* counts the messages that were answered by fw.error */
    size_t resume_max;     /* subscriptions in one fw.hello */
    fw_rooms_t *rooms;     /* NULL = no presence */
    const struct fw_dialogue_grants
        *grants; /* see dialogue_grants.h; NULL = only the token decides */
    const struct fw_client_publish *publish; /* see dialogue_rooms.h; NULL = clients may not */
    /* Told of every token; result is that of fw_auth_verify. NULL = nobody. */
    void (*judged)(void *context, fw_door_t door, int result);
    void *judged_context;
} fw_dialogue_t;

/* What the handshake brought. */
typedef struct {
    fw_route_t route;
    fw_subprotocol_t subprotocol;
    fw_door_t door;            /* where the token was */
    fw_text_t token;           /* of the URL, a header or a cookie; empty when there is none */
    const char *token_refused; /* static: why it is not even looked at; NULL = it is */
    fw_text_t origin;          /* name of the tab, of the URL; empty when there is none */
    /* Of server-sent events. */
    bool unnamed;              /* blocks without names */
    bool resumes;              /* last_id was given */
    fw_text_t last_id;         /* see sse.h */
    const fw_text_t *channels; /* beside those of the endpoint */
    size_t channels_count;
} fw_opening_t;

/* Begins a session. A code other than FW_CLOSE_NONE: to be closed with it. Otherwise its state
 * tells whether it has to greet (a deadline runs, see fw_dialogue_late) or is on its way to be
 * welcomed. */
fw_close_t fw_dialogue_open(const fw_dialogue_t *self, fw_session_t *session,
                            const fw_opening_t *opening, int64_t now_ms, int64_t wall_s)
    __attribute__((warn_unused_result));

/* Joins a channel that the client named, or tells it why not by fw.error. */
void fw_dialogue_join(const fw_dialogue_t *self, fw_session_t *session,
                      const fw_client_subscription_t *subscription, fw_text_t request_id);

/* One message, of JSON or protobuf as the session speaks; UTF-8 of JSON has been checked. endpoint
 * and room: of the opening. */
fw_close_t fw_dialogue_message(const fw_dialogue_t *self, fw_session_t *session,
                               const fw_route_t *route, fw_bytes_t text, int64_t now_ms,
                               int64_t wall_s) __attribute__((warn_unused_result));

/* Why a session is closed that did not greet in time. */
fw_close_t fw_dialogue_late(const fw_session_t *session);
