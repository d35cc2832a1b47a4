/* dialogue.c - see dialogue.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/dialogue.h"

#include <errno.h>

#include "gateway/dialogue_grants.h"
#include "gateway/dialogue_rooms.h"
#include "gateway/dialogue_stream.h"
#include "gateway/dialogue_token.h"
#include "proto/browser.h"
#include "proto/utf8.h"

static fw_close_t close_with(fw_close_code_t code, const char *reason)
{
    return (fw_close_t){code, reason};
}

/* May the session be where it is, being who it is? */
static fw_close_t admit(const fw_dialogue_t *self, const fw_session_t *session,
                        const fw_route_t *route)
{
    if (!session->claims && (route->endpoint != FW_ENDPOINT_ALL || !self->anonymous))
        return close_with(FW_CLOSE_TOKEN_REFUSED, "a token is needed here");
    if (route->endpoint == FW_ENDPOINT_ROOM) {
        char name[FW_CHANNEL_SIZE_MAX + 1];
        size_t size = 0;
        if (fw_channel_make(FW_CHANNEL_KIND_ROOM, route->room, name, &size) != 0 ||
            !fw_claims_may(session->claims, FW_ACTION_LISTEN, (fw_text_t){name, size}))
            return close_with(FW_CLOSE_FORBIDDEN, "the token does not allow this room");
    }
    return FW_CLOSE_NOT;
}

typedef struct {
    const fw_client_subscription_t *subscriptions; /* of fw.hello */
    size_t count;
} wishes_t;

/* The position that fw.hello gave for a channel of the endpoint, or NULL. */
static const fw_position_t *wished_position(const wishes_t *wishes, fw_text_t channel)
{
    for (size_t i = 0; i < wishes->count; i++) {
        if (wishes->subscriptions[i].positioned &&
            fw_text_equal(wishes->subscriptions[i].channel, channel))
            return &wishes->subscriptions[i].position;
    }
    return NULL;
}

static void join_kind(const fw_dialogue_t *self, fw_session_t *session, fw_channel_kind_t kind,
                      fw_text_t id, const wishes_t *wishes)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = 0;
    if (fw_channel_make(kind, id, name, &size) != 0)
        return;
    fw_text_t channel = {name, size};
    (void)fw_hub_join(self->hub, session, channel, wished_position(wishes, channel), FW_TEXT_NONE);
}

static void join_endpoint(const fw_dialogue_t *self, fw_session_t *session, const fw_route_t *route,
                          const wishes_t *wishes)
{
    fw_text_t user = fw_session_user(session);
    if (route->endpoint == FW_ENDPOINT_ALL)
        join_kind(self, session, FW_CHANNEL_KIND_BROADCAST, FW_TEXT_NONE, wishes);
    if (route->endpoint == FW_ENDPOINT_ROOM)
        join_kind(self, session, FW_CHANNEL_KIND_ROOM, route->room, wishes);
    else if (session->claims)
        join_kind(self, session, FW_CHANNEL_KIND_USER, user, wishes);
}

static void say_error(const fw_dialogue_t *self, fw_session_t *session, fw_text_t request_id,
                      fw_close_code_t code, const char *reason, fw_text_t channel)
{
    fw_server_error_t error = {
        .request_id = request_id,
        .code = code,
        .reason = reason,
        .temporary = code == FW_CLOSE_TOO_MANY,
        .channel = channel,
    };
    fw_dialogue_refuse(self, session, &error);
}

void fw_dialogue_join(const fw_dialogue_t *self, fw_session_t *session,
                      const fw_client_subscription_t *subscription, fw_text_t request_id)
{
    fw_text_t name = subscription->channel;
    const fw_channel_t *channel = fw_hub_find(self->hub, name);
    bool has = channel && fw_session_find(session, channel) >= 0;
    fw_grant_t grant = FW_GRANT_YES;
    if (fw_channel_kind(name) == FW_CHANNEL_INVALID) {
        say_error(self, session, request_id, FW_CLOSE_BAD_REQUEST, "not the name of a channel",
                  name);
    } else if (!fw_claims_may(session->claims, FW_ACTION_LISTEN, name)) {
        say_error(self, session, request_id, FW_CLOSE_FORBIDDEN, "the token does not allow this",
                  name);
    } else if (!has && session->count >= self->channels_max) {
        say_error(self, session, request_id, FW_CLOSE_TOO_MANY, "too many channels", name);
    } else if ((grant = fw_dialogue_granted(self, session, FW_ACTION_LISTEN, name)) !=
               FW_GRANT_YES) {
        fw_dialogue_refuse_grant(self, session, request_id, grant, NULL, name);
    } else {
        (void)fw_hub_join(self->hub, session, name,
                          subscription->positioned ? &subscription->position : NULL, request_id);
    }
}

