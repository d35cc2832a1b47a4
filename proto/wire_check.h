/* wire_check.h - walks encoded bytes before anything is allocated for them.
 * SPDX-License-Identifier: MPL-2.0 Pure, no allocation. Knows every field's limit. After it
 * returned 0 the message unpacks into memory that is a small multiple of its size, every text is
 * UTF-8 without 0, and no field of one value stands there twice. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/codec.h"

/* 0; -EBADMSG (not such a message) or -EMSGSIZE (a limit is passed), with ret_refusal. */
int fw_wire_check(const ProtobufCMessageDescriptor *descriptor, fw_bytes_t data,
                  fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
