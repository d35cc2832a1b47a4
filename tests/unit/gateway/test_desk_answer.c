/* test_desk_answer.c - what the admin API says about sessions.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/desk_answer.h"

static void a_gateway_that_did_not_answer_is_no_success(void **state)
{
    unsigned status = 0;
    (void)state;
    char *body = fw_desk_result_answer(3, 2, 7, FW_TEXT_NONE, &status);
    assert_int_equal(status, 504);
    assert_string_equal(body,
                        "{\"type\":\"about:blank\",\"title\":\"Gateway Timeout\",\"status\":504,"
                        "\"detail\":\"1 of 3 gateways did not answer: ask again\","
                        "\"gateways\":3,\"answered\":2,\"sessions\":7}\n");
    free(body);
}

static void a_command_that_was_refused_says_whether_to_wait(void **state)
{
    unsigned status = 0;
    (void)state;
    char *body = fw_desk_result_answer(0, 0, 0, FW_TEXT("too many commands"), &status);
    assert_int_equal(status, 429);
    assert_non_null(strstr(body, "too many commands"));
    free(body);
    body = fw_desk_result_answer(0, 0, 0, FW_TEXT("the broker cannot be reached"), &status);
    assert_int_equal(status, 503);
    free(body);
}

static void counts_what_was_done(void **state)
{
    unsigned status = 0;
    (void)state;
    char *body = fw_desk_result_answer(3, 3, 18446744073709551615U, FW_TEXT_NONE, &status);
    assert_int_equal(status, 200);
    assert_string_equal(body,
                        "{\"gateways\":3,\"answered\":3,\"sessions\":18446744073709551615}\n");
    free(body);
}

#define LINE(id, name) id " {\"n\":\"" name "\"}\n"

static void merges_lists_by_id_and_says_where_to_go_on(void **state)
{
    char first[] = LINE("0000000000000001", "a") LINE("00000000000000ff", "d");
    char second[] = "";
    char third[] = LINE("0000000000000002", "b") LINE("0000000000000010", "c");
    char *parts[] = {first, second, third};
    (void)state;
    char *body = fw_desk_list_answer(parts, 3, 100);
    assert_string_equal(
        body, "{\"sessions\":[{\"n\":\"a\"},{\"n\":\"b\"},{\"n\":\"c\"},{\"n\":\"d\"}]}\n");
    free(body);
    body = fw_desk_list_answer(parts, 3, 3);
    assert_string_equal(body, "{\"sessions\":[{\"n\":\"a\"},{\"n\":\"b\"},{\"n\":\"c\"}],"
                              "\"next\":\"0000000000000010\"}\n");
    free(body);
    body = fw_desk_list_answer(&parts[1], 1, 1);
    assert_string_equal(body, "{\"sessions\":[]}\n");
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gateway_that_did_not_answer_is_no_success),
        cmocka_unit_test(a_command_that_was_refused_says_whether_to_wait),
        cmocka_unit_test(counts_what_was_done),
        cmocka_unit_test(merges_lists_by_id_and_says_where_to_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
