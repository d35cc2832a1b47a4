/* policies.c - see policies.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/policies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wildcard.h"
#include "runtime/alloc.h"
#include "runtime/rule.h"

static const char option[] = "broker.channels";

enum {
    EVENTS_MAX = 1000000,
    HOUR_MS = 60 * 60 * 1000,
};

#define BYTES_MIN (INT64_C(128) * 1024)
#define BYTES_MAX (INT64_C(1024) * 1024 * 1024)

typedef struct {
    char *pattern;
    fw_policy_t policy;
} rule_t;

struct fw_policies {
    rule_t *rules;
    size_t count;
    bool hold;
    fw_policy_t fallback;
};

static int read_barrier(const fw_rule_t *rule, fw_policy_t *policy, fw_config_error_t *ret_error)
{
    const char *value = fw_rule_value(rule, "barrier");
    if (!value)
        return 0;
    policy->hold = strcmp(value, "hold") == 0;
    if (policy->hold || strcmp(value, "release") == 0)
        return 0;
    (void)snprintf(ret_error->text, sizeof ret_error->text,
                   "%s: barrier must be one of release, hold, not \"%.64s\"", option, value);
    return -EINVAL;
}

static int read_policy(const fw_rule_t *rule, fw_policy_t *policy, fw_config_error_t *ret_error)
{
    int64_t events = policy->events_max;
    int64_t bytes = (int64_t)policy->bytes_max;
    int64_t age_ms = policy->age_us_max / 1000;
    int result = fw_rule_number(rule, option, "history_events", FW_OPTION_NUMBER, 1, EVENTS_MAX,
                                &events, ret_error);
    if (result == 0)
        result = fw_rule_number(rule, option, "history_bytes", FW_OPTION_BYTES, BYTES_MIN,
                                BYTES_MAX, &bytes, ret_error);
    if (result == 0)
        result = fw_rule_number(rule, option, "history_age", FW_OPTION_DURATION, 1000,
                                INT64_C(24) * HOUR_MS, &age_ms, ret_error);
    if (result == 0)
        result = read_barrier(rule, policy, ret_error);
    policy->events_max = (uint32_t)events;
    policy->bytes_max = (size_t)bytes;
    policy->age_us_max = age_ms * 1000;
    return result;
}

static int add_rule(fw_policies_t *self, const char *text, fw_config_error_t *ret_error)
{
    static const char *const names[] = {"history_events", "history_bytes", "history_age", "barrier",
                                        NULL};
    fw_rule_t rule;
    int result = fw_rule_parse(option, text, names, &rule, ret_error);
    if (result != 0)
        return result;
    rule_t *to = &self->rules[self->count];
    to->policy = self->fallback;
    result = read_policy(&rule, &to->policy, ret_error);
    if (result == 0 && !rule.head[0]) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "%s: a rule must begin with a pattern such as room:*, not \"%.64s\"", option,
                       text);
        result = -EINVAL;
    }
    if (result == 0) {
        size_t size = strlen(rule.head) + 1;
        to->pattern = fw_alloc(1, size);
        memcpy(to->pattern, rule.head, size);
        self->hold |= to->policy.hold;
        self->count++;
    }
    fw_rule_clear(&rule);
    return result;
}

int fw_policies_new(const char *const *rules, size_t count, const fw_policy_t *fallback,
                    fw_policies_t **ret_policies, fw_config_error_t *ret_error)
{
    fw_policies_t *self = fw_alloc(1, sizeof *self);
    self->fallback = *fallback;
    self->rules = fw_alloc(count, sizeof *self->rules);
    for (size_t i = 0; i < count; i++) {
        int result = add_rule(self, rules[i], ret_error);
        if (result != 0) {
            fw_policies_destroy(&self);
            return result;
        }
    }
    *ret_policies = self;
    return 0;
}

void fw_policies_destroy(fw_policies_t **self_p)
{
    fw_policies_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free(self->rules[i].pattern);
    free(self->rules);
    free(self);
    *self_p = NULL;
}

const fw_policy_t *fw_policies_find(const fw_policies_t *self, fw_text_t channel)
{
    for (size_t i = 0; i < self->count; i++)
        if (fw_wildcard_match(fw_text(self->rules[i].pattern), channel))
            return &self->rules[i].policy;
    return &self->fallback;
}

bool fw_policies_hold(const fw_policies_t *self)
{
    return self->hold;
}
