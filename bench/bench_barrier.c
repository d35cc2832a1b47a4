/* bench_barrier.c - how long an event takes from publish to release.   SPDX-License-Identifier:
 * MPL-2.0
 *
 * One publisher, one broker, one worker and a subscriber of the event link, all on this machine
 * over TCP. Events are due at a fixed rate (open loop: a late one counts from when it was due).
 * Measured without anything to purge, with a worker that answers at once (what the barrier itself
 * costs), and with the real worker on a real Redis (two tag stamps each). The reference is one
 * round trip to the same Redis. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers.h"
#include "runtime/clock.h"
#include "tests/support/redis_fixture.h"

enum { ROUNDS = 3, ROOMS = 100, WARM_UP = 200, PINGS = 2000, DEDUPE_MAX = 500000 };

typedef enum { NOTHING, INSTANT, REDIS, ROUND_TRIP, KINDS } kind_of_t;

static const char *const names[] = {"nothing to purge", "worker answers at once",
                                    "real worker, real Redis", "one Redis round trip"};

typedef struct {
    kind_of_t kind;
    int64_t per_second;
    size_t count;
} task_t;

typedef struct {
    double p50_us, p99_us, max_us;
} figures_t;

typedef struct {
    double *us;
    size_t seen, count;
} latencies_t;

static figures_t figures_of(double *us, size_t count)
{
    return (figures_t){bench_quantile(us, count, 0.5), bench_quantile(us, count, 0.99),
                       bench_quantile(us, count, 1)};
}

/* Takes what has come; a delivery carries when it was due. */
static void drain(zsock_t *socket, latencies_t *latencies)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (fw_socket_receive(socket, &frame) == 0) {
        fw_bytes_t bytes = fw_socket_bytes(&frame);
        const char *mark = latencies ? memmem(bytes.data, bytes.size, "\"due\":", 6) : NULL;
        if (mark && latencies->seen++ >= WARM_UP)
            latencies->us[latencies->seen - WARM_UP - 1] =
                (double)(fw_clock_us() - strtoll(mark + 6, NULL, 10));
    }
    zmq_msg_close(&frame);
}

/* Sleeps until the subscriber's or the publisher's socket has something, or until then. */
static void sleep_until(zsock_t *sub, zsock_t *dealer, int64_t due_us)
{
    int64_t wait_us = due_us - fw_clock_us();
    struct timespec timeout = {0, (long)wait_us * 1000};
    struct pollfd fds[] = {{zsock_fd(sub), POLLIN, 0}, {zsock_fd(dealer), POLLIN, 0}};
    if (wait_us > 0)
        (void)ppoll(fds, 2, &timeout, NULL);
}

static void publish_at_rate(const task_t *task, zsock_t *dealer, zsock_t *sub,
                            latencies_t *latencies)
{
    fw_codec_t *codec = fw_codec_new();
    size_t total = task->count + WARM_UP;
    int64_t begin_us = fw_clock_us();
    for (size_t sent = 0; latencies->seen < total;) {
        int64_t due_us = begin_us + (int64_t)sent * 1000000 / task->per_second;
        if (fw_clock_us() - begin_us > 120 * INT64_C(1000000))
            bench_fail("events are missing");
        if (sent < total && fw_clock_us() >= due_us) {
            char data[64];
            (void)snprintf(data, sizeof data, "{\"due\":%lld}", (long long)due_us);
            bench_event_t event = {.number = sent + 1,
                                   .room = sent % ROOMS,
                                   .purges = task->kind != NOTHING,
                                   .data = data};
            bench_must(fw_socket_send(dealer, bench_encode(codec, &event)));
            sent++;
        }
        drain(sub, latencies);
        drain(dealer, NULL);
        sleep_until(sub, dealer, sent < total ? due_us : fw_clock_us() + 1000);
    }
    fw_codec_destroy(&codec);
}

static void measure_round_trip(figures_t *ret_figures)
{
    double *us = calloc(PINGS, sizeof *us);
    fw_redis_fixture_t *server = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(server);
    for (size_t i = 0; us && i < PINGS; i++) {
        int64_t begin_us = fw_clock_us();
        fw_redis_do(redis, "UNLINK %s", "fw:c:42");
        us[i] = (double)(fw_clock_us() - begin_us);
    }
    *ret_figures = figures_of(us, PINGS);
    redisFree(redis);
    fw_redis_fixture_stop(&server);
    free(us);
}

/* Until the first event with a purge was acknowledged, the worker may not have come yet; then it
 * gets over its start. */
static void wait_for_worker(zsock_t *dealer)
{
    fw_codec_t *codec = fw_codec_new();
    bench_event_t event = {.number = (uint64_t)UINT32_MAX + 1, .purges = true};
    bench_wait(dealer, ZMQ_POLLOUT);
    bench_publish(dealer, codec, &event, 1, 1);
    bench_publish(dealer, codec, &event, 1, WARM_UP);
    fw_codec_destroy(&codec);
}

static void measure(const void *context, void *result)
{
    const task_t *task = context;
    if (task->kind == ROUND_TRIP) {
        measure_round_trip(result);
        return;
    }
    latencies_t latencies = {.us = calloc(task->count, sizeof(double))};
    fw_redis_fixture_t *redis = task->kind == REDIS ? fw_redis_fixture_start() : NULL;
    bench_peer_t broker = bench_start_broker(DEDUPE_MAX);
    bench_peer_t worker = redis ? bench_start_worker(broker.at.jobs, fw_redis_fixture_url(redis))
                                : bench_start_instant_worker(broker.at.jobs);
    zsock_t *sub = bench_subscribe_rooms(broker.at.events);
    zsock_t *dealer = bench_open(FW_SOCKET_DEALER_CONNECT, broker.at.publish);
    wait_for_worker(dealer);
    publish_at_rate(task, dealer, sub, &latencies);
    *(figures_t *)result = figures_of(latencies.us, task->count);
    free(latencies.us);
    zsock_destroy(&sub);
    zsock_destroy(&dealer);
    bench_stop(&worker);
    bench_stop(&broker);
    fw_redis_fixture_stop(&redis);
}

static void show(kind_of_t kind, int64_t per_second, size_t count)
{
    double p50[ROUNDS], p99[ROUNDS], max[ROUNDS];
    char rate[32] = "one by one";
    if (kind != ROUND_TRIP)
        (void)snprintf(rate, sizeof rate, "%lld", (long long)per_second);
    for (int round = 0; round < ROUNDS; round++) {
        figures_t figures;
        task_t task = {kind, per_second, count};
        bench_apart(measure, &task, &figures, sizeof figures);
        p50[round] = figures.p50_us;
        p99[round] = figures.p99_us;
        max[round] = figures.max_us;
    }
    printf("%-26s %12s %10.0f %10.0f %10.0f\n", names[kind], rate, bench_quantile(p50, ROUNDS, 0.5),
           bench_quantile(p99, ROUNDS, 0.5), bench_quantile(max, ROUNDS, 0.5));
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const int64_t rates[] = {1000, 10000};
    size_t seconds = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 1 : 5;
    printf("publish to release, microseconds from due to the frame at a subscriber,\n"
           "medians of %d rounds\n",
           ROUNDS);
    printf("%-26s %12s %10s %10s %10s\n", "", "events/s", "p50", "p99", "max");
    show(ROUND_TRIP, 0, 0);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        for (int kind = NOTHING; kind < ROUND_TRIP; kind++)
            show((kind_of_t)kind, rates[i], (size_t)rates[i] * seconds);
    return 0;
}
