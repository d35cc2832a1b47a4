/* test_event_json.c - events and control messages as browsers see them.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <jansson.h>

#include "gateway/event_json.h"
#include "gateway/server_message.h"

static char text[4096];

static const char *render(const fw_delivery_t *delivery, const fw_publication_t *publication)
{
    fw_json_t json = {.buffer = text, .size = sizeof text - 1};
    fw_event_json(&json, delivery, publication);
    assert_true(json.needed < sizeof text);
    text[json.needed] = '\0';
    json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    fw_json_t measure = {.buffer = NULL};
    fw_event_json(&measure, delivery, publication);
    assert_int_equal(measure.needed, json.needed);
    return text;
}

static fw_publication_t publication_of(const char *data)
{
    return (fw_publication_t){
        .id = FW_TEXT("0192"),
        .type = FW_TEXT("project_updated"),
        .data = {.kind = FW_PAYLOAD_JSON, .bytes = bytes_of(data), .type = FW_TEXT_NONE},
        .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
        .origin = FW_TEXT_NONE,
        .user_id = FW_TEXT_NONE,
        .ts = INT64_C(1732270000123),
        .traceparent = FW_TEXT_NONE,
    };
}

static void fields_are_in_their_order_and_64_bits_are_texts(void **state)
{
    (void)state;
    fw_publication_t publication = publication_of("{\"id\":\"42\"}");
    publication.origin = FW_TEXT("tab-7");
    publication.user_id = FW_TEXT("9");
    fw_delivery_t delivery = {.channel = FW_TEXT("room:42"),
                              .position = {5, 17},
                              .fresh = UINT64_C(1732270000122456),
                              .spread_ms = 250};
    assert_string_equal(render(&delivery, &publication),
                        "{\"type\":\"project_updated\",\"data\":{\"id\":\"42\"},\"channel\":"
                        "\"room:42\",\"offset\":\"17\",\"epoch\":\"5\",\"id\":\"0192\","
                        "\"ts\":1732270000123,\"fresh\":\"1732270000122456\",\"unconfirmed\":false,"
                        "\"spread_ms\":250,\"origin\":\"tab-7\",\"user_id\":\"9\"}");
}

static void what_is_empty_is_left_out(void **state)
{
    (void)state;
    fw_publication_t publication = publication_of("null");
    fw_delivery_t delivery = {
        .channel = FW_TEXT("broadcast"), .position = {5, 1}, .unconfirmed = true};
    assert_string_equal(render(&delivery, &publication),
                        "{\"type\":\"project_updated\",\"data\":null,\"channel\":\"broadcast\","
                        "\"offset\":\"1\",\"epoch\":\"5\",\"id\":\"0192\",\"ts\":1732270000123,"
                        "\"fresh\":\"0\",\"unconfirmed\":true,\"spread_ms\":0}");
}

static void every_kind_of_data_is_json(void **state)
{
    (void)state;
    fw_delivery_t delivery = {.channel = FW_TEXT("room:\"\\x"), .position = {5, 1}};
    fw_publication_t none = publication_of("");
    none.data = (fw_payload_t){.kind = FW_PAYLOAD_NONE, .type = FW_TEXT_NONE};
    assert_non_null(
        strstr(render(&delivery, &none), "\"data\":null,\"channel\":\"room:\\\"\\\\x\""));
    fw_publication_t binary = none;
    binary.data = (fw_payload_t){
        .kind = FW_PAYLOAD_BINARY, .bytes = {(const uint8_t *)"\0\xff!", 3}, .type = FW_TEXT_NONE};
    assert_non_null(strstr(render(&delivery, &binary), "\"data\":\"AP8h\""));
}

static void control_messages_are_json(void **state)
{
    (void)state;
    fw_json_t json = {.buffer = text, .size = sizeof text};
    fw_server_ping(&json);
    fw_json_raw(&json, "\n", 1);
    fw_server_drain(&json, 2000);
    fw_json_raw(&json, "\n", 1);
    fw_server_reset(&json, FW_RESET_HISTORY, FW_TEXT("room:1"), (fw_position_t){5, 9});
    fw_json_raw(&json, "\n", 1);
    fw_server_error_t error = {.request_id = FW_TEXT("a\"b"),
                               .code = FW_CLOSE_FORBIDDEN,
                               .reason = "no",
                               .channel = FW_TEXT_NONE};
    fw_server_error(&json, &error);
    text[json.needed] = '\0';
    assert_string_equal(text,
                        "{\"type\":\"fw.ping\"}\n"
                        "{\"type\":\"fw.drain\",\"reconnect_window_ms\":2000}\n"
                        "{\"type\":\"fw.reset\",\"reason\":\"history\",\"channel\":\"room:1\","
                        "\"epoch\":\"5\",\"offset\":\"9\"}\n"
                        "{\"type\":\"fw.error\",\"request_id\":\"a\\\"b\",\"code\":4403,"
                        "\"reason\":\"no\",\"temporary\":false}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_in_their_order_and_64_bits_are_texts),
        cmocka_unit_test(what_is_empty_is_left_out),
        cmocka_unit_test(every_kind_of_data_is_json),
        cmocka_unit_test(control_messages_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
