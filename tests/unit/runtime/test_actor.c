/* test_actor.c - an actor starts, is controlled, and always ends.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "runtime/actor.h"
#include "runtime/clock.h"

enum {
    STOP_MS_MAX = 500
}; /* milliseconds in truth; the rest is for a machine under sanitizers and load */

/* What a body saw; read by the test only after the actor was stopped. */
typedef struct {
    unsigned drains;
    unsigned reloads;
    unsigned turns;
    char name[16];
    bool signals_blocked;
    bool faults_open;
    int ready_result;
} record_t;

static void serve(zsock_t *pipe, void *args)
{
    record_t *record = args;
    (void)pthread_getname_np(pthread_self(), record->name, sizeof record->name);
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    record->signals_blocked = sigismember(&blocked, SIGTERM) == 1 &&
                              sigismember(&blocked, SIGINT) == 1 &&
                              sigismember(&blocked, SIGUSR1) == 1;
    record->faults_open = sigismember(&blocked, SIGSEGV) == 0;
    fw_actor_ready(pipe, record->ready_result);
    if (record->ready_result != 0)
        return;
    for (;;) {
        zmq_pollitem_t item = {.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, 1000);
        record->turns++;
        fw_control_t control;
        while ((control = fw_actor_receive(pipe)) != 0) {
            if (control == FW_CONTROL_STOP)
                return;
            record->drains += control == FW_CONTROL_DRAIN;
            record->reloads += control == FW_CONTROL_RELOAD;
        }
    }
}

/* Reads one control, then does something else for a while, as an actor with much to do would. */
static void serve_slowly(zsock_t *pipe, void *args)
{
    record_t *record = args;
    fw_actor_ready(pipe, 0);
    for (;;) {
        record->turns++;
        if (fw_actor_receive(pipe) == FW_CONTROL_STOP)
            return;
        (void)zmq_poll(NULL, 0, 10);
    }
}

/* Does not look at its pipe until the test lets it. */
static void serve_when_told(zsock_t *pipe, void *args)
{
    zsock_t *gate = args;
    fw_actor_ready(pipe, 0);
    char byte;
    (void)zmq_recv(zsock_resolve(gate), &byte, 1, 0);
    while (fw_actor_receive(pipe) != FW_CONTROL_STOP)
        (void)zmq_poll(NULL, 0, 1);
    zsock_destroy(&gate);
}

static void end_early(zsock_t *pipe, void *args)
{
    (void)args;
    fw_actor_ready(pipe, 0);
}

static unsigned thread_count(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    (void)closedir(folder);
    return count;
}

static void a_failing_start_returns_its_errno_and_leaves_no_thread(void **state)
{
    (void)state;
    record_t record = {.ready_result = -EADDRINUSE};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("failing", serve, &record, &actor), -EADDRINUSE);
    assert_null(actor);
    unsigned before = thread_count();
    for (int i = 0; i < 20; i++)
        assert_int_equal(fw_actor_start("failing", serve, &record, &actor), -EADDRINUSE);
    assert_int_equal(thread_count(), before);
}

static void a_control_beyond_1000_waiting_ones_is_refused(void **state)
{
    (void)state;
    zsock_t *gate = zsock_new_pair("@inproc://test-actor-gate");
    zsock_t *inner = zsock_new_pair(">inproc://test-actor-gate");
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("gated", serve_when_told, inner, &actor), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(fw_actor_send(actor, FW_CONTROL_RELOAD), 0);
    assert_int_equal(fw_actor_send(actor, FW_CONTROL_RELOAD), -EAGAIN);
    assert_int_equal(fw_actor_send(actor, FW_CONTROL_DRAIN), -EAGAIN);
    assert_int_equal(zmq_send(zsock_resolve(gate), "", 1, 0), 1);
    /* Room again once the actor reads. */
    int64_t deadline_ms = fw_clock_ms() + 10000;
    int result;
    while ((result = fw_actor_send(actor, FW_CONTROL_RELOAD)) == -EAGAIN &&
           fw_clock_ms() < deadline_ms)
        (void)zmq_poll(NULL, 0, 1);
    assert_int_equal(result, 0);
    fw_actor_stop(&actor);
    zsock_destroy(&gate);
}

