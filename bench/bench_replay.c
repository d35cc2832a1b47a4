/* bench_replay.c - how fast a gateway catches up.   SPDX-License-Identifier: MPL-2.0
 *
 * Broker: a gateway (this program) asks where channels stand, 512 a question, and then for the
 * history of every channel, several questions under way; over TCP on this machine. The reference in
 * the same run is a bare ROUTER that answers each question with as many bytes. Gateway: the replies
 * are decoded, framed and put into the rings of a hub, without a socket: events per CPU-second of
 * one core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/hubs.h"
#include "bench/peers.h"
#include "runtime/clock.h"

enum {
    ROUNDS = 5,
    EVENTS = 100, /* of each channel */
    ASKED = 32,   /* questions under way */
    BATCH = 512,
    UNUSED = 100 * BATCH, /* channels that nobody ever used */
    NAME_SIZE = 32,
};

typedef struct {
    size_t channels;
    bool reference;
    size_t answer_size;
} task_t;

typedef struct {
    double positions, events, events_per_cpu, channels, answer_size;
} figures_t;

typedef struct {
    zsock_t *socket;
    fw_codec_t *out, *in;
    fw_position_t *positions;
    uint64_t requests;
} gateway_t;

static void ask(gateway_t *self, const fw_message_t *message)
{
    bench_must(
        fw_socket_send(self->socket, fw_codec_encode(self->out, FW_LINK_GATEWAY_UP, message)));
}

static void ask_positions(gateway_t *self, size_t first)
{
    static char texts[BATCH][NAME_SIZE];
    fw_text_t names[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        (void)snprintf(texts[i], NAME_SIZE, "room:%zu", first + i);
        names[i] = fw_text(texts[i]);
    }
    ask(self, &(fw_message_t){.kind = FW_MESSAGE_POSITIONS_REQUEST,
                              .positions_request = {++self->requests, names, BATCH}});
}

static void ask_replay(gateway_t *self, size_t channel)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "room:%zu", channel);
    ask(self, &(fw_message_t){.kind = FW_MESSAGE_REPLAY_REQUEST,
                              .replay_request = {.request_id = ++self->requests,
                                                 .channel = fw_text(name),
                                                 .since = {self->positions[channel].epoch, 0},
                                                 .limit = FW_REPLAY_EVENTS_MAX}});
}

/* The next answer; the reference's is only counted. */
static size_t take(gateway_t *self, bool reference, fw_message_t *ret_message)
{
    static zmq_msg_t frame;
    fw_refusal_t refusal;
    for (;;) {
        zmq_msg_init(&frame);
        while (fw_socket_receive(self->socket, &frame) < 0)
            bench_wait(self->socket, ZMQ_POLLIN);
        fw_bytes_t bytes = fw_socket_bytes(&frame);
        if (reference)
            return bytes.size;
        if (fw_codec_decode(self->in, FW_LINK_GATEWAY_DOWN, bytes, ret_message, &refusal) < 0)
            bench_fail("an answer is malformed");
        if (ret_message->kind == FW_MESSAGE_POSITIONS_REPLY ||
            ret_message->kind == FW_MESSAGE_REPLAY_REPLY)
            return bytes.size;
    }
}

static double measure_positions(gateway_t *self, size_t known, size_t count)
{
    int64_t begin_us = fw_clock_us();
    size_t answered = 0;
    for (size_t asked = 0; answered < count; answered += BATCH) {
        fw_message_t message;
        for (; asked < count && asked - answered < (size_t)ASKED * BATCH; asked += BATCH)
            ask_positions(self, asked);
        (void)take(self, false, &message);
        for (size_t i = 0; i < BATCH; i++) {
            const fw_channel_position_t *at = &message.positions_reply.positions[i];
            size_t channel = strtoull(at->channel.text + 5, NULL, 10);
            if (channel < known)
                self->positions[channel] = at->position;
        }
    }
    return (double)answered / ((double)(fw_clock_us() - begin_us) / 1e6);
}

static void measure_replay(gateway_t *self, const task_t *task, pid_t server, figures_t *ret)
{
    double cpu = bench_cpu_seconds(server);
    int64_t begin_us = fw_clock_us();
    size_t events = 0, answered = 0;
    for (size_t asked = 0; answered < task->channels; answered++) {
        fw_message_t message;
        for (; asked < task->channels && asked - answered < ASKED; asked++)
            ask_replay(self, asked);
        ret->answer_size = (double)take(self, task->reference, &message);
        events += task->reference ? EVENTS : message.replay_reply.deliveries_count;
    }
    if (events != task->channels * EVENTS)
        bench_fail("events are missing");
    double seconds = (double)(fw_clock_us() - begin_us) / 1e6;
    ret->events = (double)events / seconds;
    ret->channels = (double)answered / seconds;
    ret->events_per_cpu = (double)events / (bench_cpu_seconds(server) - cpu);
}

