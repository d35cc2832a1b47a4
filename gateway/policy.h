/* policy.h - the configuration of a gateway as its shards see it: what changes with a reload, and
 * what stays as it was at the start.   SPDX-License-Identifier: MPL-2.0
 * Never changed once it is made, so that all shards read the same one (runtime/shared.h). */
#pragma once

#include "gateway/gateway.h"
#include "gateway/token_rules.h"

typedef struct {
    fw_gateway_config_t config; /* its lists that can change are copies */
    fw_token_rules_t *token_rules;
    char **lists[3]; /* the copies */
} fw_policy_t;

/* What can change is taken from fresh and copied, everything else from start, whose texts must
 * outlive the policy. Reads the files of keys. 0, or a negative errno and a reason for the log. */
int fw_policy_new(const fw_gateway_config_t *start, const fw_gateway_config_t *fresh,
                  fw_policy_t **ret_policy, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));
void fw_policy_destroy(void *policy); /* as fw_shared_destroy_fn */
