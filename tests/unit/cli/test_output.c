/* test_output.c - what publish and tail print.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/ack_json.h"
#include "cli/event_line.h"
#include "cli/ports_file.h"

static char *print(fw_event_line_style_t style, const fw_delivery_t *delivery,
                   const fw_publication_t *publication)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fw_event_line_print(out, style, delivery, publication);
    assert_int_equal(fclose(out), 0);
    return text;
}

static fw_payload_t json_data(const char *text)
{
    return (fw_payload_t){.kind = FW_PAYLOAD_JSON, .bytes = {(const uint8_t *)text, strlen(text)}};
}

static void nothing_in_an_event_moves_the_readers_terminal(void **state)
{
    (void)state;
    fw_delivery_t delivery = {.channel = FW_TEXT("room:\xc2\x9b"
                                                 "2J"),
                              .position = {7, 3}};
    fw_publication_t publication = {.type = FW_TEXT("tick"),
                                    .origin = FW_TEXT("\x1b[2J"),
                                    .data = json_data("{\n\t\"a\": \"\xc2\x9b\x7f\xc3\xa9\"}")};
    char *text = print(FW_EVENT_LINE_TEXT, &delivery, &publication);
    assert_null(strchr(text, '\x1b'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_null(strchr(text, '\x7f'));
    assert_non_null(strstr(text, "\xc3\xa9"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void json_is_one_object_a_line_with_its_data_unchanged(void **state)
{
    (void)state;
    fw_delivery_t delivery = {
        .channel = FW_TEXT("room:42"), .position = {7, 3}, .fresh = 5, .unconfirmed = true};
    fw_publication_t publication = {.type = FW_TEXT("tick"),
                                    .id = FW_TEXT("e1"),
                                    .data = json_data("{\r\n \"a\": 1.50,\n \"b\":\"\xc2\x85\"}")};
    char *text = print(FW_EVENT_LINE_JSON, &delivery, &publication);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "1.50"));
    assert_non_null(strstr(text, "\xc2\x85"));
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "type")), "tick");
    assert_string_equal(json_string_value(json_object_get(object, "offset")), "3");
    assert_true(json_is_true(json_object_get(object, "unconfirmed")));
    json_decref(object);
    free(text);
}

static void colour_is_for_terminals_only(void **state)
{
    (void)state;
    fw_delivery_t delivery = {
        .channel = FW_TEXT("broadcast"), .position = {7, 3}, .unconfirmed = true};
    fw_publication_t publication = {.type = FW_TEXT("tick"), .data = json_data("1"), .ts = 1};
    char *plain = print(FW_EVENT_LINE_TEXT, &delivery, &publication);
    char *coloured = print(FW_EVENT_LINE_COLOUR, &delivery, &publication);
    assert_null(strchr(plain, '\x1b'));
    assert_non_null(strstr(plain, "broadcast #3 tick 1 unconfirmed\n"));
    assert_non_null(strchr(coloured, '\x1b'));
    free(plain);
    free(coloured);
}

static void an_event_that_was_not_answered_says_so(void **state)
{
    (void)state;
    char *text = fw_ack_json(-ETIMEDOUT, NULL);
    assert_string_equal(text, "{\"status\":\"timeout\"}");
    free(text);
    text = fw_ack_json(-ECANCELED, NULL);
    assert_string_equal(text, "{\"status\":\"canceled\"}");
    free(text);
}

static void a_rejection_names_field_reason_limit_and_value(void **state)
{
    (void)state;
    fw_publish_ack_t ack = {
        .id = FW_TEXT("e1"),
        .status = FW_PUBLISH_REJECTED,
        .has_refusal = true,
        .refusal = {.field = "type", .reason = "is too long", .limit = 64, .value = 65}};
    char *text = fw_ack_json(0, &ack);
    assert_string_equal(
        text,
        "{\"status\":\"rejected\",\"id\":\"e1\",\"field\":\"type\",\"reason\":\"is too long\","
        "\"limit\":64,\"value\":65}");
    free(text);
}

static void an_acknowledgement_has_the_members_of_the_http_answer(void **state)
{
    (void)state;
    fw_channel_position_t position = {.channel = FW_TEXT("room:42"), .position = {33, 17}};
    fw_publish_ack_t ack = {.id = FW_TEXT("e1"),
                            .status = FW_PUBLISH_DUPLICATE,
                            .positions = &position,
                            .positions_count = 1,
                            .fresh = UINT64_MAX};
    char *text = fw_ack_json(0, &ack);
    assert_string_equal(
        text, "{\"status\":\"duplicate\",\"id\":\"e1\",\"positions\":[{\"channel\":\"room:42\","
              "\"epoch\":\"11\",\"offset\":\"17\"}],\"duplicate\":true,\"unconfirmed\":false,"
              "\"fresh\":\"18446744073709551615\"}");
    free(text);
}

static void the_ports_file_is_refused_where_it_cannot_be_written(void **state)
{
    (void)state;
    fw_addresses_t addresses = {.gateway = "http://127.0.0.1:1"};
    assert_int_equal(fw_ports_file_write("/nowhere/ports.json", &addresses), -ENOENT);
    static char endless[8192];
    memset(endless, 'x', sizeof endless - 1);
    assert_int_equal(fw_ports_file_write(endless, &addresses), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_an_event_moves_the_readers_terminal),
        cmocka_unit_test(json_is_one_object_a_line_with_its_data_unchanged),
        cmocka_unit_test(colour_is_for_terminals_only),
        cmocka_unit_test(an_event_that_was_not_answered_says_so),
        cmocka_unit_test(a_rejection_names_field_reason_limit_and_value),
        cmocka_unit_test(an_acknowledgement_has_the_members_of_the_http_answer),
        cmocka_unit_test(the_ports_file_is_refused_where_it_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
