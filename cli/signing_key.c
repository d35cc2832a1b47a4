/* signing_key.c - see signing_key.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/signing_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <jansson.h>

#include "cli/secret_file.h"
#include "runtime/alloc.h"

enum {
    PEM_SIZE_MAX = 32 * 1024,
    RSA_BITS = 3072,
    RSA_BITS_MIN = 2048,
};

typedef struct {
    const char *name;
    jwa_alg algorithm;
    gnutls_pk_algorithm_t kind;
    unsigned bits;
} algorithm_t;

static const algorithm_t algorithms[] = {
    {"RS256", R_JWA_ALG_RS256, GNUTLS_PK_RSA, RSA_BITS},
    {"ES256", R_JWA_ALG_ES256, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
    {"EdDSA", R_JWA_ALG_EDDSA, GNUTLS_PK_EDDSA_ED25519,
     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519)},
};

enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

/* The algorithm of a private key; NULL when it has none here. */
static const algorithm_t *algorithm_of(gnutls_privkey_t key)
{
    unsigned bits = 0;
    int kind = gnutls_privkey_get_pk_algorithm(key, &bits);
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    if (kind == GNUTLS_PK_RSA && bits < RSA_BITS_MIN)
        return NULL;
    if (kind == GNUTLS_PK_ECDSA &&
        (gnutls_privkey_export_ecc_raw2(key, &curve, NULL, NULL, NULL, 0) != 0 ||
         curve != GNUTLS_ECC_CURVE_SECP256R1))
        return NULL;
    for (size_t i = 0; i < ALGORITHMS; i++)
        if ((int)algorithms[i].kind == kind)
            return &algorithms[i];
    return NULL;
}

static int import_key(const char *pem, size_t size, jwk_t **ret_key, jwa_alg *ret_algorithm)
{
    gnutls_privkey_t key = NULL;
    char *copy = fw_copy_text(pem, size);
    gnutls_datum_t text = {(unsigned char *)copy, (unsigned)size};
    const algorithm_t *algorithm = NULL;
    jwk_t *jwk = NULL;
    int result = -EINVAL;
    if (gnutls_privkey_init(&key) == 0 &&
        gnutls_privkey_import_x509_raw(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0) == 0)
        algorithm = algorithm_of(key);
    if (algorithm && r_jwk_init(&jwk) == RHN_OK &&
        r_jwk_import_from_gnutls_privkey(jwk, key) == RHN_OK) {
        *ret_key = jwk;
        *ret_algorithm = algorithm->algorithm;
        jwk = NULL;
        result = 0;
    }
    r_jwk_free(jwk);
    gnutls_privkey_deinit(key);
    explicit_bzero(copy, size);
    free(copy);
    return result;
}

int fw_signing_key_load(const char *path, jwk_t **ret_key, jwa_alg *ret_algorithm,
                        const char **ret_reason)
{
    char *pem = NULL;
    size_t size = 0;
    int result = fw_secret_file_read(path, PEM_SIZE_MAX, &pem, &size);
    *ret_reason = strerror(-result);
    if (result != 0)
        return result;
    *ret_reason = "it is no private key in PEM: RSA of 2048 bits or more, P-256 or Ed25519";
    result = import_key(pem, size, ret_key, ret_algorithm);
    explicit_bzero(pem, size);
    free(pem);
    return result;
}

/* The public half as a JSON Web Key Set; NULL when it cannot be. */
static char *set_of(gnutls_privkey_t key, const algorithm_t *algorithm, const char *key_id)
{
    gnutls_pubkey_t public = NULL;
    jwk_t *jwk = NULL;
    char *text = NULL;
    if (gnutls_pubkey_init(&public) == 0 && gnutls_pubkey_import_privkey(public, key, 0, 0) == 0 &&
        r_jwk_init(&jwk) == RHN_OK && r_jwk_import_from_gnutls_pubkey(jwk, public) == RHN_OK &&
        r_jwk_set_property_str(jwk, "alg", algorithm->name) == RHN_OK &&
        r_jwk_set_property_str(jwk, "use", "sig") == RHN_OK &&
        r_jwk_set_property_str(jwk, "kid", key_id) == RHN_OK) {
        json_t *set = json_pack("{s:[o]}", "keys", r_jwk_export_to_json_t(jwk));
        text = set ? json_dumps(set, JSON_INDENT(2)) : NULL;
        json_decref(set);
    }
    r_jwk_free(jwk);
    gnutls_pubkey_deinit(public);
    return text;
}

static char *pem_of(gnutls_privkey_t key)
{
    gnutls_x509_privkey_t private = NULL;
    gnutls_datum_t pem = {NULL, 0};
    char *text = NULL;
    if (gnutls_privkey_export_x509(key, &private) == 0 &&
        gnutls_x509_privkey_export2_pkcs8(private, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                          &pem) == 0) {
        text = fw_copy_text((const char *)pem.data, pem.size);
        gnutls_memset(pem.data, 0, pem.size);
    }
    gnutls_free(pem.data);
    gnutls_x509_privkey_deinit(private);
    return text;
}

int fw_signing_key_make(const char *algorithm, const char *key_id, char **ret_pem, char **ret_set)
{
    size_t i = 0;
    while (i < ALGORITHMS && strcasecmp(algorithms[i].name, algorithm) != 0)
        i++;
    if (i == ALGORITHMS)
        return -EINVAL;
    gnutls_privkey_t key = NULL;
    int result = -EIO;
    if (gnutls_privkey_init(&key) == 0 &&
        gnutls_privkey_generate(key, algorithms[i].kind, algorithms[i].bits, 0) == 0) {
        char *pem = pem_of(key);
        char *set = set_of(key, &algorithms[i], key_id);
        result = pem && set ? 0 : -EIO;
        if (result == 0) {
            *ret_pem = pem;
            *ret_set = set;
        } else {
            free(pem);
            free(set);
        }
    }
    gnutls_privkey_deinit(key);
    return result;
}
