/* test_auditor.c - what survives its purge is found and purged again.   SPDX-License-Identifier:
 * MPL-2.0 A real Redis, and an event link on which the test tells of purges. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/channel.h"
#include "proto/codec.h"
#include "runtime/clock.h"
#include "runtime/socket.h"
#include "tests/support/redis_cluster.h"
#include "workers/audit_metrics.h"
#include "workers/auditor.h"

enum { PATIENCE_MS = 20000, BEACON_MS = 100, POLL_MS = 5 };

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    zsock_t *events;
    fw_codec_t *codec;
    fw_auditor_config_t config; /* to be changed before start() */
    char *endpoint;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_audit_metrics_t series;
    fw_auditor_t *auditor;
    bool subscribed;
    uint64_t beacons;
    int64_t beacon_ms;
} world_t;

/* ---- the world */

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_BIND);
    world->server = fw_redis_fixture_start();
    world->redis = fw_redis_fixture_connect(world->server);
    assert_int_equal(fw_socket_open(&settings, "tcp://127.0.0.1:*", &world->events), 0);
    world->endpoint = fw_socket_endpoint(world->events);
    world->codec = fw_codec_new();
    world->metrics = fw_metrics_new();
    world->health = fw_health_new();
    world->config = fw_auditor_defaults();
    world->config.events_endpoint = world->endpoint;
    world->config.redis_url = fw_redis_fixture_url(world->server);
    world->config.rate = 1000;
    world->config.slack_ms = 0;
    world->config.walk_rate = 0;
    world->config.scales_count = 1;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_t *world = *state;
    fw_auditor_stop(&world->auditor);
    zsock_destroy(&world->events);
    free(world->endpoint);
    fw_codec_destroy(&world->codec);
    redisFree(world->redis);
    fw_redis_fixture_stop(&world->server);
    fw_health_destroy(&world->health);
    fw_metrics_destroy(&world->metrics);
    free(world);
    return 0;
}

/* A moment of the broker's life. */
static void turn(world_t *world)
{
    static const uint8_t incarnation[FW_INCARNATION_SIZE] = {1};
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (fw_socket_receive(world->events, &frame) == 0) {
        fw_bytes_t bytes = fw_socket_bytes(&frame);
        size_t size = strlen(FW_TOPIC_AUDIT);
        world->subscribed |= bytes.size == 1 + size && bytes.data[0] == 1 &&
                             memcmp(bytes.data + 1, FW_TOPIC_AUDIT, size) == 0;
    }
    zmq_msg_close(&frame);
    if (fw_clock_ms() - world->beacon_ms >= BEACON_MS) {
        fw_beacon_t beacon = {{incarnation, sizeof(incarnation)}, ++world->beacons, 1};
        world->beacon_ms = fw_clock_ms();
        assert_int_equal(
            fw_socket_send(world->events, fw_codec_encode_beacon_frame(world->codec, &beacon)), 0);
    }
    zmq_pollitem_t item = {.socket = zsock_resolve(world->events), .events = ZMQ_POLLIN};
    (void)zmq_poll(&item, 1, POLL_MS);
}

static void await_counter(world_t *world, const fw_counter_t *counter, uint64_t value)
{
    int64_t until_ms = fw_clock_ms() + PATIENCE_MS;
    while (fw_counter_value(counter) < value) {
        if (fw_clock_ms() > until_ms) {
            fail_msg("a counter stands at %llu", (unsigned long long)fw_counter_value(counter));
        }
        turn(world);
    }
}

static bool healthy(world_t *world)
{
    return fw_health_ready(world->health, fw_clock_ms());
}

static void start(world_t *world)
{
    int64_t until_ms = fw_clock_ms() + PATIENCE_MS;
    world->series =
        fw_audit_metrics_make(world->metrics, world->config.scales_ms, world->config.scales_count);
    assert_int_equal(
        fw_auditor_start(&world->config, world->metrics, world->health, &world->auditor), 0);
    while (!healthy(world) || !world->subscribed) {
        assert_true(fw_clock_ms() < until_ms);
        turn(world);
    }
}

/* ---- what is in Redis */

