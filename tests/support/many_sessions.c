/* many_sessions.c - see many_sessions.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/many_sessions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 256 * 1024,
    REQUEST_SIZE = 2048,
    HEADER_SIZE_MAX = 10,
    SILENCE_MS_MAX = 10000
};

typedef struct {
    int fd;
    bool upgraded;
    size_t to_skip;
    char *rest; /* of a frame that came in parts */
    size_t rest_size;
} session_t;

struct many_sessions {
    many_sessions_options_t options;
    session_t *list;
    int epoll;
    size_t frames;  /* counted since the last look */
    size_t waiting; /* sessions that are not ready yet */
    char buffer[BUFFER_SIZE];
};

static void fail(const char *what)
{
    fprintf(stderr, "sessions: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(const many_sessions_options_t *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, options->host, &address.sin_addr) != 1)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void request_upgrade(const many_sessions_t *self, size_t number)
{
    char path[512];
    char request[REQUEST_SIZE];
    const char *given = self->options.paths ? self->options.paths[number] : self->options.path;
    const char *mark = strstr(given, "%zu");
    if (mark)
        (void)snprintf(path, sizeof path, "%.*s%zu%s", (int)(mark - given), given, number,
                       mark + 3);
    else
        (void)snprintf(path, sizeof path, "%s", given);
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                        path, self->options.host, self->options.port);
    if (write(self->list[number].fd, request, (size_t)size) != size)
        fail("upgrade");
}

static void one_frame(many_sessions_t *self, size_t number, const char *payload, size_t size)
{
    session_t *session = &self->list[number];
    if (session->to_skip > 0) {
        if (--session->to_skip == 0)
            self->waiting--;
        return;
    }
    self->frames++;
    if (self->options.frame)
        self->options.frame(self->options.context, number, payload, size);
}

/* Takes complete frames off; returns the bytes used. */
static size_t take_frames(many_sessions_t *self, size_t number, const char *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= 2) {
        const unsigned char *header = (const unsigned char *)bytes + at;
        size_t header_size = 2;
        uint64_t length = header[1] & 0x7f;
        size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (size - at < header_size + extra)
            break;
        if (extra)
            length = 0;
        for (size_t i = 0; i < extra; i++)
            length = length << 8 | header[2 + i];
        header_size += extra;
        if (size - at - header_size < length)
            break;
        if ((header[0] & 0x0f) <= 2)
            one_frame(self, number, bytes + at + header_size, length);
        at += header_size + length;
    }
    return at;
}

static size_t take_upgrade(many_sessions_t *self, session_t *session, const char *bytes,
                           size_t size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (strncmp(bytes, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "sessions: refused: %.*s\n", (int)(end - bytes), bytes);
        exit(1);
    }
    session->upgraded = true;
    if (session->to_skip == 0)
        self->waiting--;
    return (size_t)(end - bytes) + 4;
}

static void serve(many_sessions_t *self, size_t number)
{
    session_t *session = &self->list[number];
    size_t kept = session->rest_size;
    memcpy(self->buffer, session->rest ? session->rest : "", kept);
    ssize_t got = recv(session->fd, self->buffer + kept, BUFFER_SIZE - kept, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("a session was closed");
    size_t size = kept + (size_t)got;
    size_t used = 0;
    if (!session->upgraded)
        used = take_upgrade(self, session, self->buffer, size);
    if (session->upgraded)
        used += take_frames(self, number, self->buffer + used, size - used);
    session->rest_size = size - used;
    if (session->rest_size == BUFFER_SIZE)
        fail("frame larger than the buffer");
    if (session->rest_size > 0) {
        session->rest = realloc(session->rest, session->rest_size);
        if (!session->rest)
            fail("memory");
        memcpy(session->rest, self->buffer + used, session->rest_size);
    }
}

static bool poll_once(many_sessions_t *self, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(self->epoll, events, 256, timeout_ms);
    for (int i = 0; i < count; i++)
        serve(self, events[i].data.u64);
    return count > 0;
}

many_sessions_t *many_sessions_open(const many_sessions_options_t *options)
{
    many_sessions_t *self = calloc(1, sizeof *self);
    if (!self)
        fail("memory");
    self->options = *options;
    self->list = calloc(options->count, sizeof *self->list);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!self->list || self->epoll < 0)
        fail("epoll");
    for (size_t i = 0; i < options->count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
        session_t *session = &self->list[i];
        session->fd = dial(options);
        session->to_skip = options->skip;
        session->upgraded = !options->path && !options->paths;
        if (!session->upgraded || session->to_skip > 0)
            self->waiting++;
        if (!session->upgraded)
            request_upgrade(self, i);
        if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, session->fd, &event) != 0)
            fail("epoll_ctl");
    }
    while (self->waiting > 0)
        if (!poll_once(self, SILENCE_MS_MAX))
            fail("handshakes time out");
    return self;
}

void many_sessions_close(many_sessions_t **self_p)
{
    many_sessions_t *self = *self_p;
    for (size_t i = 0; i < self->options.count; i++) {
        close(self->list[i].fd);
        free(self->list[i].rest);
    }
    close(self->epoll);
    free(self->list);
    free(self);
    *self_p = NULL;
}

size_t many_sessions_read(many_sessions_t *self, int timeout_ms)
{
    self->frames = 0;
    (void)poll_once(self, timeout_ms);
    return self->frames;
}

void many_sessions_read_frames(many_sessions_t *self, size_t frames)
{
    for (self->frames = 0; self->frames < frames;)
        if (!poll_once(self, SILENCE_MS_MAX)) {
            errno = ETIMEDOUT;
            fail("frames missing");
        }
    self->frames = 0;
}
