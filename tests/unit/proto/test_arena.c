/* test_arena.c - memory that is freed all at once.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/arena.h"

static void destroying_nothing_is_allowed(void **state)
{
    fw_arena_t *arena = NULL;
    (void)state;
    fw_arena_destroy(&arena);
    assert_null(arena);
}

static void gives_aligned_memory_of_any_size(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 16384, 16385, 1048576};
    fw_arena_t *arena = fw_arena_new();
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *taken = fw_arena_take(arena, sizes[i]);
            assert_non_null(taken);
            assert_int_equal((uintptr_t)taken % alignof(max_align_t), 0);
            memset(taken, 0xa5, sizes[i]);
        }
        fw_arena_reset(arena);
    }
    fw_arena_destroy(&arena);
    assert_null(arena);
}

static void never_gives_the_same_byte_twice_before_a_reset(void **state)
{
    enum { COUNT = 5000 };
    static uint32_t *taken[COUNT];
    fw_arena_t *arena = fw_arena_new();
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        taken[i] = fw_arena_take(arena, sizeof(uint32_t) * (1 + i % 7));
        for (uint32_t k = 0; k < 1 + i % 7; k++)
            taken[i][k] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        for (uint32_t k = 0; k < 1 + i % 7; k++)
            assert_int_equal(taken[i][k], i);
    fw_arena_destroy(&arena);
}

static void uses_the_same_memory_again_after_a_reset(void **state)
{
    fw_arena_t *arena = fw_arena_new();
    (void)state;
    const void *first = fw_arena_take(arena, 100);
    fw_arena_reset(arena);
    assert_ptr_equal(fw_arena_take(arena, 100), first);
    fw_arena_destroy(&arena);
}

static void gives_large_blocks_back_at_a_reset(void **state)
{
    fw_arena_t *arena = fw_arena_new();
    (void)state;
    size_t before = fw_arena_held(arena);
    (void)!fw_arena_take(arena, 10485760);
    assert_in_range(fw_arena_held(arena), 10 * 1024 * 1024, 11 * 1024 * 1024);
    fw_arena_reset(arena);
    assert_int_equal(fw_arena_held(arena), before);
    fw_arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destroying_nothing_is_allowed),
        cmocka_unit_test(gives_aligned_memory_of_any_size),
        cmocka_unit_test(never_gives_the_same_byte_twice_before_a_reset),
        cmocka_unit_test(uses_the_same_memory_again_after_a_reset),
        cmocka_unit_test(gives_large_blocks_back_at_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
