/* dialogue_token.h - tokens in the dialogue: at the door, and on a live connection.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. */
#pragma once

#include "gateway/client_message.h"
#include "gateway/dialogue.h"

/* Verifies a token and gives its claims to the session, which must not be somebody else's already.
 */
fw_close_t fw_dialogue_authenticate(const fw_dialogue_t *self, fw_session_t *session,
                                    fw_door_t door, fw_text_t token, int64_t wall_s)
    __attribute__((warn_unused_result));

/* Why a session is closed whose token is not even looked at. */
fw_close_t fw_dialogue_refuse_token(const fw_dialogue_t *self, fw_door_t door, const char *reason);

/* fw.refresh: takes the token in place of the old one, or tells why not, and the old one holds. */
fw_close_t fw_dialogue_refresh(const fw_dialogue_t *self, fw_session_t *session,
                               const fw_client_message_t *message, int64_t now_ms, int64_t wall_s)
    __attribute__((warn_unused_result));

/* Other claims of the same user for a live session, whoever gives them; takes them. Channels that
 * they do not allow are left, and the client is told. */
void fw_dialogue_replace_claims(const fw_dialogue_t *self, fw_session_t *session,
                                fw_claims_t **claims_p, int64_t now_ms);

/* Answers a message by fw.error. */
void fw_dialogue_refuse(const fw_dialogue_t *self, fw_session_t *session,
                        const fw_server_error_t *error);
