/* SPDX-License-Identifier: MPL-2.0
 * How many events each publisher waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/publishers.h"

static const fw_peer_t alice = {1, {'a'}};
static const fw_peer_t bob = {1, {'b'}};

static void counts_what_is_unacknowledged(void **state)
{
    (void)state;
    fw_publishers_t *publishers = fw_publishers_new();
    (void)fw_publishers_seen(publishers, &alice, 0);
    (void)fw_publishers_seen(publishers, &bob, 0);
    assert_int_equal(fw_publishers_begin(publishers, &alice), 1);
    assert_int_equal(fw_publishers_begin(publishers, &alice), 2);
    assert_int_equal(fw_publishers_begin(publishers, &bob), 1);
    assert_true(fw_publishers_end(publishers, &alice));
    assert_int_equal(fw_publishers_begin(publishers, &alice), 2);
    fw_publishers_destroy(&publishers);
}

static void nobody_is_told_after_leaving(void **state)
{
    (void)state;
    fw_publishers_t *publishers = fw_publishers_new();
    (void)fw_publishers_seen(publishers, &alice, 0);
    (void)fw_publishers_begin(publishers, &alice);
    fw_publishers_gone(publishers, &alice);
    assert_false(fw_publishers_end(publishers, &alice));
    fw_publishers_destroy(&publishers);
}

static void an_answer_to_one_who_left_and_came_back_takes_no_credit(void **state)
{
    (void)state;
    fw_publishers_t *publishers = fw_publishers_new();
    (void)fw_publishers_seen(publishers, &alice, 0);
    (void)fw_publishers_begin(publishers, &alice);
    fw_publishers_remove_silent(publishers, 10, 11);
    assert_int_equal(fw_publishers_count(publishers), 0);
    (void)fw_publishers_seen(publishers, &alice, 12);
    assert_true(fw_publishers_end(publishers, &alice));
    assert_int_equal(fw_publishers_begin(publishers, &alice), 1);
    fw_publishers_destroy(&publishers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_unacknowledged),
        cmocka_unit_test(nobody_is_told_after_leaving),
        cmocka_unit_test(an_answer_to_one_who_left_and_came_back_takes_no_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
