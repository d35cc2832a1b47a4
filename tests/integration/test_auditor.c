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
#include "runtime/clock.h"
#include "runtime/socket.h"
#include "tests/support/audit_world.h"
#include "tests/support/redis_cluster.h"

static void a_bad_configuration_does_not_start(void **state)
{
    audit_world_t *world = *state;
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
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    fw_redis_do(world->redis, "SET fw:epoch 5");
    fw_redis_do(world->redis, "SET fw:t:t 7");
    audit_plant(world->redis, "fw:c:newer", now_us, 5, NULL, 0);
    audit_plant(world->redis, "fw:c:epoch", now_us - 1000, 4, NULL, 0);
    audit_plant(world->redis, "fw:c:tag", now_us - 1000, 5, "t", 6);
    audit_plant(world->redis, "fw:c:evicted", now_us - 1000, 5, "gone", 6);
    fw_redis_do(world->redis, "SET fw:c:lease CWL10123456789abcdef");
    fw_redis_do(world->redis, "SET fw:c:other something");
    fw_redis_do(world->redis, "RPUSH fw:c:list a");
    static const char *const keys[] = {"newer", "epoch", "tag",  "evicted",
                                       "lease", "other", "list", "absent"};
    size_t count = sizeof(keys) / sizeof(*keys);
    audit_start(world);
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "fw:c:%s", keys[i]);
        audit_tell(world, now_us, key, NULL, 0);
    }
    audit_tell(world, now_us, NULL, "t", 7);
    audit_tell(world, now_us, NULL, "gone", 7);
    audit_await(world, world->series.scales[0].checked, count + 2);
    assert_int_equal(audit_stale(world, 0), 0);
    assert_int_equal(fw_counter_value(world->series.scales[0].unjudged), 0);
    assert_int_equal(fw_counter_value(world->series.healed), 0);
    assert_int_equal(fw_gauge_value(world->series.scales[0].consistency), 1000000000);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:newer"), 1);
}

static void a_stale_entry_is_found_at_every_timescale(void **state)
{
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    world->config.heal = false;
    world->config.scales_count = 3;
    world->config.scales_ms[1] = 100;
    world->config.scales_ms[2] = 300;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    audit_plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    /* On a slow machine one may be missed: then another purge is told of. */
    for (size_t scale = 0; scale < 3; scale++) {
        int64_t until_ms = fw_clock_ms() + AUDIT_PATIENCE_MS;
        while (audit_stale(world, scale) == 0) {
            assert_true(fw_clock_ms() < until_ms);
            if (fw_counter_value(world->series.scales[2].stale) > 0) {
                audit_tell(world, now_us, "fw:c:k", NULL, 0);
            }
            audit_turn(world);
        }
    }
    assert_true(fw_gauge_value(world->series.scales[0].consistency) < 1000000000);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 1);
}

static void a_stale_entry_is_purged_again_and_then_clean(void **state)
{
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    world->config.scales_count = 2;
    world->config.scales_ms[1] = 300;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    audit_plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    audit_await(world, world->series.healed, 1);
    audit_await(world, world->series.scales[1].checked, 1);
    assert_int_equal(audit_stale(world, 0), 1);
    assert_int_equal(audit_stale(world, 1), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 0);
}

/* Written back between two looks: the later look finds it. Too late on a slow machine, it is tried
 * again. */
static void what_is_written_back_later_is_found_and_purged_at_the_later_timescale(void **state)
{
    audit_world_t *world = *state;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = 500;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    audit_start(world);
    for (uint64_t attempt = 1; audit_stale(world, 1) == 0; attempt++) {
        assert_true(attempt < 20);
        uint64_t now_us = audit_redis_us(world->redis);
        audit_tell(world, now_us, "fw:c:k", NULL, 0);
        audit_await(world, world->series.scales[0].checked, attempt);
        audit_plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
        audit_await(world, world->series.scales[1].checked, attempt);
    }
    audit_await(world, world->series.healed, 1);
    assert_int_equal(audit_stale(world, 0), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 0);
}

