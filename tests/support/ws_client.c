/* ws_client.c - see ws_client.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/ws_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clock.h"

enum { HOOK_EVERY_MS = 3 };

struct ws_client {
    int fd;
    int status;
    bool ended;
    bool ignores_pings;
    unsigned pings;
    int close_code;
    char close_reason[128];
    char head[4096];
    char *body;
    uint8_t *input; /* received and not yet taken */
    size_t size;
    size_t capacity;
    char *message; /* the last one given out */
};

static ws_hook_fn *hook;
static void *hook_context;

void ws_set_hook(ws_hook_fn *new_hook, void *context)
{
    hook = new_hook;
    hook_context = context;
}

static void run_hook(void)
{
    if (hook)
        hook(hook_context);
}

void ws_pause(int ms)
{
    int64_t end_ms = fw_clock_ms() + ms;
    while (fw_clock_ms() < end_ms) {
        run_hook();
        (void)poll(NULL, 0, HOOK_EVERY_MS);
    }
}

bool ws_wait(bool (*condition)(void *context), void *context, int timeout_ms)
{
    int64_t end_ms = fw_clock_ms() + timeout_ms;
    while (!condition(context)) {
        if (fw_clock_ms() >= end_ms)
            return false;
        run_hook();
        (void)poll(NULL, 0, HOOK_EVERY_MS);
    }
    return true;
}

ws_client_t *ws_dial(int port, int receive_buffer)
{
    static const int on = 1;
    ws_client_t *self = calloc(1, sizeof *self);
    assert(self);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(self->fd >= 0);
    if (receive_buffer > 0)
        (void)setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int result = connect(self->fd, (struct sockaddr *)&address, sizeof address);
    assert(result == 0);
    (void)result;
    return self;
}

void ws_close(ws_client_t **self_p)
{
    ws_client_t *self = *self_p;
    if (!self)
        return;
    (void)close(self->fd);
    free(self->body);
    free(self->input);
    free(self->message);
    free(self);
    *self_p = NULL;
}

int ws_status(const ws_client_t *self)
{
    return self->status;
}

const char *ws_head(const ws_client_t *self)
{
    return self->head;
}

const char *ws_body(const ws_client_t *self)
{
    return self->body ? self->body : "";
}

int ws_fd(const ws_client_t *self)
{
    return self->fd;
}

bool ws_send_raw(ws_client_t *self, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        ssize_t sent = send(self->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent <= 0) {
            struct pollfd writable = {.fd = self->fd, .events = POLLOUT};
            run_hook();
            (void)poll(&writable, 1, HOOK_EVERY_MS);
            continue;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool ws_send_frame(ws_client_t *self, bool final, unsigned opcode, const void *data, size_t size)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *frame = malloc(size + 14);
    size_t head = 2;
    assert(frame);
    frame[0] = (uint8_t)((final ? 0x80u : 0) | opcode);
    if (size < 126) {
        frame[1] = (uint8_t)(0x80 | size);
    } else {
        size_t extra = size <= UINT16_MAX ? 2 : 8;
        frame[1] = extra == 2 ? 0x80 | 126 : 0x80 | 127;
        for (size_t i = 0; i < extra; i++)
            frame[2 + i] = (uint8_t)(size >> 8 * (extra - 1 - i));
        head += extra;
    }
    memcpy(frame + head, mask, 4);
    head += 4;
    for (size_t i = 0; i < size; i++)
        frame[head + i] = ((const uint8_t *)data)[i] ^ mask[i & 3];
    bool sent = ws_send_raw(self, frame, head + size);
    free(frame);
    return sent;
}

bool ws_send_text(ws_client_t *self, const char *text)
{
    return ws_send_frame(self, true, 1, text, strlen(text));
}

/* Waits for more input; false at the deadline or the end. */
static bool receive_more(ws_client_t *self, int64_t end_ms)
{
    while (!self->ended) {
        if (self->size == self->capacity) {
            self->capacity = self->capacity ? self->capacity * 2 : 65536;
            self->input = realloc(self->input, self->capacity);
            assert(self->input);
        }
        ssize_t got =
            recv(self->fd, self->input + self->size, self->capacity - self->size, MSG_DONTWAIT);
        if (got > 0) {
            self->size += (size_t)got;
            return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            self->ended = true;
            return false;
        }
        if (fw_clock_ms() >= end_ms)
            return false;
        struct pollfd readable = {.fd = self->fd, .events = POLLIN};
        run_hook();
        (void)poll(&readable, 1, HOOK_EVERY_MS);
    }
    return false;
}

static void consume(ws_client_t *self, size_t size)
{
    self->size -= size;
    memmove(self->input, self->input + size, self->size);
}

/* ------ HTTP */

int ws_answer(ws_client_t *self, int timeout_ms)
{
    int64_t end_ms = fw_clock_ms() + timeout_ms;
    uint8_t *end = NULL;
    self->status = 0;
    self->head[0] = '\0';
    free(self->body);
    self->body = NULL;
    while (!(end = self->size ? memmem(self->input, self->size, "\r\n\r\n", 4) : NULL))
        if (!receive_more(self, end_ms))
            return 0;
    size_t head = (size_t)(end - self->input) + 4;
    assert(head < sizeof self->head);
    memcpy(self->head, self->input, head);
    self->head[head] = '\0';
    consume(self, head);
    assert(strncmp(self->head, "HTTP/1.", 7) == 0);
    self->status = (int)strtol(self->head + 9, NULL, 10);
    const char *length = strcasestr(self->head, "\r\nContent-Length:");
    size_t body = length ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    while (self->size < body)
        if (!receive_more(self, end_ms))
            return 0;
    self->body = strndup((const char *)self->input, body);
    consume(self, body);
    return self->status;
}

int ws_request(ws_client_t *self, const char *head, const char *body)
{
    char request[8192];
    int size = snprintf(request, sizeof request, "%s%s", head, body ? body : "");
    assert(size > 0 && (size_t)size < sizeof request);
    if (!ws_send_raw(self, request, (size_t)size))
        return 0;
    return ws_answer(self, WS_WAIT_MS);
}

ws_client_t *ws_try(int port, const ws_options_t *options)
{
    char request[16384];
    ws_client_t *self = ws_dial(port, options->receive_buffer);
    int size =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                 "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                 "%s%s%s%s\r\n",
                 options->path, options->subprotocol ? "Sec-WebSocket-Protocol: " : "",
                 options->subprotocol ? options->subprotocol : "",
                 options->subprotocol ? "\r\n" : "", options->headers ? options->headers : "");
    assert(size > 0 && (size_t)size < sizeof request);
    if (ws_send_raw(self, request, (size_t)size))
        (void)ws_answer(self, WS_WAIT_MS);
    return self;
}

