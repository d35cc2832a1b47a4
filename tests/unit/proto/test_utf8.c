/* test_utf8.c - well-formed UTF-8, at every boundary of the Unicode Standard's table 3-7.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/utf8.h"

#define BYTES(literal) ((fw_bytes_t){(const uint8_t *)(literal), sizeof(literal) - 1})

/* Whether the standard allows these bytes, said another way than utf8.c does: decode, then look at
 * the code point. */
static bool is_character(const uint8_t *bytes, size_t size)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint8_t lead_bits[] = {0, 0, 0x1f, 0x0f, 0x07};
    static const uint8_t lead_value[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (size == 1)
        return bytes[0] < 0x80;
    if ((bytes[0] & ~lead_bits[size] & 0xff) != lead_value[size])
        return false;
    uint32_t point = bytes[0] & lead_bits[size];
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return false;
        point = point << 6 | (bytes[i] & 0x3f);
    }
    return point >= smallest[size] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

static void refuses_what_table_3_7_leaves_out(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x7f",
        "\xc2\xc0",
        "\xdf\x7f",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe0\xc0\x80",
        "\xe1\x7f\x80",
        "\xec\xbf\xc0",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xee\x80\x7f",
        "\xef\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf1\x80\x80\x7f",
        "\xf3\xbf\xbf\xc0",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80",
        "\xfe",
        "\xff",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_bytes_t bytes = {(const uint8_t *)bad[i], strlen(bad[i])};
        if (fw_utf8_valid(bytes))
            fail_msg("row %zu is taken for text", i);
    }
}

static void accepts_the_first_and_last_of_every_row(void **state)
{
    static const char *const good[] = {
        "",
        "\x01",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe0\xbf\xbf",
        "\xe1\x80\x80",
        "\xec\xbf\xbf",
        "\xed\x80\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf0\xbf\xbf\xbf",
        "\xf1\x80\x80\x80",
        "\xf3\xbf\xbf\xbf",
        "\xf4\x80\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        fw_bytes_t bytes = {(const uint8_t *)good[i], strlen(good[i])};
        if (!fw_utf8_valid(bytes))
            fail_msg("row %zu is not taken for text", i);
    }
    assert_true(fw_utf8_valid((fw_bytes_t){NULL, 0}));
    assert_true(fw_utf8_valid(BYTES("\0")));
}

/* Every lead byte with every second byte, and every third and fourth byte at the edges. */
static void agrees_with_a_second_reading_of_the_standard(void **state)
{
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    (void)state;
    for (unsigned lead = 0x80; lead <= 0xff; lead++) {
        for (unsigned second = 0; second <= 0xff; second++) {
            uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, 0, 0};
            assert_int_equal(fw_utf8_valid((fw_bytes_t){bytes, 2}), is_character(bytes, 2));
            for (size_t i = 0; i < sizeof edges; i++) {
                bytes[2] = edges[i];
                bool three = is_character(bytes, 3) || (is_character(bytes, 2) && edges[i] < 0x80);
                assert_int_equal(fw_utf8_valid((fw_bytes_t){bytes, 3}), three);
                for (size_t k = 0; k < sizeof edges; k++) {
                    bytes[3] = edges[k];
                    bool four = is_character(bytes, 4) || (three && edges[k] < 0x80) ||
                                (is_character(bytes, 2) && is_character(bytes + 2, 2));
                    assert_int_equal(fw_utf8_valid((fw_bytes_t){bytes, 4}), four);
                }
            }
        }
    }
}

static void finds_one_bad_byte_at_any_place_of_a_long_text(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++) {
        uint8_t *text = malloc(size); /* exact, so that a read too far is seen */
        assert_non_null(text);
        memset(text, 'x', size);
        assert_true(fw_utf8_valid((fw_bytes_t){text, size}));
        for (size_t at = 0; at < size; at++) {
            text[at] = 0xc3;
            assert_false(fw_utf8_valid((fw_bytes_t){text, size}));
            text[at] = 'x';
        }
        free(text);
    }
}

static void printable_text_has_no_control_characters(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        uint8_t text[3] = {'a', (uint8_t)c, 'b'};
        assert_int_equal(fw_utf8_printable((fw_bytes_t){text, 3}), c >= 0x20 && c != 0x7f);
    }
    assert_true(fw_utf8_printable(BYTES("Gr\xc3\xbc\xc3\x9f"
                                        "e")));
    assert_false(fw_utf8_printable(BYTES("\xc3")));
    assert_true(fw_utf8_printable((fw_bytes_t){NULL, 0}));
}

static void copies_whole_characters_as_far_as_they_fit(void **state)
{
    char buffer[8];
    (void)state;
    assert_int_equal(fw_utf8_copy(buffer, 1, BYTES("abc")), 0);
    assert_string_equal(buffer, "");
    assert_int_equal(fw_utf8_copy(buffer, 4, BYTES("abc")), 3);
    assert_string_equal(buffer, "abc");
    assert_int_equal(fw_utf8_copy(buffer, 3, BYTES("abc")), 2);
    assert_string_equal(buffer, "ab");
    assert_int_equal(fw_utf8_copy(buffer, 4, BYTES("a\xe2\x82\xac")), 1);
    assert_string_equal(buffer, "a");
    assert_int_equal(fw_utf8_copy(buffer, 5, BYTES("a\xe2\x82\xac")), 4);
    assert_string_equal(buffer, "a\xe2\x82\xac");
    assert_int_equal(fw_utf8_copy(buffer, 8, (fw_bytes_t){NULL, 0}), 0);
    assert_string_equal(buffer, "");
}

static void copies_a_question_mark_for_what_is_no_text(void **state)
{
    char buffer[8];
    (void)state;
    assert_int_equal(fw_utf8_copy(buffer, 8, BYTES("a\0b")), 3);
    assert_string_equal(buffer, "a?b");
    assert_int_equal(fw_utf8_copy(buffer, 8, BYTES("\xff\xe2\x82")), 3);
    assert_string_equal(buffer, "???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_table_3_7_leaves_out),
        cmocka_unit_test(accepts_the_first_and_last_of_every_row),
        cmocka_unit_test(agrees_with_a_second_reading_of_the_standard),
        cmocka_unit_test(finds_one_bad_byte_at_any_place_of_a_long_text),
        cmocka_unit_test(printable_text_has_no_control_characters),
        cmocka_unit_test(copies_whole_characters_as_far_as_they_fit),
        cmocka_unit_test(copies_a_question_mark_for_what_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
