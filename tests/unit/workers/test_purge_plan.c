/* test_purge_plan.c - how jobs become commands, and replies become answers.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "workers/purge_plan.h"

static fw_purge_plan_t *plan;

static int setup(void **state)
{
    (void)state;
    plan = fw_purge_plan_new(1, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fw_purge_plan_destroy(&plan);
    return 0;
}

static void add(uint64_t job_id, const fw_text_t *keys, size_t keys_count, const fw_text_t *tags,
                size_t tags_count)
{
    const fw_job_t job = {.job_id = job_id,
                          .invalidate = {keys, keys_count, tags, tags_count, NULL, 0}};
    fw_purge_job_t *copy = fw_purge_job_new(&job, "fw", 0);
    assert_int_equal(fw_purge_plan_add(plan, &copy), 0);
    assert_null(copy);
}

static void add_key(uint64_t job_id, const char *key)
{
    const fw_text_t text = fw_text(key);
    add(job_id, &text, 1, NULL, 0);
}

static void add_tag(uint64_t job_id, const char *tag)
{
    const fw_text_t text = fw_text(tag);
    add(job_id, NULL, 0, &text, 1);
}

static void expect(size_t index, fw_purge_command_kind_t kind, size_t names_count)
{
    const fw_purge_command_t *command = fw_purge_plan_command(plan, index);
    assert_int_equal(command->kind, kind);
    assert_int_equal(command->names_count, names_count);
}

static bool reply_number(size_t index, uint64_t number)
{
    return fw_purge_plan_reply(plan, index, &(fw_purge_reply_t){.number = number});
}

static bool reply_stamps(size_t index, const uint64_t *stamps, size_t count)
{
    return fw_purge_plan_reply(plan, index,
                               &(fw_purge_reply_t){.stamps = stamps, .stamps_count = count});
}

static bool reply_error(size_t index, fw_redis_error_t error, const char *text)
{
    return fw_purge_plan_reply(plan, index,
                               &(fw_purge_reply_t){.failed = true, .error = error, .text = text});
}

static void expect_job(uint64_t job_id, fw_purge_status_t status, uint64_t redis_time)
{
    fw_purge_job_t *job = fw_purge_plan_take(plan);
    assert_non_null(job);
    assert_int_equal(job->job_id, job_id);
    assert_int_equal(job->status, status);
    assert_int_equal(job->redis_time, redis_time);
    fw_purge_job_destroy(&job);
}

static void no_job_is_decided_before_the_last_reply(void **state)
{
    (void)state;
    add_key(1, "a");
    add_tag(2, "b");
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 3);
    expect(0, FW_PURGE_UNLINK, 1);
    expect(1, FW_PURGE_BUMP, 1);
    expect(2, FW_PURGE_TIME, 0);
    assert_null(fw_purge_plan_take(plan));
    assert_false(reply_number(0, 1));
    assert_null(fw_purge_plan_take(plan));
    assert_false(reply_stamps(1, (const uint64_t[]){50}, 1));
    assert_null(fw_purge_plan_take(plan));
    assert_true(reply_number(2, 51));
    expect_job(1, FW_PURGE_DONE, 51);
    expect_job(2, FW_PURGE_DONE, 51);
    assert_null(fw_purge_plan_take(plan));
    assert_false(fw_purge_plan_begin(plan));
}

static void a_lost_connection_fails_every_job_retryably(void **state)
{
    (void)state;
    add_key(1, "a");
    add_tag(2, "b");
    assert_true(fw_purge_plan_begin(plan));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(reply_error(i, FW_REDIS_LOST, "no answer"), i == 2);
    }
    fw_purge_job_t *job = fw_purge_plan_take(plan);
    assert_int_equal(job->status, FW_PURGE_FAILED);
    assert_string_equal(job->reason, "redis lost: no answer");
    fw_purge_job_destroy(&job);
    expect_job(2, FW_PURGE_FAILED, 0);
    assert_false(fw_purge_plan_begin(plan));
}

static void without_redis_time_no_job_is_done(void **state)
{
    (void)state;
    add_key(1, "a");
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_number(0, 1);
    assert_true(reply_error(1, FW_REDIS_BUSY, "BUSY"));
    expect_job(1, FW_PURGE_FAILED, 0);
}

static void answers_of_another_shape_are_failures(void **state)
{
    (void)state;
    add_key(1, "a");
    add_tag(2, "b");
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_number(0, 2); /* More keys removed than named. */
    (void)reply_stamps(1, (const uint64_t[]){5, 6}, 2);
    assert_true(reply_number(2, 9));
    expect_job(1, FW_PURGE_FAILED, 0);
    expect_job(2, FW_PURGE_FAILED, 0);
}

