/* handshakes.c - see handshakes.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/handshakes.h"

#include <stdio.h>

#include "runtime/alloc.h"
#include "runtime/context.h"

enum {
    /* Not ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: who is refused for his key is counted by runtime/zap. */
    FAILURES = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
};

struct fw_handshakes {
    void *watched;
    void *events; /* PAIR; gets two frames for each failure */
};

static void *open_events(const char *endpoint)
{
    static const int zero = 0;
    void *events = zmq_socket(fw_context(), ZMQ_PAIR);
    if (!events)
        return NULL;
    /* Unbounded, because ZeroMQ's I/O thread would wait for room; between two calls it holds what
     * can be connected and dropped meanwhile, some hundred bytes each. */
    if (zmq_setsockopt(events, ZMQ_RCVHWM, &zero, sizeof zero) == 0 &&
        zmq_setsockopt(events, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
        zmq_connect(events, endpoint) == 0)
        return events;
    (void)zmq_close(events);
    return NULL;
}

fw_handshakes_t *fw_handshakes_new(zsock_t *watched)
{
    char endpoint[64];
    void *raw = zsock_resolve(watched);
    (void)snprintf(endpoint, sizeof endpoint, "inproc://freshwire-handshakes-%p", raw);
    if (zmq_socket_monitor(raw, endpoint, FAILURES) != 0)
        return NULL;
    void *events = open_events(endpoint);
    if (!events) {
        (void)zmq_socket_monitor(raw, NULL, 0);
        return NULL;
    }
    fw_handshakes_t *self = fw_alloc(1, sizeof *self);
    self->watched = raw;
    self->events = events;
    return self;
}

void fw_handshakes_destroy(fw_handshakes_t **self_p)
{
    fw_handshakes_t *self = *self_p;
    if (!self)
        return;
    (void)zmq_socket_monitor(self->watched, NULL, 0);
    (void)zmq_close(self->events);
    free(self);
    *self_p = NULL;
}

/* One message; false when there is none. */
static bool drop_event(void *events)
{
    int more = 1;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    while (more) {
        if (zmq_msg_recv(&frame, events, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(&frame);
    }
    (void)zmq_msg_close(&frame);
    return !more;
}

uint64_t fw_handshakes_failed(fw_handshakes_t *self)
{
    uint64_t failed = 0;
    /* Nothing else was asked for, so that every message is a failure. Taking one is far quicker
     * than failing. */
    while (self && drop_event(self->events))
        failed++;
    return failed;
}
