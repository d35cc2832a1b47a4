/* test_cache_record.c - who may trust the cache that it finds.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/cache_record.h"

#define A "0a000000000000000000000000000000"
#define B "0b000000000000000000000000000000"
#define C "0c000000000000000000000000000000"

static const uint8_t a[FW_INCARNATION_SIZE] = {0x0a};
static const uint8_t b[FW_INCARNATION_SIZE] = {0x0b};
static const uint8_t c[FW_INCARNATION_SIZE] = {0x0c};

static void opening_bumps_unless_somebody_closed_it(void **state)
{
    const struct {
        const uint8_t *before;
        const char *found;
        fw_record_step_t step;
    } cases[] = {
        {NULL, "", FW_RECORD_BUMP_AND_WRITE},
        {NULL, "rubbish", FW_RECORD_BUMP_AND_WRITE},
        {NULL, A " running", FW_RECORD_BUMP_AND_WRITE},
        {NULL, A " clean", FW_RECORD_WRITE},
        {NULL, C " running", FW_RECORD_KEEP}, /* the job came twice */
        {a, A " clean", FW_RECORD_WRITE},
        /* B came after A and went, and never got the cache opened: it may have owed purges. */
        {b, A " clean", FW_RECORD_BUMP_AND_WRITE},
        {b, B " clean", FW_RECORD_WRITE},
        {b, C " running", FW_RECORD_KEEP},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ours[FW_RECORD_SIZE_MAX + 1];
        fw_record_step_t step =
            fw_record_decide(FW_CACHE_OPEN, c, cases[i].before, fw_text(cases[i].found), ours);
        if (step != cases[i].step)
            fail_msg("case %zu: %d", i, (int)step);
        assert_string_equal(ours, C " running");
    }
}

static void only_who_opened_it_closes_it(void **state)
{
    char ours[FW_RECORD_SIZE_MAX + 1];
    (void)state;
    assert_int_equal(fw_record_decide(FW_CACHE_CLOSE, c, b, FW_TEXT(C " running"), ours),
                     FW_RECORD_WRITE);
    assert_string_equal(ours, C " clean");
    assert_int_equal(fw_record_decide(FW_CACHE_CLOSE, c, b, FW_TEXT(A " running"), ours),
                     FW_RECORD_KEEP);
    assert_int_equal(fw_record_decide(FW_CACHE_CLOSE, c, b, FW_TEXT(""), ours), FW_RECORD_KEEP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_bumps_unless_somebody_closed_it),
        cmocka_unit_test(only_who_opened_it_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
