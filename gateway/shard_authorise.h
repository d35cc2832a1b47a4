/* shard_authorise.h - rooms that the backend decides about, in a shard.
 * SPDX-License-Identifier: MPL-2.0
 * While a session waits for the backend what it says is kept, in its order and within limits. */
#pragma once

#include "gateway/shard_internal.h"

typedef struct fw_shard_authorise fw_shard_authorise_t;

/* Nothing when gateway.authorise.url is empty. 0 or a negative errno. */
int fw_shard_authorise_begin(fw_shard_t *self) __attribute__((warn_unused_result));
/* Before the loop ends: its socket and its actors. */
void fw_shard_authorise_close(fw_shard_t *self);
void fw_shard_authorise_end(fw_shard_t *self);

/* Takes answers, puts questions; true when there may be more. */
bool fw_shard_authorise_turn(fw_shard_t *self) __attribute__((warn_unused_result));
void fw_shard_authorise_tick(fw_shard_t *self);

/* A message of a session that waits is kept: true. */
bool fw_shard_authorise_keeps(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text);
/* A message that has to wait; the session begins to. */
void fw_shard_authorise_park(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text);
/* The session ends. */
void fw_shard_authorise_part(fw_shard_t *self, fw_session_t *session);
