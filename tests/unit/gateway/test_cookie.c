/* test_cookie.c - finding one cookie among others.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/cookie.h"

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    const char *headers[] = {
        "",       "token",      "token=",           "token=;",        "token=\"\"",
        "=token", "tokens=abc", "xtoken=abc",       "Token=abc",      "a=token=abc",
        ";;; ;",  "a=1; b=2",   "a=\"; token=x\"y", "token ; = value"};
    fw_text_t value = FW_TEXT("untouched");
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        int result = fw_cookie_find(fw_text(headers[i]), FW_TEXT("token"), &value);
        if (i == 12) /* quotes do not hide a semicolon */
            assert_int_equal(result, 0);
        else
            assert_int_equal(result, -ENOENT);
    }
}

static void one_that_is_there_twice_is_not_believed(void **state)
{
    (void)state;
    fw_text_t value = FW_TEXT_NONE;
    assert_int_equal(fw_cookie_find(FW_TEXT("token=a; x=1; token=b"), FW_TEXT("token"), &value),
                     -EEXIST);
    assert_int_equal(fw_cookie_find(FW_TEXT("token=a; token=a"), FW_TEXT("token"), &value), 0);
    assert_true(fw_text_equal(value, FW_TEXT("a")));
}

static void a_value_is_found_without_blanks_and_quotes(void **state)
{
    (void)state;
    const struct {
        const char *header, *value;
    } cases[] = {
        {"token=abc", "abc"},     {"a=1; token=abc; b=2", "abc"}, {"a=1;token=abc;b=2", "abc"},
        {" token = abc ", "abc"}, {"token=\"a.b.c\"", "a.b.c"},   {"token=a=b=c", "a=b=c"},
        {"token=\"", "\""},       {"flag; token=abc", "abc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_text_t value = FW_TEXT_NONE;
        assert_int_equal(fw_cookie_find(fw_text(cases[i].header), FW_TEXT("token"), &value), 0);
        assert_true(fw_text_equal(value, fw_text(cases[i].value)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(one_that_is_there_twice_is_not_believed),
        cmocka_unit_test(a_value_is_found_without_blanks_and_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
