/* SPDX-License-Identifier: MPL-2.0
 * An id is remembered for its time, and within the count; what is in flight is never forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/dedupe.h"

static const fw_text_t channels[] = {{"broadcast", 9}, {"user:1", 6}};

static void an_unknown_id_is_not_found(void **state)
{
    (void)state;
    fw_dedupe_t *dedupe = fw_dedupe_new(100, 10, 1 << 20);
    assert_null(fw_dedupe_find(dedupe, FW_TEXT("a")));
    fw_dedupe_destroy(&dedupe);
}

static void keeps_its_own_copy_of_names(void **state)
{
    (void)state;
    char id[] = "event-1";
    fw_dedupe_t *dedupe = fw_dedupe_new(100, 10, 1 << 20);
    fw_dedupe_entry_t *entry = fw_dedupe_add(dedupe, fw_text(id), channels, 2, 0);
    id[0] = 'X';
    assert_ptr_equal(fw_dedupe_find(dedupe, FW_TEXT("event-1")), entry);
    assert_int_equal(entry->positions_count, 2);
    assert_string_equal(entry->positions[1].channel.text, "user:1");
    fw_dedupe_destroy(&dedupe);
}

static void forgets_what_is_finished_and_too_old(void **state)
{
    (void)state;
    fw_dedupe_t *dedupe = fw_dedupe_new(100, 10, 1 << 20);
    fw_dedupe_add(dedupe, FW_TEXT("a"), channels, 1, 0)->finished = true;
    fw_dedupe_expire(dedupe, 100);
    assert_non_null(fw_dedupe_find(dedupe, FW_TEXT("a")));
    fw_dedupe_expire(dedupe, 101);
    assert_null(fw_dedupe_find(dedupe, FW_TEXT("a")));
    fw_dedupe_destroy(&dedupe);
}

static void never_forgets_what_is_in_flight(void **state)
{
    (void)state;
    fw_dedupe_t *dedupe = fw_dedupe_new(100, 1, 1 << 20);
    fw_dedupe_entry_t *entry = fw_dedupe_add(dedupe, FW_TEXT("a"), channels, 1, 0);
    (void)fw_dedupe_add(dedupe, FW_TEXT("b"), channels, 1, 0);
    fw_dedupe_expire(dedupe, 100000);
    assert_ptr_equal(fw_dedupe_find(dedupe, FW_TEXT("a")), entry);
    entry->finished = true;
    fw_dedupe_expire(dedupe, 100000);
    assert_null(fw_dedupe_find(dedupe, FW_TEXT("a")));
    fw_dedupe_destroy(&dedupe);
}

static void beyond_the_count_the_oldest_is_forgotten(void **state)
{
    (void)state;
    fw_dedupe_t *dedupe = fw_dedupe_new(INT64_MAX / 2, 3, 1 << 20);
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        fw_dedupe_add(dedupe, fw_text(id), channels, 1, i)->finished = true;
    }
    fw_dedupe_expire(dedupe, 5);
    assert_int_equal(fw_dedupe_count(dedupe), 3);
    assert_null(fw_dedupe_find(dedupe, FW_TEXT("1")));
    assert_non_null(fw_dedupe_find(dedupe, FW_TEXT("2")));
    fw_dedupe_destroy(&dedupe);
}

static void a_removed_id_is_free_again(void **state)
{
    (void)state;
    fw_dedupe_t *dedupe = fw_dedupe_new(100, 3, 1 << 20);
    fw_dedupe_remove(dedupe, fw_dedupe_add(dedupe, FW_TEXT("a"), channels, 2, 0));
    assert_null(fw_dedupe_find(dedupe, FW_TEXT("a")));
    assert_non_null(fw_dedupe_add(dedupe, FW_TEXT("a"), channels, 2, 0));
    fw_dedupe_destroy(&dedupe);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    fw_text_t rooms[] = {FW_TEXT("room:1")};
    char id[128];
    fw_dedupe_t *dedupe = fw_dedupe_new(INT64_MAX / 2, 1000000, 10000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "%0100d", i);
        fw_dedupe_add(dedupe, fw_text(id), rooms, 1, i)->finished = true;
    }
    assert_in_range(fw_dedupe_count(dedupe), 10, 100);
    assert_non_null(fw_dedupe_find(dedupe, fw_text(id)));
    fw_dedupe_destroy(&dedupe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_id_is_not_found),
        cmocka_unit_test(keeps_its_own_copy_of_names),
        cmocka_unit_test(forgets_what_is_finished_and_too_old),
        cmocka_unit_test(never_forgets_what_is_in_flight),
        cmocka_unit_test(beyond_the_count_the_oldest_is_forgotten),
        cmocka_unit_test(a_removed_id_is_free_again),
        cmocka_unit_test(bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
