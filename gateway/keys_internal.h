/* keys_internal.h - what the files of the keys share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <gnutls/abstract.h>

#include "gateway/keys.h"

/* The one algorithm of a public key; false when it has none here, or is too weak. */
bool fw_keys_algorithm(gnutls_pubkey_t public, fw_key_algorithm_t *ret_algorithm);
/* Takes the key unless it fails. -EINVAL: no key for us; -ENOSPC: too many. */
int fw_keys_add_public(fw_keys_t *self, fw_text_t id, gnutls_pubkey_t *public_p)
    __attribute__((warn_unused_result));
