/* test_rule.c - entries of list options that have parts.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/rule.h"

static const char *const names[] = {"events", "age", "channels", NULL};

static void refuses_with_the_option_the_limit_and_the_value(void **state)
{
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "x.rules: an empty rule"},
        {"room:* extra", "x.rules: only the first word may stand without name="},
        {"events=1 room:*", "x.rules: only the first word may stand without name="},
        {"room:* event=1", "x.rules: unknown word \"event\"; did you mean events?"},
        {"room:* zzzzzzzz=1", "x.rules: unknown word \"zzzzzzzz\""},
        {"room:* events=1 events=2", "x.rules: a word stands twice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_rule_t rule;
        fw_config_error_t error;
        assert_int_not_equal(fw_rule_parse("x.rules", cases[i].text, names, &rule, &error), 0);
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].text, error.text);
    }
    char *text = malloc(FW_RULE_SIZE_MAX + 2);
    memset(text, 'a', FW_RULE_SIZE_MAX + 1);
    text[FW_RULE_SIZE_MAX + 1] = '\0';
    fw_rule_t rule;
    fw_config_error_t error;
    assert_int_not_equal(fw_rule_parse("x.rules", text, names, &rule, &error), 0);
    free(text);
}

static void gives_head_words_numbers_and_items(void **state)
{
    fw_rule_t rule;
    fw_config_error_t error;
    int64_t number = 7;
    const char *items[FW_RULE_ITEMS_MAX];
    size_t count = 0;
    char *copy = NULL;
    (void)state;
    assert_int_equal(
        fw_rule_parse("x.rules", "  room:*  age=5m channels=user:*|room:a ", names, &rule, &error),
        0);
    assert_string_equal(rule.head, "room:*");
    assert_string_equal(fw_rule_value(&rule, "age"), "5m");
    assert_null(fw_rule_value(&rule, "events"));
    assert_int_equal(
        fw_rule_number(&rule, "x.rules", "events", FW_OPTION_NUMBER, 1, 10, &number, &error), 0);
    assert_int_equal(number, 7);
    assert_int_equal(
        fw_rule_number(&rule, "x.rules", "age", FW_OPTION_DURATION, 1, 3600000, &number, &error),
        0);
    assert_int_equal(number, 300000);
    assert_int_not_equal(
        fw_rule_number(&rule, "x.rules", "age", FW_OPTION_DURATION, 1, 1000, &number, &error), 0);
    assert_string_equal(error.text, "x.rules: age must be between 1ms and 1s, not \"5m\"");
    assert_int_equal(fw_rule_items(&rule, "x.rules", "channels", items, &count, &copy, &error), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[1], "room:a");
    free(copy);
    assert_int_equal(fw_rule_items(&rule, "x.rules", "events", items, &count, &copy, &error), 0);
    assert_int_equal(count, 0);
    fw_rule_clear(&rule);
}

static void refuses_empty_items_and_too_many(void **state)
{
    fw_rule_t rule;
    fw_config_error_t error;
    const char *items[FW_RULE_ITEMS_MAX];
    size_t count = 0;
    char *copy = NULL;
    char text[512] = "channels=a";
    (void)state;
    for (int i = 0; i < FW_RULE_ITEMS_MAX; i++)
        strncat(text, "|b", sizeof text - strlen(text) - 1);
    const char *const texts[] = {"channels=", "channels=a||b", "channels=a|", text};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(fw_rule_parse("x.rules", texts[i], names, &rule, &error), 0);
        assert_string_equal(rule.head, "");
        assert_int_not_equal(
            fw_rule_items(&rule, "x.rules", "channels", items, &count, &copy, &error), 0);
        fw_rule_clear(&rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_the_option_the_limit_and_the_value),
        cmocka_unit_test(gives_head_words_numbers_and_items),
        cmocka_unit_test(refuses_empty_items_and_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
