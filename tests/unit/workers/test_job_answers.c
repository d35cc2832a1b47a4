/* test_job_answers.c - what leaves together, and what by itself.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/job_answers.h"

enum { MESSAGES_MAX = 1000 };

typedef struct {
    fw_message_kind_t kinds[MESSAGES_MAX];
    size_t sizes[MESSAGES_MAX]; /* answers in each */
    uint64_t first[MESSAGES_MAX], last[MESSAGES_MAX];
    size_t count;
} sent_t;

static void on_send(void *context, const fw_message_t *message)
{
    sent_t *sent = context;
    assert_true(sent->count < MESSAGES_MAX);
    size_t at = sent->count++;
    sent->kinds[at] = message->kind;
    sent->sizes[at] = 1;
    if (message->kind == FW_MESSAGE_JOBS_DONE) {
        const fw_jobs_done_t *done = &message->jobs_done;
        sent->sizes[at] = done->count;
        sent->first[at] = done->jobs[0].job_id;
        sent->last[at] = done->jobs[done->count - 1].job_id;
    } else {
        sent->first[at] = sent->last[at] =
            message->kind == FW_MESSAGE_JOB_DONE ? message->done.job_id : message->failed.job_id;
    }
}

static fw_purge_job_t *job_of(uint64_t job_id, fw_purge_status_t status, size_t stamps)
{
    fw_text_t tags[64];
    for (size_t i = 0; i < stamps; i++) {
        tags[i] = FW_TEXT("tag");
    }
    const fw_job_t job = {.job_id = job_id, .invalidate = {.tags = tags, .tags_count = stamps}};
    fw_purge_job_t *self = fw_purge_job_new(&job, "fw", 0);
    for (size_t i = 0; i < stamps; i++) {
        self->stamps[self->stamps_count++] = (fw_stamp_t){FW_TEXT("tag"), 1};
    }
    self->status = status;
    return self;
}

static void add(fw_job_answers_t *answers, uint64_t job_id, fw_purge_status_t status,
                uint32_t leases, size_t stamps)
{
    fw_purge_job_t *job = job_of(job_id, status, stamps);
    job->leases = leases;
    fw_job_answers_add(answers, &job);
    assert_null(job);
}

static void nothing_is_sent_for_nothing(void **state)
{
    (void)state;
    sent_t sent = {.count = 0};
    fw_job_answers_t *answers = fw_job_answers_new(on_send, &sent);
    fw_job_answers_flush(answers);
    add(answers, 1, FW_PURGE_DONE, 0, 0); /* disowned */
    add(answers, 2, FW_PURGE_FAILED, 0, 0);
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 0);
    add(answers, 3, FW_PURGE_DONE, 1, 2);
    fw_job_answers_destroy(&answers);
    fw_job_answers_destroy(&answers);
    assert_int_equal(sent.count, 0);
}

static void failures_leave_at_once_and_by_themselves(void **state)
{
    (void)state;
    sent_t sent = {.count = 0};
    fw_job_answers_t *answers = fw_job_answers_new(on_send, &sent);
    add(answers, 1, FW_PURGE_DONE, 1, 0);
    add(answers, 2, FW_PURGE_FAILED, 2, 0);
    add(answers, 3, FW_PURGE_REFUSED, 1, 0);
    assert_int_equal(sent.count, 3);
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 4);
    assert_int_equal(sent.kinds[0], FW_MESSAGE_JOB_FAILED);
    assert_int_equal(sent.first[0], 2);
    assert_int_equal(sent.first[1], 2);
    assert_int_equal(sent.first[2], 3);
    assert_int_equal(sent.kinds[3], FW_MESSAGE_JOB_DONE);
    assert_int_equal(sent.first[3], 1);
    fw_job_answers_destroy(&answers);
}

static void what_was_done_leaves_together_once_for_each_time_it_was_asked(void **state)
{
    (void)state;
    sent_t sent = {.count = 0};
    fw_job_answers_t *answers = fw_job_answers_new(on_send, &sent);
    add(answers, 7, FW_PURGE_DONE, 1, 3);
    add(answers, 8, FW_PURGE_DONE, 3, 0);
    assert_int_equal(sent.count, 0);
    fw_job_answers_flush(answers);
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.kinds[0], FW_MESSAGE_JOBS_DONE);
    assert_int_equal(sent.sizes[0], 4);
    assert_int_equal(sent.first[0], 7);
    assert_int_equal(sent.last[0], 8);
    fw_job_answers_destroy(&answers);
}

static void messages_are_bounded_by_answers_and_by_stamps(void **state)
{
    (void)state;
    sent_t sent = {.count = 0};
    fw_job_answers_t *answers = fw_job_answers_new(on_send, &sent);
    for (uint64_t id = 1; id <= 2 * FW_JOBS_MAX + 1; id++) {
        add(answers, id, FW_PURGE_DONE, 1, 0);
    }
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 3);
    assert_int_equal(sent.sizes[0], FW_JOBS_MAX);
    assert_int_equal(sent.sizes[1], FW_JOBS_MAX);
    assert_int_equal(sent.sizes[2], 1);
    add(answers, 1, FW_PURGE_DONE, 2 * FW_JOBS_MAX + 1, 0);
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 6);
    for (uint64_t id = 1; id <= 40; id++) {
        add(answers, id, FW_PURGE_DONE, 1, 64);
    }
    fw_job_answers_flush(answers);
    assert_int_equal(sent.count, 9);
    assert_int_equal(sent.sizes[6], FW_JOB_ANSWERS_STAMPS_MAX / 64);
    assert_int_equal(sent.sizes[8], 40 - 2 * FW_JOB_ANSWERS_STAMPS_MAX / 64);
    fw_job_answers_destroy(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sent_for_nothing),
        cmocka_unit_test(failures_leave_at_once_and_by_themselves),
        cmocka_unit_test(what_was_done_leaves_together_once_for_each_time_it_was_asked),
        cmocka_unit_test(messages_are_bounded_by_answers_and_by_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
