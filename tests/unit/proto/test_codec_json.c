/* test_codec_json.c - payloads as JSON, read back by jansson.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/wire_samples.h"
#include "tests/support/wire_writer.h"

static int set_up(void **state)
{
    *state = fw_codec_new();
    return 0;
}

static int tear_down(void **state)
{
    fw_codec_t *codec = *state;
    fw_codec_destroy(&codec);
    return 0;
}

/* The payload of a publication with these encoded bytes of field 3. */
static fw_payload_t payload_with(fw_codec_t *codec, fw_bytes_t data)
{
    fw_wire_t wire = fw_wire_new(data.size + 16);
    fw_publication_t publication;
    fw_refusal_t refusal;
    fw_wire_bytes(&wire, 3, data);
    if (fw_codec_decode_publication(codec, fw_wire_view(&wire), &publication, &refusal) != 0)
        fail_msg("%s %s", refusal.field, refusal.reason);
    fw_wire_clear(&wire);
    return publication.data;
}

static void assert_json(const fw_payload_t *payload, const char *expected)
{
    char buffer[1024];
    size_t size = fw_codec_payload_json(payload, buffer, sizeof buffer);
    assert_true(size < sizeof buffer);
    buffer[size] = '\0';
    json_t *value = json_loads(buffer, JSON_DECODE_ANY, NULL);
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    if (!value || !json_equal(value, wanted))
        fail_msg("%s instead of %s", buffer, expected);
    json_decref(value);
    json_decref(wanted);
}

/* A size that is too small writes nothing past it and says what is needed. */
static void says_how_much_room_it_needs(void **state)
{
    const fw_payload_t payloads[] = {
        payload_with(*state, FW_WIRE_BYTES("\x52\x09\x0a\x07"
                                           "Gr\xc3\xbc\xc3\x9f"
                                           "e")),
        {.kind = FW_PAYLOAD_NONE},
        {.kind = FW_PAYLOAD_JSON, .bytes = FW_WIRE_BYTES("{\n}")},
        {.kind = FW_PAYLOAD_BINARY, .bytes = FW_WIRE_BYTES("ab")},
    };
    for (size_t i = 0; i < 4; i++) {
        char whole[64];
        size_t needed = fw_codec_payload_json(&payloads[i], whole, sizeof whole);
        assert_in_range(needed, 3, sizeof whole);
        assert_int_equal(fw_codec_payload_json(&payloads[i], NULL, 0), needed);
        for (size_t size = 1; size <= needed; size++) {
            char *exact = malloc(size);
            assert_non_null(exact);
            assert_int_equal(fw_codec_payload_json(&payloads[i], exact, size), needed);
            if (size == needed)
                assert_memory_equal(exact, whole, needed);
            free(exact);
        }
    }
}

static void writes_null_for_no_data_and_for_an_empty_payload(void **state)
{
    fw_payload_t none = {.kind = FW_PAYLOAD_NONE};
    fw_payload_t empty = payload_with(*state, FW_WIRE_BYTES(""));
    assert_json(&none, "null");
    assert_json(&empty, "null");
}

/* A line break would end the event in a frame that holds several. */
static void copies_json_onto_one_line(void **state)
{
    fw_payload_t payload = {.kind = FW_PAYLOAD_JSON,
                            .bytes = FW_WIRE_BYTES("{\r\n\t\"a\": \"b\\nc\",\n\"d\": [1,\n2]}")};
    char buffer[64];
    (void)state;
    size_t size = fw_codec_payload_json(&payload, buffer, sizeof buffer);
    assert_int_equal(size, payload.bytes.size);
    assert_null(memchr(buffer, '\n', size));
    assert_null(memchr(buffer, '\r', size));
    assert_json(&payload, "{\"a\":\"b\\nc\",\"d\":[1,2]}");
}

static void writes_binary_data_as_base64(void **state)
{
    fw_payload_t payload = {.kind = FW_PAYLOAD_BINARY, .bytes = FW_WIRE_BYTES("\x00\xff")};
    (void)state;
    assert_json(&payload, "\"AP8=\"");
}

static void writes_every_field_of_every_typed_payload(void **state)
{
    static const struct {
        const char *sample, *json;
    } rows[] = {
        {"publisher_up_project_created",
         "{\"id\":\"42\",\"name\":\"Apollo\",\"description\":\"Gr\xc3\xbc\xc3\x9f"
         "e\",\"status\":\"active\",\"owner_id\":\"9\",\"team_id\":\"7\",\"version\":\"18\","
         "\"updated_at_ms\":\"1732270000123\"}"},
        {"publisher_up_project_updated",
         "{\"id\":\"42\",\"name\":\"Apollo\",\"description\":\"Gr\xc3\xbc\xc3\x9f"
         "e\",\"status\":\"active\",\"owner_id\":\"9\",\"team_id\":\"7\",\"version\":\"18\","
         "\"updated_at_ms\":\"1732270000123\"}"},
        {"publisher_up_project_deleted", "{\"id\":\"42\",\"team_id\":\"7\",\"version\":\"-1\"}"},
        {"publisher_up_user_updated",
         "{\"id\":\"9\",\"name\":\"Ada\",\"avatar_url\":\"/a/9?s=\\\"2\\\"\",\"version\":\"19\","
         "\"updated_at_ms\":\"1732270000123\"}"},
        {"publisher_up_notification_created",
         "{\"id\":\"n\",\"user_id\":\"9\",\"title\":\"Hello\",\"body\":\"two\\nlines\","
         "\"kind\":\"info\",\"link\":\"/n\",\"created_at_ms\":\"1732270000123\"}"},
        {"publisher_up_team_updated",
         "{\"id\":\"7\",\"name\":\"Core\",\"member_ids\":[\"9\",\"10\"],\"version\":\"20\","
         "\"updated_at_ms\":\"1732270000123\"}"},
    };
    size_t count, found = 0;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            if (strcmp(samples[i].name, rows[k].sample) != 0)
                continue;
            fw_any_t any;
            fw_refusal_t refusal;
            fw_bytes_t frame = fw_any_encode(*state, &samples[i].any);
            assert_int_equal(fw_any_decode(*state, samples[i].any.decoder, frame, &any, &refusal),
                             0);
            assert_json(&any.message.publish.event.data, rows[k].json);
            found++;
        }
    }
    assert_int_equal(found, sizeof rows / sizeof *rows);
}

static void leaves_out_what_is_unset(void **state)
{
    fw_payload_t empty = payload_with(*state, FW_WIRE_BYTES("\x5a\x00"));
    assert_int_equal(empty.kind, FW_PAYLOAD_TYPED);
    assert_json(&empty, "{}");
    fw_payload_t some = payload_with(*state, FW_WIRE_BYTES("\x7a\x06\x0a\x00\x1a\x00\x20\x01"));
    assert_json(&some, "{\"member_ids\":[\"\"],\"version\":\"1\"}");
}

static void leaves_out_the_fields_of_a_newer_schema(void **state)
{
    fw_payload_t payload = payload_with(*state, FW_WIRE_BYTES("\x5a\x07\x0a\x01"
                                                              "1\x7a\x02\xff\xff"));
    assert_json(&payload, "{\"id\":\"1\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_how_much_room_it_needs),
        cmocka_unit_test(writes_null_for_no_data_and_for_an_empty_payload),
        cmocka_unit_test(copies_json_onto_one_line),
        cmocka_unit_test(writes_binary_data_as_base64),
        cmocka_unit_test(writes_every_field_of_every_typed_payload),
        cmocka_unit_test(leaves_out_what_is_unset),
        cmocka_unit_test(leaves_out_the_fields_of_a_newer_schema),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
