/* test_job_link.c - when what is said to the broker.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/job_link.h"

static const uint8_t one[FW_INCARNATION_SIZE] = {1};
static const uint8_t two[FW_INCARNATION_SIZE] = {2};

static fw_bytes_t incarnation(const uint8_t bytes[FW_INCARNATION_SIZE])
{
    return (fw_bytes_t){bytes, FW_INCARNATION_SIZE};
}

/* A link that was opened and greeted at time 0. */
static fw_job_link_t greeting(void)
{
    fw_job_link_t link = fw_job_link_make(1, 0);
    fw_job_link_want(&link, true, 0);
    assert_int_equal(fw_job_link_next(&link, 0), FW_JOB_LINK_OPEN);
    assert_int_equal(fw_job_link_next(&link, 0), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(fw_job_link_next(&link, 0), FW_JOB_LINK_NOTHING);
    return link;
}

/* Asks every 100 ms, as the actor does, until there is something to do or the time is over. */
static fw_job_link_action_t step_to(fw_job_link_t *link, int64_t from_ms, int64_t to_ms)
{
    for (int64_t now_ms = from_ms; now_ms < to_ms; now_ms += 100) {
        fw_job_link_action_t action = fw_job_link_next(link, now_ms);
        if (action != FW_JOB_LINK_NOTHING) {
            return action;
        }
    }
    return fw_job_link_next(link, to_ms);
}

static fw_job_link_t serving(void)
{
    fw_job_link_t link = greeting();
    fw_job_link_heard(&link, 0);
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 0));
    assert_int_equal(link.state, FW_JOB_LINK_SERVING);
    return link;
}

static void a_socket_that_cannot_be_opened_is_tried_again_soon_or_after_a_wait(void **state)
{
    (void)state;
    fw_job_link_t link = fw_job_link_make(1, 0);
    fw_job_link_want(&link, true, 0);
    assert_int_equal(fw_job_link_next(&link, 0), FW_JOB_LINK_OPEN);
    fw_job_link_opening(&link, 0);
    assert_int_equal(fw_job_link_next(&link, FW_JOB_LINK_OPENING_MS - 1), FW_JOB_LINK_NOTHING);
    assert_int_equal(fw_job_link_next(&link, FW_JOB_LINK_OPENING_MS), FW_JOB_LINK_OPEN);
    int64_t now_ms = FW_JOB_LINK_OPENING_MS;
    for (int i = 0; i < 50; i++) {
        fw_job_link_failed(&link, now_ms);
        assert_int_equal(link.state, FW_JOB_LINK_AWAY);
        int64_t end_ms = now_ms + FW_JOB_LINK_BACKOFF_MS_MAX;
        fw_job_link_action_t action;
        while ((action = fw_job_link_next(&link, now_ms)) == FW_JOB_LINK_NOTHING && now_ms < end_ms)
            now_ms += 10;
        assert_int_equal(action, FW_JOB_LINK_OPEN);
    }
    assert_int_equal(fw_job_link_next(&link, now_ms), FW_JOB_LINK_SAY_HELLO);
}

