/* permissions.h - what the holder of a key may publish.   SPDX-License-Identifier: MPL-2.0 Pure. */
#pragma once

#include "proto/event.h"
#include "runtime/keyring.h"

/* May this holder publish this event? NULL is somebody in this process, who may. 0, or -EACCES with
 * ret_refusal naming the channel, the type, or what it would purge. */
int fw_permissions_check(const fw_holder_t *holder, const fw_event_t *event,
                         fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));

/* Patterns of every channel that what a holder lost may have been for; one that matches all when it
 * is NULL, or not limited. They live as long as the holder. */
const fw_text_t *fw_permissions_channels(const fw_holder_t *holder, size_t *ret_count);
