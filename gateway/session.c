/* session.c - see session.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/sse.h"
#include "proto/browser.h"
#include "runtime/alloc.h"

enum {
    PING_PAYLOAD = 'f'
}; /* not empty: libwebsockets does not report the pong of an empty ping */

fw_session_t *fw_session_new(void *connection, uint64_t id)
{
    fw_session_t *self = fw_alloc(1, sizeof *self);
    self->connection = connection;
    self->id = id;
    self->encoding = FW_ENCODING_JSON;
    return self;
}

void fw_session_destroy(fw_session_t **self_p)
{
    fw_session_t *self = *self_p;
    if (!self)
        return;
    assert(self->count == 0);
    assert(!self->listed);
    fw_claims_destroy(&self->claims);
    free(self->origin);
    free(self->subscriptions);
    free(self->control);
    free(self);
    *self_p = NULL;
}

fw_text_t fw_session_user(const fw_session_t *self)
{
    return self->claims ? fw_claims_user(self->claims) : FW_TEXT_NONE;
}

fw_text_t fw_session_origin(const fw_session_t *self)
{
    return fw_text(self->origin);
}

void fw_session_set_claims(fw_session_t *self, fw_claims_t **claims_p)
{
    fw_claims_destroy(&self->claims);
    self->claims = *claims_p;
    *claims_p = NULL;
}

void fw_session_set_origin(fw_session_t *self, fw_text_t origin)
{
    free(self->origin);
    self->origin = origin.size > 0 ? fw_copy_text(origin.text, origin.size) : NULL;
}

int fw_session_find(const fw_session_t *self, const fw_channel_t *channel)
{
    for (int i = 0; i < self->count; i++)
        if (self->subscriptions[i].channel == channel)
            return i;
    return -1;
}

static fw_wish_t *wish_new(const fw_position_t *position, fw_text_t request_id)
{
    assert(request_id.size <= FW_REQUEST_ID_SIZE_MAX);
    fw_wish_t *wish = fw_alloc(1, sizeof *wish + request_id.size + 1);
    if (position) {
        wish->positioned = true;
        wish->position = *position;
    }
    wish->request_id_size = (uint8_t)request_id.size;
    memcpy(wish->request_id, request_id.text, request_id.size);
    return wish;
}

uint32_t fw_session_join(fw_session_t *self, fw_channel_t *channel, const fw_position_t *position,
                         fw_text_t request_id)
{
    assert(self->count < UINT16_MAX - 1);
    if (self->count == self->capacity) {
        self->capacity = (uint16_t)(self->count + (self->count < 2 ? 1 : self->count / 2));
        self->subscriptions =
            fw_realloc(self->subscriptions, self->capacity, sizeof *self->subscriptions);
    }
    uint32_t index = self->count++;
    self->subscriptions[index] = (fw_subscription_t){
        .channel = channel,
        .wish = wish_new(position, request_id),
        .place = fw_channel_join(channel, self, index),
    };
    channel->unsettled++;
    return index;
}

static void unlink_dirty(fw_session_t *self, uint32_t index)
{
    uint16_t *link = &self->first_dirty;
    uint16_t previous = 0;
    while (*link && *link != index + 1) {
        previous = *link;
        link = &self->subscriptions[*link - 1].next_dirty;
    }
    assert(*link);
    *link = self->subscriptions[index].next_dirty;
    if (self->last_dirty == index + 1)
        self->last_dirty = previous;
    self->subscriptions[index].dirty = false;
    self->subscriptions[index].next_dirty = 0;
}

void fw_session_rejoin(fw_session_t *self, uint32_t index, const fw_position_t *position,
                       fw_text_t request_id)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    if (subscription->dirty)
        unlink_dirty(self, index); /* nothing is read from the old place any more */
    if (!subscription->wish)
        subscription->channel->unsettled++;
    free(subscription->wish);
    subscription->wish = wish_new(position, request_id);
    subscription->recovered = false;
    subscription->reset = FW_RESET_NONE;
}

/* The subscription at the end moves to a free index. */
static void move(fw_session_t *self, uint32_t from, uint32_t to)
{
    bool dirty = self->subscriptions[from].dirty;
    if (dirty)
        unlink_dirty(self, from);
    self->subscriptions[to] = self->subscriptions[from];
    fw_subscription_t *moved = &self->subscriptions[to];
    moved->channel->subscribers[moved->place].index = to;
    if (dirty)
        fw_session_touch(self, to);
}

