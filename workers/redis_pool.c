/* redis_pool.c - the servers of one Redis.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "cache/scripts.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "workers/purge_piece.h"
#include "workers/redis_pool_internal.h"

static bool connected(const fw_redis_node_t *node)
{
    return node->link && fw_redis_link_state(node->link) == FW_REDIS_LINK_CONNECTED;
}

static bool is_ready(const fw_redis_pool_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->serving; i++) {
        count += connected(self->nodes[i]);
    }
    /* A cluster is not called ready while its servers are being connected for the first time. */
    bool gathering = self->cluster && !self->ready && fw_clock_ms() < self->cluster->gathered_ms;
    return count > 0 && (count == self->serving || !gathering);
}

static void update_ready(fw_redis_pool_t *self)
{
    bool ready = is_ready(self);
    if (ready != self->ready && !self->ending) {
        self->ready = ready;
        self->config.on_ready(self->config.context);
    }
}

/* ---- what happens at a server */

static void on_state(void *context, fw_redis_link_state_t state)
{
    (void)state;
    fw_redis_node_t *node = context;
    update_ready(node->pool);
}

static void on_link_error(void *context, fw_redis_error_t error)
{
    fw_redis_node_t *node = context;
    node->pool->config.on_error(node->pool->config.context, error);
}

static void on_command_error(void *context, fw_redis_error_t error)
{
    on_link_error(context, error);
}

static void on_turn(void *context)
{
    fw_redis_node_t *node = context;
    if (node->pool->config.on_turn) {
        node->pool->config.on_turn(node->pool->config.context);
    }
}

static void on_batch(void *context, size_t jobs)
{
    fw_redis_node_t *node = context;
    node->pool->config.on_batch(node->pool->config.context, jobs);
}

static void on_decided(void *context, fw_purge_job_t **job_p)
{
    fw_redis_node_t *node = context;
    fw_purge_job_t *job = *job_p;
    *job_p = NULL;
    if (node->pool->cluster) {
        fw_redis_cluster_decided(node->pool, job);
    } else {
        fw_redis_pool_settle(node->pool, job);
    }
}

void fw_redis_pool_settle(fw_redis_pool_t *self, fw_purge_job_t *job)
{
    while (job->inner) {
        job = fw_purge_piece_merge(&job);
        if (!job) {
            return; /* Other servers are still at it. */
        }
    }
    self->config.on_decided(self->config.context, &job);
}

/* ---- nodes */

static fw_redis_node_t *make_node(fw_redis_pool_t *self, const fw_redis_address_t *address,
                                  int64_t now_ms)
{
    fw_redis_node_t *node = fw_alloc(1, sizeof(*node));
    node->pool = self;
    node->address = *address;
    node->made_ms = node->wanted_ms = now_ms;
    const fw_redis_link_config_t link = {
        .address = *address,
        .timeout_ms = self->config.timeout_ms,
        .name = self->config.name,
        .script = fw_cache_script_bump,
        .seed = self->config.seed + (uint64_t)now_ms + self->nodes_count,
        .on_state = on_state,
        .on_error = on_link_error,
        .on_turn = on_turn,
        .context = node,
    };
    node->link = fw_redis_link_new(self->loop, &link);
    const fw_purge_pipeline_config_t pipeline = {
        .redis = node->link,
        .stamp_ttl_ms = self->config.stamp_ttl_ms,
        .by_slot = self->cluster != NULL,
        .seed = self->config.seed,
        .on_decided = on_decided,
        .on_error = on_command_error,
        .on_batch = on_batch,
        .context = node,
    };
    node->pipeline = fw_purge_pipeline_new(&pipeline);
    return node;
}

fw_redis_node_t *fw_redis_pool_node(fw_redis_pool_t *self, const fw_redis_address_t *address,
                                    int64_t now_ms)
{
    for (size_t i = 0; i < self->nodes_count; i++) {
        const fw_redis_address_t *known = &self->nodes[i]->address;
        if (known->port == address->port && strcmp(known->host, address->host) == 0 &&
            strcmp(known->path, address->path) == 0) {
            return self->nodes[i];
        }
    }
    if (self->nodes_count == FW_REDIS_NODES_MAX) {
        return NULL;
    }
    self->nodes[self->nodes_count] = make_node(self, address, now_ms);
    return self->nodes[self->nodes_count++];
}

