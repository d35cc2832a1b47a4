/* gather.c - see gather.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/gather.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/sse.h"
#include "proto/browser.h"
#include "runtime/alloc.h"

enum {
    RESET_SIZE_MAX = 160 + 6 * FW_CHANNEL_SIZE_MAX,
    HEAD_ROOM = FW_FRAME_HEAD_SIZE_MAX + FW_BROWSER_HEAD_SIZE_MAX,
};

/* The last range of one channel that was copied, and where a cursor stands behind it. */
typedef struct {
    uint64_t serial; /* of the channel; 0 = none */
    uint64_t from;
    uint64_t head;
    uint64_t to;
    fw_output_t output;
} memo_t;

struct fw_gather {
    fw_encoding_t encoding;
    bool batch;
    uint8_t *held; /* own messages of a session that are written from their own memory */
    memo_t memo;
    /* The piece under way. */
    const fw_entry_t *single; /* its only event so far, not copied */
    size_t size;              /* bytes in scratch behind the room for a head */
    size_t last;              /* where the last of them begins */
    size_t limit;
    bool pure;  /* only events, and none that excludes anybody */
    bool moved; /* some cursor: there is something with a place in it */
    fw_output_t output;
    uint8_t *scratch;
    size_t capacity; /* of scratch, behind the room for a head */
};

fw_gather_t *fw_gather_new(fw_encoding_t encoding, bool batch)
{
    fw_gather_t *self = fw_alloc(1, sizeof *self);
    self->encoding = encoding;
    self->batch = batch;
    self->capacity = FW_GATHER_BYTES_MAX + FW_SSE_ID_SIZE_MAX;
    self->scratch = fw_alloc(HEAD_ROOM + self->capacity, 1);
    return self;
}

void fw_gather_destroy(fw_gather_t **self_p)
{
    fw_gather_t *self = *self_p;
    if (!self)
        return;
    free(self->held);
    free(self->scratch);
    free(self);
    *self_p = NULL;
}

static uint8_t *end_of(fw_gather_t *self)
{
    return self->scratch + HEAD_ROOM + self->size;
}

/* Only for the one block of server-sent events that is larger than a piece should be. */
static void reserve(fw_gather_t *self, size_t size)
{
    if (self->size + size <= self->capacity)
        return;
    self->capacity = self->size + size;
    self->scratch = fw_realloc(self->scratch, HEAD_ROOM + self->capacity, 1);
}

static bool is_empty(const fw_gather_t *self)
{
    return !self->single && self->size == 0;
}

/* Bytes that a message takes in the piece: framed, or as one more line, element or block. */
static size_t cost(const fw_gather_t *self, fw_bytes_t body)
{
    uint8_t head[FW_BROWSER_HEAD_SIZE_MAX];
    if (self->encoding == FW_ENCODING_SSE)
        return fw_sse_block(body, !self->batch, NULL, 0) + FW_SSE_ID_SIZE_MAX;
    if (!self->batch)
        return fw_frame_head_size(body.size) + body.size;
    return body.size +
           (self->encoding == FW_ENCODING_JSON ? 1 : fw_browser_element_head(body.size, head));
}

/* What goes before a message in the piece. */
static void add_head(fw_gather_t *self, size_t body_size)
{
    uint8_t head[HEAD_ROOM];
    size_t size;
    bool binary = self->encoding == FW_ENCODING_PROTOBUF;
    if (!self->batch) {
        size = fw_frame_head(binary ? FW_FRAME_BINARY : FW_FRAME_TEXT, body_size, head);
    } else if (binary) {
        size = fw_browser_element_head(body_size, head);
    } else {
        head[0] = '\n';
        size = self->size > 0 ? 1 : 0;
    }
    memcpy(end_of(self), head, size);
    self->size += size;
}

static void add_body(fw_gather_t *self, fw_bytes_t body)
{
    self->memo.serial = 0; /* its bytes are about to be overwritten */
    self->last = self->size;
    if (self->encoding == FW_ENCODING_SSE) {
        size_t size = fw_sse_block(body, !self->batch, NULL, 0);
        reserve(self, size + FW_SSE_ID_SIZE_MAX + sizeof "id: \n");
        self->size += fw_sse_block(body, !self->batch, end_of(self), size);
        return;
    }
    add_head(self, body.size);
    memcpy(end_of(self), body.data, body.size);
    self->size += body.size;
}

/* An event as this encoding's message. */
static fw_bytes_t body_of(const fw_gather_t *self, const fw_entry_t *entry)
{
    if (self->encoding == FW_ENCODING_PROTOBUF)
        return fw_frame_payload(fw_entry_binary_frame(entry));
    return fw_entry_body(entry);
}

/* The single event joins the others in scratch. */
static void copy_single(fw_gather_t *self)
{
    if (!self->single)
        return;
    const fw_entry_t *entry = self->single;
    self->single = NULL;
    add_body(self, body_of(self, entry));
}

static size_t size_so_far(const fw_gather_t *self)
{
    return self->single ? cost(self, body_of(self, self->single)) : self->size;
}

static bool has_room(const fw_gather_t *self, fw_bytes_t body)
{
    return size_so_far(self) + cost(self, body) <= self->limit;
}