static void what_two_jobs_name_is_purged_once_and_answered_to_both(void **state)
{
    (void)state;
    const fw_text_t keys[] = {FW_TEXT("a"), FW_TEXT("b"), FW_TEXT("a")};
    const fw_text_t tags[] = {FW_TEXT("t"), FW_TEXT("t")};
    add(1, keys, 3, tags, 2);
    add(2, keys + 1, 2, tags, 1);
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 3);
    expect(0, FW_PURGE_UNLINK, 2);
    expect(1, FW_PURGE_BUMP, 1);
    assert_string_equal(fw_purge_plan_command(plan, 1)->names[0].text, "fw:t:t");
    (void)reply_number(0, 2);
    (void)reply_stamps(1, (const uint64_t[]){77}, 1);
    assert_true(reply_number(2, 80));
    fw_purge_job_t *first = fw_purge_plan_take(plan);
    assert_int_equal(first->keys_removed, 2);
    assert_int_equal(first->stamps_count, 2);
    fw_purge_job_destroy(&first);
    fw_purge_job_t *second = fw_purge_plan_take(plan);
    assert_int_equal(second->keys_removed, 0);
    assert_int_equal(second->stamps_count, 1);
    assert_string_equal(second->stamps[0].tag.text, "t");
    assert_int_equal(second->stamps[0].stamp, 77);
    fw_purge_job_destroy(&second);
}

static void a_key_named_like_a_stamp_is_not_taken_for_it(void **state)
{
    (void)state;
    add_key(1, "fw:t:x");
    add_tag(2, "x");
    assert_true(fw_purge_plan_begin(plan));
    expect(0, FW_PURGE_UNLINK, 1);
    expect(1, FW_PURGE_BUMP, 1);
}

static void commands_are_cut_to_size(void **state)
{
    (void)state;
    enum { KEYS = 1000, TAGS = 100 };
    static char texts[KEYS][8];
    static fw_text_t names[KEYS];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "k%d", i);
        names[i] = fw_text(texts[i]);
    }
    add(1, names, KEYS, names, TAGS);
    add_key(2, "last");
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 6);
    expect(0, FW_PURGE_UNLINK, FW_PURGE_KEYS_PER_COMMAND);
    expect(1, FW_PURGE_UNLINK, FW_PURGE_KEYS_PER_COMMAND);
    expect(2, FW_PURGE_UNLINK, 1);
    expect(3, FW_PURGE_BUMP, FW_PURGE_TAGS_PER_COMMAND);
    expect(4, FW_PURGE_BUMP, TAGS - FW_PURGE_TAGS_PER_COMMAND);
    expect(5, FW_PURGE_TIME, 0);
}

static void a_full_plan_leaves_the_job_to_the_caller(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    static char texts[KEYS][16];
    static fw_text_t names[KEYS];
    int jobs = 0;
    fw_purge_job_t *job = NULL;
    int result = 0;
    while (result == 0) {
        for (int i = 0; i < KEYS; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "%d-%d", jobs, i);
            names[i] = fw_text(texts[i]);
        }
        const fw_job_t from = {.job_id = 1, .invalidate = {.keys = names, .keys_count = KEYS}};
        job = fw_purge_job_new(&from, "fw", 0);
        result = fw_purge_plan_add(plan, &job);
        jobs++;
    }
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(fw_purge_plan_jobs(plan), FW_PURGE_ITEMS_MAX / KEYS);
    assert_non_null(job);
    fw_purge_job_destroy(&job);
}

static void one_bad_key_does_not_fail_its_neighbours(void **state)
{
    (void)state;
    add_key(1, "good");
    add_key(2, "bad");
    add_key(3, "fine");
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_error(0, FW_REDIS_NOPERM, "NOPERM No permissions to access a key");
    assert_true(reply_number(1, 10));
    assert_null(fw_purge_plan_take(plan));
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 4);
    (void)reply_number(0, 1);
    (void)reply_error(1, FW_REDIS_NOPERM, "NOPERM No permissions to access a key");
    (void)reply_number(2, 0);
    assert_true(reply_number(3, 20));
    expect_job(1, FW_PURGE_DONE, 20);
    expect_job(2, FW_PURGE_REFUSED, 0);
    expect_job(3, FW_PURGE_DONE, 20);
    assert_false(fw_purge_plan_begin(plan));
}

static void a_forgotten_script_is_sent_along_the_next_time(void **state)
{
    (void)state;
    add_tag(1, "a");
    add_key(2, "k");
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_number(0, 1);
    (void)reply_error(1, FW_REDIS_NOSCRIPT, "NOSCRIPT");
    assert_true(reply_number(2, 10));
    expect_job(2, FW_PURGE_DONE, 10);
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 2);
    expect(0, FW_PURGE_BUMP_EVAL, 1);
    (void)reply_stamps(0, (const uint64_t[]){11}, 1);
    assert_true(reply_number(1, 12));
    expect_job(1, FW_PURGE_DONE, 12);
}

