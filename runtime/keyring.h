/* keyring.h - the keys that may come in, and through which door.   SPDX-License-Identifier: MPL-2.0
 * Pure. Made from rules such as "name=orders role=publisher key=… channels=room:*|user:* types=*";
 * several keys may have one name, which is how a key is replaced by another. */
#pragma once

#include "proto/bytes.h"
#include "runtime/config.h"

enum {
    FW_KEY_SIZE = 40, /* a CURVE key as text (Z85) */
    FW_KEY_BYTES = 32,
    FW_KEY_SHOWN = 8, /* characters that the log may hold */
    FW_KEY_NAME_SIZE_MAX = 64,
};

/* The broker's sockets, each with a ZAP domain of its own. */
typedef enum {
    FW_DOMAIN_FIRE,
    FW_DOMAIN_PUBLISH,
    FW_DOMAIN_JOBS,
    FW_DOMAIN_EVENTS,
    FW_DOMAIN_CONTROL,
    FW_DOMAINS
} fw_domain_t;

const char *fw_domain_name(fw_domain_t domain);
/* False when there is none of that name. */
bool fw_domain_find(fw_text_t name, fw_domain_t *ret_domain);

/* 40 characters that stand for 32 bytes. */
bool fw_key_is_valid(const char *key);

/* What the events of a publisher may name. */
typedef enum {
    FW_SCOPE_CHANNELS,
    FW_SCOPE_TYPES,
    FW_SCOPE_TAGS,
    FW_SCOPE_KEYS, /* of the cache, also those that its patterns match */
    FW_SCOPES
} fw_scope_t;

const char *fw_scope_name(fw_scope_t scope); /* "channels", … */

typedef struct {
    const fw_text_t *texts; /* patterns; none = whatever it is */
    size_t count;
} fw_patterns_t;

/* Whose key it is, and what may be done with it. */
typedef struct {
    char key[FW_KEY_SIZE + 1];
    char name[FW_KEY_NAME_SIZE_MAX + 1];
    unsigned doors; /* bit 1 << domain */
    fw_patterns_t scopes[FW_SCOPES];
} fw_holder_t;

typedef enum {
    FW_VERDICT_ADMITTED,
    FW_VERDICT_UNKNOWN_KEY,
    FW_VERDICT_WRONG_ROLE, /* the key is known, but not for this door */
    FW_VERDICTS
} fw_verdict_t;

/* "unknown_key", …: a label of metrics. */
const char *fw_verdict_name(fw_verdict_t verdict);

typedef struct fw_keyring fw_keyring_t;

/* option is the path of the list, for messages. 0, or -EINVAL with ret_error: a rule that is wrong,
 * a key that stands twice. */
int fw_keyring_new(const char *option, const char *const *rules, size_t count,
                   fw_keyring_t **ret_keyring, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
void fw_keyring_destroy(fw_keyring_t **self_p);
size_t fw_keyring_count(const fw_keyring_t *self);

/* May the holder of this key come in there? *ret_holder is NULL for an unknown key, else it lives
 * as long as the keyring. */
fw_verdict_t fw_keyring_judge(const fw_keyring_t *self, fw_domain_t domain, fw_text_t key,
                              const fw_holder_t **ret_holder);
