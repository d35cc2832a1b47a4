/* signals.c - SIGINT, SIGTERM and SIGHUP arrive in main, nowhere else.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/signals.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include <czmq.h>

#include "runtime/clock.h"

static sigset_t handled_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

static fw_signal_t meaning(int number)
{
    return number == SIGHUP ? FW_SIGNAL_RELOAD : FW_SIGNAL_STOP;
}

void fw_signals_block(void)
{
    sigset_t set = handled_signals();
    int result = pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert(result == 0);
    (void)result;
    /* A write to a closed connection is an error code, not the end of the process; nor are signals
     * that mean nothing to us, which end a process unless told otherwise. */
    static const int ignored[] = {SIGPIPE,   SIGUSR1, SIGUSR2, SIGALRM,
                                  SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        result = sigaction(ignored[i], &ignore, NULL);
        assert(result == 0);
    }
    /* czmq's own handlers would end every poller at the first SIGTERM, before any drain. */
    zsys_handler_set(NULL);
}

fw_signal_t fw_signals_wait(void)
{
    sigset_t set = handled_signals();
    int number = 0;
    int result;
    do
        result = sigwait(&set, &number);
    while (result == EINTR);
    assert(result == 0);
    return meaning(number);
}

int fw_signals_wait_for(int timeout_ms, fw_signal_t *ret_signal)
{
    sigset_t set = handled_signals();
    int64_t deadline_ms = fw_clock_ms() + (timeout_ms > 0 ? timeout_ms : 0);
    for (;;) {
        int64_t left_ms = deadline_ms - fw_clock_ms();
        if (left_ms < 0)
            left_ms = 0;
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = (left_ms % 1000) * 1000000};
        int number = sigtimedwait(&set, NULL, &left);
        if (number > 0) {
            *ret_signal = meaning(number);
            return 0;
        }
        if (errno == EAGAIN)
            return -ETIMEDOUT;
        assert(errno == EINTR);
    }
}
