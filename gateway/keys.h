/* keys.h - keys that verify tokens.   SPDX-License-Identifier: MPL-2.0
 * Pure; for one thread. A key has one algorithm, its own: what a token says of it is only compared.
 * Public keys are never secrets, and secrets are at least 32 bytes, so that neither can be mistaken
 * for the other or guessed. */
#pragma once

#include <stdbool.h>

#include "proto/bytes.h"

enum {
    FW_KEYS_MAX = 32,                 /* in one set; beyond: the source is refused */
    FW_KEY_ID_SIZE_MAX = 256,         /* beyond: the key is skipped */
    FW_KEY_SECRET_SIZE_MIN = 32,      /* RFC 7518, 3.2; less: refused */
    FW_KEY_SECRET_SIZE_MAX = 4096,    /* beyond: refused */
    FW_KEY_RSA_BITS_MIN = 2048,       /* RFC 7518, 3.3; less: skipped */
    FW_KEY_RSA_BITS_MAX = 8192,       /* beyond: skipped, for its price */
    FW_KEY_SET_SIZE_MAX = 256 * 1024, /* of a JWKS or PEM text; beyond: refused */
    FW_SIGNATURE_SIZE_MAX = FW_KEY_RSA_BITS_MAX / 8,
};

typedef enum {
    FW_KEY_HS256,
    FW_KEY_RS256,
    FW_KEY_ES256,
    FW_KEY_EDDSA, /* Ed25519 */
} fw_key_algorithm_t;

typedef struct fw_keys fw_keys_t;

fw_keys_t *fw_keys_new(void) __attribute__((warn_unused_result));
/* Overwrites what was secret. NULL-safe, sets *self_p to NULL. */
void fw_keys_destroy(fw_keys_t **self_p);
size_t fw_keys_count(const fw_keys_t *self);

/* Each adds to a set. -EINVAL: refused as a whole, *ret_reason is a static text without anything of
 * the source; keys may have been added already. */
/* An HS256 secret; id: empty = for tokens with any key id or none. */
int fw_keys_add_secret(fw_keys_t *self, fw_text_t id, fw_bytes_t secret, const char **ret_reason)
    __attribute__((warn_unused_result));
/* Public keys and certificates, one or several. A certificate's dates and issuer are not looked at:
 * who configures it trusts it. */
int fw_keys_add_pem(fw_keys_t *self, fw_text_t pem, const char **ret_reason)
    __attribute__((warn_unused_result));
/* A JSON Web Key Set, or one key. secrets: symmetric keys may be among them, as in a file, never in
 * what a URL serves. Keys for other purposes, of other algorithms, that are broken or that hold a
 * private part are skipped and counted; without any good one it is refused. */
int fw_keys_add_jwks(fw_keys_t *self, fw_bytes_t json, bool secrets, size_t *ret_skipped,
                     const char **ret_reason) __attribute__((warn_unused_result));

/* 0: one of the keys of that algorithm made this signature. -EACCES: none did. -ENOKEY: there is no
 * key of that algorithm and id (empty = the token names none). */
int fw_keys_verify(const fw_keys_t *self, fw_key_algorithm_t algorithm, fw_text_t id,
                   fw_bytes_t message, fw_bytes_t signature) __attribute__((warn_unused_result));
