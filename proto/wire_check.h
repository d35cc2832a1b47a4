/* wire_check.h - walks encoded bytes before anything is allocated for them.
 * SPDX-License-Identifier: MPL-2.0
 * Pure, no allocation; the bounds are those of wire_limits. After it returned 0 the message unpacks
 * into memory that is a small multiple of its size, every text is UTF-8 without a zero byte, no
 * field of one value stands there twice and no oneof is set twice. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/message.h"

/* 0; -EBADMSG (not such a message) or -EMSGSIZE (a limit is passed), with ret_refusal. */
int fw_wire_check(const ProtobufCMessageDescriptor *descriptor, fw_bytes_t data,
                  fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));

/* The first value of a field as it lies in data: the content of a text, bytes value or message
 * into ret_content, or a varint into ret_number. Stops at the first malformed byte. */
bool fw_wire_find(fw_bytes_t data, uint32_t field_id, fw_bytes_t *ret_content, uint64_t *ret_number)
    __attribute__((warn_unused_result));
