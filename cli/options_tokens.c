/* options_tokens.c - see options_tokens.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/options_tokens.h"

#include <errno.h>
#include <string.h>

#include "gateway/token_rules.h"

fw_tokens_config_t fw_options_tokens(const fw_config_t *config)
{
    fw_tokens_config_t tokens = {
        .secret = fw_config_text(config, "gateway.jwt.secret"),
        .previous_secret = fw_config_text(config, "gateway.jwt.previous_secret"),
        .leeway_ms = fw_config_number(config, "gateway.jwt.leeway"),
        .grace_ms = fw_config_number(config, "gateway.jwt.grace"),
        .cookie = fw_config_text(config, "gateway.jwt.cookie"),
        .jwks_url = fw_config_text(config, "gateway.jwt.jwks_url"),
        .jwks_ca_file = fw_config_text(config, "gateway.jwt.jwks_ca"),
        .jwks_refresh_ms = fw_config_number(config, "gateway.jwt.jwks_refresh"),
        .jwks_cooldown_ms = fw_config_number(config, "gateway.jwt.jwks_cooldown"),
        .jwks_keep_ms = fw_config_number(config, "gateway.jwt.jwks_keep"),
        .jwks_timeout_ms = fw_config_number(config, "gateway.jwt.jwks_timeout"),
    };
    tokens.keys_count = fw_config_list(config, "gateway.jwt.keys", &tokens.keys);
    tokens.audiences_count = fw_config_list(config, "gateway.jwt.audiences", &tokens.audiences);
    tokens.issuers_count = fw_config_list(config, "gateway.jwt.issuers", &tokens.issuers);
    return tokens;
}

bool fw_options_has_keys(const fw_config_t *config)
{
    fw_tokens_config_t tokens = fw_options_tokens(config);
    return *tokens.secret || *tokens.previous_secret || *tokens.jwks_url || tokens.keys_count > 0;
}

static int refuse(const fw_config_t *config, const char *path, const char *what,
                  fw_config_error_t *ret_error)
{
    (void)snprintf(ret_error->text, sizeof ret_error->text, "%s: %s: %s",
                   fw_config_origin(config, path), path, what);
    return -EINVAL;
}

/* A token of RFC 6265: what may be the name of a cookie. */
static bool is_cookie_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~";
    return strlen(name) <= FW_COOKIE_NAME_SIZE_MAX && strspn(name, allowed) == strlen(name);
}

/* Is the address this machine's own, so that nobody is between? */
static bool is_local(const char *host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i]);
        if (strncmp(host, names[i], size) == 0 && strchr(":/", host[size]))
            return true;
    }
    return false;
}

static int check_url(const fw_config_t *config, fw_config_error_t *ret_error)
{
    static const char path[] = "gateway.jwt.jwks_url";
    const char *url = fw_config_text(config, path);
    bool encrypted = strncmp(url, "https://", strlen("https://")) == 0;
    bool plain = strncmp(url, "http://", strlen("http://")) == 0;
    if (!*url)
        return 0;
    if (!encrypted && !plain)
        return refuse(config, path, "must begin with https://", ret_error);
    if (strchr(url, '@') || strcspn(url, " \t\r\n#") != strlen(url))
        return refuse(config, path, "must not hold a password, a fragment or blanks", ret_error);
    if (plain && !is_local(url + strlen("http://")) &&
        !fw_config_bool(config, "security.allow_plaintext")) {
        return refuse(config, path,
                      "over http whoever is between could put in a key; use https, or set "
                      "security.allow_plaintext",
                      ret_error);
    }
    return 0;
}

int fw_options_check_tokens(const fw_config_t *config, fw_config_error_t *ret_error)
{
    const char *const *origins = NULL;
    const char *cookie = fw_config_text(config, "gateway.jwt.cookie");
    if (!is_cookie_name(cookie))
        return refuse(config, "gateway.jwt.cookie", "must be the name of a cookie", ret_error);
    if (*cookie && fw_config_list(config, "gateway.origins", &origins) == 0) {
        return refuse(config, "gateway.jwt.cookie",
                      "needs gateway.origins: browsers send cookies along with what the pages of "
                      "others ask for",
                      ret_error);
    }
    if (fw_config_number(config, "gateway.jwt.jwks_cooldown") >
        fw_config_number(config, "gateway.jwt.jwks_refresh"))
        return refuse(config, "gateway.jwt.jwks_cooldown",
                      "must not be longer than gateway.jwt.jwks_refresh", ret_error);
    return check_url(config, ret_error);
}
