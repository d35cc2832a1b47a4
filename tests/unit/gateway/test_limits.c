/* test_limits.c - the token bucket.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/limits.h"

static void a_burst_is_allowed_and_then_the_rate(void **state)
{
    (void)state;
    fw_bucket_t bucket = {.started = false};
    for (int i = 0; i < 20; i++)
        assert_true(fw_bucket_take(&bucket, 5000, 10, 20));
    assert_false(fw_bucket_take(&bucket, 5000, 10, 20));
    assert_false(fw_bucket_take(&bucket, 5099, 10, 20));
    assert_true(fw_bucket_take(&bucket, 5100, 10, 20));
    assert_false(fw_bucket_take(&bucket, 5100, 10, 20));
    for (int i = 0; i < 20; i++)
        assert_true(fw_bucket_take(&bucket, 90000, 10, 20));
    assert_false(fw_bucket_take(&bucket, 90000, 10, 20));
}

static void small_steps_of_time_are_not_lost(void **state)
{
    (void)state;
    fw_bucket_t bucket = {.started = false};
    int64_t now = 1;
    int taken = 0;
    for (int i = 0; i < 10; i++)
        assert_true(fw_bucket_take(&bucket, now, 7, 10));
    for (; now <= 10001; now += 3)
        taken += fw_bucket_take(&bucket, now, 7, 10) ? 1 : 0;
    assert_in_range(taken, 69, 71);
}

static void the_clock_may_pass_32_bits(void **state)
{
    (void)state;
    fw_bucket_t bucket = {.started = false};
    int64_t now = INT64_C(0xffffffff) - 10;
    for (int i = 0; i < 5; i++)
        assert_true(fw_bucket_take(&bucket, now, 10, 5));
    assert_false(fw_bucket_take(&bucket, now, 10, 5));
    assert_true(fw_bucket_take(&bucket, now + 1000, 10, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_allowed_and_then_the_rate),
        cmocka_unit_test(small_steps_of_time_are_not_lost),
        cmocka_unit_test(the_clock_may_pass_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
