/* auth.h - who somebody is.   SPDX-License-Identifier: MPL-2.0
 * Pure. Verifies JSON Web Tokens against a fixed set of keys: the algorithm is the key's, never the
 * token's choice; keys in or behind a token's header are not looked at. Tokens never reach a log:
 * reasons are static texts. */
#pragma once

#include "gateway/claims.h"

enum {
    FW_TOKEN_SIZE_MAX = 8 * 1024,
    FW_TOKEN_LEEWAY_S = 5, /* how far clocks may differ */
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

typedef enum {
    FW_AUTH_HS256,
} fw_auth_algorithm_t;

typedef struct {
    fw_text_t id; /* "kid"; empty = for tokens with any or no key id */
    fw_auth_algorithm_t algorithm;
    fw_bytes_t secret;
} fw_auth_key_t;

typedef struct fw_auth fw_auth_t;

/* Copies the keys; without any nobody can authenticate. */
fw_auth_t *fw_auth_new(const fw_auth_key_t *keys, size_t count) __attribute__((warn_unused_result));
void fw_auth_destroy(fw_auth_t **self_p);

/* 0 and *ret_claims, the caller's. -EKEYEXPIRED: it was good once. -EACCES: refused. Otherwise
 * *ret_reason is a static text for the client. */
int fw_auth_verify(const fw_auth_t *self, fw_text_t token, int64_t wall_s, fw_claims_t **ret_claims,
                   const char **ret_reason) __attribute__((warn_unused_result));

/* Compares without telling by its duration where the difference is. */
bool fw_auth_equal(fw_text_t a, fw_text_t b);
