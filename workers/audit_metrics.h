/* audit_metrics.h - what the auditor counts.   SPDX-License-Identifier: MPL-2.0
 * Series of a timescale carry it as a label: timescale="10s". */
#pragma once

#include "runtime/metrics.h"
#include "workers/audit.h"
#include "workers/audit_compare.h"

typedef struct {
    fw_counter_t *checked, *stale, *unjudged, *missed;
    fw_gauge_t *consistency, *bound; /* parts in a thousand million */
} fw_audit_scale_metrics_t;

typedef struct {
    fw_audit_scale_metrics_t scales[FW_AUDIT_SCALES_MAX];
    size_t scales_count;
    fw_counter_t *offers[FW_AUDIT_OFFERS_COUNT];
    fw_counter_t *healed, *heals_failed;
    fw_counter_t *entries;
    fw_counter_t *compared[FW_COMPARED_COUNT];
    fw_counter_t *refused;
    fw_gauge_t *samples, *bytes;
} fw_audit_metrics_t;

/* Registers every series; asked for twice, they are the same ones. */
fw_audit_metrics_t fw_audit_metrics_make(fw_metrics_t *metrics, const int64_t *scales_ms,
                                         size_t scales_count);
/* Shows what the schedule has counted. */
void fw_audit_metrics_show(const fw_audit_metrics_t *self, const fw_audit_t *audit);

enum { FW_AUDIT_SCALE_TEXT_SIZE = 24 };
/* "0s", "10s", "5m" or "250ms". */
void fw_audit_scale_text(int64_t scale_ms, char ret_text[FW_AUDIT_SCALE_TEXT_SIZE]);
