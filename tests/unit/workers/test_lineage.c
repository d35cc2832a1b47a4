/* test_lineage.c - is this still the Redis that was purged?   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/lineage.h"

#define HISTORY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HISTORY_B "0123456789abcdef0123456789abcdef01234567"

static void marks_that_make_no_sense_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "1",
        "1 2",
        "1 2 ",
        "1 2 abc",
        " 1 2 " HISTORY_A,
        "-1 2 " HISTORY_A,
        "1  2 " HISTORY_A,
        "1 2 " HISTORY_A "a",
        "1 2 " HISTORY_A " ",
        "x 2 " HISTORY_A,
        "1 2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "1111111111111111111111111111111111111111 2 " HISTORY_A,
    };
    fw_lineage_mark_t mark;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (fw_lineage_parse(fw_text(texts[i]), &mark)) {
            fail_msg("\"%s\" is taken", texts[i]);
        }
    }
    assert_true(fw_lineage_parse(FW_TEXT("7 1700000000000000 " HISTORY_B), &mark));
    assert_int_equal(mark.settled, 7);
    assert_int_equal(mark.time_us, UINT64_C(1700000000000000));
    assert_string_equal(mark.history, HISTORY_B);
}

static void only_a_primary_has_a_history(void **state)
{
    (void)state;
    char history[FW_LINEAGE_HISTORY_SIZE + 1];
    assert_false(fw_lineage_history("", history));
    assert_false(fw_lineage_history("role:slave\r\nmaster_replid:" HISTORY_A "\r\n", history));
    assert_false(fw_lineage_history("role:master\r\n", history));
    assert_false(fw_lineage_history("role:master\r\nmaster_replid:12\r\n", history));
    assert_true(fw_lineage_history("# Replication\r\nrole:master\r\nmaster_replid:" HISTORY_B
                                   "\r\nmaster_replid2:0000\r\n",
                                   history));
    assert_string_equal(history, HISTORY_B);
}

static void every_case_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        fw_lineage_view_t view;
        fw_lineage_verdict_t verdict;
    } cases[] = {
        {"nobody was ever here", {.history = HISTORY_A}, FW_LINEAGE_UNKNOWN},
        {"others are here", {.others = 2, .history = HISTORY_A}, FW_LINEAGE_SAME},
        {"others are here, but nobody else knows of this worker's purges",
         {.others = 2, .purged = true, .history = HISTORY_A},
         FW_LINEAGE_LOST},
        {"nobody was ever here, whatever this worker purged",
         {.purged = true, .history = HISTORY_A},
         FW_LINEAGE_UNKNOWN},
        {"a new server of a known cluster",
         {.marked_anywhere = true, .purged = true, .history = HISTORY_A},
         FW_LINEAGE_SAME},
        {"nothing happened",
         {.marked = true,
          .settled = 5,
          .found = true,
          .mark = {5, 1, HISTORY_A},
          .history = HISTORY_A},
         FW_LINEAGE_SAME},
        {"the answer to the last mark was lost",
         {.marked = true,
          .settled = 5,
          .found = true,
          .mark = {9, 1, HISTORY_A},
          .history = HISTORY_A},
         FW_LINEAGE_SAME},
        {"a failover",
         {.marked = true,
          .settled = 5,
          .found = true,
          .mark = {5, 1, HISTORY_A},
          .history = HISTORY_B},
         FW_LINEAGE_LOST},
        {"an older state of the same history",
         {.marked = true,
          .settled = 5,
          .found = true,
          .mark = {4, 1, HISTORY_A},
          .history = HISTORY_A},
         FW_LINEAGE_LOST},
        {"the mark is gone",
         {.marked = true, .others = 3, .history = HISTORY_A},
         FW_LINEAGE_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (fw_lineage_judge(&cases[i].view) != cases[i].verdict) {
            fail_msg("%s", cases[i].what);
        }
    }
}

static void a_repair_holds_for_the_history_that_it_was_made_for(void **state)
{
    (void)state;
    assert_true(fw_lineage_holds(HISTORY_A, HISTORY_A));
    assert_false(fw_lineage_holds(HISTORY_A, HISTORY_B));
    assert_false(fw_lineage_holds("", HISTORY_A));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_that_make_no_sense_are_none),
        cmocka_unit_test(only_a_primary_has_a_history),
        cmocka_unit_test(every_case_has_its_verdict),
        cmocka_unit_test(a_repair_holds_for_the_history_that_it_was_made_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
