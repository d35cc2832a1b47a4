/* test_position.c - epochs and offsets as text, both ways.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/position.h"

static void refuses_epochs_that_it_would_not_write(void **state)
{
    static const char *const bad[] = {
        "",  "00", "0a", "A",  "K3F9", "i",  "l",        "o",
        "u", "-1", "+1", " 1", "1 ",   "1.", "\xc3\xbc", "zzzzzzzzzzzzz" /* 13 digits */,
    };
    uint64_t epoch = 77;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fw_epoch_parse(fw_text(bad[i]), &epoch) != -EINVAL)
            fail_msg("\"%s\" is taken for an epoch", bad[i]);
    assert_int_equal(fw_epoch_parse((fw_text_t){"1\0", 2}, &epoch), -EINVAL);
    assert_int_equal(epoch, 77);
}

static void reads_the_epochs_that_it_writes(void **state)
{
    static const struct {
        uint64_t epoch;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {31, "z"},
        {32, "10"},
        {17, "h"},
        {18, "j"},
        {20, "m"},
        {22, "p"},
        {27, "v"},
        {1024, "100"},
        {FW_EPOCH_MAX, "zzzzzzzzzzzz"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[FW_EPOCH_TEXT_SIZE_MAX + 1];
        uint64_t epoch = 1;
        assert_int_equal(fw_epoch_format(rows[i].epoch, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
        assert_int_equal(fw_epoch_parse(fw_text(text), &epoch), 0);
        assert_true(epoch == rows[i].epoch);
    }
}

static void reads_back_epochs_of_every_size(void **state)
{
    (void)state;
    for (uint64_t epoch = 1; epoch <= FW_EPOCH_MAX; epoch = epoch * 3 + 1) {
        char text[FW_EPOCH_TEXT_SIZE_MAX + 1];
        uint64_t again = 0;
        (void)fw_epoch_format(epoch, text);
        assert_int_equal(fw_epoch_parse(fw_text(text), &again), 0);
        assert_true(again == epoch);
    }
}

static void refuses_what_is_no_offset(void **state)
{
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x1",
        "1e3",
        "a",
        "18446744073709551616",
        "99999999999999999999",
        "000000000000000000001",
        "\xd9\xa1",
    };
    uint64_t offset = 77;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fw_offset_parse(fw_text(bad[i]), &offset) != -EINVAL)
            fail_msg("\"%s\" is taken for an offset", bad[i]);
    assert_int_equal(fw_offset_parse((fw_text_t){"1\0", 2}, &offset), -EINVAL);
    assert_int_equal(offset, 77);
}

static void reads_offsets_up_to_the_largest(void **state)
{
    static const uint64_t offsets[] = {0, 1, 9, 10, UINT64_C(9007199254740993), UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        char text[FW_OFFSET_TEXT_SIZE_MAX + 1];
        uint64_t offset = 7;
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)offsets[i]);
        assert_int_equal(fw_offset_parse(fw_text(text), &offset), 0);
        assert_true(offset == offsets[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_epochs_that_it_would_not_write),
        cmocka_unit_test(reads_the_epochs_that_it_writes),
        cmocka_unit_test(reads_back_epochs_of_every_size),
        cmocka_unit_test(refuses_what_is_no_offset),
        cmocka_unit_test(reads_offsets_up_to_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
