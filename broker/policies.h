/* policies.h - what channels keep and how they wait, by pattern.   SPDX-License-Identifier: MPL-2.0
 * Pure. A list of rules; the first whose pattern matches a channel's name says how much of its
 * history is kept, and whether its events may be released before their purge is confirmed. */
#pragma once

#include "proto/bytes.h"
#include "runtime/config.h"

typedef struct {
    uint32_t events_max;
    size_t bytes_max;
    int64_t age_us_max;
    bool hold; /* wait for the purge longer, until the hold time-out */
} fw_policy_t;

typedef struct fw_policies fw_policies_t;

/* rules are texts such as "room:* history_events=256 history_bytes=1MiB history_age=5m
 * barrier=hold"; what a rule does not say is as in fallback. The texts are copied. 0, or -EINVAL
 * with ret_error. */
int fw_policies_new(const char *const *rules, size_t count, const fw_policy_t *fallback,
                    fw_policies_t **ret_policies, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
void fw_policies_destroy(fw_policies_t **self_p);

/* Never NULL; lives as long as the policies. */
const fw_policy_t *fw_policies_find(const fw_policies_t *self, fw_text_t channel);
/* Does any rule hold? If not, nobody needs to look. */
bool fw_policies_hold(const fw_policies_t *self);