static void a_stamp_that_went_back_is_raised_again(void **state)
{
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    audit_start(world);
    fw_redis_do(world->redis, "SET fw:t:projects %llu", (unsigned long long)now_us - 500);
    audit_tell(world, now_us, NULL, "projects", now_us - 100);
    audit_await(world, world->series.healed, 1);
    audit_await(world, world->series.scales[0].stale, 1);
    assert_true(audit_stamp_at(world->redis, "fw:t:projects") > now_us - 100);
}

/* A tag does not know its entries: the walk comes across it. */
static void a_stale_entry_of_a_purged_tag_is_come_across(void **state)
{
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    world->config.walk_rate = 100000;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = AUDIT_PATIENCE_MS;
    fw_redis_do(world->redis, "SET fw:epoch 5");
    fw_redis_do(world->redis, "SET fw:t:projects %llu", (unsigned long long)now_us);
    for (int i = 0; i < 500; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "fw:c:good:%d", i);
        audit_plant(world->redis, key, now_us + 1, 5, "projects", now_us);
    }
    audit_plant(world->redis, "fw:c:unknown", now_us - 1000, 5, "projects", now_us);
    audit_plant(world->redis, "fw:c:dead", now_us - 1000, 5, "projects", now_us - 1);
    audit_start(world);
    audit_tell(world, now_us, NULL, "projects", now_us);
    audit_await(world, world->series.healed, 1);
    audit_await(world, world->series.scales[0].stale, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:unknown"), 0);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:dead"), 1);
    assert_true(audit_stamp_at(world->redis, "fw:t:projects") > now_us);
    assert_true(fw_counter_value(world->series.entries) > 0);
}