static void stop_overtakes_1000_queued_controls_of_a_slow_actor(void **state)
{
    (void)state;
    record_t record = {0};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("slow", serve_slowly, &record, &actor), 0);
    unsigned sent = 0;
    while (fw_actor_send(actor, FW_CONTROL_RELOAD) == 0 && sent < 1000)
        sent++;
    assert_true(sent >= 1000);
    int64_t begin_ms = fw_clock_ms();
    fw_actor_stop(&actor);
    int64_t took_ms = fw_clock_ms() - begin_ms;
    assert_null(actor);
    assert_true(took_ms < STOP_MS_MAX);
    assert_true(record.turns < 1000);
}

static void stop_of_an_idle_actor_takes_milliseconds(void **state)
{
    (void)state;
    record_t record = {0};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("idle", serve, &record, &actor), 0);
    int64_t begin_ms = fw_clock_ms();
    fw_actor_stop(&actor);
    assert_true(fw_clock_ms() - begin_ms < STOP_MS_MAX);
    fw_actor_stop(&actor); /* NULL-safe */
}

static void stop_joins_an_actor_that_has_already_returned(void **state)
{
    (void)state;
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("early", end_early, NULL, &actor), 0);
    fw_actor_stop(&actor);
    assert_null(actor);
}

static void controls_arrive_in_number_and_the_thread_is_named_and_deaf_to_signals(void **state)
{
    (void)state;
    record_t record = {0};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("fifteen-letters", serve, &record, &actor), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fw_actor_send(actor, FW_CONTROL_RELOAD), 0);
    assert_int_equal(fw_actor_send(actor, FW_CONTROL_DRAIN), 0);
    /* A second actor's start takes longer than the first one needs, but only a count proves
     * arrival: stop would overtake. So wait until the pipe takes 1,000 more, which it only does
     * once these 11 were read. */
    int64_t deadline_ms = fw_clock_ms() + 10000;
    unsigned more = 0;
    while (more < 1000 && fw_clock_ms() < deadline_ms)
        if (fw_actor_send(actor, FW_CONTROL_RELOAD) == 0)
            more++;
    assert_int_equal(more, 1000);
    fw_actor_stop(&actor);
    assert_int_equal(record.drains, 1);
    assert_true(record.reloads >= 10);
    assert_string_equal(record.name, "fifteen-letters");
    assert_true(record.signals_blocked);
    assert_true(record.faults_open);
}

static void the_starting_thread_keeps_its_signal_mask(void **state)
{
    (void)state;
    record_t record = {0};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("mask", serve, &record, &actor), 0);
    sigset_t blocked;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGUSR1), 0);
    fw_actor_stop(&actor);
}

static void a_hundred_starts_and_stops_leave_no_thread_behind(void **state)
{
    (void)state;
    record_t record = {0};
    fw_actor_t *actor = NULL;
    assert_int_equal(fw_actor_start("again", serve, &record, &actor), 0);
    fw_actor_stop(&actor);
    unsigned before = thread_count();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fw_actor_start("again", serve, &record, &actor), 0);
        fw_actor_stop(&actor);
    }
    assert_int_equal(thread_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_start_returns_its_errno_and_leaves_no_thread),
        cmocka_unit_test(a_control_beyond_1000_waiting_ones_is_refused),
        cmocka_unit_test(stop_overtakes_1000_queued_controls_of_a_slow_actor),
        cmocka_unit_test(stop_of_an_idle_actor_takes_milliseconds),
        cmocka_unit_test(stop_joins_an_actor_that_has_already_returned),
        cmocka_unit_test(controls_arrive_in_number_and_the_thread_is_named_and_deaf_to_signals),
        cmocka_unit_test(the_starting_thread_keeps_its_signal_mask),
        cmocka_unit_test(a_hundred_starts_and_stops_leave_no_thread_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