static void fill(const bench_peer_t *broker, size_t channels)
{
    fw_codec_t *codec = fw_codec_new();
    zsock_t *dealer = bench_open(FW_SOCKET_DEALER_CONNECT, broker->at.publish);
    bench_event_t pattern = {.number = 1};
    bench_wait(dealer, ZMQ_POLLOUT);
    bench_publish(dealer, codec, &pattern, channels, channels * EVENTS);
    zsock_destroy(&dealer);
    fw_codec_destroy(&codec);
}

static void measure(const void *context, void *result)
{
    const task_t *task = context;
    figures_t *figures = result;
    *figures = (figures_t){0};
    bench_peer_t server =
        task->reference ? bench_start_router(task->answer_size) : bench_start_broker(1);
    bench_peer_t worker;
    if (!task->reference) {
        worker = bench_start_instant_worker(server.at.jobs);
        fill(&server, task->channels);
    }
    gateway_t gateway = {.socket =
                             bench_open(FW_SOCKET_DEALER_CONNECT,
                                        task->reference ? server.at.publish : server.at.control),
                         .out = fw_codec_new(),
                         .in = fw_codec_new(),
                         .positions = calloc(task->channels, sizeof(fw_position_t))};
    bench_wait(gateway.socket, ZMQ_POLLOUT);
    if (!task->reference) {
        (void)measure_positions(&gateway, task->channels, UNUSED);
        figures->positions = measure_positions(&gateway, task->channels, UNUSED);
    }
    measure_replay(&gateway, task, server.pid, figures);
    free(gateway.positions);
    if (!task->reference)
        bench_stop(&worker);
    bench_stop(&server);
}

/* The gateway's own part. */
static void measure_hub(const void *context, void *result)
{
    const task_t *task = context;
    figures_t *figures = result;
    bench_hub_t *hub = bench_hub_new(task->channels);
    int64_t spent_us = 0;
    bench_hub_fall_behind(hub, EVENTS);
    for (size_t i = 0; i < task->channels; i++) {
        fw_bytes_t frame = bench_hub_replay_frame(hub, i, EVENTS);
        int64_t begin_us = fw_clock_us();
        bench_hub_take_replay(hub, frame);
        spent_us += fw_clock_us() - begin_us;
        if (bench_hub_head(hub, i) != EVENTS)
            bench_fail("the hub did not catch up");
    }
    figures->events = (double)(task->channels * EVENTS) / ((double)spent_us / 1e6);
    figures->channels = figures->events / EVENTS;
    bench_hub_destroy(&hub);
}

int main(int argc, char **argv)
{
    double events[3][ROUNDS], channels[3][ROUNDS], cpu[3][ROUNDS], positions[ROUNDS];
    task_t task = {.channels = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 300 : 3000};
    for (int round = 0; round < ROUNDS; round++) {
        figures_t figures;
        for (int kind = 0; kind < 3; kind++) {
            task.reference = kind == 1;
            bench_apart(kind == 2 ? measure_hub : measure, &task, &figures, sizeof figures);
            if (kind == 0) {
                task.answer_size = (size_t)figures.answer_size;
                positions[round] = figures.positions;
            }
            events[kind][round] = figures.events;
            channels[kind][round] = figures.channels;
            cpu[kind][round] = figures.events_per_cpu;
        }
    }
    printf("catching up: %zu channels of %d events, %zu bytes an answer, medians of %d rounds\n",
           task.channels, EVENTS, task.answer_size, ROUNDS);
    printf("%-32s %12s %12s %16s\n", "", "events/s", "channels/s", "per CPU-second");
    printf("%-32s %12.0f %12.0f %16.0f\n", "bare router, as many bytes",
           bench_quantile(events[1], ROUNDS, 0.5), bench_quantile(channels[1], ROUNDS, 0.5),
           bench_quantile(cpu[1], ROUNDS, 0.5));
    printf("%-32s %12.0f %12.0f %16.0f\n", "broker", bench_quantile(events[0], ROUNDS, 0.5),
           bench_quantile(channels[0], ROUNDS, 0.5), bench_quantile(cpu[0], ROUNDS, 0.5));
    printf("%-32s %12s %12.0f\n", "broker, positions", "", bench_quantile(positions, ROUNDS, 0.5));
    printf("%-32s %12.0f %12.0f %16.0f\n", "gateway, into its rings",
           bench_quantile(events[2], ROUNDS, 0.5), bench_quantile(channels[2], ROUNDS, 0.5),
           bench_quantile(events[2], ROUNDS, 0.5));
    return 0;
}
