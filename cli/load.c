/* load.c - from a command line to what the command is given.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "runtime/alloc.h"

static const fw_argument_t globals[] = {
    {"config", FW_ARGUMENT_TEXT, "FILE", "read options from this YAML file (or FRESHWIRE_CONFIG)"},
    {"help", FW_ARGUMENT_FLAG, NULL, "show this text"},
};

enum { GLOBALS = sizeof globals / sizeof *globals };

/* Variables of ours that are no options: other programs' (the client libraries, the tests), and the
 * file's name. */
static const char *const foreign_variables[] = {
    "FRESHWIRE_CONFIG",          "FRESHWIRE_BINARY",      "FRESHWIRE_PUBLISH_ENDPOINT",
    "FRESHWIRE_PUBLISH_TIMEOUT", "FRESHWIRE_PUBLISH_KEY", "FRESHWIRE_PUBLISH_KEY_FILE",
};

const fw_argument_t *fw_global_arguments(size_t *ret_count)
{
    *ret_count = GLOBALS;
    return globals;
}

static bool is_foreign(const char *entry)
{
    size_t size = strcspn(entry, "=");
    for (size_t i = 0; i < sizeof foreign_variables / sizeof *foreign_variables; i++)
        if (strlen(foreign_variables[i]) == size && memcmp(foreign_variables[i], entry, size) == 0)
            return true;
    return false;
}

static char **copy_environment(void)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = fw_alloc(count + 1, sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_foreign(environ[i]))
            copy[kept++] = environ[i];
    return copy;
}

static fw_exit_t fail(fw_config_error_t *ret_error, fw_exit_t result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static fw_exit_t fail(fw_config_error_t *ret_error, fw_exit_t result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(ret_error->text, sizeof ret_error->text, format, arguments);
    va_end(arguments);
    return result;
}

/* Flags and words are the command line's fault; everything else is the configuration's. */
static fw_exit_t blame(const fw_command_t *command, fw_config_error_t *error)
{
    if (strncmp(error->text, "--", 2) != 0)
        return FW_EXIT_CONFIG;
    const char *near =
        strstr(error->text, "unknown flag")
            ? fw_arguments_nearest(command->arguments, command->arguments_count, error->text)
            : NULL;
    if (near) {
        size_t name_size = strcspn(error->text, ":");
        (void)snprintf(error->text + name_size, sizeof error->text - name_size,
                       ": unknown flag; did you mean --%s?", near);
    }
    return FW_EXIT_USAGE;
}

static bool is_one_of(const char *word, const char *words)
{
    size_t size = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == size && memcmp(at, word, size) == 0)
            return true;
    return false;
}

static fw_exit_t take_words(const fw_command_t *command, fw_loaded_t *loaded, int argc,
                            fw_config_error_t *ret_error)
{
    int allowed = command->word ? 1 : 0;
    if (argc - 1 > allowed)
        return fail(ret_error, FW_EXIT_USAGE, "unexpected argument \"%.80s\"",
                    loaded->argv[1 + allowed]);
    loaded->call.word = argc > 1 ? loaded->argv[1] : "";
    if (command->words && argc < 2)
        return fail(ret_error, FW_EXIT_USAGE, "one of %s is missing", command->words);
    if (command->words && !is_one_of(loaded->call.word, command->words))
        return fail(ret_error, FW_EXIT_USAGE, "unknown argument; expected one of %s",
                    command->words);
    return FW_EXIT_OK;
}

static fw_exit_t take_arguments(const fw_command_t *command, fw_loaded_t *loaded, int *argc,
                                fw_config_error_t *ret_error)
{
    char error[FW_ARGUMENT_ERROR_SIZE] = "";
    if (fw_arguments_take(command->arguments, command->arguments_count, argc, loaded->argv,
                          &loaded->arguments, error) != 0 ||
        fw_arguments_take(globals, GLOBALS, argc, loaded->argv, &loaded->globals, error) != 0)
        return fail(ret_error, FW_EXIT_USAGE, "%s", error);
    const char *file = fw_arguments_text(loaded->globals, "config");
    const char *variable = getenv("FRESHWIRE_CONFIG");
    if (!file && variable && *variable)
        file = variable;
    loaded->call.file = file;
    return FW_EXIT_OK;
}

static fw_exit_t load_config(const fw_command_t *command, fw_loaded_t *loaded, int *argc,
                             fw_config_error_t *ret_error)
{
    size_t count;
    const fw_option_t *options = fw_options(&count);
    loaded->environment = copy_environment();
    int result = fw_config_load(options, count, loaded->call.file, loaded->environment, argc,
                                loaded->argv, &loaded->config, ret_error);
    if (result == 0)
        result = fw_options_check(loaded->config, ret_error);
    return result == 0 ? FW_EXIT_OK : blame(command, ret_error);
}

fw_exit_t fw_load(const fw_command_t *command, int argc, char *const *argv, fw_loaded_t *ret_loaded,
                  fw_config_error_t *ret_error)
{
    fw_loaded_t loaded = {.call = {.command = command, .argc = argc, .argv = argv}};
    loaded.argv = fw_alloc((size_t)argc + 1, sizeof *loaded.argv);
    memcpy(loaded.argv, argv, (size_t)argc * sizeof *argv);
    int left = argc;
    fw_exit_t result = take_arguments(command, &loaded, &left, ret_error);
    if (result == FW_EXIT_OK && !command->unconfigured)
        result = load_config(command, &loaded, &left, ret_error);
    if (result == FW_EXIT_OK && command->unconfigured && left > 1 &&
        strncmp(loaded.argv[1], "--", 2) == 0)
        result = fail(ret_error, FW_EXIT_USAGE, "%.80s: unknown flag", loaded.argv[1]);
    if (result == FW_EXIT_OK)
        result = take_words(command, &loaded, left, ret_error);
    if (result != FW_EXIT_OK) {
        fw_unload(&loaded);
        return result;
    }
    loaded.call.config = loaded.config;
    loaded.call.arguments = loaded.arguments;
    *ret_loaded = loaded;
    return FW_EXIT_OK;
}

void fw_unload(fw_loaded_t *loaded)
{
    fw_config_destroy(&loaded->config);
    fw_arguments_destroy(&loaded->arguments);
    fw_arguments_destroy(&loaded->globals);
    free(loaded->environment);
    free(loaded->argv);
    *loaded = (fw_loaded_t){.argv = NULL};
}
