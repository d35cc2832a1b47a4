/* audit_world.c - see audit_world.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/audit_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/channel.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { BEACON_MS = 100, POLL_MS = 5 };

/* ---- the world */

int audit_set_up(void **state)
{
    audit_world_t *world = calloc(1, sizeof(*world));
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

int audit_tear_down(void **state)
{
    audit_world_t *world = *state;
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
void audit_turn(audit_world_t *world)
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

void audit_await(audit_world_t *world, const fw_counter_t *counter, uint64_t value)
{
    int64_t until_ms = fw_clock_ms() + AUDIT_PATIENCE_MS;
    while (fw_counter_value(counter) < value) {
        if (fw_clock_ms() > until_ms) {
            fail_msg("a counter stands at %llu", (unsigned long long)fw_counter_value(counter));
        }
        audit_turn(world);
    }
}

bool audit_healthy(audit_world_t *world)
{
    return fw_health_ready(world->health, fw_clock_ms());
}

void audit_start(audit_world_t *world)
{
    int64_t until_ms = fw_clock_ms() + AUDIT_PATIENCE_MS;
    world->series =
        fw_audit_metrics_make(world->metrics, world->config.scales_ms, world->config.scales_count);
    assert_int_equal(
        fw_auditor_start(&world->config, world->metrics, world->health, &world->auditor), 0);
    while (!audit_healthy(world) || !world->subscribed) {
        assert_true(fw_clock_ms() < until_ms);
        audit_turn(world);
    }
}

/* ---- what is in Redis */

uint64_t audit_redis_us(redisContext *redis)
{
    redisReply *reply = fw_redis_command(redis, "TIME");
    uint64_t now_us = strtoull(reply->element[0]->str, NULL, 10) * 1000000 +
                      strtoull(reply->element[1]->str, NULL, 10);
    freeReplyObject(reply);
    return now_us;
}

uint64_t audit_stamp_at(redisContext *redis, const char *key)
{
    redisReply *reply = fw_redis_command(redis, "GET %s", key);
    uint64_t stamp = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return stamp;
}

/* Writes an entry whose fill began then, with those stamps, as a buggy writer would. */
void audit_plant(redisContext *redis, const char *key, uint64_t start_us, uint64_t epoch,
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

void audit_tell(audit_world_t *world, uint64_t redis_time, const char *key, const char *tag,
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

uint64_t audit_stale(const audit_world_t *world, size_t scale)
{
    return fw_counter_value(world->series.scales[scale].stale);
}
