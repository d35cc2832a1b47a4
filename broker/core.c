/* core.c - see core.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/core.h"

#include <assert.h>
#include <stdio.h>

#include "broker/barrier.h"
#include "broker/core_metrics.h"
#include "broker/dedupe.h"
#include "broker/dispatch.h"
#include "broker/hash.h"
#include "broker/publishers.h"
#include "broker/timers.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum {
    RETRY_AFTER_MS = 100, /* told to a publisher that is refused for now */
    GENERATED_ID_SIZE = 32,
};

/* Somebody who waits for an event's barrier. */
typedef struct waiter {
    struct waiter *next;
    fw_peer_t peer;
    uint64_t request_id;
    fw_ack_level_t level;
    bool duplicate; /* asked for an event that was in flight already */
} waiter_t;

/* One event in one channel. */
typedef struct {
    fw_held_t held;
    fw_store_commit_t commit;
} place_t;

/* One event between publish and the last release. */
typedef struct record {
    fw_core_t *core;
    struct record *prev, *next;
    fw_blob_t *publication;
    fw_store_append_t append;
    fw_text_t *channels;
    fw_position_t *positions;
    char *texts; /* the id, then the channel names */
    fw_text_t id;
    place_t *places;
    size_t unreleased;
    bool appended; /* its positions are known, and it is in the barrier */
    bool ready;    /* its purge is confirmed, not needed, or no longer waited for */
    bool unconfirmed;
    uint64_t fresh;
    fw_dispatch_job_t *job;
    fw_dedupe_entry_t *remembered;
    waiter_t *waiters;
    int64_t published_us;
    fw_timer_t timer;
} record_t;

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
    record_t *records;
    size_t records_count;
    bool draining;
    int64_t now_us; /* of the call that is being served */
    int64_t ticked_us;
    fw_core_metrics_t metrics;
};

/* --- acknowledgements */

static void acknowledge(fw_core_t *self, const fw_peer_t *peer, fw_publish_ack_t *ack)
{
    ack->credit = self->options.credit;
    if (fw_publishers_end(self->publishers, peer))
        self->output.acknowledge(self->output.context, peer, ack);
}

static void refuse(fw_core_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                   fw_publish_status_t status)
{
    fw_publish_ack_t ack = {.request_id = publish->request_id,
                            .id = publish->event.id,
                            .status = status,
                            .retry_after_ms = RETRY_AFTER_MS};
    if (peer)
        acknowledge(self, peer, &ack);
}

static void answer(record_t *record, const waiter_t *waiter)
{
    fw_channel_position_t positions[FW_AUDIENCE_MAX];
    size_t count = record->append.channels_count;
    for (size_t i = 0; i < count; i++)
        positions[i] = (fw_channel_position_t){record->channels[i], record->positions[i]};
    fw_publish_ack_t ack = {.request_id = waiter->request_id,
                            .id = record->id,
                            .status = waiter->duplicate ? FW_PUBLISH_DUPLICATE : FW_PUBLISH_OK,
                            .positions = positions,
                            .positions_count = count,
                            .unconfirmed = record->unconfirmed,
                            .fresh = record->fresh};
    acknowledge(record->core, &waiter->peer, &ack);
}

static void wait_for(record_t *record, const fw_peer_t *peer, const fw_publish_t *publish,
                     bool duplicate)
{
    waiter_t *waiter = fw_alloc(1, sizeof *waiter);
    *waiter = (waiter_t){record->waiters, *peer, publish->request_id, publish->level, duplicate};
    record->waiters = waiter;
}

/* Answers those who asked for this level only, or everybody. */
static void answer_waiters(record_t *record, bool everybody)
{
    for (waiter_t **link = &record->waiters; *link;) {
        waiter_t *waiter = *link;
        if (!everybody && waiter->level != FW_ACK_ACCEPTED) {
            link = &waiter->next;
            continue;
        }
        answer(record, waiter);
        *link = waiter->next;
        free(waiter);
    }
}

/* --- the end of an event's way */

