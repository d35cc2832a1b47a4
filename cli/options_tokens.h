/* options_tokens.h - the options gateway.jwt.*.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "gateway/tokens_config.h"
#include "runtime/config.h"

/* Texts are borrowed from config. */
fw_tokens_config_t fw_options_tokens(const fw_config_t *config);

/* Tokens of some key are accepted. */
bool fw_options_has_keys(const fw_config_t *config);

/* What no single option's range can say, and what their files hold. 0, or -EINVAL with ret_error
 * naming the option. */
int fw_options_check_tokens(const fw_config_t *config, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
