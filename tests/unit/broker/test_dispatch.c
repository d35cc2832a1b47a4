/* SPDX-License-Identifier: MPL-2.0
 * Every job ends done, whatever workers do; and each is asked no more than it has credit for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/dispatch.h"
#include "runtime/random.h"

enum { MS = 1000, SENT_MAX = 200000 };

typedef struct {
    fw_peer_t worker;
    uint64_t job_id;
    uint32_t attempt;
} sent_t;

typedef struct {
    fw_dispatch_t *dispatch;
    sent_t sent[64]; /* the last ones */
    size_t sent_count;
    size_t ended, impossible;
    uint64_t last_time;
    int send_result;
    int ended_of[4096]; /* by owner number */
} fixture_t;

static int on_send(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    fixture_t *f = context;
    if (f->send_result < 0)
        return f->send_result;
    f->sent[f->sent_count++ % 64] = (sent_t){*worker, job->job_id, job->attempt};
    return 0;
}

static void on_ended(void *context, void *owner, fw_job_outcome_t outcome, uint64_t redis_time)
{
    fixture_t *f = context;
    f->ended++;
    f->impossible += outcome == FW_JOB_IMPOSSIBLE;
    f->last_time = redis_time;
    if (owner)
        f->ended_of[(intptr_t)owner]++;
}

static const fw_peer_t alice = {1, {'a'}};
static const fw_peer_t bob = {1, {'b'}};

static const sent_t *last(const fixture_t *f)
{
    return &f->sent[(f->sent_count - 1) % 64];
}

static int set_up(void **state)
{
    static fixture_t f;
    fw_dispatch_options_t options = {.first_us = 200 * MS,
                                     .lease_us = 2000 * MS,
                                     .retry_base_us = 50 * MS,
                                     .retry_us_max = 5000 * MS,
                                     .silence_us_max = 3000 * MS,
                                     .seed = 1,
                                     .orphans_max = 1000,
                                     .orphans_bytes_max = 4000};
    fw_dispatch_output_t output = {&f, on_send, on_ended};
    memset(&f, 0, sizeof f);
    f.dispatch = fw_dispatch_new(&options, &output);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_destroy(&f->dispatch);
    return 0;
}

static fw_dispatch_job_t *add(fixture_t *f, intptr_t owner, int64_t now_us)
{
    static const fw_text_t keys[] = {{"k1", 2}};
    static const fw_text_t tags[] = {{"projects", 8}};
    fw_invalidate_t invalidate = {keys, 1, tags, 1, NULL, 0};
    return fw_dispatch_add(f->dispatch, &invalidate, (void *)owner, now_us);
}

static void an_answer_to_an_unknown_job_is_ignored(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 1, 0);
    assert_false(fw_dispatch_done(f->dispatch, &alice, 77, 1, 0));
    assert_false(fw_dispatch_failed(f->dispatch, &alice, 77, true, 0));
}

static void an_answer_from_a_stranger_is_ignored(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 1, 0);
    (void)add(f, 1, 0);
    assert_false(fw_dispatch_done(f->dispatch, &bob, last(f)->job_id, 1, 0));
    assert_int_equal(f->ended, 0);
}

static void a_job_waits_for_a_worker(void **state)
{
    fixture_t *f = *state;
    (void)add(f, 1, 0);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(fw_dispatch_queued(f->dispatch), 1);
    fw_dispatch_worker(f->dispatch, &alice, 1, 0);
    assert_int_equal(f->sent_count, 1);
    assert_true(fw_dispatch_done(f->dispatch, &alice, last(f)->job_id, 99, 0));
    assert_int_equal(f->ended_of[1], 1);
    assert_int_equal(f->last_time, 99);
    assert_int_equal(fw_dispatch_jobs(f->dispatch), 0);
}

static void the_same_answer_twice_counts_once(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 1, 0);
    (void)add(f, 1, 0);
    uint64_t job_id = last(f)->job_id;
    assert_true(fw_dispatch_done(f->dispatch, &alice, job_id, 1, 0));
    assert_false(fw_dispatch_done(f->dispatch, &alice, job_id, 1, 0));
    assert_int_equal(f->ended, 1);
}