static void destroy_node(fw_redis_node_t *node)
{
    /* Its jobs fail while the link is destroyed, and may give it new ones until then. */
    fw_redis_link_destroy(&node->link);
    fw_purge_pipeline_destroy(&node->pipeline);
    free(node);
}

void fw_redis_pool_drop(fw_redis_pool_t *self, fw_redis_node_t *node)
{
    size_t at = 0;
    while (self->nodes[at] != node) {
        at++;
    }
    self->nodes_count--;
    memmove(&self->nodes[at], &self->nodes[at + 1],
            (self->nodes_count - at) * sizeof(fw_redis_node_t *));
    self->restarts_gone += fw_redis_link_restarts(node->link);
    fw_redis_pool_arrange(self);
    destroy_node(node);
}

void fw_redis_pool_arrange(fw_redis_pool_t *self)
{
    fw_redis_node_t *old[FW_REDIS_NODES_MAX];
    memcpy(old, self->nodes, sizeof(old));
    size_t at = 0;
    for (size_t i = 0; i < self->nodes_count; i++) {
        if (old[i]->serving) {
            self->nodes[at++] = old[i];
        }
    }
    self->serving = at;
    for (size_t i = 0; i < self->nodes_count; i++) {
        if (!old[i]->serving) {
            self->nodes[at++] = old[i];
        }
    }
    self->generation++;
}

/* ---- Sentinels */

/* Goes to the server that the Sentinels name. When they are silent the last one is kept. */
static void follow_sentinels(fw_redis_pool_t *self, int64_t now_ms)
{
    fw_sentinel_tick(self->sentinel, now_ms);
    const fw_slot_server_t *primary = fw_sentinel_primary(self->sentinel, now_ms);
    fw_redis_address_t address;
    if (!primary ||
        !fw_redis_url_server(self->config.url, primary->host, primary->port, &address)) {
        return;
    }
    fw_redis_node_t *old = self->nodes_count > 0 ? self->nodes[0] : NULL;
    if (old && old->address.port == address.port && strcmp(old->address.host, address.host) == 0) {
        return;
    }
    fw_log(FW_LOG_INFO, "the sentinels name the primary", FW_KV_TEXT("host", address.host),
           FW_KV_INT("port", address.port));
    fw_redis_node_t *node = fw_redis_pool_node(self, &address, now_ms);
    assert(node);
    node->serving = true;
    if (old) {
        fw_redis_pool_drop(self, old);
    } else {
        fw_redis_pool_arrange(self);
    }
    update_ready(self);
}

/* ---- work */

void fw_redis_pool_tick(fw_redis_pool_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->nodes_count; i++) {
        fw_redis_link_tick(self->nodes[i]->link, now_ms);
    }
    if (self->sentinel) {
        follow_sentinels(self, now_ms);
    }
    if (self->cluster) {
        fw_redis_cluster_tick(self, now_ms);
        update_ready(self);
    }
}

bool fw_redis_pool_ready(const fw_redis_pool_t *self)
{
    return self->ready;
}

bool fw_redis_pool_clustered(const fw_redis_pool_t *self)
{
    return self->cluster != NULL;
}

uint64_t fw_redis_pool_restarts(const fw_redis_pool_t *self)
{
    uint64_t restarts = self->restarts_gone;
    for (size_t i = 0; i < self->nodes_count; i++) {
        restarts += fw_redis_link_restarts(self->nodes[i]->link);
    }
    return restarts;
}

void fw_redis_pool_add(fw_redis_pool_t *self, fw_purge_job_t **job_p)
{
    fw_purge_job_t *job = *job_p;
    *job_p = NULL;
    if (self->ending) {
        fw_purge_job_fail(job, FW_PURGE_FAILED, "the worker stops", "");
        fw_redis_pool_settle(self, job);
    } else if (self->cluster) {
        fw_redis_cluster_route(self, job);
    } else if (self->serving > 0) {
        fw_purge_pipeline_add(self->nodes[0]->pipeline, &job);
    } else {
        fw_purge_job_fail(job, FW_PURGE_FAILED, "no sentinel has named the primary", "");
        fw_redis_pool_settle(self, job);
    }
}

