/* shard_sessions.h - what others ask of the sessions of a shard.   SPDX-License-Identifier: MPL-2.0
 * Commands come from the broker, whoever gave them; the desk of this process wants lists, and gives
 * commands to be passed on. */
#pragma once

#include "gateway/shard_internal.h"
#include "gateway/users.h"

typedef struct fw_shard_sessions fw_shard_sessions_t;

/* 0 or a negative errno. */
int fw_shard_sessions_begin(fw_shard_t *self) __attribute__((warn_unused_result));
/* Before the loop ends: the desk's socket. */
void fw_shard_sessions_close(fw_shard_t *self);
void fw_shard_sessions_end(fw_shard_t *self);

/* What the uplink needs to know. */
fw_uplink_commands_t fw_shard_sessions_commands(fw_shard_t *self);
/* Takes what the desk has sent; true when there may be more. */
bool fw_shard_sessions_turn(fw_shard_t *self) __attribute__((warn_unused_result));

/* The user of a session is known; nothing when it has none. */
void fw_shard_sessions_known(fw_shard_t *self, fw_session_t *session);
/* The first session of a user; fw_users_next gives the others. */
fw_session_t *fw_shard_sessions_of(const fw_shard_t *self, fw_text_t user);
/* The session ends. */
void fw_shard_sessions_part(fw_shard_t *self, fw_session_t *session);