static void free_record(record_t *record)
{
    while (record->waiters) {
        waiter_t *waiter = record->waiters;
        record->waiters = waiter->next;
        free(waiter);
    }
    fw_timers_cancel(record->core->timers, &record->timer);
    fw_blob_release(&record->publication);
    DL_DELETE(record->core->records, record);
    record->core->records_count--;
    free(record->channels);
    free(record->positions);
    free(record->places);
    free(record->texts);
    free(record);
}

static void finish(record_t *record)
{
    fw_core_t *self = record->core;
    fw_histogram_observe_us(self->metrics.barrier, self->now_us - record->published_us);
    if (record->remembered) {
        record->remembered->finished = true;
        record->remembered->unconfirmed = record->unconfirmed;
        record->remembered->fresh = record->fresh;
        record->remembered->record = NULL;
    }
    if (record->job)
        fw_dispatch_disown(record->job);
    answer_waiters(record, true);
    free_record(record);
}

static void on_committed(void *context, fw_store_commit_t *commit)
{
    fw_core_t *self = context;
    place_t *place = commit->owner;
    record_t *record = place->held.owner;
    fw_delivery_t delivery = {.channel = commit->channel,
                              .position = commit->position,
                              .fresh = commit->fresh,
                              .unconfirmed = commit->unconfirmed,
                              .publication = fw_blob_bytes(record->publication)};
    fw_counter_add(self->metrics.deliveries, 1);
    self->output.deliver(self->output.context, &delivery);
    if (--record->unreleased == 0)
        finish(record);
}

static void on_leave(void *context, fw_held_t *held)
{
    fw_core_t *self = context;
    record_t *record = held->owner;
    place_t *place = (place_t *)held; /* held is its first member */
    place->commit = (fw_store_commit_t){.channel = held->channel,
                                        .position = held->position,
                                        .fresh = record->fresh,
                                        .unconfirmed = record->unconfirmed,
                                        .owner = place};
    fw_store_commit(self->store, &place->commit, 1);
}

/* Releasing the last place frees the record, so nothing of it is touched after its last place. */
static void enter_barrier(record_t *record)
{
    size_t count = record->append.channels_count;
    fw_barrier_t *barrier = record->core->barrier;
    if (count == 0 && record->ready)
        finish(record);
    for (size_t i = 0; i < count; i++)
        fw_barrier_enter(barrier, &record->places[i].held);
}

/* The purge is confirmed, or the wait for it is over. The record may be gone afterwards. */
static void become_ready(record_t *record)
{
    fw_barrier_t *barrier = record->core->barrier;
    size_t count = record->append.channels_count;
    assert(!record->ready);
    record->ready = true;
    fw_timers_cancel(record->core->timers, &record->timer);
    if (!record->appended)
        return; /* it enters the barrier ready */
    if (count == 0)
        finish(record);
    for (size_t i = 0; i < count; i++)
        fw_barrier_ready(barrier, &record->places[i].held);
}

static void on_job_ended(void *context, void *owner, fw_job_outcome_t outcome, uint64_t redis_time)
{
    fw_core_t *self = context;
    record_t *record = owner;
    bool done = outcome == FW_JOB_DONE;
    fw_counter_add(done ? self->metrics.jobs_done : self->metrics.jobs_impossible, 1);
    if (!record)
        return;
    record->job = NULL;
    if (record->ready)
        return; /* timed out before, and waits only for those before it in a channel */
    record->fresh = done ? redis_time : 0;
    record->unconfirmed = !done;
    if (!done)
        fw_counter_add(self->metrics.unconfirmed, 1);
    become_ready(record);
}

static void on_timeout(record_t *record)
{
    fw_counter_add(record->core->metrics.unconfirmed, 1);
    record->unconfirmed = true;
    become_ready(record);
}

/* --- the beginning */

static bool invalidates(const fw_invalidate_t *invalidate)
{
    return invalidate->keys_count || invalidate->tags_count || invalidate->patterns_count;
}

