/* gateway_messages.h - what gateways and the broker tell each other, decoded.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Every text and list is borrowed: from the codec that decoded it, or from the sender. */
#pragma once

#include "proto/link_messages.h"

enum {
    FW_POSITIONS_MAX = 512,     /* channels in one positions request */
    FW_REPLAY_EVENTS_MAX = 256, /* deliveries in one replay reply */
};

typedef struct {
    fw_text_t channel;
    fw_position_t position;
    uint64_t fresh; /* microseconds of Redis time, 0 = nothing was invalidated */
    bool unconfirmed;
    uint32_t spread_ms;
    fw_bytes_t publication; /* encoded; fw_codec_decode_publication reads it */
} fw_delivery_t;

typedef struct {
    fw_bytes_t incarnation;
    uint64_t number;
    uint64_t ts_us;
} fw_beacon_t;

typedef struct {
    uint64_t request_id;
    const fw_text_t *channels;
    size_t channels_count;
} fw_positions_request_t;

typedef struct {
    uint64_t request_id;
    const fw_channel_position_t *positions;
    size_t positions_count;
    bool unconfirmed; /* resets must bypass caches: an unclean start, not flushed yet */
} fw_positions_reply_t;

typedef struct {
    uint64_t request_id;
    fw_text_t channel;
    fw_position_t since;
    uint32_t limit;
} fw_replay_request_t;

typedef enum {
    FW_REPLAY_COMPLETE = 1,
    FW_REPLAY_MORE = 2,
    FW_REPLAY_RESET = 3,
} fw_replay_status_t;

typedef struct {
    uint64_t request_id;
    fw_text_t channel;
    fw_replay_status_t status;
    fw_position_t visible;
    const fw_delivery_t *deliveries;
    size_t deliveries_count;
    bool unconfirmed;
} fw_replay_reply_t;
