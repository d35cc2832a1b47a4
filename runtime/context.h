/* context.h - the one ZeroMQ context of this process.   SPDX-License-Identifier: MPL-2.0
 * Internal to runtime/. */
#pragma once

enum {
    FW_CONTEXT_SOCKETS_MAX = 4096,
    FW_CONTEXT_IO_THREADS = 2,
};

/* czmq's context with our limits, made at the first call; any thread. */
void *fw_context(void);