static record_t *make_record(fw_core_t *self, const fw_event_t *event, int64_t now_us)
{
    record_t *record = fw_alloc(1, sizeof *record);
    size_t count = event->audience_count;
    size_t size = event->id.size + 1;
    for (size_t i = 0; i < count; i++)
        size += event->audience[i].size + 1;
    record->core = self;
    record->published_us = now_us;
    record->timer.owner = record;
    record->texts = fw_alloc(1, size);
    record->channels = fw_alloc(count, sizeof(fw_text_t));
    record->positions = fw_alloc(count, sizeof(fw_position_t));
    record->places = fw_alloc(count, sizeof(place_t));
    memcpy(record->texts, event->id.text, event->id.size);
    record->id = (fw_text_t){record->texts, event->id.size};
    char *at = record->texts + event->id.size + 1;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, event->audience[i].text, event->audience[i].size);
        record->channels[i] = (fw_text_t){at, event->audience[i].size};
        at += event->audience[i].size + 1;
    }
    record->unreleased = count;
    record->publication = fw_blob_new(fw_codec_encode_publication(self->codec, event));
    record->remembered = fw_dedupe_add(self->dedupe, record->id, record->channels, count, now_us);
    record->remembered->record = record;
    DL_APPEND(self->records, record);
    self->records_count++;
    return record;
}

/* The store could not take it: nothing happened, the publisher may try again. */
static void abandon(record_t *record)
{
    fw_core_t *self = record->core;
    fw_counter_add(self->metrics.overload, 1);
    for (waiter_t *waiter = record->waiters; waiter; waiter = waiter->next) {
        fw_publish_ack_t ack = {.request_id = waiter->request_id,
                                .id = record->id,
                                .status = FW_PUBLISH_RETRY,
                                .retry_after_ms = RETRY_AFTER_MS};
        acknowledge(self, &waiter->peer, &ack);
    }
    if (record->job)
        fw_dispatch_disown(record->job);
    fw_dedupe_remove(self->dedupe, record->remembered);
    free_record(record);
}

static void on_appended(void *context, fw_store_append_t *append)
{
    fw_core_t *self = context;
    record_t *record = append->owner;
    if (append->result < 0) {
        abandon(record);
        return;
    }
    for (size_t i = 0; i < append->channels_count; i++) {
        record->remembered->positions[i].position = record->positions[i];
        record->places[i].held = (fw_held_t){.channel = record->channels[i],
                                             .position = record->positions[i],
                                             .owner = record,
                                             .ready = record->ready};
    }
    fw_counter_add(self->metrics.published, 1);
    record->appended = true;
    answer_waiters(record, false);
    enter_barrier(record);
}

static void answer_duplicate(fw_core_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                             const fw_dedupe_entry_t *entry)
{
    fw_counter_add(self->metrics.duplicates, 1);
    if (!peer)
        return;
    const record_t *record = entry->record;
    if (record && (publish->level != FW_ACK_ACCEPTED || !record->appended)) {
        wait_for(entry->record, peer, publish, true);
        return;
    }
    fw_publish_ack_t ack = {.request_id = publish->request_id,
                            .id = publish->event.id,
                            .status = FW_PUBLISH_DUPLICATE,
                            .positions = entry->positions,
                            .positions_count = entry->positions_count,
                            .unconfirmed = entry->unconfirmed,
                            .fresh = entry->fresh};
    acknowledge(self, peer, &ack);
}

/* True when the event was answered already. outstanding counts this one. */
static bool admit(fw_core_t *self, const fw_peer_t *peer, uint32_t outstanding,
                  const fw_publish_t *publish)
{
    if (self->draining) {
        refuse(self, peer, publish, FW_PUBLISH_RETRY);
        return true;
    }
    if (publish->event.id.size > 0) {
        const fw_dedupe_entry_t *entry = fw_dedupe_find(self->dedupe, publish->event.id);
        if (entry) {
            answer_duplicate(self, peer, publish, entry);
            return true;
        }
    }
    if (self->records_count >= self->options.held_max ||
        fw_dispatch_jobs(self->dispatch) >= self->options.held_max ||
        outstanding > self->options.credit) {
        fw_counter_add(self->metrics.overload, 1);
        refuse(self, peer, publish, FW_PUBLISH_OVERLOAD);
        return true;
    }
    return false;
}

