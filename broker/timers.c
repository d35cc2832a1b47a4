/* timers.c - see timers.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

struct fw_timers {
    fw_timer_t **heap; /* [1..count]; [0] is unused, so that place 0 means "not set" */
    size_t count, capacity;
};

fw_timers_t *fw_timers_new(void)
{
    fw_timers_t *self = fw_alloc(1, sizeof *self);
    self->capacity = 64;
    self->heap = fw_alloc(self->capacity, sizeof(fw_timer_t *));
    return self;
}

void fw_timers_destroy(fw_timers_t **self_p)
{
    if (!*self_p)
        return;
    free((*self_p)->heap);
    free(*self_p);
    *self_p = NULL;
}

static void put(fw_timers_t *self, fw_timer_t *timer, size_t place)
{
    self->heap[place] = timer;
    timer->place = place;
}

static void move_up(fw_timers_t *self, fw_timer_t *timer, size_t place)
{
    while (place > 1 && self->heap[place / 2]->due_us > timer->due_us) {
        put(self, self->heap[place / 2], place);
        place /= 2;
    }
    put(self, timer, place);
}

static void move_down(fw_timers_t *self, fw_timer_t *timer, size_t place)
{
    for (;;) {
        size_t child = place * 2;
        if (child > self->count)
            break;
        if (child < self->count && self->heap[child + 1]->due_us < self->heap[child]->due_us)
            child++;
        if (self->heap[child]->due_us >= timer->due_us)
            break;
        put(self, self->heap[child], place);
        place = child;
    }
    put(self, timer, place);
}

static void settle(fw_timers_t *self, fw_timer_t *timer, size_t place)
{
    if (place > 1 && self->heap[place / 2]->due_us > timer->due_us)
        move_up(self, timer, place);
    else
        move_down(self, timer, place);
}

void fw_timers_set(fw_timers_t *self, fw_timer_t *timer, int64_t due_us)
{
    assert(timer->owner);
    timer->due_us = due_us;
    if (timer->place == 0) {
        if (++self->count == self->capacity) {
            self->capacity *= 2;
            self->heap = fw_realloc(self->heap, self->capacity, sizeof(fw_timer_t *));
        }
        move_up(self, timer, self->count);
    } else {
        settle(self, timer, timer->place);
    }
}

void fw_timers_cancel(fw_timers_t *self, fw_timer_t *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    fw_timer_t *last = self->heap[self->count--];
    timer->place = 0;
    if (last != timer)
        settle(self, last, place);
}

fw_timer_t *fw_timers_expire(fw_timers_t *self, int64_t now_us)
{
    if (self->count == 0 || self->heap[1]->due_us > now_us)
        return NULL;
    fw_timer_t *timer = self->heap[1];
    fw_timers_cancel(self, timer);
    return timer;
}

int64_t fw_timers_next_us(const fw_timers_t *self)
{
    return self->count ? self->heap[1]->due_us : INT64_MAX;
}

size_t fw_timers_count(const fw_timers_t *self)
{
    return self->count;
}
