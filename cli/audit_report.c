/* audit_report.c - see audit_report.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/audit_report.h"

#include <inttypes.h>

static const double percent = 100.0;

fw_audit_report_t fw_audit_report(const fw_audit_metrics_t *metrics, const int64_t *scales_ms)
{
    fw_audit_report_t self = {.lines_count = metrics->scales_count,
                              .sampled = fw_counter_value(metrics->offers[FW_AUDIT_TAKEN]),
                              .healed = fw_counter_value(metrics->healed),
                              .entries = fw_counter_value(metrics->entries)};
    for (size_t i = 0; i < FW_AUDIT_OFFERS_COUNT; i++)
        self.heard += fw_counter_value(metrics->offers[i]);
    for (size_t i = 0; i < metrics->scales_count; i++) {
        const fw_audit_scale_metrics_t *scale = &metrics->scales[i];
        self.lines[i] = (fw_audit_line_t){.scale_ms = scales_ms[i],
                                          .tally = {.checked = fw_counter_value(scale->checked),
                                                    .stale = fw_counter_value(scale->stale),
                                                    .unjudged = fw_counter_value(scale->unjudged),
                                                    .missed = fw_counter_value(scale->missed)}};
    }
    return self;
}

uint64_t fw_audit_report_finished(const fw_audit_report_t *self)
{
    const fw_audit_tally_t *last = &self->lines[self->lines_count - 1].tally;
    return last->checked + last->unjudged + last->missed;
}

uint64_t fw_audit_report_stale(const fw_audit_report_t *self)
{
    uint64_t stale = 0;
    for (size_t i = 0; i < self->lines_count; i++)
        stale += self->lines[i].tally.stale;
    return stale;
}

int fw_audit_report_table(const fw_audit_report_t *self, FILE *out)
{
    int lines = 2;
    (void)fprintf(out, "%-9s %10s %7s %9s %7s  %-12s %s\033[K\n", "after", "checked", "stale",
                  "unjudged", "missed", "consistent", "at least (95 %)");
    for (size_t i = 0; i < self->lines_count; i++, lines++) {
        const fw_audit_tally_t *tally = &self->lines[i].tally;
        char scale[FW_AUDIT_SCALE_TEXT_SIZE];
        fw_audit_scale_text(self->lines[i].scale_ms, scale);
        (void)fprintf(out, "%-9s %10" PRIu64 " %7" PRIu64 " %9" PRIu64 " %7" PRIu64, scale,
                      tally->checked, tally->stale, tally->unjudged, tally->missed);
        if (tally->checked > 0)
            (void)fprintf(out, "  %9.5f %%  %9.5f %%\033[K\n",
                          percent * fw_audit_consistency(tally->checked, tally->stale),
                          percent * fw_audit_consistency_bound(tally->checked, tally->stale));
        else
            (void)fprintf(out, "  %9s    %9s\033[K\n", "-", "-");
    }
    (void)fprintf(out,
                  "%" PRIu64 " purges heard of, %" PRIu64 " sampled, %" PRIu64
                  " entries come across, %" PRIu64 " purged again\033[K\n",
                  self->heard, self->sampled, self->entries, self->healed);
    return lines;
}

void fw_audit_report_line(const fw_audit_report_t *self, FILE *out)
{
    (void)fprintf(out, "sampled %" PRIu64, self->sampled);
    for (size_t i = 0; i < self->lines_count; i++) {
        const fw_audit_tally_t *tally = &self->lines[i].tally;
        char scale[FW_AUDIT_SCALE_TEXT_SIZE];
        fw_audit_scale_text(self->lines[i].scale_ms, scale);
        (void)fprintf(out, "; %s: %" PRIu64 " checked, %" PRIu64 " stale, at least %.5f %%", scale,
                      tally->checked, tally->stale,
                      percent * fw_audit_consistency_bound(tally->checked, tally->stale));
    }
    (void)fputc('\n', out);
}

void fw_audit_report_json(const fw_audit_report_t *self, FILE *out)
{
    (void)fprintf(out,
                  "{\"heard\":%" PRIu64 ",\"sampled\":%" PRIu64 ",\"entries\":%" PRIu64
                  ",\"healed\":%" PRIu64 ",\"stale\":%" PRIu64 ",\"timescales\":[",
                  self->heard, self->sampled, self->entries, self->healed,
                  fw_audit_report_stale(self));
    for (size_t i = 0; i < self->lines_count; i++) {
        const fw_audit_tally_t *tally = &self->lines[i].tally;
        (void)fprintf(out,
                      "%s{\"after_ms\":%" PRId64 ",\"checked\":%" PRIu64 ",\"stale\":%" PRIu64
                      ",\"unjudged\":%" PRIu64 ",\"missed\":%" PRIu64
                      ",\"consistency\":%.9f,\"at_least\":%.9f}",
                      i > 0 ? "," : "", self->lines[i].scale_ms, tally->checked, tally->stale,
                      tally->unjudged, tally->missed,
                      fw_audit_consistency(tally->checked, tally->stale),
                      fw_audit_consistency_bound(tally->checked, tally->stale));
    }
    (void)fputs("]}\n", out);
}