void fw_session_leave(fw_session_t *self, uint32_t index)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    if (subscription->dirty)
        unlink_dirty(self, index);
    fw_session_settled(self, index);
    fw_subscriber_t moved = fw_channel_leave(subscription->channel, subscription->place);
    if (moved.session)
        moved.session->subscriptions[moved.index].place = subscription->place;
    uint32_t last = --self->count;
    if (index != last)
        move(self, last, index);
}

bool fw_session_undecided(const fw_session_t *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (self->subscriptions[i].wish && self->subscriptions[i].wish->request_id_size == 0)
            return true;
    return false;
}

void fw_session_settled(fw_session_t *self, uint32_t index)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    if (!subscription->wish)
        return;
    free(subscription->wish);
    subscription->wish = NULL;
    subscription->channel->unsettled--;
}

static void stand_at_head(fw_subscription_t *subscription, fw_reset_reason_t reason)
{
    subscription->cursor = fw_ring_head(&subscription->channel->sync.ring);
    subscription->recovered = false;
    subscription->reset = (uint8_t)reason;
}

bool fw_session_settle(fw_session_t *self, uint32_t index)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    fw_sync_t *sync = &subscription->channel->sync;
    fw_wish_t *wish = subscription->wish;
    assert(wish);
    if (sync->state != FW_SYNC_LIVE)
        return false;
    if (!wish->positioned) {
        /* It has nothing to lose but what it is about to read from a cache. */
        stand_at_head(subscription, sync->unconfirmed ? FW_RESET_UNCONFIRMED : FW_RESET_NONE);
        return true;
    }
    if (wish->position.epoch != sync->epoch) {
        stand_at_head(subscription, fw_sync_reason(sync, FW_RESET_EPOCH));
        return true;
    }
    uint64_t place = wish->position.offset;
    if (place > sync->visible) {
        /* Another gateway may be ahead of this one: only the broker can tell. */
        if (wish->answer == 0)
            wish->answer = fw_sync_next_answer(sync);
        if ((int32_t)(sync->answered - wish->answer) < 0)
            return false;
    }
    int result = fw_sync_resume(sync, place);
    if (result == -EAGAIN)
        return false;
    if (result != 0) {
        stand_at_head(subscription, fw_sync_reason(sync, FW_RESET_HISTORY));
        return true;
    }
    subscription->cursor = place;
    subscription->recovered = true;
    subscription->reset = FW_RESET_NONE;
    return true;
}

void fw_session_reset(fw_session_t *self, uint32_t index, fw_reset_reason_t reason)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    if (subscription->wish)
        return; /* its place is still to be decided */
    bool known = self->state == FW_SESSION_OPEN || subscription->recovered ||
                 subscription->reset != FW_RESET_NONE || reason == FW_RESET_UNCONFIRMED;
    /* Before the welcome a session without a place of its own has nothing to lose but what it is
     * about to read from a cache. */
    stand_at_head(subscription, known ? reason : FW_RESET_NONE);
    fw_session_touch(self, index);
}

void fw_session_touch(fw_session_t *self, uint32_t index)
{
    fw_subscription_t *subscription = &self->subscriptions[index];
    if (subscription->dirty || subscription->wish)
        return;
    subscription->dirty = true;
    subscription->next_dirty = 0;
    if (self->last_dirty)
        self->subscriptions[self->last_dirty - 1].next_dirty = (uint16_t)(index + 1);
    else
        self->first_dirty = (uint16_t)(index + 1);
    self->last_dirty = (uint16_t)(index + 1);
}

/* Room for so many more bytes of control; NULL when the session has too many already. */
static uint8_t *reserve(fw_session_t *self, size_t size)
{
    if (self->control_size + size > FW_CONTROL_BYTES_MAX) {
        self->overfull = true;
        return NULL;
    }
    size_t needed = self->control_size + size;
    if (needed > self->control_capacity) {
        self->control_capacity = (uint32_t)(needed < 256 ? 256 : needed * 2);
        self->control = fw_realloc(self->control, self->control_capacity, 1);
    }
    return self->control + self->control_size;
}

typedef void render_fn(fw_json_t *json, const void *args);