static uint64_t redis_us(redisContext *redis)
{
    redisReply *reply = fw_redis_command(redis, "TIME");
    uint64_t now_us = strtoull(reply->element[0]->str, NULL, 10) * 1000000 +
                      strtoull(reply->element[1]->str, NULL, 10);
    freeReplyObject(reply);
    return now_us;
}

static uint64_t stamp_at(redisContext *redis, const char *key)
{
    redisReply *reply = fw_redis_command(redis, "GET %s", key);
    uint64_t stamp = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return stamp;
}

/* Writes an entry whose fill began then, with those stamps, as a buggy writer would. */
static void plant(redisContext *redis, const char *key, uint64_t start_us, uint64_t epoch,
                  const char *tag, uint64_t stamp)
{
    fw_cache_entry_t entry = {.start_us = start_us,
                              .stamps = {{{NULL, 0}, epoch}},
                              .stamps_count = 1,
                              .payload = {(const uint8_t *)"\xc0", 1}};
    uint8_t *data = NULL;
    size_t size = 0;
    if (tag) {
        entry.stamps[1] = (fw_cache_stamp_t){{(const uint8_t *)tag, strlen(tag)}, stamp};
        entry.stamps_count = 2;
    }
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), 0);
    fw_redis_do(redis, "SET %s %b", key, data, size);
    free(data);
}

/* ---- what the broker tells */

static void tell(world_t *world, uint64_t redis_time, const char *key, const char *tag,
                 uint64_t stamp)
{
    const fw_text_t keys[] = {fw_text(key ? key : "")};
    const fw_text_t tags[] = {fw_text(tag ? tag : "")};
    const fw_stamp_t stamps[] = {{tags[0], stamp}};
    const fw_purged_t purged = {
        .redis_time = redis_time,
        .took_us = 10,
        .invalidate = {.keys = keys, .keys_count = key != NULL, .tags = tags, .tags_count = !!tag},
        .stamps = stamps,
        .stamps_count = tag && stamp ? 1 : 0};
    assert_int_equal(
        fw_socket_send(world->events, fw_codec_encode_purged_frame(world->codec, &purged)), 0);
}

static uint64_t stale(const world_t *world, size_t scale)
{
    return fw_counter_value(world->series.scales[scale].stale);
}

/* ---- */

static void a_bad_configuration_does_not_start(void **state)
{
    world_t *world = *state;
    fw_auditor_t *auditor = NULL;
    fw_auditor_config_t config = world->config;
    config.scales_count = 0;
    assert_int_equal(fw_auditor_start(&config, world->metrics, world->health, &auditor), -EINVAL);
    config = world->config;
    config.scales_count = 3;
    config.scales_ms[2] = config.scales_ms[1];
    assert_int_equal(fw_auditor_start(&config, world->metrics, world->health, &auditor), -EINVAL);
    config = world->config;
    config.redis_url = "http://localhost";
    assert_int_equal(fw_auditor_start(&config, world->metrics, world->health, &auditor), -EINVAL);
    config = world->config;
    config.rate = 0;
    assert_int_equal(fw_auditor_start(&config, world->metrics, world->health, &auditor), -EINVAL);
    assert_null(auditor);
}

static void what_no_reader_would_be_served_is_clean(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    fw_redis_do(world->redis, "SET fw:epoch 5");
    fw_redis_do(world->redis, "SET fw:t:t 7");
    plant(world->redis, "fw:c:newer", now_us, 5, NULL, 0);
    plant(world->redis, "fw:c:epoch", now_us - 1000, 4, NULL, 0);
    plant(world->redis, "fw:c:tag", now_us - 1000, 5, "t", 6);
    plant(world->redis, "fw:c:evicted", now_us - 1000, 5, "gone", 6);
    fw_redis_do(world->redis, "SET fw:c:lease CWL10123456789abcdef");
    fw_redis_do(world->redis, "SET fw:c:other something");
    fw_redis_do(world->redis, "RPUSH fw:c:list a");
    static const char *const keys[] = {"newer", "epoch", "tag",  "evicted",
                                       "lease", "other", "list", "absent"};
    size_t count = sizeof(keys) / sizeof(*keys);
    start(world);
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "fw:c:%s", keys[i]);
        tell(world, now_us, key, NULL, 0);
    }
    tell(world, now_us, NULL, "t", 7);
    tell(world, now_us, NULL, "gone", 7);
    await_counter(world, world->series.scales[0].checked, count + 2);
    assert_int_equal(stale(world, 0), 0);
    assert_int_equal(fw_counter_value(world->series.scales[0].unjudged), 0);
    assert_int_equal(fw_counter_value(world->series.healed), 0);
    assert_int_equal(fw_gauge_value(world->series.scales[0].consistency), 1000000000);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:newer"), 1);
}

