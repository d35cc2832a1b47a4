/* workers.h - actors that purge Redis for the broker.   SPDX-License-Identifier: MPL-2.0
 * k equal actors, each with a job link to the broker and its own Redis connections; share nothing.
 */
#pragma once

#include <stdint.h>

#include "runtime/health.h"
#include "runtime/metrics.h"
#include "runtime/security.h"

enum { FW_WORKERS_ACTORS_MAX = 8 };

typedef struct {
    const char *jobs_endpoint; /* of the broker, tcp://host:7003 or inproc://… */
    const char *redis_url;     /* of one or more, separated by spaces: see workers/redis_url.h */
    const char *name_space;    /* prefix of tag stamps: "<name_space>:t:<tag>" */
    uint32_t actors;
    uint32_t capacity;             /* jobs outstanding per actor */
    int64_t stamp_ttl_ms;          /* at least twice the longest entry TTL */
    int64_t redis_timeout_ms;      /* connect, and one command */
    uint32_t sweep_duty_percent;   /* share of time that a pattern sweep may keep Redis busy */
    uint32_t sweep_count;          /* SCAN COUNT */
    uint32_t sweep_prefix_min;     /* characters that a pattern must begin with; 0 allows any */
    int64_t delay_ms;              /* test aid: answer each job so much later; 0 in production */
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
} fw_workers_config_t;

typedef struct fw_workers fw_workers_t;

fw_workers_config_t fw_workers_defaults(void);

/* Starts the actors; they connect in the background. Ownership as in broker.h. 0 or a negative
 * errno. */
int fw_workers_start(const fw_workers_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_workers_t **ret_workers) __attribute__((warn_unused_result));
/* Says goodbye to the broker, finishes what Redis was asked, joins. NULL-safe. */
void fw_workers_stop(fw_workers_t **self_p);
