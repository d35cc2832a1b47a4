/* link_metrics.h - what is counted about the keys of connections.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include "runtime/keyring.h"
#include "runtime/metrics.h"

typedef struct {
    fw_counter_t *accepted[FW_DOMAINS];
    fw_counter_t *refused[FW_DOMAINS][FW_VERDICTS]; /* NULL for who is admitted */
    fw_counter_t *removed[FW_DOMAINS];              /* messages of keys that were removed */
    fw_counter_t *cut[FW_DOMAINS];
    fw_counter_t *malformed;
} fw_link_metrics_t;

/* The same ones at every call. A broker without keys has them too: they stay 0. */
fw_link_metrics_t fw_link_metrics_make(fw_metrics_t *metrics);