/* False when the piece is full. */
static bool add_entry(fw_gather_t *self, const fw_entry_t *entry)
{
    fw_bytes_t body = body_of(self, entry);
    if (is_empty(self) && self->encoding != FW_ENCODING_SSE) {
        self->single = entry;
    } else {
        if (!is_empty(self) && !has_room(self, body))
            return false;
        copy_single(self);
        add_body(self, body);
    }
    self->moved = true;
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
    uint8_t binary[RESET_SIZE_MAX];
    fw_bytes_t body = {(const uint8_t *)json->buffer, json->needed};
    if (self->encoding == FW_ENCODING_PROTOBUF) {
        size_t size = fw_browser_encode(body, FW_PAYLOAD_NONE, binary, sizeof binary);
        assert(size <= sizeof binary);
        body = (fw_bytes_t){binary, size};
    }
    if (!is_empty(self) && !has_room(self, body))
        return false;
    copy_single(self);
    add_body(self, body);
    self->pure = false;
    self->moved = true;
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

/* The event, in the form of this encoding. */
static const fw_entry_t *entry_at(fw_gather_t *self, fw_ring_t *ring, uint64_t offset)
{
    if (self->encoding != FW_ENCODING_PROTOBUF)
        return fw_ring_at(ring, offset);
    size_t before = ring->bytes;
    const fw_entry_t *entry = fw_ring_binary_at(ring, offset);
    self->output.grown += ring->bytes - before;
    return entry;
}

/* What is not kept; an event or two more for the metrics. False when the piece is full. */
static bool read_notes(fw_gather_t *self, fw_subscription_t *subscription)
{
    bool binary = self->encoding == FW_ENCODING_PROTOBUF;
    const fw_entry_t *entry;
    while ((entry = fw_note_next(subscription, binary)) != NULL) {
        if (!add_entry(self, entry))
            return false;
        fw_note_took(subscription);
        self->pure = false;
    }
    return true;
}

/* Reads a subscription as far as there is room. False when the piece is full. */
static bool read_subscription(fw_gather_t *self, const fw_session_t *session,
                              fw_subscription_t *subscription)
{
    fw_ring_t *ring = &subscription->channel->sync.ring;
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
            return read_notes(self, subscription);
        if (!add_entry(self, entry_at(self, ring, subscription->cursor + 1)))
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
    bool framed = self->encoding != FW_ENCODING_SSE;
    bool alone = (framed && self->batch) || session->control_size > self->limit;
    self->pure = false;
    if (alone) {
        self->held = session->control;
        self->output.bytes = (fw_bytes_t){self->held, session->control_size};
    } else {
        self->memo.serial = 0;
        reserve(self, session->control_size);
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
        fw_note_waits(subscription) || memo->output.bytes.size > self->limit)
        return false;
    subscription->cursor = memo->to;
    if (memo->to >= memo->head)
        pop_dirty(session);
    self->output = memo->output;
    return true;
}

/* The last block says where the session stands after all of them: who reads it has read the others.
 */
static void add_id(fw_gather_t *self, const fw_session_t *session)
{
    char line[FW_SSE_ID_SIZE_MAX + sizeof "id: \n"];
    if (!self->moved)
        return;
    size_t size = fw_sse_id_line(session, line);
    reserve(self, size);
    uint8_t *last = self->scratch + HEAD_ROOM + self->last;
    memmove(last + size, last, self->size - self->last);
    memcpy(last, line, size);
    self->size += size;
}

/* Returns where the piece begins then. */
static uint8_t *put_before(uint8_t *begin, const uint8_t *head, size_t size)
{
    memcpy(begin - size, head, size);
    return begin - size;
}

static void finish(fw_gather_t *self, const fw_session_t *session)
{
    bool binary = self->encoding == FW_ENCODING_PROTOBUF;
    if (self->single) {
        self->output.bytes =
            binary ? fw_entry_binary_frame(self->single) : fw_entry_frame(self->single);
        return;
    }
    if (self->encoding == FW_ENCODING_SSE)
        add_id(self, session);
    uint8_t *begin = self->scratch + HEAD_ROOM;
    const uint8_t *end = begin + self->size;
    if (self->batch && self->size > 0 && self->encoding != FW_ENCODING_SSE) {
        uint8_t head[HEAD_ROOM];
        if (binary)
            begin = put_before(begin, head, fw_browser_batch_head(self->size, head));
        fw_frame_kind_t kind = binary ? FW_FRAME_BINARY : FW_FRAME_TEXT;
        begin = put_before(begin, head, fw_frame_head(kind, (size_t)(end - begin), head));
    }
    self->output.bytes = (fw_bytes_t){begin, (size_t)(end - begin)};
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
    finish(self, session);
    if (alone && self->pure && self->encoding != FW_ENCODING_SSE && !self->single &&
        self->output.events > 0) {
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
    self->last = 0;
    self->pure = true;
    self->moved = false;
    self->output = (fw_output_t){.events = 0};
    if (!take_control(self, session)) {
        if (!has_dirty(session))
            finish(self, session);
        else if (session->control_size > 0 || self->size > 0 || !reuse(self, session))
            read_all(self, session);
    }
    self->output.more = has_dirty(session);
    *ret_output = self->output;
    return self->output.bytes.size > 0;
}
