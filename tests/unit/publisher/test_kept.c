/* test_kept.c - tests of clients/c/kept.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/kept.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

static uint64_t add(fw_kept_t *kept, const char *text)
{
    return fw_kept_add(kept, (fw_bytes_t){(const uint8_t *)text, strlen(text)}, 0);
}

static void expect_next(fw_kept_t *kept, const char *text)
{
    fw_bytes_t frame;
    assert_true(fw_kept_next(kept, &frame));
    assert_int_equal(frame.size, strlen(text));
    assert_memory_equal(frame.data, text, frame.size);
    fw_kept_sent(kept);
}

static void expect_none(const fw_kept_t *kept)
{
    fw_bytes_t frame;
    assert_false(fw_kept_next(kept, &frame));
}

static void asks_about_what_never_was_change_nothing(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    assert_int_equal(fw_kept_oldest(kept), 1);
    assert_int_equal(fw_kept_last(kept), 0);
    assert_int_equal(fw_kept_want(kept, 1, 10), 0);
    (void)add(kept, "one");
    assert_int_equal(fw_kept_want(kept, 0, 10), 0);
    assert_int_equal(fw_kept_want(kept, 1, 0), 0);
    assert_int_equal(fw_kept_want(kept, 2, 10), 0);
    assert_int_equal(fw_kept_want(kept, UINT64_MAX, UINT64_MAX), 0);
    expect_none(kept);
    assert_int_equal(fw_kept_want(kept, 1, UINT64_MAX), 0);
    expect_next(kept, "one");
    expect_none(kept);
    fw_kept_destroy(&kept);
    assert_null(kept);
    fw_kept_destroy(&kept);
}

static void the_oldest_make_room_by_number(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    for (uint64_t i = 1; i <= FW_KEPT_EVENTS_MAX + 10; i++)
        assert_int_equal(add(kept, "x"), i);
    assert_int_equal(fw_kept_oldest(kept), 11);
    assert_int_equal(fw_kept_bytes(kept), FW_KEPT_EVENTS_MAX);
    assert_int_equal(fw_kept_want(kept, 1, 5), 5);
    expect_none(kept);
    assert_int_equal(fw_kept_want(kept, 6, 10), 5);
    for (int i = 0; i < 5; i++)
        expect_next(kept, "x");
    expect_none(kept);
    fw_kept_destroy(&kept);
}

static void the_oldest_make_room_by_size_and_one_frame_always_fits(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    uint8_t *large = fw_alloc(1, FW_KEPT_BYTES_MAX);
    (void)add(kept, "small");
    assert_int_equal(fw_kept_add(kept, (fw_bytes_t){large, FW_KEPT_BYTES_MAX / 2}, 0), 2);
    assert_int_equal(fw_kept_oldest(kept), 1);
    assert_int_equal(fw_kept_add(kept, (fw_bytes_t){large, FW_KEPT_BYTES_MAX / 2}, 0), 3);
    assert_int_equal(fw_kept_oldest(kept), 2);
    assert_int_equal(fw_kept_add(kept, (fw_bytes_t){large, FW_KEPT_BYTES_MAX}, 0), 4);
    assert_int_equal(fw_kept_oldest(kept), 4);
    assert_int_equal(fw_kept_bytes(kept), FW_KEPT_BYTES_MAX);
    free(large);
    fw_kept_destroy(&kept);
}

static void what_is_dropped_is_not_wanted_any_more(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    for (int i = 0; i < 4; i++)
        (void)add(kept, i == 3 ? "four" : "early");
    assert_int_equal(fw_kept_want(kept, 1, 4), 0);
    for (int i = 0; i < FW_KEPT_EVENTS_MAX - 1; i++)
        (void)add(kept, "later");
    assert_int_equal(fw_kept_oldest(kept), 4);
    expect_next(kept, "four");
    expect_none(kept);
    fw_kept_destroy(&kept);
}

static void what_is_old_is_not_kept(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    (void)add(kept, "1");
    assert_int_equal(fw_kept_add(kept, (fw_bytes_t){(const uint8_t *)"2", 1}, 5000), 2);
    (void)fw_kept_want(kept, 1, 2);
    fw_kept_expire(kept, FW_KEPT_AGE_MS);
    assert_int_equal(fw_kept_oldest(kept), 1);
    fw_kept_expire(kept, FW_KEPT_AGE_MS + 1);
    assert_int_equal(fw_kept_oldest(kept), 2);
    expect_next(kept, "2");
    fw_kept_expire(kept, FW_KEPT_AGE_MS + 5001);
    assert_int_equal(fw_kept_oldest(kept), 3);
    assert_int_equal(fw_kept_last(kept), 2);
    assert_int_equal(fw_kept_bytes(kept), 0);
    assert_int_equal(fw_kept_want(kept, 1, 2), 2);
    expect_none(kept);
    assert_int_equal(add(kept, "3"), 3);
    assert_int_equal(fw_kept_oldest(kept), 3);
    fw_kept_destroy(&kept);
}

static void wanted_events_come_oldest_first_and_once(void **state)
{
    (void)state;
    fw_kept_t *kept = fw_kept_new();
    (void)add(kept, "1");
    (void)add(kept, "2");
    (void)add(kept, "3");
    (void)add(kept, "4");
    assert_int_equal(fw_kept_want(kept, 3, 1), 0);
    assert_int_equal(fw_kept_want(kept, 4, 1), 0);
    assert_int_equal(fw_kept_want(kept, 1, 1), 0);
    assert_int_equal(fw_kept_want(kept, 1, 1), 0);
    expect_next(kept, "1");
    expect_next(kept, "3");
    assert_int_equal(fw_kept_want(kept, 2, 1), 0);
    expect_next(kept, "2");
    expect_next(kept, "4");
    expect_none(kept);
    fw_kept_destroy(&kept);
}

static void keeps_and_gives_back_whatever_is_asked_in_any_order(void **state)
{
    (void)state;
    uint64_t seed = 0;
    const char *given = getenv("FW_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 0);
    else
        fw_random_bytes(&seed, sizeof seed);
    print_message("seed: FW_TEST_SEED=%llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    fw_kept_t *kept = fw_kept_new();
    static bool wanted[200000];
    for (int round = 0; round < 20000; round++) {
        if (fw_random_below(&random, 3) > 0) {
            uint64_t number = fw_kept_last(kept) + 1;
            assert_int_equal(
                fw_kept_add(kept, (fw_bytes_t){(const uint8_t *)&number, sizeof number}, 0),
                number);
            continue;
        }
        uint64_t first = 1 + fw_random_below(&random, fw_kept_last(kept) + 5);
        uint64_t count = fw_random_below(&random, 40);
        uint64_t gone = fw_kept_want(kept, first, count);
        uint64_t really_gone = 0;
        for (uint64_t i = first; i < first + count && i <= fw_kept_last(kept); i++) {
            really_gone += i < fw_kept_oldest(kept);
            wanted[i] = true;
        }
        assert_int_equal(gone, really_gone);
        fw_bytes_t frame;
        for (uint64_t sends = fw_random_below(&random, 60); sends > 0; sends--) {
            uint64_t expected = fw_kept_oldest(kept);
            while (expected <= fw_kept_last(kept) && !wanted[expected])
                expected++;
            assert_int_equal(fw_kept_next(kept, &frame), expected <= fw_kept_last(kept));
            if (expected > fw_kept_last(kept))
                break;
            assert_memory_equal(frame.data, &expected, sizeof expected);
            fw_kept_sent(kept);
            wanted[expected] = false;
        }
    }
    fw_kept_destroy(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_about_what_never_was_change_nothing),
        cmocka_unit_test(the_oldest_make_room_by_number),
        cmocka_unit_test(the_oldest_make_room_by_size_and_one_frame_always_fits),
        cmocka_unit_test(what_is_dropped_is_not_wanted_any_more),
        cmocka_unit_test(what_is_old_is_not_kept),
        cmocka_unit_test(wanted_events_come_oldest_first_and_once),
        cmocka_unit_test(keeps_and_gives_back_whatever_is_asked_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
