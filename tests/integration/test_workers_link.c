/* test_workers_link.c - the link to the broker, with all that goes wrong on it.
 * SPDX-License-Identifier: MPL-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/random.h"
#include "tests/support/worker_world.h"

static bool ready(fw_worker_world_t *world)
{
    return fw_health_ready(world->health, fw_clock_ms());
}

static void await_ready(fw_worker_world_t *world, bool expected)
{
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (ready(world) != expected && fw_clock_ms() < deadline_ms) {
        (void)fw_job_broker_serve(world->broker, 10);
    }
    assert_int_equal(ready(world), expected);
}

static void garbage_is_counted_and_harms_nothing(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    fw_random_t random = {(uint64_t)fw_clock_wall_us()};
    print_message("seed %llu\n", (unsigned long long)random.state);
    enum { FRAMES = 500 };
    for (int i = 0; i < FRAMES; i++) {
        uint8_t bytes[64];
        size_t size = fw_random_below(&random, sizeof(bytes));
        for (size_t k = 0; k < size; k++) {
            bytes[k] = (uint8_t)fw_random_next(&random);
        }
        /* No message of this link begins so: field 31 of a type that does not exist. */
        bytes[0] = 0xff;
        fw_job_broker_send_bytes(world->broker, bytes, size);
    }
    fw_job_broker_send_two_frames(world->broker);
    fw_worker_world_await(world, world->series.refused[FW_REFUSED_GARBAGE], FRAMES + 1);
    assert_true(fw_worker_world_do(world, 1, "a", "b", NULL).done);
    assert_int_equal(fw_counter_value(world->series.refused[FW_REFUSED_GARBAGE]), FRAMES + 1);
}

static void a_job_above_the_capacity_is_turned_down_for_another_worker(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.capacity = 2;
    world->config.delay_ms = 1500; /* long enough for all three to arrive */
    fw_worker_world_start(world);
    for (uint64_t job_id = 1; job_id <= 3; job_id++) {
        fw_worker_world_send(world, job_id, "a", NULL, NULL);
    }
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_int_equal(answer.job_id, 3);
    assert_false(answer.done);
    assert_true(answer.retryable);
    assert_true(fw_worker_world_answer(world).done);
    assert_true(fw_worker_world_answer(world).done);
    assert_int_equal(fw_counter_value(world->series.refused[FW_REFUSED_CAPACITY]), 1);
}

static void a_refused_worker_greets_again(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    await_ready(world, true);
    const fw_message_t refusal = {.kind = FW_MESSAGE_REFUSAL,
                                  .refusal = {.field = "worker", .reason = "is not known"}};
    fw_job_broker_send_message(world->broker, &refusal);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    await_ready(world, true);
    assert_int_equal(fw_counter_value(world->series.refused[FW_REFUSED_BY_BROKER]), 1);
    assert_true(fw_worker_world_do(world, 1, "a", NULL, NULL).done);
}

static void a_broker_that_leaves_is_greeted_until_it_is_back(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    await_ready(world, true);
    fw_job_broker_set_silent(world->broker, true);
    const fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("restart")};
    fw_job_broker_send_message(world->broker, &goodbye);
    await_ready(world, false);
    fw_job_broker_set_silent(world->broker, false);
    await_ready(world, true);
}

static void a_silent_broker_is_left_and_another_socket_opened(void **state)
{
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    await_ready(world, true);
    fw_peer_t before = *fw_job_broker_worker(world->broker);
    fw_job_broker_set_silent(world->broker, true);
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_clock_ms() < deadline_ms &&
           memcmp(&before, fw_job_broker_worker(world->broker), sizeof(before)) == 0) {
        (void)fw_job_broker_serve(world->broker, 50);
    }
    assert_memory_not_equal(&before, fw_job_broker_worker(world->broker), sizeof(before));
    assert_false(ready(world));
    fw_job_broker_set_silent(world->broker, false);
    await_ready(world, true);
    assert_true(fw_worker_world_do(world, 1, "a", NULL, NULL).done);
}

static void jobs_of_a_broker_that_is_gone_are_not_answered_to_the_next(void **state)
{
    fw_worker_world_t *world = *state;
    enum { DELAY_MS = 2000 }; /* until then the other broker must have been noticed */
    world->config.delay_ms = DELAY_MS;
    fw_worker_world_start(world);
    await_ready(world, true);
    fw_worker_world_send(world, 7, "a", NULL, NULL);
    while (fw_gauge_value(world->series.outstanding) == 0) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    fw_job_broker_set_incarnation(world->broker, 2);
    const fw_message_t refusal = {.kind = FW_MESSAGE_REFUSAL,
                                  .refusal = {.field = "worker", .reason = "is not known"}};
    fw_job_broker_send_message(world->broker, &refusal);
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    fw_worker_world_await(world, world->series.jobs[FW_OUTCOME_ORPHAN], 1);
    assert_false(fw_job_broker_serve(world->broker, DELAY_MS + 200));
    /* The same number means another job now. */
    assert_true(fw_worker_world_do(world, 7, "b", "t", NULL).done);
    assert_int_equal(fw_gauge_value(world->series.outstanding), 0);
}

