/* audit_metrics.c - what the auditor counts.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_metrics.h"

#include <inttypes.h>
#include <stdio.h>

static const double parts = 1e9;

void fw_audit_scale_text(int64_t scale_ms, char ret_text[FW_AUDIT_SCALE_TEXT_SIZE])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = scale_ms == 0 ? 1 : 0;
    while (scale_ms % units[i].ms != 0) {
        i++;
    }
    (void)snprintf(ret_text, FW_AUDIT_SCALE_TEXT_SIZE, "%" PRId64 "%s", scale_ms / units[i].ms,
                   units[i].unit);
}

static fw_audit_scale_metrics_t make_scale(fw_metrics_t *metrics, int64_t scale_ms)
{
    char text[FW_AUDIT_SCALE_TEXT_SIZE];
    char label[FW_AUDIT_SCALE_TEXT_SIZE + 16];
    fw_audit_scale_text(scale_ms, text);
    (void)snprintf(label, sizeof(label), "timescale=\"%s\"", text);
    fw_audit_scale_metrics_t self = {
        .checked =
            fw_metrics_counter(metrics, "freshwire_audit_checked_total",
                               "Sampled purges that were looked at again so long after.", label),
        .stale = fw_metrics_counter(metrics, "freshwire_audit_stale_total",
                                    "Of these, those that a reader could still be served.", label),
        .unjudged = fw_metrics_counter(
            metrics, "freshwire_audit_unjudged_total",
            "Checks without a result: Redis did not answer, or an entry kept changing.", label),
        .missed = fw_metrics_counter(metrics, "freshwire_audit_missed_total",
                                     "Checks that came too late for their timescale.", label),
        .consistency = fw_metrics_gauge(
            metrics, "freshwire_audit_consistency_ppb",
            "Share of checks that found nothing stale, in parts per thousand million.", label),
        .bound = fw_metrics_gauge(metrics, "freshwire_audit_consistency_bound_ppb",
                                  "What that share is at least, with 95 % confidence.", label),
    };
    fw_gauge_set(self.consistency, (int64_t)parts);
    return self;
}

fw_audit_metrics_t fw_audit_metrics_make(fw_metrics_t *metrics, const int64_t *scales_ms,
                                         size_t scales_count)
{
    static const char *const offers[] = {
        [FW_AUDIT_TAKEN] = "outcome=\"taken\"",
        [FW_AUDIT_EMPTY] = "outcome=\"nothing_to_judge\"",
        [FW_AUDIT_RATE] = "outcome=\"rate\"",
        [FW_AUDIT_FULL] = "outcome=\"full\"",
    };
    static const char *const compared[] = {
        [FW_COMPARED_SAME] = "result=\"same\"",
        [FW_COMPARED_DIFFERENT] = "result=\"different\"",
        [FW_COMPARED_FAILED] = "result=\"failed\"",
    };
    fw_audit_metrics_t self = {.scales_count = scales_count};
    for (size_t i = 0; i < scales_count; i++) {
        self.scales[i] = make_scale(metrics, scales_ms[i]);
    }
    for (size_t i = 0; i < FW_AUDIT_OFFERS_COUNT; i++) {
        self.offers[i] = fw_metrics_counter(
            metrics, "freshwire_audit_purges_total",
            "Purges that the auditor heard of, by whether it sampled them.", offers[i]);
    }
    for (size_t i = 0; i < FW_COMPARED_COUNT; i++) {
        self.compared[i] = fw_metrics_counter(
            metrics, "freshwire_audit_compared_total",
            "Findings that were compared with the service itself; same ones are not stale.",
            compared[i]);
    }
    self.healed = fw_metrics_counter(metrics, "freshwire_audit_heals_total",
                                     "Purges of what was found stale.", "outcome=\"done\"");
    self.heals_failed = fw_metrics_counter(metrics, "freshwire_audit_heals_total",
                                           "Purges of what was found stale.", "outcome=\"failed\"");
    self.entries =
        fw_metrics_counter(metrics, "freshwire_audit_entries_total",
                           "Cache entries that the auditor came across on its walk.", "");
    self.refused =
        fw_metrics_counter(metrics, "freshwire_audit_refused_total",
                           "Frames of the event link that the auditor could not read.", "");
    self.samples =
        fw_metrics_gauge(metrics, "freshwire_audit_samples", "Purges that are being followed.", "");
    self.bytes = fw_metrics_gauge(metrics, "freshwire_audit_sample_bytes",
                                  "Memory of the purges that are being followed.", "");
    return self;
}

static void catch_up(fw_counter_t *counter, uint64_t value)
{
    fw_counter_add(counter, value - fw_counter_value(counter));
}

void fw_audit_metrics_show(const fw_audit_metrics_t *self, const fw_audit_t *audit)
{
    for (size_t i = 0; i < self->scales_count; i++) {
        const fw_audit_scale_metrics_t *scale = &self->scales[i];
        fw_audit_tally_t tally = fw_audit_tally(audit, i);
        catch_up(scale->stale, tally.stale);
        catch_up(scale->checked, tally.checked);
        catch_up(scale->unjudged, tally.unjudged);
        catch_up(scale->missed, tally.missed);
        double share = fw_audit_consistency(tally.checked, tally.stale);
        double bound = fw_audit_consistency_bound(tally.checked, tally.stale);
        fw_gauge_set(scale->consistency, (int64_t)(parts * share));
        fw_gauge_set(scale->bound, (int64_t)(parts * bound));
    }
    fw_gauge_set(self->samples, (int64_t)fw_audit_samples(audit));
    fw_gauge_set(self->bytes, (int64_t)fw_audit_bytes(audit));
}
