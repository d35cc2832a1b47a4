/* bench_broker.c - events a second and per CPU-second through the broker, on real TCP sockets of
 * this machine. SPDX-License-Identifier: MPL-2.0
 *
 * The reference in the same run is a bare ROUTER that answers every message with as many bytes as
 * an acknowledgement: what the transport alone costs. "purged" events go to a worker that answers
 * at once, so the broker does everything it does in production except wait for Redis. CPU is that
 * of the broker's process alone (its I/O threads included). */
#include <stdio.h>
#include <string.h>

#include "bench/peers.h"
#include "runtime/clock.h"

enum { ROUNDS = 5, FIRE_WINDOW = 2048, ROOMS = 20, ANSWER_SIZE = 64, DEDUPE_MAX = 500000 };

typedef enum { REFERENCE, ACCEPTED, PURGED, FIRE, MODES } bench_mode_t;

static const char *const names[] = {"bare router", "accepted", "purged", "fire and forget"};

typedef struct {
    bench_mode_t mode;
    size_t count;
} task_t;

typedef struct {
    double per_second, per_cpu_second;
} figures_t;

/* Ends when the broker has released the last event: a SUB sees it. */
static void publish_fire(zsock_t *socket, zsock_t *sub, fw_codec_t *codec, bench_event_t *pattern,
                         size_t count)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    for (size_t sent = 0, seen = 0; seen < count;) {
        for (int i = 0; i < 64 && sent < count && sent - seen < FIRE_WINDOW; i++, sent++) {
            bench_must(fw_socket_send(socket, bench_encode(codec, pattern)));
            pattern->number++;
            pattern->room = (pattern->room + 1) % ROOMS;
        }
        while (seen < sent && fw_socket_receive(sub, &frame) == 0)
            seen++;
        if ((sent - seen >= FIRE_WINDOW || sent == count) && seen < count)
            bench_wait(sub, ZMQ_POLLIN);
    }
    zmq_msg_close(&frame);
}

static void wait_until_up(zsock_t *fire)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bench_wait(fire, ZMQ_POLLIN);
    bench_must(fw_socket_receive(fire, &frame));
    zmq_msg_close(&frame);
}

static void publish(const task_t *task, zsock_t *socket, zsock_t *sub, fw_codec_t *codec,
                    bench_event_t *pattern, size_t count)
{
    if (task->mode == FIRE)
        publish_fire(socket, sub, codec, pattern, count);
    else
        bench_publish(socket, codec, pattern, ROOMS, count);
}

static void measure(const void *context, void *result)
{
    const task_t *task = context;
    bench_peer_t server =
        task->mode == REFERENCE ? bench_start_router(ANSWER_SIZE) : bench_start_broker(DEDUPE_MAX);
    bench_peer_t worker;
    if (task->mode != REFERENCE)
        worker = bench_start_instant_worker(server.at.jobs);
    fw_codec_t *codec = fw_codec_new();
    bench_event_t pattern = {.number = 1,
                             .level = task->mode == ACCEPTED ? FW_ACK_ACCEPTED : FW_ACK_PURGED,
                             .purges = task->mode == PURGED};
    zsock_t *sub = NULL, *socket;
    if (task->mode == FIRE) {
        socket = bench_open(FW_SOCKET_XPUB_CONNECT, server.at.fire);
        sub = bench_subscribe_rooms(server.at.events);
        wait_until_up(socket);
    } else {
        socket = bench_open(FW_SOCKET_DEALER_CONNECT, server.at.publish);
        bench_wait(socket, ZMQ_POLLOUT);
    }
    publish(task, socket, sub, codec, &pattern, task->count / 10);
    double cpu = bench_cpu_seconds(server.pid);
    int64_t begin_us = fw_clock_us();
    publish(task, socket, sub, codec, &pattern, task->count);
    double seconds = (double)(fw_clock_us() - begin_us) / 1e6;
    cpu = bench_cpu_seconds(server.pid) - cpu;
    *(figures_t *)result = (figures_t){(double)task->count / seconds, (double)task->count / cpu};
    zsock_destroy(&socket);
    zsock_destroy(&sub);
    fw_codec_destroy(&codec);
    if (task->mode != REFERENCE)
        bench_stop(&worker);
    bench_stop(&server);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 20000 : 200000;
    double wall[MODES][ROUNDS], cpu[MODES][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int mode = REFERENCE; mode < MODES; mode++) {
            figures_t figures;
            task_t task = {(bench_mode_t)mode, count};
            bench_apart(measure, &task, &figures, sizeof figures);
            wall[mode][round] = figures.per_second;
            cpu[mode][round] = figures.per_cpu_second;
        }
    }
    printf("events through the broker, medians of %d rounds of %zu\n", ROUNDS, count);
    printf("%-16s %12s %16s %14s\n", "", "events/s", "per CPU-second", "of bare router");
    double reference = bench_quantile(cpu[REFERENCE], ROUNDS, 0.5);
    for (int mode = REFERENCE; mode < MODES; mode++) {
        double value = bench_quantile(cpu[mode], ROUNDS, 0.5);
        printf("%-16s %12.0f %16.0f %14.2f\n", names[mode], bench_quantile(wall[mode], ROUNDS, 0.5),
               value, value / reference);
    }
    return 0;
}