void fw_redis_pool_run(fw_redis_pool_t *self)
{
    for (size_t i = 0; i < self->nodes_count; i++) {
        fw_purge_pipeline_run(self->nodes[i]->pipeline);
    }
}

/* ---- single commands */

uint64_t fw_redis_pool_generation(const fw_redis_pool_t *self)
{
    return self->generation;
}

size_t fw_redis_pool_servers(const fw_redis_pool_t *self)
{
    return self->serving;
}

const fw_redis_address_t *fw_redis_pool_server(const fw_redis_pool_t *self, size_t server)
{
    assert(server < self->serving);
    return &self->nodes[server]->address;
}

bool fw_redis_pool_connected(const fw_redis_pool_t *self, size_t server)
{
    assert(server < self->serving);
    return connected(self->nodes[server]);
}

size_t fw_redis_pool_server_of(const fw_redis_pool_t *self, fw_text_t key)
{
    const fw_redis_node_t *node = self->cluster       ? fw_redis_cluster_node_of(self, key)
                                  : self->serving > 0 ? self->nodes[0]
                                                      : NULL;
    for (size_t i = 0; node && i < self->serving; i++) {
        if (self->nodes[i] == node) {
            return i;
        }
    }
    return FW_REDIS_NO_SERVER;
}

int fw_redis_pool_call_server(fw_redis_pool_t *self, size_t server, int argc, const char **argv,
                              const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                              size_t index)
{
    if (self->ending || server >= self->serving) {
        return -ENOTCONN;
    }
    fw_redis_link_t *link = self->nodes[server]->link;
    int result = fw_redis_link_command(link, argc, argv, sizes, reply_fn, context, index);
    fw_redis_link_flush(link);
    return result;
}

int fw_redis_pool_call(fw_redis_pool_t *self, fw_text_t key, int argc, const char **argv,
                       const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                       size_t index)
{
    return fw_redis_pool_call_server(self, fw_redis_pool_server_of(self, key), argc, argv, sizes,
                                     reply_fn, context, index);
}

/* ---- life */

fw_redis_pool_t *fw_redis_pool_new(zloop_t *loop, const fw_redis_pool_config_t *config)
{
    fw_redis_pool_t *self = fw_alloc(1, sizeof(*self));
    self->loop = loop;
    self->config = *config;
    int64_t now_ms = fw_clock_ms();
    const fw_redis_url_t *url = config->url;
    switch (url->topology) {
    case FW_REDIS_SINGLE:
        fw_redis_pool_node(self, &url->seeds[0], now_ms)->serving = true;
        break;
    case FW_REDIS_SENTINEL: {
        const fw_redis_link_config_t link = {.timeout_ms = config->timeout_ms,
                                             .name = config->name,
                                             .seed = config->seed,
                                             .on_error = config->on_error,
                                             .context = config->context};
        self->sentinel = fw_sentinel_new(loop, url, &link);
        break;
    }
    case FW_REDIS_CLUSTER:
        self->cluster = fw_redis_cluster_new();
        break;
    }
    fw_redis_pool_arrange(self);
    return self;
}

void fw_redis_pool_destroy(fw_redis_pool_t **self_p)
{
    fw_redis_pool_t *self = *self_p;
    if (!self) {
        return;
    }
    self->ending = true;
    if (self->cluster) {
        fw_redis_cluster_end(self);
    }
    for (size_t i = 0; i < self->nodes_count; i++) {
        fw_redis_link_destroy(&self->nodes[i]->link);
    }
    if (self->cluster) {
        fw_redis_cluster_end(self); /* What the servers' last failures left. */
    }
    for (size_t i = 0; i < self->nodes_count; i++) {
        fw_purge_pipeline_destroy(&self->nodes[i]->pipeline);
        free(self->nodes[i]);
    }
    fw_sentinel_destroy(&self->sentinel);
    fw_redis_cluster_destroy(&self->cluster);
    free(self);
    *self_p = NULL;
}
