/* test_publish_request.c - events from HTTP bodies.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/publish_request.h"

static void check_refused(const char *body, int result, const char *field)
{
    fw_publish_request_t request;
    fw_refusal_t refusal = {.field = ""};
    assert_int_equal(fw_publish_request_parse(bytes_of(body), FW_TEXT_NONE, &request, &refusal),
                     result);
    assert_string_equal(refusal.field, field);
    assert_true(strlen(refusal.reason) > 0);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    const char *bodies[] = {"",
                            "x",
                            "[]",
                            "{\"type\":\"a\"",
                            "null",
                            "{\"type\":\"\xff\"}",
                            "{\"type\":\"a\",\"type\":\"b\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        check_refused(bodies[i], -EBADMSG, "");
    char deep[4000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    check_refused(deep, -EBADMSG, "");
}

static void the_field_at_fault_is_named(void **state)
{
    (void)state;
    const struct {
        const char *body, *field;
    } cases[] = {
        {"{}", "type"},
        {"{\"type\":1,\"audience\":[\"broadcast\"]}", "type"},
        {"{\"type\":\"fw.x\",\"audience\":[\"broadcast\"]}", "type"},
        {"{\"typ\":\"a\"}", "typ"},
        {"{\"type\":\"a\",\"audience\":\"broadcast\"}", "audience"},
        {"{\"type\":\"a\",\"audience\":[1]}", "audience"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\",\"x\"]}", "audience[1]"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"invalidate\":[]}", "invalidate"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"invalidate\":{\"key\":[]}}",
         "invalidate.key"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"invalidate\":{\"tags\":[1]}}",
         "invalidate.tags"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"exclude\":{\"user\":\"1\"}}",
         "exclude.user"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"ts\":\"now\"}", "ts"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"ts\":1.5}", "ts"},
        {"{\"type\":\"a\",\"audience\":[\"broadcast\"],\"origin\":7}", "origin"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].body, -EPROTO, cases[i].field);
}

static void an_event_is_read_whole(void **state)
{
    (void)state;
    const char *body = "{\"type\":\"project_updated\",\"data\":{\"id\":\"42\", \"n\":0.10},"
                       "\"audience\":[\"room:42\",\"broadcast\"],"
                       "\"exclude\":{\"user_id\":\"9\",\"origin\":\"tab-7\"},"
                       "\"invalidate\":{\"keys\":[\"app:1\"],\"tags\":[\"t1\",\"t2\"],"
                       "\"patterns\":[\"legacy:*\"]},"
                       "\"id\":\"e1\",\"origin\":\"tab-7\",\"user_id\":\"9\",\"ts\":1732270000123}";
    fw_publish_request_t request;
    fw_refusal_t refusal;
    assert_int_equal(fw_publish_request_parse(bytes_of(body), FW_TEXT("e1"), &request, &refusal),
                     0);
    const fw_event_t *event = &request.event;
    assert_string_equal(event->type.text, "project_updated");
    assert_int_equal(event->data.kind, FW_PAYLOAD_JSON);
    assert_true(fw_bytes_equal(event->data.bytes, bytes_of("{\"id\":\"42\", \"n\":0.10}")));
    assert_int_equal(event->audience_count, 2);
    assert_string_equal(event->audience[1].text, "broadcast");
    assert_string_equal(event->exclude.user_id.text, "9");
    assert_string_equal(event->exclude.origin.text, "tab-7");
    assert_int_equal(event->invalidate.keys_count, 1);
    assert_int_equal(event->invalidate.tags_count, 2);
    assert_string_equal(event->invalidate.tags[1].text, "t2");
    assert_int_equal(event->invalidate.patterns_count, 1);
    assert_string_equal(event->id.text, "e1");
    assert_string_equal(event->user_id.text, "9");
    assert_int_equal(event->ts, INT64_C(1732270000123));
    fw_publish_request_clear(&request);
}

static void the_idempotency_key_is_the_id(void **state)
{
    (void)state;
    fw_publish_request_t request;
    fw_refusal_t refusal;
    fw_bytes_t bare = bytes_of("{\"type\":\"a\",\"audience\":[\"broadcast\"]}");
    assert_int_equal(fw_publish_request_parse(bare, FW_TEXT("k1"), &request, &refusal), 0);
    assert_string_equal(request.event.id.text, "k1");
    assert_int_equal(request.event.data.kind, FW_PAYLOAD_NONE);
    fw_publish_request_clear(&request);
    fw_bytes_t other = bytes_of("{\"type\":\"a\",\"audience\":[\"broadcast\"],\"id\":\"k2\"}");
    assert_int_equal(fw_publish_request_parse(other, FW_TEXT("k1"), &request, &refusal), -EPROTO);
    assert_string_equal(refusal.field, "id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(the_field_at_fault_is_named),
        cmocka_unit_test(an_event_is_read_whole),
        cmocka_unit_test(the_idempotency_key_is_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
