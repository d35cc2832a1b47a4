/* session_line.h - a session as the admin API shows it.   SPDX-License-Identifier: MPL-2.0
 * Pure. */
#pragma once

#include "gateway/session.h"

enum { FW_SESSION_LINE_CHANNELS_MAX = 16 }; /* that are named; all are counted */

/* Writes the line of a session, as desk.h says, ending with a line feed and a 0. Returns its size,
 * 0 when it does not fit. */
size_t fw_session_line(const fw_session_t *session, unsigned shard, char *buffer, size_t size)
    __attribute__((warn_unused_result));

/* The sessions with the smallest ids among those that are offered, and greater than after. */
typedef struct fw_session_choice fw_session_choice_t;

fw_session_choice_t *fw_session_choice_new(uint64_t after, uint32_t limit)
    __attribute__((warn_unused_result));
void fw_session_choice_destroy(fw_session_choice_t **self_p);
void fw_session_choice_offer(fw_session_choice_t *self, const fw_session_t *session);
/* In the order of their ids; nothing may be offered any more. */
const fw_session_t *const *fw_session_choice_take(fw_session_choice_t *self, uint32_t *ret_count);
