/* auditor.h - looks again at what was purged: is anybody served it?   SPDX-License-Identifier:
 * MPL-2.0 An actor. The broker tells it of purges on the event link (docs/decisions/0017); it
 * follows a sample of them and reads Redis as a reader would. What it finds is logged, counted, and
 * purged again. Controls: STOP; DRAIN and RELOAD are ignored. */
#pragma once

#include "runtime/health.h"
#include "runtime/metrics.h"
#include "runtime/security.h"
#include "workers/audit.h"

enum {
    FW_AUDITOR_CHECKS_MAX = 32,  /* at once; the others wait, and are missed if they wait long */
    FW_AUDITOR_HEALS_MAX = 1024, /* at once; more are counted as failed */
};

typedef struct {
    const char *events_endpoint; /* of the broker */
    const char *redis_url;       /* as of fw_workers_config_t */
    const char *name_space;
    int64_t stamp_ttl_ms;
    int64_t redis_timeout_ms;
    int64_t scales_ms[FW_AUDIT_SCALES_MAX];
    size_t scales_count;
    uint32_t rate; /* purges sampled a second */
    uint32_t samples_max;
    size_t bytes_max;
    int64_t slack_ms;
    bool heal;
    uint32_t walk_rate;           /* keys of Redis looked at a second; 0 = none */
    const char *const *url_rules; /* as of audit_compare.h; borrowed */
    size_t url_rules_count;
    int64_t url_after_ms;          /* findings of earlier timescales are not compared */
    const fw_security_t *security; /* of the event link; NULL = no keys */
} fw_auditor_config_t;

typedef struct fw_auditor fw_auditor_t;

fw_auditor_config_t fw_auditor_defaults(void);

/* Ownership as in workers.h. 0 or a negative errno. */
int fw_auditor_start(const fw_auditor_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_auditor_t **ret_auditor) __attribute__((warn_unused_result));
void fw_auditor_stop(fw_auditor_t **self_p); /* NULL-safe */
