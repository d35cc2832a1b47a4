/* core.h - everything the broker decides, without I/O.   SPDX-License-Identifier: MPL-2.0
 * Pure: time comes in, messages go out through the output. It owns the store, the barrier, the
 * dispatcher and the memory of ids. The actor (broker.c) feeds it from the sockets; the tests and
 * the simulation feed it from anywhere.
 *
 * An event's way: publish → append (its places are known) → enter the barrier in every channel →
 * its job is done, or its time is up → leaves each channel in offset order → commit (visible) →
 * deliver.
 *
 * The cache's way: at the start a job OPEN, which flushes the cache when the broker before did not
 * end cleanly; at the end a job CLOSE when no purge is owed; when events or jobs were lost, a job
 * FLUSH. */
#pragma once

#include "broker/policies.h"
#include "broker/publishers.h"
#include "broker/store.h"
#include "runtime/metrics.h"
#include "runtime/socket.h"

typedef struct fw_core fw_core_t;

typedef struct {
    uint32_t credit;            /* events a publisher may have unacknowledged */
    int64_t barrier_first_us;   /* then its job also goes to another worker */
    int64_t barrier_timeout_us; /* then it is released unconfirmed */
    int64_t hold_timeout_us;    /* the same, in channels whose policy is to hold */
    int64_t open_timeout_us;    /* questions of gateways wait so long for the cache to be opened */
    uint32_t held_max;          /* events in flight; beyond it publishers are refused OVERLOAD */
    uint32_t jobs_max; /* purges of events released unconfirmed; beyond it the cache is flushed */
    size_t held_bytes_max; /* of the events in flight; beyond it OVERLOAD as well */
    size_t jobs_bytes_max; /* of those purges; beyond it a flush as well */
    int64_t dedupe_us;
    uint32_t dedupe_max;
    size_t dedupe_bytes_max;
    int64_t lease_us;
    int64_t retry_base_us;
    int64_t retry_us_max;
    int64_t silence_us_max; /* a peer that says nothing for so long is gone */
    uint64_t seed;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    const fw_policies_t *policies; /* outlives the core */
    bool no_cache; /* nothing is opened, closed or flushed, and no reset is in doubt */
} fw_core_options_t;

typedef struct {
    void *context;
    void (*acknowledge)(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack);
    int (*send_job)(void *context, const fw_peer_t *worker, const fw_job_t *job);
    void (*deliver)(void *context, const fw_delivery_t *delivery);
    /* Places in some channels are lost: every gateway should look at its positions now. */
    void (*alarm)(void *context);
    /* A purge was done. NULL = nobody wants to know. */
    void (*purged)(void *context, const fw_purged_t *purged);
} fw_core_output_t;

/* Makes the engine of the store; called once, with where its answers go. */
typedef fw_store_t *fw_core_store_fn(const void *options, const fw_store_answers_t *answers);

fw_core_t *fw_core_new(const fw_core_options_t *options, const fw_core_output_t *output,
                       fw_core_store_fn *make_store, const void *store_options,
                       fw_metrics_t *metrics, int64_t now_us) __attribute__((warn_unused_result));
void fw_core_destroy(fw_core_t **self_p);

/* An event that passed fw_event_check. publisher is NULL on the fire-and-forget link. Every event
 * of a publisher is answered by exactly one acknowledgement, unless it leaves before. wall_ms
 * stands in for a missing ts. */
void fw_core_publish(fw_core_t *self, const fw_peer_t *publisher, const fw_publish_t *publish,
                     int64_t now_us, int64_t wall_ms);
/* A publisher said hello. */
void fw_core_publisher(fw_core_t *self, const fw_peer_t *publisher, int64_t now_us);
/* Any other message. False when it has not said hello: it must, so that it learns that the broker
 * is another one. */
bool fw_core_publisher_seen(fw_core_t *self, const fw_peer_t *publisher, int64_t now_us);
/* It has left: what it still waits for is not answered. */
void fw_core_publisher_gone(fw_core_t *self, const fw_peer_t *publisher);

void fw_core_worker(fw_core_t *self, const fw_peer_t *worker, uint32_t capacity, int64_t now_us);
bool fw_core_worker_seen(fw_core_t *self, const fw_peer_t *worker, int64_t now_us);
void fw_core_worker_gone(fw_core_t *self, const fw_peer_t *worker, int64_t now_us);
void fw_core_job_done(fw_core_t *self, const fw_peer_t *worker, const fw_job_done_t *done,
                      int64_t now_us);
void fw_core_job_failed(fw_core_t *self, const fw_peer_t *worker, const fw_job_failed_t *failed,
                        int64_t now_us);

/* What an answer to a gateway is worth that makes it reset somebody. */
typedef enum {
    FW_CACHE_STATE_WAIT,        /* do not answer yet: the cache is being opened */
    FW_CACHE_STATE_UNCONFIRMED, /* answer, but who is reset must bypass caches */
    FW_CACHE_STATE_SETTLED,
} fw_cache_state_t;

fw_cache_state_t fw_core_cache_state(const fw_core_t *self, int64_t now_us);

/* Events are lost that nobody saw, in channels that match these patterns: flushes the cache, then
 * resets those channels. */
void fw_core_lost(fw_core_t *self, const fw_text_t *patterns, size_t count, int64_t now_us);

/* Does what is due. */
void fw_core_tick(fw_core_t *self, int64_t now_us);
/* When tick has something to do at the latest. */
int64_t fw_core_next_us(const fw_core_t *self);

/* From now on every publish is answered RETRY. */
void fw_core_drain(fw_core_t *self);
/* After fw_core_drain: something may have been lost unseen, so the cache must not be closed. */
void fw_core_leave_open(fw_core_t *self);
/* After fw_core_drain: nothing waits in the barrier, and the cache is closed, or cannot be. */
bool fw_core_drained(fw_core_t *self, int64_t now_us);
/* For recovery: read and positions. */
fw_store_t *fw_core_store(fw_core_t *self);
/* Calls each for every publisher that is known. */
void fw_core_each_publisher(const fw_core_t *self, fw_publishers_each_fn *each, void *context);
