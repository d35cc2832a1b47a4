/* core_record.c - one event from its publish to its last release.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core_internal.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

/* --- acknowledgements */

void fw_core_acknowledge(fw_core_t *self, const fw_peer_t *peer, fw_publish_ack_t *ack)
{
    ack->credit = self->options.credit;
    if (fw_publishers_end(self->publishers, peer))
        self->output.acknowledge(self->output.context, peer, ack);
}

static void answer(fw_record_t *record, const fw_waiter_t *waiter)
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
    fw_core_acknowledge(record->core, &waiter->peer, &ack);
}

void fw_record_wait(fw_record_t *self, const fw_peer_t *peer, const fw_publish_t *publish,
                    bool duplicate)
{
    fw_waiter_t *waiter = fw_alloc(1, sizeof *waiter);
    *waiter = (fw_waiter_t){self->waiters, *peer, publish->request_id, publish->level, duplicate};
    self->waiters = waiter;
}

/* Answers those who asked for this level only, or everybody. */
static void answer_waiters(fw_record_t *record, bool everybody)
{
    for (fw_waiter_t **link = &record->waiters; *link;) {
        fw_waiter_t *waiter = *link;
        if (!everybody && waiter->level != FW_ACK_ACCEPTED) {
            link = &waiter->next;
            continue;
        }
        answer(record, waiter);
        *link = waiter->next;
        free(waiter);
    }
}

/* --- the end */

void fw_record_free(fw_record_t *self)
{
    while (self->waiters) {
        fw_waiter_t *waiter = self->waiters;
        self->waiters = waiter->next;
        free(waiter);
    }
    fw_timers_cancel(self->core->timers, &self->timer);
    fw_blob_release(&self->publication);
    DL_DELETE(self->core->records, self);
    self->core->records_count--;
    self->core->records_bytes -= self->bytes;
    free(self->channels);
    free(self->positions);
    free(self->places);
    free(self->texts);
    free(self);
}

static void finish(fw_record_t *record)
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
        fw_dispatch_disown(self->dispatch, record->job);
    answer_waiters(record, true);
    fw_record_free(record);
}

void fw_record_on_committed(void *core, fw_store_commit_t *commit)
{
    fw_core_t *self = core;
    fw_place_t *place = commit->owner;
    fw_record_t *record = place->held.owner;
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

void fw_record_on_leave(void *core, fw_held_t *held)
{
    fw_core_t *self = core;
    fw_place_t *place = (fw_place_t *)held; /* held is its first member */
    place->commit = (fw_store_commit_t){.channel = held->channel,
                                        .position = held->position,
                                        .fresh = place->fresh,
                                        .unconfirmed = place->unconfirmed,
                                        .owner = place};
    fw_store_commit(self->store, &place->commit, 1);
}

/* --- the wait for the purge */

/* The purge is confirmed, or no longer waited for, in every place or in those that do not hold.
 * Releasing the last place frees the record, so it is not touched after its last place. */
static void make_ready(fw_record_t *record, bool every, bool unconfirmed, uint64_t fresh)
{
    fw_barrier_t *barrier = record->core->barrier;
    size_t left = 0;
    size_t count = record->append.channels_count;
    for (size_t i = 0; i < count; i++)
        if (!record->places[i].held.ready && (every || !record->places[i].holds))
            left++;
    record->unconfirmed |= unconfirmed;
    record->fresh = fresh;
    record->settled = every;
    if (every)
        fw_timers_cancel(record->core->timers, &record->timer);
    if (count == 0 && record->appended) {
        finish(record);
        return;
    }
    bool appended = record->appended; /* else it enters the barrier as ready as it is then */
    for (size_t i = 0; left > 0; i++) {
        fw_place_t *place = &record->places[i];
        if (place->held.ready || (!every && place->holds))
            continue;
        left--;
        place->unconfirmed = unconfirmed;
        place->fresh = fresh;
        if (appended)
            fw_barrier_ready(barrier, &place->held);
        else
            place->held.ready = true;
    }
}

static void on_job_ended(fw_core_t *self, fw_job_owner_t *owner, fw_job_outcome_t outcome,
                         uint64_t redis_time)
{
    fw_record_t *record = (fw_record_t *)owner;
    bool done = outcome == FW_JOB_DONE;
    record->job = NULL;
    if (record->settled)
        return; /* timed out before, and waits only for those before it in a channel */
    if (!done && !record->unconfirmed)
        fw_counter_add(self->metrics.unconfirmed, 1);
    make_ready(record, true, !done, done ? redis_time : 0);
}

void fw_record_time_out(fw_record_t *self)
{
    fw_core_t *core = self->core;
    const fw_core_options_t *options = &core->options;
    int64_t last_us = self->published_us + options->hold_timeout_us;
    bool holds = false;
    for (size_t i = 0; i < self->append.channels_count; i++)
        holds |= self->places[i].holds;
    bool every = !holds || core->now_us >= last_us;
    if (!self->unconfirmed)
        fw_counter_add(core->metrics.unconfirmed, 1);
    if (!every)
        fw_timers_set(core->timers, &self->timer, last_us);
    make_ready(self, every, true, 0);
}

/* --- the beginning */

static bool invalidates(const fw_invalidate_t *invalidate)
{
    return invalidate->keys_count || invalidate->tags_count || invalidate->patterns_count;
}

static size_t bytes_of(const fw_invalidate_t *invalidate)
{
    const fw_text_t *lists[] = {invalidate->keys, invalidate->tags, invalidate->patterns};
    size_t counts[] = {invalidate->keys_count, invalidate->tags_count, invalidate->patterns_count};
    size_t bytes = 0;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < counts[i]; k++)
            bytes += lists[i][k].size + sizeof(fw_text_t);
    return bytes;
}

