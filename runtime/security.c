/* security.c - see security.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/security.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <zmq.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"

/* ZMQ_ZAP_ENFORCE_DOMAIN: a stable option of libzmq 4.3 that its header hides among the drafts.
 * Without it everybody gets in when no ZAP handler runs. */
enum { ZAP_ENFORCE_DOMAIN = 93 };

static const char peers_option[] = "security.peers";

/* What can be replaced. Rules are kept, and not a keyring, so that each thread can have its own. */
typedef struct {
    pthread_mutex_t lock;
    _Atomic uint64_t generation;
    char **rules;
    size_t rules_count;
} peers_t;

struct fw_security {
    char secret_key[FW_KEY_SIZE + 1];
    char public_key[FW_KEY_SIZE + 1];
    char server_keys[FW_SERVER_KEYS_MAX][FW_KEY_SIZE + 1];
    size_t server_keys_count;
    peers_t *peers;
};

static int read_secret(fw_security_t *self, const char *secret, fw_config_error_t *ret_error)
{
    if (!secret || !*secret)
        return fw_config_fail(ret_error, -EINVAL,
                              "security.secret_key: is missing; 'freshwire keys' makes one");
    if (!fw_key_is_valid(secret)) {
        return fw_config_fail(
            ret_error, -EINVAL,
            "security.secret_key: must be 40 characters of Z85, as 'freshwire keys' makes them");
    }
    memcpy(self->secret_key, secret, FW_KEY_SIZE + 1);
    if (zmq_curve_public(self->public_key, self->secret_key) != 0)
        return fw_config_fail(ret_error, -errno,
                              "security.secret_key: ZeroMQ was built without CURVE");
    return 0;
}

static int read_server_keys(fw_security_t *self, const fw_security_options_t *options,
                            fw_config_error_t *ret_error)
{
    if (options->server_keys_count > FW_SERVER_KEYS_MAX) {
        return fw_config_fail(ret_error, -EINVAL,
                              "security.server_keys: must be at most %d keys, not %zu",
                              FW_SERVER_KEYS_MAX, options->server_keys_count);
    }
    for (size_t i = 0; i < options->server_keys_count; i++) {
        if (!fw_key_is_valid(options->server_keys[i])) {
            char shown[FW_CONFIG_SHOWN_MAX];
            fw_config_show(options->server_keys[i], shown);
            return fw_config_fail(
                ret_error, -EINVAL,
                "security.server_keys: must be public keys of 40 characters of Z85, not \"%s\"",
                shown);
        }
        memcpy(self->server_keys[i], options->server_keys[i], FW_KEY_SIZE + 1);
        self->server_keys_count = i + 1;
    }
    return 0;
}

