/* backend.c - see backend.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/backend.h"

enum { REDIS_BEGAN_US = 1000000, FILL_US_MAX = 5000, SLOW_FILL_US_MAX = 1000000 };

uint64_t sim_redis_time(const sim_backend_t *self)
{
    return (uint64_t)self->now_us + REDIS_BEGAN_US;
}

/* Never the same twice, whatever happens to Redis. */
static uint64_t next_stamp(sim_backend_t *self)
{
    uint64_t now = sim_redis_time(self);
    self->last_stamp = now > self->last_stamp ? now : self->last_stamp + 1;
    return self->last_stamp;
}

void sim_backend_commit(sim_backend_t *self, uint32_t number)
{
    self->committed[self->truth->events[number].object] = number;
}

static bool is_valid(const sim_backend_t *self, size_t object)
{
    const sim_entry_t *entry = &self->entries[object];
    return entry->present && entry->stamp == self->stamps[object] && entry->epoch == self->epoch;
}

bool sim_backend_is_stale(const sim_backend_t *self, size_t object, uint32_t version)
{
    return is_valid(self, object) && self->entries[object].version < version;
}

/* The stamps are read first, then the database; the entry is written some time later. */
static uint32_t fill(sim_backend_t *self, size_t object)
{
    uint32_t version = self->committed[object];
    if (self->stamps[object] == 0)
        self->stamps[object] = next_stamp(self);
    if (self->epoch == 0)
        self->epoch = next_stamp(self);
    int64_t took_us = (int64_t)fw_random_below(&self->random, FILL_US_MAX);
    if (fw_random_below(&self->random, 10) == 0)
        took_us += (int64_t)fw_random_below(&self->random, SLOW_FILL_US_MAX);
    for (size_t i = 0; i < SIM_FILLS_MAX; i++) {
        if (self->fills[i].present)
            continue;
        self->fills[i] = (sim_entry_t){.present = true,
                                       .version = version,
                                       .stamp = self->stamps[object],
                                       .epoch = self->epoch,
                                       .started_at = sim_redis_time(self),
                                       .object = object,
                                       .stored_us = self->now_us + took_us};
        break;
    }
    return version;
}

uint32_t sim_backend_read(sim_backend_t *self, size_t object, uint64_t fresh, bool bypass)
{
    self->reads++;
    if (bypass)
        return self->committed[object];
    if (is_valid(self, object) && self->entries[object].started_at > fresh) {
        self->hits++;
        return self->entries[object].version;
    }
    return fill(self, object);
}

void sim_backend_run(sim_backend_t *self, int64_t now_us)
{
    self->now_us = now_us;
    for (size_t i = 0; i < SIM_FILLS_MAX; i++) {
        if (self->fills[i].present && self->fills[i].stored_us <= now_us) {
            self->entries[self->fills[i].object] = self->fills[i];
            self->fills[i].present = false;
        }
    }
    size_t object = fw_random_below(&self->random, SIM_OBJECTS);
    (void)sim_backend_read(self, object, 0, false);
    if (fw_random_below(&self->random, 200) == 0)
        self->entries[object].present = false;
}

void sim_backend_purge(sim_backend_t *self, uint32_t number)
{
    sim_event_t *event = &self->truth->events[number];
    self->stamps[event->object] = next_stamp(self);
    if (event->purged_at == 0)
        event->purged_at = sim_redis_time(self);
}

void sim_backend_flush(sim_backend_t *self)
{
    self->epoch = next_stamp(self);
    self->flushes++;
    sim_truth_flushed(self->truth, sim_redis_time(self));
}

void sim_backend_empty(sim_backend_t *self)
{
    for (size_t i = 0; i < SIM_OBJECTS; i++) {
        self->entries[i].present = false;
        self->stamps[i] = 0;
    }
    self->epoch = 0;
    self->record[0] = '\0';
    sim_truth_flushed(self->truth, sim_redis_time(self));
}
