/* redis_url.h - which Redis to purge, of whatever topology.   SPDX-License-Identifier: MPL-2.0
 * Pure. Besides the forms of redis_address.h, which name one server:
 *
 *   sentinel://[[user]:password@]host[:port][,host[:port]]…/name[/database]
 *   cluster://[[user]:password@]host[:port][,host[:port]]…
 *
 * also written redis+sentinel:// and redis+cluster://. The hosts of the first are Sentinels (port
 * 26379), which are asked for the server called name; the login is that server's. The hosts of the
 * second are any servers of the cluster (port 6379), which name the others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "workers/redis_address.h"

enum {
    FW_REDIS_SEEDS_MAX = 8,
    FW_REDIS_MASTER_SIZE_MAX = 63,
    FW_REDIS_TARGETS_MAX = 4, /* URLs in one text */
    FW_REDIS_SENTINEL_PORT = 26379,
};

typedef enum { FW_REDIS_SINGLE, FW_REDIS_SENTINEL, FW_REDIS_CLUSTER } fw_redis_topology_t;

typedef struct {
    fw_redis_topology_t topology;
    fw_redis_address_t seeds[FW_REDIS_SEEDS_MAX]; /* SINGLE: the server itself */
    size_t seeds_count;
    char master[FW_REDIS_MASTER_SIZE_MAX + 1]; /* SENTINEL: the name of the server */
    int database;                              /* SENTINEL: of the server */
    char user[FW_REDIS_USER_SIZE_MAX + 1];     /* of the servers, not of Sentinels */
    char password[FW_REDIS_PASSWORD_SIZE_MAX + 1];
} fw_redis_url_t; /* NOLINT(clang-analyzer-optin.performance.Padding): read from the top */

/* Reads one URL, or several separated by white space: each of these is purged. 0, or -EINVAL and
 * *ret_reason (static text without any part of the URL). */
int fw_redis_urls_parse(const char *text, fw_redis_url_t ret_urls[FW_REDIS_TARGETS_MAX],
                        size_t *ret_count, const char **ret_reason)
    __attribute__((warn_unused_result));

/* The address of a server that a Sentinel or the cluster names, with this URL's login. False when
 * host or port cannot be one. */
bool fw_redis_url_server(const fw_redis_url_t *url, const char *host, int port,
                         fw_redis_address_t *ret_address);
