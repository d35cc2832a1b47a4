/* bench_broker.c - events a second and per CPU-second through the broker, on real TCP sockets of
 * this machine. SPDX-License-Identifier: MPL-2.0
 *
 * The reference in the same run is a bare ROUTER that answers every message with as many bytes as
 * an acknowledgement: what the transport alone costs. "purged" events go to a worker that answers
 * at once, so the broker does everything it does in production except wait for Redis. CPU is that
 * of the broker's process alone (its I/O threads included). */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "proto/codec.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "runtime/socket.h"

enum { ROUNDS = 5, WINDOW = 512, CHANNELS = 20, WAIT_MS = 10000 };

typedef enum { REFERENCE, ACCEPTED, PURGED, FIRE } bench_mode_t;

static const char *const names[] = {"bare router", "accepted", "purged", "fire and forget"};

typedef struct {
    pid_t pid;
    int life;
    fw_broker_endpoints_t at;
} server_t;

static void fail(const char *what)
{
    fprintf(stderr, "sessions: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(int result)
{
    errno = -result;
    if (result < 0)
        fail("socket");
}

static zsock_t *open_socket(fw_socket_role_t role, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    if (fw_socket_open(&settings, endpoint, &socket) < 0)
        fail("socket");
    return socket;
}

static void run_reference(int report)
{
    fw_broker_endpoints_t at = {0};
    fw_peer_t peer;
    zmq_msg_t frame;
    uint8_t answer[64] = {0};
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    char *endpoint = fw_socket_endpoint(router);
    (void)snprintf(at.publish, sizeof at.publish, "%s", endpoint);
    if (write(report, &at, sizeof at) != (ssize_t)sizeof at)
        _exit(1);
    zmq_msg_init(&frame);
    for (;;) {
        zmq_pollitem_t item = {zsock_resolve(router), 0, ZMQ_POLLIN, 0};
        (void)zmq_poll(&item, 1, 1000);
        while (fw_socket_receive_from(router, &peer, &frame) == 0)
            must(fw_socket_send_to(router, &peer, (fw_bytes_t){answer, sizeof answer}));
    }
}

static void run_broker(int report, int life)
{
    char byte;
    fw_broker_t *broker = NULL;
    fw_broker_endpoints_t at;
    fw_broker_config_t config = fw_broker_defaults();
    config.fire_endpoints = config.publish_endpoints = config.jobs_endpoints =
        config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    if (fw_broker_start(&config, fw_metrics_new(), fw_health_new(), &broker) < 0)
        _exit(1);
    fw_broker_endpoints(broker, &at);
    if (write(report, &at, sizeof at) != (ssize_t)sizeof at)
        _exit(1);
    /* Ends when the parent closes its end. */
    _exit(read(life, &byte, 1) == 0 ? 0 : 1);
}

static server_t start(bench_mode_t mode)
{
    server_t server;
    int report[2], life[2];
    if (pipe(report) != 0 || pipe(life) != 0)
        fail("pipe");
    server.pid = fork();
    if (server.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(life[1]);
        fw_signals_block();
        fw_log_setup(FW_LOG_WARN, FW_LOG_TEXT);
        if (mode == REFERENCE)
            run_reference(report[1]);
        run_broker(report[1], life[0]);
    }
    close(report[1]);
    close(life[0]);
    server.life = life[1];
    if (read(report[0], &server.at, sizeof server.at) != (ssize_t)sizeof server.at)
        fail("the broker did not start");
    close(report[0]);
    return server;
}

static void stop(server_t *server)
{
    close(server->life);
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
}

static double cpu_seconds(pid_t pid)
{
    char command[64], line[128];
    double total = 0;
    (void)snprintf(command, sizeof command, "cat /proc/%d/task/*/schedstat", (int)pid);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe))
        total += strtod(line, NULL);
    if (pipe)
        (void)pclose(pipe);
    return total / 1e9;
}

/* --- the worker that answers at once: a process of its own */

