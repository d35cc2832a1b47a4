/* test_signals.c - signals wait for main, also when they came first.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <czmq.h>

#include "runtime/actor.h"
#include "runtime/clock.h"
#include "runtime/signals.h"

static void no_signal_is_a_timeout(void **state)
{
    (void)state;
    fw_signal_t signal = FW_SIGNAL_RELOAD;
    int64_t begin_ms = fw_clock_ms();
    assert_int_equal(fw_signals_wait_for(0, &signal), -ETIMEDOUT);
    assert_int_equal(fw_signals_wait_for(-5, &signal), -ETIMEDOUT);
    assert_int_equal(fw_signals_wait_for(30, &signal), -ETIMEDOUT);
    assert_true(fw_clock_ms() - begin_ms >= 29);
    assert_int_equal(signal, FW_SIGNAL_RELOAD);
}

static void a_signal_sent_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    fw_signal_t signal = FW_SIGNAL_STOP;
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(fw_signals_wait_for(5000, &signal), 0);
    assert_int_equal(signal, FW_SIGNAL_RELOAD);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(fw_signals_wait(), FW_SIGNAL_STOP);
    assert_int_equal(kill(getpid(), SIGINT), 0);
    assert_int_equal(fw_signals_wait(), FW_SIGNAL_STOP);
}

static void serve(zsock_t *pipe, void *args)
{
    (void)args;
    fw_actor_ready(pipe, 0);
    while (fw_actor_receive(pipe) != FW_CONTROL_STOP) {
        zmq_pollitem_t item = {.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, 1000);
    }
}

static void a_signal_under_running_actors_reaches_main_and_stops_no_poller(void **state)
{
    (void)state;
    fw_actor_t *actors[3] = {NULL};
    for (int i = 0; i < 3; i++)
        assert_int_equal(fw_actor_start("deaf", serve, NULL, &actors[i]), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    fw_signal_t signal = FW_SIGNAL_RELOAD;
    assert_int_equal(fw_signals_wait_for(5000, &signal), 0);
    assert_int_equal(signal, FW_SIGNAL_STOP);
    assert_int_equal(zsys_interrupted, 0);
    for (int i = 0; i < 3; i++)
        fw_actor_stop(&actors[i]);
}

static void a_write_to_a_closed_pipe_is_an_error_and_no_end(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    (void)close(ends[1]);
}

static void signals_that_mean_nothing_end_nothing(void **state)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGCHLD};
    fw_signal_t signal;
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        assert_int_equal(kill(getpid(), signals[i]), 0);
    assert_int_equal(fw_signals_wait_for(0, &signal), -ETIMEDOUT);
}

int main(void)
{
    fw_signals_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_that_mean_nothing_end_nothing),
        cmocka_unit_test(no_signal_is_a_timeout),
        cmocka_unit_test(a_signal_sent_before_the_wait_is_not_lost),
        cmocka_unit_test(a_signal_under_running_actors_reaches_main_and_stops_no_poller),
        cmocka_unit_test(a_write_to_a_closed_pipe_is_an_error_and_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
