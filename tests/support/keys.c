/* keys.c - see keys.h.   SPDX-License-Identifier: MPL-2.0 */
#include "keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <zmq.h>

enum { RULES = 64, RULE_SIZE_MAX = 512 };

keys_t keys_make(void)
{
    keys_t keys;
    if (zmq_curve_keypair(keys.public_key, keys.secret_key) != 0)
        abort();
    return keys;
}

const char *keys_rule(const keys_t *keys, const char *name, const char *role, const char *more)
{
    static char rules[RULES][RULE_SIZE_MAX];
    static size_t next;
    char *rule = rules[next++ % RULES];
    (void)snprintf(rule, RULE_SIZE_MAX, "name=%s role=%s key=%s %s", name, role, keys->public_key,
                   more);
    return rule;
}

static fw_security_t *make(const fw_security_options_t *options)
{
    fw_security_t *security = NULL;
    fw_config_error_t error = {""};
    if (fw_security_new(options, &security, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return security;
}

fw_security_t *keys_broker(const keys_t *own, const char *const *peers, size_t count)
{
    fw_security_options_t options = {
        .secret_key = own->secret_key, .peers = peers, .peers_count = count};
    return make(&options);
}

fw_security_t *keys_peer(const keys_t *own, const keys_t *server)
{
    const char *servers[] = {server->public_key};
    fw_security_options_t options = {
        .secret_key = own->secret_key, .server_keys = servers, .server_keys_count = 1};
    return make(&options);
}
