/* token.c - freshwire token: signs a browser token.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rhonabwy.h>

#include "cli/command.h"
#include "cli/duration.h"
#include "proto/channel.h"
#include "runtime/clock.h"

#define TTL_MS_MAX (INT64_C(366) * 24 * 60 * 60 * 1000)

static bool is_user(const char *sub)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size;
    return fw_channel_make(FW_CHANNEL_KIND_USER, fw_text(sub), name, &size) == 0;
}

static int add_claims(jwt_t *jwt, const fw_call_t *call, const char *sub, int64_t ttl_ms)
{
    const char *const *rooms = NULL;
    size_t count = fw_arguments_list(call->arguments, "room", &rooms);
    rhn_int_t now_s = fw_clock_wall_ms() / 1000;
    rhn_int_t ttl_s = (ttl_ms + 999) / 1000;
    int result = r_jwt_set_claim_str_value(jwt, "sub", sub);
    if (result == RHN_OK)
        result = r_jwt_set_claim_int_value(jwt, "iat", now_s);
    if (result == RHN_OK)
        result = r_jwt_set_claim_int_value(jwt, "exp", now_s + ttl_s);
    if (result != RHN_OK || count == 0)
        return result;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_string(rooms[i])) != 0)
            result = RHN_ERROR_PARAM;
    if (result == RHN_OK)
        result = r_jwt_set_claim_json_t_value(jwt, "rooms", list);
    json_decref(list);
    return result;
}

/* The caller frees the result with r_free; NULL when a text is not UTF-8. */
static char *sign(const fw_call_t *call, const char *secret, const char *sub, int64_t ttl_ms)
{
    jwt_t *jwt = NULL;
    char *token = NULL;
    if (r_jwt_init(&jwt) != RHN_OK)
        return NULL;
    if (add_claims(jwt, call, sub, ttl_ms) == RHN_OK &&
        r_jwt_set_sign_alg(jwt, R_JWA_ALG_HS256) == RHN_OK &&
        r_jwt_add_sign_key_symmetric(jwt, (const unsigned char *)secret, strlen(secret)) == RHN_OK)
        token = r_jwt_serialize_signed(jwt, NULL, 0);
    r_jwt_free(jwt);
    return token;
}

fw_exit_t fw_token_command(const fw_call_t *call)
{
    const char *secret = fw_config_text(call->config, "gateway.jwt.secret");
    const char *sub = fw_arguments_text(call->arguments, "sub");
    const char *ttl = fw_arguments_text(call->arguments, "ttl");
    int64_t ttl_ms = INT64_C(10) * 60 * 1000;
    fw_config_error_t error;
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
    if (!*secret) {
        fw_complain(
            "set gateway.jwt.secret (FRESHWIRE_GATEWAY_JWT_SECRET or _FILE) to the gateway's own",
            "%s", "there is no secret to sign with");
        return FW_EXIT_AUTH;
    }
    char *token = sign(call, secret, sub, ttl_ms);
    if (!token) {
        fw_complain("are --sub and --room UTF-8?", "the token could not be signed");
        return FW_EXIT_FAILURE;
    }
    (void)puts(token);
    r_free(token);
    return FW_EXIT_OK;
}
