/* hub.h - the channels of a shard, who listens to them, and who must be written to.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Told what the broker says, it moves rings and sessions and lists what is to be asked and to
 * be flushed. Channels are made when somebody listens and live on for linger_ms, so that who
 * reconnects finds the ring. Topics are reference counted; each new one waits for the next fence.
 * All rings together are bounded: the channel that grows, then the others in turn, drop their
 * oldest events. */
#pragma once

#include "gateway/delays.h"
#include "gateway/session.h"

typedef struct {
    fw_ring_limits_t ring;
    size_t rings_bytes_max;
    int64_t linger_ms;
    const fw_delays_t *delays;    /* NULL = none; outlives the hub */
    uint32_t ping_ms;             /* told in fw.welcome */
    uint32_t reconnect_window_ms; /* told in fw.welcome */
    bool degraded;                /* told in fw.welcome */
} fw_hub_limits_t;

typedef struct fw_hub fw_hub_t;
typedef struct fw_rooms fw_rooms_t;

typedef struct {
    uint64_t subscriptions;
    uint64_t channels;
    size_t rings_bytes;
    uint64_t resets[FW_RESETS]; /* told to sessions, by reason; the hub's part */
    uint64_t replays_complete;
    uint64_t replays_reset;
} fw_hub_counts_t;

/* A topic that the uplink has to subscribe or not to subscribe any more. */
typedef struct {
    char topic[FW_TOPIC_SIZE];
    bool subscribe;
} fw_topic_change_t;

fw_hub_t *fw_hub_new(const fw_hub_limits_t *limits) __attribute__((warn_unused_result));
/* Presence and notes; NULL = none. Set once, before the first session. */
void fw_hub_set_rooms(fw_hub_t *self, fw_rooms_t *rooms);
/* Every session must have left (assert). */
void fw_hub_destroy(fw_hub_t **self_p);
/* What is told in fw.welcome from now on. */
void fw_hub_set_told(fw_hub_t *self, uint32_t ping_ms, uint32_t reconnect_window_ms, bool degraded);
const fw_hub_counts_t *fw_hub_counts(const fw_hub_t *self);

/* Sessions. */
/* Listens to a channel (its name must be valid), or, when the session does already and a position
 * is given, goes back there. Returns the index of the subscription, which may be decided already.
 */
uint32_t fw_hub_join(fw_hub_t *self, fw_session_t *session, fw_text_t channel,
                     const fw_position_t *position, fw_text_t request_id);
/* -ENOENT when the session does not listen to it. */
int fw_hub_leave(fw_hub_t *self, fw_session_t *session, fw_text_t channel, int64_t now_ms)
    __attribute__((warn_unused_result));
/* Leaves all and takes the session off every list. */
void fw_hub_part(fw_hub_t *self, fw_session_t *session, int64_t now_ms);
/* After the last join of a greeting: welcomed as soon as every place is decided. */
void fw_hub_await(fw_hub_t *self, fw_session_t *session);
/* There is something to write to it. */
void fw_hub_mark(fw_hub_t *self, fw_session_t *session);
/* There is something to write to all who listen to a channel. */
void fw_hub_touch(fw_hub_t *self, fw_channel_t *channel);
/* The next session to be flushed; NULL when there is none. */
fw_session_t *fw_hub_next_marked(fw_hub_t *self);
/* How many are waiting to be flushed, after what grew was passed on to its listeners. */
size_t fw_hub_marked(fw_hub_t *self);

/* Passes on what grew in channels whose tick has come. Returns when the next one comes; 0 when
 * nothing waits for it. */
int64_t fw_hub_pace(fw_hub_t *self, int64_t now_ms);

/* The broker. */
/* NULL when nobody here listens to it. */
fw_channel_t *fw_hub_find(const fw_hub_t *self, fw_text_t channel);
/* The rings are over their limit although nothing is left to be dropped. */
bool fw_hub_full(const fw_hub_t *self);
/* A form of an event was made, so that the rings have grown by so much. */
void fw_hub_grew(fw_hub_t *self, size_t bytes);
void fw_hub_event(fw_hub_t *self, fw_channel_t *channel, uint64_t epoch, fw_entry_t **entry_p);
/* Whether the broker's answer about a channel, told next, came with a doubt: resets make browsers
 * bypass caches then. */
void fw_hub_doubt(fw_channel_t *channel, bool unconfirmed);
void fw_hub_position(fw_hub_t *self, fw_channel_t *channel, uint64_t request_id,
                     fw_position_t position);
void fw_hub_replayed(fw_hub_t *self, fw_channel_t *channel, const fw_sync_replay_t *replay);
/* The links were opened anew: every topic is subscribed again, nothing asked will be answered. */
void fw_hub_link_lost(fw_hub_t *self);
/* Events may have been lost: asks for the positions of all channels, now and, for what is not
 * subscribed again yet, once more after a fence. */
void fw_hub_suspect(fw_hub_t *self);
/* Asks for the positions of one in share channels; called in turn it reaches all of them. */
void fw_hub_audit(fw_hub_t *self, uint32_t share);

/* What to tell the broker. */
bool fw_hub_next_change(fw_hub_t *self, fw_topic_change_t *ret_change);
/* Number of the fence to be sent now, after the changes; 0 when none is needed or one is under way.
 */
uint32_t fw_hub_next_fence(fw_hub_t *self);
void fw_hub_fenced(fw_hub_t *self, uint32_t fence);
/* Some channel may have something to ask that it had not at the last call. */
bool fw_hub_wants(fw_hub_t *self);
/* Not everything could be asked: fw_hub_wants is true again. */
void fw_hub_want(fw_hub_t *self);
/* Channels with something to ask, one after the other; each is looked at once per pass. */
fw_channel_t *fw_hub_first_needy(fw_hub_t *self);
fw_channel_t *fw_hub_next_needy(fw_hub_t *self, fw_channel_t *channel);

/* Time: asks again what was not answered, frees channels that nobody came back to. */
void fw_hub_tick(fw_hub_t *self, int64_t now_ms);