static char **copy_rules(const char *const *rules, size_t count)
{
    char **copy = fw_alloc(count ? count : 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = fw_copy_text(rules[i], strlen(rules[i]));
    return copy;
}

static void free_rules(char **rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(rules[i]);
    free(rules);
}

static int check_rules(const char *const *rules, size_t count, fw_config_error_t *ret_error)
{
    fw_keyring_t *keyring = NULL;
    int result = fw_keyring_new(peers_option, rules, count, &keyring, ret_error);
    if (result == 0)
        fw_keyring_destroy(&keyring);
    return result;
}

int fw_security_new(const fw_security_options_t *options, fw_security_t **ret_security,
                    fw_config_error_t *ret_error)
{
    fw_security_t *self = fw_alloc(1, sizeof *self);
    int result = read_secret(self, options->secret_key, ret_error);
    if (result == 0)
        result = read_server_keys(self, options, ret_error);
    if (result == 0)
        result = check_rules(options->peers, options->peers_count, ret_error);
    if (result != 0) {
        fw_security_destroy(&self);
        return result;
    }
    self->peers = fw_alloc(1, sizeof *self->peers);
    int made = pthread_mutex_init(&self->peers->lock, NULL);
    assert(made == 0);
    (void)made;
    self->peers->rules = copy_rules(options->peers, options->peers_count);
    self->peers->rules_count = options->peers_count;
    atomic_store(&self->peers->generation, 1);
    *ret_security = self;
    return 0;
}

void fw_security_destroy(fw_security_t **self_p)
{
    fw_security_t *self = *self_p;
    if (!self)
        return;
    if (self->peers) {
        free_rules(self->peers->rules, self->peers->rules_count);
        (void)pthread_mutex_destroy(&self->peers->lock);
        free(self->peers);
    }
    explicit_bzero(self->secret_key, sizeof self->secret_key);
    free(self);
    *self_p = NULL;
}

const char *fw_security_public_key(const fw_security_t *self)
{
    return self->public_key;
}

size_t fw_security_server_keys_count(const fw_security_t *self)
{
    return self ? self->server_keys_count : 0;
}

int fw_security_replace_peers(fw_security_t *self, const char *const *peers, size_t count,
                              fw_config_error_t *ret_error)
{
    int result = check_rules(peers, count, ret_error);
    if (result != 0)
        return result;
    char **rules = copy_rules(peers, count);
    (void)pthread_mutex_lock(&self->peers->lock);
    char **old_rules = self->peers->rules;
    size_t old_count = self->peers->rules_count;
    self->peers->rules = rules;
    self->peers->rules_count = count;
    (void)pthread_mutex_unlock(&self->peers->lock);
    atomic_fetch_add(&self->peers->generation, 1);
    free_rules(old_rules, old_count);
    return 0;
}

uint64_t fw_security_generation(const fw_security_t *self)
{
    return atomic_load_explicit(&self->peers->generation, memory_order_acquire);
}

fw_keyring_t *fw_security_keyring(const fw_security_t *self)
{
    fw_keyring_t *keyring = NULL;
    fw_config_error_t error;
    (void)pthread_mutex_lock(&self->peers->lock);
    int result = fw_keyring_new(peers_option, (const char *const *)self->peers->rules,
                                self->peers->rules_count, &keyring, &error);
    (void)pthread_mutex_unlock(&self->peers->lock);
    assert(result == 0); /* they were checked when they came in */
    (void)result;
    return keyring;
}

static int set_text(void *raw, int option, const char *text)
{
    return zmq_setsockopt(raw, option, text, strlen(text)) == 0 ? 0 : -errno;
}

static int set_key(void *raw, int option, const char *key)
{
    /* Text keys are given with their closing 0. */
    return zmq_setsockopt(raw, option, key, FW_KEY_SIZE + 1) == 0 ? 0 : -errno;
}

/* Read back, because a library that does not know the option would leave the door open. */
static int enforce_domain(void *raw)
{
    int on = 1;
    size_t size = sizeof on;
    if (zmq_setsockopt(raw, ZAP_ENFORCE_DOMAIN, &on, sizeof on) != 0)
        return -errno;
    on = 0;
    if (zmq_getsockopt(raw, ZAP_ENFORCE_DOMAIN, &on, &size) != 0)
        return -errno;
    return on == 1 ? 0 : -ENOTSUP;
}

int fw_security_serve(const fw_security_t *self, void *raw, fw_domain_t domain)
{
    const int on = 1;
    int result = set_text(raw, ZMQ_ZAP_DOMAIN, fw_domain_name(domain));
    if (result == 0)
        result = enforce_domain(raw);
    if (result == 0)
        result = zmq_setsockopt(raw, ZMQ_CURVE_SERVER, &on, sizeof on) == 0 ? 0 : -errno;
    if (result == 0)
        result = set_key(raw, ZMQ_CURVE_SECRETKEY, self->secret_key);
    return result;
}

int fw_security_join(const fw_security_t *self, void *raw, unsigned server_key)
{
    if (self->server_keys_count == 0)
        return -EINVAL;
    int result =
        set_key(raw, ZMQ_CURVE_SERVERKEY, self->server_keys[server_key % self->server_keys_count]);
    if (result == 0)
        result = set_key(raw, ZMQ_CURVE_PUBLICKEY, self->public_key);
    if (result == 0)
        result = set_key(raw, ZMQ_CURVE_SECRETKEY, self->secret_key);
    return result;
}
