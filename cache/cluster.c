/* cluster.c - see cluster.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cache/cluster.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/connection.h"
#include "cache/sentinel.h"
#include "cache/slot_map.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    PORT = 6379,
    TRYAGAIN_MS = 10, /* some keys of a command are still on their way */
    NOBODY = -1,
};

typedef struct {
    fw_slot_server_t address;
    fw_cache_connection_t *connection;
    unsigned failures; /* in a row */
    int64_t rest_until_ms;
} node_t;

typedef struct {
    char *user;
    char *password;
    int64_t timeout_ms;
    char *nodes_text;
    fw_slot_map_t map;
    bool map_is_old;
    node_t *nodes; /* every server that was ever needed, at most FW_SLOT_SERVERS_MAX */
    size_t nodes_count;
    int *homes; /* of the commands of this exchange: index of the node, or NOBODY */
    size_t homes_capacity;
    fw_cache_replies_t replies; /* of the last exchange */
    bool lost;                  /* a connection, during this exchange */
    char reason[FW_CACHE_REASON_SIZE];
} cluster_t;

/* ---- servers */

static int find_node(cluster_t *self, const fw_slot_server_t *address)
{
    for (size_t i = 0; i < self->nodes_count; i++) {
        if (self->nodes[i].address.port == address->port &&
            strcmp(self->nodes[i].address.host, address->host) == 0) {
            return (int)i;
        }
    }
    if (self->nodes_count == FW_SLOT_SERVERS_MAX) {
        return NOBODY;
    }
    node_t *node = &self->nodes[self->nodes_count];
    const fw_cache_redis_options_t options = {
        .host = address->host,
        .port = address->port,
        .user = self->user,
        .password = self->password,
        .timeout_ms = self->timeout_ms,
    };
    *node = (node_t){.address = *address};
    node->connection = fw_cache_connection_new(&options);
    return (int)self->nodes_count++;
}

static void node_failed(cluster_t *self, node_t *node)
{
    (void)snprintf(self->reason, sizeof(self->reason), "%.60s:%d: %.80s", node->address.host,
                   node->address.port, fw_cache_connection_reason(node->connection));
    fw_cache_connection_leave(node->connection);
    node->failures += node->failures < FW_CACHE_REDIS_FAILURES_MAX;
    node->rest_until_ms = fw_clock_ms() + FW_CACHE_REDIS_REST_MS;
    self->lost = true;
    self->map_is_old = true;
}

static bool is_resting(const node_t *node)
{
    return node->failures >= FW_CACHE_REDIS_FAILURES_MAX && fw_clock_ms() < node->rest_until_ms;
}

/* ---- the map */

static void add_range(cluster_t *self, const node_t *node, const redisReply *range)
{
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
        range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER) {
        return;
    }
    const redisReply *primary = range->element[2];
    if (primary->type != REDIS_REPLY_ARRAY || primary->elements < 2 ||
        primary->element[1]->type != REDIS_REPLY_INTEGER) {
        return;
    }
    /* A server that does not know its own address leaves it out. */
    const char *host =
        primary->element[0]->type == REDIS_REPLY_STRING && primary->element[0]->len > 0
            ? primary->element[0]->str
            : node->address.host;
    (void)fw_slot_map_add(&self->map, range->element[0]->integer, range->element[1]->integer, host,
                          primary->element[1]->integer);
}

static bool ask_for_map(cluster_t *self, const fw_slot_server_t *address)
{
    const char *words[] = {"CLUSTER", "SLOTS"};
    int index = find_node(self, address);
    if (index == NOBODY || is_resting(&self->nodes[index])) {
        return false;
    }
    node_t *node = &self->nodes[index];
    redisReply *reply = NULL;
    int result = fw_cache_connection_ready(node->connection);
    if (result == 0) {
        result = fw_cache_connection_append_words(node->connection, 2, words);
    }
    if (result == 0) {
        result = fw_cache_connection_receive(node->connection, &reply);
    }
    if (result < 0) {
        node_failed(self, node);
        return false;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(self->reason, sizeof(self->reason), "%.150s", reply->str);
    } else if (reply->type == REDIS_REPLY_ARRAY) {
        fw_slot_map_clear(&self->map);
        for (size_t i = 0; i < reply->elements; i++) {
            add_range(self, node, reply->element[i]);
        }
    }
    freeReplyObject(reply);
    return self->map.servers_count > 0;
}

/* Forgets servers that are gone, before there are too many. */
static void forget_nodes(cluster_t *self)
{
    if (self->nodes_count < FW_SLOT_SERVERS_MAX / 2) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < self->nodes_count; i++) {
        if (fw_slot_map_has(&self->map, &self->nodes[i].address)) {
            self->nodes[kept++] = self->nodes[i];
        } else {
            fw_cache_connection_destroy(&self->nodes[i].connection);
        }
    }
    self->nodes_count = kept;
}

