/* bench_slow.c - ten thousand sessions, many of which do not read.   SPDX-License-Identifier:
 * MPL-2.0
 *
 * 9,000 sessions in 100 rooms get 100 events a second (open loop: a late event counts from when it
 * was due). 1,000 others are in 10 rooms of 16 KiB events, of which none is read: their sockets
 * fill, and from then on they are behind. More would measure the kernel's memory for TCP: a socket
 * of loopback that is not read holds a megabyte and more of it. Told is what that costs the first
 * ones, and the memory of an idle and of a slow session. */
#include <rhonabwy.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/servers.h"
#include "runtime/clock.h"
#include "tests/support/many_sessions.h"
#include "tests/support/test_token.h"

enum {
    FAST = 9000,
    SLOW = 1000,
    FAST_ROOMS = 100,
    SLOW_ROOMS = 10,
    EVENTS_A_SECOND = 100,
    FILL_EVENTS =
        120, /* for each slow room, 2 MB in all: more than a socket of this machine holds */
    BURDEN_EVERY = 20, /* one event in so many is for a slow room, while it is measured */
    LARGE = 16 * 1024,
};

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
    bench_server_t *server;
    many_sessions_t *fast;
    latencies_t latencies;
    char *large; /* JSON of LARGE bytes */
} world_t;

static char **make_paths(const char *token, const char *kind, size_t count, size_t rooms)
{
    char **paths = calloc(count, sizeof *paths);
    for (size_t i = 0; paths && i < count; i++)
        if (asprintf(&paths[i], "/ws/room/%s%zu?token=%s", kind, i % rooms, token) < 0)
            abort();
    return paths;
}

static many_sessions_t *open_sessions(world_t *world, char **paths, size_t count)
{
    const many_sessions_options_t options = {
        .host = "127.0.0.1",
        .port = bench_server_port(world->server),
        .count = count,
        .paths = (const char *const *)paths,
        .skip = 1,
        .frame = note_latency,
        .context = &world->latencies,
    };
    return many_sessions_open(&options);
}

static void publish_large(world_t *world, size_t room)
{
    char channel[32];
    const char *payloads[] = {world->large};
    (void)snprintf(channel, sizeof channel, "room:slow%zu", room);
    bench_server_publish(world->server, channel, -1, payloads, 1);
}

/* Median and 99th percentile of the fast ones over some seconds. */
static void measure(world_t *world, int seconds, bool burden, double *ret_p50, double *ret_p99)
{
    size_t events = (size_t)EVENTS_A_SECOND * (size_t)seconds;
    world->latencies.count = 0;
    int64_t begin = fw_clock_us();
    for (size_t i = 0; i < events;) {
        int64_t due = begin + (int64_t)i * 1000000 / EVENTS_A_SECOND;
        if (fw_clock_us() >= due) {
            char channel[32], payload[64];
            const char *payloads[] = {payload};
            (void)snprintf(channel, sizeof channel, "room:fast%zu", i * 7 % FAST_ROOMS);
            (void)snprintf(payload, sizeof payload, "{\"due\":%lld}", (long long)due);
            bench_server_publish(world->server, channel, -1, payloads, 1);
            if (burden && i % BURDEN_EVERY == 0)
                publish_large(world, i / BURDEN_EVERY % SLOW_ROOMS);
            i++;
        }
        (void)many_sessions_read(world->fast, 0);
    }
    while (many_sessions_read(world->fast, 200) > 0)
        ;
    size_t count = world->latencies.count;
    if (count != events * (FAST / FAST_ROOMS))
        printf("  %zu of %zu deliveries\n", count, events * (FAST / FAST_ROOMS));
    qsort(world->latencies.ms, count, sizeof(double), compare_double);
    *ret_p50 = count > 0 ? world->latencies.ms[count / 2] : 0;
    *ret_p99 = count > 0 ? world->latencies.ms[count * 99 / 100] : 0;
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int seconds = quick ? 1 : 4;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    world_t world = {.server = bench_server_start(BENCH_FRESHWIRE)};
    world.latencies.capacity = (size_t)EVENTS_A_SECOND * (size_t)seconds * (FAST / FAST_ROOMS);
    world.latencies.ms = calloc(world.latencies.capacity, sizeof(double));
    world.large = malloc(LARGE + 3);
    char *token = fw_test_token(BENCH_SECRET, "bench");
    if (!world.latencies.ms || !world.large)
        abort();
    memset(world.large, 'x', LARGE + 2);
    world.large[0] = world.large[LARGE + 1] = '"';
    world.large[LARGE + 2] = 0;

    long long empty = bench_server_rss(world.server);
    char **fast_paths = make_paths(token, "fast", FAST, FAST_ROOMS);
    char **slow_paths = make_paths(token, "slow", SLOW, SLOW_ROOMS);
    world.fast = open_sessions(&world, fast_paths, FAST);
    many_sessions_t *slow = open_sessions(&world, slow_paths, SLOW);
    long long idle = bench_server_rss(world.server);
    double before_p50 = 0, before_p99 = 0, after_p50 = 0, after_p99 = 0;
    measure(&world, seconds, false, &before_p50, &before_p99);

    for (size_t i = 0; i < FILL_EVENTS; i++) {
        for (size_t room = 0; room < SLOW_ROOMS; room++)
            publish_large(&world, room);
        (void)many_sessions_read(world.fast, 20);
    }
    /* Until nothing moves any more: then the slow ones are behind, and stay so. */
    long long used = 0;
    for (long long now = bench_server_cpu_us(world.server); now - used > 20000;) {
        used = now;
        (void)many_sessions_read(world.fast, 500);
        now = bench_server_cpu_us(world.server);
    }
    long long rings = (long long)FILL_EVENTS * SLOW_ROOMS * LARGE;
    long long full = bench_server_rss(world.server);
    measure(&world, seconds, true, &after_p50, &after_p99);

    printf("%d sessions, of which %d do not read\n", FAST + SLOW, SLOW);
    printf("  the others, p50 and p99 ms: %.2f %.2f before, %.2f %.2f while these are slow; p99 "
           "%.2fx\n",
           before_p50, before_p99, after_p50, after_p99, after_p99 / before_p99);
    printf("  memory: idle session %.0f B; slow one %.0f B more, beside %lld MiB of rings\n",
           (double)(idle - empty) / (FAST + SLOW), (double)(full - idle - rings) / SLOW,
           rings / (1024 * 1024));
    many_sessions_close(&slow);
    many_sessions_close(&world.fast);
    bench_server_stop(&world.server);
    r_free(token);
    return 0;
}
