/* bench_purge.c - keys a second through a worker, against redis-benchmark.
 * SPDX-License-Identifier: MPL-2.0
 *
 * One private redis-server, one purge actor, one broker played by this program, all on this
 * machine. The broker sends jobs as the real one does under load, all that a worker has room for in
 * one message, and each job is answered.
 *
 * References, in turn with it: redis-benchmark with UNLINK of as many keys a command as a job has,
 * pipelined by 100, over one connection, which is what the worker has, and over fifty, which is the
 * most that Redis itself can do. (Its keys are random, so a third of them is no longer there; that
 * is to its advantage.) Every key of a job exists. CPU time is the threads' own, from the
 * scheduler. Then one job at a time, against one UNLINK at a time. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "tests/support/job_broker.h"
#include "tests/support/redis_fixture.h"
#include "workers/workers.h"

enum {
    ROUNDS = 5,
    PIPELINE = 100,
    WAIT_MS = 30000,
    SINGLE = 2000, /* jobs one at a time */
    KEY_SIZE = 32,
};

#define PREFIX "fw:c:user:"

static const size_t job_keys[] = {1, 10, 100};
enum { JOB_SIZES = sizeof(job_keys) / sizeof(job_keys[0]) };

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    fw_job_broker_t *broker;
    fw_health_t *health;
    size_t keys_count;
    char (*texts)[KEY_SIZE];
    fw_text_t *keys;
    uint64_t last_job;
    size_t batch; /* jobs that one message holds at most */
    pid_t redis_pid;
} bench_t;

typedef struct {
    double keys_per_second;
    double redis_us, worker_us; /* CPU time for each key */
} rate_t;

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_purge: %s\n", what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(double), compare);
    return values[count / 2];
}

/* CPU time that threads of a process have had; those whose name begins so, NULL = all. */
static double thread_seconds(pid_t pid, const char *name)
{
    char path[300];
    char text[64];
    double seconds = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)pid, entry->d_name);
        FILE *file = fopen(path, "r");
        bool counts = file && fgets(text, sizeof(text), file) &&
                      (!name || strncmp(text, name, strlen(name)) == 0);
        if (file) {
            (void)fclose(file);
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        file = counts ? fopen(path, "r") : NULL;
        if (file && fgets(text, sizeof(text), file)) {
            seconds += strtod(text, NULL) / 1e9;
        }
        if (file) {
            (void)fclose(file);
        }
    }
    if (folder) {
        (void)closedir(folder);
    }
    return seconds;
}

/* One command for each key, in pipelines. */
static void for_each_key(bench_t *bench, const char *command, const char *value)
{
    for (size_t at = 0; at < bench->keys_count; at += PIPELINE) {
        size_t end = at + PIPELINE < bench->keys_count ? at + PIPELINE : bench->keys_count;
        for (size_t i = at; i < end; i++) {
            const char *argv[] = {command, bench->texts[i], value};
            const size_t sizes[] = {strlen(command), bench->keys[i].size,
                                    value ? strlen(value) : 0};
            redisAppendCommandArgv(bench->redis, value ? 3 : 2, argv, sizes);
        }
        for (size_t i = at; i < end; i++) {
            void *reply = NULL;
            if (redisGetReply(bench->redis, &reply) != REDIS_OK) {
                fail("redis");
            }
            freeReplyObject(reply);
        }
    }
}

static void write_keys(bench_t *bench)
{
    for_each_key(bench, "SET", "0123456789012345678901234567890123456789");
}

/* The worker's own keys stay. */
static void check_gone(bench_t *bench)
{
    static const char script[] = "return #redis.call('KEYS', 'fw:c:*')";
    if (fw_redis_integer(bench->redis, "EVAL %s 0", script) != 0) {
        fail("keys are left");
    }
}

/* Requests a second that redis-benchmark says it made. */
static double run_redis_benchmark(const bench_t *bench, int clients, size_t keys_per_command)
{
    char command[64 * 1024];
    const char *socket = fw_redis_fixture_url(bench->server) + strlen("unix://");
    int used = snprintf(command, sizeof(command),
                        "redis-benchmark -s %s -c %d -P %d -n %zu -r %zu --csv UNLINK", socket,
                        clients, PIPELINE, bench->keys_count / keys_per_command, bench->keys_count);
    for (size_t i = 0; i < keys_per_command; i++) {
        used += snprintf(command + used, sizeof(command) - (size_t)used, " %s__rand_int__", PREFIX);
    }
    FILE *pipe = popen(command, "r");
    char *line = fw_alloc(1, sizeof(command));
    double rate = 0;
    /* "name","rate",… the name is the command itself. */
    while (pipe && fgets(line, sizeof(command), pipe)) {
        const char *at = strncmp(line, "\"UNLINK", 7) == 0 ? strstr(line, "\",\"") : NULL;
        rate = at ? strtod(at + 3, NULL) : rate;
    }
    free(line);
    if (!pipe || pclose(pipe) != 0 || rate <= 0) {
        fail("redis-benchmark");
    }
    return rate;
}

