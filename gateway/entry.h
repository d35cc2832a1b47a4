/* entry.h - one event of one channel, framed once for every session of an encoding.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Owned by the ring or the list that holds it. One allocation. The JSON object is what all
 * other forms are made of: that of protobuf is added when the first session reads it. */
#pragma once

#include "gateway/frame.h"
#include "proto/codec.h"

typedef struct fw_entry fw_entry_t;

/* Copies the body (one JSON object) behind the head of a text frame. received_us: when the uplink
 * got it. The caller owns the result. */
fw_entry_t *fw_entry_new(uint64_t offset, fw_bytes_t body, const fw_exclude_t *exclude,
                         int64_t received_us) __attribute__((warn_unused_result));
void fw_entry_destroy(fw_entry_t **self_p);
/* What the event's data was when it was published; FW_PAYLOAD_JSON unless said. */
void fw_entry_set_data(fw_entry_t *self, fw_payload_kind_t kind);

uint64_t fw_entry_offset(const fw_entry_t *self);
int64_t fw_entry_received_us(const fw_entry_t *self);
/* The whole text frame, and the object in it; both live as long as the entry. */
fw_bytes_t fw_entry_frame(const fw_entry_t *self);
fw_bytes_t fw_entry_body(const fw_entry_t *self);
/* The whole binary frame; empty before fw_entry_make_binary. */
fw_bytes_t fw_entry_binary_frame(const fw_entry_t *self);
/* Adds the binary frame, unless it is there. The entry may move. */
void fw_entry_make_binary(fw_entry_t **self_p);
/* Bytes of memory that it takes. */
size_t fw_entry_bytes(const fw_entry_t *self);

/* Some session must not get it. */
bool fw_entry_excludes_any(const fw_entry_t *self);
/* A session with this user id and origin ("" when it has none) must not get it. */
bool fw_entry_excludes(const fw_entry_t *self, fw_text_t user_id, fw_text_t origin);
