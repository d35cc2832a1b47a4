/* pacer.c - see pacer.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/pacer.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

void fw_pacer_clear(fw_pacer_t *self)
{
    free(self->paced);
    *self = (fw_pacer_t){.count = 0};
}

void fw_pacer_add(fw_pacer_t *self, fw_channel_t *channel)
{
    assert(channel->delay_ms > 0);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->paced = fw_realloc(self->paced, self->capacity, sizeof *self->paced);
    }
    self->paced[self->count++] = (fw_paced_t){channel, 0};
}

void fw_pacer_forget(fw_pacer_t *self, const fw_channel_t *channel)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->paced[i].channel == channel)
            self->paced[i].channel = NULL;
}

int64_t fw_pacer_next_ms(fw_pacer_t *self, int64_t now_ms)
{
    for (; self->timed < self->count; self->timed++) {
        fw_paced_t *paced = &self->paced[self->timed];
        int64_t delay_ms = paced->channel ? paced->channel->delay_ms : 1;
        paced->due_ms = (now_ms / delay_ms + 1) * delay_ms;
        if (self->next_ms == 0 || paced->due_ms < self->next_ms)
            self->next_ms = paced->due_ms;
    }
    return self->count > 0 ? self->next_ms : 0;
}

fw_channel_t *fw_pacer_take(fw_pacer_t *self, int64_t now_ms)
{
    if (self->count == 0 || self->next_ms == 0 || now_ms < self->next_ms)
        return NULL;
    while (self->looked < self->timed) {
        fw_paced_t *place = &self->paced[self->looked];
        fw_paced_t paced = *place;
        if (paced.channel && paced.due_ms > now_ms) {
            if (self->later_ms == 0 || paced.due_ms < self->later_ms)
                self->later_ms = paced.due_ms;
            self->looked++;
            continue;
        }
        /* The order of those that wait does not matter: the last ones take the free places. */
        *place = self->paced[--self->timed];
        self->paced[self->timed] = self->paced[--self->count];
        if (paced.channel)
            return paced.channel;
    }
    self->next_ms = self->later_ms;
    self->later_ms = 0;
    self->looked = 0;
    return NULL;
}
