/* wire_writer.h - writes protobuf by hand.   SPDX-License-Identifier: MPL-2.0
 * For tests that need what no encoder of ours would write. Overflow of the buffer asserts. */
#pragma once

#include <assert.h>
#include <stdlib.h>

#include "proto/bytes.h"

enum { FW_WIRE_VARINT = 0, FW_WIRE_64BIT = 1, FW_WIRE_TEXT = 2, FW_WIRE_32BIT = 5 };

/* A literal with the zero bytes it holds. */
#define FW_WIRE_BYTES(literal) ((fw_bytes_t){(const uint8_t *)(literal), sizeof(literal) - 1})

typedef struct {
    uint8_t *bytes;
    size_t size, capacity;
} fw_wire_t;

static inline fw_wire_t fw_wire_new(size_t capacity)
{
    fw_wire_t wire = {malloc(capacity), 0, capacity};
    assert(wire.bytes);
    return wire;
}

static inline void fw_wire_clear(fw_wire_t *wire)
{
    free(wire->bytes);
    *wire = (fw_wire_t){0};
}

static inline fw_bytes_t fw_wire_view(const fw_wire_t *wire)
{
    return (fw_bytes_t){wire->bytes, wire->size};
}

static inline void fw_wire_raw(fw_wire_t *wire, const void *bytes, size_t size)
{
    assert(wire->size + size <= wire->capacity);
    if (size > 0)
        memcpy(wire->bytes + wire->size, bytes, size);
    wire->size += size;
}

static inline void fw_wire_varint(fw_wire_t *wire, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        fw_wire_raw(wire, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void fw_wire_tag(fw_wire_t *wire, uint32_t field_id, unsigned wire_type)
{
    fw_wire_varint(wire, (uint64_t)field_id << 3 | wire_type);
}

static inline void fw_wire_number(fw_wire_t *wire, uint32_t field_id, uint64_t number)
{
    fw_wire_tag(wire, field_id, FW_WIRE_VARINT);
    fw_wire_varint(wire, number);
}

static inline void fw_wire_bytes(fw_wire_t *wire, uint32_t field_id, fw_bytes_t content)
{
    fw_wire_tag(wire, field_id, FW_WIRE_TEXT);
    fw_wire_varint(wire, content.size);
    fw_wire_raw(wire, content.data, content.size);
}

static inline void fw_wire_text(fw_wire_t *wire, uint32_t field_id, const char *text)
{
    fw_wire_bytes(wire, field_id, (fw_bytes_t){(const uint8_t *)text, strlen(text)});
}
