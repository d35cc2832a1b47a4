/* ports_file.h - tells scripts and tests which ports were taken.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include "cli/roles.h"

/* Writes the addresses of what runs here as one JSON object, complete at once (a reader never sees
 * half of it). 0 or a negative errno. */
int fw_ports_file_write(const char *path, const fw_addresses_t *addresses)
    __attribute__((warn_unused_result));
