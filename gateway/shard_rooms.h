/* shard_rooms.h - presence and events of clients in a shard.   SPDX-License-Identifier: MPL-2.0
 * For the files of the shard only. */
#pragma once

#include "gateway/dialogue_rooms.h"
#include "gateway/shard_internal.h"

typedef struct fw_shard_rooms fw_shard_rooms_t;

/* After the hub and the dialogue. */
void fw_shard_rooms_begin(fw_shard_t *self);
/* Another configuration is in force. */
void fw_shard_rooms_reload(fw_shard_t *self);
/* After the hub has gone. */
void fw_shard_rooms_end(fw_shard_t *self);
fw_rooms_t *fw_shard_rooms_of(const fw_shard_t *self);
/* Nobody waits for the acknowledgements of its events any more. */
void fw_shard_rooms_part(fw_shard_t *self, fw_session_t *session);
/* The end of an event that may be of a client. */
void fw_shard_rooms_published(fw_shard_t *self, uint64_t request_id, int error,
                              const fw_publish_ack_t *ack);
void fw_shard_rooms_tick(fw_shard_t *self);