static rate_t measure_reference(bench_t *bench, int clients, size_t keys_per_command)
{
    write_keys(bench);
    double cpu = thread_seconds(bench->redis_pid, NULL);
    double rate = run_redis_benchmark(bench, clients, keys_per_command) * (double)keys_per_command;
    cpu = thread_seconds(bench->redis_pid, NULL) - cpu;
    for_each_key(bench, "UNLINK", NULL); /* not FLUSHDB: tables keep their size */
    return (rate_t){rate, cpu * 1e6 / (double)bench->keys_count, 0};
}

/* A worker whose broker was busy with something else for seconds has left, and greets again. */
static void await_worker(bench_t *bench)
{
    int64_t deadline_ms = fw_clock_ms() + WAIT_MS;
    do {
        if (fw_clock_ms() > deadline_ms) {
            fail("the worker does not come back");
        }
        (void)fw_job_broker_serve(bench->broker, 20);
    } while (!fw_health_ready(bench->health, fw_clock_ms()));
}

/* Keeps the worker's capacity in use until every key was named by a job that is done. */
static rate_t measure_worker(bench_t *bench, size_t keys_per_job)
{
    write_keys(bench);
    await_worker(bench);
    size_t jobs = bench->keys_count / keys_per_job;
    size_t sent = 0;
    size_t done = 0;
    fw_invalidate_t purges[FW_JOBS_MAX];
    double redis_cpu = thread_seconds(bench->redis_pid, NULL);
    double worker_cpu = thread_seconds(getpid(), "purger");
    int64_t began_us = fw_clock_us();
    while (done < jobs) {
        size_t credit = fw_job_broker_capacity(bench->broker) - (sent - done);
        while (credit > 0 && sent < jobs) {
            size_t count = 0;
            size_t most = credit < bench->batch ? credit : bench->batch;
            while (count < most && sent + count < jobs) {
                purges[count] =
                    (fw_invalidate_t){.keys = bench->keys + (sent + count) * keys_per_job,
                                      .keys_count = keys_per_job};
                count++;
            }
            fw_job_broker_send_jobs(bench->broker, bench->last_job + 1, purges, count);
            bench->last_job += count;
            sent += count;
            credit -= count;
        }
        size_t more = fw_job_broker_wait_done(bench->broker, WAIT_MS);
        if (more == 0) {
            fail("no answer");
        }
        done += more;
    }
    double seconds = (double)(fw_clock_us() - began_us) / 1e6;
    redis_cpu = thread_seconds(bench->redis_pid, NULL) - redis_cpu;
    worker_cpu = thread_seconds(getpid(), "purger") - worker_cpu;
    check_gone(bench);
    double keys = (double)(jobs * keys_per_job);
    return (rate_t){keys / seconds, redis_cpu * 1e6 / keys, worker_cpu * 1e6 / keys};
}

static rate_t median_rate(const rate_t rates[ROUNDS])
{
    double values[3][ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        values[0][i] = rates[i].keys_per_second;
        values[1][i] = rates[i].redis_us;
        values[2][i] = rates[i].worker_us;
    }
    return (rate_t){median(values[0], ROUNDS), median(values[1], ROUNDS),
                    median(values[2], ROUNDS)};
}

/* Of each round by itself: what else the machine does meets both sides of it. */
static double median_ratio(const rate_t ours[ROUNDS], const rate_t theirs[ROUNDS])
{
    double values[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        values[i] = ours[i].keys_per_second / theirs[i].keys_per_second;
    }
    return median(values, ROUNDS);
}

