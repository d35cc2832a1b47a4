/* bench_sweep.c - what a sweep for a pattern costs those who use the same Redis.
 * SPDX-License-Identifier: MPL-2.0
 *
 * One private redis-server with a million keys, a tenth of which match; one purge actor with its
 * defaults; a broker and a bystander played by this program. The bystander asks GET five thousand
 * times a second, and notes how long each takes: alone; while the worker sweeps the million; while
 * another process does the same with SCAN and UNLINK as quickly as it can; and once with KEYS,
 * which the worker never uses. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/log.h"
#include "tests/support/job_broker.h"
#include "tests/support/redis_fixture.h"
#include "workers/worker_metrics.h"
#include "workers/workers.h"

enum {
    ALONE_MS = 5000,
    PERIOD_US = 200,
    PIPELINE = 1000,
    EVERY = 10, /* one key of so many matches */
    SAMPLES_MAX = 1000000,
    WAIT_MS = 120000,
    SCAN_COUNT = 1000,
};

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    fw_job_broker_t *broker;
    fw_worker_metrics_t series;
    long keys_count;
    double *samples; /* microseconds */
    size_t samples_count;
    double seconds;
} bench_t;

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_sweep: %s\n", what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void write_keys(const bench_t *bench)
{
    for (long at = 0; at < bench->keys_count; at += PIPELINE) {
        for (long i = at; i < at + PIPELINE; i++) {
            redisAppendCommand(bench->redis, "SET %s:%ld 0123456789",
                               i % EVERY == 0 ? "page" : "other", i);
        }
        for (long i = at; i < at + PIPELINE; i++) {
            void *reply = NULL;
            if (redisGetReply(bench->redis, &reply) != REDIS_OK) {
                fail("redis");
            }
            freeReplyObject(reply);
        }
    }
}

static void check_swept(bench_t *bench)
{
    static const char script[] = "return #redis.call('KEYS', 'page:*')";
    if (fw_redis_integer(bench->redis, "EVAL %s 0", script) != 0) {
        fail("keys are left");
    }
}

/* One GET in each period, until done says so. */
static void stand_by(bench_t *bench, bool (*done)(bench_t *bench, int64_t since_us))
{
    int64_t began_us = fw_clock_us();
    int64_t served_us = began_us;
    bench->samples_count = 0;
    while (bench->samples_count < SAMPLES_MAX) {
        int64_t now_us = fw_clock_us();
        freeReplyObject(fw_redis_command(bench->redis, "GET other:1"));
        int64_t took_us = fw_clock_us() - now_us;
        bench->samples[bench->samples_count++] = (double)took_us;
        if (now_us - served_us > 500000) {
            served_us = now_us;
            (void)fw_job_broker_serve(bench->broker, 1); /* so that the worker does not miss it */
        }
        if (done(bench, now_us - began_us)) {
            break;
        }
        if (took_us < PERIOD_US) {
            const struct timespec rest = {.tv_nsec = (PERIOD_US - took_us) * 1000};
            (void)nanosleep(&rest, NULL);
        }
    }
    bench->seconds = (double)(fw_clock_us() - began_us) / 1e6;
}

static void show(bench_t *bench, const char *name)
{
    size_t count = bench->samples_count;
    qsort(bench->samples, count, sizeof(double), compare);
    printf("%-38s %8.1f %8.0f %8.0f %8.0f %9.0f\n", name, bench->seconds, bench->samples[count / 2],
           bench->samples[count * 99 / 100], bench->samples[count * 999 / 1000],
           bench->samples[count - 1]);
}

static bool is_over(bench_t *bench, int64_t since_us)
{
    (void)bench;
    return since_us > ALONE_MS * INT64_C(1000);
}

static bool is_swept(bench_t *bench, int64_t since_us)
{
    if (since_us > WAIT_MS * INT64_C(1000)) {
        fail("the sweep does not end");
    }
    return fw_counter_value(bench->series.sweeps_done) > 0;
}

static pid_t child;

static bool is_reaped(bench_t *bench, int64_t since_us)
{
    (void)bench;
    (void)since_us;
    return waitpid(child, NULL, WNOHANG) == child;
}

/* Removes every page as scripts do: one SCAN after the other, what matches at once. */
static void scan_and_unlink(redisContext *redis)
{
    char cursor[32] = "0";
    do {
        redisReply *reply =
            fw_redis_command(redis, "SCAN %s MATCH page:* COUNT %d", cursor, SCAN_COUNT);
        (void)snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            redisAppendCommand(redis, "UNLINK %s", reply->element[1]->element[i]->str);
        }
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            void *gone = NULL;
            if (redisGetReply(redis, &gone) != REDIS_OK) {
                fail("redis");
            }
            freeReplyObject(gone);
        }
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
}

/* All keys at once, which is what a sweep is there to avoid. */
static void ask_for_keys(redisContext *redis)
{
    freeReplyObject(fw_redis_command(redis, "KEYS page:*"));
}

/* In a process of its own, since this one is the bystander. */
static void run_beside(bench_t *bench, const char *name, void (*work)(redisContext *redis))
{
    child = fork();
    if (child == 0) {
        redisContext *redis = fw_redis_fixture_connect(bench->server);
        work(redis);
        _exit(0);
    }
    if (child < 0) {
        fail("fork");
    }
    stand_by(bench, is_reaped);
    show(bench, name);
}

int main(int argc, char **argv)
{
    fw_log_setup(FW_LOG_ERROR, FW_LOG_TEXT);
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    bench_t bench = {.keys_count = quick ? 200000 : 1000000};
    bench.samples = calloc(SAMPLES_MAX, sizeof(double));
    bench.server = fw_redis_fixture_start();
    bench.redis = fw_redis_fixture_connect(bench.server);
    bench.broker = fw_job_broker_start();
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    bench.series = fw_worker_metrics_make(metrics);
    fw_workers_config_t config = fw_workers_defaults();
    config.actors = 1;
    config.redis_url = fw_redis_fixture_url(bench.server);
    config.jobs_endpoint = fw_job_broker_endpoint(bench.broker);
    printf("a bystander's GET while %ld keys are swept, microseconds\n%-38s %8s %8s %8s %8s %9s\n",
           bench.keys_count, "", "seconds", "p50", "p99", "p99.9", "longest");
    write_keys(&bench);
    stand_by(&bench, is_over);
    show(&bench, "alone");
    run_beside(&bench, "KEYS", ask_for_keys);
    run_beside(&bench, "SCAN and UNLINK, as quickly as it goes", scan_and_unlink);
    check_swept(&bench);
    write_keys(&bench);
    /* Not before: the worker has threads, and this program forks. */
    fw_workers_t *workers = NULL;
    if (!bench.samples || fw_workers_start(&config, metrics, health, &workers) != 0 ||
        !fw_job_broker_wait_hello(bench.broker, WAIT_MS)) {
        fail("no worker");
    }
    stand_by(&bench, is_over);
    show(&bench, "alone, with an idle worker");
    const fw_text_t pattern = FW_TEXT("page:*");
    const fw_invalidate_t invalidate = {.patterns = &pattern, .patterns_count = 1};
    fw_job_broker_send_job(bench.broker, 1, &invalidate);
    stand_by(&bench, is_swept);
    show(&bench, "the worker's sweep");
    check_swept(&bench);
    fw_workers_stop(&workers);
    fw_health_destroy(&health);
    fw_metrics_destroy(&metrics);
    fw_job_broker_stop(&bench.broker);
    redisFree(bench.redis);
    fw_redis_fixture_stop(&bench.server);
    free(bench.samples);
    return 0;
}