static void a_stale_entry_is_found_at_every_timescale(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    world->config.heal = false;
    world->config.scales_count = 3;
    world->config.scales_ms[1] = 100;
    world->config.scales_ms[2] = 300;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    start(world);
    tell(world, now_us, "fw:c:k", NULL, 0);
    /* On a slow machine one may be missed: then another purge is told of. */
    for (size_t scale = 0; scale < 3; scale++) {
        int64_t until_ms = fw_clock_ms() + PATIENCE_MS;
        while (stale(world, scale) == 0) {
            assert_true(fw_clock_ms() < until_ms);
            if (fw_counter_value(world->series.scales[2].stale) > 0) {
                tell(world, now_us, "fw:c:k", NULL, 0);
            }
            turn(world);
        }
    }
    assert_true(fw_gauge_value(world->series.scales[0].consistency) < 1000000000);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 1);
}

static void a_stale_entry_is_purged_again_and_then_clean(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    world->config.scales_count = 2;
    world->config.scales_ms[1] = 300;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    start(world);
    tell(world, now_us, "fw:c:k", NULL, 0);
    await_counter(world, world->series.healed, 1);
    await_counter(world, world->series.scales[1].checked, 1);
    assert_int_equal(stale(world, 0), 1);
    assert_int_equal(stale(world, 1), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 0);
}

/* Written back between two looks: the later look finds it. Too late on a slow machine, it is tried
 * again. */
static void what_is_written_back_later_is_found_and_purged_at_the_later_timescale(void **state)
{
    world_t *world = *state;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = 500;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    start(world);
    for (uint64_t attempt = 1; stale(world, 1) == 0; attempt++) {
        assert_true(attempt < 20);
        uint64_t now_us = redis_us(world->redis);
        tell(world, now_us, "fw:c:k", NULL, 0);
        await_counter(world, world->series.scales[0].checked, attempt);
        plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
        await_counter(world, world->series.scales[1].checked, attempt);
    }
    await_counter(world, world->series.healed, 1);
    assert_int_equal(stale(world, 0), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 0);
}

static void a_stamp_that_went_back_is_raised_again(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    start(world);
    fw_redis_do(world->redis, "SET fw:t:projects %llu", (unsigned long long)now_us - 500);
    tell(world, now_us, NULL, "projects", now_us - 100);
    await_counter(world, world->series.healed, 1);
    await_counter(world, world->series.scales[0].stale, 1);
    assert_true(stamp_at(world->redis, "fw:t:projects") > now_us - 100);
}

/* A tag does not know its entries: the walk comes across it. */
static void a_stale_entry_of_a_purged_tag_is_come_across(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    world->config.walk_rate = 100000;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = PATIENCE_MS;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    fw_redis_do(world->redis, "SET fw:t:projects %llu", (unsigned long long)now_us);
    for (int i = 0; i < 500; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "fw:c:good:%d", i);
        plant(world->redis, key, now_us + 1, 5, "projects", now_us);
    }
    plant(world->redis, "fw:c:unknown", now_us - 1000, 5, "projects", now_us);
    plant(world->redis, "fw:c:dead", now_us - 1000, 5, "projects", now_us - 1);
    start(world);
    tell(world, now_us, NULL, "projects", now_us);
    await_counter(world, world->series.healed, 1);
    await_counter(world, world->series.scales[0].stale, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:unknown"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:dead"), 1);
    assert_true(stamp_at(world->redis, "fw:t:projects") > now_us);
    assert_true(fw_counter_value(world->series.entries) > 0);
}

