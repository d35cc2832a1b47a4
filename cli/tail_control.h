/* tail_control.h - asks the broker where channels stand.   SPDX-License-Identifier: MPL-2.0
 * One DEALER on the control link, made anew when it leads to no broker. What it learns is a
 * courtesy: without an answer, nothing is told. */
#pragma once

#include <czmq.h>

#include "proto/codec.h"
#include "runtime/security.h"

typedef struct fw_tail_control fw_tail_control_t;
typedef void fw_tail_position_fn(void *context, const fw_channel_position_t *at);

/* channels (at most FW_POSITIONS_MAX) and security (NULL = no keys) are borrowed. 0, or -EINVAL for
 * a bad endpoint. */
int fw_tail_control_new(const char *endpoint, const fw_security_t *security,
                        const fw_text_t *channels, size_t count, fw_tail_control_t **ret_control)
    __attribute__((warn_unused_result));
void fw_tail_control_destroy(fw_tail_control_t **self_p);
/* NULL between two sockets; it may be another one after every service. */
zsock_t *fw_tail_control_socket(fw_tail_control_t *self);

/* Asks again, as soon as the broker has said Welcome. */
void fw_tail_control_ask(fw_tail_control_t *self);
/* Sends what is due and reads answers; on_position is called for each channel of an answer. */
void fw_tail_control_service(fw_tail_control_t *self, int64_t now_ms,
                             fw_tail_position_fn *on_position, void *context);
