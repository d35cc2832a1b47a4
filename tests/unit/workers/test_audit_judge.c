/* test_audit_judge.c - what a reader would be served is what is called stale.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/audit_judge.h"

enum { START = 1000 };

static fw_bytes_t text(const char *value)
{
    return (fw_bytes_t){(const uint8_t *)value, strlen(value)};
}

/* An entry with the epoch at 5 and the tag t at 7; the caller frees it. */
static fw_bytes_t make_entry(uint8_t nonce, fw_bytes_t payload)
{
    fw_cache_entry_t entry = {.start_us = START,
                              .stamps = {{{NULL, 0}, 5}, {{(const uint8_t *)"t", 1}, 7}},
                              .stamps_count = 2,
                              .payload = payload};
    uint8_t *data = NULL;
    size_t size = 0;
    entry.nonce[0] = nonce;
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), 0);
    return (fw_bytes_t){data, size};
}

static void drop(fw_bytes_t value)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {.in = value.data};
    free(cast.out);
}

static void an_older_stamp_is_a_lost_purge_and_a_missing_one_is_not(void **state)
{
    (void)state;
    assert_int_equal(fw_audit_judge_stamp(100, text("99")), FW_AUDIT_STALE);
    assert_int_equal(fw_audit_judge_stamp(100, text("100")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_stamp(100, text("101")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_stamp(100, text("")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_stamp(100, text("none")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_stamp(0, text("99")), FW_AUDIT_CLEAN);
}

static void the_bound_is_when_the_broker_had_the_event(void **state)
{
    (void)state;
    assert_int_equal(fw_audit_bound_us(1000, 100, 10), 890);
    assert_int_equal(fw_audit_bound_us(1000, 990, 10), 0);
    assert_int_equal(fw_audit_bound_us(1000, UINT64_MAX, 10), 0);
    assert_int_equal(fw_audit_bound_us(0, 0, 0), 0);
}

static void only_an_old_entry_is_suspect(void **state)
{
    (void)state;
    fw_cache_entry_t head;
    fw_bytes_t value = make_entry(1, text("\xc0"));
    assert_false(fw_audit_suspects(text(""), UINT64_MAX, &head));
    assert_false(fw_audit_suspects(text("CWL10123456789abcdef"), UINT64_MAX, &head));
    assert_false(fw_audit_suspects(text("something else, and long enough"), UINT64_MAX, &head));
    assert_false(fw_audit_suspects((fw_bytes_t){value.data, 25}, UINT64_MAX, &head));
    assert_false(fw_audit_suspects(value, START - 1, &head));
    assert_true(fw_audit_suspects(value, START, &head));
    assert_int_equal(head.stamps_count, 2);
    /* Its payload may be cut off. */
    assert_true(fw_audit_suspects((fw_bytes_t){value.data, value.size - 1}, START, &head));
    drop(value);
}

static void stamps_must_all_be_there_and_the_same(void **state)
{
    (void)state;
    fw_cache_entry_t head;
    fw_bytes_t value = make_entry(1, text("\xc0"));
    assert_true(fw_audit_suspects(value, START, &head));
    assert_true(fw_audit_stamps_fit(&head, (const uint64_t[]){5, 7}));
    assert_false(fw_audit_stamps_fit(&head, (const uint64_t[]){5, 8}));
    assert_false(fw_audit_stamps_fit(&head, (const uint64_t[]){6, 7}));
    assert_false(fw_audit_stamps_fit(&head, (const uint64_t[]){5, 0}));
    assert_false(fw_audit_stamps_fit(&head, (const uint64_t[]){0, 7}));
    drop(value);
}

static void only_a_value_that_can_be_read_and_stayed_is_stale(void **state)
{
    (void)state;
    fw_cache_entry_t head;
    fw_bytes_t value = make_entry(1, text("\xc0"));
    fw_bytes_t another = make_entry(2, text("\xc0"));
    fw_bytes_t no_value = make_entry(1, text("\xc1"));
    assert_true(fw_audit_suspects(value, START, &head));
    assert_int_equal(fw_audit_judge_value(&head, value), FW_AUDIT_STALE);
    assert_int_equal(fw_audit_judge_value(&head, text("")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_value(&head, text("CWL10123456789abcdef")), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_value(&head, (fw_bytes_t){value.data, value.size - 1}),
                     FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_value(&head, no_value), FW_AUDIT_CLEAN);
    assert_int_equal(fw_audit_judge_value(&head, another), FW_AUDIT_UNJUDGED);
    drop(value);
    drop(another);
    drop(no_value);
}

static bool near(double value, double expected)
{
    double difference = value - expected;
    return difference < 1e-6 && difference > -1e-6;
}

static void the_bound_of_the_share_follows_the_number_of_checks(void **state)
{
    (void)state;
    assert_true(near(fw_audit_consistency(0, 0), 1.0));
    assert_true(near(fw_audit_consistency_bound(0, 0), 0.0));
    assert_true(near(fw_audit_consistency_bound(3, 0), 0.0));
    assert_true(near(fw_audit_consistency_bound(300, 0), 0.99));
    assert_true(near(fw_audit_consistency_bound(3000000, 0), 0.999999));
    assert_true(near(fw_audit_consistency(1000, 1), 0.999));
    /* Below the share, above nothing, and tighter with more checks. */
    double few = fw_audit_consistency_bound(1000, 1);
    double many = fw_audit_consistency_bound(100000, 100);
    assert_true(few > 0.9 && few < 0.999);
    assert_true(many > few && many < 0.999);
    assert_true(fw_audit_consistency_bound(1, 1) >= 0.0);
    assert_true(near(fw_audit_consistency_bound(2, 1), 0.120866));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_stamp_is_a_lost_purge_and_a_missing_one_is_not),
        cmocka_unit_test(the_bound_is_when_the_broker_had_the_event),
        cmocka_unit_test(only_an_old_entry_is_suspect),
        cmocka_unit_test(stamps_must_all_be_there_and_the_same),
        cmocka_unit_test(only_a_value_that_can_be_read_and_stayed_is_stale),
        cmocka_unit_test(the_bound_of_the_share_follows_the_number_of_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
