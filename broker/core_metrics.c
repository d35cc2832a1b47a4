/* core_metrics.c - see core_metrics.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/core_metrics.h"

void fw_core_metrics_make(fw_core_metrics_t *self, fw_metrics_t *m)
{
    const char *events = "Events that publishers sent, by outcome.";
    const char *jobs = "Purge jobs that ended, by outcome.";
    self->published =
        fw_metrics_counter(m, "freshwire_broker_events_total", events, "outcome=\"accepted\"");
    self->duplicates =
        fw_metrics_counter(m, "freshwire_broker_events_total", events, "outcome=\"duplicate\"");
    self->overload =
        fw_metrics_counter(m, "freshwire_broker_events_total", events, "outcome=\"overload\"");
    self->deliveries = fw_metrics_counter(m, "freshwire_broker_deliveries_total",
                                          "Events released, once per channel.", "");
    self->unconfirmed = fw_metrics_counter(m, "freshwire_broker_unconfirmed_total",
                                           "Events released before their purge was confirmed.", "");
    self->jobs_done =
        fw_metrics_counter(m, "freshwire_broker_jobs_total", jobs, "outcome=\"done\"");
    self->jobs_impossible =
        fw_metrics_counter(m, "freshwire_broker_jobs_total", jobs, "outcome=\"impossible\"");
    self->jobs_given_up =
        fw_metrics_counter(m, "freshwire_broker_jobs_total", jobs, "outcome=\"given_up\"");
    self->answers_ignored = fw_metrics_counter(m, "freshwire_broker_job_answers_ignored_total",
                                               "Late, repeated or foreign answers of workers.", "");
    self->flushes = fw_metrics_counter(
        m, "freshwire_broker_cache_flushes_total",
        "Times that the whole cache had to be flushed, because purges were lost.", "");
    self->resets =
        fw_metrics_counter(m, "freshwire_broker_resets_total",
                           "Times that channels were reset, because events were lost.", "");
    self->in_flight = fw_metrics_gauge(m, "freshwire_broker_events_in_flight",
                                       "Events accepted and not yet released everywhere.", "");
    self->jobs =
        fw_metrics_gauge(m, "freshwire_broker_jobs_open", "Purge jobs that are not done.", "");
    self->workers =
        fw_metrics_gauge(m, "freshwire_broker_workers", "Purge actors that are connected.", "");
    self->publishers =
        fw_metrics_gauge(m, "freshwire_broker_publishers", "Publishers that are connected.", "");
    self->ids = fw_metrics_gauge(m, "freshwire_broker_ids_remembered",
                                 "Event ids kept to recognise a retry.", "");
    self->channels = fw_metrics_gauge(m, "freshwire_broker_channels", "Channels with history.", "");
    self->history_events =
        fw_metrics_gauge(m, "freshwire_broker_history_events", "Events kept in history.", "");
    self->history_bytes =
        fw_metrics_gauge(m, "freshwire_broker_history_bytes", "Bytes kept in history.", "");
    self->barrier = fw_metrics_histogram(m, "freshwire_barrier_seconds",
                                         "From accepting an event to its last release.", "");
}
