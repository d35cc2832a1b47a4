/* channel.c - see channel.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/channel.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

_Static_assert(FW_CHANNEL_SIZE_MAX <= UINT8_MAX, "name_size is a byte");

fw_channel_t *fw_channel_new(fw_text_t name, uint64_t serial)
{
    assert(name.size <= FW_CHANNEL_SIZE_MAX);
    fw_channel_t *self = fw_alloc(1, sizeof *self + name.size + 1);
    fw_sync_init(&self->sync);
    self->serial = serial;
    self->name_size = (uint8_t)name.size;
    memcpy(self->name, name.text, name.size);
    return self;
}

void fw_channel_destroy(fw_channel_t **self_p)
{
    fw_channel_t *self = *self_p;
    if (!self)
        return;
    assert(self->subscribers_count == 0);
    assert(!self->notes);
    fw_sync_clear(&self->sync);
    free(self->subscribers);
    free(self);
    *self_p = NULL;
}

fw_text_t fw_channel_name(const fw_channel_t *self)
{
    return (fw_text_t){self->name, self->name_size};
}

fw_position_t fw_channel_head(const fw_channel_t *self)
{
    return (fw_position_t){self->sync.epoch, fw_ring_head(&self->sync.ring)};
}

uint32_t fw_channel_join(fw_channel_t *self, fw_session_t *session, uint32_t index)
{
    if (self->subscribers_count == self->subscribers_capacity) {
        self->subscribers_capacity =
            self->subscribers_capacity ? self->subscribers_capacity * 2 : 1;
        self->subscribers =
            fw_realloc(self->subscribers, self->subscribers_capacity, sizeof *self->subscribers);
    }
    self->subscribers[self->subscribers_count] = (fw_subscriber_t){session, index, 0};
    return self->subscribers_count++;
}

fw_subscriber_t fw_channel_leave(fw_channel_t *self, uint32_t place)
{
    assert(place < self->subscribers_count);
    uint32_t last = --self->subscribers_count;
    fw_subscriber_t moved = {NULL, 0, 0};
    if (place != last) {
        moved = self->subscribers[last];
        self->subscribers[place] = moved;
    }
    if (last == 0) {
        free(self->subscribers);
        self->subscribers = NULL;
        self->subscribers_capacity = 0;
    }
    return moved;
}
