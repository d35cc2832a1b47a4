/* dialogue_token.c - see dialogue_token.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/dialogue_token.h"

#include <assert.h>
#include <errno.h>

#include "gateway/dialogue_rooms.h"

static fw_close_t close_with(fw_close_code_t code, const char *reason)
{
    return (fw_close_t){code, reason};
}

/* The claims of a token that this session may use. */
static fw_close_t verify(const fw_dialogue_t *self, const fw_session_t *session, fw_door_t door,
                         fw_text_t token, int64_t wall_s, fw_claims_t **ret_claims)
{
    fw_claims_t *claims = NULL;
    const char *reason = "";
    int result = fw_auth_verify(self->auth, token, wall_s, &claims, &reason);
    if (self->judged)
        self->judged(self->judged_context, door, result);
    if (result == -EKEYEXPIRED)
        return close_with(FW_CLOSE_TOKEN_EXPIRED, reason);
    /* Not 4101: a client never brings a token again that was refused. */
    if (result == -ENOKEY)
        return close_with(FW_CLOSE_KEY_UNKNOWN, reason);
    if (result != 0)
        return close_with(FW_CLOSE_TOKEN_REFUSED, reason);
    if (session->claims && !fw_text_equal(fw_session_user(session), fw_claims_user(claims))) {
        fw_claims_destroy(&claims);
        return close_with(FW_CLOSE_FORBIDDEN, "token is of another user");
    }
    *ret_claims = claims;
    return FW_CLOSE_NOT;
}

fw_close_t fw_dialogue_authenticate(const fw_dialogue_t *self, fw_session_t *session,
                                    fw_door_t door, fw_text_t token, int64_t wall_s)
{
    fw_claims_t *claims = NULL;
    fw_close_t refused = verify(self, session, door, token, wall_s, &claims);
    if (refused.code == FW_CLOSE_NONE)
        fw_session_set_claims(session, &claims);
    return refused;
}

fw_close_t fw_dialogue_refuse_token(const fw_dialogue_t *self, fw_door_t door, const char *reason)
{
    if (self->judged)
        self->judged(self->judged_context, door, -EACCES);
    return close_with(FW_CLOSE_TOKEN_REFUSED, reason);
}

void fw_dialogue_refuse(const fw_dialogue_t *self, fw_session_t *session,
                        const fw_server_error_t *error)
{
    (*self->refused)++;
    fw_session_say_error(session, error);
    fw_hub_mark(self->hub, session);
}

/* Leaves a channel that the session may not listen to any more. */
static void expel(const fw_dialogue_t *self, fw_session_t *session, fw_text_t channel,
                  int64_t now_ms)
{
    char name[FW_CHANNEL_SIZE_MAX];
    assert(channel.size <= sizeof name);
    memcpy(name, channel.text, channel.size);
    channel.text = name; /* the channel may go with its last listener */
    fw_session_say_unsubscribed(session, FW_TEXT_NONE, channel, "forbidden");
    int result = fw_hub_leave(self->hub, session, channel, now_ms);
    assert(result == 0);
    (void)result;
}

void fw_dialogue_replace_claims(const fw_dialogue_t *self, fw_session_t *session,
                                fw_claims_t **claims_p, int64_t now_ms)
{
    bool left = false;
    fw_session_set_claims(session, claims_p);
    session->expired = false;
    session->renewed = true;
    /* From the end, since the last one takes the place of one that goes. */
    for (uint32_t i = session->count; i-- > 0;) {
        fw_text_t channel = fw_channel_name(session->subscriptions[i].channel);
        if (fw_claims_may(session->claims, FW_ACTION_LISTEN, channel))
            continue;
        expel(self, session, channel, now_ms);
        left = true;
    }
    fw_dialogue_recheck(self, session);
    /* The welcome may have waited for these only. */
    if (left && session->state == FW_SESSION_WAITING)
        fw_hub_await(self->hub, session);
    fw_hub_mark(self->hub, session);
}

/* A signature is dearer than what else a client may say. */
static bool pay(fw_session_t *session, int64_t now_ms)
{
    for (int i = 1; i < FW_REFRESH_COST; i++)
        if (!fw_bucket_take(&session->messages, now_ms, FW_MESSAGES_PER_SECOND, FW_MESSAGES_BURST))
            return false;
    return true;
}

fw_close_t fw_dialogue_refresh(const fw_dialogue_t *self, fw_session_t *session,
                               const fw_client_message_t *message, int64_t now_ms, int64_t wall_s)
{
    fw_claims_t *claims = NULL;
    fw_close_t refused = close_with(FW_CLOSE_FORBIDDEN, "this session has no user");
    if (!pay(session, now_ms))
        return close_with(FW_CLOSE_TOO_MANY, "too many messages");
    if (session->claims)
        refused = verify(self, session, FW_DOOR_REFRESH, message->token, wall_s, &claims);
    if (refused.code != FW_CLOSE_NONE) {
        fw_server_error_t error = {
            .request_id = message->request_id,
            .code = refused.code,
            .reason = refused.reason,
            .temporary = refused.code == FW_CLOSE_KEY_UNKNOWN,
            .channel = FW_TEXT_NONE,
        };
        fw_dialogue_refuse(self, session, &error);
        return FW_CLOSE_NOT;
    }
    int64_t expires_s = fw_claims_expires_s(claims);
    int64_t left_s = expires_s > wall_s ? expires_s - wall_s : 0;
    /* One that is only good for the leeway's sake expires at once, which is not never. */
    int64_t expires_in_ms = expires_s > 0 && left_s == 0 ? 1 : left_s * 1000;
    fw_session_say_refreshed(session, message->request_id, expires_in_ms);
    fw_dialogue_replace_claims(self, session, &claims, now_ms);
    return FW_CLOSE_NOT;
}