ws_client_t *ws_open(int port, const ws_options_t *options)
{
    ws_client_t *self = ws_try(port, options);
    if (self->status != 101)
        (void)fprintf(stderr, "no upgrade: %s%s\n", self->head, ws_body(self));
    assert(self->status == 101);
    assert(strstr(self->head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert(!strcasestr(self->head, "Sec-WebSocket-Extensions"));
    return self;
}

/* ------ frames */

typedef struct {
    bool final;
    unsigned opcode;
    size_t head;
    size_t size;
} frame_t;

static bool whole_frame(const ws_client_t *self, frame_t *ret_frame)
{
    const uint8_t *input = self->input;
    if (self->size < 2)
        return false;
    ret_frame->final = input[0] & 0x80;
    ret_frame->opcode = input[0] & 0x0f;
    ret_frame->head = 2;
    ret_frame->size = input[1];
    assert(!(input[0] & 0x70)); /* no extension was agreed on */
    assert(!(input[1] & 0x80)); /* a server does not mask */
    size_t extra = ret_frame->size == 126 ? 2 : ret_frame->size == 127 ? 8 : 0;
    if (self->size < 2 + extra)
        return false;
    for (size_t i = 0; i < extra; i++)
        ret_frame->size = (i == 0 ? 0 : ret_frame->size << 8) | input[2 + i];
    ret_frame->head += extra;
    return self->size >= ret_frame->head + ret_frame->size;
}

static void take_close(ws_client_t *self, const uint8_t *data, size_t size)
{
    self->close_code = size >= 2 ? data[0] << 8 | data[1] : 1005;
    if (size > 2)
        (void)snprintf(self->close_reason, sizeof self->close_reason, "%.*s", (int)(size - 2),
                       (const char *)data + 2);
    (void)ws_send_frame(self, true, 8, data, size >= 2 ? 2 : 0);
}

/* The next text message, or NULL. */
static const char *next_message(ws_client_t *self, int64_t end_ms)
{
    frame_t frame;
    for (;;) {
        while (!whole_frame(self, &frame))
            if (!receive_more(self, end_ms))
                return NULL;
        const uint8_t *data = self->input + frame.head;
        assert(frame.final);
        if (frame.opcode == 1) {
            free(self->message);
            self->message = strndup((const char *)data, frame.size);
            consume(self, frame.head + frame.size);
            return self->message;
        }
        if (frame.opcode == 9) {
            self->pings++;
            if (!self->ignores_pings)
                (void)ws_send_frame(self, true, 10, data, frame.size);
        } else if (frame.opcode == 8) {
            take_close(self, data, frame.size);
        } else {
            assert(frame.opcode == 10);
        }
        consume(self, frame.head + frame.size);
    }
}

const char *ws_receive(ws_client_t *self, int timeout_ms)
{
    return next_message(self, fw_clock_ms() + timeout_ms);
}

void ws_ignore_pings(ws_client_t *self)
{
    self->ignores_pings = true;
}

unsigned ws_pings(const ws_client_t *self)
{
    return self->pings;
}

int ws_receive_close(ws_client_t *self, int timeout_ms)
{
    int64_t end_ms = fw_clock_ms() + timeout_ms;
    while (next_message(self, end_ms))
        ;
    if (!self->ended)
        return 0;
    return self->close_code ? self->close_code : 1006;
}

const char *ws_close_reason(const ws_client_t *self)
{
    return self->close_reason;
}