static int use_map(cluster_t *self)
{
    self->map_is_old = false;
    forget_nodes(self);
    return 0;
}

/* Asks the servers that are known, then those of the configuration. */
static int read_map(cluster_t *self)
{
    size_t known = self->nodes_count;
    for (size_t i = 0; i < known; i++) {
        if (ask_for_map(self, &self->nodes[i].address)) {
            return use_map(self);
        }
    }
    const char *rest = self->nodes_text;
    while (*(rest += strspn(rest, ", "))) {
        fw_slot_server_t address;
        if (fw_cache_next_server(&rest, PORT, &address) && ask_for_map(self, &address)) {
            return use_map(self);
        }
    }
    return -ENOTCONN;
}

/* ---- one round trip */

static int home_of(cluster_t *self, const fw_cache_command_t *command)
{
    const fw_slot_server_t *server =
        command->route.size > 0 ? fw_slot_map_server(&self->map, fw_slot_of(command->route))
                                : &self->map.servers[0];
    return server ? find_node(self, server) : NOBODY;
}

/* The server is asked the commands whose home it is. On failure they have no home any more. */
static void send_to(cluster_t *self, int index, const fw_cache_command_t *commands, size_t count)
{
    node_t *node = &self->nodes[index];
    int result = is_resting(node) ? -EAGAIN : fw_cache_connection_ready(node->connection);
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (self->homes[i] == index && !self->replies.replies[i]) {
            result = fw_cache_connection_append(node->connection, &commands[i]);
        }
    }
    if (result == 0) {
        result = fw_cache_connection_flush(node->connection);
    }
    if (result == 0) {
        return;
    }
    if (result != -EAGAIN) {
        node_failed(self, node);
    }
    for (size_t i = 0; i < count; i++) {
        self->homes[i] = self->homes[i] == index ? NOBODY : self->homes[i];
    }
}

/* False: the server closed a connection that had been used before, and answered nothing. */
static bool receive_from(cluster_t *self, int index, size_t count)
{
    node_t *node = &self->nodes[index];
    size_t received = 0;
    for (size_t i = 0; i < count; i++) {
        if (self->homes[i] != index || self->replies.replies[i]) {
            continue;
        }
        int result = fw_cache_connection_receive(node->connection, &self->replies.replies[i]);
        if (result < 0) {
            node_failed(self, node);
            return result != -EPIPE || received > 0;
        }
        received++;
    }
    node->failures = received > 0 ? 0 : node->failures;
    return true;
}

/* Every command once to its server. A connection that was closed while nothing was asked, by a
 * restart or an idle time-out, is opened again: were the commands run nevertheless, then twice is
 * harmless, a lease is good for one store only. */
static void ask_all(cluster_t *self, const fw_cache_command_t *commands, size_t count)
{
    bool again[FW_SLOT_SERVERS_MAX] = {false};
    bool used[FW_SLOT_SERVERS_MAX] = {false};
    size_t nodes = self->nodes_count;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (self->homes[i] != NOBODY) {
            used[self->homes[i]] = true;
        }
    }
    for (size_t node = 0; node < nodes; node++) {
        again[node] = used[node] && fw_cache_connection_is_open(self->nodes[node].connection);
        if (used[node]) {
            send_to(self, (int)node, commands, count);
        }
    }
    for (size_t node = 0; node < nodes; node++) {
        again[node] = used[node] && !receive_from(self, (int)node, count) && again[node];
        any = any || again[node];
    }
    for (size_t node = 0; any && node < nodes; node++) {
        if (again[node]) {
            send_to(self, (int)node, commands, count);
            (void)receive_from(self, (int)node, count);
        }
    }
}

static bool begins_with(const redisReply *reply, const char *word)
{
    return reply && reply->type == REDIS_REPLY_ERROR &&
           strncmp(reply->str, word, strlen(word)) == 0;
}

/* Asks one server, other than all were asked. asking: the slot is on its way there, so it answers
 * only who says that he knows. False when it does not answer; then *reply is as before. */
static bool ask_one(cluster_t *self, int index, const fw_cache_command_t *command, bool asking,
                    redisReply **reply)
{
    const char *words[] = {"ASKING"};
    node_t *node = &self->nodes[index];
    if (is_resting(node)) {
        return false;
    }
    redisReply *asked = NULL;
    redisReply *answer = NULL;
    int result = fw_cache_connection_ready(node->connection);
    if (result == 0 && asking) {
        result = fw_cache_connection_append_words(node->connection, 1, words);
    }
    if (result == 0) {
        result = fw_cache_connection_append(node->connection, command);
    }
    if (result == 0 && asking) {
        result = fw_cache_connection_receive(node->connection, &asked);
    }
    if (result == 0) {
        result = fw_cache_connection_receive(node->connection, &answer);
    }
    freeReplyObject(asked);
    if (result < 0) {
        node_failed(self, node);
        return false;
    }
    freeReplyObject(*reply);
    *reply = answer;
    return true;
}

