/* duration.h - a duration or number given to a command's own flag, by the rules of the options.
 * SPDX-License-Identifier: MPL-2.0 Pure. */
#pragma once

#include "runtime/config.h"

/* "10m" and so on, min_ms..max_ms. 0, or -EINVAL with ret_error: what, limit and value. */
int fw_duration_parse(const char *flag, const char *text, int64_t min_ms, int64_t max_ms,
                      int64_t *ret_ms, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
int fw_number_parse(const char *flag, const char *text, int64_t min, int64_t max,
                    int64_t *ret_number, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
