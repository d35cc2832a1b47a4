/* redis_cluster.c - finds the servers of a Redis Cluster, and the right one for each key.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "workers/purge_piece.h"
#include "workers/redis_pool_internal.h"

static bool connected(const fw_redis_node_t *node)
{
    return node && fw_redis_link_state(node->link) == FW_REDIS_LINK_CONNECTED;
}

/* ---- the map */

static void complain(fw_redis_cluster_t *self, const char *detail)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->log_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, "the slots of the cluster are not known, asking again",
               FW_KV_TEXT("detail", detail), FW_KV_UINT("suppressed", suppressed));
    }
}

/* Notes one entry: first and last slot, then the primary's host and port, then replicas. */
static bool take_range(const fw_redis_cluster_t *self, const redisReply *range)
{
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
        range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER ||
        range->element[2]->type != REDIS_REPLY_ARRAY || range->element[2]->elements < 2) {
        return false;
    }
    const redisReply *host = range->element[2]->element[0];
    const redisReply *port = range->element[2]->element[1];
    if (port->type != REDIS_REPLY_INTEGER) {
        return false;
    }
    /* A server that does not know its own name is the one that was asked. */
    bool named = host->type == REDIS_REPLY_STRING && host->len > 0;
    return fw_slot_map_add(self->incoming, range->element[0]->integer, range->element[1]->integer,
                           named ? host->str : self->asked_host, port->integer);
}

static void on_slots(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_redis_pool_t *pool = context;
    fw_redis_cluster_t *self = pool->cluster;
    self->asked = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        complain(self, reply && reply->type == REDIS_REPLY_ERROR ? reply->str : "no answer");
        return;
    }
    free(self->incoming);
    self->incoming = fw_alloc(1, sizeof(*self->incoming));
    fw_slot_map_clear(self->incoming);
    for (size_t i = 0; i < reply->elements; i++) {
        if (!take_range(self, reply->element[i])) {
            complain(self, "an entry makes no sense");
        }
    }
    if (self->incoming->servers_count == 0) {
        complain(self, "no server holds any slot");
        free(self->incoming);
        self->incoming = NULL;
    }
}

/* Asks the next server that is there. */
static void ask(fw_redis_pool_t *pool, int64_t now_ms)
{
    fw_redis_cluster_t *self = pool->cluster;
    self->asked_ms = now_ms;
    for (size_t i = 0; i < pool->nodes_count; i++) {
        fw_redis_node_t *node = pool->nodes[self->turn++ % pool->nodes_count];
        if (!connected(node)) {
            continue;
        }
        const char *argv[] = {"CLUSTER", "SLOTS"};
        const size_t sizes[] = {7, 5};
        self->asked = fw_redis_link_command(node->link, 2, argv, sizes, on_slots, pool, 0) == 0;
        memcpy(self->asked_host, node->address.host, sizeof(self->asked_host));
        fw_redis_link_flush(node->link);
        return;
    }
}

/* Makes what was answered the map, and the nodes those of its servers. */
static void adopt(fw_redis_pool_t *pool, int64_t now_ms)
{
    fw_redis_cluster_t *self = pool->cluster;
    bool same = self->map && memcmp(self->map, self->incoming, sizeof(*self->map)) == 0;
    free(self->map);
    self->map = self->incoming;
    self->incoming = NULL;
    self->version++;
    self->wanted = false;
    if (same) {
        return;
    }
    if (self->version == 1) {
        self->gathered_ms = now_ms + pool->config.timeout_ms;
    }
    for (size_t i = 0; i < pool->nodes_count; i++) {
        pool->nodes[i]->serving = false;
    }
    for (size_t i = 0; i < self->map->servers_count; i++) {
        const fw_slot_server_t *server = &self->map->servers[i];
        fw_redis_address_t address;
        self->owners[i] = NULL;
        if (fw_redis_url_server(pool->config.url, server->host, server->port, &address)) {
            self->owners[i] = fw_redis_pool_node(pool, &address, now_ms);
        }
        if (self->owners[i]) {
            self->owners[i]->serving = true;
        }
    }
    fw_redis_pool_arrange(pool);
    fw_log(FW_LOG_INFO, "the slots of the cluster are known",
           FW_KV_UINT("servers", self->map->servers_count));
}

