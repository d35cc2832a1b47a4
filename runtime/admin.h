/* admin.h - the admin port: /healthz, /readyz, /metrics, and what roles answer.
 * SPDX-License-Identifier: MPL-2.0 An actor with its own small HTTP server; never on a public
 * address unless configured so. */
#pragma once

#include "runtime/health.h"
#include "runtime/metrics.h"

typedef struct fw_admin fw_admin_t;

enum { FW_ADMIN_ROUTES_MAX = 4 };

/* Paths that a role answers; see admin_request.h. */
typedef struct {
    const char *prefix;   /* for example "/v1/sessions": that path and what is below it */
    const char *endpoint; /* inproc, of the role's ROUTER; it may be bound later */
} fw_admin_route_t;

/* Everything is borrowed and must outlive the port. */
typedef struct {
    fw_admin_route_t routes[FW_ADMIN_ROUTES_MAX];
    size_t routes_count;
    const char *const *keys; /* bearer keys, needed for routes; none = those answer 403 */
    size_t keys_count;
} fw_admin_options_t;

/* Listens on "host:port" (port 0 = a free one). metrics and health stay the caller's and must
 * outlive it. 0 or a negative errno. */
int fw_admin_start(const char *listen, fw_metrics_t *metrics, fw_health_t *health,
                   fw_admin_t **ret_admin) __attribute__((warn_unused_result));
/* The same with routes. */
int fw_admin_start_with(const char *listen, const fw_admin_options_t *options,
                        fw_metrics_t *metrics, fw_health_t *health, fw_admin_t **ret_admin)
    __attribute__((warn_unused_result));
void fw_admin_stop(fw_admin_t **self_p);
/* The port that it got. */
int fw_admin_port(const fw_admin_t *self);
