/* fuzz_token.c - any bytes as a token, as a signed token's header and claims, as a Cookie header.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "gateway/auth.h"
#include "gateway/base64url.h"
#include "gateway/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WALL_S = 1700000000, HASH_SIZE = 32 };

static const char secret[] = "nobody who makes tokens here knows it";
static const char known[] = "this secret signs what is made of the input";

/* Keys whose private halves are nowhere. */
static const char set[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static fw_auth_t *make_auth(const char *hs256, bool awaits)
{
    static const char *const audiences[] = {"sync"};
    const fw_auth_policy_t policy = {
        .audiences = audiences, .audiences_count = awaits ? 1 : 0, .leeway_s = 5, .awaits = awaits};
    const char *reason = "";
    size_t skipped = 0;
    fw_keys_t *keys = fw_keys_new();
    fw_auth_t *auth = fw_auth_new(&policy);
    require(fw_keys_add_secret(keys, FW_TEXT_NONE,
                               (fw_bytes_t){(const uint8_t *)hs256, strlen(hs256)}, &reason) == 0);
    require(fw_keys_add_jwks(keys, (fw_bytes_t){(const uint8_t *)set, sizeof set - 1}, false,
                             &skipped, &reason) == 0);
    fw_auth_set_fixed(auth, &keys);
    return auth;
}

static void use_claims(const fw_claims_t *claims)
{
    static const char *const channels[] = {"broadcast", "user:a", "room:a", "room:lobby", "x"};
    const fw_claim_t keep[FW_ACTIONS] = {{.given = false}, {.given = false}, {.given = false}};
    fw_claims_t *same = NULL;
    require(fw_claims_user(claims).size > 0);
    require(fw_claims_expires_s(claims) >= 0);
    require(fw_claims_with(claims, keep, &same) == 0);
    require(fw_claims_bytes(same) == fw_claims_bytes(claims));
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int action = 0; action < FW_ACTIONS; action++)
            require(fw_claims_may(claims, (fw_action_t)action, fw_text(channels[i])) ==
                    fw_claims_may(same, (fw_action_t)action, fw_text(channels[i])));
    require(!fw_claims_may(claims, FW_ACTION_PUBLISH, FW_TEXT("broadcast")));
    fw_claims_destroy(&same);
}

static int verify(const fw_auth_t *auth, fw_text_t token)
{
    fw_claims_t *claims = NULL;
    const char *reason = "";
    int result = fw_auth_verify(auth, token, WALL_S, &claims, &reason);
    require((claims != NULL) == (result == 0));
    require(result == 0 || (*reason && strlen(reason) <= 123));
    if (claims)
        use_claims(claims);
    fw_claims_destroy(&claims);
    return result;
}

static size_t encode(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int held = 0;
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            out[written++] = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        out[written++] = digits[bits << (6 - held) & 63];
    return written;
}

/* "<header>\n<claims>", signed well. */
static void check_signed(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t header_size = line ? (size_t)(line - data) : 0;
    if (!line || size > FW_TOKEN_SIZE_MAX)
        return;
    char *token = malloc(size * 2 + 128);
    uint8_t hash[HASH_SIZE];
    size_t used = encode(data, header_size, token);
    token[used++] = '.';
    used += encode(line + 1, size - header_size - 1, token + used);
    require(gnutls_hmac_fast(GNUTLS_MAC_SHA256, known, sizeof known - 1, token, used, hash) == 0);
    token[used++] = '.';
    used += encode(hash, sizeof hash, token + used);
    fw_auth_t *open = make_auth(known, false);
    fw_auth_t *strict = make_auth(known, true);
    /* Who wants an audience lets in no more than who wants none. */
    int result = verify(open, (fw_text_t){token, used});
    require(verify(strict, (fw_text_t){token, used}) != 0 || result == 0);
    fw_auth_destroy(&open);
    fw_auth_destroy(&strict);
    free(token);
}

static void check_texts(fw_text_t text)
{
    uint8_t bytes[512];
    char again[1024];
    size_t size = 0;
    fw_text_t value = FW_TEXT_NONE;
    if (fw_cookie_find(text, FW_TEXT("token"), &value) == 0)
        require(value.size > 0 && value.text >= text.text &&
                value.text + value.size <= text.text + text.size);
    if (fw_base64url_decode(text, bytes, sizeof bytes, &size) == 0)
        require(encode(bytes, size, again) == text.size &&
                memcmp(again, text.text, text.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_text_t text = {(const char *)data, size};
    fw_auth_t *auth = make_auth(secret, true);
    /* Nobody can sign for these keys. */
    require(verify(auth, text) != 0);
    fw_auth_destroy(&auth);
    check_signed(data, size);
    check_texts(text);
    return 0;
}