/* Leaves servers that are of no use, goes back to the seeds when none is left. */
static void tidy(fw_redis_pool_t *pool, int64_t now_ms)
{
    bool any = false;
    for (size_t i = 0; i < pool->nodes_count; i++) {
        fw_redis_node_t *node = pool->nodes[i];
        any |= connected(node);
        if (node->serving) {
            node->wanted_ms = now_ms;
        }
    }
    for (size_t i = 0; any && i < pool->nodes_count; i++) {
        fw_redis_node_t *node = pool->nodes[i];
        if (now_ms - node->wanted_ms > FW_CLUSTER_IDLE_MS) {
            fw_redis_pool_drop(pool, node);
            return; /* One at a time: dropping one may change the list in many ways. */
        }
    }
    const fw_redis_url_t *url = pool->config.url;
    for (size_t i = 0; !any && i < url->seeds_count; i++) {
        fw_redis_node_t *node = fw_redis_pool_node(pool, &url->seeds[i], now_ms);
        if (node) {
            node->wanted_ms = now_ms;
        }
    }
}

fw_redis_node_t *fw_redis_cluster_node_of(const fw_redis_pool_t *pool, fw_text_t name)
{
    const fw_redis_cluster_t *self = pool->cluster;
    uint16_t owner = self->map ? self->map->owners[fw_slot_of(name)] : FW_SLOT_NO_SERVER;
    return owner == FW_SLOT_NO_SERVER ? NULL : self->owners[owner];
}

/* ---- pieces that wait */

static void park(fw_redis_pool_t *pool, fw_parked_t parked)
{
    fw_redis_cluster_t *self = pool->cluster;
    if (self->parked_count == self->parked_capacity) {
        self->parked_capacity = self->parked_capacity ? 2 * self->parked_capacity : 16;
        self->parked = fw_realloc(self->parked, self->parked_capacity, sizeof(fw_parked_t));
    }
    self->parked[self->parked_count++] = parked;
}

static void park_for_map(fw_redis_pool_t *pool, fw_purge_job_t *job)
{
    pool->cluster->wanted = true;
    park(pool, (fw_parked_t){.job = job,
                             .until_ms = fw_clock_ms() + pool->config.timeout_ms,
                             .version = pool->cluster->version});
}

static void fail(fw_redis_pool_t *pool, fw_purge_job_t *job, const char *reason)
{
    fw_purge_job_fail(job, FW_PURGE_FAILED, reason, "");
    fw_redis_pool_settle(pool, job);
}

/* Is this a piece for a server that has only just been heard of? */
static bool awaits_connection(const fw_redis_pool_t *pool, const fw_purge_job_t *job,
                              int64_t now_ms)
{
    if (!job->inner || fw_purge_job_items(job) == 0) {
        return false;
    }
    fw_text_t name = job->keys_count > 0 ? job->keys[0] : job->stamp_keys[0];
    const fw_redis_node_t *node = fw_redis_cluster_node_of(pool, name);
    return node && !connected(node) && now_ms - node->made_ms < pool->config.timeout_ms;
}

/* True when nothing more is to be done about it. */
static bool unpark(fw_redis_pool_t *pool, const fw_parked_t *parked, int64_t now_ms)
{
    fw_redis_cluster_t *self = pool->cluster;
    if (parked->asks) {
        fw_redis_address_t address;
        fw_redis_node_t *node = NULL;
        if (fw_redis_url_server(pool->config.url, parked->server.host, parked->server.port,
                                &address)) {
            node = fw_redis_pool_node(pool, &address, now_ms);
        }
        if (connected(node)) {
            fw_purge_job_t *job = parked->job;
            job->asking = true;
            node->wanted_ms = now_ms;
            fw_purge_pipeline_add(node->pipeline, &job);
            return true;
        }
    } else if (self->map && self->version > parked->version &&
               (now_ms >= parked->until_ms || !awaits_connection(pool, parked->job, now_ms))) {
        fw_redis_cluster_route(pool, parked->job);
        return true;
    }
    if (now_ms >= parked->until_ms) {
        fail(pool, parked->job, "the cluster has no server for a key");
        return true;
    }
    return false;
}

