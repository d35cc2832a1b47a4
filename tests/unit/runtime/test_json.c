/* test_json.c - hostile text becomes a valid JSON string.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/json.h"
#include "tests/unit/runtime/seed.h"

/* The whole text, escaped. */
static void escape(const char *text, char *ret_escaped, size_t size_max)
{
    char piece[FW_JSON_PIECE_MAX];
    size_t used = 0;
    size_t size;
    while ((size = fw_json_escape(&text, piece)) > 0) {
        assert_true(size <= FW_JSON_PIECE_MAX);
        assert_true(used + size < size_max);
        memcpy(ret_escaped + used, piece, size);
        used += size;
    }
    ret_escaped[used] = 0;
    assert_int_equal(*text, 0);
}

static void assert_escaped(const char *text, const char *expected)
{
    char escaped[1024];
    escape(text, escaped, sizeof escaped);
    assert_string_equal(escaped, expected);
}

static void what_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    assert_escaped("a\x80z", "a\xef\xbf\xbdz");
    assert_escaped("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                 /* overlong "/" */
    assert_escaped("\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* overlong again */
    assert_escaped("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
    assert_escaped("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_escaped("\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd");
    /* Cut off at the end of the text. */
    assert_escaped("\xc3", "\xef\xbf\xbd");
    assert_escaped("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
    assert_escaped("\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_escaped("\xe2\x82"
                   "A",
                   "\xef\xbf\xbd\xef\xbf\xbd"
                   "A");
}

static void controls_of_json_and_of_terminals_are_escaped(void **state)
{
    (void)state;
    assert_escaped("\"\\\b\f\n\r\t", "\\\"\\\\\\b\\f\\n\\r\\t");
    assert_escaped("\x01\x1b[31m\x7f", "\\u0001\\u001b[31m\\u007f");
    assert_escaped("\xc2\x80\xc2\x9b\xc2\x9f", "\\u0080\\u009b\\u009f");
    assert_escaped("\xc2\xa0", "\xc2\xa0");
}

static void good_text_is_left_alone(void **state)
{
    (void)state;
    assert_escaped("", "");
    assert_escaped("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
                   "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
}

static void random_bytes_always_make_a_string_that_a_parser_takes(void **state)
{
    (void)state;
    fw_random_t random = seeded_random();
    for (int i = 0; i < 3000; i++) {
        char text[64];
        size_t size = fw_random_below(&random, sizeof text);
        for (size_t j = 0; j < size; j++) {
            /* Half of them from the bytes that make and break UTF-8. */
            uint64_t choice = fw_random_next(&random);
            text[j] = (char)(choice & 1 ? 1 + (choice >> 8) % 255 : 0x80 + (choice >> 8) % 0x80);
        }
        text[size] = 0;
        char quoted[64 * FW_JSON_PIECE_MAX + 3] = "\"";
        escape(text, quoted + 1, sizeof quoted - 2);
        memcpy(quoted + strlen(quoted), "\"", 2);
        json_t *value = json_loads(quoted, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(controls_of_json_and_of_terminals_are_escaped),
        cmocka_unit_test(good_text_is_left_alone),
        cmocka_unit_test(random_bytes_always_make_a_string_that_a_parser_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
