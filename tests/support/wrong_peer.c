/* wrong_peer.c - see wrong_peer.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/wrong_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/context.h"

enum { CONNECTIONS_MAX = 64, BIND_MS_MAX = 10000 };

struct wrong_peer {
    wrong_kind_t kind;
    void *rep;
    int listener;
    int connections[CONNECTIONS_MAX]; /* -1 = none */
    unsigned count;
};

static const char http[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "wrong peer: %s: %s\n", what, strerror(errno));
    abort();
}

static bool bind_once(wrong_peer_t *self, const char *endpoint)
{
    if (self->kind == WRONG_REP)
        return zmq_bind(self->rep, endpoint) == 0;
    const char *port = strrchr(endpoint, ':') + 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(self->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
           listen(self->listener, CONNECTIONS_MAX) == 0;
}

wrong_peer_t *wrong_peer_new(wrong_kind_t kind, const char *endpoint)
{
    static const int on = 1;
    static const int none = 0;
    wrong_peer_t *self = fw_alloc(1, sizeof *self);
    self->kind = kind;
    self->listener = -1;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        self->connections[i] = -1;
    if (kind == WRONG_REP) {
        self->rep = zmq_socket(fw_context(), ZMQ_REP);
        require(self->rep != NULL, "socket");
        (void)zmq_setsockopt(self->rep, ZMQ_LINGER, &none, sizeof none);
    } else {
        self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        require(self->listener >= 0, "socket");
        (void)setsockopt(self->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    int64_t end_ms = fw_clock_ms() + BIND_MS_MAX;
    bool bound;
    while (!(bound = bind_once(self, endpoint)) && errno == EADDRINUSE && fw_clock_ms() < end_ms)
        (void)poll(NULL, 0, 5);
    require(bound, "bind");
    return self;
}

void wrong_peer_destroy(wrong_peer_t **self_p)
{
    wrong_peer_t *self = *self_p;
    if (!self)
        return;
    if (self->rep)
        (void)zmq_close(self->rep);
    if (self->listener >= 0)
        (void)close(self->listener);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (self->connections[i] >= 0)
            (void)close(self->connections[i]);
    free(self);
    *self_p = NULL;
}

/* ZMTP 3.0, mechanism NULL; then a command whose name is longer than its frame. */
static void send_garbage(int connection)
{
    enum { GREETING_SIZE = 64 };
    static const uint8_t command[] = {4, 5, 0xff, 'R', 'E', 'A', 'D'};
    uint8_t bytes[GREETING_SIZE + sizeof command] = {
        0xff, [8] = 1, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
    memcpy(bytes + GREETING_SIZE, command, sizeof command);
    (void)send(connection, bytes, sizeof bytes, MSG_NOSIGNAL);
}

static void greet(wrong_peer_t *self, int *connection)
{
    self->count++;
    if (self->kind == WRONG_GARBAGE)
        send_garbage(*connection);
}

static void hear(const wrong_peer_t *self, int *connection)
{
    char bytes[512];
    ssize_t got = recv(*connection, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0 && self->kind != WRONG_HTTP)
        return;
    if (got > 0)
        (void)send(*connection, http, sizeof http - 1, MSG_NOSIGNAL);
    (void)close(*connection);
    *connection = -1;
}

void wrong_peer_turn(wrong_peer_t *self)
{
    for (size_t i = 0; self->listener >= 0 && i < CONNECTIONS_MAX; i++) {
        int *connection = &self->connections[i];
        if (*connection < 0) {
            *connection = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC);
            if (*connection >= 0)
                greet(self, connection);
        } else {
            hear(self, connection);
        }
    }
}

unsigned wrong_peer_connections(const wrong_peer_t *self)
{
    return self->count;
}
