/* keys.c - see keys.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/keys.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "gateway/keys_internal.h"
#include "runtime/alloc.h"

enum {
    HS256_SIZE = 32,
    ES256_HALF = 32, /* of a signature: r, then s */
    EDDSA_SIZE = 64,
    EXPONENT_SIZE_MAX = 8, /* of RSA; a longer one only makes verifying dear */
    EXPONENT_MIN = 3,      /* with 1 everybody could sign */
};

typedef struct {
    char *id;
    size_t id_size;
    fw_key_algorithm_t algorithm;
    gnutls_pubkey_t public; /* NULL for HS256 */
    uint8_t *secret;        /* NULL for others */
    size_t secret_size;
} signing_key_t;

struct fw_keys {
    signing_key_t keys[FW_KEYS_MAX];
    size_t count;
};

fw_keys_t *fw_keys_new(void)
{
    return fw_alloc(1, sizeof(fw_keys_t));
}

void fw_keys_destroy(fw_keys_t **self_p)
{
    fw_keys_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++) {
        signing_key_t *key = &self->keys[i];
        if (key->secret)
            gnutls_memset(key->secret, 0, key->secret_size);
        free(key->secret);
        gnutls_pubkey_deinit(key->public);
        free(key->id);
    }
    free(self);
    *self_p = NULL;
}

size_t fw_keys_count(const fw_keys_t *self)
{
    return self->count;
}

static int refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return -EINVAL;
}

static signing_key_t *add(fw_keys_t *self, fw_text_t id, fw_key_algorithm_t algorithm)
{
    if (self->count == FW_KEYS_MAX)
        return NULL;
    signing_key_t *key = &self->keys[self->count++];
    *key = (signing_key_t){.algorithm = algorithm, .id_size = id.size};
    key->id = fw_copy_text(id.size > 0 ? id.text : "", id.size);
    return key;
}

/* Somebody gave a key that everybody may know where a secret belongs. */
static bool looks_public(fw_bytes_t secret)
{
    static const char pem[] = "-----BEGIN ";
    size_t i = 0;
    while (i < secret.size && (secret.data[i] == ' ' || secret.data[i] == '\n'))
        i++;
    return (secret.size - i >= sizeof pem - 1 &&
            memcmp(secret.data + i, pem, sizeof pem - 1) == 0) ||
           (i < secret.size && secret.data[i] == '{');
}

int fw_keys_add_secret(fw_keys_t *self, fw_text_t id, fw_bytes_t secret, const char **ret_reason)
{
    if (looks_public(secret))
        return refuse("is a key or a key set, not a secret", ret_reason);
    if (secret.size < FW_KEY_SECRET_SIZE_MIN)
        return refuse("is shorter than 32 bytes: tokens could be forged by trying secrets",
                      ret_reason);
    if (secret.size > FW_KEY_SECRET_SIZE_MAX)
        return refuse("is longer than 4096 bytes", ret_reason);
    signing_key_t *key = add(self, id, FW_KEY_HS256);
    if (!key)
        return refuse("holds too many keys", ret_reason);
    key->secret = fw_alloc(1, secret.size);
    key->secret_size = secret.size;
    memcpy(key->secret, secret.data, secret.size);
    return 0;
}

static bool is_good_rsa(gnutls_pubkey_t public, unsigned bits)
{
    gnutls_datum_t modulus = {NULL, 0};
    gnutls_datum_t exponent = {NULL, 0};
    uint64_t value = 0;
    if (bits < FW_KEY_RSA_BITS_MIN || bits > FW_KEY_RSA_BITS_MAX ||
        gnutls_pubkey_export_rsa_raw2(public, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ) != 0)
        return false;
    for (unsigned i = 0; i < exponent.size && i < EXPONENT_SIZE_MAX; i++)
        value = value << 8 | exponent.data[i];
    bool good = exponent.size <= EXPONENT_SIZE_MAX && value >= EXPONENT_MIN && value % 2 == 1;
    gnutls_free(modulus.data);
    gnutls_free(exponent.data);
    return good;
}

static bool is_p256(gnutls_pubkey_t public)
{
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    return gnutls_pubkey_export_ecc_raw2(public, &curve, NULL, NULL, 0) == 0 &&
           curve == GNUTLS_ECC_CURVE_SECP256R1;
}

