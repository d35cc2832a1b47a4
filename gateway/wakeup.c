/* wakeup.c - see wakeup.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/wakeup.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"

struct fw_wakeup {
    uv_poll_t poll;
};

static void woken(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

int fw_wakeup_new(uv_loop_t *loop, zsock_t *socket, fw_wakeup_t **ret_wakeup)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (zmq_getsockopt(zsock_resolve(socket), ZMQ_FD, &fd, &size) != 0)
        return -errno;
    fw_wakeup_t *self = fw_alloc(1, sizeof *self);
    int result = uv_poll_init(loop, &self->poll, fd);
    if (result != 0) {
        free(self);
        return result;
    }
    self->poll.data = self;
    result = uv_poll_start(&self->poll, UV_READABLE, woken);
    if (result != 0) {
        fw_wakeup_destroy(&self);
        return result;
    }
    *ret_wakeup = self;
    return 0;
}

void fw_wakeup_destroy(fw_wakeup_t **self_p)
{
    fw_wakeup_t *self = *self_p;
    if (!self)
        return;
    uv_close((uv_handle_t *)&self->poll, closed);
    *self_p = NULL;
}
