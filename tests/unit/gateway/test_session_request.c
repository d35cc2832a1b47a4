/* test_session_request.c - bodies and arguments of the admin API.   SPDX-License-Identifier:
 * MPL-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/session_request.h"

static int parse(const char *what, const char *body, fw_session_request_t *ret_request,
                 fw_refusal_t *ret_refusal)
{
    fw_bytes_t bytes = {(const uint8_t *)body, strlen(body)};
    *ret_refusal = (fw_refusal_t){.field = ""};
    return fw_session_request_parse(fw_text(what), bytes, ret_request, ret_refusal);
}

static void refuses_what_makes_no_sense_and_names_the_field(void **state)
{
    static const struct {
        const char *path, *body;
        int result;
        const char *field;
    } rows[] = {
        {"/v1/sessions/explode", "{}", -ENOENT, ""},
        {"/v1/sessions", "{}", -ENOENT, ""},
        {"/v1/sessions/disconnect", "", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "[]", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\"", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\",\"user_id\":\"8\"}", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "{\"user_id\":[[[[[1]]]]]}", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "{}", -EPROTO, "user_id"},
        {"/v1/sessions/disconnect", "{\"user_id\":9}", -EPROTO, "user_id"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\\u0000\"}", -EBADMSG, "body"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\",\"code\":\"4403\"}", -EPROTO, "code"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\",\"code\":4404}", -EPROTO, "code"},
        {"/v1/sessions/disconnect", "{\"user_id\":\"9\",\"channel\":\"room:1\"}", -EPROTO,
         "channel"},
        {"/v1/sessions/unsubscribe", "{\"user_id\":\"9\"}", -EPROTO, "channel"},
        {"/v1/sessions/refresh", "{\"user_id\":\"9\"}", -EPROTO, "rooms"},
        {"/v1/sessions/refresh", "{\"user_id\":\"9\",\"rooms\":\"*\"}", -EPROTO, "rooms"},
        {"/v1/sessions/refresh", "{\"user_id\":\"9\",\"publish\":[1]}", -EPROTO, "publish"},
        {"/v1/sessions/refresh", "{\"user_id\":\"9\",\"presence\":[\"\"]}", -EPROTO, "presence"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fw_session_request_t request;
        fw_refusal_t refusal;
        assert_int_equal(parse(rows[i].path, rows[i].body, &request, &refusal), rows[i].result);
        assert_string_equal(refusal.field, rows[i].field);
    }
}

static void reads_what_is_to_be_done(void **state)
{
    fw_session_request_t request;
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(parse("/v1/sessions/disconnect",
                           "{\"user_id\":\"9\",\"code\":4100,\"reason\":\"sign in again\"}",
                           &request, &refusal),
                     0);
    assert_int_equal(request.command.action, FW_SESSIONS_DISCONNECT);
    assert_int_equal(request.command.code, 4100);
    assert_true(fw_text_equal(request.command.reason, FW_TEXT("sign in again")));
    fw_session_request_clear(&request);
    assert_int_equal(parse("/v1/sessions/disconnect", "{\"user_id\":\"9\"}", &request, &refusal),
                     0);
    assert_int_equal(request.command.code, FW_SESSION_CODE_DEFAULT);
    fw_session_request_clear(&request);
    assert_int_equal(parse("/v1/sessions/refresh",
                           "{\"user_id\":\"9\",\"rooms\":[\"4*\",\"lobby\"],\"presence\":[]}",
                           &request, &refusal),
                     0);
    const fw_room_patterns_t *claims = request.command.claims;
    assert_int_equal(claims[0].count, 2);
    assert_true(fw_text_equal(claims[0].patterns[1], FW_TEXT("lobby")));
    assert_false(claims[1].given);
    assert_true(claims[2].given);
    assert_int_equal(claims[2].count, 0);
    fw_session_request_clear(&request);
}

static void reads_the_arguments_of_a_list(void **state)
{
    static const struct {
        fw_text_t arguments;
        const char *field; /* NULL = good */
    } rows[] = {
        {{"limit=0", 8}, "limit"},
        {{"limit=1001", 11}, "limit"},
        {{"limit=ten", 10}, "limit"},
        {{"limit=-1", 9}, "limit"},
        {{"limit=1\0limit=2", 16}, "limit"},
        {{"after=xyz", 10}, "after"},
        {{"after=00000000000000001", 24}, "after"},
        {{"", 0}, NULL},
        {{"user_id=9\0limit=1000\0after=00000000deadbeef", 44}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fw_session_query_t query;
        fw_refusal_t refusal = {.field = ""};
        int result = fw_session_query_parse(rows[i].arguments, &query, &refusal);
        assert_int_equal(result, rows[i].field ? -EPROTO : 0);
        if (rows[i].field)
            assert_string_equal(refusal.field, rows[i].field);
        else if (rows[i].arguments.size > 0)
            assert_int_equal(query.after, 0xdeadbeef);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_makes_no_sense_and_names_the_field),
        cmocka_unit_test(reads_what_is_to_be_done),
        cmocka_unit_test(reads_the_arguments_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
