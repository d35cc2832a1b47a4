/* test_load.c - from a command line to what a command is given.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/load.h"
#include "cli/usage.h"

enum { WORDS_MAX = 16, WORD_SIZE = 128 };

typedef struct {
    char words[WORDS_MAX][WORD_SIZE];
    char *argv[WORDS_MAX + 1];
    fw_loaded_t loaded;
    fw_config_error_t error;
} line_t;

static fw_exit_t load(line_t *line, const char *command, const char *const *words)
{
    int argc = 0;
    *line = (line_t){.error = {.text = ""}};
    for (; words[argc]; argc++) {
        (void)snprintf(line->words[argc], WORD_SIZE, "%s", words[argc]);
        line->argv[argc] = line->words[argc];
    }
    return fw_load(fw_command_find(command), argc, line->argv, &line->loaded, &line->error);
}

#define LOAD(line, command, ...)                                                                   \
    load((line), (command), (const char *const[]){"freshwire", __VA_ARGS__, NULL})

static void a_wrong_flag_is_a_matter_of_usage(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(LOAD(&line, "publish", "--chanel", "x"), FW_EXIT_USAGE);
    assert_string_equal(line.error.text, "--chanel: unknown flag; did you mean --channel?");
    assert_int_equal(LOAD(&line, "broker", "--broker-bnd", "x"), FW_EXIT_USAGE);
    assert_non_null(strstr(line.error.text, "--broker-bind"));
    assert_int_equal(LOAD(&line, "broker", "--broker-credit", "0"), FW_EXIT_USAGE);
    assert_int_equal(LOAD(&line, "version", "--broker-bind", "x"), FW_EXIT_USAGE);
    assert_int_equal(LOAD(&line, "publish", "--type"), FW_EXIT_USAGE);
}

static void a_wrong_word_is_a_matter_of_usage(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(LOAD(&line, "broker", "now"), FW_EXIT_USAGE);
    assert_string_equal(line.error.text, "unexpected argument \"now\"");
    assert_int_equal(load(&line, "config", (const char *const[]){"freshwire", NULL}),
                     FW_EXIT_USAGE);
    assert_int_equal(LOAD(&line, "config", "chec"), FW_EXIT_USAGE);
    assert_int_equal(LOAD(&line, "config", "check", "print"), FW_EXIT_USAGE);
}

static void a_wrong_file_or_variable_is_a_matter_of_configuration(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(LOAD(&line, "config", "check", "--config", "/nowhere/freshwire.yaml"),
                     FW_EXIT_CONFIG);
    assert_non_null(strstr(line.error.text, "/nowhere/freshwire.yaml"));
    assert_int_equal(setenv("FRESHWIRE_BROKER_CREDIT", "many", 1), 0);
    assert_int_equal(LOAD(&line, "config", "check"), FW_EXIT_CONFIG);
    assert_non_null(strstr(line.error.text, "FRESHWIRE_BROKER_CREDIT"));
    assert_int_equal(LOAD(&line, "version", "--json"), FW_EXIT_OK);
    fw_unload(&line.loaded);
    assert_int_equal(unsetenv("FRESHWIRE_BROKER_CREDIT"), 0);
    assert_int_equal(setenv("FRESHWIRE_GATEWAY_PREFIX", "bad", 1), 0);
    assert_int_equal(LOAD(&line, "gateway", "--log-level", "debug"), FW_EXIT_CONFIG);
    assert_int_equal(unsetenv("FRESHWIRE_GATEWAY_PREFIX"), 0);
}

static void variables_of_the_client_libraries_are_not_options(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(setenv("FRESHWIRE_PUBLISH_ENDPOINT", "http://gateway", 1), 0);
    assert_int_equal(setenv("FRESHWIRE_PUBLISH_TIMEOUT", "2.5", 1), 0);
    assert_int_equal(LOAD(&line, "config", "check"), FW_EXIT_OK);
    fw_unload(&line.loaded);
    assert_int_equal(unsetenv("FRESHWIRE_PUBLISH_ENDPOINT"), 0);
    assert_int_equal(unsetenv("FRESHWIRE_PUBLISH_TIMEOUT"), 0);
}

static void flags_win_over_the_file_and_can_be_loaded_again(void **state)
{
    (void)state;
    char path[] = "/tmp/freshwire-test-XXXXXX";
    static const char text[] =
        "log:\n  level: debug\nbroker:\n  ports:\n    jobs: 1234\n  credit: 5\n";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    line_t line;
    assert_int_equal(setenv("FRESHWIRE_CONFIG", path, 1), 0);
    assert_int_equal(LOAD(&line, "broker", "--broker-credit=7", "--ports-file", "p.json"),
                     FW_EXIT_OK);
    assert_int_equal(unsetenv("FRESHWIRE_CONFIG"), 0);
    const fw_call_t *call = &line.loaded.call;
    assert_string_equal(call->file, path);
    assert_int_equal(fw_config_number(call->config, "broker.credit"), 7);
    assert_int_equal(fw_config_number(call->config, "broker.ports.jobs"), 1234);
    assert_string_equal(fw_arguments_text(call->arguments, "ports-file"), "p.json");
    fw_loaded_t again;
    assert_int_equal(fw_load(call->command, call->argc, call->argv, &again, &line.error),
                     FW_EXIT_OK);
    assert_int_equal(fw_config_number(again.config, "broker.credit"), 7);
    assert_int_equal(fw_config_number(again.config, "broker.ports.jobs"), 7003);
    fw_unload(&again);
    fw_unload(&line.loaded);
    (void)unlink(path);
}

static void every_command_is_found_and_documented(void **state)
{
    (void)state;
    size_t count;
    const fw_command_t *commands = fw_commands(&count);
    assert_true(count >= 11);
    for (size_t i = 0; i < count; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        fw_usage_command(&commands[i], out);
        assert_int_equal(fclose(out), 0);
        assert_ptr_equal(fw_command_find(commands[i].name), &commands[i]);
        assert_non_null(strstr(text, commands[i].summary));
        for (size_t j = 0; j < commands[i].arguments_count; j++) {
            assert_non_null(strstr(text, commands[i].arguments[j].help));
        }
        free(text);
    }
    assert_null(fw_command_find("nothing"));
    assert_null(fw_command_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_flag_is_a_matter_of_usage),
        cmocka_unit_test(a_wrong_word_is_a_matter_of_usage),
        cmocka_unit_test(a_wrong_file_or_variable_is_a_matter_of_configuration),
        cmocka_unit_test(variables_of_the_client_libraries_are_not_options),
        cmocka_unit_test(flags_win_over_the_file_and_can_be_loaded_again),
        cmocka_unit_test(every_command_is_found_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
