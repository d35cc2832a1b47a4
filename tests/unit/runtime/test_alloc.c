/* test_alloc.c - memory is zeroed, copies are closed, and running out ends the process.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/alloc.h"

/* Runs the body in a child and tells how it ended. */
static int status_of(void (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Half of the address space: no machine has it. The size is hidden from the compiler, which would
 * warn. */
static void allocate_too_much(void)
{
    volatile size_t count = SIZE_MAX / 4;
    free(fw_alloc(count, 2));
}

static void reallocate_past_the_last_address(void)
{
    volatile size_t count = SIZE_MAX;
    free(fw_realloc(NULL, count, 16));
}

static void running_out_of_memory_ends_the_process(void **state)
{
    (void)state;
    assert_int_not_equal(status_of(allocate_too_much), 0);
    assert_int_not_equal(status_of(reallocate_past_the_last_address), 0);
}

static void memory_is_zeroed_and_never_null(void **state)
{
    (void)state;
    unsigned char *bytes = fw_alloc(1000, 3);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
    void *nothing = fw_alloc(0, 0);
    assert_non_null(nothing);
    nothing = fw_realloc(nothing, 0, 0);
    assert_non_null(nothing);
    free(nothing);
}

static void realloc_keeps_what_was_there(void **state)
{
    (void)state;
    uint32_t *numbers = fw_realloc(NULL, 2, sizeof *numbers);
    numbers[0] = 7;
    numbers[1] = 9;
    numbers = fw_realloc(numbers, 4000, sizeof *numbers);
    assert_int_equal(numbers[0], 7);
    assert_int_equal(numbers[1], 9);
    free(numbers);
}

static void a_copied_text_is_closed_by_a_zero(void **state)
{
    (void)state;
    char *copy = fw_copy_text("freshwire", 5);
    assert_string_equal(copy, "fresh");
    free(copy);
    copy = fw_copy_text(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_ends_the_process),
        cmocka_unit_test(memory_is_zeroed_and_never_null),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(a_copied_text_is_closed_by_a_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