fw_close_t fw_dialogue_open(const fw_dialogue_t *self, fw_session_t *session,
                            const fw_opening_t *opening, int64_t now_ms, int64_t wall_s)
{
    (void)now_ms;
    const wishes_t none = {NULL, 0};
    if (opening->subprotocol == FW_SUBPROTOCOL_UNKNOWN)
        return close_with(FW_CLOSE_NO_PROTOCOL, "no common subprotocol");
    session->greets = opening->subprotocol != FW_SUBPROTOCOL_NONE;
    if (opening->subprotocol == FW_SUBPROTOCOL_OURS_BINARY)
        session->encoding = FW_ENCODING_PROTOBUF;
    else if (opening->route.stream)
        session->encoding = FW_ENCODING_SSE;
    session->batch = opening->unnamed;
    session->state = FW_SESSION_GREETING;
    fw_bytes_t origin = {(const uint8_t *)opening->origin.text, opening->origin.size};
    if (origin.size > FW_ORIGIN_SIZE_MAX || !fw_utf8_printable(origin))
        return close_with(FW_CLOSE_BAD_REQUEST, "origin is not a text of at most 128 bytes");
    fw_session_set_origin(session, opening->origin);
    if (opening->token_refused)
        return fw_dialogue_refuse_token(self, opening->door, opening->token_refused);
    if (opening->token.size > 0) {
        fw_close_t refused =
            fw_dialogue_authenticate(self, session, opening->door, opening->token, wall_s);
        if (refused.code != FW_CLOSE_NONE)
            return refused;
    }
    if (session->greets)
        return FW_CLOSE_NOT;
    fw_close_t refused = admit(self, session, &opening->route);
    /* A plain client may still bring its token in fw.hello. */
    if (refused.code == FW_CLOSE_TOKEN_REFUSED && !opening->route.stream)
        return FW_CLOSE_NOT;
    if (refused.code != FW_CLOSE_NONE)
        return refused;
    if (opening->route.stream)
        return fw_dialogue_stream(self, session, opening);
    if (opening->route.endpoint == FW_ENDPOINT_ROOM) {
        char name[FW_CHANNEL_SIZE_MAX + 1];
        fw_client_subscription_t room = {.channel = {name, 0}};
        if (fw_channel_make(FW_CHANNEL_KIND_ROOM, opening->route.room, name, &room.channel.size) !=
            0)
            return close_with(FW_CLOSE_FORBIDDEN, "not the name of a room");
        return fw_dialogue_enter(self, session, &room, 1, 1);
    }
    join_endpoint(self, session, &opening->route, &none);
    fw_hub_await(self->hub, session);
    return FW_CLOSE_NOT;
}

static bool is_of_endpoint(const fw_session_t *session, const fw_route_t *route, fw_text_t channel)
{
    switch (fw_channel_kind(channel)) {
    case FW_CHANNEL_KIND_BROADCAST:
        return route->endpoint == FW_ENDPOINT_ALL;
    case FW_CHANNEL_KIND_USER:
        return route->endpoint != FW_ENDPOINT_ROOM && session->claims &&
               fw_text_equal(fw_channel_id(channel), fw_session_user(session));
    case FW_CHANNEL_KIND_ROOM:
        return route->endpoint == FW_ENDPOINT_ROOM &&
               fw_text_equal(fw_channel_id(channel), route->room);
    case FW_CHANNEL_INVALID:
        break;
    }
    return false;
}

/* May it listen to its endpoint's room, as far as the backend decides that? */
static fw_close_t admit_room(const fw_dialogue_t *self, fw_session_t *session,
                             const fw_route_t *route)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = 0;
    if (route->endpoint != FW_ENDPOINT_ROOM ||
        fw_channel_make(FW_CHANNEL_KIND_ROOM, route->room, name, &size) != 0)
        return FW_CLOSE_NOT;
    switch (fw_dialogue_granted(self, session, FW_ACTION_LISTEN, (fw_text_t){name, size})) {
    case FW_GRANT_YES:
        return FW_CLOSE_NOT;
    case FW_GRANT_NO:
        return close_with(FW_CLOSE_FORBIDDEN, "this room is not allowed");
    case FW_GRANT_UNKNOWN:
    case FW_GRANT_LATER:
        break;
    }
    return close_with(FW_CLOSE_TOO_MANY, "it cannot be told now whether this room is allowed");
}

static fw_close_t hello(const fw_dialogue_t *self, fw_session_t *session, const fw_route_t *route,
                        const fw_client_message_t *message, int64_t wall_s)
{
    bool again = session->greets && session->state != FW_SESSION_GREETING;
    if (again) {
        say_error(self, session, message->request_id, FW_CLOSE_BAD_REQUEST, "fw.hello was said",
                  FW_TEXT_NONE);
        return FW_CLOSE_NOT;
    }
    if (message->token.size > 0) {
        fw_close_t refused =
            fw_dialogue_authenticate(self, session, FW_DOOR_HELLO, message->token, wall_s);
        if (refused.code != FW_CLOSE_NONE)
            return refused;
    }
    fw_close_t refused = admit(self, session, route);
    if (refused.code != FW_CLOSE_NONE)
        return refused;
    if (fw_dialogue_waits(self, session, route->room, message))
        return close_with(FW_CLOSE_LATER, "");
    refused = admit_room(self, session, route);
    if (refused.code != FW_CLOSE_NONE)
        return refused;
    if (message->origin.size > 0)
        fw_session_set_origin(session, message->origin);
    session->greets = true;
    session->batch = message->batch;
    /* Not open while joining, so that one welcome answers all. */
    session->state = FW_SESSION_GREETING;
    wishes_t wishes = {message->subscriptions, message->subscriptions_count};
    join_endpoint(self, session, route, &wishes);
    for (size_t i = 0; i < message->subscriptions_count; i++) {
        if (!is_of_endpoint(session, route, message->subscriptions[i].channel))
            fw_dialogue_join(self, session, &message->subscriptions[i], FW_TEXT_NONE);
        fw_dialogue_watch(self, session, &message->subscriptions[i]);
    }
    fw_hub_await(self->hub, session);
    return FW_CLOSE_NOT;
}

