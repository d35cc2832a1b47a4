/* sse.h - messages as server-sent events.   SPDX-License-Identifier: MPL-2.0
 * Pure. One block a message: its type as the event, its JSON object as the data. The id says where
 * the session stands in all of its channels, so that whoever sends it back goes on from there. It
 * is opaque to clients. */
#pragma once

#include "gateway/session.h"

enum {
    FW_SSE_CHANNELS_MAX = 32, /* of one stream; beyond: refused */
    FW_SSE_ID_SIZE_MAX = 800, /* for as many channels */
    FW_SSE_HEAD_SIZE_MAX = 1024,
};

/* Writes a message as a block: named: with its type as the name of the event. Returns its size;
 * when it is larger than size nothing useful was written. */
size_t fw_sse_block(fw_bytes_t json, bool named, uint8_t *buffer, size_t size);

/* Writes the line "id: …\n" of where the session stands; returns its size. */
size_t fw_sse_id_line(const fw_session_t *session,
                      char ret_line[FW_SSE_ID_SIZE_MAX + sizeof "id: \n"]);

/* Reads an id, as it came back, for these channels in this order. 0, or -EINVAL when it is not one
 * of theirs. */
int fw_sse_id_parse(fw_text_t id, const fw_text_t *channels, size_t count,
                    fw_position_t *ret_positions) __attribute__((warn_unused_result));
