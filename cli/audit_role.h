/* audit_role.h - the auditor, from the options audit.*.   SPDX-License-Identifier: MPL-2.0
 * Run by 'freshwire audit', or beside the workers when audit.enabled is set. */
#pragma once

#include "cli/options.h"
#include "workers/auditor.h"

/* Texts are borrowed from config and connect. timescales must have been checked. */
fw_auditor_config_t fw_options_auditor(const fw_config_t *config, const fw_endpoints_t *connect);

/* 0, or -EINVAL with ret_error naming the option. */
int fw_options_check_audit(const fw_config_t *config, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));

/* What it is given outlives it. 0, or a negative errno with ret_error. */
int fw_audit_role_start(const fw_config_t *config, const fw_endpoints_t *connect,
                        const fw_security_t *security, fw_metrics_t *metrics, fw_health_t *health,
                        fw_auditor_t **ret_auditor, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
