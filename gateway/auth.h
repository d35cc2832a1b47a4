/* auth.h - who somebody is.   SPDX-License-Identifier: MPL-2.0
 * Pure; for one thread. Verifies JSON Web Tokens: the algorithm is the key's, never the token's
 * choice, and a token that brings a key along is refused. Tokens never reach a log: reasons are
 * static texts. */
#pragma once

#include "gateway/claims.h"
#include "gateway/keys.h"

enum {
    FW_TOKEN_SIZE_MAX = 8 * 1024, /* looked at before anything is parsed; beyond: refused */
    FW_TOKEN_AUDIENCES_MAX = 32,  /* looked at in one token */
};

/* Where a token can be. */
typedef enum {
    FW_DOOR_HELLO,
    FW_DOOR_HEADER,
    FW_DOOR_QUERY,
    FW_DOOR_COOKIE,
    FW_DOOR_REFRESH, /* of a session that has one */
} fw_door_t;

enum { FW_DOORS = FW_DOOR_REFRESH + 1 };

/* What a token must say, beside its signature. Texts are borrowed. */
typedef struct {
    const char *const *audiences; /* it must be for one of them; none = for anybody */
    size_t audiences_count;
    const char *const *issuers; /* it must be from one of them; none = from anybody */
    size_t issuers_count;
    int64_t leeway_s; /* how far clocks may differ */
    bool awaits;      /* keys are fetched: one that is not known yet may come */
} fw_auth_policy_t;

typedef struct fw_auth fw_auth_t;

/* Without any key nobody can authenticate. */
fw_auth_t *fw_auth_new(const fw_auth_policy_t *policy) __attribute__((warn_unused_result));
void fw_auth_destroy(fw_auth_t **self_p);
/* Each takes the place of what was set before: the policy, the keys of the configuration, and those
 * that are fetched. Keys are taken; *keys_p may be NULL: none. */
void fw_auth_set_policy(fw_auth_t *self, const fw_auth_policy_t *policy);
void fw_auth_set_fixed(fw_auth_t *self, fw_keys_t **keys_p);
void fw_auth_set_fetched(fw_auth_t *self, fw_keys_t **keys_p);

/* 0 and *ret_claims, the caller's. Else *ret_reason is a static text for the client, and
 * -EKEYEXPIRED: it was good once; -ENOKEY: its key is not known, but may be soon; -EACCES: refused.
 */
int fw_auth_verify(const fw_auth_t *self, fw_text_t token, int64_t wall_s, fw_claims_t **ret_claims,
                   const char **ret_reason) __attribute__((warn_unused_result));

/* Compares without telling by its duration where the difference is. */
bool fw_auth_equal(fw_text_t a, fw_text_t b);
