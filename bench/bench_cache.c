/* bench_cache.c - what a cached read costs against a plain GET, and a purge of a million entries.
 * SPDX-License-Identifier: MPL-2.0
 *
 * One private redis-server, one client, one connection, on this machine. In each round, for each
 * size of value: GET of the same bytes over plain hiredis; reads through the cache that hit, with 1
 * and with 4 tags; and reads that miss, load nothing and fill, against GET and SET. Rounds
 * alternate; medians are shown, and their ratio to the plain commands of the same run.
 * Then a million entries share a tag, and purging it is compared with purging one that a single
 * entry has: the time must not depend on how many there are. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/redis.h"
#include "runtime/clock.h"
#include "tests/support/redis_fixture.h"

enum { ROUNDS = 5, PIPELINE = 1000, PURGES = 2000, TAGS = 4, VALUE_SIZE_MAX = 65536 };

static const size_t value_sizes[] = {128, 1024, 16384};
enum { VALUE_SIZES = sizeof(value_sizes) / sizeof(value_sizes[0]) };
static const fw_text_t tags[TAGS] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    fw_cache_t *cache;
    size_t reads;   /* of a round */
    size_t entries; /* that share a tag */
    uint8_t value[VALUE_SIZE_MAX];
} bench_t;

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_cache: %s\n", what);
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

/* A MessagePack byte string of size bytes in all that does not shrink. */
static fw_bytes_t make_value(bench_t *bench, size_t size)
{
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bench->value[i] = (uint8_t)(state >> 24);
    }
    bench->value[0] = 0xc5;
    bench->value[1] = (uint8_t)((size - 3) >> 8);
    bench->value[2] = (uint8_t)(size - 3);
    return (fw_bytes_t){bench->value, size};
}

static double us_each(int64_t began_us, size_t count)
{
    return (double)(fw_clock_us() - began_us) / (double)count;
}

static void plain_set(bench_t *bench, fw_bytes_t value)
{
    fw_redis_do(bench->redis, "SET plain %b PX 300000", value.data, value.size);
}

static double measure_get(bench_t *bench)
{
    int64_t began_us = fw_clock_us();
    for (size_t i = 0; i < bench->reads; i++) {
        freeReplyObject(fw_redis_command(bench->redis, "GET plain"));
    }
    return us_each(began_us, bench->reads);
}

static double measure_get_and_set(bench_t *bench, fw_bytes_t value)
{
    int64_t began_us = fw_clock_us();
    for (size_t i = 0; i < bench->reads; i++) {
        freeReplyObject(fw_redis_command(bench->redis, "GET missing"));
        plain_set(bench, value);
    }
    return us_each(began_us, bench->reads);
}

static void read_once(bench_t *bench, size_t tags_count, fw_bytes_t value,
                      fw_cache_status_t expected)
{
    const fw_cache_request_t request = {
        .key = FW_TEXT("key"), .tags = tags, .tags_count = tags_count};
    fw_cache_read_t *read = NULL;
    if (fw_cache_get(bench->cache, &request, &read) != 0 ||
        fw_cache_read_outcome(read)->status != expected) {
        fail("not what was expected");
    }
    if (expected == FW_CACHE_HIT) {
        if (fw_cache_read_outcome(read)->payload.size != value.size) {
            fail("another value");
        }
    } else if (!fw_cache_fill(bench->cache, read, value)) {
        fail("not stored");
    }
    fw_cache_end(bench->cache, &read);
}

static double measure_hits(bench_t *bench, size_t tags_count, fw_bytes_t value)
{
    fw_redis_do(bench->redis, "DEL fw:c:key");
    read_once(bench, tags_count, value, FW_CACHE_MISS);
    int64_t began_us = fw_clock_us();
    for (size_t i = 0; i < bench->reads; i++) {
        read_once(bench, tags_count, value, FW_CACHE_HIT);
    }
    return us_each(began_us, bench->reads);
}

/* Every read misses, because the tag is purged before it; the purges are not counted. */
static double measure_fills(bench_t *bench, fw_bytes_t value)
{
    size_t fills = bench->reads / 4;
    double spent_us = 0;
    for (size_t i = 0; i < fills; i++) {
        fw_redis_do(bench->redis, "UNLINK fw:c:key");
        int64_t began_us = fw_clock_us();
        read_once(bench, 1, value, FW_CACHE_MISS);
        spent_us += (double)(fw_clock_us() - began_us);
    }
    return spent_us / (double)fills;
}

static void print_reads(bench_t *bench)
{
    printf("one read at a time over a Unix socket, microseconds, medians of %d rounds of %zu\n",
           ROUNDS, bench->reads);
    printf("%-8s %10s %16s %16s %10s %16s\n", "bytes", "GET", "hit, 1 tag", "hit, 4 tags",
           "GET+SET", "miss and fill");
    for (size_t i = 0; i < VALUE_SIZES; i++) {
        fw_bytes_t value = make_value(bench, value_sizes[i]);
        double get[ROUNDS];
        double hit[ROUNDS];
        double hit_tags[ROUNDS];
        double set[ROUNDS];
        double fill[ROUNDS];
        plain_set(bench, value);
        for (size_t round = 0; round < ROUNDS; round++) {
            get[round] = measure_get(bench);
            hit[round] = measure_hits(bench, 1, value);
            hit_tags[round] = measure_hits(bench, TAGS, value);
            set[round] = measure_get_and_set(bench, value);
            fill[round] = measure_fills(bench, value);
        }
        double base = median(get, ROUNDS);
        double base_set = median(set, ROUNDS);
        double one = median(hit, ROUNDS);
        double four = median(hit_tags, ROUNDS);
        double filled = median(fill, ROUNDS);
        printf("%-8zu %10.1f %9.1f (%4.2f) %9.1f (%4.2f) %10.1f %9.1f (%4.2f)\n", value_sizes[i],
               base, one, one / base, four, four / base, base_set, filled, filled / base_set);
    }
}

