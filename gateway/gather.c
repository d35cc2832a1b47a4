/* gather.c - see gather.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/gather.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

enum { RESET_SIZE_MAX = 160 + 6 * FW_CHANNEL_SIZE_MAX };

/* The last range of one channel that was copied, and where a cursor stands behind it. */
typedef struct {
    uint64_t serial; /* of the channel; 0 = none */
    uint64_t from;
    uint64_t head;
    uint64_t to;
    fw_output_t output;
} memo_t;

struct fw_gather {
    bool batch;
    uint8_t *held; /* own messages of a session that are written from their own memory */
    memo_t memo;
    /* The piece under way. */
    const fw_entry_t *single; /* its only event so far, not copied */
    size_t size;              /* bytes in scratch behind the room for a head */
    size_t limit;
    bool pure; /* only events, and none that excludes anybody */
    fw_output_t output;
    uint8_t scratch[FW_FRAME_HEAD_SIZE_MAX + FW_GATHER_BYTES_MAX];
};

fw_gather_t *fw_gather_new(bool batch)
{
    fw_gather_t *self = fw_alloc(1, sizeof *self);
    self->batch = batch;
    return self;
}

void fw_gather_destroy(fw_gather_t **self_p)
{
    fw_gather_t *self = *self_p;
    if (!self)
        return;
    free(self->held);
    free(self);
    *self_p = NULL;
}

static uint8_t *end_of(fw_gather_t *self)
{
    return self->scratch + FW_FRAME_HEAD_SIZE_MAX + self->size;
}

static bool is_empty(const fw_gather_t *self)
{
    return !self->single && self->size == 0;
}

/* Bytes that a text takes in the piece: framed, or as one more line. */
static size_t cost(const fw_gather_t *self, size_t body_size)
{
    return self->batch ? body_size + 1 : fw_frame_head_size(body_size) + body_size;
}

static void add_body(fw_gather_t *self, fw_bytes_t body)
{
    self->memo.serial = 0; /* its bytes are about to be overwritten */
    if (self->batch) {
        if (self->size > 0) {
            *end_of(self) = '\n';
            self->size++;
        }
    } else {
        uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
        size_t head_size = fw_frame_head(FW_FRAME_TEXT, body.size, head);
        memcpy(end_of(self), head, head_size);
        self->size += head_size;
    }
    memcpy(end_of(self), body.data, body.size);
    self->size += body.size;
}

/* The single event joins the others in scratch. */
static void copy_single(fw_gather_t *self)
{
    if (!self->single)
        return;
    const fw_entry_t *entry = self->single;
    self->single = NULL;
    add_body(self, fw_entry_body(entry));
}

static size_t size_so_far(const fw_gather_t *self)
{
    return self->single ? cost(self, fw_entry_body(self->single).size) : self->size;
}

static bool has_room(const fw_gather_t *self, size_t body_size)
{
    return size_so_far(self) + cost(self, body_size) <= self->limit;
}

/* False when the piece is full. */
static bool add_entry(fw_gather_t *self, const fw_entry_t *entry)
{
    fw_bytes_t body = fw_entry_body(entry);
    if (is_empty(self)) {
        self->single = entry;
    } else {
        if (!has_room(self, body.size))
            return false;
        copy_single(self);
        add_body(self, body);
    }
    if (self->output.events++ == 0)
        self->output.oldest_us = fw_entry_received_us(entry);
    if (fw_entry_excludes_any(entry))
        self->pure = false;
    return true;
}

/* A message about one channel, made for this session. False when the piece is full. */
static bool add_own(fw_gather_t *self, const fw_json_t *json)
{
    assert(json->needed <= json->size);
    if (!is_empty(self) && !has_room(self, json->needed))
        return false;
    copy_single(self);
    add_body(self, (fw_bytes_t){(const uint8_t *)json->buffer, json->needed});
    self->pure = false;
    return true;
}

static bool add_reset(fw_gather_t *self, const fw_subscription_t *subscription)
{
    char text[RESET_SIZE_MAX];
    fw_json_t json = {.buffer = text, .size = sizeof text};
    fw_position_t position = {subscription->channel->sync.epoch, subscription->cursor};
    fw_server_reset(&json, (fw_reset_reason_t)subscription->reset,
                    fw_channel_name(subscription->channel), position);
    return add_own(self, &json);
}

/* Passes over the events that exclude the session, and says so to one that counts offsets. */
static bool pass_over(fw_gather_t *self, const fw_session_t *session,
                      fw_subscription_t *subscription)
{
    char text[RESET_SIZE_MAX];
    fw_json_t json = {.buffer = text, .size = sizeof text};
    const fw_ring_t *ring = &subscription->channel->sync.ring;
    fw_text_t user = fw_session_user(session);
    fw_text_t origin = fw_session_origin(session);
    uint64_t last = subscription->cursor;
    while (last < fw_ring_head(ring) && fw_entry_excludes(fw_ring_at(ring, last + 1), user, origin))
        last++;
    if (last == subscription->cursor)
        return true;
    self->pure = false;
    fw_position_t position = {subscription->channel->sync.epoch, last};
    fw_server_position(&json, fw_channel_name(subscription->channel), position);
    if (session->greets && !add_own(self, &json))
        return false;
    subscription->cursor = last;
    return true;
}

