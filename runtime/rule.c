/* rule.c - see rule.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"

static int fail(const char *option, const char *what, const char *text,
                fw_config_error_t *ret_error)
{
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_show(text, shown);
    return fw_config_fail(ret_error, -EINVAL, "%s: %s, in \"%s\"", option, what, shown);
}

static bool is_allowed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static int refuse_name(const char *option, const char *const *names, const char *name,
                       fw_config_error_t *ret_error)
{
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_nearest_t nearest = {.best = ""};
    for (; *names; names++)
        fw_config_consider(&nearest, name, *names);
    fw_config_show(name, shown);
    if (nearest.best[0])
        return fw_config_fail(ret_error, -EINVAL, "%s: unknown word \"%s\"; did you mean %s?",
                              option, shown, nearest.best);
    return fw_config_fail(ret_error, -EINVAL, "%s: unknown word \"%s\"", option, shown);
}

static int add_word(const char *option, char *word, const char *const *names, fw_rule_t *rule,
                    fw_config_error_t *ret_error)
{
    char *equals = strchr(word, '=');
    if (!equals && rule->words_count == 0 && !rule->head[0]) {
        rule->head = word;
        return 0;
    }
    if (!equals)
        return fail(option, "only the first word may stand without name=", word, ret_error);
    *equals = '\0';
    if (!is_allowed(names, word))
        return refuse_name(option, names, word, ret_error);
    if (fw_rule_value(rule, word))
        return fail(option, "a word stands twice", word, ret_error);
    if (rule->words_count == FW_RULE_WORDS_MAX)
        return fail(option, "more than 16 words", word, ret_error);
    rule->words[rule->words_count++] = (fw_rule_word_t){word, equals + 1};
    return 0;
}

int fw_rule_parse(const char *option, const char *text, const char *const *names,
                  fw_rule_t *ret_rule, fw_config_error_t *ret_error)
{
    size_t size = strlen(text);
    char *rest = NULL;
    int result = 0;
    if (size > FW_RULE_SIZE_MAX)
        return fail(option, "longer than 4096 bytes", text, ret_error);
    *ret_rule = (fw_rule_t){.head = ""};
    ret_rule->texts = fw_alloc(1, size + 1);
    memcpy(ret_rule->texts, text, size + 1);
    for (char *word = strtok_r(ret_rule->texts, " \t", &rest); word && result == 0;
         word = strtok_r(NULL, " \t", &rest))
        result = add_word(option, word, names, ret_rule, ret_error);
    if (result == 0 && !ret_rule->head[0] && ret_rule->words_count == 0)
        result = fail(option, "an empty rule", text, ret_error);
    if (result != 0)
        fw_rule_clear(ret_rule);
    return result;
}

void fw_rule_clear(fw_rule_t *self)
{
    free(self->texts);
    *self = (fw_rule_t){.head = ""};
}

const char *fw_rule_value(const fw_rule_t *self, const char *name)
{
    for (size_t i = 0; i < self->words_count; i++)
        if (strcmp(self->words[i].name, name) == 0)
            return self->words[i].value;
    return NULL;
}

int fw_rule_number(const fw_rule_t *self, const char *option, const char *name,
                   fw_option_kind_t kind, int64_t min, int64_t max, int64_t *ret_number,
                   fw_config_error_t *ret_error)
{
    const char *value = fw_rule_value(self, name);
    int64_t number = 0;
    char low[FW_CONFIG_NUMBER_MAX];
    char high[FW_CONFIG_NUMBER_MAX];
    char shown[FW_CONFIG_SHOWN_MAX];
    if (!value)
        return 0;
    if (fw_config_parse_number(kind, value, &number) == 0 && number >= min && number <= max) {
        *ret_number = number;
        return 0;
    }
    fw_config_format(kind, min, low);
    fw_config_format(kind, max, high);
    fw_config_show(value, shown);
    return fw_config_fail(ret_error, -EINVAL, "%s: %s must be between %s and %s, not \"%s\"",
                          option, name, low, high, shown);
}

int fw_rule_items(const fw_rule_t *self, const char *option, const char *name,
                  const char *ret_items[FW_RULE_ITEMS_MAX], size_t *ret_count, char **ret_copy,
                  fw_config_error_t *ret_error)
{
    const char *value = fw_rule_value(self, name);
    *ret_count = 0;
    *ret_copy = NULL;
    if (!value)
        return 0;
    char *copy = fw_alloc(1, strlen(value) + 1);
    memcpy(copy, value, strlen(value) + 1);
    for (char *item = copy; item;) {
        char *bar = strchr(item, '|');
        if (bar)
            *bar = '\0';
        if (!*item || *ret_count == FW_RULE_ITEMS_MAX) {
            const char *what = *item ? "more than 64 items" : "an empty item";
            free(copy);
            return fail(option, what, value, ret_error);
        }
        ret_items[(*ret_count)++] = item;
        item = bar ? bar + 1 : NULL;
    }
    *ret_copy = copy;
    return 0;
}
