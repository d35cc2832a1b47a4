/* publishers.h - who publishes, and how many events each waits for.   SPDX-License-Identifier:
 * MPL-2.0 Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/socket.h"

typedef struct fw_publishers fw_publishers_t;
typedef void fw_publishers_each_fn(void *context, const fw_peer_t *publisher);

fw_publishers_t *fw_publishers_new(void) __attribute__((warn_unused_result));
void fw_publishers_destroy(fw_publishers_t **self_p);
/* It said hello. */
void fw_publishers_greet(fw_publishers_t *self, const fw_peer_t *peer, int64_t now_us);
/* Any message: adds the publisher, or notes that it is alive. True when it has said hello. */
bool fw_publishers_seen(fw_publishers_t *self, const fw_peer_t *peer, int64_t now_us);
void fw_publishers_gone(fw_publishers_t *self, const fw_peer_t *peer);
/* One event more is unacknowledged; returns how many are. The publisher must be known (assert). */
uint32_t fw_publishers_begin(fw_publishers_t *self, const fw_peer_t *peer);
/* One is acknowledged. False when the publisher has left: nobody to tell. */
bool fw_publishers_end(fw_publishers_t *self, const fw_peer_t *peer);
void fw_publishers_remove_silent(fw_publishers_t *self, int64_t silence_us_max, int64_t now_us);
void fw_publishers_each(const fw_publishers_t *self, fw_publishers_each_fn *each, void *context);
size_t fw_publishers_count(const fw_publishers_t *self);
