/* dialogue_grants.h - rooms that the backend decides about, in the dialogue.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. The token decides first. What is not known yet is asked, and who asked is called again. */
#pragma once

#include "gateway/client_message.h"
#include "gateway/dialogue.h"
#include "gateway/grants.h"

struct fw_dialogue_grants {
    void *context;
    /* As fw_grants_look; the session waits. */
    fw_grant_t (*look)(void *context, fw_session_t *session, fw_action_t action, fw_text_t channel);
    /* A session that does not greet waits with these channels; they are copied. The first own are
     * those of its endpoint. */
    void (*hold)(void *context, fw_session_t *session, const fw_client_subscription_t *channels,
                 size_t count, size_t own);
};

/* YES for what nobody but the token decides about, and for what the token does not allow anyway. */
fw_grant_t fw_dialogue_granted(const fw_dialogue_t *self, fw_session_t *session, fw_action_t action,
                               fw_text_t channel);
/* Does the message, or the endpoint's room (empty = none), have to wait for the backend? */
bool fw_dialogue_waits(const fw_dialogue_t *self, fw_session_t *session, fw_text_t room,
                       const fw_client_message_t *message);
/* Refuses for want of a grant. */
void fw_dialogue_refuse_grant(const fw_dialogue_t *self, fw_session_t *session,
                              fw_text_t request_id, fw_grant_t grant, const char *action,
                              fw_text_t channel);

/* Joins the channels of a session that does not greet and awaits their places; when not all are
 * known it is held instead. */
fw_close_t fw_dialogue_enter(const fw_dialogue_t *self, fw_session_t *session,
                             const fw_client_subscription_t *channels, size_t count, size_t own)
    __attribute__((warn_unused_result));
