/* session.h - one browser connection: who it is, what it listens to, where it stands.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Nothing is queued per session: a subscription is a cursor into its channel's ring. Only the
 * gateway's own messages (welcome, errors) wait in a small buffer that exists while there are any.
 * Kept compact: idle memory per session is a promise. */
#pragma once

#include "gateway/auth.h"
#include "gateway/channel.h"
#include "gateway/frame.h"
#include "gateway/limits.h"
#include "gateway/server_message.h"
#include "gateway/wheel.h"

enum {
    FW_CONTROL_BYTES_MAX =
        256 * 1024, /* own messages waiting for one session; then it is too slow */
};

typedef enum {
    FW_SESSION_GREETING, /* fw.hello is expected; nothing is delivered */
    FW_SESSION_WAITING,  /* subscribed, but not every place is decided; nothing is delivered */
    FW_SESSION_OPEN,     /* welcomed */
    FW_SESSION_CLOSING,  /* nothing is delivered any more */
} fw_session_state_t;

/* What a subscription waits for before its place is decided, and what is to be answered then. */
typedef struct {
    fw_position_t position;
    uint32_t answer; /* see fw_sync_next_answer; 0 = not needed */
    bool positioned; /* position was given */
    uint8_t request_id_size;
    char request_id[];
} fw_wish_t;

typedef struct {
    fw_channel_t *channel;
    fw_wish_t *wish;     /* NULL once the place is decided */
    uint64_t cursor;     /* offset of the last event handed over, or skipped */
    uint32_t place;      /* in the channel's subscribers */
    uint16_t next_dirty; /* index + 1 of the next dirty subscription, 0 = none */
    uint8_t reset; /* fw_reset_reason_t that the client must be told, before any further event */
    bool dirty : 1;
    bool recovered : 1; /* for the welcome */
    bool seen : 1;      /* counts as presence in the room */
    bool watches : 1;   /* wants to know who is in the room */
    bool list : 1;      /* is to get the list of members before its changes */
    bool parts : 1;     /* is reading it */
} fw_subscription_t;

struct fw_session {
    void *connection;    /* the shard's */
    fw_claims_t *claims; /* owned; NULL = anonymous */
    char *origin;        /* owned; NULL = none */
    fw_subscription_t *subscriptions;
    uint8_t *control; /* own messages, framed; NULL when there are none */
    uint32_t control_size;
    uint32_t control_capacity;
    fw_wheel_node_t timer;
    fw_session_t *next_of_user; /* see users.h */
    uint64_t id;
    uint32_t opened_s;     /* the shard's: by its clock */
    uint32_t number;       /* the shard's: place in its list of sessions */
    fw_bucket_t messages;  /* inbound rate */
    fw_bucket_t publishes; /* of fw.publish */
    uint16_t count;        /* subscriptions */
    uint16_t capacity;
    uint16_t first_dirty; /* index + 1 */
    uint16_t last_dirty;
    uint8_t state;    /* fw_session_state_t */
    uint8_t encoding; /* fw_encoding_t */
    uint8_t phase;    /* the shard's: what the timer stands for */
    bool greets : 1;  /* negotiated one of our subprotocols, or said fw.hello */
    bool batch : 1;   /* several events may share a message; of server-sent events: without names */
    bool listed : 1;  /* in the hub's list of sessions to be flushed */
    bool behind : 1;  /* its socket took no more */
    bool heard : 1;   /* something came since the last ping */
    bool expired : 1; /* its token has; it was told, and has a grace period */
    bool renewed : 1; /* its claims were replaced: the shard sets the timer anew */
    bool indexed : 1; /* in the chain of its user */
    bool overfull : 1; /* FW_CONTROL_BYTES_MAX was passed: close it as slow */
};

fw_session_t *fw_session_new(void *connection, uint64_t id) __attribute__((warn_unused_result));
/* It must have left every channel (assert). */
void fw_session_destroy(fw_session_t **self_p);

fw_text_t fw_session_user(const fw_session_t *self);   /* empty = anonymous */
fw_text_t fw_session_origin(const fw_session_t *self); /* empty = none */
/* Replaces them; both are taken or copied. */
void fw_session_set_claims(fw_session_t *self, fw_claims_t **claims_p);
void fw_session_set_origin(fw_session_t *self, fw_text_t origin);

/* Index of the subscription to a channel, or -1. */
int fw_session_find(const fw_session_t *self, const fw_channel_t *channel);
/* Adds one, undecided. position may be NULL; request_id may be empty. Returns its index. */
uint32_t fw_session_join(fw_session_t *self, fw_channel_t *channel, const fw_position_t *position,
                         fw_text_t request_id);
/* Puts an existing one back to undecided, with a new wish. */
void fw_session_rejoin(fw_session_t *self, uint32_t index, const fw_position_t *position,
                       fw_text_t request_id);
/* Removes one; indices of others may change. */
void fw_session_leave(fw_session_t *self, uint32_t index);

/* Decides the place of a subscription, if it can be: true when it has one now. Keeps the wish, for
 * the answer. */
bool fw_session_settle(fw_session_t *self, uint32_t index) __attribute__((warn_unused_result));
/* Some subscription that the welcome has to tell about is undecided. One that was asked for by
 * fw.subscribe gets an answer of its own, after the welcome. */
bool fw_session_undecided(const fw_session_t *self);
/* Forgets the wish. */
void fw_session_settled(fw_session_t *self, uint32_t index);
/* The channel began anew: stands at its head and will be told. */
void fw_session_reset(fw_session_t *self, uint32_t index, fw_reset_reason_t reason);
/* There may be something to read in this one. */
void fw_session_touch(fw_session_t *self, uint32_t index);

/* The next note of a subscription (see notes.h), NULL when there is none; it is the same until
 * fw_note_took. */
const fw_entry_t *fw_note_next(fw_subscription_t *self, bool binary);
void fw_note_took(fw_subscription_t *self);
/* There may be a note to be read. */
bool fw_note_waits(const fw_subscription_t *self);

/* Appends own messages to what is written next. */
void fw_session_say_welcome(fw_session_t *self, uint32_t ping_ms, uint32_t reconnect_window_ms,
                            bool degraded);
void fw_session_say_subscribed(fw_session_t *self, uint32_t index, fw_text_t request_id);
/* reason: "" when the client asked for it. */
void fw_session_say_unsubscribed(fw_session_t *self, fw_text_t request_id, fw_text_t channel,
                                 const char *reason);
void fw_session_say_published(fw_session_t *self, fw_text_t request_id);
void fw_session_say_error(fw_session_t *self, const fw_server_error_t *error);
/* Also as a WebSocket ping, which every browser answers by itself; of server-sent events a comment.
 */
void fw_session_say_ping(fw_session_t *self);
void fw_session_say_pong(fw_session_t *self);
/* The answer to a WebSocket ping. */
void fw_session_say_ws_pong(fw_session_t *self, fw_bytes_t payload);
void fw_session_say_refreshed(fw_session_t *self, fw_text_t request_id, int64_t expires_in_ms);
void fw_session_say_expired(fw_session_t *self, uint32_t grace_ms);
void fw_session_say_degraded(fw_session_t *self, bool degraded);
void fw_session_say_drain(fw_session_t *self, uint32_t reconnect_window_ms);
/* Of server-sent events only: when to come back, and, since there are no close frames, why. */
void fw_session_say_retry(fw_session_t *self, uint32_t retry_ms);
void fw_session_say_close(fw_session_t *self, const fw_close_t *close);

/* Bytes of memory that it takes by itself. */
size_t fw_session_bytes(const fw_session_t *self);
