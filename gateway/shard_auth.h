/* shard_auth.h - tokens in a shard: their keys, their time, and what is counted of them.
 * SPDX-License-Identifier: MPL-2.0
 * For the files of the shard. */
#pragma once

#include "gateway/shard_internal.h"

/* With room for one byte too many, and "Bearer ". */
enum { FW_TOKEN_BUFFER_SIZE = FW_TOKEN_SIZE_MAX + 16 };

/* Before the first session, and after the last one. 0, or a negative errno: then it has to be ended
 * all the same. */
int fw_shard_auth_begin(fw_shard_t *self) __attribute__((warn_unused_result));
/* While the loop still turns, and afterwards. */
void fw_shard_auth_stop(fw_shard_t *self);
void fw_shard_auth_end(fw_shard_t *self);
/* At every turn of the loop: takes keys that were fetched. */
void fw_shard_auth_turn(fw_shard_t *self);
/* Other rules, from a reload; they must live until the next ones, or the end. Sessions keep the
 * claims that they have. */
void fw_shard_auth_rules(fw_shard_t *self, const fw_token_rules_t *rules);

/* The token of a request's header, URL or cookie, if there is one: copied to buffer, which the
 * opening borrows from and the caller overwrites afterwards. */
void fw_shard_find_token(const fw_shard_t *self, struct lws *wsi, char buffer[FW_TOKEN_BUFFER_SIZE],
                         fw_opening_t *opening);

/* When the session's token is next of interest, on the loop's clock; INT64_MAX = never. */
int64_t fw_shard_token_due_ms(const fw_shard_t *self, const fw_session_t *session, int64_t now_ms);
/* At that time: tells the client, then, after the grace period, closes. False when it was not due.
 */
bool fw_shard_token_timer(fw_shard_t *self, fw_session_t *session, int64_t now_ms);

/* After a message: if it brought another token, the session's timer is set anew. */
void fw_shard_token_renewed(fw_shard_t *self, fw_session_t *session, int64_t now_ms);
/* Other claims of the same user for a live session; takes them. */
void fw_shard_set_claims(fw_shard_t *self, fw_session_t *session, fw_claims_t **claims_p);
