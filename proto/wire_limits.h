/* wire_limits.h - the bounds of every field on the wire.   SPDX-License-Identifier: MPL-2.0
 * Pure. A field without a bound of its own gets the strictest: no text, no list. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include <stdint.h>

enum { FW_WIRE_FIELD_ID_MAX = 15 }; /* a new field with a higher number: raise this */

typedef struct {
    uint64_t number_max; /* of a number; 0 = any */
    uint32_t size_max;   /* bytes of one text or bytes value (0 = empty); of a message: 0 = any */
    uint32_t count_max;  /* values of a repeated field */
} fw_field_limit_t;

typedef struct {
    const ProtobufCMessageDescriptor *descriptor;
    size_t size_max; /* bytes of the whole message where it is the outermost one */
    fw_field_limit_t fields[FW_WIRE_FIELD_ID_MAX + 1]; /* by field number */
} fw_message_limit_t;

/* Never NULL: a message without texts and lists has the empty limits. */
const fw_message_limit_t *fw_wire_limits(const ProtobufCMessageDescriptor *descriptor);
