/* dialogue_grants.c - see dialogue_grants.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/dialogue_grants.h"

#include "gateway/dialogue_token.h"

fw_grant_t fw_dialogue_granted(const fw_dialogue_t *self, fw_session_t *session, fw_action_t action,
                               fw_text_t channel)
{
    if (!self->grants || fw_channel_kind(channel) != FW_CHANNEL_KIND_ROOM ||
        !fw_claims_may(session->claims, action, channel))
        return FW_GRANT_YES;
    return self->grants->look(self->grants->context, session, action, channel);
}

static bool is_later(const fw_dialogue_t *self, fw_session_t *session, fw_action_t action,
                     fw_text_t channel)
{
    return fw_dialogue_granted(self, session, action, channel) == FW_GRANT_LATER;
}

bool fw_dialogue_waits(const fw_dialogue_t *self, fw_session_t *session, fw_text_t room,
                       const fw_client_message_t *message)
{
    bool waits = false;
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = 0;
    if (!self->grants)
        return false;
    /* All are asked for at once, also when one has to wait. */
    if (room.size > 0 && fw_channel_make(FW_CHANNEL_KIND_ROOM, room, name, &size) == 0)
        waits = is_later(self, session, FW_ACTION_LISTEN, (fw_text_t){name, size});
    fw_action_t action = message->kind == FW_CLIENT_PUBLISH ? FW_ACTION_PUBLISH : FW_ACTION_LISTEN;
    for (size_t i = 0; i < message->subscriptions_count; i++) {
        const fw_client_subscription_t *wish = &message->subscriptions[i];
        waits |= is_later(self, session, action, wish->channel);
        if (wish->presence == FW_CLIENT_YES)
            waits |= is_later(self, session, FW_ACTION_PRESENCE, wish->channel);
    }
    return waits;
}

static const char *reason_of(fw_grant_t grant)
{
    return grant == FW_GRANT_NO ? "this room is not allowed"
                                : "it cannot be told now whether this room is allowed";
}

void fw_dialogue_refuse_grant(const fw_dialogue_t *self, fw_session_t *session,
                              fw_text_t request_id, fw_grant_t grant, const char *action,
                              fw_text_t channel)
{
    fw_server_error_t error = {
        .request_id = request_id,
        .code = FW_CLOSE_FORBIDDEN,
        .reason = reason_of(grant),
        .temporary = grant != FW_GRANT_NO,
        .action = action,
        .channel = channel,
    };
    fw_dialogue_refuse(self, session, &error);
}

fw_close_t fw_dialogue_enter(const fw_dialogue_t *self, fw_session_t *session,
                             const fw_client_subscription_t *channels, size_t count, size_t own)
{
    bool waits = false;
    for (size_t i = 0; i < count; i++)
        waits |= is_later(self, session, FW_ACTION_LISTEN, channels[i].channel);
    if (waits) {
        self->grants->hold(self->grants->context, session, channels, count, own);
        return FW_CLOSE_NOT;
    }
    for (size_t i = 0; i < own; i++) {
        fw_grant_t grant =
            fw_dialogue_granted(self, session, FW_ACTION_LISTEN, channels[i].channel);
        if (grant != FW_GRANT_YES)
            return (fw_close_t){grant == FW_GRANT_NO ? FW_CLOSE_FORBIDDEN : FW_CLOSE_TOO_MANY,
                                reason_of(grant)};
    }
    for (size_t i = 0; i < count; i++) {
        if (i >= own)
            fw_dialogue_join(self, session, &channels[i], FW_TEXT_NONE);
        else
            (void)fw_hub_join(self->hub, session, channels[i].channel,
                              channels[i].positioned ? &channels[i].position : NULL, FW_TEXT_NONE);
    }
    fw_hub_await(self->hub, session);
    return FW_CLOSE_NOT;
}
