/* test_purge_job.c - a job is copied whole, and checked.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/purge_job.h"

static fw_purge_job_t *job_with_patterns(const fw_text_t *patterns, size_t count)
{
    const fw_job_t job = {.job_id = 1,
                          .invalidate = {.patterns = patterns, .patterns_count = count}};
    return fw_purge_job_new(&job, "fw", 0);
}

static bool pattern_allowed(const char *pattern, size_t prefix_min)
{
    const fw_text_t text = fw_text(pattern);
    fw_purge_job_t *job = job_with_patterns(&text, 1);
    assert_int_equal(job->patterns_count, 1);
    bool allowed = fw_purge_job_check_patterns(job, prefix_min);
    assert_int_equal(job->status, allowed ? FW_PURGE_OPEN : FW_PURGE_REFUSED);
    fw_purge_job_destroy(&job);
    return allowed;
}

static void a_pattern_that_would_empty_redis_is_refused(void **state)
{
    (void)state;
    assert_false(pattern_allowed("*", 3));
    assert_false(pattern_allowed("us*", 3));
    assert_false(pattern_allowed("?ser:*", 3));
    assert_false(pattern_allowed("[u]ser:*", 3));
    assert_false(pattern_allowed("\\**", 3));
    assert_true(pattern_allowed("use*", 3));
    assert_true(pattern_allowed("\\*\\*\\**", 3));
    assert_true(pattern_allowed("*", 0));
}

static void the_reason_for_a_refusal_is_printable(void **state)
{
    (void)state;
    const fw_text_t pattern = fw_text("\n\xff*");
    fw_purge_job_t *job = job_with_patterns(&pattern, 1);
    assert_false(fw_purge_job_check_patterns(job, 3));
    assert_string_equal(job->reason,
                        "a pattern must begin with 3 characters that are not special: ??*");
    fw_purge_job_destroy(&job);
}

static void a_long_reason_is_cut(void **state)
{
    (void)state;
    fw_purge_job_t *job = job_with_patterns(NULL, 0);
    char detail[1024];
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = 0;
    fw_purge_job_fail(job, FW_PURGE_FAILED, "what", detail);
    assert_int_equal(strlen(job->reason), FW_PURGE_REASON_SIZE - 1);
    assert_int_equal(job->status, FW_PURGE_FAILED);
    fw_purge_job_fail(job, FW_PURGE_FAILED, "what", "");
    assert_string_equal(job->reason, "what");
    fw_purge_job_destroy(&job);
    fw_purge_job_destroy(&job);
}

static void a_job_does_not_depend_on_what_it_was_copied_from(void **state)
{
    (void)state;
    char key[] = "user:42";
    char tag[] = "users";
    char pattern[] = "page:*";
    fw_text_t keys[] = {fw_text(key), fw_text("")};
    fw_text_t tags[] = {fw_text(tag)};
    fw_text_t patterns[] = {fw_text(pattern)};
    const fw_job_t job = {.job_id = 9, .invalidate = {keys, 2, tags, 1, patterns, 1}};
    fw_purge_job_t *copy = fw_purge_job_new(&job, "ns", 5);
    memset(key, '!', sizeof(key) - 1);
    memset(tag, '!', sizeof(tag) - 1);
    memset(pattern, '!', sizeof(pattern) - 1);
    assert_int_equal(copy->job_id, 9);
    assert_int_equal(copy->leases, 1);
    assert_int_equal(copy->received_us, 5);
    assert_int_equal(fw_purge_job_items(copy), 3);
    assert_string_equal(copy->keys[0].text, "user:42");
    assert_string_equal(copy->keys[1].text, "");
    assert_string_equal(copy->stamp_keys[0].text, "ns:t:users");
    assert_string_equal(copy->stamp_keys[0].text + copy->tag_at, "users");
    assert_string_equal(copy->patterns[0].text, "page:*");
    fw_purge_job_destroy(&copy);
}

static void a_pattern_without_special_characters_is_a_key(void **state)
{
    (void)state;
    const fw_text_t patterns[] = {fw_text("plain"), fw_text("a*"), fw_text("with\\*star"),
                                  fw_text("")};
    fw_purge_job_t *job = job_with_patterns(patterns, 4);
    assert_int_equal(job->keys_count, 2);
    assert_string_equal(job->keys[0].text, "plain");
    assert_string_equal(job->keys[1].text, "with*star");
    assert_int_equal(job->patterns_count, 2);
    assert_string_equal(job->patterns[0].text, "a*");
    assert_string_equal(job->patterns[1].text, "");
    fw_purge_job_destroy(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_that_would_empty_redis_is_refused),
        cmocka_unit_test(the_reason_for_a_refusal_is_printable),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(a_job_does_not_depend_on_what_it_was_copied_from),
        cmocka_unit_test(a_pattern_without_special_characters_is_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
