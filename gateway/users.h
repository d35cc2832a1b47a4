/* users.h - sessions of a shard by their user.   SPDX-License-Identifier: MPL-2.0
 * Pure. Chains through the sessions themselves, so that one costs a pointer in the session and one
 * to two in the table; sessions without a user are not in it. */
#pragma once

#include "gateway/session.h"

typedef struct fw_users fw_users_t;

/* seed: nobody outside may know which users share a chain. */
fw_users_t *fw_users_new(uint64_t seed) __attribute__((warn_unused_result));
/* Every session must have been removed (assert). */
void fw_users_destroy(fw_users_t **self_p);

/* Nothing when it is in already, or has no user. A session's user never changes. */
void fw_users_add(fw_users_t *self, fw_session_t *session);
/* Nothing when it is not in. */
void fw_users_remove(fw_users_t *self, fw_session_t *session);

/* The sessions of a user, one after the other; NULL at the end. One may be removed when the next
 * has been asked for. */
fw_session_t *fw_users_first(const fw_users_t *self, fw_text_t user);
fw_session_t *fw_users_next(const fw_session_t *session);

size_t fw_users_count(const fw_users_t *self); /* sessions */
size_t fw_users_bytes(const fw_users_t *self);