static pid_t start_worker(const char *endpoint)
{
    static const uint8_t incarnation[FW_INCARNATION_SIZE] = {2};
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    fw_codec_t *in = fw_codec_new(), *out = fw_codec_new();
    zsock_t *socket = open_socket(FW_SOCKET_DEALER_CONNECT, endpoint);
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLOUT, 0};
    fw_message_t hello = {
        .kind = FW_MESSAGE_HELLO,
        .hello = {FW_PROTOCOL_VERSION, FW_TEXT("bench"), {incarnation, sizeof incarnation}, 10000}};
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    (void)zmq_poll(&item, 1, WAIT_MS);
    must(fw_socket_send(socket, fw_codec_encode(out, FW_LINK_WORKER_UP, &hello)));
    item.events = ZMQ_POLLIN;
    for (uint64_t time = 1;; time++) {
        fw_message_t message;
        fw_refusal_t refusal;
        if (fw_socket_receive(socket, &frame) < 0) {
            fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = time};
            if (zmq_poll(&item, 1, 500) == 0)
                must(fw_socket_send(socket, fw_codec_encode(out, FW_LINK_WORKER_UP, &ping)));
            continue;
        }
        if (fw_codec_decode(in, FW_LINK_WORKER_DOWN, fw_socket_bytes(&frame), &message, &refusal) ||
            message.kind != FW_MESSAGE_JOB)
            continue;
        fw_message_t done = {.kind = FW_MESSAGE_JOB_DONE,
                             .done = {.job_id = message.job.job_id, .redis_time = time}};
        must(fw_socket_send(socket, fw_codec_encode(out, FW_LINK_WORKER_UP, &done)));
    }
}

/* --- the publisher */

static fw_bytes_t encode_event(fw_codec_t *codec, bench_mode_t mode, uint64_t number)
{
    static const char data[] = "{\"id\":\"42\",\"name\":\"A project with a name\",\"version\":17}";
    char id[32], channel[16];
    fw_text_t tags[] = {FW_TEXT("projects"), FW_TEXT("project:42")};
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)number);
    (void)snprintf(channel, sizeof channel, "room:%d", (int)(number % CHANNELS));
    fw_text_t audience[] = {fw_text(channel)};
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = number;
    message.publish.level = mode == ACCEPTED ? FW_ACK_ACCEPTED : FW_ACK_PURGED;
    message.publish.event = (fw_event_t){.id = fw_text(id),
                                         .type = FW_TEXT("project_updated"),
                                         .data = {.kind = FW_PAYLOAD_JSON,
                                                  .bytes = {(const uint8_t *)data, sizeof data - 1},
                                                  .type = FW_TEXT_NONE},
                                         .audience = audience,
                                         .audience_count = 1,
                                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                         .origin = FW_TEXT("tab-7"),
                                         .user_id = FW_TEXT("9"),
                                         .traceparent = FW_TEXT_NONE};
    if (mode == PURGED)
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 2};
    return fw_codec_encode(codec, FW_LINK_PUBLISHER_UP, &message);
}

static void wait_until(zsock_t *socket, short events)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, events, 0};
    if (zmq_poll(&item, 1, WAIT_MS) != 1)
        fail("the broker is silent");
}

static void publish_acknowledged(zsock_t *socket, fw_codec_t *codec, bench_mode_t mode,
                                 uint64_t *number, size_t count)
{
    zmq_msg_t frame;
    size_t sent = 0, answered = 0;
    zmq_msg_init(&frame);
    while (answered < count) {
        while (sent < count && sent - answered < WINDOW &&
               fw_socket_send(socket, encode_event(codec, mode, *number + 1)) == 0) {
            ++*number;
            sent++;
        }
        wait_until(socket, ZMQ_POLLIN);
        while (answered < sent && fw_socket_receive(socket, &frame) == 0)
            answered++;
    }
    zmq_msg_close(&frame);
}

