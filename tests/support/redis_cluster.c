/* redis_cluster.c - a private Redis Cluster for one test.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/redis_cluster.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/slot_map.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum { START_MS_MAX = 30000 };

__attribute__((noreturn)) static void give_up(const char *what)
{
    (void)fprintf(stderr, "redis_cluster: %s\n", what);
    abort();
}

static void pause_a_little(void)
{
    (void)poll(NULL, 0, 20);
}

/* Waits until the server says so in the answer to a command that gives text. */
static void await_text(redisContext *redis, const char *command, const char *expected)
{
    for (int64_t deadline_ms = fw_clock_ms() + START_MS_MAX;; pause_a_little()) {
        redisReply *reply = fw_redis_command(redis, command);
        bool good = reply->str && strstr(reply->str, expected);
        freeReplyObject(reply);
        if (good) {
            return;
        }
        if (fw_clock_ms() > deadline_ms) {
            give_up(expected);
        }
    }
}

static void start_server(fw_redis_cluster_fixture_t *self)
{
    static const char *const arguments[] = {"--cluster-enabled",
                                            "yes",
                                            "--cluster-node-timeout",
                                            "1000",
                                            "--cluster-require-full-coverage",
                                            "no",
                                            "--repl-ping-replica-period",
                                            "1",
                                            NULL};
    size_t i = self->count++;
    self->servers[i] = fw_redis_fixture_start_with(arguments);
    self->redis[i] = fw_redis_fixture_connect(self->servers[i]);
    redisReply *reply = fw_redis_command(self->redis[i], "CLUSTER MYID");
    (void)snprintf(self->ids[i], sizeof(self->ids[i]), "%s", reply->str);
    freeReplyObject(reply);
    fw_redis_do(self->redis[i], "CLUSTER SET-CONFIG-EPOCH %d", (int)i + 1);
    if (i > 0) {
        fw_redis_do(self->redis[i], "CLUSTER MEET 127.0.0.1 %d",
                    fw_redis_fixture_port(self->servers[0]));
    }
}

fw_redis_cluster_fixture_t *fw_redis_cluster_start(bool with_replica)
{
    fw_redis_cluster_fixture_t *self = fw_alloc(1, sizeof(*self));
    for (int i = 0; i < FW_CLUSTER_PRIMARIES + with_replica; i++) {
        start_server(self);
    }
    int part = FW_SLOTS / FW_CLUSTER_PRIMARIES;
    for (int i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        int last = i + 1 == FW_CLUSTER_PRIMARIES ? FW_SLOTS - 1 : (i + 1) * part - 1;
        fw_redis_do(self->redis[i], "CLUSTER ADDSLOTSRANGE %d %d", i * part, last);
    }
    char known[32];
    (void)snprintf(known, sizeof(known), "cluster_known_nodes:%zu", self->count);
    for (size_t i = 0; i < self->count; i++) {
        await_text(self->redis[i], "CLUSTER INFO", known);
        await_text(self->redis[i], "CLUSTER INFO", "cluster_slots_ok:16384");
        await_text(self->redis[i], "CLUSTER INFO", "cluster_state:ok");
    }
    if (with_replica) {
        fw_redis_do(self->redis[FW_CLUSTER_PRIMARIES], "CLUSTER REPLICATE %s", self->ids[0]);
        await_text(self->redis[FW_CLUSTER_PRIMARIES], "INFO replication", "master_link_status:up");
        await_text(self->redis[0], "INFO replication", "state=online");
    }
    (void)snprintf(self->url, sizeof(self->url), "cluster://127.0.0.1:%d,127.0.0.1:%d",
                   fw_redis_fixture_port(self->servers[0]),
                   fw_redis_fixture_port(self->servers[1]));
    return self;
}

void fw_redis_cluster_stop(fw_redis_cluster_fixture_t **self_p)
{
    fw_redis_cluster_fixture_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        redisFree(self->redis[i]);
        fw_redis_fixture_stop(&self->servers[i]);
    }
    free(self);
    *self_p = NULL;
}

size_t fw_redis_cluster_owner(fw_redis_cluster_fixture_t *self, const char *key)
{
    for (size_t i = 0; i < self->count; i++) {
        redisReply *reply = redisCommand(self->redis[i], "SET %s x", key);
        bool good = reply && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (good) {
            return i;
        }
    }
    give_up("nobody takes a key");
}

redisContext *fw_redis_cluster_at(fw_redis_cluster_fixture_t *self, const char *key)
{
    return self->redis[fw_redis_cluster_owner(self, key)];
}

long long fw_redis_cluster_size(fw_redis_cluster_fixture_t *self)
{
    long long size = 0;
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        redisReply *keys = fw_redis_command(self->redis[i], "KEYS *");
        for (size_t k = 0; k < keys->elements; k++) {
            const char *key = keys->element[k]->str;
            size += !strstr(key, "lineage") && strcmp(key, "fw:epoch") != 0;
        }
        freeReplyObject(keys);
    }
    return size;
}

void fw_redis_cluster_migrate(fw_redis_cluster_fixture_t *self, int slot, size_t from, size_t to)
{
    fw_redis_do(self->redis[to], "CLUSTER SETSLOT %d IMPORTING %s", slot, self->ids[from]);
    fw_redis_do(self->redis[from], "CLUSTER SETSLOT %d MIGRATING %s", slot, self->ids[to]);
}

void fw_redis_cluster_assign(fw_redis_cluster_fixture_t *self, int slot, size_t to)
{
    fw_redis_do(self->redis[to], "CLUSTER SETSLOT %d NODE %s", slot, self->ids[to]);
    for (size_t i = 0; i < FW_CLUSTER_PRIMARIES; i++) {
        if (i != to) {
            fw_redis_do(self->redis[i], "CLUSTER SETSLOT %d NODE %s", slot, self->ids[to]);
        }
    }
}