static void unsubscribe(const fw_dialogue_t *self, fw_session_t *session,
                        const fw_client_message_t *message, int64_t now_ms)
{
    fw_text_t channel = message->subscriptions[0].channel;
    if (fw_hub_leave(self->hub, session, channel, now_ms) != 0) {
        say_error(self, session, message->request_id, FW_CLOSE_BAD_REQUEST, "not subscribed",
                  channel);
        return;
    }
    fw_session_say_unsubscribed(session, message->request_id, channel, "");
    fw_hub_mark(self->hub, session);
    /* The welcome may have waited for this one only. */
    if (session->state == FW_SESSION_WAITING)
        fw_hub_await(self->hub, session);
}

static fw_close_t obey(const fw_dialogue_t *self, fw_session_t *session, const fw_route_t *route,
                       const fw_client_message_t *message, int64_t now_ms, int64_t wall_s)
{
    bool greeted = session->state != FW_SESSION_GREETING;
    bool decided = message->kind != FW_CLIENT_SUBSCRIBE && message->kind != FW_CLIENT_PUBLISH;
    if (greeted && !decided && fw_dialogue_waits(self, session, FW_TEXT_NONE, message))
        return close_with(FW_CLOSE_LATER, "");
    switch (message->kind) {
    case FW_CLIENT_HELLO:
        return hello(self, session, route, message, wall_s);
    case FW_CLIENT_PING:
        fw_session_say_pong(session);
        fw_hub_mark(self->hub, session);
        break;
    case FW_CLIENT_PONG:
        break;
    case FW_CLIENT_REFRESH:
        if (greeted)
            return fw_dialogue_refresh(self, session, message, now_ms, wall_s);
        break;
    case FW_CLIENT_SUBSCRIBE:
        if (!greeted)
            break;
        fw_dialogue_join(self, session, &message->subscriptions[0], message->request_id);
        fw_dialogue_watch(self, session, &message->subscriptions[0]);
        break;
    case FW_CLIENT_PUBLISH:
        if (greeted)
            fw_dialogue_publish(self, session, message, now_ms);
        break;
    case FW_CLIENT_UNSUBSCRIBE:
        if (greeted)
            unsubscribe(self, session, message, now_ms);
        break;
    }
    bool asks = message->kind == FW_CLIENT_SUBSCRIBE || message->kind == FW_CLIENT_UNSUBSCRIBE ||
                message->kind == FW_CLIENT_REFRESH || message->kind == FW_CLIENT_PUBLISH;
    if (asks && !greeted)
        say_error(self, session, message->request_id, FW_CLOSE_BAD_REQUEST, "fw.hello is expected",
                  FW_TEXT_NONE);
    return FW_CLOSE_NOT;
}

fw_close_t fw_dialogue_message(const fw_dialogue_t *self, fw_session_t *session,
                               const fw_route_t *route, fw_bytes_t text, int64_t now_ms,
                               int64_t wall_s)
{
    if (!fw_bucket_take(&session->messages, now_ms, FW_MESSAGES_PER_SECOND, FW_MESSAGES_BURST))
        return close_with(FW_CLOSE_TOO_MANY, "too many messages");
    fw_client_message_t message;
    const char *reason = "";
    fw_close_t outcome = FW_CLOSE_NOT;
    fw_refusal_t refusal;
    int result = 0;
    if (session->encoding == FW_ENCODING_PROTOBUF)
        result = fw_browser_decode(self->codec, text, &text, &refusal);
    if (result != 0) {
        say_error(self, session, FW_TEXT_NONE, FW_CLOSE_BAD_REQUEST, refusal.reason, FW_TEXT_NONE);
        return FW_CLOSE_NOT;
    }
    result = fw_client_message_parse(text, self->resume_max, &message, &reason);
    if (result == 0)
        outcome = obey(self, session, route, &message, now_ms, wall_s);
    else {
        say_error(self, session, message.request_id,
                  result == -E2BIG ? FW_CLOSE_TOO_MANY : FW_CLOSE_BAD_REQUEST, reason,
                  FW_TEXT_NONE);
    }
    fw_client_message_clear(&message);
    return outcome;
}

fw_close_t fw_dialogue_late(const fw_session_t *session)
{
    if (session->greets)
        return close_with(FW_CLOSE_BAD_REQUEST, "hello expected");
    return close_with(FW_CLOSE_TOKEN_REFUSED, "a token is needed here");
}
