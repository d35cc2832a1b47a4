/* redis_pool_internal.h - what redis_pool.c and redis_cluster.c share.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "cache/slot_map.h"
#include "workers/purge_pipeline.h"
#include "workers/redis_pool.h"
#include "workers/sentinel.h"

enum { FW_REDIS_NODES_MAX = FW_SLOT_SERVERS_MAX + FW_REDIS_SEEDS_MAX };

/* One server: a connection and what runs on it. */
typedef struct {
    fw_redis_pool_t *pool;
    fw_redis_address_t address;
    fw_redis_link_t *link;
    fw_purge_pipeline_t *pipeline;
    bool serving; /* holds keys */
    int64_t made_ms;
    int64_t wanted_ms;   /* the last time that it was of use */
    uint64_t moved_seen; /* as of fw_redis_link_moved */
} fw_redis_node_t;

/* A piece that waits for the slots to be known, or for a connection. */
typedef struct {
    fw_purge_job_t *job;
    int64_t until_ms;
    uint64_t version; /* the slots must be newer than these */
    bool asks;        /* it is to go to this server */
    fw_slot_server_t server;
} fw_parked_t;

typedef struct {
    fw_slot_map_t *map;      /* of whose servers there are nodes; NULL = not known */
    fw_slot_map_t *incoming; /* what a server answered; NULL = nothing new */
    fw_redis_node_t *owners[FW_SLOT_SERVERS_MAX]; /* of the map's servers */
    uint64_t version;                             /* of the map */
    int64_t gathered_ms; /* until then all its servers are waited for at the start */
    bool wanted;         /* the map is known to be wrong */
    bool asked;          /* an answer is on its way */
    int64_t asked_ms;    /* the last time */
    size_t turn;         /* whom to ask next */
    char asked_host[FW_REDIS_HOST_SIZE_MAX + 1]; /* of whom it was */
    fw_parked_t *parked;
    size_t parked_count, parked_capacity;
    fw_log_limit_t log_limit;
} fw_redis_cluster_t;

struct fw_redis_pool {
    zloop_t *loop;
    fw_redis_pool_config_t config;
    fw_redis_node_t *nodes[FW_REDIS_NODES_MAX]; /* those that serve stand first */
    size_t nodes_count;
    size_t serving; /* of them */
    uint64_t generation;
    uint64_t restarts_gone; /* of servers that are no longer there */
    bool ready;
    bool ending;
    fw_sentinel_t *sentinel;     /* NULL unless there are Sentinels */
    fw_redis_cluster_t *cluster; /* NULL unless it is one */
};

/* ---- redis_pool.c */

/* The node at this address, made if there is none; NULL when there are too many. */
fw_redis_node_t *fw_redis_pool_node(fw_redis_pool_t *self, const fw_redis_address_t *address,
                                    int64_t now_ms);
/* Only from a tick: not while a node may be at work. */
void fw_redis_pool_drop(fw_redis_pool_t *self, fw_redis_node_t *node);
/* Puts those that serve first. */
void fw_redis_pool_arrange(fw_redis_pool_t *self);
/* Decides a job, and what it is a piece of. */
void fw_redis_pool_settle(fw_redis_pool_t *self, fw_purge_job_t *job);

/* ---- redis_cluster.c */

fw_redis_cluster_t *fw_redis_cluster_new(void) __attribute__((warn_unused_result));
/* Fails what waits. */
void fw_redis_cluster_end(fw_redis_pool_t *pool);
void fw_redis_cluster_destroy(fw_redis_cluster_t **self_p);
void fw_redis_cluster_tick(fw_redis_pool_t *pool, int64_t now_ms);
/* Gives each piece of the job to its server. */
void fw_redis_cluster_route(fw_redis_pool_t *pool, fw_purge_job_t *job);
/* A server has decided a piece. */
void fw_redis_cluster_decided(fw_redis_pool_t *pool, fw_purge_job_t *piece);
fw_redis_node_t *fw_redis_cluster_node_of(const fw_redis_pool_t *pool, fw_text_t name);
