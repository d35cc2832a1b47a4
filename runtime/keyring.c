/* keyring.c - see keyring.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <zmq.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"
#include "runtime/rule.h"

#define DOOR(domain) (1U << (domain))

static const char *const domain_names[] = {"fire", "publish", "jobs", "events", "control"};
_Static_assert(sizeof domain_names / sizeof *domain_names == FW_DOMAINS, "a domain has no name");

static const char *const verdict_names[] = {"admitted", "unknown_key", "wrong_role"};
_Static_assert(sizeof verdict_names / sizeof *verdict_names == FW_VERDICTS, "a verdict is missing");

static const char *const scope_names[] = {"channels", "types", "tags", "keys"};
_Static_assert(sizeof scope_names / sizeof *scope_names == FW_SCOPES, "a scope has no name");

static const struct {
    const char *name;
    unsigned doors;
} roles[] = {
    {"publisher", DOOR(FW_DOMAIN_FIRE) | DOOR(FW_DOMAIN_PUBLISH)},
    {"worker", DOOR(FW_DOMAIN_JOBS)},
    {"auditor", DOOR(FW_DOMAIN_EVENTS)},
    /* It hands on what is published over HTTP. */
    {"gateway", DOOR(FW_DOMAIN_EVENTS) | DOOR(FW_DOMAIN_CONTROL) | DOOR(FW_DOMAIN_PUBLISH)},
};

/* One holder with the memory that its lists point to. */
typedef struct {
    fw_holder_t holder;
    fw_text_t *patterns[FW_SCOPES];
    char *texts[FW_SCOPES];
} entry_t;

struct fw_keyring {
    entry_t *entries; /* in the order of their keys */
    size_t count;
};

const char *fw_domain_name(fw_domain_t domain)
{
    return domain_names[domain];
}

bool fw_domain_find(fw_text_t name, fw_domain_t *ret_domain)
{
    for (size_t i = 0; i < FW_DOMAINS; i++) {
        if (fw_text_equal(name, fw_text(domain_names[i]))) {
            *ret_domain = (fw_domain_t)i;
            return true;
        }
    }
    return false;
}

const char *fw_scope_name(fw_scope_t scope)
{
    return scope_names[scope];
}

const char *fw_verdict_name(fw_verdict_t verdict)
{
    return verdict_names[verdict];
}

bool fw_key_is_valid(const char *key)
{
    static const char alphabet[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    uint8_t bytes[FW_KEY_BYTES];
    bool valid = strnlen(key, FW_KEY_SIZE + 1) == FW_KEY_SIZE &&
                 strspn(key, alphabet) == FW_KEY_SIZE && zmq_z85_decode(bytes, key) != NULL;
    /* It may be a secret one. */
    explicit_bzero(bytes, sizeof bytes);
    return valid;
}

static int fail(const char *option, const char *name, const char *what,
                fw_config_error_t *ret_error)
{
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_show(name ? name : "", shown);
    return fw_config_fail(ret_error, -EINVAL, "%s: the peer \"%s\" %s", option, shown, what);
}

static int read_name(const char *option, const fw_rule_t *rule, entry_t *entry,
                     fw_config_error_t *ret_error)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@";
    const char *name = fw_rule_value(rule, "name");
    size_t size = name ? strlen(name) : 0;
    if (size == 0)
        return fail(option, name, "has no name: name=…", ret_error);
    if (size > FW_KEY_NAME_SIZE_MAX || strspn(name, allowed) != size) {
        return fail(option, name,
                    "has a name that is not 1 to 64 letters, digits, '.', '_', '-', '/' or '@'",
                    ret_error);
    }
    memcpy(entry->holder.name, name, size + 1);
    return 0;
}

static int read_key(const char *option, const fw_rule_t *rule, entry_t *entry,
                    fw_config_error_t *ret_error)
{
    const char *key = fw_rule_value(rule, "key");
    if (!key)
        return fail(option, entry->holder.name, "has no key: key=<its public key>", ret_error);
    if (!fw_key_is_valid(key)) {
        return fail(option, entry->holder.name,
                    "has a key that is not 40 characters of Z85; 'freshwire keys' makes keys",
                    ret_error);
    }
    (void)snprintf(entry->holder.key, sizeof entry->holder.key, "%s", key);
    return 0;
}

static int read_roles(const char *option, const fw_rule_t *rule, entry_t *entry,
                      fw_config_error_t *ret_error)
{
    const char *items[FW_RULE_ITEMS_MAX];
    size_t count = 0;
    char *copy = NULL;
    int result = fw_rule_items(rule, option, "role", items, &count, &copy, ret_error);
    for (size_t i = 0; result == 0 && i < count; i++) {
        unsigned doors = 0;
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            if (strcmp(items[i], roles[k].name) == 0)
                doors = roles[k].doors;
        entry->holder.doors |= doors;
        if (doors == 0) {
            char shown[FW_CONFIG_SHOWN_MAX];
            fw_config_show(items[i], shown);
            result =
                fw_config_fail(ret_error, -EINVAL,
                               "%s: role must be publisher, worker, gateway or auditor, not \"%s\"",
                               option, shown);
        }
    }
    free(copy);
    if (result == 0 && count == 0)
        result = fail(option, entry->holder.name,
                      "has no role: role=publisher, worker, gateway or auditor", ret_error);
    return result;
}

