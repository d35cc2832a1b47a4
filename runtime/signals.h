/* signals.h - SIGINT, SIGTERM and SIGHUP arrive in main, nowhere else.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

typedef enum { FW_SIGNAL_STOP, FW_SIGNAL_RELOAD } fw_signal_t;

/* Blocks the signals in this and all later threads, keeps czmq and libwebsockets from handling
 * them, and ignores SIGPIPE and signals such as SIGUSR1 that mean nothing to us. Call before the
 * first thread and the first socket. */
void fw_signals_block(void);
/* Waits for the next one. */
fw_signal_t fw_signals_wait(void);
/* As above, for at most timeout_ms: 0 and *ret_signal, or -ETIMEDOUT. */
int fw_signals_wait_for(int timeout_ms, fw_signal_t *ret_signal)
    __attribute__((warn_unused_result));
