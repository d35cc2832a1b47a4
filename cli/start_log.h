/* start_log.h - the log as the options log.* want it.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "runtime/config.h"

/* For a process that runs roles; before its first actor. */
void fw_start_log(const fw_config_t *config);
