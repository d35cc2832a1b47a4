/* shard_accept.c - how connections reach a shard.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/shard_internal.h"
#include "runtime/clock.h"

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100, /* without descriptors a listening socket stays readable for ever */
};

static void adopt(fw_shard_t *self, int fd)
{
    static const int on = 1;
    if (self->connections >= self->sessions_max + FW_CONNECTIONS_SPARE) {
        fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* On failure the library closes the descriptor. */
    (void)lws_adopt_socket_vhost(self->vhost, fd);
}

void fw_accept_ready(uv_poll_t *poll, int status, int events)
{
    fw_shard_t *self = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(self->args->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            adopt(self, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
            (void)uv_poll_stop(&self->listener);
            self->accept_again_ms = fw_clock_ms() + ACCEPT_PAUSE_MS;
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