bool fw_keys_algorithm(gnutls_pubkey_t public, fw_key_algorithm_t *ret_algorithm)
{
    unsigned bits = 0;
    if (gnutls_pubkey_verify_params(public) != 0)
        return false;
    switch (gnutls_pubkey_get_pk_algorithm(public, &bits)) {
    case GNUTLS_PK_RSA:
        *ret_algorithm = FW_KEY_RS256;
        return is_good_rsa(public, bits);
    case GNUTLS_PK_ECDSA:
        *ret_algorithm = FW_KEY_ES256;
        return is_p256(public);
    case GNUTLS_PK_EDDSA_ED25519:
        *ret_algorithm = FW_KEY_EDDSA;
        return true;
    default:
        return false;
    }
}

int fw_keys_add_public(fw_keys_t *self, fw_text_t id, gnutls_pubkey_t *public_p)
{
    fw_key_algorithm_t algorithm;
    if (!fw_keys_algorithm(*public_p, &algorithm))
        return -EINVAL;
    signing_key_t *key = add(self, id, algorithm);
    if (!key)
        return -ENOSPC;
    key->public = *public_p;
    *public_p = NULL;
    return 0;
}

static bool hs256_matches(const signing_key_t *key, fw_bytes_t message, fw_bytes_t signature)
{
    uint8_t hash[HS256_SIZE];
    /* Not by the library of tokens: rhonabwy up to 1.1.13 compares with strcmp (CVE-2024-25714). */
    return signature.size == HS256_SIZE &&
           gnutls_hmac_fast(GNUTLS_MAC_SHA256, key->secret, key->secret_size, message.data,
                            message.size, hash) == 0 &&
           gnutls_memcmp(hash, signature.data, HS256_SIZE) == 0;
}

static gnutls_datum_t datum(const uint8_t *data, size_t size)
{
    union {
        const uint8_t *given;
        uint8_t *taken;
    } view = {.given = data}; /* GnuTLS only reads it, although it does not say so */
    return (gnutls_datum_t){view.taken, (unsigned)size};
}

static bool is_made_by(gnutls_pubkey_t public, gnutls_sign_algorithm_t algorithm,
                       fw_bytes_t message, gnutls_datum_t signature)
{
    gnutls_datum_t text = datum(message.data, message.size);
    return gnutls_pubkey_verify_data2(public, algorithm, 0, &text, &signature) >= 0;
}

static bool es256_matches(const signing_key_t *key, fw_bytes_t message, fw_bytes_t signature)
{
    if (signature.size != (size_t)2 * ES256_HALF)
        return false;
    gnutls_datum_t r = datum(signature.data, ES256_HALF);
    gnutls_datum_t s = datum(signature.data + ES256_HALF, ES256_HALF);
    gnutls_datum_t encoded = {NULL, 0};
    if (gnutls_encode_rs_value(&encoded, &r, &s) != 0)
        return false;
    bool matches = is_made_by(key->public, GNUTLS_SIGN_ECDSA_SHA256, message, encoded);
    gnutls_free(encoded.data);
    return matches;
}

static bool matches(const signing_key_t *key, fw_bytes_t message, fw_bytes_t signature)
{
    switch (key->algorithm) {
    case FW_KEY_HS256:
        return hs256_matches(key, message, signature);
    case FW_KEY_RS256:
        return is_made_by(key->public, GNUTLS_SIGN_RSA_SHA256, message,
                          datum(signature.data, signature.size));
    case FW_KEY_ES256:
        return es256_matches(key, message, signature);
    case FW_KEY_EDDSA:
        return signature.size == EDDSA_SIZE &&
               is_made_by(key->public, GNUTLS_SIGN_EDDSA_ED25519, message,
                          datum(signature.data, signature.size));
    }
    return false;
}

int fw_keys_verify(const fw_keys_t *self, fw_key_algorithm_t algorithm, fw_text_t id,
                   fw_bytes_t message, fw_bytes_t signature)
{
    int result = -ENOKEY;
    for (size_t i = 0; i < self->count; i++) {
        const signing_key_t *key = &self->keys[i];
        bool named = id.size > 0 && key->id_size > 0;
        if (key->algorithm != algorithm ||
            (named && !fw_text_equal(id, (fw_text_t){key->id, key->id_size})))
            continue;
        if (matches(key, message, signature))
            return 0;
        result = -EACCES;
    }
    return result;
}
