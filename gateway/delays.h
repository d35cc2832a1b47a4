/* delays.h - channels whose events may wait a moment, so that several share one write.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. A list of rules; the first whose pattern matches a channel's name says how long. */
#pragma once

#include "proto/bytes.h"
#include "runtime/config.h"

enum { FW_DELAY_MS_MAX = 1000 };

typedef struct fw_delays fw_delays_t;

/* rules are texts such as "room:* max_delay_ms=5"; they are copied. 0, or -EINVAL with ret_error.
 */
int fw_delays_new(const char *const *rules, size_t count, fw_delays_t **ret_delays,
                  fw_config_error_t *ret_error) __attribute__((warn_unused_result));
void fw_delays_destroy(fw_delays_t **self_p);

/* Milliseconds; 0 = not at all, which is what channels without a rule get. */
uint16_t fw_delays_find(const fw_delays_t *self, fw_text_t channel);
