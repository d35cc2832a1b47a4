/* delays.c - see delays.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/delays.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wildcard.h"
#include "runtime/alloc.h"
#include "runtime/rule.h"

static const char option[] = "gateway.channels";

typedef struct {
    char *pattern;
    uint16_t delay_ms;
} delay_t;

struct fw_delays {
    delay_t *delays;
    size_t count;
};

static int add_rule(fw_delays_t *self, const char *text, fw_config_error_t *ret_error)
{
    static const char *const names[] = {"max_delay_ms", NULL};
    fw_rule_t rule;
    int64_t delay_ms = 0;
    int result = fw_rule_parse(option, text, names, &rule, ret_error);
    if (result != 0)
        return result;
    result = fw_rule_number(&rule, option, "max_delay_ms", FW_OPTION_NUMBER, 0, FW_DELAY_MS_MAX,
                            &delay_ms, ret_error);
    if (result == 0 && !rule.head[0]) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "%s: a rule must begin with a pattern such as room:*, not \"%.64s\"", option,
                       text);
        result = -EINVAL;
    }
    if (result == 0)
        self->delays[self->count++] =
            (delay_t){fw_copy_text(rule.head, strlen(rule.head)), (uint16_t)delay_ms};
    fw_rule_clear(&rule);
    return result;
}

int fw_delays_new(const char *const *rules, size_t count, fw_delays_t **ret_delays,
                  fw_config_error_t *ret_error)
{
    fw_delays_t *self = fw_alloc(1, sizeof *self);
    self->delays = fw_alloc(count + 1, sizeof *self->delays);
    for (size_t i = 0; i < count; i++) {
        int result = add_rule(self, rules[i], ret_error);
        if (result != 0) {
            fw_delays_destroy(&self);
            return result;
        }
    }
    *ret_delays = self;
    return 0;
}

void fw_delays_destroy(fw_delays_t **self_p)
{
    fw_delays_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free(self->delays[i].pattern);
    free(self->delays);
    free(self);
    *self_p = NULL;
}

uint16_t fw_delays_find(const fw_delays_t *self, fw_text_t channel)
{
    for (size_t i = 0; i < self->count; i++)
        if (fw_wildcard_match(fw_text(self->delays[i].pattern), channel))
            return self->delays[i].delay_ms;
    return 0;
}
