/* channel.h - one channel as this shard sees it: its ring, its state, who listens.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Owned by the hub. */
#pragma once

#include "gateway/sync.h"
#include "proto/channel.h"

typedef struct fw_session fw_session_t;
typedef struct fw_channel fw_channel_t;

/* A session and which of its subscriptions it is. */
typedef struct {
    fw_session_t *session;
    uint32_t index;
    uint32_t note; /* cursor into the notes, see notes.h */
} fw_subscriber_t;

typedef struct {
    fw_channel_t *next;
    fw_channel_t *previous;
} fw_channel_link_t;

struct fw_channel {
    fw_sync_t sync;
    fw_subscriber_t *subscribers; /* dense, in no order */
    uint32_t subscribers_count;
    uint32_t subscribers_capacity;
    struct fw_notes *notes; /* made at the first one, else NULL */
    uint64_t serial;        /* names the present life of the ring: no two are equal in a shard */
    fw_channel_link_t
        needy; /* in the hub's list of those that wait for a fence or have something to ask */
    fw_channel_link_t idle; /* in the hub's list of those that nobody listens to */
    int64_t idle_until_ms;
    uint32_t fence;     /* number of the fence after which its topic is known to be subscribed */
    uint32_t unsettled; /* subscriptions that wait for a decision */
    uint32_t noted;     /* place in the list of channels with notes */
    bool needy_listed : 1;
    bool idle_listed : 1;
    bool touched : 1;  /* in the hub's list of those that grew */
    uint16_t delay_ms; /* its listeners are told at ticks so far apart; 0 = at once */
    uint8_t name_size;
    char name[];
};

fw_channel_t *fw_channel_new(fw_text_t name, uint64_t serial) __attribute__((warn_unused_result));
/* Nobody may listen any more (assert). */
void fw_channel_destroy(fw_channel_t **self_p);

fw_text_t fw_channel_name(const fw_channel_t *self);
fw_position_t fw_channel_head(const fw_channel_t *self);

/* Returns the subscriber's place. */
uint32_t fw_channel_join(fw_channel_t *self, fw_session_t *session, uint32_t index);
/* Returns the subscriber that took the place, or one without a session. */
fw_subscriber_t fw_channel_leave(fw_channel_t *self, uint32_t place);
