/* test_descriptors.c - running out of file descriptors is seen before it happens.
 * SPDX-License-Identifier: MPL-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/descriptors.h"

static void few_that_are_left_are_noticed(void **state)
{
    int taken[128];
    int count = 0;
    struct rlimit old, low = {.rlim_cur = 64};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_false(fw_descriptors_short(8));
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < 64 - 4)
        taken[count++] = fd;
    assert_true(fd >= 0);
    assert_false(fw_descriptors_short(2)); /* 61, 62 and 63 are free */
    assert_true(fw_descriptors_short(3));
    (void)close(fd);
    while (count > 0)
        (void)close(taken[--count]);
    assert_false(fw_descriptors_short(8));
    assert_true(fw_descriptors_short(64));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(few_that_are_left_are_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
