/* sync.h - keeps the ring of one channel in step with the broker: complete, in order, or reset.
 * SPDX-License-Identifier: MPL-2.0
 * Pure: told of fences, positions, events and replays, it says what to ask next and what has
 * changed. Only one replay and one positions request are under way per channel. While something is
 * being repaired at most FW_SYNC_HELD_EVENTS_MAX events are held back; what does not fit is
 * replayed instead. */
#pragma once

#include "gateway/close_code.h"
#include "gateway/ring.h"
#include "proto/position.h"

enum {
    FW_SYNC_HELD_EVENTS_MAX = 256,
    FW_SYNC_HELD_BYTES_MAX = 1024 * 1024,
    FW_SYNC_ANSWER_MS = 3000, /* then a request is asked again */
};

typedef enum {
    FW_SYNC_FENCING, /* subscribed; not yet certain that the broker knows */
    FW_SYNC_ASKING,  /* its position is asked for the first time */
    FW_SYNC_LIVE,    /* the ring stands where the broker stands, or is being repaired */
} fw_sync_state_t;

/* What a call changed: a set. */
enum {
    FW_SYNC_GREW = 1,    /* the ring has new entries at its head */
    FW_SYNC_RESET = 2,   /* the ring began anew: every place in the channel is lost */
    FW_SYNC_SETTLES = 4, /* subscriptions that wait for a decision can be looked at again */
};

/* What is to be asked: a set. */
enum {
    FW_SYNC_NEEDS_POSITION = 1,
    FW_SYNC_NEEDS_REPLAY = 2,
};

typedef struct fw_repair fw_repair_t;

/* By value in the channel, as the ring is. */
typedef struct {
    fw_ring_t ring;
    fw_repair_t *repair;  /* what is only needed while something is under way, else NULL */
    uint64_t epoch;       /* 0 = unknown */
    uint64_t visible;     /* highest offset that the broker is known to have released */
    uint64_t reachable;   /* lowest place that a replay may still reach */
    uint32_t asked;       /* positions requests sent */
    uint32_t answered;    /* the last of them that was answered */
    uint8_t state;        /* fw_sync_state_t */
    uint8_t reset_reason; /* fw_reset_reason_t of the last FW_SYNC_RESET */
    bool unconfirmed;     /* the broker's last answer said so: resets must bypass caches */
} fw_sync_t;

typedef struct {
    uint64_t request_id;
    bool complete; /* everything up to visible is there; else the limit cut it */
    bool reset;    /* the place cannot be reached any more */
    fw_position_t visible;
    fw_entry_t **entries; /* contiguous, of epoch visible.epoch; taken */
    uint32_t count;
} fw_sync_replay_t;

void fw_sync_init(fw_sync_t *self);
void fw_sync_clear(fw_sync_t *self); /* frees everything */

/* Memory of ring and repair, for the budget. */
size_t fw_sync_bytes(const fw_sync_t *self);

/* The subscription is known to the broker: from now on every release arrives. */
void fw_sync_fenced(fw_sync_t *self);
/* The subscription has to be made again; nothing that was asked will be answered. */
void fw_sync_link_lost(fw_sync_t *self);
/* The last events may be missing: asks for the position again. */
void fw_sync_suspect(fw_sync_t *self);

/* An event of the link; takes the entry. Returns what changed. */
unsigned fw_sync_event(fw_sync_t *self, const fw_ring_limits_t *limits, uint64_t epoch,
                       fw_entry_t **entry_p);
/* The reason to be told for a reset: unconfirmed while the broker cannot vouch for the cache. */
fw_reset_reason_t fw_sync_reason(const fw_sync_t *self, fw_reset_reason_t reason);
/* True when the event is known to be in the ring or before it: it needs no entry. */
bool fw_sync_knows(const fw_sync_t *self, fw_position_t position);
unsigned fw_sync_position(fw_sync_t *self, const fw_ring_limits_t *limits, uint64_t request_id,
                          fw_position_t position);
unsigned fw_sync_replayed(fw_sync_t *self, const fw_ring_limits_t *limits,
                          const fw_sync_replay_t *replay);

unsigned fw_sync_needs(const fw_sync_t *self);
void fw_sync_position_asked(fw_sync_t *self, uint64_t request_id, int64_t now_ms);
/* The next replay: everything after *ret_since, at most *ret_limit events. */
void fw_sync_replay_asked(fw_sync_t *self, uint64_t request_id, int64_t now_ms,
                          fw_position_t *ret_since, uint32_t *ret_limit);
/* Asks again what was not answered in time; true while something is under way. */
bool fw_sync_expire(fw_sync_t *self, int64_t now_ms);

/* Can somebody who has everything up to place go on from here (state must be LIVE)? 0: yes, all
 * that follows is in the ring or yet to come. -EAGAIN: being fetched, ask again at FW_SYNC_SETTLES.
 * -ESTALE: no. */
int fw_sync_resume(fw_sync_t *self, uint64_t place) __attribute__((warn_unused_result));
/* Number of the positions request that is the first to be sent after now; answered >= it says when.
 */
uint32_t fw_sync_next_answer(fw_sync_t *self);
