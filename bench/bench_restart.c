/* bench_restart.c - very many channels on one gateway shard, and a broker that is killed.
 * SPDX-License-Identifier: MPL-2.0
 *
 * Every channel is subscribed behind a fence, and its position asked for; then the broker is killed
 * and another one takes its ports: how long until every channel has its new epoch. The broker is a
 * process of its own, the shard's hub and links are here. Memory is what each of the two gained. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "tests/support/many_channels.h"

enum { ROUNDS = 3, PATIENCE_MS = 120000 };

typedef struct {
    size_t channels;
} task_t;

typedef struct {
    double first_ms, again_ms, shard_bytes, broker_bytes, topics;
} figures_t;

static void measure(const void *context, void *result)
{
    const task_t *task = context;
    figures_t *figures = result;
    bench_peer_t broker = bench_start_broker(1);
    bench_peer_t worker = bench_start_instant_worker(broker.at.jobs);
    double shard_before = bench_resident_bytes(getpid());
    double broker_before = bench_resident_bytes(broker.pid);
    many_channels_options_t options = {.channels = task->channels,
                                       .events_endpoint = broker.at.events,
                                       .control_endpoint = broker.at.control,
                                       .publish_endpoint = broker.at.publish,
                                       .metrics = fw_metrics_new()};
    many_channels_t *shard = many_channels_new(&options);
    if (!shard)
        bench_fail("a shard");
    figures->first_ms = (double)many_channels_await(shard, PATIENCE_MS);
    figures->shard_bytes = bench_resident_bytes(getpid()) - shard_before;
    figures->broker_bytes = bench_resident_bytes(broker.pid) - broker_before;
    figures->topics = (double)many_channels_topics(shard);
    many_channels_renew(shard);
    bench_stop(&worker);
    bench_restart_broker(&broker);
    figures->again_ms = (double)many_channels_await(shard, PATIENCE_MS);
    if (figures->first_ms < 0 || figures->again_ms < 0)
        bench_fail("some channels are not live");
    bench_stop(&broker);
}

static void show(size_t channels)
{
    double first[ROUNDS], again[ROUNDS], shard[ROUNDS], broker[ROUNDS], topics = 0;
    task_t task = {channels};
    for (int round = 0; round < ROUNDS; round++) {
        figures_t figures;
        bench_apart(measure, &task, &figures, sizeof figures);
        first[round] = figures.first_ms;
        again[round] = figures.again_ms;
        shard[round] = figures.shard_bytes;
        broker[round] = figures.broker_bytes;
        topics = figures.topics;
    }
    printf("%10zu %8.0f %12.0f %18.0f %14.1f %14.1f\n", channels, topics,
           bench_quantile(first, ROUNDS, 0.5), bench_quantile(again, ROUNDS, 0.5),
           bench_quantile(shard, ROUNDS, 0.5) / 1048576,
           bench_quantile(broker, ROUNDS, 0.5) / 1048576);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    fw_log_setup(FW_LOG_ERROR, FW_LOG_TEXT);
    printf("channels of one shard: milliseconds until all are live, medians of %d rounds\n",
           ROUNDS);
    printf("%10s %8s %12s %18s %14s %14s\n", "channels", "topics", "at first", "broker killed",
           "MiB gateway", "MiB broker");
    show(10000);
    if (!quick)
        show(100000);
    return 0;
}
