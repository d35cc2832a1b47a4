/* audit_world.h - an auditor, a real Redis, and an event link that tells it of purges.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <czmq.h>

#include "proto/codec.h"
#include "tests/support/redis_fixture.h"
#include "workers/audit_metrics.h"
#include "workers/auditor.h"

enum { AUDIT_PATIENCE_MS = 20000 }; /* long, because a sanitizer on a busy machine is slow */

typedef struct {
    fw_redis_fixture_t *server;
    redisContext *redis;
    zsock_t *events;
    fw_codec_t *codec;
    fw_auditor_config_t config; /* to be changed before audit_start() */
    char *endpoint;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_audit_metrics_t series;
    fw_auditor_t *auditor;
    bool subscribed;
    uint64_t beacons;
    int64_t beacon_ms;
} audit_world_t;

/* For cmocka: *state becomes a world with one timescale, 0, and nothing started. */
int audit_set_up(void **state);
int audit_tear_down(void **state);

/* Starts the auditor, and waits until it has Redis and has subscribed. */
void audit_start(audit_world_t *world);
/* A moment of the broker's life. */
void audit_turn(audit_world_t *world);
/* Fails the test when the counter does not get so far. */
void audit_await(audit_world_t *world, const fw_counter_t *counter, uint64_t value);
bool audit_healthy(audit_world_t *world);
/* What was found stale at a timescale, as far as it is shown. */
uint64_t audit_stale(const audit_world_t *world, size_t scale);

/* Redis' clock in microseconds. */
uint64_t audit_redis_us(redisContext *redis);
/* The number that a key holds; 0 = none. */
uint64_t audit_stamp_at(redisContext *redis, const char *key);
/* Writes an entry whose fill began then, with those stamps, as a buggy writer would. tag may be
 * NULL.
 */
void audit_plant(redisContext *redis, const char *key, uint64_t start_us, uint64_t epoch,
                 const char *tag, uint64_t stamp);
/* Tells of a purge, 10 us after its event. key and tag may be NULL; stamp 0 = not known. */
void audit_tell(audit_world_t *world, uint64_t redis_time, const char *key, const char *tag,
                uint64_t stamp);
