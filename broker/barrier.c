/* barrier.c - see barrier.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/barrier.h"

#include <assert.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"

/* Of one channel; exists only while something is held in it. */
struct fw_barrier_queue {
    UT_hash_handle hh;
    fw_held_t *held; /* in offset order */
    bool leaving;    /* its head is being released: do not start again from inside */
    size_t name_size;
    char name[];
};

struct fw_barrier {
    fw_barrier_queue_t *queues;
    size_t count;
    fw_barrier_leave_fn *leave;
    void *context;
};

fw_barrier_t *fw_barrier_new(fw_barrier_leave_fn *leave, void *context)
{
    fw_barrier_t *self = fw_alloc(1, sizeof *self);
    self->leave = leave;
    self->context = context;
    return self;
}

void fw_barrier_destroy(fw_barrier_t **self_p)
{
    fw_barrier_t *self = *self_p;
    fw_barrier_queue_t *queue, *next;
    if (!self)
        return;
    HASH_ITER(hh, self->queues, queue, next)
    {
        HASH_DELETE(hh, self->queues, queue);
        free(queue);
    }
    free(self);
    *self_p = NULL;
}

static fw_barrier_queue_t *find(fw_barrier_t *self, fw_text_t channel)
{
    fw_barrier_queue_t *queue;
    HASH_FIND(hh, self->queues, channel.text, channel.size, queue);
    return queue;
}

static fw_barrier_queue_t *create(fw_barrier_t *self, fw_text_t channel)
{
    fw_barrier_queue_t *queue = fw_alloc(1, sizeof *queue + channel.size);
    queue->name_size = channel.size;
    memcpy(queue->name, channel.text, channel.size);
    HASH_ADD_KEYPTR(hh, self->queues, queue->name, queue->name_size, queue);
    return queue;
}

static void let_leave(fw_barrier_t *self, fw_barrier_queue_t *queue)
{
    if (queue->leaving)
        return;
    queue->leaving = true;
    while (queue->held && queue->held->ready) {
        fw_held_t *held = queue->held;
        DL_DELETE(queue->held, held);
        held->queue = NULL;
        self->count--;
        self->leave(self->context, held);
    }
    queue->leaving = false;
    if (!queue->held) {
        HASH_DELETE(hh, self->queues, queue);
        free(queue);
    }
}

void fw_barrier_enter(fw_barrier_t *self, fw_held_t *held)
{
    assert(!held->queue);
    fw_barrier_queue_t *queue = self->queues ? find(self, held->channel) : NULL;
    if (!queue && held->ready) {
        self->leave(self->context, held);
        return;
    }
    if (!queue)
        queue = create(self, held->channel);
    assert(!queue->held || held->position.offset > queue->held->prev->position.offset);
    held->queue = queue;
    DL_APPEND(queue->held, held);
    self->count++;
}

void fw_barrier_ready(fw_barrier_t *self, fw_held_t *held)
{
    assert(held->queue && !held->ready);
    held->ready = true;
    if (held->queue->held == held)
        let_leave(self, held->queue);
}

size_t fw_barrier_count(const fw_barrier_t *self)
{
    return self->count;
}
