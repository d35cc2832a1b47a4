/* permissions.c - see permissions.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/permissions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/utf8.h"
#include "proto/wildcard.h"

enum { SHOWN_SIZE_MAX = 48 }; /* of a name, in a reason */

static const fw_text_t everything = {"*", 1};

static bool matches(const fw_patterns_t *allowed, fw_text_t text)
{
    for (size_t i = 0; i < allowed->count; i++)
        if (fw_wildcard_match(allowed->texts[i], text))
            return true;
    return allowed->count == 0;
}

/* Is whatever the swept pattern matches allowed? Only a pattern that begins with the plain text of
 * "text*" can be told to. */
static bool covers(const fw_patterns_t *allowed, fw_text_t swept)
{
    size_t plain = 0;
    while (plain < swept.size && !memchr("*?[\\", swept.text[plain], 4))
        plain++;
    for (size_t i = 0; i < allowed->count; i++) {
        fw_text_t pattern = allowed->texts[i];
        size_t size = pattern.size - 1; /* rules have no empty items */
        if (pattern.text[size] == '*' && !memchr(pattern.text, '*', size) &&
            !memchr(pattern.text, '?', size) && size <= plain &&
            memcmp(pattern.text, swept.text, size) == 0)
            return true;
    }
    return allowed->count == 0;
}

typedef struct {
    const fw_holder_t *holder;
    fw_scope_t scope;
    const char *field; /* of a list with texts */
    const char *verb;
    bool sweeps; /* the texts are patterns themselves */
} rule_t;

static int refuse(const rule_t *rule, fw_text_t value, fw_refusal_t *ret_refusal)
{
    char shown[SHOWN_SIZE_MAX + 1];
    (void)fw_utf8_copy(shown, sizeof shown, (fw_bytes_t){(const uint8_t *)value.text, value.size});
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason,
                   "\"%s\" is not among the %s that the key of %.40s may %s", shown,
                   fw_scope_name(rule->scope), rule->holder->name, rule->verb);
    return -EACCES;
}

static int check_list(const rule_t *rule, const fw_text_t *texts, size_t count,
                      fw_refusal_t *ret_refusal)
{
    const fw_patterns_t *allowed = &rule->holder->scopes[rule->scope];
    for (size_t i = 0; i < count; i++) {
        if (rule->sweeps ? covers(allowed, texts[i]) : matches(allowed, texts[i]))
            continue;
        (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s[%zu]", rule->field, i);
        return refuse(rule, texts[i], ret_refusal);
    }
    return 0;
}

int fw_permissions_check(const fw_holder_t *holder, const fw_event_t *event,
                         fw_refusal_t *ret_refusal)
{
    if (!holder)
        return 0;
    const fw_invalidate_t *purge = &event->invalidate;
    const rule_t type = {holder, FW_SCOPE_TYPES, "type", "publish", false};
    const rule_t channel = {holder, FW_SCOPE_CHANNELS, "audience", "publish", false};
    const rule_t tag = {holder, FW_SCOPE_TAGS, "invalidate.tags", "purge", false};
    const rule_t key = {holder, FW_SCOPE_KEYS, "invalidate.keys", "purge", false};
    const rule_t swept = {holder, FW_SCOPE_KEYS, "invalidate.patterns", "purge", true};
    *ret_refusal = (fw_refusal_t){.field = "type"};
    if (!matches(&holder->scopes[FW_SCOPE_TYPES], event->type))
        return refuse(&type, event->type, ret_refusal);
    int result = check_list(&channel, event->audience, event->audience_count, ret_refusal);
    if (result == 0)
        result = check_list(&tag, purge->tags, purge->tags_count, ret_refusal);
    if (result == 0)
        result = check_list(&key, purge->keys, purge->keys_count, ret_refusal);
    if (result == 0)
        result = check_list(&swept, purge->patterns, purge->patterns_count, ret_refusal);
    return result;
}

const fw_text_t *fw_permissions_channels(const fw_holder_t *holder, size_t *ret_count)
{
    if (!holder || holder->scopes[FW_SCOPE_CHANNELS].count == 0) {
        *ret_count = 1;
        return &everything;
    }
    *ret_count = holder->scopes[FW_SCOPE_CHANNELS].count;
    return holder->scopes[FW_SCOPE_CHANNELS].texts;
}
