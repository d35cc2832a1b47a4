/* test_arguments.c - a command's own flags are taken out of the command line.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/duration.h"

static const fw_argument_t table[] = {
    {"type", FW_ARGUMENT_TEXT, "TYPE", "a text"},
    {"channel", FW_ARGUMENT_LIST, "CHANNEL", "a list"},
    {"json", FW_ARGUMENT_FLAG, NULL, "a flag"},
};

enum { ROWS = sizeof table / sizeof *table, WORDS_MAX = 16, WORD_SIZE = 64 };

/* A command line that may be changed, as main's is. */
typedef struct {
    char words[WORDS_MAX][WORD_SIZE];
    char *argv[WORDS_MAX + 1];
    int argc;
    char error[FW_ARGUMENT_ERROR_SIZE];
    fw_arguments_t *arguments;
} line_t;

static int take(line_t *line, const char *const *words)
{
    *line = (line_t){.argc = 0};
    for (; words[line->argc]; line->argc++) {
        (void)snprintf(line->words[line->argc], WORD_SIZE, "%s", words[line->argc]);
        line->argv[line->argc] = line->words[line->argc];
    }
    return fw_arguments_take(table, ROWS, &line->argc, line->argv, &line->arguments, line->error);
}

#define TAKE(line, ...) take((line), (const char *const[]){"freshwire", __VA_ARGS__, NULL})

static void refuses_a_flag_without_its_value(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(TAKE(&line, "--type"), -EINVAL);
    assert_string_equal(line.error, "--type needs a value");
    assert_int_equal(TAKE(&line, "--type", "--json"), -EINVAL);
    assert_null(line.arguments);
}

static void refuses_what_is_given_twice_or_with_a_value_too_many(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(TAKE(&line, "--type", "a", "--type=b"), -EINVAL);
    assert_string_equal(line.error, "--type is given twice");
    assert_int_equal(TAKE(&line, "--json", "--json"), -EINVAL);
    assert_int_equal(TAKE(&line, "--json=yes"), -EINVAL);
    assert_string_equal(line.error, "--json takes no value");
}

static void takes_its_own_and_leaves_the_rest_in_order(void **state)
{
    (void)state;
    line_t line;
    int result = TAKE(&line, "word", "--channel", "room:1", "--log-level", "debug", "--json",
                      "--channel=a=b", "--type", "", "--typewriter", "--", "--json");
    assert_int_equal(result, 0);
    const char *const *channels = NULL;
    assert_int_equal(fw_arguments_list(line.arguments, "channel", &channels), 2);
    assert_string_equal(channels[0], "room:1");
    assert_string_equal(channels[1], "a=b");
    assert_string_equal(fw_arguments_text(line.arguments, "type"), "");
    assert_true(fw_arguments_flag(line.arguments, "json"));
    const char *const left[] = {"freshwire",    "word", "--log-level", "debug",
                                "--typewriter", "--",   "--json"};
    assert_int_equal(line.argc, sizeof left / sizeof *left);
    for (int i = 0; i < line.argc; i++) {
        assert_string_equal(line.argv[i], left[i]);
    }
    assert_null(line.argv[line.argc]);
    fw_arguments_destroy(&line.arguments);
    assert_null(line.arguments);
}

static void what_is_not_given_is_none(void **state)
{
    (void)state;
    line_t line;
    assert_int_equal(TAKE(&line, "word"), 0);
    const char *const *channels = NULL;
    assert_null(fw_arguments_text(line.arguments, "type"));
    assert_int_equal(fw_arguments_list(line.arguments, "channel", &channels), 0);
    assert_false(fw_arguments_flag(line.arguments, "json"));
    fw_arguments_destroy(&line.arguments);
}

static void names_the_nearest_flag_only_when_it_is_near(void **state)
{
    (void)state;
    assert_string_equal(fw_arguments_nearest(table, ROWS, "--chanel"), "channel");
    assert_string_equal(fw_arguments_nearest(table, ROWS, "--tpye=x"), "type");
    assert_string_equal(fw_arguments_nearest(table, ROWS, "--jsno: unknown flag"), "json");
    assert_null(fw_arguments_nearest(table, ROWS, "--broker-host"));
    assert_null(fw_arguments_nearest(table, ROWS, "--"));
    assert_null(
        fw_arguments_nearest(table, ROWS, "--a-name-that-is-much-longer-than-any-flag-of-ours"));
}

static void parses_durations_and_numbers_by_the_rules_of_options(void **state)
{
    (void)state;
    fw_config_error_t error;
    int64_t number = 0;
    assert_int_equal(fw_duration_parse("ttl", "ten", 1, 1000, &number, &error), -EINVAL);
    assert_non_null(strstr(error.text, "--ttl"));
    assert_int_equal(fw_duration_parse("ttl", "2s", 1, 1000, &number, &error), -EINVAL);
    assert_non_null(strstr(error.text, "at most 1s"));
    assert_int_equal(fw_duration_parse("ttl", "0", 1, 1000, &number, &error), -EINVAL);
    assert_int_equal(fw_number_parse("count", "-1", 1, 9, &number, &error), -EINVAL);
    char endless[300];
    memset(endless, '1', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(fw_number_parse("count", endless, 1, 9, &number, &error), -EINVAL);
    assert_int_equal(fw_duration_parse("ttl", "10m", 1, 3600000, &number, &error), 0);
    assert_int_equal(number, 600000);
    assert_int_equal(fw_number_parse("count", "9", 1, 9, &number, &error), 0);
    assert_int_equal(number, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_flag_without_its_value),
        cmocka_unit_test(refuses_what_is_given_twice_or_with_a_value_too_many),
        cmocka_unit_test(takes_its_own_and_leaves_the_rest_in_order),
        cmocka_unit_test(what_is_not_given_is_none),
        cmocka_unit_test(names_the_nearest_flag_only_when_it_is_near),
        cmocka_unit_test(parses_durations_and_numbers_by_the_rules_of_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
