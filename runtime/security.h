/* security.h - who this process is on ZeroMQ's links, and whom it trusts.
 * SPDX-License-Identifier: MPL-2.0
 * Made once, before any socket, and shared by all of them. Its own key and the servers' keys never
 * change; the peers that are let in can be replaced while everything runs. Any thread. */
#pragma once

#include "runtime/keyring.h"

typedef struct fw_security fw_security_t;

typedef struct {
    const char *secret_key;         /* this process's own; 40 characters */
    const char *const *server_keys; /* public keys of the broker, for sockets that connect; several
                                       while the broker's key is replaced */
    size_t server_keys_count;
    const char *const *peers; /* rules of runtime/keyring.h, for sockets that are bound */
    size_t peers_count;
} fw_security_options_t;

enum { FW_SERVER_KEYS_MAX = 16 };

/* Copies everything. 0, or -EINVAL with ret_error, which begins with the option's path. */
int fw_security_new(const fw_security_options_t *options, fw_security_t **ret_security,
                    fw_config_error_t *ret_error) __attribute__((warn_unused_result));
void fw_security_destroy(fw_security_t **self_p); /* after every socket; NULL-safe */

/* The public half of its own key. */
const char *fw_security_public_key(const fw_security_t *self);
/* How many keys a connecting socket can try: one at each opening. 0 for NULL. */
size_t fw_security_server_keys_count(const fw_security_t *self);

/* Lets in these peers instead. 0, or -EINVAL with ret_error, and nothing has changed. */
int fw_security_replace_peers(fw_security_t *self, const char *const *peers, size_t count,
                              fw_config_error_t *ret_error) __attribute__((warn_unused_result));
/* Grows at each replacement. Each thread has a keyring of its own and takes another when it does.
 */
uint64_t fw_security_generation(const fw_security_t *self);
/* The caller's own copy of who is let in now. */
fw_keyring_t *fw_security_keyring(const fw_security_t *self) __attribute__((warn_unused_result));

/* For runtime/socket.c: make a raw socket a CURVE server of a ZAP domain, which nobody enters
 * unless a ZAP handler lets him in; or a CURVE client that trusts server key number server_key
 * (modulo their number) only. 0 or a negative errno: -EINVAL without server keys. */
int fw_security_serve(const fw_security_t *self, void *raw, fw_domain_t domain)
    __attribute__((warn_unused_result));
int fw_security_join(const fw_security_t *self, void *raw, unsigned server_key)
    __attribute__((warn_unused_result));