static void credit_is_kept_and_the_least_busy_worker_is_asked(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 2, 0);
    fw_dispatch_worker(f->dispatch, &bob, 1, 0);
    for (int i = 0; i < 5; i++)
        (void)add(f, 1, 0);
    assert_int_equal(f->sent_count, 3);
    assert_int_equal(fw_dispatch_queued(f->dispatch), 2);
    assert_int_not_equal(f->sent[0].worker.id[0], f->sent[1].worker.id[0]);
    assert_int_equal(f->sent[2].worker.id[0], 'a');
}

static void after_the_first_time_another_worker_gets_it_too(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    (void)add(f, 1, 0);
    fw_dispatch_worker(f->dispatch, &bob, 10, 0);
    fw_dispatch_tick(f->dispatch, 199 * MS);
    assert_int_equal(f->sent_count, 1);
    fw_dispatch_tick(f->dispatch, 200 * MS);
    assert_int_equal(f->sent_count, 2);
    assert_int_equal(last(f)->worker.id[0], 'b');
    assert_int_equal(last(f)->attempt, 2);
    assert_true(fw_dispatch_done(f->dispatch, &alice, last(f)->job_id, 5, 210 * MS));
    assert_int_equal(f->ended, 1);
}

static void a_worker_that_left_gives_its_jobs_to_the_others(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    (void)add(f, 1, 0);
    fw_dispatch_worker(f->dispatch, &bob, 10, 0);
    fw_dispatch_gone(f->dispatch, &alice, 1);
    assert_int_equal(last(f)->worker.id[0], 'b');
    assert_int_equal(fw_dispatch_workers(f->dispatch), 1);
}

static void a_silent_worker_is_taken_for_gone(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    (void)add(f, 1, 0);
    for (int64_t now = 0; now <= 4000 * MS; now += 100 * MS)
        fw_dispatch_tick(f->dispatch, now);
    assert_int_equal(fw_dispatch_workers(f->dispatch), 0);
    assert_int_equal(fw_dispatch_queued(f->dispatch), 1);
}

static void a_worker_that_cannot_be_sent_to_is_gone(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    f->send_result = -1;
    (void)add(f, 1, 0);
    assert_int_equal(fw_dispatch_workers(f->dispatch), 0);
    f->send_result = 0;
    fw_dispatch_worker(f->dispatch, &bob, 1, 0);
    assert_int_equal(f->sent_count, 1);
}

static void a_failure_goes_to_another_worker_at_once_then_waits(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    fw_dispatch_worker(f->dispatch, &bob, 10, 0);
    (void)add(f, 1, 0);
    sent_t first = *last(f);
    assert_true(fw_dispatch_failed(f->dispatch, &first.worker, first.job_id, true, 0));
    assert_int_equal(f->sent_count, 2);
    assert_int_not_equal(last(f)->worker.id[0], first.worker.id[0]);
    sent_t second = *last(f);
    assert_true(fw_dispatch_failed(f->dispatch, &second.worker, second.job_id, true, 0));
    assert_int_equal(f->sent_count, 2);
    assert_true(fw_dispatch_next_us(f->dispatch) > 0);
    fw_dispatch_tick(f->dispatch, 300 * MS);
    assert_int_equal(f->sent_count, 3);
}

static void a_job_that_can_never_succeed_ends(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    (void)add(f, 1, 0);
    assert_true(fw_dispatch_failed(f->dispatch, &alice, last(f)->job_id, false, 0));
    assert_int_equal(f->impossible, 1);
    assert_int_equal(fw_dispatch_jobs(f->dispatch), 0);
}

static void a_disowned_job_is_still_done(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_disown(f->dispatch, add(f, 3, 0));
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    assert_true(fw_dispatch_done(f->dispatch, &alice, last(f)->job_id, 1, 0));
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->ended_of[3], 0);
}

static void an_answer_to_a_job_of_another_life_is_nobodys(void **state)
{
    fixture_t *f = *state;
    fw_dispatch_options_t options = {.first_us = 200 * MS, .lease_us = 2000 * MS, .seed = 2};
    fw_dispatch_output_t output = {f, on_send, on_ended};
    fw_dispatch_t *next = fw_dispatch_new(&options, &output);
    fw_dispatch_worker(f->dispatch, &alice, 10, 0);
    (void)add(f, 1, 0);
    uint64_t old = last(f)->job_id;
    fw_dispatch_worker(next, &alice, 10, 0);
    (void)fw_dispatch_add(next, &(fw_invalidate_t){0}, NULL, 0);
    assert_int_equal(f->sent_count, 2);
    assert_false(fw_dispatch_done(next, &alice, old, 1, 0));
    assert_int_equal(f->ended, 0);
    fw_dispatch_destroy(&next);
}

