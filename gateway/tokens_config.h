/* tokens_config.h - whose tokens a gateway accepts.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FW_COOKIE_NAME_SIZE_MAX = 64 };

/* Texts are "" when not set, and borrowed. */
typedef struct {
    const char *secret;          /* HS256 */
    const char *previous_secret; /* HS256, while tokens of it are still about */
    const char *const *keys;     /* each PEM text, or the path of a PEM or JWKS file */
    size_t keys_count;
    const char *const *audiences; /* a token must be for one of them; none = for anybody */
    size_t audiences_count;
    const char *const *issuers; /* a token must be from one of them; none = from anybody */
    size_t issuers_count;
    int64_t leeway_ms;  /* how far clocks may differ */
    int64_t grace_ms;   /* for another token, after one has expired */
    const char *cookie; /* name of a cookie that may hold a token; needs origins */

    const char *jwks_url;     /* a JWKS that is fetched */
    const char *jwks_ca_file; /* who may vouch for its server; "" = the system's */
    int64_t jwks_refresh_ms;  /* fetched at least so often */
    int64_t jwks_cooldown_ms; /* fetched at most so often */
    int64_t jwks_keep_ms;     /* its keys are good for so long after the last fetch */
    int64_t jwks_timeout_ms;  /* for one fetch */
} fw_tokens_config_t;
