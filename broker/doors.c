/* doors.c - when descriptors run out, nobody new is let in.   SPDX-License-Identifier: MPL-2.0
 * A listening socket of ZeroMQ that cannot accept tries again at once, for ever: a whole core is
 * burnt, and nobody gets in anyway. So the ports are unbound until there is room; who is connected
 * stays. */
#include <string.h>

#include "broker/broker_loop.h"
#include "runtime/descriptors.h"

enum {
    FREE_MIN = 8,    /* fewer: closed */
    FREE_AGAIN = 24, /* as many: opened; more than the listening sockets give back */
};

static bool is_tcp(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", strlen("tcp://")) == 0;
}

static void open_doors(fw_broker_loop_t *self, bool open)
{
    zsock_t *sockets[FW_DOORS] = {[FW_DOOR_FIRE] = self->fire,
                                  [FW_DOOR_PUBLISH] = self->publish,
                                  [FW_DOOR_JOBS] = self->jobs,
                                  [FW_DOOR_EVENTS] = self->events,
                                  [FW_DOOR_CONTROL] = self->control};
    const fw_broker_endpoints_t *at = self->endpoints;
    const char *endpoints[FW_DOORS] = {[FW_DOOR_FIRE] = at->fire,
                                       [FW_DOOR_PUBLISH] = at->publish,
                                       [FW_DOOR_JOBS] = at->jobs,
                                       [FW_DOOR_EVENTS] = at->events,
                                       [FW_DOOR_CONTROL] = at->control};
    bool done = true;
    for (size_t i = 0; i < FW_DOORS; i++) {
        if (!sockets[i] || !is_tcp(endpoints[i]) || self->door_closed[i] != open)
            continue;
        void *raw = zsock_resolve(sockets[i]);
        int result = open ? zmq_bind(raw, endpoints[i]) : zmq_unbind(raw, endpoints[i]);
        if (result == 0)
            self->door_closed[i] = !open;
        else
            done = false;
    }
    self->doors_closed = !open || !done;
}

void fw_broker_watch_descriptors(fw_broker_loop_t *self)
{
    if (!self->doors_closed && fw_descriptors_short(FREE_MIN)) {
        open_doors(self, false);
        fw_counter_add(self->metrics.doors_closed, 1);
        fw_log(FW_LOG_ERROR, "no file descriptors are left: nobody new is let in; raise the limit "
                             "of open files");
    } else if (self->doors_closed && !fw_descriptors_short(FREE_AGAIN)) {
        open_doors(self, true);
        if (!self->doors_closed)
            fw_log(FW_LOG_INFO, "there are file descriptors again: the ports are open");
    }
}
