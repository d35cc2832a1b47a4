/* test_dead_letters.c - a refused job as events that purge the same.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "workers/dead_letters.h"

static void a_job_without_names_is_no_letter(void **state)
{
    (void)state;
    fw_purge_job_t *job = fw_purge_job_of(NULL, 0, NULL, 0);
    fw_json_t json = {.buffer = NULL};
    size_t from = 0;
    assert_false(fw_dead_letter_write(&json, job, 1, &from));
    assert_int_equal(json.needed, 0);
    fw_purge_job_destroy(&job);
}

static void a_letter_names_everything_and_why(void **state)
{
    (void)state;
    const fw_text_t texts[] = {FW_TEXT("k\"1"), FW_TEXT("k2"), FW_TEXT("tag"), FW_TEXT("p*")};
    const fw_job_t from_broker = {.invalidate = {.keys = &texts[0],
                                                 .keys_count = 2,
                                                 .tags = &texts[2],
                                                 .tags_count = 1,
                                                 .patterns = &texts[3],
                                                 .patterns_count = 1}};
    fw_purge_job_t *job = fw_purge_job_new(&from_broker, "fw", 0);
    fw_purge_job_fail(job, FW_PURGE_REFUSED, "redis noperm", "no");
    char buffer[512];
    fw_json_t json = {.buffer = buffer, .size = sizeof(buffer)};
    size_t from = 0;
    assert_true(fw_dead_letter_write(&json, job, 77, &from));
    buffer[json.needed] = 0;
    assert_string_equal(buffer,
                        "{\"type\":\"dead_letter\",\"audience\":[],\"data\":{\"reason\":\"redis "
                        "noperm: no\",\"at_ms\":77},\"invalidate\":{\"keys\":[\"k\\\"1\",\"k2\"],"
                        "\"tags\":[\"tag\"],\"patterns\":[\"p*\"]}}");
    assert_false(fw_dead_letter_write(&json, job, 77, &from));
    fw_purge_job_destroy(&job);
}

static void a_large_job_becomes_several_letters(void **state)
{
    (void)state;
    enum { NAMES = 100, SIZE = 1000 };
    static char text[SIZE];
    memset(text, 'x', sizeof(text));
    fw_text_t names[NAMES];
    for (int i = 0; i < NAMES; i++) {
        names[i] = (fw_text_t){text, SIZE};
    }
    fw_purge_job_t *job = fw_purge_job_of(names, NAMES / 2, names, NAMES / 2);
    size_t from = 0;
    size_t before = 0;
    size_t letters = 0;
    fw_json_t json = {.buffer = NULL};
    while (fw_dead_letter_write(&json, job, 1, &from)) {
        letters++;
        assert_true(from > before);
        assert_true((from - before) * SIZE <= FW_DEAD_LETTER_NAMES_MAX);
        before = from;
    }
    assert_int_equal(from, NAMES);
    assert_int_equal(letters, (NAMES + 15) / 16);
    fw_purge_job_destroy(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_without_names_is_no_letter),
        cmocka_unit_test(a_letter_names_everything_and_why),
        cmocka_unit_test(a_large_job_becomes_several_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