static void without_redis_nothing_is_judged_and_then_it_goes_on(void **state)
{
    world_t *world = *state;
    uint64_t now_us = redis_us(world->redis);
    start(world);
    fw_redis_fixture_kill(world->server);
    tell(world, now_us, "fw:c:k", "t", now_us);
    await_counter(world, world->series.scales[0].unjudged, 1);
    assert_int_equal(fw_counter_value(world->series.scales[0].checked), 0);
    fw_redis_fixture_restart(world->server);
    int64_t until_ms = fw_clock_ms() + PATIENCE_MS;
    while (!healthy(world)) {
        assert_true(fw_clock_ms() < until_ms);
        turn(world);
    }
    tell(world, now_us, "fw:c:k", "t", now_us);
    await_counter(world, world->series.scales[0].checked, 1);
    assert_int_equal(stale(world, 0), 0);
}

/* ---- a service that shows what is cached */

typedef struct {
    int listener;
    int port;
    pthread_t thread;
} service_t;

/* /same is the same with and without the cache, /different is not, anything else does not exist. */
static void *serve(void *args)
{
    const service_t *service = args;
    for (;;) {
        char request[2048];
        char answer[256];
        int fd = accept(service->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        ssize_t size = read(fd, request, sizeof(request) - 1);
        request[size > 0 ? size : 0] = 0;
        bool bypass = strstr(request, "X-Freshwire-Fresh: bypass") != NULL;
        bool known = strstr(request, "GET /same/k ") || strstr(request, "GET /different/k ");
        const char *body = strstr(request, "/different") && bypass ? "new" : "old";
        int length = snprintf(answer, sizeof(answer),
                              "HTTP/1.1 %s\r\nContent-Length: 3\r\nConnection: close\r\n\r\n%s",
                              known ? "200 OK" : "404 Not Found", body);
        (void)!write(fd, answer, (size_t)length);
        (void)close(fd);
    }
}

static void start_service(service_t *service)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(service->listener, 10), 0);
    assert_int_equal(getsockname(service->listener, (struct sockaddr *)&address, &size), 0);
    service->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&service->thread, NULL, serve, service), 0);
}

static void stop_service(service_t *service)
{
    (void)shutdown(service->listener, SHUT_RDWR);
    (void)pthread_join(service->thread, NULL);
    (void)close(service->listener);
}

/* What the service shows decides: path is where the rule points to. */
static void compare_with(world_t *world, const char *path, fw_compared_t expected)
{
    service_t service;
    char rule[128];
    const char *rules[] = {rule};
    start_service(&service);
    (void)snprintf(rule, sizeof(rule), "k* url=http://127.0.0.1:%d/%s/{name}", service.port, path);
    world->config.url_rules = rules;
    world->config.url_rules_count = 1;
    world->config.url_after_ms = 0;
    uint64_t now_us = redis_us(world->redis);
    fw_redis_do(world->redis, "SET fw:epoch 5");
    plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    start(world);
    tell(world, now_us, "fw:c:k", NULL, 0);
    await_counter(world, world->series.scales[0].checked, 1);
    assert_int_equal(fw_counter_value(world->series.compared[expected]), 1);
    assert_int_equal(stale(world, 0), expected != FW_COMPARED_SAME);
    fw_auditor_stop(&world->auditor);
    stop_service(&service);
}

static void an_entry_that_the_service_confirms_is_not_stale(void **state)
{
    world_t *world = *state;
    compare_with(world, "same", FW_COMPARED_SAME);
    assert_int_equal(fw_counter_value(world->series.healed), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 1);
}

static void an_entry_that_the_service_contradicts_is_stale(void **state)
{
    compare_with(*state, "different", FW_COMPARED_DIFFERENT);
}

static void an_entry_that_the_service_does_not_show_stays_stale(void **state)
{
    compare_with(*state, "nothing", FW_COMPARED_FAILED);
}

