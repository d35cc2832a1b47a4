/* redis_cluster.h - a private Redis Cluster for one test.   SPDX-License-Identifier: MPL-2.0
 * Servers of redis_fixture.h joined to a cluster; the first FW_CLUSTER_PRIMARIES hold the slots in
 * three equal parts, one more can be a replica of the first. Whatever fails here ends the program.
 */
#pragma once

#include <stdbool.h>

#include "tests/support/redis_fixture.h"

enum { FW_CLUSTER_PRIMARIES = 3, FW_CLUSTER_SERVERS_MAX = 4 };

typedef struct {
    fw_redis_fixture_t *servers[FW_CLUSTER_SERVERS_MAX];
    redisContext *redis[FW_CLUSTER_SERVERS_MAX]; /* a connection to each */
    char ids[FW_CLUSTER_SERVERS_MAX][41];
    size_t count;
    char url[128]; /* cluster://… of the first and the second server */
} fw_redis_cluster_fixture_t;

/* Starts it and waits until it takes commands. with_replica: a fourth server replicates the first.
 */
fw_redis_cluster_fixture_t *fw_redis_cluster_start(bool with_replica)
    __attribute__((warn_unused_result));
void fw_redis_cluster_stop(fw_redis_cluster_fixture_t **self_p); /* NULL-safe */

/* The server that holds the key's slot, as the cluster says. */
size_t fw_redis_cluster_owner(fw_redis_cluster_fixture_t *self, const char *key);
/* A connection to that server. */
redisContext *fw_redis_cluster_at(fw_redis_cluster_fixture_t *self, const char *key);
/* Keys of all primaries but the marks of workers and the epoch. */
long long fw_redis_cluster_size(fw_redis_cluster_fixture_t *self);
/* Begins to move a slot, or gives it to its new owner for good. */
void fw_redis_cluster_migrate(fw_redis_cluster_fixture_t *self, int slot, size_t from, size_t to);
void fw_redis_cluster_assign(fw_redis_cluster_fixture_t *self, int slot, size_t to);
