/* entry.c - see entry.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/entry.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/browser.h"
#include "runtime/alloc.h"

enum { ALLOCATION_OVERHEAD = 16 };

struct fw_entry {
    uint64_t offset;
    int64_t received_us;
    uint32_t frame_size;
    uint32_t binary_size; /* 0 = not made */
    uint16_t exclude_user_size;
    uint16_t exclude_origin_size;
    uint8_t head_size;
    uint8_t data;    /* fw_payload_kind_t */
    uint8_t bytes[]; /* the frame, the excluded user id, the excluded origin, the binary frame */
};

static size_t binary_place(const fw_entry_t *self)
{
    return (size_t)self->frame_size + self->exclude_user_size + self->exclude_origin_size;
}

fw_entry_t *fw_entry_new(uint64_t offset, fw_bytes_t body, const fw_exclude_t *exclude,
                         int64_t received_us)
{
    assert(body.size < UINT32_MAX / 2);
    assert(exclude->user_id.size <= FW_USER_ID_SIZE_MAX);
    assert(exclude->origin.size <= FW_ORIGIN_SIZE_MAX);
    size_t head_size = fw_frame_head_size(body.size);
    size_t frame_size = head_size + body.size;
    size_t size = frame_size + exclude->user_id.size + exclude->origin.size;
    fw_entry_t *self = fw_alloc(1, sizeof *self + size);
    self->offset = offset;
    self->received_us = received_us;
    self->frame_size = (uint32_t)frame_size;
    self->head_size = (uint8_t)head_size;
    self->data = FW_PAYLOAD_JSON;
    self->exclude_user_size = (uint16_t)exclude->user_id.size;
    self->exclude_origin_size = (uint16_t)exclude->origin.size;
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    (void)fw_frame_head(FW_FRAME_TEXT, body.size, head);
    memcpy(self->bytes, head, head_size);
    if (body.size > 0)
        memcpy(self->bytes + head_size, body.data, body.size);
    memcpy(self->bytes + frame_size, exclude->user_id.text, exclude->user_id.size);
    memcpy(self->bytes + frame_size + exclude->user_id.size, exclude->origin.text,
           exclude->origin.size);
    return self;
}

void fw_entry_destroy(fw_entry_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void fw_entry_set_data(fw_entry_t *self, fw_payload_kind_t kind)
{
    self->data = (uint8_t)kind;
}

uint64_t fw_entry_offset(const fw_entry_t *self)
{
    return self->offset;
}

int64_t fw_entry_received_us(const fw_entry_t *self)
{
    return self->received_us;
}

fw_bytes_t fw_entry_frame(const fw_entry_t *self)
{
    return (fw_bytes_t){self->bytes, self->frame_size};
}

fw_bytes_t fw_entry_body(const fw_entry_t *self)
{
    return (fw_bytes_t){self->bytes + self->head_size, self->frame_size - self->head_size};
}

fw_bytes_t fw_entry_binary_frame(const fw_entry_t *self)
{
    return (fw_bytes_t){self->bytes + binary_place(self), self->binary_size};
}

void fw_entry_make_binary(fw_entry_t **self_p)
{
    fw_entry_t *self = *self_p;
    if (self->binary_size > 0)
        return;
    fw_payload_kind_t data = (fw_payload_kind_t)self->data;
    size_t place = binary_place(self);
    size_t size = fw_browser_encode(fw_entry_body(self), data, NULL, 0);
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    size_t head_size = fw_frame_head(FW_FRAME_BINARY, size, head);
    self = fw_realloc(self, 1, sizeof *self + place + head_size + size);
    memcpy(self->bytes + place, head, head_size);
    (void)fw_browser_encode(fw_entry_body(self), data, self->bytes + place + head_size, size);
    self->binary_size = (uint32_t)(head_size + size);
    *self_p = self;
}

size_t fw_entry_bytes(const fw_entry_t *self)
{
    return sizeof *self + ALLOCATION_OVERHEAD + binary_place(self) + self->binary_size;
}

bool fw_entry_excludes_any(const fw_entry_t *self)
{
    return self->exclude_user_size > 0 || self->exclude_origin_size > 0;
}

static bool same(const uint8_t *bytes, size_t size, fw_text_t text)
{
    return size > 0 && size == text.size && memcmp(bytes, text.text, size) == 0;
}

bool fw_entry_excludes(const fw_entry_t *self, fw_text_t user_id, fw_text_t origin)
{
    const uint8_t *user = self->bytes + self->frame_size;
    return same(user, self->exclude_user_size, user_id) ||
           same(user + self->exclude_user_size, self->exclude_origin_size, origin);
}