/* Room for a whole frame with its head; NULL as above. */
static uint8_t *reserve_frame(fw_session_t *self, fw_frame_kind_t kind, size_t body_size)
{
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    size_t head_size = fw_frame_head(kind, body_size, head);
    uint8_t *frame = reserve(self, head_size + body_size);
    if (!frame)
        return NULL;
    memcpy(frame, head, head_size);
    self->control_size += (uint32_t)(head_size + body_size);
    return frame + head_size;
}

static void say_binary(fw_session_t *self, fw_bytes_t json)
{
    size_t size = fw_browser_encode(json, FW_PAYLOAD_NONE, NULL, 0);
    uint8_t *body = size > 0 ? reserve_frame(self, FW_FRAME_BINARY, size) : NULL;
    if (body)
        (void)fw_browser_encode(json, FW_PAYLOAD_NONE, body, size);
}

static void say_block(fw_session_t *self, fw_bytes_t json)
{
    size_t size = fw_sse_block(json, !self->batch, NULL, 0);
    uint8_t *block = reserve(self, size);
    if (!block)
        return;
    (void)fw_sse_block(json, !self->batch, block, size);
    self->control_size += (uint32_t)size;
}

static void say(fw_session_t *self, render_fn *render, const void *args)
{
    fw_json_t measure = {.buffer = NULL};
    render(&measure, args);
    size_t size = measure.needed;
    if (self->encoding == FW_ENCODING_JSON) {
        uint8_t *body = reserve_frame(self, FW_FRAME_TEXT, size);
        fw_json_t json = {.buffer = (char *)body, .size = size};
        if (body)
            render(&json, args);
        return;
    }
    char *text = fw_alloc(1, size);
    fw_json_t json = {.buffer = text, .size = size};
    render(&json, args);
    if (self->encoding == FW_ENCODING_PROTOBUF)
        say_binary(self, (fw_bytes_t){(const uint8_t *)text, size});
    else
        say_block(self, (fw_bytes_t){(const uint8_t *)text, size});
    free(text);
}

/* A line of server-sent events. */
static void say_line(fw_session_t *self, const char *line, size_t size)
{
    uint8_t *place = reserve(self, size);
    if (!place)
        return;
    memcpy(place, line, size);
    self->control_size += (uint32_t)size;
}

static fw_standing_t standing_of(const fw_subscription_t *subscription)
{
    return (fw_standing_t){
        .channel = fw_channel_name(subscription->channel),
        .position = {subscription->channel->sync.epoch, subscription->cursor},
        .recovered = subscription->recovered,
    };
}

static void render_welcome(fw_json_t *json, const void *args)
{
    fw_server_welcome(json, args);
}

void fw_session_say_welcome(fw_session_t *self, uint32_t ping_ms, uint32_t reconnect_window_ms,
                            bool degraded)
{
    fw_standing_t *standings = fw_alloc((size_t)self->count + 1, sizeof *standings);
    size_t count = 0;
    for (uint32_t i = 0; i < self->count; i++)
        if (!self->subscriptions[i].wish)
            standings[count++] = standing_of(&self->subscriptions[i]);
    fw_server_welcome_t welcome = {
        .session_id = self->id,
        .user_id = fw_session_user(self),
        .ping_interval_ms = ping_ms,
        .reconnect_window_ms = reconnect_window_ms,
        .degraded = degraded,
        .standings = standings,
        .standings_count = count,
    };
    if (self->encoding == FW_ENCODING_SSE) {
        char line[FW_SSE_ID_SIZE_MAX + sizeof "id: \n"];
        say_line(self, line, fw_sse_id_line(self, line));
    }
    say(self, render_welcome, &welcome);
    free(standings);
}

typedef struct {
    fw_text_t request_id;
    fw_text_t channel;
    const fw_standing_t *standing;
    const char *reason;
    int64_t expires_in_ms;
} answer_t;

static void render_subscribed(fw_json_t *json, const void *args)
{
    const answer_t *answer = args;
    fw_server_subscribed(json, answer->request_id, answer->standing);
}

void fw_session_say_subscribed(fw_session_t *self, uint32_t index, fw_text_t request_id)
{
    fw_standing_t standing = standing_of(&self->subscriptions[index]);
    answer_t answer = {.request_id = request_id, .standing = &standing};
    say(self, render_subscribed, &answer);
}

