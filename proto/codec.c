/* codec.c - what decoding and encoding share.   SPDX-License-Identifier: MPL-2.0 */
#include <stddef.h>
#include <stdlib.h>

#include "proto/codec_internal.h"

enum {
    BUFFER_SIZE_MIN = 4 * 1024,
    BUFFER_KEPT_SIZE_MAX = 256 * 1024, /* one large reply must not hold its memory for ever */
};

#define TYPED(upper, lower)                                                                        \
    {                                                                                              \
        FRESHWIRE__V1__PAYLOAD__KIND_##upper, #lower, &freshwire__v1__##lower##__descriptor        \
    }

static const fw_typed_payload_t typed_payloads[] = {
    TYPED(PROJECT_CREATED, project_created), TYPED(PROJECT_UPDATED, project_updated),
    TYPED(PROJECT_DELETED, project_deleted), TYPED(USER_UPDATED, user_updated),
    TYPED(TEAM_UPDATED, team_updated),       TYPED(NOTIFICATION_CREATED, notification_created),
};

enum { TYPED_COUNT = sizeof typed_payloads / sizeof *typed_payloads };

static const ProtobufCMessageDescriptor *const envelopes[] = {
    [FW_LINK_PUBLISHER_UP] = &freshwire__v1__publisher_up__descriptor,
    [FW_LINK_PUBLISHER_DOWN] = &freshwire__v1__publisher_down__descriptor,
    [FW_LINK_WORKER_UP] = &freshwire__v1__worker_up__descriptor,
    [FW_LINK_WORKER_DOWN] = &freshwire__v1__worker_down__descriptor,
    [FW_LINK_GATEWAY_UP] = &freshwire__v1__gateway_up__descriptor,
    [FW_LINK_GATEWAY_DOWN] = &freshwire__v1__gateway_down__descriptor,
};

#define SAME_LAYOUT(type, first)                                                                   \
    _Static_assert(sizeof(Freshwire__V1__##type) == sizeof(fw_envelope_t) &&                       \
                       offsetof(Freshwire__V1__##type, message_case) ==                            \
                           offsetof(fw_envelope_t, message_case) &&                                \
                       offsetof(Freshwire__V1__##type, first) == offsetof(fw_envelope_t, message), \
                   "protobuf-c lays out a oneof differently")
SAME_LAYOUT(PublisherUp, hello);
SAME_LAYOUT(PublisherDown, welcome);
SAME_LAYOUT(WorkerUp, hello);
SAME_LAYOUT(WorkerDown, welcome);
SAME_LAYOUT(GatewayUp, hello);
SAME_LAYOUT(GatewayDown, welcome);

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

const ProtobufCMessageDescriptor *fw_envelope_descriptor(fw_link_t link)
{
    return envelopes[link];
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
    bool wasteful = self->capacity > BUFFER_KEPT_SIZE_MAX && size <= BUFFER_KEPT_SIZE_MAX / 2;
    if (!self->buffer || size > self->capacity || wasteful) {
        free(self->buffer);
        self->capacity = size < BUFFER_SIZE_MIN ? BUFFER_SIZE_MIN : size + size / 2;
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

void *fw_codec_unpack(const ProtobufCMessageDescriptor *descriptor, fw_arena_t *arena,
                      fw_bytes_t data)
{
    ProtobufCAllocator allocator = {arena_allocate, arena_free, arena};
    return protobuf_c_message_unpack(descriptor, &allocator, data.size, data.data);
}