static void a_stamp_without_memory_is_removed_and_unknown(void **state)
{
    (void)state;
    add_tag(1, "a");
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_error(0, FW_REDIS_OOM, "OOM");
    assert_true(reply_number(1, 10));
    assert_true(fw_purge_plan_begin(plan));
    expect(0, FW_PURGE_DROP, 1);
    assert_string_equal(fw_purge_plan_command(plan, 0)->names[0].text, "fw:t:a");
    (void)reply_number(0, 1);
    assert_true(reply_number(1, 12));
    fw_purge_job_t *job = fw_purge_plan_take(plan);
    assert_int_equal(job->status, FW_PURGE_DONE);
    assert_int_equal(job->stamps_count, 0);
    assert_int_equal(job->keys_removed, 0);
    fw_purge_job_destroy(&job);
}

static void a_stamp_that_the_script_removed_is_unknown_too(void **state)
{
    (void)state;
    const fw_text_t tags[] = {FW_TEXT("a"), FW_TEXT("b")};
    add(1, NULL, 0, tags, 2);
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_stamps(0, (const uint64_t[]){0, 9}, 2);
    assert_true(reply_number(1, 12));
    fw_purge_job_t *job = fw_purge_plan_take(plan);
    assert_int_equal(job->status, FW_PURGE_DONE);
    assert_int_equal(job->stamps_count, 1);
    assert_string_equal(job->stamps[0].tag.text, "b");
    fw_purge_job_destroy(&job);
}

static void a_failure_that_may_pass_outweighs_one_that_cannot(void **state)
{
    (void)state;
    const fw_text_t key = FW_TEXT("a");
    add(1, &key, 1, &key, 1);
    assert_true(fw_purge_plan_begin(plan));
    (void)reply_error(0, FW_REDIS_NOPERM, "NOPERM");
    (void)reply_error(1, FW_REDIS_BUSY, "BUSY");
    assert_true(reply_number(2, 10));
    expect_job(1, FW_PURGE_FAILED, 0);
}

static void a_server_that_always_forgets_is_not_asked_for_ever(void **state)
{
    (void)state;
    add_tag(1, "a");
    int rounds = 0;
    while (fw_purge_plan_begin(plan)) {
        (void)reply_error(0, rounds % 2 ? FW_REDIS_OOM : FW_REDIS_NOSCRIPT, "");
        assert_true(reply_number(1, 10));
        rounds++;
        assert_true(rounds <= FW_PURGE_ATTEMPTS_MAX);
        fw_purge_job_t *job = fw_purge_plan_take(plan);
        if (job) {
            assert_int_equal(job->status, FW_PURGE_FAILED);
            fw_purge_job_destroy(&job);
        }
    }
    assert_int_equal(fw_purge_plan_jobs(plan), 0);
}

static void a_job_without_keys_and_tags_is_done_with_redis_time(void **state)
{
    (void)state;
    add(1, NULL, 0, NULL, 0);
    assert_true(fw_purge_plan_begin(plan));
    assert_int_equal(fw_purge_plan_commands(plan), 1);
    assert_true(reply_number(0, 33));
    expect_job(1, FW_PURGE_DONE, 33);
}

static void an_empty_plan_is_used_again(void **state)
{
    (void)state;
    assert_false(fw_purge_plan_begin(plan));
    for (uint64_t i = 1; i < 50; i++) {
        add_key(i, "same");
        assert_true(fw_purge_plan_begin(plan));
        assert_int_equal(fw_purge_plan_commands(plan), 2);
        (void)reply_number(0, 1);
        assert_true(reply_number(1, i));
        expect_job(i, FW_PURGE_DONE, i);
        assert_false(fw_purge_plan_begin(plan));
    }
}

#define PLAN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(no_job_is_decided_before_the_last_reply),
        PLAN_TEST(a_lost_connection_fails_every_job_retryably),
        PLAN_TEST(without_redis_time_no_job_is_done),
        PLAN_TEST(answers_of_another_shape_are_failures),
        PLAN_TEST(what_two_jobs_name_is_purged_once_and_answered_to_both),
        PLAN_TEST(a_key_named_like_a_stamp_is_not_taken_for_it),
        PLAN_TEST(commands_are_cut_to_size),
        PLAN_TEST(a_full_plan_leaves_the_job_to_the_caller),
        PLAN_TEST(one_bad_key_does_not_fail_its_neighbours),
        PLAN_TEST(a_forgotten_script_is_sent_along_the_next_time),
        PLAN_TEST(a_stamp_without_memory_is_removed_and_unknown),
        PLAN_TEST(a_stamp_that_the_script_removed_is_unknown_too),
        PLAN_TEST(a_failure_that_may_pass_outweighs_one_that_cannot),
        PLAN_TEST(a_server_that_always_forgets_is_not_asked_for_ever),
        PLAN_TEST(a_job_without_keys_and_tags_is_done_with_redis_time),
        PLAN_TEST(an_empty_plan_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
