/* signer.c - see signer.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/signer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tests/support/token.h"

struct signer {
    fw_key_algorithm_t algorithm;
    gnutls_ecc_curve_t curve;
    char key_id[64];
    gnutls_privkey_t private;
    gnutls_pubkey_t public;
};

static void check(int result)
{
    assert(result >= 0);
    (void)result;
}

static signer_t *generate(fw_key_algorithm_t algorithm, const char *key_id, unsigned bits,
                          gnutls_ecc_curve_t curve)
{
    static const gnutls_pk_algorithm_t kinds[] = {
        [FW_KEY_RS256] = GNUTLS_PK_RSA,
        [FW_KEY_ES256] = GNUTLS_PK_ECDSA,
        [FW_KEY_EDDSA] = GNUTLS_PK_EDDSA_ED25519,
    };
    signer_t *self = calloc(1, sizeof *self);
    assert(self && algorithm != FW_KEY_HS256);
    self->algorithm = algorithm;
    self->curve = curve;
    (void)snprintf(self->key_id, sizeof self->key_id, "%s", key_id);
    unsigned size =
        algorithm == FW_KEY_RS256 ? (bits ? bits : 2048) : (unsigned)GNUTLS_CURVE_TO_BITS(curve);
    check(gnutls_privkey_init(&self->private));
    check(gnutls_privkey_generate(self->private, kinds[algorithm], size, 0));
    check(gnutls_pubkey_init(&self->public));
    check(gnutls_pubkey_import_privkey(self->public, self->private, 0, 0));
    return self;
}

signer_t *signer_new(fw_key_algorithm_t algorithm, const char *key_id, unsigned bits)
{
    return generate(algorithm, key_id, bits,
                    algorithm == FW_KEY_ES256 ? GNUTLS_ECC_CURVE_SECP256R1
                                              : GNUTLS_ECC_CURVE_ED25519);
}

signer_t *signer_new_p384(const char *key_id)
{
    return generate(FW_KEY_ES256, key_id, 0, GNUTLS_ECC_CURVE_SECP384R1);
}

void signer_destroy(signer_t **self_p)
{
    signer_t *self = *self_p;
    gnutls_pubkey_deinit(self->public);
    gnutls_privkey_deinit(self->private);
    free(self);
    *self_p = NULL;
}

static char *text_of(gnutls_datum_t *data)
{
    char *text = strndup((const char *)data->data, data->size);
    gnutls_free(data->data);
    assert(text);
    return text;
}

char *signer_pem(const signer_t *self)
{
    gnutls_datum_t pem;
    check(gnutls_pubkey_export2(self->public, GNUTLS_X509_FMT_PEM, &pem));
    return text_of(&pem);
}

char *signer_private_pem(const signer_t *self)
{
    gnutls_x509_privkey_t key;
    gnutls_datum_t pem;
    check(gnutls_privkey_export_x509(self->private, &key));
    check(
        gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem));
    gnutls_x509_privkey_deinit(key);
    return text_of(&pem);
}

/* A number of a key: without the zero that keeps it positive, with those that fill it up. */
static void member(FILE *out, const char *name, gnutls_datum_t *value, size_t width)
{
    char text[2048];
    uint8_t bytes[1024] = {0};
    size_t skip = width > 0 && value->size > width ? value->size - width : 0;
    size_t size = value->size - skip;
    size_t zeros = width > size ? width - size : 0;
    assert(zeros + size <= sizeof bytes);
    memcpy(bytes + zeros, value->data + skip, size);
    (void)make_base64url(bytes, zeros + size, text);
    (void)fprintf(out, ",\"%s\":\"%s\"", name, text);
    gnutls_free(value->data);
}

static void ecc_members(const signer_t *self, FILE *out)
{
    gnutls_ecc_curve_t curve;
    gnutls_datum_t x;
    gnutls_datum_t y = {NULL, 0};
    bool p384 = self->curve == GNUTLS_ECC_CURVE_SECP384R1;
    bool edwards = self->algorithm == FW_KEY_EDDSA;
    check(gnutls_pubkey_export_ecc_raw2(self->public, &curve, &x, &y, 0));
    (void)fprintf(out, ",\"crv\":\"%s\"", edwards ? "Ed25519" : (p384 ? "P-384" : "P-256"));
    size_t width = edwards ? 0 : (p384 ? 48 : 32);
    member(out, "x", &x, width);
    if (!edwards)
        member(out, "y", &y, width);
}