/* Reads a subscription as far as there is room. False when the piece is full. */
static bool read_subscription(fw_gather_t *self, const fw_session_t *session,
                              fw_subscription_t *subscription)
{
    const fw_ring_t *ring = &subscription->channel->sync.ring;
    uint64_t head = fw_ring_head(ring);
    if (subscription->cursor < head && fw_ring_lapped(ring, subscription->cursor)) {
        subscription->cursor = head;
        if (subscription->reset == FW_RESET_NONE) {
            subscription->reset = FW_RESET_LAPPED;
            self->output.lapped++;
        }
    }
    if (subscription->reset != FW_RESET_NONE) {
        if (!add_reset(self, subscription))
            return false;
        subscription->reset = FW_RESET_NONE;
    }
    for (;;) {
        if (!pass_over(self, session, subscription))
            return false;
        if (subscription->cursor >= head)
            return true;
        if (!add_entry(self, fw_ring_at(ring, subscription->cursor + 1)))
            return false;
        subscription->cursor++;
    }
}

static void pop_dirty(fw_session_t *session)
{
    fw_subscription_t *subscription = &session->subscriptions[session->first_dirty - 1];
    session->first_dirty = subscription->next_dirty;
    subscription->next_dirty = 0;
    subscription->dirty = false;
    if (session->first_dirty == 0)
        session->last_dirty = 0;
}

static bool has_dirty(const fw_session_t *session)
{
    return session->state == FW_SESSION_OPEN && session->first_dirty != 0;
}

/* Own messages go before events. True when they are a piece of their own. */
static bool take_control(fw_gather_t *self, fw_session_t *session)
{
    if (session->control_size == 0)
        return false;
    bool alone = self->batch || session->control_size > self->limit;
    self->pure = false;
    if (alone) {
        self->held = session->control;
        self->output.bytes = (fw_bytes_t){self->held, session->control_size};
    } else {
        self->memo.serial = 0;
        memcpy(end_of(self), session->control, session->control_size);
        self->size += session->control_size;
        free(session->control);
    }
    session->control = NULL;
    session->control_size = 0;
    session->control_capacity = 0;
    return alone;
}

/* The piece that the last session got, when this one stands where that one stood. */
static bool reuse(fw_gather_t *self, fw_session_t *session)
{
    const memo_t *memo = &self->memo;
    if (memo->serial == 0 || session->first_dirty != session->last_dirty)
        return false;
    fw_subscription_t *subscription = &session->subscriptions[session->first_dirty - 1];
    fw_channel_t *channel = subscription->channel;
    if (channel->serial != memo->serial || subscription->cursor != memo->from ||
        subscription->reset != FW_RESET_NONE || fw_ring_head(&channel->sync.ring) != memo->head ||
        memo->output.bytes.size > self->limit)
        return false;
    subscription->cursor = memo->to;
    if (memo->to >= memo->head)
        pop_dirty(session);
    self->output = memo->output;
    return true;
}

static void finish(fw_gather_t *self)
{
    if (self->single) {
        self->output.bytes = fw_entry_frame(self->single);
        return;
    }
    uint8_t *begin = self->scratch + FW_FRAME_HEAD_SIZE_MAX;
    size_t size = self->size;
    if (self->batch && size > 0) {
        uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
        size_t head_size = fw_frame_head(FW_FRAME_TEXT, size, head);
        begin -= head_size;
        size += head_size;
        memcpy(begin, head, head_size);
    }
    self->output.bytes = (fw_bytes_t){begin, size};
}

static void read_all(fw_gather_t *self, fw_session_t *session)
{
    /* Only a range of a single channel is worth remembering. */
    bool alone = session->first_dirty == session->last_dirty && is_empty(self);
    fw_subscription_t *subscription = &session->subscriptions[session->first_dirty - 1];
    memo_t memo = {.serial = subscription->channel->serial, .from = subscription->cursor};
    memo.head = fw_ring_head(&subscription->channel->sync.ring);
    for (; has_dirty(session); pop_dirty(session))
        if (!read_subscription(self, session, &session->subscriptions[session->first_dirty - 1]))
            break;
    finish(self);
    if (alone && self->pure && !self->single && self->output.events > 0) {
        memo.to = subscription->cursor;
        memo.output = self->output;
        self->memo = memo;
    }
}

bool fw_gather_next(fw_gather_t *self, fw_session_t *session, size_t limit, fw_output_t *ret_output)
{
    free(self->held);
    self->held = NULL;
    self->single = NULL;
    self->size = 0;
    self->limit = limit < FW_GATHER_BYTES_MAX ? limit : FW_GATHER_BYTES_MAX;
    self->pure = true;
    self->output = (fw_output_t){.events = 0};
    if (!take_control(self, session)) {
        if (!has_dirty(session))
            finish(self);
        else if (session->control_size > 0 || self->size > 0 || !reuse(self, session))
            read_all(self, session);
    }
    self->output.more = has_dirty(session);
    *ret_output = self->output;
    return self->output.bytes.size > 0;
}
