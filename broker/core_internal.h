/* core_internal.h - what the files of the core share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "broker/barrier.h"
#include "broker/core.h"
#include "broker/core_metrics.h"
#include "broker/dedupe.h"
#include "broker/dispatch.h"
#include "broker/publishers.h"
#include "broker/timers.h"

enum { FW_RETRY_AFTER_MS = 100 }; /* told to a publisher that is refused for now */

typedef struct fw_record fw_record_t;

/* What a job belongs to: the first member of its owner. */
typedef struct fw_job_owner {
    void (*ended)(fw_core_t *core, struct fw_job_owner *owner, fw_job_outcome_t outcome,
                  uint64_t redis_time);
} fw_job_owner_t;

/* Somebody who waits for an event's barrier. */
typedef struct fw_waiter {
    struct fw_waiter *next;
    fw_peer_t peer;
    uint64_t request_id;
    fw_ack_level_t level;
    bool duplicate; /* asked for an event that was in flight already */
} fw_waiter_t;

/* One event in one channel. */
typedef struct {
    fw_held_t held; /* first: the barrier gives it back */
    fw_store_commit_t commit;
    bool holds; /* its channel waits for the purge longer */
    bool unconfirmed;
    uint64_t fresh;
} fw_place_t;

/* One event between publish and the last release. */
struct fw_record {
    fw_job_owner_t owner;
    fw_core_t *core;
    struct fw_record *prev, *next;
    fw_blob_t *publication;
    fw_store_append_t append;
    fw_text_t *channels;
    fw_position_t *positions;
    char *texts; /* the id, then the channel names */
    fw_text_t id;
    fw_place_t *places;
    size_t bytes;      /* of its publication, names and purge */
    size_t unreleased; /* places that have not left */
    bool appended;     /* its positions are known, and it is in the barrier */
    bool settled;      /* no place waits for the purge any more */
    bool unconfirmed;  /* in any of its places */
    uint64_t fresh;
    fw_dispatch_job_t *job;
    fw_dedupe_entry_t *remembered;
    fw_waiter_t *waiters;
    int64_t published_us;
    fw_timer_t timer;
};

/* Events that were lost before they came: the cache is flushed, then channels are reset. */
typedef struct fw_loss {
    fw_job_owner_t owner;
    struct fw_loss *prev, *next;
    fw_dispatch_job_t *job;
    fw_text_t *patterns;
    size_t patterns_count;
    char *texts;
    int64_t reset_us; /* at the latest, with the cache flushed or not */
    bool reset;       /* it was done */
} fw_loss_t;

/* The cache as a whole. */
typedef struct {
    fw_job_owner_t open;  /* of the job OPEN */
    fw_job_owner_t close; /* of the job CLOSE */
    fw_dispatch_job_t *open_job;
    fw_dispatch_job_t *close_job;
    bool opened;  /* confirmed */
    bool closed;  /* confirmed, or refused */
    bool refused; /* a worker said that the cache can never be flushed */
    int64_t wait_until_us;
    fw_loss_t *losses;
    size_t losses_count;
    bool lost_more; /* than fits into the list: everything is reset when there is room */
} fw_core_cache_t;

struct fw_core {
    fw_core_options_t options;
    fw_core_output_t output;
    fw_store_t *store;
    fw_barrier_t *barrier;
    fw_dispatch_t *dispatch;
    fw_dedupe_t *dedupe;
    fw_timers_t *timers;
    fw_codec_t *codec;
    fw_publishers_t *publishers;
    fw_record_t *records;
    size_t records_count;
    size_t records_bytes;
    fw_core_cache_t cache;
    bool draining;
    int64_t now_us; /* of the call that is being served */
    int64_t ticked_us;
    fw_core_metrics_t metrics;
};

/* core_record.c: one event's way. */
void fw_core_acknowledge(fw_core_t *self, const fw_peer_t *peer, fw_publish_ack_t *ack);
/* Begins an event; event has an id. publisher may be NULL. */
void fw_record_begin(fw_core_t *self, const fw_peer_t *publisher, const fw_publish_t *publish,
                     const fw_event_t *event);
/* One more waits for an event that is in flight. */
void fw_record_wait(fw_record_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                    bool duplicate);
void fw_record_time_out(fw_record_t *self);
void fw_record_free(fw_record_t *self);
void fw_record_on_appended(void *core, fw_store_append_t *append);
void fw_record_on_committed(void *core, fw_store_commit_t *commit);
void fw_record_on_leave(void *core, fw_held_t *held);

/* core_cache.c: the cache as a whole. */
void fw_core_cache_begin(fw_core_t *self, int64_t now_us);
void fw_core_cache_tick(fw_core_t *self, int64_t now_us);
int64_t fw_core_cache_next_us(const fw_core_t *self);
void fw_core_cache_end(fw_core_t *self);
