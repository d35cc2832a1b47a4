/* dialogue_stream.h - how a session of server-sent events begins.   SPDX-License-Identifier:
 * MPL-2.0 Pure. Such a client can say nothing later: all channels and the place to go on from are
 * in its request, and what is not allowed is refused as a whole. */
#pragma once

#include "gateway/dialogue.h"

/* The session has been admitted to the endpoint. Joins the endpoint's channels and those that are
 * named; FW_CLOSE_NONE, or why not: then nothing was joined. */
fw_close_t fw_dialogue_stream(const fw_dialogue_t *self, fw_session_t *session,
                              const fw_opening_t *opening) __attribute__((warn_unused_result));
