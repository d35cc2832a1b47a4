/* bench_memory.c - what a channel costs in the broker and in a gateway.   SPDX-License-Identifier:
 * MPL-2.0
 *
 * Broker: resident memory of its process, after each kind of use, divided by the channels; ids of
 * events are not remembered here (they cost by event, not by channel). Gateway: bytes that a hub
 * has allocated, one subscription a channel. The event is bench_encode's; its own bytes are shown,
 * so that what is added to them can be seen. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "bench/hubs.h"
#include "bench/peers.h"

enum { BATCH = 512, NAME_SIZE = 32, RING = 1024, FULL_CHANNELS = 200 };

typedef struct {
    size_t channels;
} task_t;

typedef struct {
    double asked, one_event, full_ring;
} figures_t;

static void ask_positions(const bench_peer_t *broker, size_t channels)
{
    static char texts[BATCH][NAME_SIZE];
    fw_text_t names[BATCH];
    zmq_msg_t frame;
    fw_codec_t *codec = fw_codec_new();
    zsock_t *socket = bench_open(FW_SOCKET_DEALER_CONNECT, broker->at.control);
    bench_wait(socket, ZMQ_POLLOUT);
    zmq_msg_init(&frame);
    for (size_t first = 0; first < channels; first += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            (void)snprintf(texts[i], NAME_SIZE, "user:%zu", first + i);
            names[i] = fw_text(texts[i]);
        }
        fw_message_t message = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                                .positions_request = {first + 1, names, BATCH}};
        bench_must(fw_socket_send(socket, fw_codec_encode(codec, FW_LINK_GATEWAY_UP, &message)));
        bench_wait(socket, ZMQ_POLLIN);
        bench_must(fw_socket_receive(socket, &frame));
    }
    zmq_msg_close(&frame);
    zsock_destroy(&socket);
    fw_codec_destroy(&codec);
}

static void publish(const bench_peer_t *broker, size_t channels, size_t count)
{
    bench_event_t pattern = {.number = 1};
    fw_codec_t *codec = fw_codec_new();
    zsock_t *socket = bench_open(FW_SOCKET_DEALER_CONNECT, broker->at.publish);
    bench_wait(socket, ZMQ_POLLOUT);
    bench_publish(socket, codec, &pattern, channels, count);
    zsock_destroy(&socket);
    fw_codec_destroy(&codec);
}

static void measure_broker(const void *context, void *result)
{
    const task_t *task = context;
    figures_t *figures = result;
    bench_peer_t broker = bench_start_broker(1);
    bench_peer_t worker = bench_start_instant_worker(broker.at.jobs);
    ask_positions(&broker, BATCH);
    publish(&broker, 1, 10000); /* buffers of sockets and codecs have grown */
    double before = bench_resident_bytes(broker.pid);
    ask_positions(&broker, task->channels);
    double asked = bench_resident_bytes(broker.pid);
    publish(&broker, task->channels, task->channels);
    double used = bench_resident_bytes(broker.pid);
    figures->asked = (asked - before) / (double)task->channels;
    figures->one_event = (used - asked) / (double)task->channels;
    bench_stop(&worker);
    bench_stop(&broker);
}

static void measure_full(const void *context, void *result)
{
    (void)context;
    bench_peer_t broker = bench_start_broker(1);
    bench_peer_t worker = bench_start_instant_worker(broker.at.jobs);
    publish(&broker, 1, 10000);
    double before = bench_resident_bytes(broker.pid);
    publish(&broker, FULL_CHANNELS, (size_t)FULL_CHANNELS * RING);
    *(double *)result = (bench_resident_bytes(broker.pid) - before) / FULL_CHANNELS;
    bench_stop(&worker);
    bench_stop(&broker);
}

static double allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

static void measure_gateway(const void *context, void *result)
{
    const task_t *task = context;
    figures_t *figures = result;
    double before = allocated();
    bench_hub_t *hub = bench_hub_new(task->channels);
    double idle = allocated();
    for (size_t i = 0; i < task->channels; i++)
        bench_hub_take_event(hub, bench_hub_event_frame(hub, i, 1));
    figures->asked = (idle - before) / (double)task->channels;
    figures->one_event = (allocated() - before) / (double)task->channels;
    bench_hub_destroy(&hub);
    hub = bench_hub_new(FULL_CHANNELS);
    before = allocated();
    for (size_t i = 0; i < FULL_CHANNELS; i++)
        for (uint64_t offset = 1; offset <= RING; offset++)
            bench_hub_take_event(hub, bench_hub_event_frame(hub, i, offset));
    figures->full_ring = (allocated() - before) / FULL_CHANNELS;
    bench_hub_destroy(&hub);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    task_t task = {.channels = quick ? 40 * BATCH : 200 * BATCH};
    figures_t broker = {0}, gateway = {0};
    bench_event_t event = {.number = 1};
    fw_codec_t *codec = fw_codec_new();
    size_t event_size = bench_encode(codec, &event).size;
    fw_codec_destroy(&codec);
    bench_apart(measure_broker, &task, &broker, sizeof broker);
    bench_apart(measure_full, &task, &broker.full_ring, sizeof broker.full_ring);
    bench_apart(measure_gateway, &task, &gateway, sizeof gateway);
    printf("bytes per channel, of %zu channels (full history: of %d, %d events each)\n",
           task.channels, FULL_CHANNELS, RING);
    printf("an event is %zu bytes as published\n", event_size);
    printf("%-10s %30s %14s %18s\n", "", "asked for or subscribed, idle", "with one event",
           "per event of many");
    printf("%-10s %30.0f %14.0f %18.0f\n", "broker", broker.asked, broker.one_event,
           broker.full_ring / RING);
    printf("%-10s %30.0f %14.0f %18.0f\n", "gateway", gateway.asked, gateway.one_event,
           gateway.full_ring / RING);
    return 0;
}
