/* redis.h - the cache's commands over one blocking hiredis connection.   SPDX-License-Identifier:
 * MPL-2.0 For one thread. Connects when it is first used and again after a failure; a server that
 * is a replica is not used. After 3 failures in a row nothing is tried for a second, so that a
 * Redis that hangs does not add its time-out to every request. */
#pragma once

#include "cache/transport.h"

struct redisContext;

enum {
    FW_CACHE_REDIS_TIMEOUT_MS = 250,
    FW_CACHE_REDIS_FAILURES_MAX = 3,
    FW_CACHE_REDIS_REST_MS = 1000,
    FW_CACHE_REDIS_ROLE_MS = 1000, /* how often the server is asked whether it is still a primary */
};

/* Everything is copied. */
typedef struct {
    const char *host; /* NULL = 127.0.0.1 */
    int port;         /* 0 = 6379 */
    const char *path; /* of a Unix socket, instead of host and port; NULL = none */
    /* Instead of host and port: "host:port,…" of Sentinels, which are asked for the primary of this
     * name before every connection. */
    const char *sentinels;
    const char *primary;
    const char *user; /* NULL = the default user */
    const char *password;
    int database;
    int64_t timeout_ms; /* to connect, and for each reply; 0 = FW_CACHE_REDIS_TIMEOUT_MS */
    /* Instead of host, port and path: returns a connection that is ready (over TLS, say), which
     * becomes the transport's, or NULL. */
    struct redisContext *(*connect)(void *context);
    void *connect_context;
} fw_cache_redis_options_t;

/* Never fails: it does not connect yet. fw_cache_new takes it over. */
fw_cache_transport_t fw_cache_redis_transport(const fw_cache_redis_options_t *options);
