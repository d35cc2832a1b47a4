/* link_security.c - see link_security.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/link_security.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Stands for a secret key when only the rest is to be checked; it is well-formed and nobody's. */
static const char nobody[] = "0000000000000000000000000000000000000000";

static fw_security_options_t read(const fw_config_t *config)
{
    fw_security_options_t options = {.secret_key = fw_config_text(config, "security.secret_key")};
    options.server_keys_count =
        fw_config_list(config, "security.server_keys", &options.server_keys);
    options.peers_count = fw_config_list(config, "security.peers", &options.peers);
    return options;
}

/* "security.peers: …" becomes "freshwire.yaml:12: security.peers: …". */
static int add_origin(const fw_config_t *config, const fw_config_error_t *error,
                      fw_config_error_t *ret_error)
{
    static const char *const paths[] = {"security.secret_key", "security.server_keys",
                                        "security.peers"};
    const char *origin = NULL;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strncmp(error->text, paths[i], strlen(paths[i])) == 0)
            origin = fw_config_origin(config, paths[i]);
    (void)snprintf(ret_error->text, sizeof ret_error->text, "%.150s%s%.350s", origin ? origin : "",
                   origin ? ": " : "", error->text);
    return -EINVAL;
}

static int make(const fw_config_t *config, const fw_security_options_t *options,
                fw_security_t **ret_security, fw_config_error_t *ret_error)
{
    fw_config_error_t error;
    int result = fw_security_new(options, ret_security, &error);
    return result == 0 ? 0 : add_origin(config, &error, ret_error);
}

int fw_link_security_check(const fw_config_t *config, fw_config_error_t *ret_error)
{
    fw_security_options_t options = read(config);
    fw_security_t *security = NULL;
    if (!*options.secret_key)
        options.secret_key = nobody;
    int result = make(config, &options, &security, ret_error);
    if (result == 0)
        fw_security_destroy(&security);
    return result;
}

bool fw_link_security_is_loopback(const char *bind)
{
    char address[INET6_ADDRSTRLEN] = "";
    struct in_addr ipv4;
    struct in6_addr ipv6;
    size_t size = strlen(bind);
    bool bracketed = size >= 2 && bind[0] == '[' && bind[size - 1] == ']';
    if (strcmp(bind, "localhost") == 0 || strcmp(bind, "lo") == 0)
        return true;
    if (size - (bracketed ? 2 : 0) >= sizeof address)
        return false;
    memcpy(address, bind + bracketed, size - (bracketed ? 2 : 0));
    if (inet_pton(AF_INET, address, &ipv4) == 1)
        return ntohl(ipv4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, address, &ipv6) == 1 && IN6_IS_ADDR_LOOPBACK(&ipv6);
}

static int fail(const fw_config_t *config, const char *path, const char *what,
                fw_config_error_t *ret_error)
{
    (void)snprintf(ret_error->text, sizeof ret_error->text, "%s: %s: %s",
                   fw_config_origin(config, path), path, what);
    return -EINVAL;
}

static int without_keys(const fw_config_t *config, fw_roles_t roles,
                        const fw_security_options_t *options, fw_config_error_t *ret_error)
{
    bool binds = roles & FW_ROLE_BROKER;
    const char *bind = fw_config_text(config, "broker.bind");
    if (binds ? options->peers_count > 0 : options->server_keys_count > 0) {
        return fail(config, binds ? "security.peers" : "security.server_keys",
                    "means links with keys, but security.secret_key is missing: set "
                    "FRESHWIRE_SECURITY_SECRET_KEY_FILE to a file that 'freshwire keys' made",
                    ret_error);
    }
    if (!binds || fw_link_security_is_loopback(bind) ||
        fw_config_bool(config, "security.allow_plaintext"))
        return 0;
    char what[320];
    (void)snprintf(what, sizeof what,
                   "\"%.64s\" can be reached from other machines, and the links have no keys: make "
                   "some with 'freshwire keys' and set security.secret_key and security.peers; or, "
                   "where the network itself keeps others out, security.allow_plaintext: true",
                   bind);
    return fail(config, "broker.bind", what, ret_error);
}

int fw_link_security_make(const fw_config_t *config, fw_roles_t roles, fw_security_t **ret_security,
                          fw_config_error_t *ret_error)
{
    fw_security_options_t options = read(config);
    *ret_security = NULL;
    if (!*options.secret_key)
        return without_keys(config, roles, &options, ret_error);
    if (!(roles & FW_ROLE_BROKER) && options.server_keys_count == 0) {
        return fail(config, "security.server_keys",
                    "is missing: the broker's public key, which 'freshwire keys --public' derives "
                    "from its secret one",
                    ret_error);
    }
    return make(config, &options, ret_security, ret_error);
}

int fw_link_security_reload(const fw_config_t *config, fw_security_t *security,
                            fw_config_error_t *ret_error)
{
    fw_security_options_t options = read(config);
    fw_config_error_t error;
    int result = fw_security_replace_peers(security, options.peers, options.peers_count, &error);
    return result == 0 ? 0 : add_origin(config, &error, ret_error);
}
