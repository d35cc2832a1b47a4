/* token.c - freshwire token: signs a browser token.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rhonabwy.h>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/signing_key.h"
#include "proto/channel.h"
#include "runtime/clock.h"

#define TTL_MS_MAX (INT64_C(366) * 24 * 60 * 60 * 1000)

static bool is_user(const char *sub)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size;
    return fw_channel_make(FW_CHANNEL_KIND_USER, fw_text(sub), name, &size) == 0;
}

/* A claim that is a list, when the argument was given. */
static int add_list(jwt_t *jwt, const fw_call_t *call, const char *argument, const char *claim)
{
    const char *const *values = NULL;
    size_t count = fw_arguments_list(call->arguments, argument, &values);
    int result = RHN_OK;
    if (count == 0)
        return RHN_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_string(values[i])) != 0)
            result = RHN_ERROR_PARAM;
    if (result == RHN_OK)
        result = r_jwt_set_claim_json_t_value(jwt, claim, list);
    json_decref(list);
    return result;
}

/* Given by the argument, or what the gateway's configuration wants first. */
static const char *wanted(const fw_call_t *call, const char *argument, const char *option)
{
    const char *const *values = NULL;
    const char *given = fw_arguments_text(call->arguments, argument);
    if (given)
        return given;
    return fw_config_list(call->config, option, &values) > 0 ? values[0] : NULL;
}

static int add_claims(jwt_t *jwt, const fw_call_t *call, const char *sub, int64_t ttl_ms)
{
    const char *audience = wanted(call, "audience", "gateway.jwt.audiences");
    const char *issuer = wanted(call, "issuer", "gateway.jwt.issuers");
    rhn_int_t now_s = fw_clock_wall_ms() / 1000;
    rhn_int_t ttl_s = (ttl_ms + 999) / 1000;
    int result = r_jwt_set_claim_str_value(jwt, "sub", sub);
    if (result == RHN_OK && audience)
        result = r_jwt_set_claim_str_value(jwt, "aud", audience);
    if (result == RHN_OK && issuer)
        result = r_jwt_set_claim_str_value(jwt, "iss", issuer);
    if (result == RHN_OK)
        result = r_jwt_set_claim_int_value(jwt, "iat", now_s);
    if (result == RHN_OK)
        result = r_jwt_set_claim_int_value(jwt, "exp", now_s + ttl_s);
    if (result == RHN_OK)
        result = add_list(jwt, call, "room", "rooms");
    if (result == RHN_OK)
        result = add_list(jwt, call, "publish", "publish");
    if (result == RHN_OK)
        result = add_list(jwt, call, "presence", "presence");
    return result;
}

/* What a token is signed with: a key, or else the gateway's secret. */
typedef struct {
    jwk_t *key; /* NULL = secret */
    jwa_alg algorithm;
    const char *secret;
} signer_t;

/* The caller frees the result with r_free; NULL when a text is not UTF-8. */
static char *sign(const fw_call_t *call, const signer_t *signer, const char *sub, int64_t ttl_ms)
{
    jwt_t *jwt = NULL;
    char *token = NULL;
    const char *key_id = fw_arguments_text(call->arguments, "key-id");
    if (r_jwt_init(&jwt) != RHN_OK)
        return NULL;
    int result = add_claims(jwt, call, sub, ttl_ms);
    if (result == RHN_OK && key_id)
        result = r_jwt_set_header_str_value(jwt, "kid", key_id);
    if (result == RHN_OK)
        result = r_jwt_set_sign_alg(jwt, signer->algorithm);
    if (result == RHN_OK && !signer->key)
        result = r_jwt_add_sign_key_symmetric(jwt, (const unsigned char *)signer->secret,
                                              strlen(signer->secret));
    if (result == RHN_OK)
        token = r_jwt_serialize_signed(jwt, signer->key, 0);
    r_jwt_free(jwt);
    return token;
}

static fw_exit_t make_signer(const fw_call_t *call, signer_t *ret_signer)
{
    const char *path = fw_arguments_text(call->arguments, "key");
    const char *reason = "";
    ret_signer->algorithm = R_JWA_ALG_HS256;
    ret_signer->secret = fw_config_text(call->config, "gateway.jwt.secret");
    if (path) {
        if (fw_signing_key_load(path, &ret_signer->key, &ret_signer->algorithm, &reason) == 0)
            return FW_EXIT_OK;
        fw_complain("'freshwire keys --token ES256 --output key.pem' makes one", "%s: %s", path,
                    reason);
        return FW_EXIT_AUTH;
    }
    if (*ret_signer->secret)
        return FW_EXIT_OK;
    fw_complain("set gateway.jwt.secret (FRESHWIRE_GATEWAY_JWT_SECRET or _FILE) to the gateway's "
                "own, or give a private key with --key",
                "there is no secret to sign with");
    return FW_EXIT_AUTH;
}

fw_exit_t fw_token_command(const fw_call_t *call)
{
    const char *sub = fw_arguments_text(call->arguments, "sub");
    const char *ttl = fw_arguments_text(call->arguments, "ttl");
    int64_t ttl_ms = INT64_C(10) * 60 * 1000;
    fw_config_error_t error;
    signer_t signer = {.key = NULL};
    if (!sub || !is_user(sub)) {
        fw_complain("for example: freshwire token --sub u1", "%s",
                    sub ? "--sub must be 1 to 180 bytes of UTF-8 without control characters"
                        : "--sub is missing");
        return FW_EXIT_USAGE;
    }
    if (ttl && fw_duration_parse("ttl", ttl, 1000, TTL_MS_MAX, &ttl_ms, &error) != 0) {
        fw_complain(NULL, "%s", error.text);
        return FW_EXIT_USAGE;
    }
    fw_exit_t status = make_signer(call, &signer);
    if (status != FW_EXIT_OK)
        return status;
    char *token = sign(call, &signer, sub, ttl_ms);
    r_jwk_free(signer.key);
    if (!token) {
        fw_complain("are all arguments UTF-8?", "the token could not be signed");
        return FW_EXIT_FAILURE;
    }
    (void)puts(token);
    r_free(token);
    return FW_EXIT_OK;
}