static void without_redis_nothing_is_judged_and_then_it_goes_on(void **state)
{
    audit_world_t *world = *state;
    uint64_t now_us = audit_redis_us(world->redis);
    audit_start(world);
    fw_redis_fixture_kill(world->server);
    audit_tell(world, now_us, "fw:c:k", "t", now_us);
    audit_await(world, world->series.scales[0].unjudged, 1);
    assert_int_equal(fw_counter_value(world->series.scales[0].checked), 0);
    fw_redis_fixture_restart(world->server);
    int64_t until_ms = fw_clock_ms() + AUDIT_PATIENCE_MS;
    while (!audit_healthy(world)) {
        assert_true(fw_clock_ms() < until_ms);
        audit_turn(world);
    }
    audit_tell(world, now_us, "fw:c:k", "t", now_us);
    audit_await(world, world->series.scales[0].checked, 1);
    assert_int_equal(audit_stale(world, 0), 0);
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
static void compare_with(audit_world_t *world, const char *path, fw_compared_t expected)
{
    service_t service;
    char rule[128];
    const char *rules[] = {rule};
    start_service(&service);
    (void)snprintf(rule, sizeof(rule), "k* url=http://127.0.0.1:%d/%s/{name}", service.port, path);
    world->config.url_rules = rules;
    world->config.url_rules_count = 1;
    world->config.url_after_ms = 0;
    uint64_t now_us = audit_redis_us(world->redis);
    fw_redis_do(world->redis, "SET fw:epoch 5");
    audit_plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    audit_await(world, world->series.scales[0].checked, 1);
    assert_int_equal(fw_counter_value(world->series.compared[expected]), 1);
    assert_int_equal(audit_stale(world, 0), expected != FW_COMPARED_SAME);
    fw_auditor_stop(&world->auditor);
    stop_service(&service);
}

static void an_entry_that_the_service_confirms_is_not_stale(void **state)
{
    audit_world_t *world = *state;
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
    audit_world_t *world = *state;
    audit_start(world);
    audit_tell(world, 1, "session:1", NULL, 0);
    static const char garbage[] = FW_TOPIC_AUDIT "\xff\xff\xff";
    assert_int_equal(
        fw_socket_send(world->events, (fw_bytes_t){(const uint8_t *)garbage, sizeof(garbage) - 1}),
        0);
    audit_await(world, world->series.offers[FW_AUDIT_EMPTY], 1);
    audit_await(world, world->series.refused, 1);
    assert_int_equal(fw_counter_value(world->series.offers[FW_AUDIT_TAKEN]), 0);
}

static void every_target_is_looked_at(void **state)
{
    audit_world_t *world = *state;
    fw_redis_fixture_t *other = fw_redis_fixture_start();
    redisContext *redis = fw_redis_fixture_connect(other);
    char urls[512];
    (void)snprintf(urls, sizeof(urls), "%s %s", fw_redis_fixture_url(world->server),
                   fw_redis_fixture_url(other));
    world->config.redis_url = urls;
    uint64_t now_us = audit_redis_us(redis);
    fw_redis_do(redis, "SET fw:epoch 5");
    audit_plant(redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    audit_await(world, world->series.healed, 1);
    audit_await(world, world->series.scales[0].stale, 1);
    assert_int_equal(fw_redis_integer(redis, "EXISTS fw:c:k"), 0);
    fw_auditor_stop(&world->auditor);
    redisFree(redis);
    fw_redis_fixture_stop(&other);
}

static void the_server_that_the_sentinels_name_is_looked_at(void **state)
{
    audit_world_t *world = *state;
    fw_redis_fixture_t *sentinel = fw_redis_fixture_start_sentinel(world->server);
    char url[128];
    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%d/main",
                   fw_redis_fixture_port(sentinel));
    world->config.redis_url = url;
    uint64_t now_us = audit_redis_us(world->redis);
    fw_redis_do(world->redis, "SET fw:epoch 5");
    audit_plant(world->redis, "fw:c:k", now_us - 1000, 5, NULL, 0);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    audit_await(world, world->series.healed, 1);
    assert_int_equal(fw_redis_integer(world->redis, "EXISTS fw:c:k"), 0);
    fw_auditor_stop(&world->auditor);
    fw_redis_fixture_stop(&sentinel);
}

static void in_a_cluster_stamps_and_entries_are_found_where_they_are(void **state)
{
    audit_world_t *world = *state;
    fw_redis_cluster_fixture_t *cluster = fw_redis_cluster_start(false);
    world->config.redis_url = cluster->url;
    world->config.walk_rate = 100000;
    world->config.scales_count = 2;
    world->config.scales_ms[1] = AUDIT_PATIENCE_MS;
    uint64_t now_us = audit_redis_us(cluster->redis[0]);
    redisContext *entry = fw_redis_cluster_at(cluster, "fw:c:k");
    redisContext *unknown = fw_redis_cluster_at(cluster, "fw:c:unknown");
    redisContext *tag = fw_redis_cluster_at(cluster, "fw:t:projects");
    fw_redis_do(fw_redis_cluster_at(cluster, "fw:epoch"), "SET fw:epoch 5");
    fw_redis_do(tag, "SET fw:t:projects %llu", (unsigned long long)now_us);
    audit_plant(entry, "fw:c:k", now_us - 1000, 5, "projects", now_us);
    audit_plant(unknown, "fw:c:unknown", now_us - 1000, 5, "projects", now_us);
    audit_start(world);
    audit_tell(world, now_us, "fw:c:k", NULL, 0);
    audit_await(world, world->series.healed, 1);
    assert_int_equal(fw_redis_integer(entry, "EXISTS fw:c:k"), 0);
    assert_int_equal(fw_redis_integer(unknown, "EXISTS fw:c:unknown"), 1);
    audit_tell(world, now_us, NULL, "projects", now_us);
    audit_await(world, world->series.healed, 2);
    assert_int_equal(fw_redis_integer(unknown, "EXISTS fw:c:unknown"), 0);
    fw_auditor_stop(&world->auditor);
    fw_redis_cluster_stop(&cluster);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, audit_set_up, audit_tear_down)
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
        CASE(the_server_that_the_sentinels_name_is_looked_at),
        CASE(in_a_cluster_stamps_and_entries_are_found_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
