/* shard_auth.c - tokens in a shard: their keys, their time, and what is counted of them.
 * SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_auth.h"

#include <assert.h>
#include <errno.h>

#include "gateway/cookie.h"
#include "gateway/dialogue_token.h"
#include "gateway/jwks.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { ASK_EVERY_MS = 100 };

static fw_token_result_t result_of(int result)
{
    if (result == 0)
        return FW_TOKEN_ACCEPTED;
    if (result == -EKEYEXPIRED)
        return FW_TOKEN_EXPIRED;
    return result == -ENOKEY ? FW_TOKEN_UNKNOWN_KEY : FW_TOKEN_REFUSED;
}

/* A key that is not known may be a new one; who comes with one that never was hurries nobody. */
static void ask_for_keys(fw_shard_t *self)
{
    static const uint8_t unknown = FW_JWKS_UNKNOWN;
    int64_t now_ms = fw_clock_ms();
    if (!self->jwks || (self->keys_asked_ms > 0 && now_ms - self->keys_asked_ms < ASK_EVERY_MS))
        return;
    if (fw_socket_send(self->jwks, (fw_bytes_t){&unknown, 1}) == 0)
        self->keys_asked_ms = now_ms;
}

/* A token came in by some door. */
static void judged(void *context, fw_door_t door, int result)
{
    fw_shard_t *self = context;
    fw_counter_add(self->metrics.tokens[door][result_of(result)], 1);
    if (result == -ENOKEY)
        ask_for_keys(self);
}

/* A link inside the process: the actor answers whenever it has other keys. */
static int open_jwks(fw_shard_t *self)
{
    static const uint8_t hello = FW_JWKS_HELLO;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    if (!*self->args->jwks_endpoint)
        return 0;
    int result = fw_socket_open(&settings, self->args->jwks_endpoint, &self->jwks);
    if (result == 0)
        result = fw_wakeup_new(&self->loop, self->jwks, &self->jwks_wakeup);
    if (result == 0)
        result = fw_socket_send(self->jwks, (fw_bytes_t){&hello, 1});
    return result;
}

int fw_shard_auth_begin(fw_shard_t *self)
{
    const fw_auth_policy_t nothing = {.leeway_s = 0};
    self->auth = fw_auth_new(&nothing);
    fw_shard_auth_rules(self, self->policy->token_rules);
    self->dialogue.auth = self->auth;
    self->dialogue.judged = judged;
    self->dialogue.judged_context = self;
    return open_jwks(self);
}

static void take_keys(fw_shard_t *self, fw_bytes_t message)
{
    fw_keys_t *keys = NULL;
    const char *reason = "";
    size_t skipped = 0;
    if (message.data[0] == FW_JWKS_KEYS) {
        fw_bytes_t set = {message.data + 1, message.size - 1};
        keys = fw_keys_new();
        int result = fw_keys_add_jwks(keys, set, false, &skipped, &reason);
        assert(result == 0); /* the actor has tried it */
        (void)result;
    }
    fw_auth_set_fetched(self->auth, &keys);
}

void fw_shard_auth_turn(fw_shard_t *self)
{
    zmq_msg_t frame;
    if (!self->jwks)
        return;
    zmq_msg_init(&frame);
    while (fw_socket_receive(self->jwks, &frame) == 0) {
        fw_bytes_t message = fw_socket_bytes(&frame);
        assert(message.size > 0);
        take_keys(self, message);
    }
    zmq_msg_close(&frame);
}

void fw_shard_auth_rules(fw_shard_t *self, const fw_token_rules_t *rules)
{
    fw_token_rules_apply(rules, self->auth);
    self->token_rules = rules;
}

void fw_shard_auth_stop(fw_shard_t *self)
{
    fw_wakeup_destroy(&self->jwks_wakeup);
}

void fw_shard_auth_end(fw_shard_t *self)
{
    zsock_destroy(&self->jwks);
    fw_auth_destroy(&self->auth);
}

/* A browser says where a page is from that opens a WebSocket; it says so too of a page that reads a
 * stream of events, unless that is our own. */
static bool is_from_our_page(const fw_shard_t *self, struct lws *wsi)
{
    static const char name[] = "sec-fetch-site:";
    char text[512];
    bool fits = true;
    fw_text_t origin = fw_http_header(wsi, WSI_TOKEN_ORIGIN, text, sizeof text, &fits);
    if (origin.size > 0)
        return fits && self->config->origins_count > 0 &&
               fw_route_origin_allowed(self->config->origins, self->config->origins_count, origin);
    int size = lws_hdr_custom_copy(wsi, text, (int)sizeof text, name, sizeof name - 1);
    return size > 0 && strcmp(text, "same-origin") == 0;
}

