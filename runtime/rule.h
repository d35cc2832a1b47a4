/* rule.h - one entry of a list option that has parts: a head, then name=value words.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. "room:* history_events=256 barrier=hold" has the head "room:*" and two words; the head may
 * be absent. Words are separated by spaces; a value cannot hold one. A value that is a list
 * separates its items by '|', so that the rule fits into an environment variable, whose lists are
 * separated by commas. */
#pragma once

#include "runtime/config.h"

enum {
    FW_RULE_SIZE_MAX = 4096,
    FW_RULE_WORDS_MAX = 16,
    FW_RULE_ITEMS_MAX = 64,
};

typedef struct {
    const char *name;
    const char *value;
} fw_rule_word_t;

typedef struct {
    const char *head; /* "" when there is none */
    size_t words_count;
    fw_rule_word_t words[FW_RULE_WORDS_MAX];
    char *texts; /* what the others point to */
} fw_rule_t;

/* Takes a rule apart. names is the NULL-ended list of words that may stand in it, each at most
 * once; option is the option's path, for messages. 0, or -EINVAL with ret_error and nothing to
 * clear. */
int fw_rule_parse(const char *option, const char *text, const char *const *names,
                  fw_rule_t *ret_rule, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
void fw_rule_clear(fw_rule_t *self);

/* The value of a word, or NULL when it is not there. Lives as long as the rule. */
const char *fw_rule_value(const fw_rule_t *self, const char *name);

/* A number, duration (ms) or size between min and max; *ret_number stays as it was when the word is
 * not there. 0, or -EINVAL with ret_error. */
int fw_rule_number(const fw_rule_t *self, const char *option, const char *name,
                   fw_option_kind_t kind, int64_t min, int64_t max, int64_t *ret_number,
                   fw_config_error_t *ret_error) __attribute__((warn_unused_result));

/* The items of a list in a copy of the value, which the caller frees; empty items are refused. 0
 * and *ret_count (0 when the word is not there: *ret_copy is NULL), or -EINVAL with ret_error. */
int fw_rule_items(const fw_rule_t *self, const char *option, const char *name,
                  const char *ret_items[FW_RULE_ITEMS_MAX], size_t *ret_count, char **ret_copy,
                  fw_config_error_t *ret_error) __attribute__((warn_unused_result));