static void what_concerns_the_whole_cache_comes_first(void **state)
{
    fixture_t *f = *state;
    for (intptr_t i = 1; i <= 5; i++)
        (void)add(f, i, 0);
    (void)fw_dispatch_add_action(f->dispatch, FW_CACHE_OPEN, NULL, 0);
    fw_dispatch_worker(f->dispatch, &alice, 1, 0);
    assert_int_equal(f->sent_count, 1);
    assert_true(fw_dispatch_done(f->dispatch, &alice, last(f)->job_id, 1, 0));
    assert_int_equal(fw_dispatch_jobs(f->dispatch), 5);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(f->ended_of[i], 0);
}

static void orphans_are_bounded_in_bytes_too(void **state)
{
    fixture_t *f = *state;
    for (intptr_t i = 1; i <= 100; i++)
        fw_dispatch_disown(f->dispatch, add(f, i, 0));
    assert_int_equal(fw_dispatch_jobs(f->dispatch), 100);
    fw_dispatch_tick(f->dispatch, 1);
    assert_int_equal(fw_dispatch_jobs(f->dispatch), 1);
    assert_int_equal(fw_dispatch_given_up(f->dispatch), 100);
    assert_true(fw_dispatch_owes(f->dispatch)); /* until the flush is done */
    /* A second overflow before anybody began needs no second flush. */
    for (intptr_t i = 1; i <= 100; i++)
        fw_dispatch_disown(f->dispatch, add(f, i, 0));
    fw_dispatch_tick(f->dispatch, 2);
    assert_int_equal(fw_dispatch_flushes(f->dispatch), 1);
    fw_dispatch_worker(f->dispatch, &alice, 10, 3);
    assert_int_equal(f->sent_count, 1);
    /* One that somebody has may have been done already: it does not cover what comes now. */
    for (intptr_t i = 1; i <= 100; i++)
        fw_dispatch_disown(f->dispatch, add(f, i, 3));
    fw_dispatch_tick(f->dispatch, 4);
    assert_int_equal(fw_dispatch_flushes(f->dispatch), 2);
}

/* Workers that crash, fall silent, fail and answer late: in the end every job was done exactly
 * once. */
static void every_job_ends_once_under_random_faults(void **state)
{
    fixture_t *f = *state;
    const uint64_t seed = 42;
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    enum { JOBS = 2000, WORKERS = 4 };
    int64_t now = 0;
    intptr_t added = 0;
    size_t seen = 0;
    for (int step = 0; step < 2000000 && f->ended < JOBS; step++) {
        now += (int64_t)fw_random_below(&random, 20 * MS);
        fw_peer_t peer = {1, {(uint8_t)('a' + fw_random_below(&random, WORKERS))}};
        uint64_t dice = fw_random_below(&random, 100);
        if (dice < 20 && added < JOBS)
            (void)add(f, ++added, now);
        else if (dice < 40)
            fw_dispatch_worker(f->dispatch, &peer, 8, now);
        else if (dice < 42)
            fw_dispatch_gone(f->dispatch, &peer, now);
        else
            fw_dispatch_tick(f->dispatch, now);
        for (; seen < f->sent_count; seen++) {
            sent_t sent = f->sent[seen % 64];
            uint64_t fate = fw_random_below(&random, 10);
            if (fate < 6)
                (void)fw_dispatch_done(f->dispatch, &sent.worker, sent.job_id, 1, now);
            else if (fate < 8)
                (void)fw_dispatch_failed(f->dispatch, &sent.worker, sent.job_id, true, now);
        }
    }
    assert_int_equal(f->ended, JOBS);
    for (int i = 1; i <= JOBS; i++)
        assert_int_equal(f->ended_of[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_to_an_unknown_job_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_from_a_stranger_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_waits_for_a_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_answer_twice_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(credit_is_kept_and_the_least_busy_worker_is_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_the_first_time_another_worker_gets_it_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_left_gives_its_jobs_to_the_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_silent_worker_is_taken_for_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_cannot_be_sent_to_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_goes_to_another_worker_at_once_then_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_can_never_succeed_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disowned_job_is_still_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_to_a_job_of_another_life_is_nobodys, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_concerns_the_whole_cache_comes_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(orphans_are_bounded_in_bytes_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_job_ends_once_under_random_faults, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
