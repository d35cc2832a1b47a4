/* zap.h - decides who may connect.   SPDX-License-Identifier: MPL-2.0
 * One actor per process that answers ZeroMQ's questions on inproc://zeromq.zap.01 from memory. It
 * must run before the first socket is bound with keys, and end after the last: without it nobody
 * is let in. Who is refused is counted by door, and logged at a limited rate. */
#pragma once

#include "runtime/health.h"
#include "runtime/metrics.h"
#include "runtime/security.h"

typedef struct fw_zap fw_zap_t;

/* All three must outlive it. 0; -EADDRINUSE when this process has a ZAP handler already. */
int fw_zap_start(const fw_security_t *security, fw_metrics_t *metrics, fw_health_t *health,
                 fw_zap_t **ret_zap) __attribute__((warn_unused_result));
void fw_zap_stop(fw_zap_t **self_p); /* NULL-safe */