/* The cookie that may hold a token, for who allowed it to and only where we know the page. */
static void find_in_cookie(const fw_shard_t *self, struct lws *wsi, char *buffer,
                           fw_opening_t *opening)
{
    char header[FW_HEADERS_BYTES_MAX];
    bool fits = true;
    fw_text_t name = fw_text(fw_token_rules_cookie(self->token_rules));
    fw_text_t value = FW_TEXT_NONE;
    if (name.size == 0)
        return;
    int result = fw_cookie_find(
        fw_http_header(wsi, WSI_TOKEN_HTTP_COOKIE, header, sizeof header, &fits), name, &value);
    if (result != -ENOENT)
        opening->door = FW_DOOR_COOKIE;
    if (result == -EEXIST)
        opening->token_refused = "there are several cookies of that name";
    else if (result == 0 && !is_from_our_page(self, wsi))
        opening->token_refused = "a cookie is only believed with an Origin that is allowed";
    else if (result == 0 && value.size > FW_TOKEN_SIZE_MAX)
        opening->token_refused = "token is too long";
    else if (result == 0)
        opening->token = (fw_text_t){memcpy(buffer, value.text, value.size), value.size};
    explicit_bzero(header, sizeof header);
}

void fw_shard_find_token(const fw_shard_t *self, struct lws *wsi, char buffer[FW_TOKEN_BUFFER_SIZE],
                         fw_opening_t *opening)
{
    bool fits = true;
    opening->door = FW_DOOR_HEADER;
    opening->token = fw_route_bearer(
        fw_http_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, buffer, FW_TOKEN_BUFFER_SIZE, &fits));
    /* One that is too long is not the same as none. */
    if (!fits)
        opening->token_refused = "token is too long";
    if (!fits || opening->token.size > 0)
        return;
    opening->door = FW_DOOR_QUERY;
    opening->token = fw_http_argument(wsi, "token", buffer, FW_TOKEN_BUFFER_SIZE);
    if (opening->token.size == 0)
        find_in_cookie(self, wsi, buffer, opening);
}

int64_t fw_shard_token_due_ms(const fw_shard_t *self, const fw_session_t *session, int64_t now_ms)
{
    int64_t expires_s = session->claims ? fw_claims_expires_s(session->claims) : 0;
    if (expires_s == 0)
        return INT64_MAX;
    int64_t wall_ms = expires_s * 1000 + fw_token_rules_leeway_ms(self->token_rules);
    if (session->expired)
        wall_ms += fw_token_rules_grace_ms(self->token_rules);
    int64_t left_ms = wall_ms - fw_clock_wall_ms();
    return now_ms + (left_ms > 0 ? left_ms : 0);
}

bool fw_shard_token_timer(fw_shard_t *self, fw_session_t *session, int64_t now_ms)
{
    int64_t grace_ms = fw_token_rules_grace_ms(self->token_rules);
    if (fw_shard_token_due_ms(self, session, now_ms) > now_ms)
        return false;
    /* Who has not greeted yet has nothing to lose. */
    if (session->expired || grace_ms == 0 || session->state == FW_SESSION_GREETING) {
        fw_shard_close(self, session->connection,
                       (fw_close_t){FW_CLOSE_TOKEN_EXPIRED, "token has expired"});
        return true;
    }
    session->expired = true;
    fw_session_say_expired(session, (uint32_t)grace_ms);
    fw_hub_mark(self->hub, session);
    fw_ws_schedule(self, session, (fw_phase_t)session->phase, now_ms);
    return true;
}

void fw_shard_set_claims(fw_shard_t *self, fw_session_t *session, fw_claims_t **claims_p)
{
    int64_t now_ms = fw_clock_ms();
    fw_dialogue_replace_claims(&self->dialogue, session, claims_p, now_ms);
    fw_shard_token_renewed(self, session, now_ms);
}

void fw_shard_token_renewed(fw_shard_t *self, fw_session_t *session, int64_t now_ms)
{
    if (!session->renewed)
        return;
    session->renewed = false;
    fw_ws_schedule(self, session, (fw_phase_t)session->phase, now_ms);
}
