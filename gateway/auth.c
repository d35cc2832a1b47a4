/* auth.c - see auth.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/auth.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <rhonabwy.h>

#include "runtime/alloc.h"

enum { SHA256_SIZE = 32, SHA256_BASE64_SIZE = 43 };

typedef struct {
    char *id;
    size_t id_size;
    fw_auth_algorithm_t algorithm;
    uint8_t *secret;
    size_t secret_size;
} auth_key_t;

struct fw_auth {
    auth_key_t *keys;
    size_t count;
};

fw_auth_t *fw_auth_new(const fw_auth_key_t *keys, size_t count)
{
    fw_auth_t *self = fw_alloc(1, sizeof *self);
    self->keys = fw_alloc(count + 1, sizeof *self->keys);
    self->count = count;
    for (size_t i = 0; i < count; i++) {
        assert(keys[i].secret.size > 0);
        self->keys[i] = (auth_key_t){
            .id = fw_copy_text(keys[i].id.text, keys[i].id.size),
            .id_size = keys[i].id.size,
            .algorithm = keys[i].algorithm,
            .secret = fw_alloc(1, keys[i].secret.size),
            .secret_size = keys[i].secret.size,
        };
        memcpy(self->keys[i].secret, keys[i].secret.data, keys[i].secret.size);
    }
    return self;
}

void fw_auth_destroy(fw_auth_t **self_p)
{
    fw_auth_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++) {
        gnutls_memset(self->keys[i].secret, 0, self->keys[i].secret_size);
        free(self->keys[i].secret);
        free(self->keys[i].id);
    }
    free(self->keys);
    free(self);
    *self_p = NULL;
}

bool fw_auth_equal(fw_text_t a, fw_text_t b)
{
    return a.size == b.size && gnutls_memcmp(a.text, b.text, a.size) == 0;
}

/* Three non-empty parts of base64url letters: a signed token and nothing else. *ret_signed is the
 * size of the first two parts with the dot between them. */
static bool is_compact(fw_text_t token, size_t *ret_signed)
{
    size_t dots[2] = {0, 0};
    size_t count = 0;
    if (token.size == 0 || token.size > FW_TOKEN_SIZE_MAX)
        return false;
    for (size_t i = 0; i < token.size; i++) {
        char c = token.text[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
        if (letter)
            continue;
        if (c != '.' || count == 2)
            return false;
        dots[count++] = i;
    }
    *ret_signed = dots[1];
    return count == 2 && dots[0] > 0 && dots[1] > dots[0] + 1 && dots[1] + 1 < token.size;
}

static void base64url(const uint8_t hash[SHA256_SIZE], char ret_text[SHA256_BASE64_SIZE + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int held = 0;
    char *out = ret_text;
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        bits = bits << 8 | hash[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
}

/* Not r_jwt_verify_signature: rhonabwy up to 1.1.13 compares the HMAC with strcmp (CVE-2024-25714).
 */
static bool hs256_matches(const auth_key_t *key, fw_text_t token, size_t signed_size)
{
    uint8_t hash[SHA256_SIZE];
    char expected[SHA256_BASE64_SIZE + 1];
    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, key->secret, key->secret_size, token.text, signed_size,
                         hash) != 0)
        return false;
    base64url(hash, expected);
    fw_text_t given = {token.text + signed_size + 1, token.size - signed_size - 1};
    return fw_auth_equal(given, (fw_text_t){expected, SHA256_BASE64_SIZE});
}

static bool suits(const auth_key_t *key, jwa_alg algorithm, const char *key_id)
{
    switch (key->algorithm) {
    case FW_AUTH_HS256:
        if (algorithm != R_JWA_ALG_HS256)
            return false;
        break;
    }
    return !key_id || key->id_size == 0 || strcmp(key->id, key_id) == 0;
}

static bool is_signed(const fw_auth_t *self, jwt_t *jwt, fw_text_t token, size_t signed_size)
{
    jwa_alg algorithm = r_jwt_get_sign_alg(jwt);
    const char *key_id = r_jwt_get_header_str_value(jwt, "kid");
    bool matches = false;
    for (size_t i = 0; i < self->count && !matches; i++)
        if (suits(&self->keys[i], algorithm, key_id))
            matches = hs256_matches(&self->keys[i], token, signed_size);
    return matches;
}

/* A date claim in whole seconds; absent: *ret_s stays. False when it is not a date. */
static bool date_of(const json_t *claims, const char *name, int64_t *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    if (!value)
        return true;
    if (!json_is_number(value))
        return false;
    double seconds = json_number_value(value);
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e15)
        return false;
    *ret_s = (int64_t)seconds;
    return true;
}

static int judge(const json_t *json, int64_t wall_s, fw_claims_t **ret_claims,
                 const char **ret_reason)
{
    fw_claims_t *claims = NULL;
    int64_t not_before_s = 0;
    if (fw_claims_parse(json, &claims) != 0 || !date_of(json, "nbf", &not_before_s)) {
        fw_claims_destroy(&claims);
        *ret_reason = "token has a claim that is missing or not valid";
        return -EACCES;
    }
    if (not_before_s > wall_s + FW_TOKEN_LEEWAY_S) {
        fw_claims_destroy(&claims);
        *ret_reason = "token is not valid yet";
        return -EACCES;
    }
    int64_t expires_s = fw_claims_expires_s(claims);
    if (expires_s > 0 && expires_s <= wall_s - FW_TOKEN_LEEWAY_S) {
        fw_claims_destroy(&claims);
        *ret_reason = "token has expired";
        return -EKEYEXPIRED;
    }
    *ret_claims = claims;
    return 0;
}

int fw_auth_verify(const fw_auth_t *self, fw_text_t token, int64_t wall_s, fw_claims_t **ret_claims,
                   const char **ret_reason)
{
    size_t signed_size = 0;
    jwt_t *jwt = NULL;
    *ret_reason = "token is not a signed JSON Web Token";
    if (!is_compact(token, &signed_size) || r_jwt_init(&jwt) != RHN_OK)
        return -EACCES;
    int result = -EACCES;
    json_t *claims = NULL;
    if (r_jwt_advanced_parsen(jwt, token.text, token.size, R_PARSE_NONE, R_FLAG_IGNORE_REMOTE) !=
        RHN_OK)
        goto done;
    *ret_reason = "token is not signed with a key that is accepted here";
    json_t *critical = r_jwt_get_header_json_t_value(jwt, "crit");
    bool understood = !critical;
    json_decref(critical);
    if (!understood || !is_signed(self, jwt, token, signed_size))
        goto done;
    claims = r_jwt_get_full_claims_json_t(jwt);
    result = judge(claims, wall_s, ret_claims, ret_reason);
done:
    json_decref(claims);
    r_jwt_free(jwt);
    return result;
}
