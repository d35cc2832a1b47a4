/* main.c - the freshwire binary: finds the command, loads what it needs, runs it.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/load.h"
#include "cli/usage.h"

static fw_exit_t refuse(const fw_command_t *command, fw_exit_t result,
                        const fw_config_error_t *error)
{
    char hint[160];
    if (result == FW_EXIT_USAGE) {
        (void)snprintf(hint, sizeof hint,
                       "see 'freshwire help %s', or 'freshwire config doc' for all options",
                       command->name);
    } else {
        (void)snprintf(hint, sizeof hint,
                       "see 'freshwire config doc' for all options and their limits");
    }
    fw_complain(hint, "%s", error->text);
    return result;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static fw_exit_t run(const fw_command_t *command, int argc, char *const *argv)
{
    if (asks_for_help(argc, argv)) {
        fw_usage_command(command, stdout);
        return FW_EXIT_OK;
    }
    fw_loaded_t loaded;
    fw_config_error_t error;
    fw_exit_t result = fw_load(command, argc, argv, &loaded, &error);
    if (result != FW_EXIT_OK)
        return refuse(command, result, &error);
    result = command->run(&loaded.call);
    fw_unload(&loaded);
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 && result == FW_EXIT_OK)
        result = FW_EXIT_FAILURE;
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fw_usage(stderr);
        return FW_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const fw_command_t *command = fw_command_find(name);
    if (!command) {
        fw_complain("see 'freshwire help' for the commands", "there is no command \"%.80s\"", name);
        return FW_EXIT_USAGE;
    }
    /* The program's name stays in front, as every parser of a command line expects. */
    argv[1] = argv[0];
    return (int)run(command, argc - 1, argv + 1);
}
