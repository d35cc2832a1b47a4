/* core_cache.c - the cache as a whole: opened, closed, and flushed when something was lost.
 * SPDX-License-Identifier: MPL-2.0
 * The order is what matters: first the flush, then the reset, so that the refetch that a reset
 * causes cannot read what a lost purge left behind. When the flush takes too long the reset comes
 * first, marked so that the refetch bypasses caches. */
#include <stdlib.h>
#include <string.h>

#include "broker/core_internal.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

enum { LOSSES_MAX = 64 };

static void reset_channels(fw_core_t *self, const fw_text_t *patterns, size_t count)
{
    fw_counter_add(self->metrics.resets, 1);
    fw_store_reset(self->store, patterns, count);
    self->output.alarm(self->output.context);
}

static void reset_all(fw_core_t *self)
{
    const fw_text_t everything = FW_TEXT("*");
    reset_channels(self, &everything, 1);
}

static void on_opened(fw_core_t *self, fw_job_owner_t *owner, fw_job_outcome_t outcome,
                      uint64_t redis_time)
{
    (void)owner, (void)redis_time;
    self->cache.open_job = NULL;
    self->cache.opened = outcome == FW_JOB_DONE;
    self->cache.refused |= outcome != FW_JOB_DONE;
    /* Gateways were answered in doubt. What was read since may have been filled from what only now
     * is flushed, after the doubt was over for who read it. */
    if (self->cache.opened && self->now_us >= self->cache.wait_until_us)
        reset_all(self);
}

static void on_closed(fw_core_t *self, fw_job_owner_t *owner, fw_job_outcome_t outcome,
                      uint64_t redis_time)
{
    (void)owner, (void)outcome, (void)redis_time;
    self->cache.close_job = NULL;
    self->cache.closed = true;
}

void fw_core_cache_begin(fw_core_t *self, int64_t now_us)
{
    fw_core_cache_t *cache = &self->cache;
    cache->open.ended = on_opened;
    cache->close.ended = on_closed;
    cache->wait_until_us = now_us + self->options.open_timeout_us;
    if (self->options.no_cache) {
        cache->opened = cache->closed = true;
        return;
    }
    cache->open_job = fw_dispatch_add_action(self->dispatch, FW_CACHE_OPEN, &cache->open, now_us);
}

/* --- losses */

static void reset(fw_core_t *self, fw_loss_t *loss)
{
    loss->reset = true;
    loss->reset_us = INT64_MAX;
    if (loss->patterns_count == 0)
        return; /* only a purge was lost */
    reset_channels(self, loss->patterns, loss->patterns_count);
}

static void free_loss(fw_core_t *self, fw_loss_t *loss)
{
    DL_DELETE(self->cache.losses, loss);
    self->cache.losses_count--;
    free(loss->patterns);
    free(loss->texts);
    free(loss);
}

static void on_flushed(fw_core_t *self, fw_job_owner_t *owner, fw_job_outcome_t outcome,
                       uint64_t redis_time)
{
    fw_loss_t *loss = (fw_loss_t *)owner;
    (void)redis_time;
    self->cache.refused |= outcome != FW_JOB_DONE;
    /* Once more when it was reset before, in doubt, for the same reason as in on_opened. */
    reset(self, loss);
    free_loss(self, loss);
}

static void begin_loss(fw_core_t *self, const fw_text_t *patterns, size_t count, int64_t now_us)
{
    fw_loss_t *loss = fw_alloc(1, sizeof *loss);
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += patterns[i].size + 1;
    loss->owner.ended = on_flushed;
    loss->reset_us = now_us + self->options.open_timeout_us;
    loss->patterns = fw_alloc(count, sizeof(fw_text_t));
    loss->patterns_count = count;
    loss->texts = fw_alloc(1, size);
    char *at = loss->texts;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, patterns[i].text, patterns[i].size);
        loss->patterns[i] = (fw_text_t){at, patterns[i].size};
        at += patterns[i].size + 1;
    }
    DL_APPEND(self->cache.losses, loss);
    self->cache.losses_count++;
    loss->job = fw_dispatch_add_action(self->dispatch, FW_CACHE_FLUSH, &loss->owner, now_us);
}

void fw_core_lost(fw_core_t *self, const fw_text_t *patterns, size_t count, int64_t now_us)
{
    self->now_us = now_us;
    if (self->options.no_cache)
        reset_channels(self, patterns, count);
    else if (self->cache.losses_count < LOSSES_MAX)
        begin_loss(self, patterns, count, now_us);
    else
        self->cache.lost_more = true;
}

void fw_core_cache_tick(fw_core_t *self, int64_t now_us)
{
    const fw_text_t everything = FW_TEXT("*");
    for (fw_loss_t *loss = self->cache.losses; loss; loss = loss->next)
        if (loss->reset_us <= now_us)
            reset(self, loss);
    if (self->cache.lost_more && self->cache.losses_count < LOSSES_MAX) {
        self->cache.lost_more = false;
        begin_loss(self, &everything, 1, now_us);
    }
}

int64_t fw_core_cache_next_us(const fw_core_t *self)
{
    int64_t next_us = INT64_MAX;
    for (const fw_loss_t *loss = self->cache.losses; loss; loss = loss->next)
        if (loss->reset_us < next_us)
            next_us = loss->reset_us;
    return next_us;
}

fw_cache_state_t fw_core_cache_state(const fw_core_t *self, int64_t now_us)
{
    const fw_core_cache_t *cache = &self->cache;
    bool waits = !cache->opened && !cache->refused;
    if (waits && now_us < cache->wait_until_us)
        return FW_CACHE_STATE_WAIT;
    for (const fw_loss_t *loss = cache->losses; loss; loss = loss->next)
        if (loss->reset)
            return FW_CACHE_STATE_UNCONFIRMED; /* reset before it was flushed */
    /* A purge is owed whose event is out: who reads now may get what it has yet to remove. */
    waits |= fw_dispatch_owes(self->dispatch);
    return waits || cache->refused ? FW_CACHE_STATE_UNCONFIRMED : FW_CACHE_STATE_SETTLED;
}

/* --- the end */

void fw_core_leave_open(fw_core_t *self)
{
    self->cache.closed = true;
}

bool fw_core_drained(fw_core_t *self, int64_t now_us)
{
    fw_core_cache_t *cache = &self->cache;
    if (self->records_count > 0)
        return false;
    if (cache->closed || !cache->opened || fw_dispatch_workers(self->dispatch) == 0)
        return true;
    if (cache->close_job || fw_dispatch_jobs(self->dispatch) > 0)
        return false;
    cache->close_job =
        fw_dispatch_add_action(self->dispatch, FW_CACHE_CLOSE, &cache->close, now_us);
    return false;
}

void fw_core_cache_end(fw_core_t *self)
{
    while (self->cache.losses)
        free_loss(self, self->cache.losses);
}
