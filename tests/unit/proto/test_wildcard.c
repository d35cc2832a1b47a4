/* Patterns of channels, rooms and event types.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wildcard.h"

static void patterns_match_whole_texts_in_linear_time(void **state)
{
    (void)state;
    const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},       {"", "a", false},      {"*", "", true},
        {"*", "abc", true},   {"a*c", "abbc", true}, {"a*c", "abcd", false},
        {"a?c", "abc", true}, {"a?c", "ac", false},  {"*a*b*", "xxaxxbxx", true},
        {"**", "x", true},    {"abc", "ab", false},  {"ab", "abc", false},
        {"[a]", "a", false},  {"*.*", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(fw_wildcard_match(fw_text(cases[i].pattern), fw_text(cases[i].text)),
                         cases[i].matches);
    char pattern[181], text[181];
    for (size_t i = 0; i < 180; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    memset(text, 'a', 180);
    pattern[179] = 'b';
    pattern[180] = text[180] = '\0';
    assert_false(fw_wildcard_match(fw_text(pattern), fw_text(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_whole_texts_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
