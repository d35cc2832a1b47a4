/* test_purge_log.c - what was purged lately is remembered, within bounds.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "workers/purge_log.h"

static const fw_purge_log_limits_t small = {
    .age_ms_max = 100, .entries_max = 3, .bytes_max = 1 << 20};

static uint64_t append(fw_purge_log_t *log, const char *key, int64_t now_ms)
{
    const fw_text_t name = fw_text(key);
    fw_purge_job_t *job = fw_purge_job_of(&name, 1, NULL, 0);
    uint64_t sequence = fw_purge_log_append(log, job, now_ms);
    fw_purge_job_destroy(&job);
    return sequence;
}

static void too_many_entries_leave_a_gap(void **state)
{
    (void)state;
    fw_purge_log_t *log = fw_purge_log_new(&small);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(append(log, "key", 0), i);
    }
    assert_int_equal(fw_purge_log_count(log), 3);
    assert_false(fw_purge_log_covers(log, 0));
    assert_false(fw_purge_log_covers(log, 1));
    assert_true(fw_purge_log_covers(log, 2));
    assert_int_equal(fw_purge_log_trim(log, 0), 2);
    assert_int_equal(fw_purge_log_trim(log, 0), 0);
    fw_purge_log_destroy(&log);
}

static void too_many_bytes_leave_a_gap(void **state)
{
    (void)state;
    fw_purge_log_limits_t limits = {.age_ms_max = 100, .entries_max = 1000, .bytes_max = 1};
    fw_purge_log_t *log = fw_purge_log_new(&limits);
    assert_int_equal(append(log, "key", 0), 1);
    assert_int_equal(fw_purge_log_count(log), 0);
    assert_int_equal(append(log, "key", 0), 2);
    assert_false(fw_purge_log_covers(log, 1));
    assert_true(fw_purge_log_covers(log, 2));
    fw_purge_log_settled(log, 2);
    assert_int_equal(fw_purge_log_watermark(log), 2);
    fw_purge_log_destroy(&log);
}

static void the_watermark_waits_for_the_slowest(void **state)
{
    (void)state;
    fw_purge_log_t *log = fw_purge_log_new(&small);
    assert_int_equal(fw_purge_log_watermark(log), 0);
    for (int i = 0; i < 3; i++) {
        (void)append(log, "key", 0);
    }
    fw_purge_log_settled(log, 2);
    fw_purge_log_settled(log, 3);
    assert_int_equal(fw_purge_log_watermark(log), 0);
    fw_purge_log_settled(log, 1);
    assert_int_equal(fw_purge_log_watermark(log), 3);
    fw_purge_log_settled(log, 1);
    assert_int_equal(fw_purge_log_watermark(log), 3);
    /* What is forgotten holds nobody up. */
    for (int i = 0; i < 4; i++) {
        (void)append(log, "key", 0);
    }
    assert_int_equal(fw_purge_log_watermark(log), 4);
    fw_purge_log_destroy(&log);
}

static void old_entries_are_forgotten_and_the_others_come_in_order(void **state)
{
    (void)state;
    fw_purge_log_t *log = fw_purge_log_new(&small);
    (void)append(log, "one", 0);
    (void)append(log, "two", 50);
    (void)append(log, "three", 120);
    assert_int_equal(fw_purge_log_trim(log, 101), 0);
    assert_int_equal(fw_purge_log_count(log), 2);
    assert_true(fw_purge_log_covers(log, 1));
    /* Both come at once. */
    uint64_t sequence = 0;
    fw_purge_job_t *job = fw_purge_log_next(log, &sequence);
    assert_int_equal(sequence, 3);
    assert_int_equal(job->keys_count, 2);
    assert_true(fw_text_equal(job->keys[0], FW_TEXT("two")));
    assert_true(fw_text_equal(job->keys[1], FW_TEXT("three")));
    fw_purge_job_destroy(&job);
    assert_null(fw_purge_log_next(log, &sequence));
    assert_int_equal(sequence, 3);
    sequence = 2;
    job = fw_purge_log_next(log, &sequence);
    assert_int_equal(job->keys_count, 1);
    fw_purge_job_destroy(&job);
    fw_purge_log_destroy(&log);
}