static void unpark_all(fw_redis_pool_t *pool, int64_t now_ms)
{
    fw_redis_cluster_t *self = pool->cluster;
    /* What is parked meanwhile comes behind those that are there now. */
    size_t count = self->parked_count;
    for (size_t i = 0; i < count; i++) {
        fw_parked_t parked = self->parked[i];
        if (!unpark(pool, &parked, now_ms)) {
            park(pool, parked);
        }
    }
    if (count > 0) {
        self->parked_count -= count;
        memmove(self->parked, self->parked + count, self->parked_count * sizeof(fw_parked_t));
        fw_redis_pool_run(pool);
    }
}

/* ---- routing */

typedef struct {
    const fw_redis_pool_t *pool;
    const fw_redis_node_t *node;
} at_node_t;

static bool belongs_to_node(const void *context, fw_text_t name)
{
    const at_node_t *at = context;
    return fw_redis_cluster_node_of(at->pool, name) == at->node;
}

static bool is_name(const void *context, fw_text_t name)
{
    const fw_text_t *wanted = context;
    return name.text == wanted->text;
}

static fw_text_t name_at(const fw_purge_job_t *job, size_t index)
{
    return index < job->keys_count ? job->keys[index] : job->stamp_keys[index - job->keys_count];
}

/* The different nodes that hold the job's names; NULL among them stands for those without one. */
static size_t nodes_of(const fw_redis_pool_t *pool, const fw_purge_job_t *job,
                       fw_redis_node_t *ret_nodes[FW_REDIS_NODES_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < fw_purge_job_items(job); i++) {
        fw_redis_node_t *node = fw_redis_cluster_node_of(pool, name_at(job, i));
        size_t known = 0;
        while (known < count && ret_nodes[known] != node) {
            known++;
        }
        if (known == count) {
            ret_nodes[count++] = node;
        }
    }
    if (fw_purge_job_items(job) == 0) {
        /* Only the time is asked for: of every server. */
        count = pool->serving;
        memcpy(ret_nodes, pool->nodes, count * sizeof(fw_redis_node_t *));
    }
    return count;
}

static void give(fw_redis_pool_t *pool, fw_redis_node_t *node, fw_purge_job_t *piece)
{
    int64_t now_ms = fw_clock_ms();
    if (node && awaits_connection(pool, piece, now_ms)) {
        park(pool, (fw_parked_t){.job = piece,
                                 .until_ms = node->made_ms + pool->config.timeout_ms,
                                 .version = pool->cluster->version - 1});
    } else if (node) {
        fw_purge_pipeline_add(node->pipeline, &piece);
    } else {
        park_for_map(pool, piece);
    }
}

void fw_redis_cluster_route(fw_redis_pool_t *pool, fw_purge_job_t *job)
{
    fw_redis_node_t *nodes[FW_REDIS_NODES_MAX + 1];
    if (!pool->cluster->map) {
        park_for_map(pool, job);
        return;
    }
    size_t count = nodes_of(pool, job, nodes);
    if (count == 0) {
        park_for_map(pool, job);
        return;
    }
    if (count == 1 && job->inner) {
        give(pool, nodes[0], job);
        return;
    }
    /* All pieces before the first is begun: one that fails at once must not be taken for all. */
    fw_purge_job_t *pieces[FW_REDIS_NODES_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        const at_node_t at = {pool, nodes[i]};
        pieces[i] = fw_purge_piece_new(job, belongs_to_node, &at);
        pieces[i]->inner = true;
    }
    for (size_t i = 0; i < count; i++) {
        give(pool, nodes[i], pieces[i]);
    }
}

/* Forgets what became of a piece, so that it can be done once more. */
static void reopen(fw_purge_job_t *piece)
{
    piece->status = FW_PURGE_OPEN;
    piece->error = FW_REDIS_LOST;
    piece->reason[0] = 0;
    piece->redis_time = 0;
    piece->stamps_count = 0;
    piece->asking = false;
}

