/* redis_pool.h - the servers of one Redis.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. Knows which server holds which key, so that nobody else has to:
 * jobs are cut into pieces where they must be, single commands go where their key lives.
 *
 * A single server never changes. With Sentinels the server is the one that they name; when they
 * name another one, what the old one had not answered fails, retryable. A cluster is asked for its
 * slots at the start, every FW_CLUSTER_ASK_MS, and when a server says MOVED; what was MOVED is
 * tried again as soon as the slots are known, what was ASKed goes where the server said. */
#pragma once

#include "workers/purge_job.h"
#include "workers/redis_link.h"
#include "workers/redis_url.h"

enum {
    FW_CLUSTER_ASK_MS = 15000,
    FW_CLUSTER_RETRY_MS = 200,   /* at least between two questions */
    FW_CLUSTER_ATTEMPTS_MAX = 5, /* of a piece, at servers that say MOVED, ASK or TRYAGAIN */
    FW_CLUSTER_IDLE_MS = 10000,  /* then a server without slots is left */
};

typedef struct fw_redis_pool fw_redis_pool_t;

typedef struct {
    const fw_redis_url_t *url; /* borrowed */
    int64_t timeout_ms;        /* as of fw_redis_link_config_t */
    int64_t stamp_ttl_ms;      /* of stamps that jobs bump */
    const char *name;          /* of the connections; borrowed */
    uint64_t seed;
    void (*on_decided)(void *context, fw_purge_job_t **job_p); /* takes the job */
    void (*on_ready)(void *context);                           /* fw_redis_pool_ready changed */
    void (*on_error)(void *context, fw_redis_error_t error);
    void (*on_batch)(void *context, size_t jobs); /* so many jobs go out as one pipeline */
    /* What a server's answers decided has been told. NULL = nobody wants to know. */
    void (*on_turn)(void *context);
    void *context;
} fw_redis_pool_config_t;

fw_redis_pool_t *fw_redis_pool_new(zloop_t *loop, const fw_redis_pool_config_t *config)
    __attribute__((warn_unused_result));
/* What the servers have not answered fails; what was not begun is destroyed undecided. NULL-safe.
 */
void fw_redis_pool_destroy(fw_redis_pool_t **self_p);

/* To be called at least every 100 ms. */
void fw_redis_pool_tick(fw_redis_pool_t *self, int64_t now_ms);
/* Can it purge? Of a cluster one server that is there is enough: what the others hold fails. */
bool fw_redis_pool_ready(const fw_redis_pool_t *self);
/* Must commands about several keys keep to one slot? */
bool fw_redis_pool_clustered(const fw_redis_pool_t *self);
/* How often a server turned out to be another process than before. */
uint64_t fw_redis_pool_restarts(const fw_redis_pool_t *self);

/* Takes a job; it is decided after the next fw_redis_pool_run at the earliest. */
void fw_redis_pool_add(fw_redis_pool_t *self, fw_purge_job_t **job_p);
void fw_redis_pool_run(fw_redis_pool_t *self);

/* One command about one key, sent at once. 0, or as fw_redis_link_command: then there will be no
 * reply. */
int fw_redis_pool_call(fw_redis_pool_t *self, fw_text_t key, int argc, const char **argv,
                       const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                       size_t index) __attribute__((warn_unused_result));

/* The servers that hold keys: how many, where each is, a command for one of them (as
 * fw_redis_pool_call). Indexes hold until the generation is another one. */
uint64_t fw_redis_pool_generation(const fw_redis_pool_t *self);
size_t fw_redis_pool_servers(const fw_redis_pool_t *self);
const fw_redis_address_t *fw_redis_pool_server(const fw_redis_pool_t *self, size_t server);
bool fw_redis_pool_connected(const fw_redis_pool_t *self, size_t server);
int fw_redis_pool_call_server(fw_redis_pool_t *self, size_t server, int argc, const char **argv,
                              const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                              size_t index) __attribute__((warn_unused_result));
/* The server of a key, as an index; FW_REDIS_NO_SERVER when there is none. */
enum { FW_REDIS_NO_SERVER = 0xffff };
size_t fw_redis_pool_server_of(const fw_redis_pool_t *self, fw_text_t key);
