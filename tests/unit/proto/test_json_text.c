/* test_json_text.c - what is written as JSON is read back alike by jansson.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/json_text.h"

#define BYTES(literal) ((fw_bytes_t){(const uint8_t *)(literal), sizeof(literal) - 1})

static json_t *read_back(const fw_json_t *json)
{
    json_error_t error;
    json_t *value =
        json_loadb(json->buffer, json->needed, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value)
        fail_msg("%.*s: %s", (int)json->needed, json->buffer, error.text);
    return value;
}

static void counts_on_and_writes_nothing_past_a_full_buffer(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 32; size++) {
        char *buffer = malloc(size ? size : 1); /* exact, so that a byte too many is seen */
        assert_non_null(buffer);
        fw_json_t json = {buffer, size, 0};
        fw_json_string(&json, FW_TEXT("a\"b\x01"));
        fw_json_raw(&json, ",", 1);
        fw_json_number(&json, -12);
        fw_json_quoted_number(&json, 34);
        fw_json_base64(&json, BYTES("abcd"));
        assert_int_equal(json.needed, strlen("\"a\\\"b\\u0001\",-12\"34\"\"YWJjZA==\""));
        if (json.needed <= size)
            assert_memory_equal(buffer, "\"a\\\"b\\u0001\",-12\"34\"\"YWJjZA==\"", json.needed);
        free(buffer);
    }
}

static void escapes_every_character_that_needs_it(void **state)
{
    (void)state;
    for (int c = 1; c < 0x80; c++) {
        char text[4] = {'<', (char)c, '>', 0}, buffer[32];
        fw_json_t json = {buffer, sizeof buffer, 0};
        fw_json_string(&json, fw_text(text));
        for (size_t i = 0; i < json.needed; i++)
            assert_true((unsigned char)buffer[i] >= 0x20);
        json_t *value = read_back(&json);
        assert_int_equal(json_string_length(value), 3);
        assert_string_equal(json_string_value(value), text);
        json_decref(value);
    }
}

static void leaves_other_text_as_it_is(void **state)
{
    static const char *const texts[] = {
        "",
        "plain",
        "Gr\xc3\xbc\xc3\x9f",
        "\xe2\x80\xa8\xe2\x80\xa9",
        "\xf0\x9f\x98\x80",
        "</script>",
        "\"",
        "\\",
        "a\\\"",
        "\n\n",
        "x\ty",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char buffer[64];
        fw_json_t json = {buffer, sizeof buffer, 0};
        fw_json_string(&json, fw_text(texts[i]));
        json_t *value = read_back(&json);
        assert_string_equal(json_string_value(value), texts[i]);
        json_decref(value);
    }
}

static void writes_numbers_of_every_size(void **state)
{
    static const int64_t numbers[] = {0, 1, -1, 4294967296, INT64_MAX, INT64_MIN};
    char buffer[64];
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        fw_json_t json = {buffer, sizeof buffer, 0};
        fw_json_number(&json, numbers[i]);
        json_t *value = read_back(&json);
        assert_true(json_integer_value(value) == numbers[i]);
        json_decref(value);
    }
    fw_json_t json = {buffer, sizeof buffer, 0};
    fw_json_quoted_number(&json, UINT64_MAX);
    json_t *value = read_back(&json);
    assert_string_equal(json_string_value(value), "18446744073709551615");
    json_decref(value);
}

/* The test vectors of RFC 4648, section 10. */
static void writes_base64_as_the_standard_does(void **state)
{
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"f", "\"Zg==\""},
        {"fo", "\"Zm8=\""},
        {"foo", "\"Zm9v\""},
        {"foob", "\"Zm9vYg==\""},
        {"fooba", "\"Zm9vYmE=\""},
        {"foobar", "\"Zm9vYmFy\""},
    };
    char buffer[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fw_json_t json = {buffer, sizeof buffer, 0};
        fw_json_base64(&json, (fw_bytes_t){(const uint8_t *)rows[i][0], strlen(rows[i][0])});
        assert_int_equal(json.needed, strlen(rows[i][1]));
        assert_memory_equal(buffer, rows[i][1], json.needed);
    }
    fw_json_t json = {buffer, sizeof buffer, 0};
    fw_json_base64(&json, BYTES("\x00\xff\xfb\xef\xbe"));
    assert_memory_equal(buffer, "\"AP/7774=\"", json.needed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_on_and_writes_nothing_past_a_full_buffer),
        cmocka_unit_test(escapes_every_character_that_needs_it),
        cmocka_unit_test(leaves_other_text_as_it_is),
        cmocka_unit_test(writes_numbers_of_every_size),
        cmocka_unit_test(writes_base64_as_the_standard_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
