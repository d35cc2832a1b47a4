/* codec.c - what decoding and encoding share.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "proto/codec_internal.h"

#define TYPED(upper, lower, number)                                                                \
    {                                                                                              \
        FRESHWIRE__V1__PAYLOAD__KIND_##upper, number, #lower,                                      \
            &freshwire__v1__##lower##__descriptor                                                  \
    }

static const fw_typed_payload_t typed_payloads[] = {
    TYPED(PROJECT_CREATED, project_created, 10),
    TYPED(PROJECT_UPDATED, project_updated, 11),
    TYPED(PROJECT_DELETED, project_deleted, 12),
    TYPED(USER_UPDATED, user_updated, 13),
    TYPED(NOTIFICATION_CREATED, notification_created, 14),
    TYPED(TEAM_UPDATED, team_updated, 15),
};

enum { TYPED_COUNT = sizeof typed_payloads / sizeof *typed_payloads };

const fw_typed_payload_t *fw_typed_payload_of_kind(Freshwire__V1__Payload__KindCase kind)
{
    for (int i = 0; i < TYPED_COUNT; i++)
        if (typed_payloads[i].kind == kind)
            return &typed_payloads[i];
    return NULL;
}

const fw_typed_payload_t *fw_typed_payload_of_type(fw_text_t type)
{
    for (int i = 0; i < TYPED_COUNT; i++)
        if (fw_text_equal(fw_text(typed_payloads[i].type), type))
            return &typed_payloads[i];
    return NULL;
}

fw_codec_t *fw_codec_new(void)
{
    fw_codec_t *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->decoded = fw_arena_new();
    self->publication = fw_arena_new();
    self->encoding = fw_arena_new();
    return self;
}

void fw_codec_destroy(fw_codec_t **self_p)
{
    fw_codec_t *self = *self_p;
    if (!self)
        return;
    fw_arena_destroy(&self->decoded);
    fw_arena_destroy(&self->publication);
    fw_arena_destroy(&self->encoding);
    free(self->buffer);
    free(self);
    *self_p = NULL;
}

uint8_t *fw_codec_reserve(fw_codec_t *self, size_t size)
{
    if (size > self->capacity) {
        free(self->buffer);
        self->capacity = size < 1024 ? 1024 : size + size / 2;
        self->buffer = malloc(self->capacity);
        if (!self->buffer)
            abort();
    }
    return self->buffer;
}

static void *arena_allocate(void *arena, size_t size)
{
    return fw_arena_take(arena, size);
}

static void arena_free(void *arena, void *pointer)
{
    /* The arena frees everything at its next reset. */
    (void)arena;
    (void)pointer;
}

ProtobufCAllocator fw_arena_allocator(fw_arena_t *arena)
{
    return (ProtobufCAllocator){arena_allocate, arena_free, arena};
}

void *fw_codec_unpack(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
                      fw_bytes_t data)
{
    ProtobufCAllocator allocator = fw_arena_allocator(arena);
    return protobuf_c_message_unpack(descriptor, &allocator, data.size, data.data);
}
