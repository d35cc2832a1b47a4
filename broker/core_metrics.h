/* core_metrics.h - what the core counts.   SPDX-License-Identifier: MPL-2.0
 * Internal to broker/. */
#pragma once

#include "runtime/metrics.h"

typedef struct {
    fw_counter_t *published, *duplicates, *overload, *deliveries, *unconfirmed, *jobs_done,
        *jobs_impossible, *jobs_given_up, *answers_ignored, *flushes, *resets;
    fw_gauge_t *in_flight, *jobs, *workers, *publishers, *ids;
    fw_gauge_t *channels, *history_events, *history_bytes;
    fw_histogram_t *barrier;
} fw_core_metrics_t;

void fw_core_metrics_make(fw_core_metrics_t *self, fw_metrics_t *registry);
