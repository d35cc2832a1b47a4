/* audit_report.h - what the auditor has found so far, as text.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include <stdio.h>

#include "workers/audit_metrics.h"

/* One timescale. */
typedef struct {
    int64_t scale_ms;
    fw_audit_tally_t tally;
} fw_audit_line_t;

typedef struct {
    fw_audit_line_t lines[FW_AUDIT_SCALES_MAX];
    size_t lines_count;
    uint64_t heard, sampled; /* purges */
    uint64_t healed;
    uint64_t entries; /* that were come across */
} fw_audit_report_t;

fw_audit_report_t fw_audit_report(const fw_audit_metrics_t *metrics, const int64_t *scales_ms);
/* Samples that have passed the last timescale. */
uint64_t fw_audit_report_finished(const fw_audit_report_t *self);
uint64_t fw_audit_report_stale(const fw_audit_report_t *self);

/* A table of a line for each timescale and two more; returns how many lines it has. */
int fw_audit_report_table(const fw_audit_report_t *self, FILE *out);
/* One line. */
void fw_audit_report_line(const fw_audit_report_t *self, FILE *out);
/* One line, a JSON object. */
void fw_audit_report_json(const fw_audit_report_t *self, FILE *out);