static void render_unsubscribed(fw_json_t *json, const void *args)
{
    const answer_t *answer = args;
    fw_server_unsubscribed(json, answer->request_id, answer->channel, answer->reason);
}

void fw_session_say_unsubscribed(fw_session_t *self, fw_text_t request_id, fw_text_t channel,
                                 const char *reason)
{
    answer_t answer = {.request_id = request_id, .channel = channel, .reason = reason};
    say(self, render_unsubscribed, &answer);
}

static void render_published(fw_json_t *json, const void *args)
{
    const answer_t *answer = args;
    fw_server_published(json, answer->request_id);
}

void fw_session_say_published(fw_session_t *self, fw_text_t request_id)
{
    answer_t answer = {.request_id = request_id};
    say(self, render_published, &answer);
}

static void render_error(fw_json_t *json, const void *args)
{
    fw_server_error(json, args);
}

void fw_session_say_error(fw_session_t *self, const fw_server_error_t *error)
{
    say(self, render_error, error);
}

static void render_ping(fw_json_t *json, const void *args)
{
    (void)args;
    fw_server_ping(json);
}

void fw_session_say_ping(fw_session_t *self)
{
    if (self->encoding == FW_ENCODING_SSE) {
        say_line(self, ":\n\n", 3);
        return;
    }
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    size_t size = fw_frame_head(FW_FRAME_PING, 1, head);
    uint8_t *frame = reserve(self, size + 1);
    if (!frame)
        return;
    memcpy(frame, head, size);
    frame[size] = PING_PAYLOAD;
    self->control_size += (uint32_t)size + 1;
    if (self->greets)
        say(self, render_ping, NULL);
}

void fw_session_say_ws_pong(fw_session_t *self, fw_bytes_t payload)
{
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    size_t size = fw_frame_head(FW_FRAME_PONG, payload.size, head);
    uint8_t *frame = reserve(self, size + payload.size);
    if (!frame)
        return;
    memcpy(frame, head, size);
    if (payload.size > 0)
        memcpy(frame + size, payload.data, payload.size);
    self->control_size += (uint32_t)(size + payload.size);
}

static void render_pong(fw_json_t *json, const void *args)
{
    (void)args;
    fw_server_pong(json);
}

void fw_session_say_pong(fw_session_t *self)
{
    say(self, render_pong, NULL);
}

static void render_refreshed(fw_json_t *json, const void *args)
{
    const answer_t *answer = args;
    fw_server_refreshed(json, answer->request_id, answer->expires_in_ms);
}

void fw_session_say_refreshed(fw_session_t *self, fw_text_t request_id, int64_t expires_in_ms)
{
    answer_t answer = {.request_id = request_id, .expires_in_ms = expires_in_ms};
    say(self, render_refreshed, &answer);
}

static void render_expired(fw_json_t *json, const void *args)
{
    const uint32_t *grace_ms = args;
    fw_server_expired(json, *grace_ms);
}

void fw_session_say_expired(fw_session_t *self, uint32_t grace_ms)
{
    say(self, render_expired, &grace_ms);
}

static void render_degraded(fw_json_t *json, const void *args)
{
    const bool *degraded = args;
    fw_server_degraded(json, *degraded);
}

void fw_session_say_degraded(fw_session_t *self, bool degraded)
{
    say(self, render_degraded, &degraded);
}

static void render_drain(fw_json_t *json, const void *args)
{
    const uint32_t *window_ms = args;
    fw_server_drain(json, *window_ms);
}

void fw_session_say_retry(fw_session_t *self, uint32_t retry_ms)
{
    char line[32];
    int size = snprintf(line, sizeof line, "retry: %u\n", retry_ms);
    say_line(self, line, (size_t)size);
}

static void render_close(fw_json_t *json, const void *args)
{
    fw_server_close(json, args);
}

void fw_session_say_close(fw_session_t *self, const fw_close_t *close)
{
    say(self, render_close, close);
}

void fw_session_say_drain(fw_session_t *self, uint32_t reconnect_window_ms)
{
    say(self, render_drain, &reconnect_window_ms);
}

size_t fw_session_bytes(const fw_session_t *self)
{
    size_t bytes = sizeof *self + self->capacity * sizeof *self->subscriptions;
    bytes += self->control_capacity;
    if (self->origin)
        bytes += strlen(self->origin) + 1;
    return bytes + (self->claims ? fw_claims_bytes(self->claims) : 0);
}
