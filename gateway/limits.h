/* limits.h - how much one client may ask of a shard.   SPDX-License-Identifier: MPL-2.0
 * Pure. Each limit is named with what happens beyond it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    FW_CHANNELS_PER_SESSION_MAX = 10000, /* what may be configured */
    FW_MESSAGE_BYTES_MAX = 1024 * 1024,
    FW_RING_EVENTS_MAX = 1024 * 1024,
    FW_MESSAGES_PER_SECOND = 50, /* of one session; beyond: close 4290 */
    FW_MESSAGES_BURST = 200,
    FW_REFRESH_COST = 10,        /* messages that one fw.refresh counts for */
    FW_REQUEST_ID_SIZE_MAX = 64, /* beyond: fw.error */
    FW_EMPTY_FRAGMENTS_MAX = 16, /* of one message; beyond: close 4400 */
    FW_CONNECTIONS_SPARE =
        1024, /* beside the sessions: handshakes and HTTP; beyond: closed at once */
    FW_ACCEPTS_PER_SECOND_MAX = 60000, /* what may be configured */
    FW_POSTS_MAX = 1024,               /* events waiting for their acknowledgement; beyond: 503 */
    FW_POST_BYTES_MAX = 512 * 1024,    /* body of POST /v1/events; beyond: 413 */
    FW_HEADERS_BYTES_MAX = 16 * 1024,  /* of one HTTP request; beyond: closed */
};

/* A token bucket; all zero is full. */
typedef struct {
    uint32_t filled_ms; /* low bits of the clock */
    uint16_t used;
    bool started;
} fw_bucket_t;

/* Takes one token; false when there is none. */
bool fw_bucket_take(fw_bucket_t *self, int64_t now_ms, uint32_t per_second, uint32_t burst);
