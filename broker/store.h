/* store.h - where events keep their place: the interface of every engine. SPDX-License-Identifier:
 * MPL-2.0 Requests belong to the caller and must stay where they are until the engine has answered
 * them; an engine may answer before the call returns. Answers to requests about one channel come in
 * the order of the calls. Channels are not created by asking: one that never had an event has a
 * valid epoch and offset 0. */
#pragma once

#include "broker/blob.h"
#include "proto/codec.h"

typedef struct fw_store fw_store_t;

/* One event into every channel of its audience. */
typedef struct {
    fw_blob_t *publication; /* encoded; the engine takes its own hold */
    const fw_text_t *channels;
    size_t channels_count;
    fw_position_t *ret_positions; /* room for channels_count */
    int64_t now_us;
    int result; /* 0 or a negative errno: then it stands in no channel */
    void *owner;
} fw_store_append_t;

/* One event of one channel is released: visible becomes offset. The engine writes the epoch that
 * the channel has by now: a reset may have come in between. */
typedef struct {
    fw_text_t channel;
    fw_position_t position;
    uint64_t fresh;
    bool unconfirmed;
    int result;
    void *owner;
} fw_store_commit_t;

typedef struct {
    fw_position_t position;
    fw_blob_t *publication; /* borrowed until the answer was handled */
    uint64_t fresh;
    bool unconfirmed;
} fw_store_event_t;

typedef struct fw_store_read fw_store_read_t;
typedef struct fw_store_positions fw_store_positions_t;

/* The released events after a position: contiguous from since.offset + 1, never beyond visible. */
struct fw_store_read {
    fw_text_t channel;
    fw_position_t since;
    size_t limit;
    fw_store_event_t *ret_events; /* room for limit */
    size_t ret_count;
    fw_position_t ret_visible;
    fw_replay_status_t ret_status;
    int result;
    void (*answer)(void *context, fw_store_read_t *read);
    void *context;
};

struct fw_store_positions {
    const fw_text_t *channels;
    size_t channels_count;
    fw_position_t *ret_visible; /* room for channels_count */
    int result;
    void (*answer)(void *context, fw_store_positions_t *positions);
    void *context;
};

/* Where the answers to writes go. */
typedef struct {
    void *context;
    void (*appended)(void *context, fw_store_append_t *append);
    void (*committed)(void *context, fw_store_commit_t *commit);
} fw_store_answers_t;

typedef struct {
    uint64_t channels, events, bytes; /* kept now */
    uint64_t evicted_events, evicted_channels, resets;
} fw_store_stats_t;

/* What an engine implements. */
typedef struct {
    void (*destroy)(fw_store_t *self);
    void (*append)(fw_store_t *self, fw_store_append_t *batch, size_t count);
    void (*commit)(fw_store_t *self, fw_store_commit_t *batch, size_t count);
    void (*read)(fw_store_t *self, fw_store_read_t *read);
    void (*positions)(fw_store_t *self, fw_store_positions_t *positions);
    void (*reset)(fw_store_t *self, const fw_text_t *patterns, size_t count);
    void (*tick)(fw_store_t *self, int64_t now_us);
    void (*stats)(const fw_store_t *self, fw_store_stats_t *ret_stats);
} fw_store_engine_t;

struct fw_store {
    const fw_store_engine_t *engine;
    fw_store_answers_t answers;
};

void fw_store_destroy(fw_store_t **self_p);
void fw_store_append(fw_store_t *self, fw_store_append_t *batch, size_t count);
/* Offsets of one channel must be committed in order, each once (assert). */
void fw_store_commit(fw_store_t *self, fw_store_commit_t *batch, size_t count);
void fw_store_read(fw_store_t *self, fw_store_read_t *read);
void fw_store_positions(fw_store_t *self, fw_store_positions_t *positions);
/* Gives every channel whose name matches one of the patterns (proto/wildcard.h) a new epoch without
 * history, and every channel that is not kept as well: each place in them is lost. What waits for
 * its release keeps its offset. */
void fw_store_reset(fw_store_t *self, const fw_text_t *patterns, size_t count);
/* Forgets what is too old; call about once a second. */
void fw_store_tick(fw_store_t *self, int64_t now_us);
void fw_store_stats(const fw_store_t *self, fw_store_stats_t *ret_stats);
