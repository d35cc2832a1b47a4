/* test_tally.c - counts of users and addresses.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/tally.h"
#include "runtime/random.h"

enum { KEYS = 500, STEPS = 200000 };

static fw_tally_key_t key_of(uint32_t number)
{
    fw_tally_key_t key = {{0}};
    memcpy(key.bytes, &number, sizeof number);
    return key;
}

static void beyond_the_limit_none_is_added(void **state)
{
    (void)state;
    fw_tally_t *tally = fw_tally_new(1);
    fw_tally_key_t one = fw_tally_text(tally, FW_TEXT("alice"));
    fw_tally_key_t two = fw_tally_text(tally, FW_TEXT("bob"));
    assert_memory_not_equal(&one, &two, sizeof one);
    for (int i = 0; i < 3; i++)
        assert_true(fw_tally_add(tally, &one, 3));
    assert_false(fw_tally_add(tally, &one, 3));
    assert_true(fw_tally_add(tally, &two, 3));
    fw_tally_remove(tally, &one);
    assert_true(fw_tally_add(tally, &one, 3));
    assert_false(fw_tally_add(tally, &one, 3));
    for (int i = 0; i < 1000; i++)
        assert_true(fw_tally_add(tally, &two, 0));
    assert_int_equal(fw_tally_count(tally, &two), 1001);
    fw_tally_destroy(&tally);
    fw_tally_destroy(&tally);
}

static void it_counts_as_an_array_would(void **state)
{
    (void)state;
    uint32_t truth[KEYS] = {0};
    size_t present = 0;
    fw_random_t random = {.state = 99};
    fw_tally_t *tally = fw_tally_new(fw_random_next(&random));
    for (int step = 0; step < STEPS; step++) {
        uint32_t number = (uint32_t)fw_random_below(&random, KEYS);
        fw_tally_key_t key = key_of(number);
        bool grows = (step / 20000) % 2 == 0;
        if (fw_random_below(&random, 10) < (grows ? 7U : 3U)) {
            bool fits = truth[number] < 5;
            assert_int_equal(fw_tally_add(tally, &key, 5), fits);
            present += fits && truth[number] == 0 ? 1 : 0;
            truth[number] += fits ? 1 : 0;
        } else if (truth[number] > 0) {
            fw_tally_remove(tally, &key);
            truth[number]--;
            present -= truth[number] == 0 ? 1 : 0;
        }
        assert_int_equal(fw_tally_size(tally), present);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        fw_tally_key_t key = key_of(i);
        assert_int_equal(fw_tally_count(tally, &key), truth[i]);
    }
    fw_tally_destroy(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_the_limit_none_is_added),
        cmocka_unit_test(it_counts_as_an_array_would),
    };
    return cmocka_run_group_tests_name("tallies", tests, NULL, NULL);
}
