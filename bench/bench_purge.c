/* bench_purge.c - keys a second through a worker, against plain hiredis.
 * SPDX-License-Identifier: MPL-2.0
 *
 * One private redis-server, one purge actor, one broker played by this program, all on this
 * machine. The reference in the same run is what the protocol alone costs: UNLINK of one key each,
 * pipelined by the hundred over one blocking hiredis connection (as redis-benchmark -P 100 does).
 * Every key exists before it is removed, in both. Rounds of the two alternate; medians are shown.
 * Then one job at a time, against one UNLINK at a time. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const size_t job_keys[] = {1, 10, 100, 1000};
enum { JOB_SIZES = sizeof(job_keys) / sizeof(job_keys[0]) };

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    fw_job_broker_t *broker;
    size_t keys_count;
    char (*texts)[KEY_SIZE];
    fw_text_t *keys;
    uint64_t last_job;
} bench_t;

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

static double measure_reference(bench_t *bench)
{
    write_keys(bench);
    int64_t began_us = fw_clock_us();
    for_each_key(bench, "UNLINK", NULL);
    double seconds = (double)(fw_clock_us() - began_us) / 1e6;
    check_gone(bench);
    return (double)bench->keys_count / seconds;
}

/* Keeps the worker's capacity in use until every key was named by a job that is done. */
static double measure_worker(bench_t *bench, size_t keys_per_job)
{
    write_keys(bench);
    size_t jobs = bench->keys_count / keys_per_job;
    size_t sent = 0;
    size_t done = 0;
    int64_t began_us = fw_clock_us();
    while (done < jobs) {
        while (sent < jobs && sent - done < fw_job_broker_capacity(bench->broker)) {
            const fw_invalidate_t invalidate = {.keys = bench->keys + sent * keys_per_job,
                                                .keys_count = keys_per_job};
            fw_job_broker_send_job(bench->broker, ++bench->last_job, &invalidate);
            sent++;
        }
        fw_job_answer_t answer = fw_job_broker_wait_answer(bench->broker, WAIT_MS);
        if (!answer.came || !answer.done) {
            fail(answer.came ? answer.reason : "no answer");
        }
        done++;
    }
    double seconds = (double)(fw_clock_us() - began_us) / 1e6;
    check_gone(bench);
    return (double)(jobs * keys_per_job) / seconds;
}

static void print_rates(bench_t *bench)
{
    double reference[ROUNDS];
    double worker[JOB_SIZES][ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        reference[round] = measure_reference(bench);
        for (size_t i = 0; i < JOB_SIZES; i++) {
            worker[i][round] = measure_worker(bench, job_keys[i]);
        }
    }
    double base = median(reference, ROUNDS);
    printf("keys removed, medians of %d rounds of %zu keys\n", ROUNDS, bench->keys_count);
    printf("%-28s %12s %8s\n", "", "keys/s", "ratio");
    printf("%-28s %12.0f %8.2f\n", "UNLINK, pipelined by 100", base, 1.0);
    for (size_t i = 0; i < JOB_SIZES; i++) {
        char name[48];
        (void)snprintf(name, sizeof(name), "worker, %zu key%s a job", job_keys[i],
                       job_keys[i] == 1 ? "" : "s");
        double rate = median(worker[i], ROUNDS);
        printf("%-28s %12.0f %8.2f\n", name, rate, rate / base);
    }
}

static void print_latencies(bench_t *bench)
{
    static double plain_us[SINGLE];
    static double worker_us[SINGLE];
    const fw_invalidate_t invalidate = {
        .keys = bench->keys, .keys_count = 1, .tags = bench->keys + 1, .tags_count = 1};
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

int main(int argc, char **argv)
{
    fw_log_setup(FW_LOG_WARN, FW_LOG_TEXT);
    bench_t bench = {.keys_count = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 20000 : 200000};
    bench.texts = calloc(bench.keys_count, sizeof(*bench.texts));
    bench.keys = calloc(bench.keys_count, sizeof(*bench.keys));
    if (!bench.texts || !bench.keys) {
        fail("out of memory");
    }
    for (size_t i = 0; i < bench.keys_count; i++) {
        (void)snprintf(bench.texts[i], KEY_SIZE, "fw:c:user:%zu", i);
        bench.keys[i] = fw_text(bench.texts[i]);
    }
    bench.server = fw_redis_fixture_start();
    bench.redis = fw_redis_fixture_connect(bench.server);
    bench.broker = fw_job_broker_start();
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    fw_workers_config_t config = fw_workers_defaults();
    config.actors = 1;
    config.redis_url = fw_redis_fixture_url(bench.server);
    config.jobs_endpoint = fw_job_broker_endpoint(bench.broker);
    fw_workers_t *workers = NULL;
    if (fw_workers_start(&config, metrics, health, &workers) != 0 ||
        !fw_job_broker_wait_hello(bench.broker, WAIT_MS)) {
        fail("no worker");
    }
    print_rates(&bench);
    print_latencies(&bench);
    fw_workers_stop(&workers);
    fw_health_destroy(&health);
    fw_metrics_destroy(&metrics);
    fw_job_broker_stop(&bench.broker);
    redisFree(bench.redis);
    fw_redis_fixture_stop(&bench.server);
    free(bench.texts);
    free(bench.keys);
    return 0;
}
