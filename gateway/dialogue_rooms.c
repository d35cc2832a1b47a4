/* dialogue_rooms.c - see dialogue_rooms.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/dialogue_rooms.h"

#include <assert.h>

#include "gateway/dialogue_grants.h"
#include "gateway/dialogue_token.h"
#include "proto/wildcard.h"

static void refuse_presence(const fw_dialogue_t *self, fw_session_t *session, fw_text_t channel,
                            fw_close_code_t code, const char *reason)
{
    /* Without the request's id: the subscription itself stands, and is answered by itself. */
    fw_server_error_t error = {.request_id = FW_TEXT_NONE,
                               .code = code,
                               .reason = reason,
                               .action = "presence",
                               .channel = channel};
    fw_dialogue_refuse(self, session, &error);
}

void fw_dialogue_watch(const fw_dialogue_t *self, fw_session_t *session,
                       const fw_client_subscription_t *subscription)
{
    fw_text_t name = subscription->channel;
    const fw_channel_t *channel = fw_hub_find(self->hub, name);
    int index = channel ? fw_session_find(session, channel) : -1;
    fw_grant_t grant = FW_GRANT_YES;
    if (!self->rooms || subscription->presence == FW_CLIENT_UNSAID || index < 0)
        return;
    if (subscription->presence == FW_CLIENT_NO)
        fw_rooms_watch(self->rooms, session, (uint32_t)index, false);
    else if (fw_channel_kind(name) != FW_CHANNEL_KIND_ROOM)
        refuse_presence(self, session, name, FW_CLOSE_BAD_REQUEST, "only rooms have presence");
    else if (!fw_claims_may(session->claims, FW_ACTION_PRESENCE, name))
        refuse_presence(self, session, name, FW_CLOSE_FORBIDDEN,
                        "the token does not allow presence here");
    else if ((grant = fw_dialogue_granted(self, session, FW_ACTION_PRESENCE, name)) != FW_GRANT_YES)
        fw_dialogue_refuse_grant(self, session, FW_TEXT_NONE, grant, "presence", name);
    else
        fw_rooms_watch(self->rooms, session, (uint32_t)index, true);
}

void fw_dialogue_recheck(const fw_dialogue_t *self, fw_session_t *session)
{
    uint32_t index;
    while (self->rooms && fw_rooms_recheck(self->rooms, session, &index))
        refuse_presence(self, session, fw_channel_name(session->subscriptions[index].channel),
                        FW_CLOSE_FORBIDDEN, "the token does not allow presence here any more");
}

/* ------ publishing */

static bool is_allowed_type(const struct fw_client_publish *rules, fw_text_t type)
{
    for (size_t i = 0; i < rules->types_count; i++)
        if (fw_wildcard_match(fw_text(rules->types[i]), type))
            return true;
    return rules->types_count == 0;
}

static bool is_subscribed(const fw_dialogue_t *self, const fw_session_t *session, fw_text_t name)
{
    const fw_channel_t *channel = fw_hub_find(self->hub, name);
    int index = channel ? fw_session_find(session, channel) : -1;
    return index >= 0 && !session->subscriptions[index].wish;
}

/* Why the message is not published; FW_CLOSE_NONE: it may be. */
static fw_close_t judge(const fw_dialogue_t *self, const fw_session_t *session,
                        const fw_client_message_t *message)
{
    const struct fw_client_publish *rules = self->publish;
    fw_text_t name = message->subscriptions[0].channel;
    if (fw_channel_kind(name) != FW_CHANNEL_KIND_ROOM)
        return (fw_close_t){FW_CLOSE_BAD_REQUEST, "clients publish into rooms"};
    if (!fw_claims_may(session->claims, FW_ACTION_PUBLISH, name))
        return (fw_close_t){FW_CLOSE_FORBIDDEN, "the token does not allow to publish here"};
    if (!is_subscribed(self, session, name))
        return (fw_close_t){FW_CLOSE_FORBIDDEN, "not subscribed"};
    if (!is_allowed_type(rules, message->event))
        return (fw_close_t){FW_CLOSE_FORBIDDEN, "clients may not publish this type"};
    if (message->data.size > rules->bytes_max)
        return (fw_close_t){FW_CLOSE_BAD_REQUEST, "data is too large"};
    if (message->keep && !rules->keep)
        return (fw_close_t){FW_CLOSE_FORBIDDEN, "events of clients are not kept here"};
    return FW_CLOSE_NOT;
}

static void answer(const fw_dialogue_t *self, fw_session_t *session,
                   const fw_client_message_t *message, fw_close_t refused)
{
    fw_server_error_t error = {.request_id = message->request_id,
                               .code = refused.code,
                               .reason = refused.reason,
                               .temporary = refused.code == FW_CLOSE_TOO_MANY,
                               .action = "publish",
                               .channel = message->subscriptions[0].channel};
    fw_dialogue_refuse(self, session, &error);
}

static int send_on(const struct fw_client_publish *to, fw_session_t *session,
                   const fw_client_message_t *message, const fw_event_t *event)
{
    if (message->keep)
        return to->keep_event(to->context, session, event, message->request_id);
    return to->pass(to->context, event);
}

void fw_dialogue_publish(const fw_dialogue_t *self, fw_session_t *session,
                         const fw_client_message_t *message, int64_t now_ms)
{
    const struct fw_client_publish *rules = self->publish;
    fw_refusal_t refusal;
    char user[FW_USER_ID_SIZE_MAX + 1] = "";
    fw_text_t author = fw_session_user(session);
    assert(author.size < sizeof user);
    memcpy(user, author.text, author.size); /* with a closing 0, as encoders want it */
    fw_event_t event = {
        .id = FW_TEXT_NONE,
        .type = message->event,
        .data = {.kind = message->data.size > 0 ? FW_PAYLOAD_JSON : FW_PAYLOAD_NONE,
                 .bytes = message->data,
                 .type = FW_TEXT_NONE},
        .audience = &message->subscriptions[0].channel,
        .audience_count = 1,
        .origin = fw_session_origin(session),
        .user_id = {user, author.size},
        .client = true,
    };
    if (!rules || rules->per_second == 0) {
        answer(self, session, message,
               (fw_close_t){FW_CLOSE_FORBIDDEN, "clients may not publish here"});
        return;
    }
    if (!fw_bucket_take(&session->publishes, now_ms, rules->per_second, 2 * rules->per_second)) {
        answer(self, session, message, (fw_close_t){FW_CLOSE_TOO_MANY, "too many events"});
        return;
    }
    fw_close_t refused = judge(self, session, message);
    fw_text_t name = message->subscriptions[0].channel;
    fw_grant_t grant = FW_GRANT_YES;
    if (refused.code == FW_CLOSE_NONE)
        grant = fw_dialogue_granted(self, session, FW_ACTION_PUBLISH, name);
    if (grant != FW_GRANT_YES) {
        fw_dialogue_refuse_grant(self, session, message->request_id, grant, "publish", name);
        return;
    }
    if (refused.code == FW_CLOSE_NONE && fw_event_check(&event, &refusal) != 0)
        refused = (fw_close_t){FW_CLOSE_BAD_REQUEST, refusal.reason};
    if (refused.code == FW_CLOSE_NONE && send_on(rules, session, message, &event) != 0)
        refused = (fw_close_t){FW_CLOSE_TOO_MANY, "cannot publish now"};
    if (refused.code != FW_CLOSE_NONE) {
        answer(self, session, message, refused);
        return;
    }
    if (message->keep || message->request_id.size == 0)
        return;
    fw_session_say_published(session, message->request_id);
    fw_hub_mark(self->hub, session);
}
