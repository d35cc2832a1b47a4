/* signer.h - somebody who signs tokens, for tests.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stddef.h>

#include "gateway/auth.h"

typedef struct signer signer_t;

/* A new key pair; bits: of RSA, 0 = 2048. HS256 is not for signers: see make_token. Each returned
 * text is the caller's. */
signer_t *signer_new(fw_key_algorithm_t algorithm, const char *key_id, unsigned bits);
/* P-384: a curve that no algorithm here has. */
signer_t *signer_new_p384(const char *key_id);
void signer_destroy(signer_t **self_p);
char *signer_pem(const signer_t *self);
char *signer_private_pem(const signer_t *self);
/* A JSON object; more: further members, each with a comma before it. */
char *signer_jwk(const signer_t *self, const char *more);
/* {"keys":[...]} of several. */
char *signer_set(const signer_t *const *signers, size_t count);
/* With its own algorithm and key id in the header, or another header; signed the same way. */
char *signer_token(const signer_t *self, const char *claims);
char *signer_token_with(const signer_t *self, const char *header, const char *claims);

/* Accepts an HS256 secret ("" = none) under a policy. */
fw_auth_t *make_auth(const char *secret, fw_auth_policy_t policy);
