/* truth.c - see truth.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/truth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

static const char *const names[SIM_CHANNELS] = {"broadcast", "room:1", "room:2", "user:1",
                                                "user:2"};

const char *sim_channel_name(size_t channel)
{
    return names[channel];
}

size_t sim_channel_index(const char *name)
{
    size_t channel = 0;
    while (channel < SIM_CHANNELS && strcmp(names[channel], name) != 0)
        channel++;
    return channel;
}

void sim_truth_clear(sim_truth_t *self)
{
    for (size_t i = 0; i < SIM_CHANNELS; i++)
        free(self->releases[i]);
    *self = (sim_truth_t){0};
}

/* Once in each channel and life of the broker: what the next broker is sent again is new to it. */
static void check_once(sim_truth_t *self, size_t channel, uint32_t number)
{
    for (size_t i = self->releases_count[channel]; i-- > 0;) {
        const sim_release_t *release = &self->releases[channel][i];
        if (release->life != self->life)
            return;
        if (release->number == number)
            sim_violation(self, "%s: event %u was released twice", names[channel], number);
    }
}

void sim_truth_released(sim_truth_t *self, size_t channel, fw_position_t position, uint32_t number)
{
    size_t count = self->releases_count[channel];
    if (count > 0) {
        const sim_release_t *last = &self->releases[channel][count - 1];
        if (last->epoch == position.epoch && last->offset + 1 != position.offset)
            sim_violation(self, "%s: released %llu after %llu", names[channel],
                          (unsigned long long)position.offset, (unsigned long long)last->offset);
    }
    check_once(self, channel, number);
    if (count == self->releases_capacity[channel]) {
        self->releases_capacity[channel] = count ? count * 2 : 64;
        self->releases[channel] = fw_realloc(
            self->releases[channel], self->releases_capacity[channel], sizeof(sim_release_t));
    }
    self->releases[channel][self->releases_count[channel]++] =
        (sim_release_t){position.epoch, position.offset, number, self->life};
}

uint32_t sim_truth_at(const sim_truth_t *self, size_t channel, fw_position_t position)
{
    for (size_t i = self->releases_count[channel]; i-- > 0;) {
        const sim_release_t *release = &self->releases[channel][i];
        if (release->epoch == position.epoch && release->offset == position.offset)
            return release->number;
    }
    return UINT32_MAX;
}

void sim_truth_new_era(sim_truth_t *self, bool new_life)
{
    if (self->era + 1 == SIM_ERAS_MAX) {
        sim_violation(self, "there are more resets of everything than the simulation counts");
        return;
    }
    uint32_t *gone = self->gone[++self->era];
    self->life += new_life;
    for (uint32_t n = 1; n <= self->numbers; n++) {
        sim_event_t *event = &self->events[n];
        bool settled = event->released || event->lost || (new_life && event->acknowledged);
        if (event->purges && settled)
            gone[event->object] = n;
        if (new_life)
            event->accepted_us = 0;
    }
}

void sim_truth_told(sim_truth_t *self, size_t channel, uint64_t epoch)
{
    size_t count = self->epochs_count[channel];
    for (size_t i = 0; i < count; i++)
        if (self->epochs[channel][i].epoch == epoch)
            return;
    if (count < SIM_ERAS_MAX)
        self->epochs[channel][self->epochs_count[channel]++] = (sim_epoch_t){epoch, self->era};
}

const uint32_t *sim_truth_gone(const sim_truth_t *self, size_t channel, uint64_t epoch)
{
    for (size_t i = 0; i < self->epochs_count[channel]; i++)
        if (self->epochs[channel][i].epoch == epoch)
            return self->gone[self->epochs[channel][i].era];
    return self->gone[0];
}

void sim_truth_flushed(sim_truth_t *self, uint64_t redis_time)
{
    for (uint32_t n = 1; n <= self->numbers; n++)
        if (self->events[n].purged_at == 0)
            self->events[n].purged_at = redis_time;
}

size_t sim_truth_owed(const sim_truth_t *self, size_t object)
{
    size_t owed = 0;
    for (uint32_t n = 1; n <= self->numbers; n++) {
        const sim_event_t *event = &self->events[n];
        owed += event->unconfirmed && event->object == object && event->purged_at == 0;
    }
    return owed;
}

void sim_violation(sim_truth_t *self, const char *format, ...)
{
    va_list arguments;
    if (self->violation[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(self->violation, sizeof self->violation, format, arguments);
    va_end(arguments);
}