static void a_worker_that_cannot_purge_says_nothing(void **state)
{
    (void)state;
    fw_job_link_t link = fw_job_link_make(1, 0);
    assert_int_equal(fw_job_link_next(&link, 0), FW_JOB_LINK_OPEN);
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 100) {
        assert_int_equal(fw_job_link_next(&link, now_ms), FW_JOB_LINK_NOTHING);
    }
    fw_job_link_want(&link, true, 60000);
    assert_int_equal(fw_job_link_next(&link, 60000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(fw_job_link_next(&link, 60000), FW_JOB_LINK_NOTHING);
}

static void hello_is_said_every_second_until_welcome(void **state)
{
    (void)state;
    fw_job_link_t link = greeting();
    assert_int_equal(step_to(&link, 0, 999), FW_JOB_LINK_NOTHING);
    assert_int_equal(fw_job_link_next(&link, 1000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(step_to(&link, 1100, 1999), FW_JOB_LINK_NOTHING);
    assert_int_equal(fw_job_link_next(&link, 2000), FW_JOB_LINK_SAY_HELLO);
    fw_job_link_heard(&link, 2100);
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 2100));
    assert_int_equal(step_to(&link, 2100, 3000), FW_JOB_LINK_NOTHING);
    fw_job_link_heard(&link, 3050);
    assert_int_equal(fw_job_link_next(&link, 3100), FW_JOB_LINK_SAY_PING);
}

static void a_hello_that_could_not_leave_is_said_again_soon(void **state)
{
    (void)state;
    fw_job_link_t link = greeting();
    fw_job_link_unsent(&link, 0);
    assert_int_equal(fw_job_link_next(&link, FW_JOB_LINK_RETRY_MS - 1), FW_JOB_LINK_NOTHING);
    assert_int_equal(fw_job_link_next(&link, FW_JOB_LINK_RETRY_MS), FW_JOB_LINK_SAY_HELLO);
}

static void three_seconds_of_silence_close_the_socket(void **state)
{
    (void)state;
    fw_job_link_t link = greeting();
    assert_int_equal(step_to(&link, 0, 1000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(step_to(&link, 1100, 2000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(step_to(&link, 2100, 2999), FW_JOB_LINK_NOTHING);
    assert_int_equal(fw_job_link_next(&link, 3000), FW_JOB_LINK_CLOSE);
    assert_int_equal(link.state, FW_JOB_LINK_AWAY);
    int64_t now_ms = 3000;
    while (fw_job_link_next(&link, now_ms) == FW_JOB_LINK_NOTHING) {
        now_ms++;
    }
    assert_true(now_ms <= 3000 + FW_JOB_LINK_BACKOFF_MS);
    assert_int_equal(fw_job_link_next(&link, now_ms), FW_JOB_LINK_SAY_HELLO);
}

static void a_pause_of_its_own_is_not_the_brokers_silence(void **state)
{
    (void)state;
    fw_job_link_t link = serving();
    assert_int_equal(fw_job_link_next(&link, 60000), FW_JOB_LINK_SAY_PING);
    assert_int_equal(link.state, FW_JOB_LINK_SERVING);
    assert_int_equal(step_to(&link, 60000, 61000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(step_to(&link, 61100, 62000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(step_to(&link, 62100, 63000), FW_JOB_LINK_CLOSE);
}

static void the_wait_before_another_socket_is_bounded(void **state)
{
    (void)state;
    fw_job_link_t link = greeting();
    int64_t now_ms = 0;
    for (int i = 0; i < 20; i++) {
        fw_job_link_action_t action;
        while ((action = fw_job_link_next(&link, now_ms)) != FW_JOB_LINK_CLOSE) {
            now_ms += action == FW_JOB_LINK_NOTHING ? 1 : 0;
        }
        int64_t closed_ms = now_ms;
        while (fw_job_link_next(&link, now_ms) != FW_JOB_LINK_OPEN) {
            now_ms++;
        }
        assert_true(now_ms - closed_ms <= FW_JOB_LINK_BACKOFF_MS_MAX);
    }
}

static void an_unanswered_ping_makes_it_greet_again(void **state)
{
    (void)state;
    fw_job_link_t link = serving();
    fw_job_link_heard(&link, 900);
    assert_int_equal(step_to(&link, 0, 1000), FW_JOB_LINK_SAY_PING);
    assert_int_equal(step_to(&link, 1100, 2000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(link.state, FW_JOB_LINK_GREETING);
    fw_job_link_heard(&link, 2001);
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 2001));
    assert_int_equal(link.state, FW_JOB_LINK_SERVING);
}

static void another_broker_process_is_noticed_once(void **state)
{
    (void)state;
    fw_job_link_t link = serving();
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 1));
    assert_true(fw_job_link_welcomed(&link, incarnation(two), 2));
    assert_false(fw_job_link_welcomed(&link, incarnation(two), 3));
    assert_true(fw_job_link_welcomed(&link, (fw_bytes_t){two, 3}, 4));
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 5));
}

static void a_dismissed_worker_greets_at_once(void **state)
{
    (void)state;
    fw_job_link_t link = serving();
    fw_job_link_dismissed(&link, 10);
    assert_int_equal(fw_job_link_next(&link, 10), FW_JOB_LINK_SAY_HELLO);
    /* Refused again: no faster than once a second. */
    fw_job_link_dismissed(&link, 11);
    assert_int_equal(fw_job_link_next(&link, 11), FW_JOB_LINK_NOTHING);
}

static void goodbye_is_said_once_and_hello_when_it_can_purge_again(void **state)
{
    (void)state;
    fw_job_link_t link = serving();
    fw_job_link_want(&link, false, 10);
    assert_int_equal(fw_job_link_next(&link, 10), FW_JOB_LINK_SAY_GOODBYE);
    assert_int_equal(fw_job_link_next(&link, 10000), FW_JOB_LINK_NOTHING);
    assert_false(fw_job_link_welcomed(&link, incarnation(one), 10000));
    assert_int_equal(link.state, FW_JOB_LINK_AWAY);
    fw_job_link_want(&link, true, 20000);
    assert_int_equal(fw_job_link_next(&link, 20000), FW_JOB_LINK_SAY_HELLO);
    assert_int_equal(fw_job_link_next(&link, 20000), FW_JOB_LINK_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_cannot_be_opened_is_tried_again_soon_or_after_a_wait),
        cmocka_unit_test(a_worker_that_cannot_purge_says_nothing),
        cmocka_unit_test(hello_is_said_every_second_until_welcome),
        cmocka_unit_test(a_hello_that_could_not_leave_is_said_again_soon),
        cmocka_unit_test(three_seconds_of_silence_close_the_socket),
        cmocka_unit_test(a_pause_of_its_own_is_not_the_brokers_silence),
        cmocka_unit_test(the_wait_before_another_socket_is_bounded),
        cmocka_unit_test(an_unanswered_ping_makes_it_greet_again),
        cmocka_unit_test(another_broker_process_is_noticed_once),
        cmocka_unit_test(a_dismissed_worker_greets_at_once),
        cmocka_unit_test(goodbye_is_said_once_and_hello_when_it_can_purge_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
