/* test_job_table.c - which answers are owed, and when.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/random.h"
#include "workers/job_table.h"

static fw_purge_job_t *job_of(uint64_t job_id)
{
    const fw_text_t key = FW_TEXT("key");
    const fw_job_t job = {.job_id = job_id, .invalidate = {.keys = &key, .keys_count = 1}};
    return fw_purge_job_new(&job, "fw", 0);
}

static void an_unknown_job_is_no_repetition(void **state)
{
    (void)state;
    fw_job_table_t *table = fw_job_table_new();
    assert_false(fw_job_table_repeat(table, 1));
    assert_null(fw_job_table_take_due(table, INT64_MAX));
    fw_job_table_destroy(&table);
    fw_job_table_destroy(&table);
}

static void a_job_owes_one_answer_for_each_time_it_was_asked(void **state)
{
    (void)state;
    fw_job_table_t *table = fw_job_table_new();
    fw_purge_job_t *job = job_of(7);
    fw_job_table_add(table, job);
    assert_true(fw_job_table_repeat(table, 7));
    fw_job_table_decided(table, job, 100);
    assert_true(fw_job_table_repeat(table, 7));
    assert_null(fw_job_table_take_due(table, 99));
    assert_int_equal(fw_job_table_count(table), 1);
    assert_ptr_equal(fw_job_table_take_due(table, 100), job);
    assert_int_equal(job->leases, 3);
    assert_int_equal(fw_job_table_count(table), 0);
    assert_int_equal(fw_job_table_bytes(table), 0);
    assert_false(fw_job_table_repeat(table, 7));
    fw_purge_job_destroy(&job);
    fw_job_table_destroy(&table);
}

static void disowned_jobs_owe_nothing_and_free_their_ids(void **state)
{
    (void)state;
    fw_job_table_t *table = fw_job_table_new();
    fw_purge_job_t *old = job_of(7);
    fw_job_table_add(table, old);
    assert_int_equal(fw_job_table_disown(table), 1);
    assert_int_equal(fw_job_table_count(table), 0);
    assert_true(fw_job_table_bytes(table) > 0);
    fw_purge_job_t *young = job_of(7);
    fw_job_table_add(table, young);
    fw_job_table_decided(table, old, 1);
    fw_job_table_decided(table, young, 1);
    assert_ptr_equal(fw_job_table_take_due(table, 1), old);
    assert_int_equal(old->leases, 0);
    assert_int_equal(fw_job_table_count(table), 1);
    assert_ptr_equal(fw_job_table_take_due(table, 1), young);
    assert_int_equal(young->leases, 1);
    fw_purge_job_destroy(&old);
    fw_purge_job_destroy(&young);
    fw_job_table_destroy(&table);
}

static void many_jobs_are_answered_in_the_order_they_were_decided(void **state)
{
    (void)state;
    enum { JOBS = 1000 };
    fw_job_table_t *table = fw_job_table_new();
    static fw_purge_job_t *jobs[JOBS];
    for (uint64_t i = 0; i < JOBS; i++) {
        jobs[i] = job_of(i);
        fw_job_table_add(table, jobs[i]);
    }
    for (size_t i = 0; i < JOBS; i++) {
        fw_job_table_decided(table, jobs[(i * 7) % JOBS], (int64_t)i);
    }
    for (size_t i = 0; i < JOBS / 2; i++) {
        fw_purge_job_t *job = fw_job_table_take_due(table, (int64_t)i);
        assert_ptr_equal(job, jobs[(i * 7) % JOBS]);
        assert_null(fw_job_table_take_due(table, (int64_t)i));
        fw_purge_job_destroy(&job);
    }
    assert_int_equal(fw_job_table_count(table), JOBS / 2);
    fw_job_table_destroy(&table);
}

/* Against a plain list: ids that count up, ids that fall on the same place, removals in any order.
 */
static void jobs_are_found_until_they_are_taken(void **state)
{
    (void)state;
    enum { IDS = 400, ROUNDS = 20000 };
    fw_purge_job_t *open[IDS] = {NULL};
    fw_random_t random = {.state = 7};
    fw_job_table_t *table = fw_job_table_new();
    size_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t index = (size_t)fw_random_below(&random, IDS);
        uint64_t job_id = index % 2 ? index : (uint64_t)index << 40;
        assert_int_equal(fw_job_table_repeat(table, job_id), open[index] != NULL);
        if (!open[index]) {
            open[index] = job_of(job_id);
            fw_job_table_add(table, open[index]);
            count++;
        } else {
            fw_job_table_decided(table, open[index], round);
            assert_ptr_equal(fw_job_table_take_due(table, round), open[index]);
            assert_int_equal(open[index]->job_id, job_id);
            fw_purge_job_destroy(&open[index]);
            count--;
        }
        assert_int_equal(fw_job_table_count(table), count);
    }
    assert_int_equal(fw_job_table_disown(table), count);
    for (size_t index = 0; index < IDS; index++) {
        assert_false(fw_job_table_repeat(table, index));
        fw_purge_job_destroy(&open[index]);
    }
    fw_job_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_found_until_they_are_taken),
        cmocka_unit_test(an_unknown_job_is_no_repetition),
        cmocka_unit_test(a_job_owes_one_answer_for_each_time_it_was_asked),
        cmocka_unit_test(disowned_jobs_owe_nothing_and_free_their_ids),
        cmocka_unit_test(many_jobs_are_answered_in_the_order_they_were_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
