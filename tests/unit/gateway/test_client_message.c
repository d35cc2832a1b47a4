/* test_client_message.c - what browsers may say.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/client_message.h"
#include "gateway/json_scan.h"

static int parse(const char *text, fw_client_message_t *ret_message, const char **ret_reason)
{
    return fw_client_message_parse(bytes_of(text), 3, ret_message, ret_reason);
}

static void check_refused(const char *text, int result, const char *reason)
{
    fw_client_message_t message;
    const char *said = NULL;
    assert_int_equal(parse(text, &message, &said), result);
    assert_string_equal(said, reason);
    fw_client_message_clear(&message);
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {"",
                           "x",
                           "{",
                           "[]",
                           "\"fw.hello\"",
                           "{\"type\":\"fw.ping\"} x",
                           "null",
                           "{\"type\":\"fw.ping\",\"type\":\"fw.pong\"}",
                           "{\"type\":\"\\u0000\"}",
                           "{\"type\":\"\xff\"}",
                           "{\"n\":1e999}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_refused(texts[i], -EBADMSG, "not a JSON object");
}

static void nesting_is_bounded_before_it_is_parsed(void **state)
{
    (void)state;
    char deep[20001];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    check_refused(deep, -EBADMSG, "nested too deeply");
    check_refused("{\"type\":\"fw.ping\",\"a\":[[[[[[[[1]]]]]]]]}", -EBADMSG, "nested too deeply");
    fw_client_message_t message;
    const char *reason = NULL;
    assert_int_equal(
        parse("{\"type\":\"fw.ping\",\"a\":\"[[[[[[[[[[[[\\\"[[\"}", &message, &reason), 0);
    fw_client_message_clear(&message);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    check_refused("{}", -EPROTO, "type must be a text");
    check_refused("{\"type\":7}", -EPROTO, "type must be a text");
    check_refused("{\"type\":\"fw.nope\"}", -EPROTO, "unknown type");
    check_refused("{\"type\":\"project_updated\"}", -EPROTO, "unknown type");
    check_refused("{\"type\":\"fw.subscribe\",\"request_id\":1}", -EPROTO,
                  "request_id must be a text of at most 64 bytes");
    check_refused("{\"type\":\"fw.subscribe\"}", -EPROTO, "channel must be the name of a channel");
    check_refused("{\"type\":\"fw.subscribe\",\"channel\":\"a\\nb\"}", -EPROTO,
                  "channel must be the name of a channel");
    check_refused("{\"type\":\"fw.subscribe\",\"channel\":\"room:1\",\"offset\":17}", -EPROTO,
                  "offset must be a decimal number in a text");
    check_refused("{\"type\":\"fw.subscribe\",\"channel\":\"room:1\",\"offset\":\"-1\"}", -EPROTO,
                  "offset must be a decimal number in a text");
    check_refused("{\"type\":\"fw.hello\",\"token\":1}", -EPROTO, "token must be a text");
    check_refused("{\"type\":\"fw.hello\",\"batch\":1}", -EPROTO, "batch must be true or false");
    check_refused("{\"type\":\"fw.hello\",\"subscriptions\":{}}", -EPROTO,
                  "subscriptions must be an array");
    check_refused("{\"type\":\"fw.hello\",\"subscriptions\":[\"room:1\"]}", -EPROTO,
                  "a subscription must be an object");
    check_refused("{\"type\":\"fw.hello\",\"subscriptions\":[1,2,3,4]}", -E2BIG,
                  "too many subscriptions");
}

static void a_refused_message_still_tells_which_request_it_was(void **state)
{
    (void)state;
    fw_client_message_t message;
    const char *reason = NULL;
    assert_int_equal(parse("{\"type\":\"fw.nope\",\"request_id\":\"r7\"}", &message, &reason),
                     -EPROTO);
    assert_string_equal(message.request_id.text, "r7");
    fw_client_message_clear(&message);
}

static void a_hello_is_read_whole(void **state)
{
    (void)state;
    fw_client_message_t message;
    const char *reason = NULL;
    assert_int_equal(
        parse(
            "{\"type\":\"fw.hello\",\"token\":\"t\",\"origin\":\"tab-7\",\"batch\":true,\"x\":1,"
            "\"subscriptions\":[{\"channel\":\"broadcast\",\"epoch\":\"k3\",\"offset\":\"17\"},"
            "{\"channel\":\"room:1\"},{\"channel\":\"room:2\",\"epoch\":\"I!\",\"offset\":\"2\"}]}",
            &message, &reason),
        0);
    assert_int_equal(message.kind, FW_CLIENT_HELLO);
    assert_string_equal(message.token.text, "t");
    assert_string_equal(message.origin.text, "tab-7");
    assert_true(message.batch);
    assert_int_equal(message.subscriptions_count, 3);
    uint64_t epoch = 0;
    assert_int_equal(fw_epoch_parse(FW_TEXT("k3"), &epoch), 0);
    assert_true(message.subscriptions[0].positioned);
    assert_int_equal(message.subscriptions[0].position.epoch, epoch);
    assert_int_equal(message.subscriptions[0].position.offset, 17);
    assert_false(message.subscriptions[1].positioned);
    assert_true(
        message.subscriptions[2].positioned); /* an epoch that nobody has: a reset will follow */
    assert_int_equal(message.subscriptions[2].position.epoch, 0);
    fw_client_message_clear(&message);
}

static void the_others_are_read(void **state)
{
    (void)state;
    fw_client_message_t message;
    const char *reason = NULL;
    assert_int_equal(
        parse("{\"type\":\"fw.unsubscribe\",\"request_id\":\"2\",\"channel\":\"room:4\"}", &message,
              &reason),
        0);
    assert_int_equal(message.kind, FW_CLIENT_UNSUBSCRIBE);
    assert_string_equal(message.request_id.text, "2");
    assert_string_equal(message.subscriptions[0].channel.text, "room:4");
    fw_client_message_clear(&message);
    assert_int_equal(parse("{\"type\":\"fw.pong\"}", &message, &reason), 0);
    assert_int_equal(message.kind, FW_CLIENT_PONG);
    fw_client_message_clear(&message);
}

static void members_are_cut_out_as_they_were_written(void **state)
{
    (void)state;
    const struct {
        const char *object, *value;
    } cases[] = {
        {"{\"data\":1}", "1"},
        {" { \"a\" : [ \"]}\" , {\"data\":2} ] , \"data\" : { \"x\" : 0.10 , \"y\":\"\\\"}\" } } ",
         "{ \"x\" : 0.10 , \"y\":\"\\\"}\" }"},
        {"{\"data\":\"a\\\\\",\"b\":1}", "\"a\\\\\""},
        {"{\"b\":\"data\",\"data\":123456789012345678901234567890}",
         "123456789012345678901234567890"},
        {"{\"a\":1}", NULL},
        {"{}", NULL},
        {"[1]", NULL},
        {"{\"b\":{\"data\":1}}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_bytes_t value = {NULL, 0};
        assert_int_equal(fw_json_member(bytes_of(cases[i].object), "data", &value),
                         cases[i].value != NULL);
        if (cases[i].value)
            assert_true(fw_bytes_equal(value, bytes_of(cases[i].value)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(nesting_is_bounded_before_it_is_parsed),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(a_refused_message_still_tells_which_request_it_was),
        cmocka_unit_test(a_hello_is_read_whole),
        cmocka_unit_test(the_others_are_read),
        cmocka_unit_test(members_are_cut_out_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