static fw_record_t *make_record(fw_core_t *self, const fw_event_t *event)
{
    fw_record_t *record = fw_alloc(1, sizeof *record);
    size_t count = event->audience_count;
    size_t size = event->id.size + 1;
    for (size_t i = 0; i < count; i++)
        size += event->audience[i].size + 1;
    record->owner.ended = on_job_ended;
    record->core = self;
    record->published_us = self->now_us;
    record->timer.owner = record;
    record->texts = fw_alloc(1, size);
    record->channels = fw_alloc(count, sizeof(fw_text_t));
    record->positions = fw_alloc(count, sizeof(fw_position_t));
    record->places = fw_alloc(count, sizeof(fw_place_t));
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
    record->remembered =
        fw_dedupe_add(self->dedupe, record->id, record->channels, count, self->now_us);
    record->remembered->record = record;
    DL_APPEND(self->records, record);
    record->bytes = sizeof *record + size + fw_blob_bytes(record->publication).size +
                    count * sizeof(fw_place_t) + bytes_of(&event->invalidate);
    self->records_count++;
    self->records_bytes += record->bytes;
    return record;
}

/* The store could not take it: nothing happened, the publisher may try again. */
static void abandon(fw_record_t *record)
{
    fw_core_t *self = record->core;
    fw_counter_add(self->metrics.overload, 1);
    for (fw_waiter_t *waiter = record->waiters; waiter; waiter = waiter->next) {
        fw_publish_ack_t ack = {.request_id = waiter->request_id,
                                .id = record->id,
                                .status = FW_PUBLISH_RETRY,
                                .retry_after_ms = FW_RETRY_AFTER_MS};
        fw_core_acknowledge(self, &waiter->peer, &ack);
    }
    if (record->job)
        fw_dispatch_disown(self->dispatch, record->job);
    fw_dedupe_remove(self->dedupe, record->remembered);
    fw_record_free(record);
}

/* Releasing the last place frees the record, so nothing of it is touched after its last place. */
static void enter_barrier(fw_record_t *record)
{
    size_t count = record->append.channels_count;
    fw_barrier_t *barrier = record->core->barrier;
    if (count == 0 && record->settled)
        finish(record);
    for (size_t i = 0; i < count; i++)
        fw_barrier_enter(barrier, &record->places[i].held);
}

void fw_record_on_appended(void *core, fw_store_append_t *append)
{
    fw_core_t *self = core;
    fw_record_t *record = append->owner;
    if (append->result < 0) {
        abandon(record);
        return;
    }
    for (size_t i = 0; i < append->channels_count; i++) {
        record->remembered->positions[i].position = record->positions[i];
        record->places[i].held = (fw_held_t){.channel = record->channels[i],
                                             .position = record->positions[i],
                                             .owner = record,
                                             .ready = record->places[i].held.ready};
    }
    fw_counter_add(self->metrics.published, 1);
    record->appended = true;
    answer_waiters(record, false);
    enter_barrier(record);
}

static void wait_for_purge(fw_core_t *self, fw_record_t *record, const fw_invalidate_t *invalidate)
{
    const fw_core_options_t *options = &self->options;
    size_t holding = 0;
    size_t count = record->append.channels_count;
    for (size_t i = 0; i < count && fw_policies_hold(options->policies); i++) {
        record->places[i].holds = fw_policies_find(options->policies, record->channels[i])->hold;
        holding += record->places[i].holds;
    }
    bool all_hold = count > 0 && holding == count;
    fw_timers_set(self->timers, &record->timer,
                  self->now_us +
                      (all_hold ? options->hold_timeout_us : options->barrier_timeout_us));
    /* The purge may run while the store appends: purging early is harmless. */
    record->job = fw_dispatch_add(self->dispatch, invalidate, record, self->now_us);
}

void fw_record_begin(fw_core_t *self, const fw_peer_t *publisher, const fw_publish_t *publish,
                     const fw_event_t *event)
{
    fw_record_t *record = make_record(self, event);
    size_t count = event->audience_count;
    if (publisher)
        fw_record_wait(record, publisher, publish, false);
    record->append = (fw_store_append_t){.publication = record->publication,
                                         .channels = record->channels,
                                         .channels_count = count,
                                         .ret_positions = record->positions,
                                         .now_us = self->now_us,
                                         .owner = record};
    if (invalidates(&event->invalidate))
        wait_for_purge(self, record, &event->invalidate);
    else
        make_ready(record, true, false, 0);
    fw_store_append(self->store, &record->append, 1);
}