static void begin(fw_core_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                  const fw_event_t *event, int64_t now_us)
{
    record_t *record = make_record(self, event, now_us);
    bool purge = invalidates(&event->invalidate);
    if (peer)
        wait_for(record, peer, publish, false);
    if (purge) {
        /* The purge may run while the store appends: purging early is harmless. */
        fw_timers_set(self->timers, &record->timer, now_us + self->options.barrier_timeout_us);
        record->job = fw_dispatch_add(self->dispatch, &event->invalidate, record, now_us);
    }
    record->ready = !purge;
    record->append = (fw_store_append_t){.publication = record->publication,
                                         .channels = record->channels,
                                         .channels_count = event->audience_count,
                                         .ret_positions = record->positions,
                                         .now_us = now_us,
                                         .owner = record};
    fw_store_append(self->store, &record->append, 1);
}

void fw_core_publish(fw_core_t *self, const fw_peer_t *publisher, const fw_publish_t *publish,
                     int64_t now_us, int64_t wall_ms)
{
    fw_event_t event = publish->event;
    char generated[GENERATED_ID_SIZE + 1];
    self->now_us = now_us;
    uint32_t outstanding = 0;
    if (publisher) {
        fw_publishers_seen(self->publishers, publisher, now_us);
        outstanding = fw_publishers_begin(self->publishers, publisher);
    }
    if (admit(self, publisher, outstanding, publish))
        return;
    if (event.ts == 0)
        event.ts = wall_ms;
    if (event.id.size == 0) {
        uint64_t random[2];
        fw_random_bytes(random, sizeof random);
        (void)snprintf(generated, sizeof generated, "%016llx%016llx", (unsigned long long)random[0],
                       (unsigned long long)random[1]);
        event.id = fw_text(generated);
    }
    begin(self, publisher, publish, &event, now_us);
}

/* --- peers */

void fw_core_publisher_seen(fw_core_t *self, const fw_peer_t *publisher, int64_t now_us)
{
    fw_publishers_seen(self->publishers, publisher, now_us);
}

void fw_core_publisher_gone(fw_core_t *self, const fw_peer_t *publisher)
{
    fw_publishers_gone(self->publishers, publisher);
}

void fw_core_worker(fw_core_t *self, const fw_peer_t *worker, uint32_t capacity, int64_t now_us)
{
    self->now_us = now_us;
    fw_dispatch_worker(self->dispatch, worker, capacity, now_us);
}

bool fw_core_worker_seen(fw_core_t *self, const fw_peer_t *worker, int64_t now_us)
{
    return fw_dispatch_seen(self->dispatch, worker, now_us);
}

void fw_core_worker_gone(fw_core_t *self, const fw_peer_t *worker, int64_t now_us)
{
    self->now_us = now_us;
    fw_dispatch_gone(self->dispatch, worker, now_us);
}

void fw_core_job_done(fw_core_t *self, const fw_peer_t *worker, const fw_job_done_t *done,
                      int64_t now_us)
{
    self->now_us = now_us;
    if (!fw_dispatch_done(self->dispatch, worker, done->job_id, done->redis_time, now_us))
        fw_counter_add(self->metrics.answers_ignored, 1);
}

void fw_core_job_failed(fw_core_t *self, const fw_peer_t *worker, const fw_job_failed_t *failed,
                        int64_t now_us)
{
    self->now_us = now_us;
    if (!fw_dispatch_failed(self->dispatch, worker, failed->job_id, failed->retryable, now_us))
        fw_counter_add(self->metrics.answers_ignored, 1);
}

/* --- time */

