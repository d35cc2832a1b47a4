/* redis.c - the cache's commands over one blocking hiredis connection.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cache/redis.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/connection.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

typedef struct {
    fw_cache_connection_t *connection;
    fw_cache_replies_t replies; /* of the last exchange */
    unsigned failures;          /* in a row */
    int64_t rest_until_ms;
} redis_t;

/* The server is of no use: it has become a replica, or is about to end. */
static bool must_leave(const fw_cache_reply_t *reply)
{
    return reply->error &&
           (strncmp(reply->error, "READONLY", 8) == 0 || strncmp(reply->error, "LOADING", 7) == 0 ||
            strncmp(reply->error, "MASTERDOWN", 10) == 0);
}

/* *ret_received: replies that came before it failed. */
static int send_and_receive(redis_t *self, const fw_cache_command_t *commands, size_t count,
                            size_t *ret_received)
{
    fw_cache_replies_begin(&self->replies, count);
    *ret_received = 0;
    int result = fw_cache_connection_ready(self->connection);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = fw_cache_connection_append(self->connection, &commands[i]);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = fw_cache_connection_receive(self->connection, &self->replies.replies[i]);
        *ret_received += result == 0;
    }
    if (result < 0) {
        fw_cache_connection_leave(self->connection);
    }
    return result;
}

/* *ret_lost: a connection was, perhaps while it was written to. */
static int ask_all(redis_t *self, const fw_cache_command_t *commands, size_t count,
                   fw_cache_reply_t *ret_replies, bool *ret_lost)
{
    bool used_before = fw_cache_connection_is_open(self->connection);
    size_t received = 0;
    int result = send_and_receive(self, commands, count, &received);
    *ret_lost = result < 0;
    if (result == -EPIPE && used_before && received == 0) {
        /* Closed while nothing was asked, by a restart or an idle time-out. Were the commands run
         * nevertheless, then twice is harmless: a lease is good for one store only. */
        result = send_and_receive(self, commands, count, &received);
    }
    if (result < 0) {
        return result;
    }
    fw_cache_replies_convert(&self->replies, ret_replies);
    for (size_t i = 0; i < count; i++) {
        if (must_leave(&ret_replies[i])) {
            fw_cache_connection_leave(self->connection);
            break;
        }
    }
    return 0;
}

static int exchange(void *context, const fw_cache_command_t *commands, size_t count,
                    fw_cache_reply_t *ret_replies, const char **ret_reason)
{
    redis_t *self = context;
    *ret_reason = fw_cache_connection_reason(self->connection);
    if (self->failures >= FW_CACHE_REDIS_FAILURES_MAX && fw_clock_ms() < self->rest_until_ms) {
        return -EAGAIN; /* The reason is still that of the last failure. */
    }
    sigset_t signals = fw_cache_connection_guard();
    bool lost = false;
    int result = ask_all(self, commands, count, ret_replies, &lost);
    fw_cache_connection_unguard(&signals, lost);
    if (result == 0) {
        self->failures = 0;
        return 0;
    }
    self->failures += self->failures < FW_CACHE_REDIS_FAILURES_MAX;
    self->rest_until_ms = fw_clock_ms() + FW_CACHE_REDIS_REST_MS;
    return result;
}

static void destroy(void *context)
{
    redis_t *self = context;
    fw_cache_replies_free(&self->replies);
    fw_cache_connection_destroy(&self->connection);
    free(self);
}

fw_cache_transport_t fw_cache_redis_transport(const fw_cache_redis_options_t *options)
{
    redis_t *self = fw_alloc(1, sizeof(*self));
    self->connection = fw_cache_connection_new(options);
    return (fw_cache_transport_t){self, exchange, destroy};
}
