/* usage.c - the help, written from the command table.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/usage.h"

#include <stdarg.h>
#include <string.h>

#include "cli/load.h"

enum { FLAG_WIDTH = 26 };

void fw_complain(const char *hint, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (hint)
        (void)fprintf(stderr, "freshwire: %s\n%s\n", message, hint);
    else
        (void)fprintf(stderr, "freshwire: %s\n", message);
}

void fw_usage(FILE *out)
{
    size_t count;
    const fw_command_t *commands = fw_commands(&count);
    (void)fputs("Freshwire keeps browsers, caches and backends in step.\n\n"
                "Usage: freshwire COMMAND [FLAGS]\n\n",
                out);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\n'freshwire help COMMAND' shows its flags. Every option of 'freshwire config "
                "doc' is a flag of every\n"
                "command, an environment variable and a key of the file given with --config.\n"
                "Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration, 4 authentication, 5 nobody "
                "answers.\n",
                out);
}

static void write_flags(const fw_argument_t *arguments, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        char flag[64];
        (void)snprintf(flag, sizeof flag, "--%s%s%s%s", arguments[i].name,
                       arguments[i].value ? " " : "", arguments[i].value ? arguments[i].value : "",
                       arguments[i].kind == FW_ARGUMENT_LIST ? " ..." : "");
        (void)fprintf(out, "  %-*s %s\n", FLAG_WIDTH, flag, arguments[i].help);
    }
}

void fw_usage_command(const fw_command_t *command, FILE *out)
{
    size_t count;
    const fw_argument_t *globals = fw_global_arguments(&count);
    (void)fprintf(out, "freshwire %s: %s\n\nUsage: freshwire %s", command->name, command->summary,
                  command->name);
    if (command->words)
        (void)fprintf(out, " %s", command->words);
    else if (command->word)
        (void)fprintf(out, " [%s]", command->word);
    (void)fputs(command->unconfigured ? " [FLAGS]\n\n" : " [FLAGS] [OPTIONS]\n\n", out);
    write_flags(command->arguments, command->arguments_count, out);
    write_flags(globals, count, out);
    if (command->details)
        (void)fprintf(out, "\n%s\n", command->details);
    if (command->examples)
        (void)fprintf(out, "\nExamples:\n%s\n", command->examples);
}

fw_exit_t fw_help_command(const fw_call_t *call)
{
    if (!*call->word) {
        fw_usage(stdout);
        return FW_EXIT_OK;
    }
    const fw_command_t *command = fw_command_find(call->word);
    if (!command) {
        fw_complain("see 'freshwire help' for the commands", "there is no command \"%.80s\"",
                    call->word);
        return FW_EXIT_USAGE;
    }
    fw_usage_command(command, stdout);
    return FW_EXIT_OK;
}
