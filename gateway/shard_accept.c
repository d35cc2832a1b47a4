/* shard_accept.c - how connections reach a shard.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "gateway/shard_internal.h"
#include "runtime/clock.h"

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100, /* without descriptors a listening socket stays readable for ever */
    PACE_MS = 20,          /* connections that come too fast wait in the kernel's queue */
};

static void pause_for(fw_shard_t *self, int64_t ms)
{
    (void)uv_poll_stop(&self->listener);
    self->accept_again_ms = fw_clock_ms() + ms;
}

void fw_accept_ready(uv_poll_t *poll, int status, int events)
{
    fw_shard_t *self = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(self->args->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            fw_door_arrive(self, fd, (const struct sockaddr *)&address);
            if (!fw_door_accepts(self, fw_clock_ms())) {
                fw_counter_add(self->metrics.accepts_paced, 1);
                pause_for(self, PACE_MS);
                return;
            }
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
            pause_for(self, ACCEPT_PAUSE_MS);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

void fw_accept_resume(fw_shard_t *self, int64_t now_ms)
{
    if (self->accept_again_ms == 0 || now_ms < self->accept_again_ms)
        return;
    self->accept_again_ms = 0;
    (void)uv_poll_start(&self->listener, UV_READABLE, fw_accept_ready);
}