static void show(fw_core_t *self)
{
    fw_store_stats_t stats;
    fw_store_stats(self->store, &stats);
    fw_gauge_set(self->metrics.in_flight, (int64_t)self->records_count);
    fw_gauge_set(self->metrics.jobs, (int64_t)fw_dispatch_jobs(self->dispatch));
    fw_gauge_set(self->metrics.workers, (int64_t)fw_dispatch_workers(self->dispatch));
    fw_gauge_set(self->metrics.publishers, (int64_t)fw_publishers_count(self->publishers));
    fw_gauge_set(self->metrics.ids, (int64_t)fw_dedupe_count(self->dedupe));
    fw_gauge_set(self->metrics.channels, (int64_t)stats.channels);
    fw_gauge_set(self->metrics.history_events, (int64_t)stats.events);
    fw_gauge_set(self->metrics.history_bytes, (int64_t)stats.bytes);
}

enum { SECOND_US = 1000000 };

void fw_core_tick(fw_core_t *self, int64_t now_us)
{
    fw_timer_t *timer;
    self->now_us = now_us;
    fw_dispatch_tick(self->dispatch, now_us);
    while ((timer = fw_timers_expire(self->timers, now_us)))
        on_timeout(timer->owner);
    if (now_us - self->ticked_us < SECOND_US)
        return;
    self->ticked_us = now_us;
    fw_dedupe_expire(self->dedupe, now_us);
    fw_store_tick(self->store, now_us);
    fw_publishers_remove_silent(self->publishers, self->options.silence_us_max, now_us);
    show(self);
}

int64_t fw_core_next_us(const fw_core_t *self)
{
    int64_t next_us = self->ticked_us + SECOND_US;
    int64_t timer_us = fw_timers_next_us(self->timers);
    int64_t dispatch_us = fw_dispatch_next_us(self->dispatch);
    if (timer_us < next_us)
        next_us = timer_us;
    return dispatch_us < next_us ? dispatch_us : next_us;
}

void fw_core_drain(fw_core_t *self)
{
    self->draining = true;
}

bool fw_core_idle(const fw_core_t *self)
{
    return self->records_count == 0;
}

fw_store_t *fw_core_store(fw_core_t *self)
{
    return self->store;
}

void fw_core_each_publisher(const fw_core_t *self, fw_publishers_each_fn *each, void *context)
{
    fw_publishers_each(self->publishers, each, context);
}

/* --- life */

static int on_send_job(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    fw_core_t *self = context;
    return self->output.send_job(self->output.context, worker, job);
}

fw_core_t *fw_core_new(const fw_core_options_t *options, const fw_core_output_t *output,
                       fw_core_store_fn *make_store, const void *store_options,
                       fw_metrics_t *metrics)
{
    fw_core_t *self = fw_alloc(1, sizeof *self);
    fw_store_answers_t answers = {self, on_appended, on_committed};
    fw_dispatch_options_t dispatch = {options->barrier_first_us, options->lease_us,
                                      options->retry_base_us,    options->retry_us_max,
                                      options->silence_us_max,   options->seed};
    fw_dispatch_output_t dispatch_output = {self, on_send_job, on_job_ended};
    self->options = *options;
    self->output = *output;
    self->store = make_store(store_options, &answers);
    self->barrier = fw_barrier_new(on_leave, self);
    self->dispatch = fw_dispatch_new(&dispatch, &dispatch_output);
    self->dedupe = fw_dedupe_new(options->dedupe_us, options->dedupe_max);
    self->publishers = fw_publishers_new();
    self->timers = fw_timers_new();
    self->codec = fw_codec_new();
    fw_core_metrics_make(&self->metrics, metrics);
    return self;
}

void fw_core_destroy(fw_core_t **self_p)
{
    fw_core_t *self = *self_p;
    if (!self)
        return;
    while (self->records)
        free_record(self->records);
    fw_publishers_destroy(&self->publishers);
    fw_barrier_destroy(&self->barrier);
    fw_dispatch_destroy(&self->dispatch);
    fw_dedupe_destroy(&self->dedupe);
    fw_timers_destroy(&self->timers);
    fw_store_destroy(&self->store);
    fw_codec_destroy(&self->codec);
    free(self);
    *self_p = NULL;
}