/* Entries as fills leave them, by the thousand: all with the tag "many", but for one. */
static void write_entries(bench_t *bench)
{
    fw_cache_entry_t entry = {.start_us = 1, .payload = {(const uint8_t *)"\xc0", 1}};
    entry.stamps[0].stamp = 1;
    entry.stamps[1] = (fw_cache_stamp_t){{(const uint8_t *)"many", 4}, 1};
    entry.stamps_count = 2;
    uint8_t *data = NULL;
    size_t size = 0;
    if (fw_cache_entry_encode(&entry, &data, &size) != 0) {
        fail("encode");
    }
    fw_redis_do(bench->redis, "MSET fw:epoch 1 fw:t:many 1 fw:t:one 1");
    for (size_t at = 0; at < bench->entries; at += PIPELINE) {
        for (size_t i = at; i < at + PIPELINE; i++) {
            if (redisAppendCommand(bench->redis, "SET fw:c:k%llu %b PX 300000",
                                   (unsigned long long)i, data, size) != REDIS_OK) {
                fail("redis");
            }
        }
        for (size_t i = 0; i < PIPELINE; i++) {
            void *reply = NULL;
            if (redisGetReply(bench->redis, &reply) != REDIS_OK) {
                fail("redis");
            }
            freeReplyObject(reply);
        }
    }
    free(data);
}

static bool is_served(bench_t *bench, size_t index)
{
    char key[32];
    int size = snprintf(key, sizeof(key), "k%zu", index);
    const fw_text_t many = FW_TEXT("many");
    const fw_cache_request_t request = {
        .key = {key, (size_t)size}, .tags = &many, .tags_count = 1, .no_store = true};
    fw_cache_read_t *read = NULL;
    if (fw_cache_get(bench->cache, &request, &read) != 0) {
        fail("read");
    }
    bool served = fw_cache_read_outcome(read)->status == FW_CACHE_HIT;
    fw_cache_end(bench->cache, &read);
    return served;
}

static double measure_purges(bench_t *bench, fw_text_t tag)
{
    static double spent_us[PURGES];
    const fw_cache_purge_request_t request = {.tags = &tag, .tags_count = 1};
    fw_cache_purged_t purged;
    for (size_t i = 0; i < PURGES; i++) {
        int64_t began_us = fw_clock_us();
        if (fw_cache_invalidate(bench->cache, &request, &purged) != 0) {
            fail(purged.failure);
        }
        spent_us[i] = (double)(fw_clock_us() - began_us);
    }
    return median(spent_us, PURGES);
}

static void print_purges(bench_t *bench)
{
    fw_redis_do(bench->redis, "FLUSHALL");
    double alone = measure_purges(bench, FW_TEXT("one"));
    write_entries(bench);
    if (!is_served(bench, 0) || !is_served(bench, bench->entries - 1)) {
        fail("the entries are not served");
    }
    const fw_text_t many = FW_TEXT("many");
    const fw_cache_purge_request_t request = {.tags = &many, .tags_count = 1};
    fw_cache_purged_t purged;
    int64_t began_us = fw_clock_us();
    if (fw_cache_invalidate(bench->cache, &request, &purged) != 0) {
        fail(purged.failure);
    }
    double first = (double)(fw_clock_us() - began_us);
    if (is_served(bench, 0) || is_served(bench, bench->entries - 1)) {
        fail("an entry is served after its purge");
    }
    double one = measure_purges(bench, FW_TEXT("one"));
    double all = measure_purges(bench, many);
    printf("purge of a tag, microseconds, medians of %d\n", PURGES);
    printf("%-44s %8.1f\n", "a tag of one entry, in an empty Redis", alone);
    printf("%-44s %8.1f\n", "a tag of one entry, beside all the others", one);
    printf("a tag of %zu entries%*s %8.1f (%4.2f)\n", bench->entries,
           bench->entries < 1000000 ? 21 : 20, "", all, all / one);
    printf("%-44s %8.1f\n", "the one that made them all stale", first);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    static bench_t bench;
    bench.reads = quick ? 1000 : 10000;
    bench.entries = quick ? 100000 : 1000000;
    bench.server = fw_redis_fixture_start();
    bench.redis = fw_redis_fixture_connect(bench.server);
    const fw_cache_redis_options_t options = {
        .path = fw_redis_fixture_url(bench.server) + strlen("unix://"), .timeout_ms = 10000};
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    if (fw_cache_new(&rules, fw_cache_redis_transport(&options), &bench.cache) != 0) {
        fail("no cache");
    }
    print_reads(&bench);
    print_purges(&bench);
    fw_cache_destroy(&bench.cache);
    redisFree(bench.redis);
    fw_redis_fixture_stop(&bench.server);
    return 0;
}