/* Where a redirection points, or where the command is already. */
static int next_home(cluster_t *self, const redisReply *reply, int home)
{
    fw_slot_server_t address;
    if (begins_with(reply, "TRYAGAIN")) {
        (void)poll(NULL, 0, TRYAGAIN_MS);
        return home;
    }
    if (!fw_slot_redirect(reply->str, &address)) {
        return NOBODY;
    }
    if (!*address.host) { /* the one that answered */
        memcpy(address.host, self->nodes[home].address.host, sizeof(address.host));
    }
    return find_node(self, &address);
}

/* Goes after one command until somebody answers it. */
static void redirect(cluster_t *self, const fw_cache_command_t *command, int home,
                     redisReply **reply)
{
    bool asking = false;
    for (int tries = 0; tries < FW_CACHE_CLUSTER_REDIRECTS_MAX; tries++) {
        bool again = begins_with(*reply, "TRYAGAIN");
        bool moved = begins_with(*reply, "MOVED ");
        if (!again && !moved && !begins_with(*reply, "ASK ")) {
            return;
        }
        self->map_is_old = self->map_is_old || moved;
        asking = again ? asking : !moved;
        home = next_home(self, *reply, home);
        if (home == NOBODY || !ask_one(self, home, command, asking, reply)) {
            return;
        }
    }
}

static void must_leave(cluster_t *self, int index, const redisReply *reply)
{
    if (index != NOBODY &&
        (begins_with(reply, "READONLY") || begins_with(reply, "LOADING") ||
         begins_with(reply, "MASTERDOWN") || begins_with(reply, "CLUSTERDOWN"))) {
        fw_cache_connection_leave(self->nodes[index].connection);
        self->map_is_old = true;
    }
}

static int exchange_guarded(cluster_t *self, const fw_cache_command_t *commands, size_t count,
                            fw_cache_reply_t *ret_replies)
{
    if (self->map_is_old) {
        int result = read_map(self);
        if (result < 0) {
            return result;
        }
    }
    if (count > self->homes_capacity) {
        free(self->homes);
        self->homes = fw_alloc(count, sizeof(self->homes[0]));
        self->homes_capacity = count;
    }
    fw_cache_replies_begin(&self->replies, count);
    (void)snprintf(self->reason, sizeof(self->reason), "no server holds the slot");
    for (size_t i = 0; i < count; i++) {
        self->homes[i] = home_of(self, &commands[i]);
    }
    ask_all(self, commands, count);
    for (size_t i = 0; i < count; i++) {
        ret_replies[i] = (fw_cache_reply_t){.error = self->reason};
        if (self->replies.replies[i]) {
            redirect(self, &commands[i], self->homes[i], &self->replies.replies[i]);
            must_leave(self, self->homes[i], self->replies.replies[i]);
        }
    }
    fw_cache_replies_convert(&self->replies, ret_replies);
    return 0;
}

static int exchange(void *context, const fw_cache_command_t *commands, size_t count,
                    fw_cache_reply_t *ret_replies, const char **ret_reason)
{
    cluster_t *self = context;
    self->lost = false;
    *ret_reason = self->reason;
    sigset_t signals = fw_cache_connection_guard();
    int result = exchange_guarded(self, commands, count, ret_replies);
    fw_cache_connection_unguard(&signals, self->lost);
    return result;
}

/* ---- life */

static char *copy(const char *text)
{
    return text ? fw_copy_text(text, strlen(text)) : NULL;
}

static void destroy(void *context)
{
    cluster_t *self = context;
    fw_cache_replies_free(&self->replies);
    for (size_t i = 0; i < self->nodes_count; i++) {
        fw_cache_connection_destroy(&self->nodes[i].connection);
    }
    free(self->nodes);
    free(self->homes);
    free(self->nodes_text);
    free(self->user);
    free(self->password);
    free(self);
}

fw_cache_transport_t fw_cache_cluster_transport(const char *nodes,
                                                const fw_cache_redis_options_t *options)
{
    cluster_t *self = fw_alloc(1, sizeof(*self));
    self->user = copy(options->user);
    self->password = copy(options->password);
    self->timeout_ms = options->timeout_ms;
    self->nodes_text = copy(nodes);
    self->nodes = fw_alloc(FW_SLOT_SERVERS_MAX, sizeof(self->nodes[0]));
    self->map_is_old = true;
    fw_slot_map_clear(&self->map);
    return (fw_cache_transport_t){self, exchange, destroy};
}
