/* load.h - from a command line to what the command is given.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "cli/command.h"

typedef struct {
    fw_call_t call;
    fw_config_t *config;
    fw_arguments_t *globals;
    fw_arguments_t *arguments;
    char **argv; /* the copy that was taken apart */
    char **environment;
} fw_loaded_t;

/* Reads the flags of the command, the configuration file (--config or FRESHWIRE_CONFIG), the
 * environment and the options among the flags, and checks them. argv[0] is the program, argv[1] the
 * first argument behind the command; both stay the caller's and must outlive the result.
 * FW_EXIT_OK; or FW_EXIT_USAGE or FW_EXIT_CONFIG with ret_error (then there is nothing to unload).
 */
fw_exit_t fw_load(const fw_command_t *command, int argc, char *const *argv, fw_loaded_t *ret_loaded,
                  fw_config_error_t *ret_error) __attribute__((warn_unused_result));
void fw_unload(fw_loaded_t *loaded);

/* The flags that every command takes. */
const fw_argument_t *fw_global_arguments(size_t *ret_count);
