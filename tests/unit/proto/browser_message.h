/* browser_message.h - what a ServerMessage says, for tests that must not see protobuf-c.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "proto/event.h"
#include "proto/position.h"

/* Texts are "" and numbers 0 where the message has none. */
typedef struct {
    char type[80]; /* "fw.reset", or that of an event */
    const char *channel, *reason, *id, *origin, *user_id;
    bool placed;
    fw_position_t position;
    uint64_t fresh;
    int64_t ts;
    bool unconfirmed;
    uint32_t spread_ms;
    fw_payload_kind_t data_kind;
    fw_bytes_t data;  /* JSON text or bytes */
    size_t standings; /* of a welcome */
} browser_message_t;

/* Calls told for a message, or for each one of a batch. False when the bytes are none. */
bool browser_message_read(fw_bytes_t bytes,
                          void (*told)(void *context, const browser_message_t *message),
                          void *context);
