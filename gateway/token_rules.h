/* token_rules.h - what the configuration says about tokens, as bytes.   SPDX-License-Identifier:
 * MPL-2.0 Made once from the configuration and the files that it names, at the start and at every
 * reload; never changed, so that all shards can read it. Each makes its own keys of it. */
#pragma once

#include "gateway/auth.h"
#include "gateway/tokens_config.h"

typedef struct fw_token_rules fw_token_rules_t;

/* Reads the files and checks everything, so that fw_token_rules_apply cannot fail. Copies. 0, or a
 * negative errno and a reason for the log that names the option, and nothing of a key. */
int fw_token_rules_new(const fw_tokens_config_t *config, fw_token_rules_t **ret_rules,
                       char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));
/* Overwrites what was secret. NULL-safe, sets *self_p to NULL. */
void fw_token_rules_destroy(fw_token_rules_t **self_p);

/* Gives policy and keys to the authentication of a shard, in place of earlier ones; what was
 * fetched stays. The rules must outlive it, or the next ones. */
void fw_token_rules_apply(const fw_token_rules_t *self, fw_auth_t *auth);

/* Keys of the configuration, without those that are fetched. */
size_t fw_token_rules_keys(const fw_token_rules_t *self);
int64_t fw_token_rules_leeway_ms(const fw_token_rules_t *self);
int64_t fw_token_rules_grace_ms(const fw_token_rules_t *self);
/* Name of the cookie that may hold a token; "" = none may. */
const char *fw_token_rules_cookie(const fw_token_rules_t *self);
