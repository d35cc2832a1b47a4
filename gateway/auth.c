/* auth.c - see auth.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/auth.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <gnutls/gnutls.h>
#include <jansson.h>
#include <rhonabwy.h>

#include "gateway/base64url.h"
#include "runtime/alloc.h"

#define DATE_S_MAX 1e15

struct fw_auth {
    fw_auth_policy_t policy;
    fw_keys_t *fixed;
    fw_keys_t *fetched; /* NULL = none, or not yet */
};

fw_auth_t *fw_auth_new(const fw_auth_policy_t *policy)
{
    fw_auth_t *self = fw_alloc(1, sizeof *self);
    self->policy = *policy;
    self->fixed = fw_keys_new();
    return self;
}

void fw_auth_destroy(fw_auth_t **self_p)
{
    fw_auth_t *self = *self_p;
    if (!self)
        return;
    fw_keys_destroy(&self->fixed);
    fw_keys_destroy(&self->fetched);
    free(self);
    *self_p = NULL;
}

void fw_auth_set_policy(fw_auth_t *self, const fw_auth_policy_t *policy)
{
    self->policy = *policy;
}

void fw_auth_set_fixed(fw_auth_t *self, fw_keys_t **keys_p)
{
    fw_keys_destroy(&self->fixed);
    self->fixed = *keys_p ? *keys_p : fw_keys_new();
    *keys_p = NULL;
}

void fw_auth_set_fetched(fw_auth_t *self, fw_keys_t **keys_p)
{
    fw_keys_destroy(&self->fetched);
    self->fetched = *keys_p;
    *keys_p = NULL;
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

static bool algorithm_of(jwt_t *jwt, fw_key_algorithm_t *ret_algorithm)
{
    switch ((int)r_jwt_get_sign_alg(jwt)) {
    case R_JWA_ALG_HS256:
        *ret_algorithm = FW_KEY_HS256;
        return true;
    case R_JWA_ALG_RS256:
        *ret_algorithm = FW_KEY_RS256;
        return true;
    case R_JWA_ALG_ES256:
        *ret_algorithm = FW_KEY_ES256;
        return true;
    case R_JWA_ALG_EDDSA:
        *ret_algorithm = FW_KEY_EDDSA;
        return true;
    default:
        return false;
    }
}

/* As fw_auth_verify, of the signature. */
static int check_signature(const fw_auth_t *self, jwt_t *jwt, fw_text_t token, size_t signed_size)
{
    uint8_t signature[FW_SIGNATURE_SIZE_MAX];
    size_t size = 0;
    fw_key_algorithm_t algorithm;
    fw_text_t last = {token.text + signed_size + 1, token.size - signed_size - 1};
    if (!algorithm_of(jwt, &algorithm) ||
        fw_base64url_decode(last, signature, sizeof signature, &size) != 0)
        return -EACCES;
    fw_text_t id = fw_text(r_jwt_get_header_str_value(jwt, "kid"));
    fw_bytes_t message = {(const uint8_t *)token.text, signed_size};
    fw_bytes_t made = {signature, size};
    if (fw_keys_verify(self->fixed, algorithm, id, message, made) == 0)
        return 0;
    int result = -ENOKEY;
    if (self->fetched)
        result = fw_keys_verify(self->fetched, algorithm, id, message, made);
    /* Nobody but the configuration gives out secrets. */
    bool may_come = self->policy.awaits && algorithm != FW_KEY_HS256;
    return result == -ENOKEY && !may_come ? -EACCES : result;
}

/* A date claim; absent: *ret_s stays. False when it is not a date. */
static bool date_of(const json_t *claims, const char *name, double *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    if (!value)
        return true;
    *ret_s = json_number_value(value);
    return json_is_number(value) && isfinite(*ret_s) && *ret_s >= 0 && *ret_s <= DATE_S_MAX;
}

static bool is_one_of(const char *const *texts, size_t count, const json_t *value)
{
    fw_text_t text = {json_string_value(value), json_string_length(value)};
    for (size_t i = 0; json_is_string(value) && i < count; i++)
        if (fw_text_equal(text, fw_text(texts[i])))
            return true;
    return false;
}

/* Is the token for us? "aud" is a text or a list of them. */
static bool is_for_us(const fw_auth_policy_t *policy, const json_t *audience)
{
    if (policy->audiences_count == 0 ||
        is_one_of(policy->audiences, policy->audiences_count, audience))
        return true;
    size_t count = json_array_size(audience);
    for (size_t i = 0; i < count && i < FW_TOKEN_AUDIENCES_MAX; i++)
        if (is_one_of(policy->audiences, policy->audiences_count, json_array_get(audience, i)))
            return true;
    return false;
}

static int judge(const fw_auth_policy_t *policy, const json_t *json, int64_t wall_s,
                 const char **ret_reason)
{
    double not_before_s = 0;
    double expires_s = INFINITY;
    if (!date_of(json, "nbf", &not_before_s) || !date_of(json, "exp", &expires_s))
        return -EACCES;
    *ret_reason = "token is from another issuer";
    if (policy->issuers_count > 0 &&
        !is_one_of(policy->issuers, policy->issuers_count, json_object_get(json, "iss")))
        return -EACCES;
    *ret_reason = "token is for another audience";
    if (!is_for_us(policy, json_object_get(json, "aud")))
        return -EACCES;
    *ret_reason = "token is not valid yet";
    if (not_before_s > (double)(wall_s + policy->leeway_s))
        return -EACCES;
    *ret_reason = "token has expired";
    return expires_s <= (double)(wall_s - policy->leeway_s) ? -EKEYEXPIRED : 0;
}

static int take_claims(const fw_auth_t *self, jwt_t *jwt, int64_t wall_s, fw_claims_t **ret_claims,
                       const char **ret_reason)
{
    json_t *json = r_jwt_get_full_claims_json_t(jwt);
    fw_claims_t *claims = NULL;
    int result = -EACCES;
    *ret_reason = "token has a claim that is missing or not valid";
    if (json_is_object(json) && fw_claims_parse(json, &claims) == 0)
        result = judge(&self->policy, json, wall_s, ret_reason);
    if (result == 0)
        *ret_claims = claims;
    else
        fw_claims_destroy(&claims);
    json_decref(json);
    return result;
}

/* A token that brings a key along, or an address of one, is not from who signs ours; what it calls
 * critical (RFC 7515, 4.1.11) we do not know. */
static bool header_is_plain(jwt_t *jwt)
{
    static const char *const refused[] = {"jwk", "jku", "x5c", "x5u", "crit"};
    bool plain = true;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        json_t *value = r_jwt_get_header_json_t_value(jwt, refused[i]);
        plain = plain && !value;
        json_decref(value);
    }
    return plain;
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
    if (r_jwt_advanced_parsen(jwt, token.text, token.size, R_PARSE_NONE, R_FLAG_IGNORE_REMOTE) !=
        RHN_OK)
        goto done;
    *ret_reason = "token is not signed with a key that is accepted here";
    if (header_is_plain(jwt))
        result = check_signature(self, jwt, token, signed_size);
    if (result == 0)
        result = take_claims(self, jwt, wall_s, ret_claims, ret_reason);
    else if (result == -ENOKEY)
        *ret_reason = "token is signed with a key that is not known here, yet";
done:
    r_jwt_free(jwt);
    return result;
}