static void print_rates(bench_t *bench)
{
    static rate_t one[JOB_SIZES][ROUNDS], fifty[JOB_SIZES][ROUNDS], worker[JOB_SIZES][ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < JOB_SIZES; i++) {
            one[i][round] = measure_reference(bench, 1, job_keys[i]);
            worker[i][round] = measure_worker(bench, job_keys[i]);
            fifty[i][round] = measure_reference(bench, 50, job_keys[i]);
        }
    }
    printf("keys removed a second, medians of %d rounds of %zu keys; %zu jobs a message\n", ROUNDS,
           bench->keys_count, bench->batch);
    printf("%-14s %11s %11s %11s %7s %7s %10s %10s %10s\n", "keys a job or", "benchmark,",
           "benchmark,", "worker", "ratio", "ratio", "Redis us,", "Redis us,", "worker us");
    printf("%-14s %11s %11s %11s %7s %7s %10s %10s %10s\n", "command", "1 client", "50", "", "to 1",
           "to 50", "benchmark", "worker", "a key");
    for (size_t i = 0; i < JOB_SIZES; i++) {
        rate_t first = median_rate(one[i]);
        rate_t most = median_rate(fifty[i]);
        rate_t ours = median_rate(worker[i]);
        printf("%-14zu %11.0f %11.0f %11.0f %7.2f %7.2f %10.2f %10.2f %10.2f\n", job_keys[i],
               first.keys_per_second, most.keys_per_second, ours.keys_per_second,
               median_ratio(worker[i], one[i]), median_ratio(worker[i], fifty[i]), most.redis_us,
               ours.redis_us, ours.worker_us);
    }
}

static void print_latencies(bench_t *bench)
{
    static double plain_us[SINGLE];
    static double worker_us[SINGLE];
    const fw_invalidate_t invalidate = {
        .keys = bench->keys, .keys_count = 1, .tags = bench->keys + 1, .tags_count = 1};
    await_worker(bench);
    for (size_t i = 0; i < SINGLE; i++) {
        int64_t began_us = fw_clock_us();
        fw_redis_do(bench->redis, "UNLINK %s", bench->texts[0]);
        plain_us[i] = (double)(fw_clock_us() - began_us);
        began_us = fw_clock_us();
        fw_job_broker_send_job(bench->broker, ++bench->last_job, &invalidate);
        if (!fw_job_broker_wait_answer(bench->broker, WAIT_MS).done) {
            fail("no answer");
        }
        worker_us[i] = (double)(fw_clock_us() - began_us);
    }
    qsort(plain_us, SINGLE, sizeof(double), compare);
    qsort(worker_us, SINGLE, sizeof(double), compare);
    printf("one at a time, microseconds of %d\n%-28s %12s %8s\n", SINGLE, "", "p50", "p99");
    printf("%-28s %12.0f %8.0f\n", "UNLINK", plain_us[SINGLE / 2], plain_us[SINGLE * 99 / 100]);
    printf("%-28s %12.0f %8.0f\n", "worker, 1 key and 1 tag", worker_us[SINGLE / 2],
           worker_us[SINGLE * 99 / 100]);
}

static pid_t process_of(redisContext *redis)
{
    redisReply *info = fw_redis_command(redis, "INFO server");
    const char *at = strstr(info->str, "process_id:");
    pid_t pid = at ? (pid_t)strtol(at + strlen("process_id:"), NULL, 10) : 0;
    freeReplyObject(info);
    return pid;
}

int main(int argc, char **argv)
{
    fw_log_setup(FW_LOG_WARN, FW_LOG_TEXT);
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    bench_t bench = {.keys_count = quick ? 50000 : 200000, .batch = FW_JOBS_MAX};
    bench.texts = calloc(bench.keys_count, sizeof(*bench.texts));
    bench.keys = calloc(bench.keys_count, sizeof(*bench.keys));
    if (!bench.texts || !bench.keys) {
        fail("out of memory");
    }
    for (size_t i = 0; i < bench.keys_count; i++) {
        (void)snprintf(bench.texts[i], KEY_SIZE, PREFIX "%012zu", i);
        bench.keys[i] = fw_text(bench.texts[i]);
    }
    bench.server = fw_redis_fixture_start();
    bench.redis = fw_redis_fixture_connect(bench.server);
    bench.redis_pid = process_of(bench.redis);
    bench.broker = fw_job_broker_start();
    fw_metrics_t *metrics = fw_metrics_new();
    bench.health = fw_health_new();
    fw_workers_config_t config = fw_workers_defaults();
    config.actors = 1;
    config.redis_url = fw_redis_fixture_url(bench.server);
    config.jobs_endpoint = fw_job_broker_endpoint(bench.broker);
    fw_workers_t *workers = NULL;
    if (fw_workers_start(&config, metrics, bench.health, &workers) != 0 ||
        !fw_job_broker_wait_hello(bench.broker, WAIT_MS)) {
        fail("no worker");
    }
    print_rates(&bench);
    bench.batch = 1; /* as if the broker sent each by itself */
    print_rates(&bench);
    print_latencies(&bench);
    fw_workers_stop(&workers);
    fw_health_destroy(&bench.health);
    fw_metrics_destroy(&metrics);
    fw_job_broker_stop(&bench.broker);
    redisFree(bench.redis);
    fw_redis_fixture_stop(&bench.server);
    free(bench.texts);
    free(bench.keys);
    return 0;
}
