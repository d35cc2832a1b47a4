/* test_audit_compare.c - where the service shows what looks stale.   SPDX-License-Identifier:
 * MPL-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/audit_compare.h"

static void rules_without_a_pattern_or_an_address_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "*",
        "url=http://a/",
        "* url=",
        "* url=ftp://a/",
        "* url=file:///etc/passwd",
        "* url=http://a/ more=1",
    };
    fw_config_error_t error;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (fw_audit_url_check(&bad[i], 1, &error) != -EINVAL) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
        assert_non_null(strstr(error.text, "audit.url"));
    }
    static const char *const good[] = {"a* url=http://a/{name}", "* url=https://b/"};
    assert_int_equal(fw_audit_url_check(good, 2, &error), 0);
    assert_int_equal(fw_audit_url_check(NULL, 0, &error), 0);
}

static void the_first_rule_that_matches_gives_the_address(void **state)
{
    (void)state;
    static const char *const rules[] = {"projects:* url=http://a/p/{name}?again={name}",
                                        "* url=http://b/all"};
    char url[FW_COMPARE_URL_SIZE_MAX + 1];
    assert_int_equal(fw_audit_url(rules, 0, FW_TEXT("projects:7"), url), -ENOENT);
    assert_int_equal(fw_audit_url(rules, 1, FW_TEXT("users:7"), url), -ENOENT);
    assert_int_equal(fw_audit_url(rules, 2, FW_TEXT("users:7"), url), 0);
    assert_string_equal(url, "http://b/all");
    assert_int_equal(fw_audit_url(rules, 2, FW_TEXT("projects:a-b._~"), url), 0);
    assert_string_equal(url, "http://a/p/projects%3Aa-b._~?again=projects%3Aa-b._~");
}

static void a_name_cannot_change_what_the_address_is(void **state)
{
    (void)state;
    static const char *const rules[] = {"* url=http://a/{name}/x"};
    char url[FW_COMPARE_URL_SIZE_MAX + 1];
    assert_int_equal(fw_audit_url(rules, 1, FW_TEXT("../?a=b#c%00@host\r\n \xc3\xa9"), url), 0);
    assert_string_equal(url, "http://a/..%2F%3Fa%3Db%23c%2500%40host%0D%0A%20%C3%A9/x");
    char many[FW_COMPARE_URL_SIZE_MAX];
    memset(many, ':', sizeof(many));
    assert_int_equal(fw_audit_url(rules, 1, (fw_text_t){many, sizeof(many)}, url), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_without_a_pattern_or_an_address_are_refused),
        cmocka_unit_test(the_first_rule_that_matches_gives_the_address),
        cmocka_unit_test(a_name_cannot_change_what_the_address_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
