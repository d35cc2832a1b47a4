/* signing_key.h - keys that sign browser tokens.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <rhonabwy.h>

/* A private key as JWK with its algorithm, from a PEM file: RSA of 2048 bits or more, P-256 or
 * Ed25519. 0, or a negative errno and a reason; the caller frees it with r_jwk_free. */
int fw_signing_key_load(const char *path, jwk_t **ret_key, jwa_alg *ret_algorithm,
                        const char **ret_reason) __attribute__((warn_unused_result));

/* A new one: algorithm is RS256, ES256 or EdDSA. The private key as PEM and the public one as a
 * JSON Web Key Set; the caller frees both (the first overwritten). -EINVAL: there is no such
 * algorithm. */
int fw_signing_key_make(const char *algorithm, const char *key_id, char **ret_pem, char **ret_set)
    __attribute__((warn_unused_result));
