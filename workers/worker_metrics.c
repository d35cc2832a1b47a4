/* worker_metrics.c - what workers count.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/worker_metrics.h"

#include <stdio.h>

static const char *outcome_label(fw_purge_outcome_t outcome)
{
    switch (outcome) {
    case FW_OUTCOME_DONE:
        return "outcome=\"done\"";
    case FW_OUTCOME_FAILED:
        return "outcome=\"failed\"";
    case FW_OUTCOME_REFUSED:
        return "outcome=\"refused\"";
    case FW_OUTCOME_DUPLICATE:
        return "outcome=\"duplicate\"";
    case FW_OUTCOME_ORPHAN:
    case FW_OUTCOMES_COUNT:
        break;
    }
    return "outcome=\"orphan\"";
}

static const char *refused_label(fw_worker_refused_t reason)
{
    switch (reason) {
    case FW_REFUSED_GARBAGE:
        return "reason=\"garbage\"";
    case FW_REFUSED_UNEXPECTED:
        return "reason=\"unexpected\"";
    case FW_REFUSED_CAPACITY:
        return "reason=\"capacity\"";
    case FW_REFUSED_MEMORY:
        return "reason=\"memory\"";
    case FW_REFUSED_STOPPING:
        return "reason=\"stopping\"";
    case FW_REFUSED_SWEEPS:
        return "reason=\"sweeps\"";
    case FW_REFUSED_BY_BROKER:
        return "reason=\"by_broker\"";
    case FW_REFUSED_UNSENT:
    case FW_REFUSED_COUNT:
        break;
    }
    return "reason=\"unsent\"";
}

static void make_labelled(fw_worker_metrics_t *self, fw_metrics_t *metrics)
{
    for (int i = 0; i < FW_OUTCOMES_COUNT; i++) {
        self->jobs[i] = fw_metrics_counter(metrics, "freshwire_purge_jobs_total",
                                           "Purge jobs, by what became of them.",
                                           outcome_label((fw_purge_outcome_t)i));
    }
    for (int i = 0; i < FW_REFUSED_COUNT; i++) {
        self->refused[i] = fw_metrics_counter(
            metrics, "freshwire_worker_refused_total",
            "Messages and jobs that were not accepted on the link to the broker.",
            refused_label((fw_worker_refused_t)i));
    }
    for (int i = 0; i < FW_REDIS_ERRORS_COUNT; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof(labels), "kind=\"%s\"",
                       fw_redis_error_name((fw_redis_error_t)i));
        self->redis_errors[i] =
            fw_metrics_counter(metrics, "freshwire_redis_errors_total",
                               "Errors of Redis and of connections to it.", labels);
    }
}

static void make_sweeps(fw_worker_metrics_t *self, fw_metrics_t *metrics)
{
    static const char sweeps_help[] = "Sweeps over the keys, by how they ended.";
    self->sweep_pending =
        fw_metrics_gauge(metrics, "freshwire_sweep_pending",
                         "Patterns that wait for a sweep or are being swept.", "");
    self->sweeps_done =
        fw_metrics_counter(metrics, "freshwire_sweeps_total", sweeps_help, "outcome=\"done\"");
    self->sweeps_refused =
        fw_metrics_counter(metrics, "freshwire_sweeps_total", sweeps_help, "outcome=\"refused\"");
    self->sweep_scans = fw_metrics_counter(metrics, "freshwire_sweep_scans_total",
                                           "SCAN commands that sweeps sent.", "");
    self->sweep_keys_scanned = fw_metrics_counter(metrics, "freshwire_sweep_keys_scanned_total",
                                                  "Keys that sweeps looked at.", "");
    self->sweep_keys_matched =
        fw_metrics_counter(metrics, "freshwire_sweep_keys_matched_total",
                           "Keys that matched a pattern and were given to UNLINK.", "");
    self->sweep_keys_refused = fw_metrics_counter(metrics, "freshwire_sweep_keys_refused_total",
                                                  "Keys that Redis did not let sweeps remove.", "");
}

static void make_lineage(fw_worker_metrics_t *self, fw_metrics_t *metrics)
{
    static const char repairs_help[] =
        "Times that Redis may have lost purges, by what was done: purged again, or all flushed.";
    self->lineage_replayed = fw_metrics_counter(metrics, "freshwire_redis_repairs_total",
                                                repairs_help, "outcome=\"replayed\"");
    self->lineage_flushed = fw_metrics_counter(metrics, "freshwire_redis_repairs_total",
                                               repairs_help, "outcome=\"flushed\"");
    self->lineage_jobs =
        fw_metrics_counter(metrics, "freshwire_redis_repaired_jobs_total",
                           "Purges that were done again because Redis may have lost them.", "");
    self->log_entries = fw_metrics_gauge(metrics, "freshwire_purge_log_entries",
                                         "Purges remembered to be done again.", "");
    self->log_overflows =
        fw_metrics_counter(metrics, "freshwire_purge_log_overflows_total",
                           "Purges forgotten before their time: a failover flushes all.", "");
}

fw_worker_metrics_t fw_worker_metrics_make(fw_metrics_t *metrics)
{
    fw_worker_metrics_t self = {.purge_seconds = NULL};
    make_labelled(&self, metrics);
    make_sweeps(&self, metrics);
    make_lineage(&self, metrics);
    self.purge_seconds = fw_metrics_histogram(
        metrics, "freshwire_purge_seconds",
        "From receiving a job to Redis' last answer for it; jobs that are done.", "");
    self.keys = fw_metrics_counter(metrics, "freshwire_purge_keys_total",
                                   "Keys that jobs which are done asked to remove.", "");
    self.keys_removed = fw_metrics_counter(metrics, "freshwire_purge_keys_removed_total",
                                           "Keys that were there and have been removed.", "");
    self.tags = fw_metrics_counter(metrics, "freshwire_purge_tags_total",
                                   "Tags that jobs which are done asked to bump.", "");
    self.pipelines = fw_metrics_counter(metrics, "freshwire_purge_pipelines_total",
                                        "Pipelines that jobs were gathered into.", "");
    self.batch_jobs =
        fw_metrics_gauge(metrics, "freshwire_purge_batch_jobs", "Jobs in the last pipeline.", "");
    self.outstanding = fw_metrics_gauge(metrics, "freshwire_purge_outstanding",
                                        "Jobs received and not answered yet.", "");
    self.redis_connected = fw_metrics_gauge(metrics, "freshwire_redis_connected",
                                            "Purge connections to Redis that are up.", "");
    self.redis_restarts =
        fw_metrics_counter(metrics, "freshwire_redis_restarts_total",
                           "Times that Redis turned out to be another process than before.", "");
    return self;
}
