/* shard_visitor.c - see shard_visitor.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_visitor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/proxy_protocol.h"
#include "gateway/shard_internal.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

typedef struct {
    fw_guest_t guest; /* first: the list knows only this */
    uv_poll_t poll;
    fw_shard_t *shard;
    int fd;
    fw_address_t peer;
    size_t filled;
    uint8_t bytes[FW_PROXY_HEADER_SIZE_MAX];
} visitor_t;

static void freed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Ends the reading; the descriptor is the caller's. */
static int leave(visitor_t *visitor)
{
    fw_shard_t *self = visitor->shard;
    fw_guest_remove(&self->door.arriving, &visitor->guest);
    self->door.visitors--;
    (void)uv_poll_stop(&visitor->poll);
    uv_close((uv_handle_t *)&visitor->poll, freed);
    return visitor->fd;
}

void fw_visitor_dismiss(fw_shard_t *self, fw_guest_t *guest)
{
    (void)self;
    (void)close(leave(lws_container_of(guest, visitor_t, guest)));
}

/* Reads as much as is there of the header. 0, -EAGAIN, or an error. */
static int read_on(visitor_t *visitor, fw_address_t *ret_address)
{
    for (;;) {
        size_t more = 0;
        int result =
            fw_proxy_protocol_decode((fw_proxy_protocol_t)visitor->shard->config->proxy_protocol,
                                     visitor->bytes, visitor->filled, ret_address, &more);
        if (result != -EAGAIN)
            return result;
        ssize_t got = recv(visitor->fd, visitor->bytes + visitor->filled, more, 0);
        if (got == 0)
            return -ECONNRESET;
        if (got < 0)
            return -errno;
        visitor->filled += (size_t)got;
    }
}

static void readable(uv_poll_t *poll, int status, int events)
{
    visitor_t *visitor = poll->data;
    fw_shard_t *self = visitor->shard;
    fw_address_t address;
    (void)status;
    (void)events;
    int result = read_on(visitor, &address);
    if (result == -EAGAIN || result == -EINTR)
        return;
    if (result != 0) {
        fw_shard_refused(self, FW_REFUSED_PROXY_HEADER);
        fw_visitor_dismiss(self, &visitor->guest);
        return;
    }
    if (!fw_address_known(&address))
        address = visitor->peer; /* the proxy speaks for itself */
    fw_door_adopt(self, leave(visitor), &address);
}

void fw_visitor_receive(fw_shard_t *self, int fd, const fw_address_t *peer)
{
    visitor_t *visitor = fw_alloc(1, sizeof *visitor);
    visitor->shard = self;
    visitor->fd = fd;
    visitor->peer = *peer;
    if (uv_poll_init(&self->loop, &visitor->poll, fd) != 0) {
        (void)close(fd);
        free(visitor);
        return;
    }
    visitor->poll.data = visitor;
    self->door.visitors++;
    fw_guest_add(&self->door.arriving, &visitor->guest, fw_clock_ms() + self->config->request_ms);
    (void)uv_poll_start(&visitor->poll, UV_READABLE, readable);
}