static void stopping_under_load_answers_every_job_or_says_goodbye(void **state)
{
    enum { JOBS = 200 };
    fw_worker_world_t *world = *state;
    fw_worker_world_start(world);
    for (uint64_t i = 0; i < JOBS; i++) {
        fw_worker_world_send(world, i, "a", "t", NULL);
    }
    /* In the middle of it: the first ones are done, and nobody has fetched their answers. */
    int64_t deadline_ms = fw_clock_ms() + FW_PATIENCE_MS;
    while (fw_counter_value(world->series.jobs[FW_OUTCOME_DONE]) == 0 &&
           fw_clock_ms() < deadline_ms) {
        (void)poll(NULL, 0, 1);
    }
    fw_workers_stop(&world->workers);
    unsigned answers = 0;
    fw_job_answer_t answer;
    while ((answer = fw_job_broker_wait_answer(world->broker, 300)).came) {
        assert_true(answer.done || answer.retryable);
        answers++;
    }
    assert_int_equal(fw_job_broker_goodbyes(world->broker), 1);
    assert_true(answers > 0);
    print_message("%u of %d jobs answered before goodbye\n", answers, JOBS);
    assert_int_equal(fw_gauge_value(world->series.outstanding), 0);
}

static void stopping_finishes_what_redis_was_asked(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.delay_ms = 60000; /* Stopping does not wait for the test aid. */
    fw_worker_world_start(world);
    fw_worker_world_send(world, 1, "a", NULL, NULL);
    fw_worker_world_await(world, world->series.jobs[FW_OUTCOME_DONE], 1);
    int64_t before_ms = fw_clock_ms();
    fw_workers_stop(&world->workers);
    assert_true(fw_clock_ms() - before_ms < FW_PATIENCE_MS);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(answer.done);
    assert_true(fw_job_broker_goodbyes(world->broker) == 1 ||
                fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
}

static void stopping_does_not_wait_for_ever_for_redis(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.redis_timeout_ms = 60000;
    fw_worker_world_start(world);
    fw_redis_fixture_pause(world->server);
    fw_worker_world_send(world, 1, "a", NULL, NULL);
    while (fw_gauge_value(world->series.outstanding) == 0) {
        (void)fw_job_broker_serve(world->broker, 5);
    }
    int64_t before_ms = fw_clock_ms();
    fw_workers_stop(&world->workers);
    int64_t took_ms = fw_clock_ms() - before_ms;
    assert_true(took_ms >= 1900 && took_ms < FW_PATIENCE_MS);
    fw_redis_fixture_resume(world->server);
    fw_job_answer_t answer = fw_worker_world_answer(world);
    assert_true(!answer.done && answer.retryable);
    assert_true(fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
    assert_int_equal(fw_gauge_value(world->series.outstanding), 0);
    assert_int_equal(fw_gauge_value(world->series.redis_connected), 0);
}

static void several_actors_each_greet_and_work(void **state)
{
    fw_worker_world_t *world = *state;
    world->config.actors = 3;
    fw_worker_world_start(world);
    while (fw_job_broker_hellos(world->broker) < 3) {
        assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    }
    await_ready(world, true);
    assert_int_equal(fw_gauge_value(world->series.redis_connected), 3);
    assert_true(fw_worker_world_do(world, 1, "a", "t", NULL).done);
    fw_workers_stop(&world->workers);
    while (fw_job_broker_goodbyes(world->broker) < 3) {
        assert_true(fw_job_broker_wait_goodbye(world->broker, FW_PATIENCE_MS));
    }
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(garbage_is_counted_and_harms_nothing),
        WORLD_TEST(a_job_above_the_capacity_is_turned_down_for_another_worker),
        WORLD_TEST(a_refused_worker_greets_again),
        WORLD_TEST(a_broker_that_leaves_is_greeted_until_it_is_back),
        WORLD_TEST(a_silent_broker_is_left_and_another_socket_opened),
        WORLD_TEST(jobs_of_a_broker_that_is_gone_are_not_answered_to_the_next),
        WORLD_TEST(stopping_under_load_answers_every_job_or_says_goodbye),
        WORLD_TEST(stopping_finishes_what_redis_was_asked),
        WORLD_TEST(stopping_does_not_wait_for_ever_for_redis),
        WORLD_TEST(several_actors_each_greet_and_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