static int read_patterns(const char *option, const fw_rule_t *rule, fw_scope_t scope,
                         entry_t *entry, fw_config_error_t *ret_error)
{
    const char *items[FW_RULE_ITEMS_MAX];
    size_t count = 0;
    int result = fw_rule_items(rule, option, scope_names[scope], items, &count,
                               &entry->texts[scope], ret_error);
    if (result != 0 || count == 0)
        return result;
    entry->patterns[scope] = fw_alloc(count, sizeof *entry->patterns[scope]);
    for (size_t i = 0; i < count; i++)
        entry->patterns[scope][i] = fw_text(items[i]);
    entry->holder.scopes[scope] = (fw_patterns_t){entry->patterns[scope], count};
    return 0;
}

/* Only who publishes can be told what. */
static int read_permissions(const char *option, const fw_rule_t *rule, entry_t *entry,
                            fw_config_error_t *ret_error)
{
    bool publishes = entry->holder.doors & DOOR(FW_DOMAIN_PUBLISH);
    int result = 0;
    for (fw_scope_t scope = 0; result == 0 && scope < FW_SCOPES; scope++) {
        result = read_patterns(option, rule, scope, entry, ret_error);
        if (result == 0 && !publishes && entry->holder.scopes[scope].count > 0)
            result =
                fail(option, entry->holder.name,
                     "does not publish: channels, types, tags and keys mean nothing", ret_error);
    }
    return result;
}

static int read_entry(const char *option, const char *text, entry_t *entry,
                      fw_config_error_t *ret_error)
{
    static const char *const names[] = {"name",  "role", "key",  "channels",
                                        "types", "tags", "keys", NULL};
    fw_rule_t rule;
    int result = fw_rule_parse(option, text, names, &rule, ret_error);
    if (result != 0)
        return result;
    if (rule.head[0])
        result = fw_config_fail(ret_error, -EINVAL, "%s: begin with name=, not with \"%.64s\"",
                                option, rule.head);
    if (result == 0)
        result = read_name(option, &rule, entry, ret_error);
    if (result == 0)
        result = read_roles(option, &rule, entry, ret_error);
    if (result == 0)
        result = read_key(option, &rule, entry, ret_error);
    if (result == 0)
        result = read_permissions(option, &rule, entry, ret_error);
    fw_rule_clear(&rule);
    return result;
}

static int compare(const void *a, const void *b)
{
    return memcmp(((const entry_t *)a)->holder.key, ((const entry_t *)b)->holder.key, FW_KEY_SIZE);
}

static int refuse_twins(const fw_keyring_t *self, const char *option, fw_config_error_t *ret_error)
{
    for (size_t i = 1; i < self->count; i++) {
        const fw_holder_t *one = &self->entries[i - 1].holder;
        const fw_holder_t *other = &self->entries[i].holder;
        if (memcmp(one->key, other->key, FW_KEY_SIZE) == 0) {
            return fw_config_fail(ret_error, -EINVAL,
                                  "%s: the key %.*s… stands twice, for \"%s\" and \"%s\"; one key "
                                  "may have several roles: role=publisher|worker",
                                  option, FW_KEY_SHOWN, one->key, one->name, other->name);
        }
    }
    return 0;
}

int fw_keyring_new(const char *option, const char *const *rules, size_t count,
                   fw_keyring_t **ret_keyring, fw_config_error_t *ret_error)
{
    fw_keyring_t *self = fw_alloc(1, sizeof *self);
    int result = 0;
    self->entries = fw_alloc(count ? count : 1, sizeof *self->entries);
    while (result == 0 && self->count < count) {
        /* Counted first, so that what a bad rule left is freed. */
        size_t i = self->count++;
        result = read_entry(option, rules[i], &self->entries[i], ret_error);
    }
    if (result == 0) {
        qsort(self->entries, self->count, sizeof *self->entries, compare);
        result = refuse_twins(self, option, ret_error);
    }
    if (result != 0) {
        fw_keyring_destroy(&self);
        return result;
    }
    *ret_keyring = self;
    return 0;
}

void fw_keyring_destroy(fw_keyring_t **self_p)
{
    fw_keyring_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++) {
        for (fw_scope_t scope = 0; scope < FW_SCOPES; scope++) {
            free(self->entries[i].patterns[scope]);
            free(self->entries[i].texts[scope]);
        }
    }
    free(self->entries);
    free(self);
    *self_p = NULL;
}

size_t fw_keyring_count(const fw_keyring_t *self)
{
    return self->count;
}

fw_verdict_t fw_keyring_judge(const fw_keyring_t *self, fw_domain_t domain, fw_text_t key,
                              const fw_holder_t **ret_holder)
{
    entry_t wanted = {0};
    *ret_holder = NULL;
    if (key.size != FW_KEY_SIZE)
        return FW_VERDICT_UNKNOWN_KEY;
    memcpy(wanted.holder.key, key.text, FW_KEY_SIZE);
    const entry_t *found =
        bsearch(&wanted, self->entries, self->count, sizeof *self->entries, compare);
    if (!found)
        return FW_VERDICT_UNKNOWN_KEY;
    *ret_holder = &found->holder;
    return found->holder.doors & DOOR(domain) ? FW_VERDICT_ADMITTED : FW_VERDICT_WRONG_ROLE;
}
