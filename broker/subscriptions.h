/* subscriptions.h - how much one connection may subscribe to.   SPDX-License-Identifier: MPL-2.0
 * Pure. ZeroMQ keeps every topic that a peer names, without a limit. So the subscriptions of each
 * connection are counted over a minute; one that asks for too many, or for what is no topic, is to
 * be cut, and ZeroMQ forgets its topics with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"

enum {
    FW_SUBSCRIPTIONS_WINDOW_MS = 60000,
    FW_FENCE_TOPIC_SIZE_MAX = 64,
    FW_FOREIGN_TOPICS_MAX = 1000, /* of one connection, in that time */
};

typedef enum {
    FW_TOPIC_OURS,    /* of channels, or beacons */
    FW_TOPIC_FENCE,   /* to be echoed */
    FW_TOPIC_FOREIGN, /* leads nowhere */
} fw_topic_kind_t;

fw_topic_kind_t fw_topic_kind(fw_bytes_t topic);

typedef struct fw_subscriptions fw_subscriptions_t;

fw_subscriptions_t *fw_subscriptions_new(uint32_t topics_max) __attribute__((warn_unused_result));
void fw_subscriptions_destroy(fw_subscriptions_t **self_p);

/* One more, by the connection of a descriptor. False when it is one too many; it then begins anew,
 * because the descriptor will soon be another connection's. */
bool fw_subscriptions_add(fw_subscriptions_t *self, int fd, fw_topic_kind_t kind, int64_t now_ms);
