/* core.c - see core.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core_internal.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum { GENERATED_ID_SIZE = 32 };

static void refuse(fw_core_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                   fw_publish_status_t status)
{
    fw_publish_ack_t ack = {.request_id = publish->request_id,
                            .id = publish->event.id,
                            .status = status,
                            .retry_after_ms = FW_RETRY_AFTER_MS};
    if (peer)
        fw_core_acknowledge(self, peer, &ack);
}

static void answer_duplicate(fw_core_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                             const fw_dedupe_entry_t *entry)
{
    fw_counter_add(self->metrics.duplicates, 1);
    if (!peer)
        return;
    const fw_record_t *record = entry->record;
    if (record && (publish->level != FW_ACK_ACCEPTED || !record->appended)) {
        fw_record_wait(entry->record, peer, publish, true);
        return;
    }
    fw_publish_ack_t ack = {.request_id = publish->request_id,
                            .id = publish->event.id,
                            .status = FW_PUBLISH_DUPLICATE,
                            .positions = entry->positions,
                            .positions_count = entry->positions_count,
                            .unconfirmed = entry->unconfirmed,
                            .fresh = entry->fresh};
    fw_core_acknowledge(self, peer, &ack);
}

/* True when the event was answered already. outstanding counts this one. */
static bool admit(fw_core_t *self, const fw_peer_t *peer, uint32_t outstanding,
                  const fw_publish_t *publish)
{
    /* Nobody can be told that an event of the fire-and-forget link is not taken, so it is, until
     * the cache is being closed: from then on its purge would be owed by nobody. The next broker
     * asks for it. */
    if (!peer && (self->cache.close_job || self->cache.closed))
        return true;
    if (self->draining && peer) {
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
        self->records_bytes >= self->options.held_bytes_max || outstanding > self->options.credit) {
        fw_counter_add(self->metrics.overload, 1);
        refuse(self, peer, publish, FW_PUBLISH_OVERLOAD);
        if (!peer)
            fw_core_lost(self, publish->event.audience, publish->event.audience_count,
                         self->now_us);
        return true;
    }
    return false;
}

void fw_core_publish(fw_core_t *self, const fw_peer_t *publisher, const fw_publish_t *publish,
                     int64_t now_us, int64_t wall_ms)
{
    fw_event_t event = publish->event;
    char generated[GENERATED_ID_SIZE + 1];
    self->now_us = now_us;
    uint32_t outstanding = 0;
    if (publisher) {
        (void)fw_publishers_seen(self->publishers, publisher, now_us);
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
    fw_record_begin(self, publisher, publish, &event);
}

/* --- peers */

void fw_core_publisher(fw_core_t *self, const fw_peer_t *publisher, int64_t now_us)
{
    fw_publishers_greet(self->publishers, publisher, now_us);
}

bool fw_core_publisher_seen(fw_core_t *self, const fw_peer_t *publisher, int64_t now_us)
{
    return fw_publishers_seen(self->publishers, publisher, now_us);
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
    int64_t added_us = 0;
    const fw_invalidate_t *purges = fw_dispatch_purges(self->dispatch, done->job_id, &added_us);
    if (purges && self->output.purged) {
        const fw_purged_t purged = {done->redis_time, *purges, done->stamps, done->stamps_count,
                                    (uint64_t)(now_us - added_us)};
        self->output.purged(self->output.context, &purged);
    }
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
    fw_counter_add(self->metrics.jobs_given_up, fw_dispatch_given_up(self->dispatch) -
                                                    fw_counter_value(self->metrics.jobs_given_up));
    fw_counter_add(self->metrics.flushes,
                   fw_dispatch_flushes(self->dispatch) - fw_counter_value(self->metrics.flushes));
}

enum { SECOND_US = 1000000 };

void fw_core_tick(fw_core_t *self, int64_t now_us)
{
    fw_timer_t *timer;
    self->now_us = now_us;
    fw_dispatch_tick(self->dispatch, now_us);
    while ((timer = fw_timers_expire(self->timers, now_us)))
        fw_record_time_out(timer->owner);
    fw_core_cache_tick(self, now_us);
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
    int64_t cache_us = fw_core_cache_next_us(self);
    if (timer_us < next_us)
        next_us = timer_us;
    if (cache_us < next_us)
        next_us = cache_us;
    return dispatch_us < next_us ? dispatch_us : next_us;
}

void fw_core_drain(fw_core_t *self)
{
    self->draining = true;
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

static void on_job_ended(void *context, void *owner, fw_job_outcome_t outcome, uint64_t redis_time)
{
    fw_core_t *self = context;
    fw_job_owner_t *of = owner;
    bool done = outcome == FW_JOB_DONE;
    fw_counter_add(done ? self->metrics.jobs_done : self->metrics.jobs_impossible, 1);
    if (of)
        of->ended(self, of, outcome, redis_time);
}

static int on_send_job(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    fw_core_t *self = context;
    return self->output.send_job(self->output.context, worker, job);
}

fw_core_t *fw_core_new(const fw_core_options_t *options, const fw_core_output_t *output,
                       fw_core_store_fn *make_store, const void *store_options,
                       fw_metrics_t *metrics, int64_t now_us)
{
    fw_core_t *self = fw_alloc(1, sizeof *self);
    fw_store_answers_t answers = {self, fw_record_on_appended, fw_record_on_committed};
    fw_dispatch_options_t dispatch = {.first_us = options->barrier_first_us,
                                      .lease_us = options->lease_us,
                                      .retry_base_us = options->retry_base_us,
                                      .retry_us_max = options->retry_us_max,
                                      .silence_us_max = options->silence_us_max,
                                      .seed = options->seed,
                                      .orphans_max = options->jobs_max,
                                      .orphans_bytes_max = options->jobs_bytes_max};
    memcpy(dispatch.incarnation, options->incarnation, sizeof dispatch.incarnation);
    fw_dispatch_output_t dispatch_output = {self, on_send_job, on_job_ended};
    self->options = *options;
    self->output = *output;
    self->store = make_store(store_options, &answers);
    self->barrier = fw_barrier_new(fw_record_on_leave, self);
    self->dispatch = fw_dispatch_new(&dispatch, &dispatch_output);
    self->dedupe =
        fw_dedupe_new(options->dedupe_us, options->dedupe_max, options->dedupe_bytes_max);
    self->publishers = fw_publishers_new();
    self->timers = fw_timers_new();
    self->codec = fw_codec_new();
    fw_core_metrics_make(&self->metrics, metrics);
    fw_core_cache_begin(self, now_us);
    return self;
}

void fw_core_destroy(fw_core_t **self_p)
{
    fw_core_t *self = *self_p;
    if (!self)
        return;
    while (self->records)
        fw_record_free(self->records);
    fw_core_cache_end(self);
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
