/* test_random.c - the generator is reproducible and even; the kernel's bytes differ.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/random.h"

static void splitmix64_gives_the_published_numbers(void **state)
{
    (void)state;
    fw_random_t random = {.state = 1234567};
    assert_true(fw_random_next(&random) == UINT64_C(6457827717110365317));
    assert_true(fw_random_next(&random) == UINT64_C(3203168211198807973));
    assert_true(fw_random_next(&random) == UINT64_C(9817491932198370423));
}

static void a_bound_is_never_reached_and_every_value_below_it_is(void **state)
{
    (void)state;
    fw_random_t random = {.state = 42};
    unsigned seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t value = fw_random_below(&random, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    /* Ten thousand each is expected; the standard deviation is under a hundred. */
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9400, 10600);
    assert_true(fw_random_below(&random, 1) == 0);
    uint64_t half = UINT64_C(1) << 63;
    for (int i = 0; i < 1000; i++)
        assert_true(fw_random_below(&random, half + 1) <= half);
}

static void the_kernels_bytes_are_not_repeated(void **state)
{
    (void)state;
    uint8_t a[1000] = {0};
    uint8_t b[1000] = {0};
    fw_random_bytes(a, sizeof a);
    fw_random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof a; i++)
        zeros += a[i] == 0;
    assert_true(zeros < 40);
    fw_random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitmix64_gives_the_published_numbers),
        cmocka_unit_test(a_bound_is_never_reached_and_every_value_below_it_is),
        cmocka_unit_test(the_kernels_bytes_are_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
