/* usage.h - the help, written from the command table.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stdio.h>

#include "cli/command.h"

void fw_usage(FILE *out);
void fw_usage_command(const fw_command_t *command, FILE *out);
