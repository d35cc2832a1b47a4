/* admin.h - the admin port: /healthz, /readyz and /metrics.   SPDX-License-Identifier: MPL-2.0
 * An actor with its own small HTTP server; never on a public address unless configured so. */
#pragma once

#include "runtime/health.h"
#include "runtime/metrics.h"

typedef struct fw_admin fw_admin_t;

/* Listens on "host:port" (port 0 = a free one). metrics and health stay the caller's and must
 * outlive it. 0 or a negative errno. */
int fw_admin_start(const char *listen, fw_metrics_t *metrics, fw_health_t *health,
                   fw_admin_t **ret_admin) __attribute__((warn_unused_result));
void fw_admin_stop(fw_admin_t **self_p);
/* The port that it got. */
int fw_admin_port(const fw_admin_t *self);