char *signer_jwk(const signer_t *self, const char *more)
{
    static const char *const types[] = {
        [FW_KEY_RS256] = "RSA", [FW_KEY_ES256] = "EC", [FW_KEY_EDDSA] = "OKP"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert(out);
    (void)fprintf(out, "{\"kty\":\"%s\"", types[self->algorithm]);
    if (*self->key_id)
        (void)fprintf(out, ",\"kid\":\"%s\"", self->key_id);
    if (self->algorithm == FW_KEY_RS256) {
        gnutls_datum_t n;
        gnutls_datum_t e;
        check(gnutls_pubkey_export_rsa_raw2(self->public, &n, &e, GNUTLS_EXPORT_FLAG_NO_LZ));
        member(out, "n", &n, 0);
        member(out, "e", &e, 0);
    } else {
        ecc_members(self, out);
    }
    (void)fprintf(out, "%s}", more);
    (void)fclose(out);
    return text;
}

char *signer_set(const signer_t *const *signers, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert(out);
    (void)fputs("{\"keys\":[", out);
    for (size_t i = 0; i < count; i++) {
        char *key = signer_jwk(signers[i], "");
        (void)fprintf(out, "%s%s", i > 0 ? "," : "", key);
        free(key);
    }
    (void)fputs("]}", out);
    (void)fclose(out);
    return text;
}

static size_t sign(const signer_t *self, const char *message, size_t size, uint8_t *signature)
{
    static const gnutls_sign_algorithm_t algorithms[] = {
        [FW_KEY_RS256] = GNUTLS_SIGN_RSA_SHA256,
        [FW_KEY_ES256] = GNUTLS_SIGN_ECDSA_SHA256,
        [FW_KEY_EDDSA] = GNUTLS_SIGN_EDDSA_ED25519,
    };
    gnutls_datum_t text = {(unsigned char *)strndup(message, size), (unsigned)size};
    gnutls_datum_t made;
    size_t result;
    check(gnutls_privkey_sign_data2(self->private, algorithms[self->algorithm], 0, &text, &made));
    if (self->algorithm == FW_KEY_ES256) {
        gnutls_datum_t halves[2];
        check(gnutls_decode_rs_value(&made, &halves[0], &halves[1]));
        result = 64;
        memset(signature, 0, result);
        for (size_t i = 0; i < 2; i++) {
            size_t skip = halves[i].size > 32 ? halves[i].size - 32 : 0;
            size_t length = halves[i].size - skip;
            memcpy(signature + 32 * (i + 1) - length, halves[i].data + skip, length);
            gnutls_free(halves[i].data);
        }
    } else {
        result = made.size;
        memcpy(signature, made.data, result);
    }
    gnutls_free(made.data);
    free(text.data);
    return result;
}

char *signer_token_with(const signer_t *self, const char *header, const char *claims)
{
    char *token = calloc(1, 2 * (strlen(header) + strlen(claims)) + 4096);
    uint8_t signature[2048];
    assert(token);
    size_t used = make_base64url(header, strlen(header), token);
    token[used++] = '.';
    used += make_base64url(claims, strlen(claims), token + used);
    size_t size = sign(self, token, used, signature);
    token[used++] = '.';
    (void)make_base64url(signature, size, token + used);
    return token;
}

char *signer_token(const signer_t *self, const char *claims)
{
    static const char *const names[] = {
        [FW_KEY_RS256] = "RS256", [FW_KEY_ES256] = "ES256", [FW_KEY_EDDSA] = "EdDSA"};
    char header[256];
    if (*self->key_id)
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}",
                       names[self->algorithm], self->key_id);
    else
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[self->algorithm]);
    return signer_token_with(self, header, claims);
}

fw_auth_t *make_auth(const char *secret, fw_auth_policy_t policy)
{
    fw_auth_t *auth = fw_auth_new(&policy);
    fw_keys_t *keys = fw_keys_new();
    const char *reason = "";
    if (*secret)
        check(fw_keys_add_secret(keys, FW_TEXT_NONE,
                                 (fw_bytes_t){(const uint8_t *)secret, strlen(secret)}, &reason));
    fw_auth_set_fixed(auth, &keys);
    return auth;
}
