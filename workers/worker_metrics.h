/* worker_metrics.h - what workers count.   SPDX-License-Identifier: MPL-2.0
 * The series are shared by all purgers of a process. */
#pragma once

#include "runtime/metrics.h"
#include "workers/redis_error.h"

typedef enum {
    FW_OUTCOME_DONE,
    FW_OUTCOME_FAILED,    /* may succeed later or elsewhere */
    FW_OUTCOME_REFUSED,   /* part of it can never happen */
    FW_OUTCOME_DUPLICATE, /* asked for again while it ran: one more answer, no second purge */
    FW_OUTCOME_ORPHAN,    /* the broker that asked is gone */
    FW_OUTCOMES_COUNT
} fw_purge_outcome_t;

/* What was not accepted from the broker, or by it. */
typedef enum {
    FW_REFUSED_GARBAGE,    /* not a message of this link */
    FW_REFUSED_UNEXPECTED, /* a message that makes no sense now */
    FW_REFUSED_CAPACITY,   /* a job above the capacity that was announced */
    FW_REFUSED_MEMORY,     /* a job above the memory for waiting jobs */
    FW_REFUSED_STOPPING,   /* a job that came while the worker leaves */
    FW_REFUSED_SWEEPS,     /* too many patterns wait */
    FW_REFUSED_BY_BROKER,  /* a message of ours */
    FW_REFUSED_UNSENT,     /* an answer for which there was no connection */
    FW_REFUSED_COUNT
} fw_worker_refused_t;

typedef struct {
    fw_counter_t *jobs[FW_OUTCOMES_COUNT];
    fw_counter_t *refused[FW_REFUSED_COUNT];
    fw_counter_t *redis_errors[FW_REDIS_ERRORS_COUNT];
    fw_histogram_t *purge_seconds;
    fw_counter_t *keys, *keys_removed, *tags, *pipelines;
    fw_gauge_t *batch_jobs;
    fw_gauge_t *outstanding;
    fw_gauge_t *redis_connected;
    fw_counter_t *redis_restarts;
    fw_counter_t *lineage_replayed, *lineage_flushed, *lineage_jobs;
    fw_gauge_t *log_entries;
    fw_counter_t *log_overflows;
    fw_gauge_t *sweep_pending;
    fw_counter_t *sweeps_done, *sweeps_refused, *sweep_scans;
    fw_counter_t *sweep_keys_scanned, *sweep_keys_matched, *sweep_keys_refused;
} fw_worker_metrics_t;

/* Registers every series. */
fw_worker_metrics_t fw_worker_metrics_make(fw_metrics_t *metrics);
