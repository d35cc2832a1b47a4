/* services.h - what publishers know.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "proto/codec.h"

enum { EVENTS_A_PUBLISHER_MAX = 300 };

typedef struct {
    uint32_t number;
    fw_ack_level_t level;
    size_t channels[2], channels_count;
    bool acknowledged;
    uint32_t sent; /* times */
    int64_t send_us;
} pending_t;

typedef struct {
    pending_t events[EVENTS_A_PUBLISHER_MAX];
    size_t count;
    int64_t next_us;
} publisher_t;

/* Fire and forget: event of sequence s is events[s - 1]. */
typedef struct {
    pending_t events[EVENTS_A_PUBLISHER_MAX];
    bool arrived[EVENTS_A_PUBLISHER_MAX]; /* some broker took it in */
    size_t count;
    size_t keeps;  /* so many of the last ones it can send again */
    size_t oldest; /* index of the first one kept; what no broker can have heard of is kept, too */
    uint64_t life; /* of the broker that it is connected to; 0 = connects again */
    uint64_t connection;
    int64_t next_us, mark_us, connected_us;
    int64_t link_us; /* the link keeps its order */
    bool unmarked;   /* it has sent something since the last mark */
    bool greets;     /* the first mark of the connection has not left */
} fire_t;
