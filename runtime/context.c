/* context.c - the one ZeroMQ context of this process.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/context.h"

#include <assert.h>
#include <pthread.h>

#include <czmq.h>

#include "runtime/log_route.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *context;

static void prepare(void)
{
    context = zsys_init();
    assert(context);
    /* Both take effect because no socket has started the context's threads yet; if some other code
     * made one first, its values stay, which is smaller but not wrong. */
    (void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, FW_CONTEXT_SOCKETS_MAX);
    (void)zmq_ctx_set(context, ZMQ_IO_THREADS, FW_CONTEXT_IO_THREADS);
    zsys_handler_set(NULL);
    fw_log_route_czmq();
}

void *fw_context(void)
{
    int result = pthread_once(&once, prepare);
    assert(result == 0);
    (void)result;
    return context;
}
