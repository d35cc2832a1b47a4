/* link_security.h - the keys of the broker's links, from the options "security".
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "cli/options.h"
#include "runtime/security.h"

/* Are the keys and rules well-formed? The secret key may be missing, so that a shared file can be
 * checked without it. 0, or -EINVAL with ret_error naming the option and where it was set. */
int fw_link_security_check(const fw_config_t *config, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));

/* What these roles need. 0 and *ret_security, which is NULL when there are no keys; or -EINVAL with
 * ret_error, which says what to do: lists without a secret key, no server key to connect with, or
 * a broker that would listen without keys where others than this machine reach it. */
int fw_link_security_make(const fw_config_t *config, fw_roles_t roles, fw_security_t **ret_security,
                          fw_config_error_t *ret_error) __attribute__((warn_unused_result));

/* Lets in the peers of another configuration. As fw_link_security_check; then nothing changed. */
int fw_link_security_reload(const fw_config_t *config, fw_security_t *security,
                            fw_config_error_t *ret_error) __attribute__((warn_unused_result));

/* Pure: is it an address that only this machine reaches? A name other than localhost is not. */
bool fw_link_security_is_loopback(const char *bind);
