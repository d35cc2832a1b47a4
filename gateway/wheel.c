/* wheel.c - see wheel.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/wheel.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

struct fw_wheel {
    fw_wheel_node_t slots[FW_WHEEL_SLOTS]; /* heads of circular lists */
    int64_t turned;                        /* the last tick that was looked at */
};

static int64_t tick_of(int64_t ms)
{
    return ms / FW_WHEEL_TICK_MS;
}

static void make_empty(fw_wheel_node_t *head)
{
    head->next = head;
    head->previous = head;
}

static void insert(fw_wheel_node_t *head, fw_wheel_node_t *node)
{
    node->next = head;
    node->previous = head->previous;
    head->previous->next = node;
    head->previous = node;
}

fw_wheel_t *fw_wheel_new(int64_t now_ms)
{
    fw_wheel_t *self = fw_alloc(1, sizeof *self);
    for (size_t i = 0; i < FW_WHEEL_SLOTS; i++)
        make_empty(&self->slots[i]);
    self->turned = tick_of(now_ms);
    return self;
}

void fw_wheel_destroy(fw_wheel_t **self_p)
{
    fw_wheel_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < FW_WHEEL_SLOTS; i++)
        while (self->slots[i].next != &self->slots[i])
            fw_wheel_stop(self->slots[i].next);
    free(self);
    *self_p = NULL;
}

void fw_wheel_set(fw_wheel_t *self, fw_wheel_node_t *node, int64_t deadline_ms)
{
    assert(deadline_ms >= 0);
    fw_wheel_stop(node);
    node->deadline_ms = deadline_ms;
    /* The tick after the deadline's own: all of it has passed then. What is late goes to the next
     * one. */
    int64_t tick = tick_of(deadline_ms) + 1;
    if (tick <= self->turned)
        tick = self->turned + 1;
    insert(&self->slots[tick % FW_WHEEL_SLOTS], node);
}

void fw_wheel_stop(fw_wheel_node_t *node)
{
    if (!node->next)
        return;
    node->next->previous = node->previous;
    node->previous->next = node->next;
    node->next = NULL;
    node->previous = NULL;
}

static void turn_slot(fw_wheel_node_t *slot, int64_t now_ms, fw_wheel_fired_fn *fired,
                      void *context)
{
    /* Moved aside first: fired may set timers into this very slot. */
    fw_wheel_node_t due;
    make_empty(&due);
    while (slot->next != slot) {
        fw_wheel_node_t *node = slot->next;
        fw_wheel_stop(node);
        insert(&due, node);
    }
    while (due.next != &due) {
        fw_wheel_node_t *node = due.next;
        fw_wheel_stop(node);
        if (node->deadline_ms <= now_ms)
            fired(context, node);
        else
            insert(slot, node); /* of a later round */
    }
}

void fw_wheel_turn(fw_wheel_t *self, int64_t now_ms, fw_wheel_fired_fn *fired, void *context)
{
    int64_t tick = tick_of(now_ms);
    /* After a long stall every slot is looked at once. */
    if (tick - self->turned > FW_WHEEL_SLOTS)
        self->turned = tick - FW_WHEEL_SLOTS;
    while (self->turned < tick) {
        self->turned++;
        turn_slot(&self->slots[self->turned % FW_WHEEL_SLOTS], now_ms, fired, context);
    }
}
