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

void sim_truth_released(sim_truth_t *self, size_t channel, fw_position_t position, uint32_t number)
{
    size_t count = self->releases_count[channel];
    if (count > 0) {
        const sim_release_t *last = &self->releases[channel][count - 1];
        if (last->epoch == position.epoch && last->offset + 1 != position.offset)
            sim_violation(self, "%s: released %llu after %llu", names[channel],
                          (unsigned long long)position.offset, (unsigned long long)last->offset);
    }
    if (count == self->releases_capacity[channel]) {
        self->releases_capacity[channel] = count ? count * 2 : 64;
        self->releases[channel] = fw_realloc(
            self->releases[channel], self->releases_capacity[channel], sizeof(sim_release_t));
    }
    self->releases[channel][self->releases_count[channel]++] =
        (sim_release_t){position.epoch, position.offset, number};
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

void sim_violation(sim_truth_t *self, const char *format, ...)
{
    va_list arguments;
    if (self->violation[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(self->violation, sizeof self->violation, format, arguments);
    va_end(arguments);
}