/* Fire and forget ends when the broker has released the last event: a SUB sees it. */
static void publish_fire(zsock_t *socket, zsock_t *sub, fw_codec_t *codec, uint64_t *number,
                         size_t count)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    for (size_t sent = 0, seen = 0; seen < count;) {
        for (int i = 0; i < 64 && sent < count && sent - seen < 4 * WINDOW; i++, sent++)
            must(fw_socket_send(socket, encode_event(codec, FIRE, ++*number)));
        while (seen < sent && fw_socket_receive(sub, &frame) == 0)
            seen++;
        if (sent - seen >= 4 * WINDOW || sent == count)
            if (seen < count)
                wait_until(sub, ZMQ_POLLIN);
    }
    zmq_msg_close(&frame);
}

typedef struct {
    double per_second, per_cpu_second;
} figures_t;

static figures_t measure(bench_mode_t mode, size_t count)
{
    server_t server = start(mode);
    fw_codec_t *codec = fw_codec_new();
    uint64_t number = 0;
    pid_t worker = mode == PURGED ? start_worker(server.at.jobs) : 0;
    zsock_t *socket = mode == FIRE ? open_socket(FW_SOCKET_XPUB_CONNECT, server.at.fire)
                                   : open_socket(FW_SOCKET_DEALER_CONNECT, server.at.publish);
    zsock_t *sub = NULL;
    if (mode == FIRE) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        sub = open_socket(FW_SOCKET_SUB_CONNECT, server.at.events);
        zsock_set_subscribe(sub, "r");
        zsock_set_subscribe(sub, "~f");
        wait_until(sub, ZMQ_POLLIN);
        must(fw_socket_receive(sub, &frame));
        wait_until(socket, ZMQ_POLLIN);
        must(fw_socket_receive(socket, &frame));
        zmq_msg_close(&frame);
        publish_fire(socket, sub, codec, &number, count / 10);
    } else {
        wait_until(socket, ZMQ_POLLOUT);
        publish_acknowledged(socket, codec, mode, &number, count / 10);
    }
    double cpu = cpu_seconds(server.pid);
    int64_t begin = fw_clock_us();
    if (mode == FIRE)
        publish_fire(socket, sub, codec, &number, count);
    else
        publish_acknowledged(socket, codec, mode, &number, count);
    double seconds = (double)(fw_clock_us() - begin) / 1e6;
    cpu = cpu_seconds(server.pid) - cpu;
    if (worker > 0) {
        (void)kill(worker, SIGKILL);
        (void)waitpid(worker, NULL, 0);
    }
    zsock_destroy(&socket);
    zsock_destroy(&sub);
    fw_codec_destroy(&codec);
    stop(&server);
    return (figures_t){(double)count / seconds, (double)count / cpu};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 20000 : 200000;
    double wall[4][ROUNDS], cpu[4][ROUNDS];
    /* The servers fork before ZeroMQ has a context: each round is a process of its own. */
    for (int round = 0; round < ROUNDS; round++) {
        for (int mode = REFERENCE; mode <= FIRE; mode++) {
            int out[2];
            figures_t figures;
            if (pipe(out) != 0)
                fail("pipe");
            pid_t pid = fork();
            if (pid == 0) {
                figures = measure((bench_mode_t)mode, count);
                _exit(write(out[1], &figures, sizeof figures) == (ssize_t)sizeof figures ? 0 : 1);
            }
            close(out[1]);
            if (read(out[0], &figures, sizeof figures) != (ssize_t)sizeof figures)
                fail("a round failed");
            close(out[0]);
            (void)waitpid(pid, NULL, 0);
            wall[mode][round] = figures.per_second;
            cpu[mode][round] = figures.per_cpu_second;
        }
    }
    printf("events through the broker, medians of %d rounds of %zu\n", ROUNDS, count);
    printf("%-16s %12s %16s %14s\n", "", "events/s", "per CPU-second", "of bare router");
    double reference = 0;
    for (int mode = REFERENCE; mode <= FIRE; mode++) {
        qsort(wall[mode], ROUNDS, sizeof(double), compare);
        qsort(cpu[mode], ROUNDS, sizeof(double), compare);
        double value = cpu[mode][ROUNDS / 2];
        if (mode == REFERENCE)
            reference = value;
        printf("%-16s %12.0f %16.0f %14.2f\n", names[mode], wall[mode][ROUNDS / 2], value,
               value / reference);
    }
    return 0;
}
