/* test_glob.c - Redis' patterns.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "workers/glob.h"

static bool match(const char *pattern, const char *key)
{
    return fw_glob_match(fw_text(pattern), (fw_bytes_t){(const uint8_t *)key, strlen(key)});
}

typedef struct {
    const char *pattern;
    const char *key;
    bool matches;
} case_t;

static void check(const case_t *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (match(cases[i].pattern, cases[i].key) != cases[i].matches) {
            fail_msg("\"%s\" on \"%s\" is not %d", cases[i].pattern, cases[i].key,
                     cases[i].matches);
        }
    }
}

static void what_is_not_the_whole_key_does_not_match(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {"user:1", "user:10", false},
        {"user:10", "user:1", false},
        {"ser:1", "user:1", false},
        {"user:1", "User:1", false},
        {"", "a", false},
        {"?", "", false},
        {"??", "a", false},
        {"user:*:x", "user:1:y", false},
        {"*a", "ab", false},
        {"[ab]", "c", false},
        {"[^ab]", "a", false},
        {"[a-c]", "d", false},
        {"[]", "a", false},
        {"[]", "]", false},
        {"\\*", "a", false},
        {"a[", "ab", false},
        {"[a-c]", "", false},
        {"[a-]", "-", false},
    };
    check(cases, sizeof(cases) / sizeof(cases[0]));
}

static void every_kind_of_element_matches(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {"user:1", "user:1", true},
        {"", "", true},
        {"*", "", true},
        {"*", "anything", true},
        {"***", "x", true},
        {"user:*", "user:", true},
        {"user:*:x", "user:1:2:x", true},
        {"*:x", "a:x:x", true},
        {"a*b*c", "aXbXbc", true},
        {"h?llo", "hello", true},
        {"h[ae]llo", "hallo", true},
        {"h[^e]llo", "hxllo", true},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"[a-]", "^", true},
        {"[\\]]", "]", true},
        {"[\\-x]", "-", true},
        {"\\*", "*", true},
        {"\\?\\[", "?[", true},
        {"a\\", "a\\", true},
        {"[^]", "x", true},
        {"[abc", "b", true},
        {"[a-\\]", "]", true},
    };
    check(cases, sizeof(cases) / sizeof(cases[0]));
}

static void bytes_that_are_not_text_match(void **state)
{
    (void)state;
    const uint8_t key[] = {'a', 0, 0xff, 'z'};
    assert_true(fw_glob_match(fw_text("a*z"), (fw_bytes_t){key, sizeof(key)}));
    assert_true(fw_glob_match(fw_text("a??z"), (fw_bytes_t){key, sizeof(key)}));
    assert_true(fw_glob_match(fw_text("a?[\xf0-\xff]z"), (fw_bytes_t){key, sizeof(key)}));
    assert_false(fw_glob_match(fw_text("a"), (fw_bytes_t){key, sizeof(key)}));
}

static void many_stars_do_not_take_for_ever(void **state)
{
    (void)state;
    char pattern[1025];
    for (size_t i = 0; i < 1024; i += 2) {
        pattern[i] = 'a';
        pattern[i + 1] = '*';
    }
    pattern[1023] = 'b';
    pattern[1024] = 0;
    char *key = malloc(65536);
    memset(key, 'a', 65536);
    assert_false(fw_glob_match(fw_text(pattern), (fw_bytes_t){(uint8_t *)key, 65536}));
    free(key);
}

static void check_prefix(const char *pattern, const char *prefix, bool literal)
{
    char found[64];
    bool is_literal = !literal;
    size_t size = fw_glob_prefix(fw_text(pattern), found, &is_literal);
    assert_int_equal(size, strlen(prefix));
    assert_memory_equal(found, prefix, size);
    assert_int_equal(is_literal, literal);
    assert_int_equal(fw_glob_prefix(fw_text(pattern), NULL, NULL), size);
}

static void the_prefix_is_what_every_match_begins_with(void **state)
{
    (void)state;
    check_prefix("", "", true);
    check_prefix("*", "", false);
    check_prefix("[a]bc", "", false);
    check_prefix("user:*", "user:", false);
    check_prefix("user:?", "user:", false);
    check_prefix("user:1", "user:1", true);
    check_prefix("a\\*b", "a*b", true);
    check_prefix("a\\*b*", "a*b", false);
    check_prefix("a]b", "a]b", true);
    check_prefix("a\\", "a\\", true);
}

static void a_prefix_becomes_a_pattern_that_takes_it_literally(void **state)
{
    (void)state;
    char pattern[64];
    size_t size = fw_glob_begins_with("a*[x]\\?", 7, pattern);
    assert_string_equal(pattern, "a\\*\\[x\\]\\\\\\?*");
    assert_int_equal(size, strlen(pattern));
    assert_true(match(pattern, "a*[x]\\?"));
    assert_true(match(pattern, "a*[x]\\?more"));
    assert_false(match(pattern, "aZ[x]\\?more"));
    assert_int_equal(fw_glob_begins_with("", 0, pattern), 1);
    assert_string_equal(pattern, "*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_the_whole_key_does_not_match),
        cmocka_unit_test(every_kind_of_element_matches),
        cmocka_unit_test(bytes_that_are_not_text_match),
        cmocka_unit_test(many_stars_do_not_take_for_ever),
        cmocka_unit_test(the_prefix_is_what_every_match_begins_with),
        cmocka_unit_test(a_prefix_becomes_a_pattern_that_takes_it_literally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
