/* keys.h - keys and a ZAP handler for tests of links with CURVE.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include "runtime/security.h"

typedef struct {
    char public_key[FW_KEY_SIZE + 1];
    char secret_key[FW_KEY_SIZE + 1];
} keys_t;

keys_t keys_make(void);
/* Writes "name=<name> role=<role> key=<public> <more>" into a text that lives until the next 64
 * calls. */
const char *keys_rule(const keys_t *keys, const char *name, const char *role, const char *more);
/* Of a broker that lets these peers in. */
fw_security_t *keys_broker(const keys_t *own, const char *const *peers, size_t count);
/* Of a peer that trusts this server key. */
fw_security_t *keys_peer(const keys_t *own, const keys_t *server);
