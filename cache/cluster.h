/* cluster.h - the cache's commands over a Redis Cluster.   SPDX-License-Identifier: MPL-2.0
 * For one thread. Each command goes to the server that holds the slot of its route; the commands of
 * one round trip go to all of their servers before the first reply is waited for. A server that has
 * lost a slot says so: the command follows (MOVED, ASK, TRYAGAIN), at most
 * FW_CACHE_CLUSTER_REDIRECTS_MAX times, and the map is read anew. What one server does not answer
 * fails alone. After 3 failures in a row a server is left alone for a second. */
#pragma once

#include "cache/redis.h"

enum { FW_CACHE_CLUSTER_REDIRECTS_MAX = 5 };

/* nodes: "host:port,…" of some servers of the cluster, an IPv6 host in brackets; the first that
 * answers tells the others. Of the options user, password and timeout_ms count. Everything is
 * copied. Never fails: it does not connect yet. fw_cache_new takes it over; the rules must say
 * `cluster`. */
fw_cache_transport_t fw_cache_cluster_transport(const char *nodes,
                                                const fw_cache_redis_options_t *options);