/* Cuts a piece into one for each name, because a slot that moves has its keys at two places. */
static void scatter(fw_redis_pool_t *pool, fw_purge_job_t *piece)
{
    size_t count = fw_purge_job_items(piece);
    fw_purge_job_t **parts = fw_alloc(count, sizeof(fw_purge_job_t *));
    for (size_t i = 0; i < count; i++) {
        fw_text_t name = name_at(piece, i);
        parts[i] = fw_purge_piece_new(piece, is_name, &name);
        parts[i]->inner = true;
        parts[i]->alone = true;
    }
    for (size_t i = 0; i < count; i++) {
        fw_redis_cluster_route(pool, parts[i]);
    }
    free(parts);
}

/* Where the reason of a piece says that its key is. */
static bool redirect_of(const fw_purge_job_t *piece, fw_slot_server_t *ret_server)
{
    const char *text = strstr(piece->reason, "ASK ");
    return text && fw_slot_redirect(text, ret_server) && ret_server->host[0];
}

void fw_redis_cluster_decided(fw_redis_pool_t *pool, fw_purge_job_t *piece)
{
    bool moves = piece->error == FW_REDIS_ASK ||
                 (piece->error == FW_REDIS_BUSY && strstr(piece->reason, "TRYAGAIN"));
    bool failed = piece->status == FW_PURGE_FAILED;
    if (failed && (piece->error == FW_REDIS_LOST || piece->error == FW_REDIS_MOVED)) {
        pool->cluster->wanted = true; /* Perhaps a replica has taken over. */
    }
    if (!failed || pool->ending || (!moves && piece->error != FW_REDIS_MOVED) ||
        piece->attempts >= FW_CLUSTER_ATTEMPTS_MAX) {
        fw_redis_pool_settle(pool, piece);
        return;
    }
    fw_slot_server_t server;
    bool asks = redirect_of(piece, &server);
    fw_redis_error_t error = piece->error;
    piece->attempts++;
    reopen(piece);
    bool moved = error == FW_REDIS_MOVED;
    if (!moved && fw_purge_job_items(piece) > 1) {
        scatter(pool, piece);
    } else if (!moved && asks) {
        park(pool, (fw_parked_t){.job = piece,
                                 .until_ms = fw_clock_ms() + pool->config.timeout_ms,
                                 .asks = true,
                                 .server = server});
    } else {
        park_for_map(pool, piece);
    }
}

/* ---- life */

void fw_redis_cluster_tick(fw_redis_pool_t *pool, int64_t now_ms)
{
    fw_redis_cluster_t *self = pool->cluster;
    tidy(pool, now_ms);
    for (size_t i = 0; i < pool->nodes_count; i++) {
        uint64_t moved = fw_redis_link_moved(pool->nodes[i]->link);
        self->wanted |= moved != pool->nodes[i]->moved_seen;
        pool->nodes[i]->moved_seen = moved;
    }
    int64_t since_ms = now_ms - self->asked_ms;
    bool due = self->wanted || !self->map ? since_ms >= FW_CLUSTER_RETRY_MS
                                          : since_ms >= FW_CLUSTER_ASK_MS;
    if (!self->asked && !self->incoming && (due || self->asked_ms == 0)) {
        ask(pool, now_ms);
    }
    if (self->incoming) {
        adopt(pool, now_ms);
    }
    unpark_all(pool, now_ms);
}

void fw_redis_cluster_end(fw_redis_pool_t *pool)
{
    fw_redis_cluster_t *self = pool->cluster;
    while (self->parked_count > 0) {
        fail(pool, self->parked[--self->parked_count].job, "the worker stops");
    }
}

fw_redis_cluster_t *fw_redis_cluster_new(void)
{
    return fw_alloc(1, sizeof(fw_redis_cluster_t));
}

void fw_redis_cluster_destroy(fw_redis_cluster_t **self_p)
{
    fw_redis_cluster_t *self = *self_p;
    if (!self) {
        return;
    }
    assert(self->parked_count == 0);
    free(self->map);
    free(self->incoming);
    free(self->parked);
    free(self);
    *self_p = NULL;
}
