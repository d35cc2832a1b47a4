/* bench_gateway.c - publish to frame: fan-out cost and latency, against a bare epoll + send loop in
 * the same run. SPDX-License-Identifier: MPL-2.0
 *
 * Fan-out: N sessions of one channel; bursts of W events, the next when every session has all of
 * them (closed loop). Deliveries per CPU-second of the server process, broker included. Latency:
 * 1,000 rooms with one session each, one event at a time to a random one, at a given rate (open
 * loop: a late event counts from when it was due). */
#include <rhonabwy.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/servers.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "tests/support/many_sessions.h"
#include "tests/support/test_token.h"

enum {
    ROUNDS = 5,
    PAYLOAD_SIZE = 64,
    LATENCY_EVENTS = 5000,
    EVENTS_A_SECOND = 1000,
    BURST_MAX = 16,
    TRIMMED_MS = 4000,
};

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_double);
    return values[count / 2];
}

static many_sessions_t *open_sessions(bench_server_t *server, bench_kind_t kind, size_t count,
                                      const char *path, many_sessions_frame_fn *frame,
                                      void *context)
{
    many_sessions_options_t options = {.host = "127.0.0.1",
                                       .port = bench_server_port(server),
                                       .count = count,
                                       .path = kind == BENCH_BARE ? NULL : path,
                                       .skip = kind == BENCH_BARE ? 0 : 1,
                                       .frame = frame,
                                       .context = context};
    return many_sessions_open(&options);
}

static double fan_out(bench_kind_t kind, size_t sessions_count, size_t burst, size_t bursts)
{
    const char *payloads[BURST_MAX];
    char payload[PAYLOAD_SIZE + 3];
    bench_server_t *server = bench_server_start(kind);
    many_sessions_t *sessions = open_sessions(server, kind, sessions_count, "/ws", NULL, NULL);
    (void)snprintf(payload, sizeof payload, "\"%0*d\"", PAYLOAD_SIZE, 7);
    for (size_t i = 0; i < burst; i++)
        payloads[i] = payload;
    for (int i = 0; i < 5; i++) {
        bench_server_publish(server, "broadcast", -1, payloads, burst);
        many_sessions_read_frames(sessions, sessions_count * burst);
    }
    long long before = bench_server_cpu_us(server);
    for (size_t i = 0; i < bursts; i++) {
        bench_server_publish(server, "broadcast", -1, payloads, burst);
        many_sessions_read_frames(sessions, sessions_count * burst);
    }
    double used = (double)(bench_server_cpu_us(server) - before);
    many_sessions_close(&sessions);
    bench_server_stop(&server);
    return used / (double)(sessions_count * burst * bursts);
}

static void compare_fan_out(size_t sessions, size_t burst, size_t bursts)
{
    double bare[ROUNDS], freshwire[ROUNDS], ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = fan_out(BENCH_BARE, sessions, burst, bursts);
        freshwire[i] = fan_out(BENCH_FRESHWIRE, sessions, burst, bursts);
        ratios[i] = bare[i] / freshwire[i];
    }
    printf("%8zu %6zu %14.2f %14.2f %12.2f\n", sessions, burst, median(bare, ROUNDS),
           median(freshwire, ROUNDS), median(ratios, ROUNDS));
    (void)fflush(stdout);
}

typedef struct {
    double *ms;
    size_t count;
} latencies_t;

static void note_latency(void *context, size_t session, const char *payload, size_t size)
{
    latencies_t *latencies = context;
    const char *mark = memmem(payload, size, "\"due\":", 6);
    (void)session;
    if (mark && latencies->count < LATENCY_EVENTS)
        latencies->ms[latencies->count++] =
            (double)(fw_clock_us() - strtoll(mark + 6, NULL, 10)) / 1000.0;
}

static void latency(bench_kind_t kind, const char *name, size_t rooms)
{
    char path[1024];
    char *token = fw_test_token(BENCH_SECRET, "bench");
    (void)snprintf(path, sizeof path, "/ws/room/%%zu?token=%s", token);
    r_free(token);
    latencies_t latencies = {.ms = calloc(LATENCY_EVENTS, sizeof(double))};
    fw_random_t random = {42};
    bench_server_t *server = bench_server_start(kind);
    many_sessions_t *sessions = open_sessions(server, kind, rooms, path, note_latency, &latencies);
    int64_t begin = fw_clock_us();
    for (int64_t i = 0; i < LATENCY_EVENTS;) {
        int64_t due = begin + i * 1000000 / EVENTS_A_SECOND;
        if (fw_clock_us() >= due) {
            char payload[96], channel[32];
            const char *payloads[] = {payload};
            size_t room = fw_random_below(&random, rooms);
            (void)snprintf(payload, sizeof payload, "{\"due\":%lld}", (long long)due);
            (void)snprintf(channel, sizeof channel, "room:%zu", room);
            bench_server_publish(server, channel, (long)room, payloads, 1);
            i++;
        }
        (void)many_sessions_read(sessions, 0);
    }
    while (many_sessions_read(sessions, 200) > 0)
        ;
    qsort(latencies.ms, latencies.count, sizeof(double), compare_double);
    printf("%-10s %8zu %8zu %10.3f %10.3f %10.3f\n", name, rooms, latencies.count,
           latencies.ms[latencies.count / 2], latencies.ms[latencies.count * 99 / 100],
           latencies.ms[latencies.count - 1]);
    (void)fflush(stdout);
    free(latencies.ms);
    many_sessions_close(&sessions);
    bench_server_stop(&server);
}

static void memory(size_t count)
{
    char path[1024];
    char *token = fw_test_token(BENCH_SECRET, "bench");
    (void)snprintf(path, sizeof path, "/ws?token=%s", token);
    r_free(token);
    bench_server_t *server = bench_server_start(BENCH_FRESHWIRE);
    long long before = bench_server_rss(server);
    many_sessions_t *sessions = open_sessions(server, BENCH_FRESHWIRE, count, path, NULL, NULL);
    /* What the handshakes took is given back when no more are coming. */
    for (int64_t end = fw_clock_us() + TRIMMED_MS * INT64_C(1000); fw_clock_us() < end;)
        (void)many_sessions_read(sessions, 100);
    printf("%zu idle sessions with two channels: %.0f bytes of user-space memory each\n", count,
           (double)(bench_server_rss(server) - before) / (double)count);
    many_sessions_close(&sessions);
    bench_server_stop(&server);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    size_t scale = quick ? 1 : 10;
    printf("fan-out, CPU microseconds per delivery (medians of %d rounds)\n", ROUNDS);
    printf("%8s %6s %14s %14s %12s\n", "sessions", "burst", "bare loop", "freshwire", "bare/ours");
    compare_fan_out(1000, 1, 20 * scale);
    compare_fan_out(1000, 16, 10 * scale);
    if (!quick)
        compare_fan_out(4000, 16, 5 * scale);
    printf("\nlatency at %d events/s, milliseconds from due to frame\n", EVENTS_A_SECOND);
    printf("%-10s %8s %8s %10s %10s %10s\n", "server", "sessions", "events", "p50", "p99", "max");
    latency(BENCH_BARE, "bare", 1000);
    latency(BENCH_FRESHWIRE, "freshwire", 1000);
    printf("\n");
    memory(quick ? 2000 : 15000);
    return 0;
}
