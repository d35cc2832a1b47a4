/* servers.c - see servers.h.   SPDX-License-Identifier: MPL-2.0
 * The bare server reads bursts from a pipe, frames each payload as the gateway does, and sends each
 * of its sessions what it gets in one send: the least that any server of this kind must do. */
#include "bench/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "gateway/gateway.h"
#include "proto/codec.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "runtime/socket.h"

enum { SESSIONS_MAX = 16000, BURST_SIZE_MAX = 256 * 1024, HEADER_SIZE = 4 };

/* What the parent writes for one burst to the bare server, followed by size bytes of frames. */
typedef struct {
    long target;
    size_t size;
} burst_t;

struct bench_server {
    bench_kind_t kind;
    pid_t pid;
    int port;
    int bursts;         /* bare: the pipe's writing end */
    zsock_t *publisher; /* freshwire: the fire-and-forget link */
    fw_codec_t *codec;
    char fire[128];
    const char *const *rules;
    size_t rules_count;
};

static void fail(const char *what)
{
    fprintf(stderr, "sessions: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- the bare loop */

typedef struct {
    int listener, bursts, epoll;
    int sessions[SESSIONS_MAX];
    size_t count;
    char buffer[BURST_SIZE_MAX];
} bare_t;

static int listen_anywhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("listen");
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void read_fully(int fd, void *to, size_t size)
{
    for (char *at = to; size > 0;) {
        ssize_t got = read(fd, at, size);
        if (got <= 0)
            _exit(0);
        at += got;
        size -= (size_t)got;
    }
}

static void send_fully(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* All that have connected; a client counts as connected before it is accepted. */
static void bare_accept(bare_t *self)
{
    int one = 1;
    int fd;
    while (self->count < SESSIONS_MAX &&
           (fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        self->sessions[self->count++] = fd;
    }
}

static void bare_burst(bare_t *self)
{
    burst_t burst;
    read_fully(self->bursts, &burst, sizeof burst);
    read_fully(self->bursts, self->buffer, burst.size);
    bare_accept(self);
    if (burst.target >= 0) {
        send_fully(self->sessions[burst.target], self->buffer, burst.size);
        return;
    }
    for (size_t i = 0; i < self->count; i++)
        send_fully(self->sessions[i], self->buffer, burst.size);
}

static void watch(const bare_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void run_bare(int listener, int bursts)
{
    static bare_t self;
    self = (bare_t){.listener = listener, .bursts = bursts, .epoll = epoll_create1(0)};
    watch(&self, listener);
    watch(&self, bursts);
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(self.epoll, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == listener)
            bare_accept(&self);
        else
            bare_burst(&self);
    }
}

/* --- freshwire */

static void run_freshwire(const bench_server_t *self, int report, int life)
{
    char byte;
    fw_broker_config_t broker_config = fw_broker_defaults();
    fw_gateway_config_t gateway_config = fw_gateway_defaults();
    fw_broker_t *broker = NULL;
    fw_gateway_t *gateway = NULL;
    fw_broker_endpoints_t at;
    fw_signals_block();
    fw_log_setup(FW_LOG_WARN, FW_LOG_TEXT);
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    broker_config.fire_endpoints = "tcp://127.0.0.1:*";
    broker_config.publish_endpoints = "inproc://bench-publish";
    broker_config.jobs_endpoints = "inproc://bench-jobs";
    broker_config.events_endpoints = "inproc://bench-events";
    broker_config.control_endpoints = "inproc://bench-control";
    gateway_config.listen = "127.0.0.1:0";
    gateway_config.events_endpoint = "inproc://bench-events";
    gateway_config.control_endpoint = "inproc://bench-control";
    gateway_config.publish_endpoint = "inproc://bench-publish";
    gateway_config.tokens.secret = BENCH_SECRET;
    gateway_config.sessions_max = SESSIONS_MAX;
    gateway_config.sessions_per_user_max = SESSIONS_MAX; /* all are of one user */
    gateway_config.accepts_per_second = 0;
    gateway_config.channels = self->rules;
    gateway_config.channels_count = self->rules_count;
    gateway_config.drain_delay_ms = 0;
    gateway_config.drain_window_ms = 0;
    if (fw_broker_start(&broker_config, metrics, health, &broker) < 0 ||
        fw_gateway_start(&gateway_config, metrics, health, &gateway) < 0)
        _exit(1);
    fw_broker_endpoints(broker, &at);
    int port = fw_gateway_port(gateway);
    if (write(report, &port, sizeof port) != sizeof port ||
        write(report, at.fire, sizeof at.fire) != sizeof at.fire)
        _exit(1);
    /* Ends when the parent closes its end. */
    _exit(read(life, &byte, 1) == 0 ? 0 : 1);
}

/* --- the parent's side */

static void start_bare(bench_server_t *self)
{
    int bursts[2];
    int listener = listen_anywhere(&self->port);
    if (pipe(bursts) != 0)
        fail("pipe");
    self->pid = fork();
    if (self->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(bursts[1]);
        run_bare(listener, bursts[0]);
    }
    close(bursts[0]);
    close(listener);
    self->bursts = bursts[1];
}

static void start_freshwire(bench_server_t *self)
{
    int report[2], life[2];
    if (pipe(report) != 0 || pipe(life) != 0)
        fail("pipe");
    self->pid = fork();
    if (self->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(report[0]);
        close(life[1]);
        run_freshwire(self, report[1], life[0]);
    }
    close(report[1]);
    close(life[0]);
    self->bursts = life[1];
    if (read(report[0], &self->port, sizeof self->port) != sizeof self->port ||
        read(report[0], self->fire, sizeof self->fire) != (ssize_t)sizeof self->fire)
        fail("the server did not start");
    close(report[0]);
}

bench_server_t *bench_server_start(bench_kind_t kind)
{
    bench_server_t *self = calloc(1, sizeof *self);
    if (!self)
        fail("memory");
    self->kind = kind;
    if (kind == BENCH_BARE)
        start_bare(self);
    else
        start_freshwire(self);
    return self;
}

bench_server_t *bench_server_start_ruled(const char *const *rules, size_t count)
{
    bench_server_t *self = calloc(1, sizeof *self);
    if (!self)
        fail("memory");
    self->kind = BENCH_FRESHWIRE;
    self->rules = rules;
    self->rules_count = count;
    start_freshwire(self);
    return self;
}

int bench_server_port(const bench_server_t *self)
{
    return self->port;
}

/* As long as an event of the gateway is on the wire, so that both send the same number of bytes. */
static size_t frame_payload(char *to, const char *channel, const char *payload)
{
    char text[4096];
    int size =
        snprintf(text, sizeof text,
                 "{\"type\":\"bench\",\"data\":%s,\"channel\":\"%s\",\"offset\":\"1000\","
                 "\"epoch\":\"abcdefghijkl\",\"id\":\"0123456789abcdef0123456789abcdef\","
                 "\"ts\":1732270000123,\"fresh\":\"0\",\"unconfirmed\":false,\"spread_ms\":0}",
                 payload, channel);
    to[0] = (char)0x81;
    to[1] = 126;
    to[2] = (char)(size >> 8);
    to[3] = (char)size;
    memcpy(to + HEADER_SIZE, text, (size_t)size);
    return HEADER_SIZE + (size_t)size;
}

static void publish_bare(bench_server_t *self, const char *channel, long target,
                         const char *const *payloads, size_t count)
{
    static char message[sizeof(burst_t) + BURST_SIZE_MAX];
    burst_t burst = {.target = target};
    for (size_t i = 0; i < count; i++)
        burst.size += frame_payload(message + sizeof burst + burst.size, channel, payloads[i]);
    memcpy(message, &burst, sizeof burst);
    for (size_t at = 0; at < sizeof burst + burst.size;) {
        ssize_t sent = write(self->bursts, message + at, sizeof burst + burst.size - at);
        if (sent < 0)
            fail("burst");
        at += (size_t)sent;
    }
}

static void connect_publisher(bench_server_t *self)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_CONNECT);
    zmq_msg_t up;
    if (fw_socket_open(&settings, self->fire, &self->publisher) < 0)
        fail("publisher");
    zmq_msg_init(&up);
    zmq_pollitem_t item = {zsock_resolve(self->publisher), 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, 10000) != 1 || fw_socket_receive(self->publisher, &up) < 0)
        fail("publisher");
    zmq_msg_close(&up);
    self->codec = fw_codec_new();
}

static void publish_freshwire(bench_server_t *self, const char *channel,
                              const char *const *payloads, size_t count)
{
    if (!self->publisher)
        connect_publisher(self);
    for (size_t i = 0; i < count; i++) {
        fw_text_t audience[] = {fw_text(channel)};
        fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
        message.publish.event =
            (fw_event_t){.id = FW_TEXT_NONE,
                         .type = FW_TEXT("bench"),
                         .data = {.kind = FW_PAYLOAD_JSON,
                                  .bytes = {(const uint8_t *)payloads[i], strlen(payloads[i])},
                                  .type = FW_TEXT_NONE},
                         .audience = audience,
                         .audience_count = 1,
                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                         .origin = FW_TEXT_NONE,
                         .user_id = FW_TEXT_NONE,
                         .traceparent = FW_TEXT_NONE};
        if (fw_socket_send(self->publisher,
                           fw_codec_encode(self->codec, FW_LINK_PUBLISHER_UP, &message)) < 0)
            fail("publish");
    }
}

void bench_server_publish(bench_server_t *self, const char *channel, long target,
                          const char *const *payloads, size_t count)
{
    if (self->kind == BENCH_BARE)
        publish_bare(self, channel, target, payloads, count);
    else
        publish_freshwire(self, channel, payloads, count);
}

long long bench_server_cpu_us(const bench_server_t *self)
{
    /* schedstat: nanoseconds on a CPU, per thread; exact where /proc/pid/stat counts ticks. */
    char command[64], line[128];
    long long total = 0;
    (void)snprintf(command, sizeof command, "cat /proc/%d/task/*/schedstat", (int)self->pid);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe))
        total += strtoll(line, NULL, 10);
    if (pipe)
        (void)pclose(pipe);
    return total / 1000;
}

long long bench_server_rss(const bench_server_t *self)
{
    char path[64];
    long long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)self->pid);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    if (file)
        (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

void bench_server_stop(bench_server_t **self_p)
{
    bench_server_t *self = *self_p;
    if (self->publisher) {
        zsock_destroy(&self->publisher);
        fw_codec_destroy(&self->codec);
    }
    close(self->bursts);
    (void)kill(self->pid, SIGKILL);
    (void)waitpid(self->pid, NULL, 0);
    free(self);
    *self_p = NULL;
}