static void an_entry_purges_what_the_job_did_patterns_included(void **state)
{
    (void)state;
    const fw_text_t texts[] = {FW_TEXT("k"), FW_TEXT("t"), FW_TEXT("pat*")};
    const fw_job_t job = {.invalidate = {.keys = &texts[0],
                                         .keys_count = 1,
                                         .tags = &texts[1],
                                         .tags_count = 1,
                                         .patterns = &texts[2],
                                         .patterns_count = 1}};
    fw_purge_job_t *original = fw_purge_job_new(&job, "fw", 0);
    fw_purge_log_t *log = fw_purge_log_new(&small);
    (void)fw_purge_log_append(log, original, 0);
    fw_purge_job_destroy(&original);
    uint64_t sequence = 0;
    fw_purge_job_t *again = fw_purge_log_next(log, &sequence);
    fw_purge_log_destroy(&log);
    assert_true(fw_text_equal(again->keys[0], FW_TEXT("k")));
    assert_true(fw_text_equal(again->stamp_keys[0], FW_TEXT("fw:t:t")));
    assert_true(fw_text_equal(again->patterns[0], FW_TEXT("pat*")));
    assert_int_equal(again->status, FW_PURGE_OPEN);
    fw_purge_job_destroy(&again);
}

/* Blocks come and go, small and large records by turns, against a plain list of what was noted. */
static void what_is_remembered_comes_back_whole(void **state)
{
    (void)state;
    enum { ROUNDS = 5000, KEEP = 700, LARGE = 300 };
    static char texts[LARGE][64];
    static fw_text_t names[LARGE];
    const fw_purge_log_limits_t limits = {
        .age_ms_max = 100, .entries_max = KEEP, .bytes_max = 64 << 20};
    fw_purge_log_t *log = fw_purge_log_new(&limits);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = round % 50 == 0 ? LARGE : 1 + round % 3;
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "%zu/%zu/%0*d", round, i, (int)(i % 30) + 1,
                           0);
            names[i] = fw_text(texts[i]);
        }
        size_t tags = count / 3;
        fw_purge_job_t *job = fw_purge_job_of(names, count - tags, names + count - tags, tags);
        assert_int_equal(fw_purge_log_append(log, job, 0), round + 1);
        fw_purge_job_destroy(&job);
    }
    assert_int_equal(fw_purge_log_count(log), KEEP);
    uint64_t sequence = 0;
    fw_purge_job_t *job = NULL;
    size_t key = 0, stamp = 0, jobs = 0;
    for (size_t round = ROUNDS - KEEP; round < ROUNDS; round++) {
        if (sequence < round + 1) {
            assert_true(!job || (key == job->keys_count && stamp == job->tags_count));
            fw_purge_job_destroy(&job);
            job = fw_purge_log_next(log, &sequence);
            assert_true(sequence >= round + 1);
            assert_true(job->keys_count <= FW_PURGE_LOG_NAMES);
            key = stamp = 0;
            jobs++;
        }
        size_t count = round % 50 == 0 ? LARGE : 1 + round % 3;
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(texts[0], sizeof(texts[0]), "%zu/%zu/%0*d", round, i, (int)(i % 30) + 1,
                           0);
            const fw_text_t name =
                i < count - count / 3 ? job->keys[key++] : job->stamp_keys[stamp++];
            assert_true(fw_text_equal(name, fw_text(texts[0])));
        }
    }
    assert_in_range(jobs, 2, 4);
    fw_purge_job_destroy(&job);
    assert_null(fw_purge_log_next(log, &sequence));
    fw_purge_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_many_entries_leave_a_gap),
        cmocka_unit_test(too_many_bytes_leave_a_gap),
        cmocka_unit_test(the_watermark_waits_for_the_slowest),
        cmocka_unit_test(old_entries_are_forgotten_and_the_others_come_in_order),
        cmocka_unit_test(an_entry_purges_what_the_job_did_patterns_included),
        cmocka_unit_test(what_is_remembered_comes_back_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
