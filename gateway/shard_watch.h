/* shard_watch.h - what clients send, seen before libwebsockets sees it.
 * SPDX-License-Identifier: MPL-2.0
 * Part of the shard's door; for nobody else. */
#pragma once

#include "gateway/shard_door.h"

/* For the thread of the shard. */
void fw_watch_open(void);
/* The handshake is over: frames follow. What came with it has been looked at. */
fw_close_t fw_watch_begin(fw_shard_t *self, fw_connection_t *connection)
    __attribute__((warn_unused_result));
/* Closes a session whose client broke a rule of the wire. */
void fw_watch_enforce(fw_shard_t *self, fw_connection_t *connection);
