/* bench_tick.c - what it saves when events wait for a tick.   SPDX-License-Identifier: MPL-2.0
 *
 * One room with 100 sessions and 800 events a second (open loop: a late event counts from when it
 * was due), with and without gateway.channels' max_delay_ms. CPU per delivery is that of the whole
 * server process, broker included. */
#include <rhonabwy.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/servers.h"
#include "runtime/clock.h"
#include "tests/support/many_sessions.h"
#include "tests/support/test_token.h"

enum { ROUNDS = 3, SESSIONS = 100, EVENTS_A_SECOND = 800, SECONDS = 3 };

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct {
    double *ms;
    size_t count;
    size_t capacity;
} latencies_t;

static void note_latency(void *context, size_t session, const char *payload, size_t size)
{
    latencies_t *latencies = context;
    const char *mark = memmem(payload, size, "\"due\":", 6);
    (void)session;
    if (mark && latencies->count < latencies->capacity)
        latencies->ms[latencies->count++] =
            (double)(fw_clock_us() - strtoll(mark + 6, NULL, 10)) / 1000.0;
}

typedef struct {
    double cpu_us; /* per delivery */
    double p50_ms;
    double p99_ms;
} figures_t;

static figures_t measure(int delay_ms, size_t events)
{
    char path[1024], channel[32], rule[64];
    const char *rules[] = {rule};
    char *token = fw_test_token(BENCH_SECRET, "bench");
    (void)snprintf(path, sizeof path, "/ws/room/chat?token=%s", token);
    (void)snprintf(channel, sizeof channel, "room:chat");
    (void)snprintf(rule, sizeof rule, "room:* max_delay_ms=%d", delay_ms);
    r_free(token);
    latencies_t latencies = {.capacity = events * SESSIONS};
    latencies.ms = calloc(latencies.capacity, sizeof(double));
    bench_server_t *server = bench_server_start_ruled(rules, delay_ms > 0 ? 1 : 0);
    many_sessions_options_t options = {.host = "127.0.0.1",
                                       .port = bench_server_port(server),
                                       .count = SESSIONS,
                                       .path = path,
                                       .skip = 1,
                                       .frame = note_latency,
                                       .context = &latencies};
    many_sessions_t *sessions = many_sessions_open(&options);
    long long before = bench_server_cpu_us(server);
    int64_t begin = fw_clock_us();
    for (size_t i = 0; i < events;) {
        int64_t due = begin + (int64_t)i * 1000000 / EVENTS_A_SECOND;
        if (fw_clock_us() >= due) {
            char payload[160];
            const char *payloads[] = {payload};
            (void)snprintf(payload, sizeof payload, "{\"due\":%lld,\"text\":\"%080d\"}",
                           (long long)due, 7);
            bench_server_publish(server, channel, -1, payloads, 1);
            i++;
        }
        (void)many_sessions_read(sessions, 0);
    }
    while (many_sessions_read(sessions, 200) > 0)
        ;
    double used = (double)(bench_server_cpu_us(server) - before);
    size_t count = latencies.count;
    qsort(latencies.ms, count, sizeof(double), compare_double);
    figures_t figures = {used / (double)count, latencies.ms[count / 2],
                         latencies.ms[count * 99 / 100]};
    if (count != events * SESSIONS)
        printf("%zu of %zu deliveries\n", count, events * SESSIONS);
    free(latencies.ms);
    many_sessions_close(&sessions);
    bench_server_stop(&server);
    return figures;
}

int main(int argc, char **argv)
{
    static const int delays_ms[] = {0, 2, 5, 20};
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    size_t events = (size_t)EVENTS_A_SECOND * (quick ? 1 : SECONDS);
    printf("%d sessions of a room, %d events/s, medians of %d rounds\n", SESSIONS, EVENTS_A_SECOND,
           ROUNDS);
    printf("%12s %24s %10s %10s\n", "max_delay_ms", "CPU us per delivery", "p50 ms", "p99 ms");
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        double cpu[ROUNDS], p50[ROUNDS], p99[ROUNDS];
        for (int k = 0; k < ROUNDS; k++) {
            figures_t figures = measure(delays_ms[i], events);
            cpu[k] = figures.cpu_us;
            p50[k] = figures.p50_ms;
            p99[k] = figures.p99_ms;
        }
        qsort(cpu, ROUNDS, sizeof(double), compare_double);
        qsort(p50, ROUNDS, sizeof(double), compare_double);
        qsort(p99, ROUNDS, sizeof(double), compare_double);
        printf("%12d %24.2f %10.2f %10.2f\n", delays_ms[i], cpu[ROUNDS / 2], p50[ROUNDS / 2],
               p99[ROUNDS / 2]);
        (void)fflush(stdout);
    }
    return 0;
}
