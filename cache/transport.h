/* transport.h - what carries the commands of the machines to Redis.   SPDX-License-Identifier:
 * MPL-2.0 redis.h has one for a single server or the primary that Sentinels name, cluster.h one
 * for a Redis Cluster, which routes each command by the slot of its `route`. */
#pragma once

#include <stdint.h>

#include "cache/command.h"

typedef struct {
    void *context;
    /* Sends the commands of one round trip and waits for their replies, which live until the next
     * call. 0, or -errno when there are none; then *ret_reason (which may be NULL) says why. Only a
     * primary is asked: what a replica answers may be old. */
    int (*exchange)(void *context, const fw_cache_command_t *commands, size_t count,
                    fw_cache_reply_t *ret_replies, const char **ret_reason);
    void (*destroy)(void *context);
} fw_cache_transport_t;