static void foreign_keys_and_garbage_are_counted(void **state)
{
    world_t *world = *state;
    start(world);
    tell(world, 1, "session:1", NULL, 0);
    static const char garbage[] = FW_TOPIC_AUDIT "\xff\xff\xff";
    assert_int_equal(
        fw_socket_send(world->events, (fw_bytes_t){(const uint8_t *)garbage, sizeof(garbage) - 1}),
        0);
    await_counter(world, world->series.offers[FW_AUDIT_EMPTY], 1);
    await_counter(world, world->series.refused, 1);
    assert_int_equal(fw_counter_value(world->series.offers[FW_AUDIT_TAKEN]), 0);
}

static void every_target_is_looked_at(void **state)
{
    world_t *world = *state;
    fw_redis_fixture_t *other = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(other);
    char urls[512];
    (void)snprintf(urls, sizeof(urls), "%s %s", fw_redis_fixture_url(world->server),
                   fw_redis_fixture_url(other));
    world->config.redis_url = urls;
    uint64_t now_us = redis_us(redis);
    fw_redis_do(redis, "SET fw:epoch 5");
    plant(redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    start(world);
    tell(world, now_us, "fw:c:k", NULL, 0);
    await_counter(world, world->series.healed, 1);
    await_counter(world, world->series.scales[0].stale, 1);
    assert_int_equal(fw_redis_integer(redis, "EXISTS fw:c:k"), 0);
    fw_auditor_stop(&world->auditor);
    redisFree(redis);
    fw_redis_fixture_stop(&other);
}

static void in_a_cluster_stamps_and_entries_are_found_where_they_are(void **state)
{
    world_t *world = *state;
    fw_redis_cluster_fixture_t *cluster = fw_redis_cluster_start(false);
    world->config.redis_url = cluster->url;
    world->config.walk_rate = 100000;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = PATIENCE_MS;
    uint64_t now_us = redis_us(cluster->redis[0]);
    redisContext *entry = fw_redis_cluster_at(cluster, "fw:c:k");
    redisContext *unknown = fw_redis_cluster_at(cluster, "fw:c:unknown");
    redisContext *tag = fw_redis_cluster_at(cluster, "fw:t:projects");
    fw_redis_do(fw_redis_cluster_at(cluster, "fw:epoch"), "SET fw:epoch 5");
    fw_redis_do(tag, "SET fw:t:projects %llu", (unsigned long long)now_us);
    plant(entry, "fw:c:k", now_us - 1000, 5, "projects", now_us);
    plant(unknown, "fw:c:unknown", now_us - 1000, 5, "projects", now_us);
    start(world);
    tell(world, now_us, "fw:c:k", NULL, 0);
    await_counter(world, world->series.healed, 1);
    assert_int_equal(fw_redis_integer(entry, "EXISTS fw:c:k"), 0);
    assert_int_equal(fw_redis_integer(unknown, "EXISTS fw:c:unknown"), 1);
    tell(world, now_us, NULL, "projects", now_us);
    await_counter(world, world->series.healed, 2);
    assert_int_equal(fw_redis_integer(unknown, "EXISTS fw:c:unknown"), 0);
    fw_auditor_stop(&world->auditor);
    fw_redis_cluster_stop(&cluster);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_bad_configuration_does_not_start),
        CASE(what_no_reader_would_be_served_is_clean),
        CASE(a_stale_entry_is_found_at_every_timescale),
        CASE(a_stale_entry_is_purged_again_and_then_clean),
        CASE(what_is_written_back_later_is_found_and_purged_at_the_later_timescale),
        CASE(a_stamp_that_went_back_is_raised_again),
        CASE(a_stale_entry_of_a_purged_tag_is_come_across),
        CASE(without_redis_nothing_is_judged_and_then_it_goes_on),
        CASE(an_entry_that_the_service_confirms_is_not_stale),
        CASE(an_entry_that_the_service_contradicts_is_stale),
        CASE(an_entry_that_the_service_does_not_show_stays_stale),
        CASE(foreign_keys_and_garbage_are_counted),
        CASE(every_target_is_looked_at),
        CASE(in_a_cluster_stamps_and_entries_are_found_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
