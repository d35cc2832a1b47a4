/* redis_link.h - one connection to Redis on a czmq loop.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of the loop. Connects by itself, logs in, loads a script, and connects again
 * after a jittered wait. Every command that was accepted gets exactly one reply, or NULL when the
 * connection is lost first. */
#pragma once

#include <czmq.h>
#include <hiredis/async.h>

#include "proto/bytes.h"
#include "workers/redis_address.h"
#include "workers/redis_error.h"

enum {
    FW_REDIS_PENDING_MAX = 65536, /* commands without a reply; more are not accepted */
    FW_REDIS_IDLE_MS_MAX = 5000,  /* then a PING tells whether the server is still there */
    FW_REDIS_STALL_MS = 500,      /* not called for so long, this process stood still */
    FW_REDIS_BACKOFF_MS = 50,
    FW_REDIS_BACKOFF_MS_MAX = 2000,
    FW_REDIS_SHA_SIZE = 40,
};

typedef enum {
    FW_REDIS_LINK_CLOSED,
    FW_REDIS_LINK_CONNECTING, /* also: logging in */
    FW_REDIS_LINK_CONNECTED,
} fw_redis_link_state_t;

typedef struct fw_redis_link fw_redis_link_t;

typedef struct {
    fw_redis_address_t address;
    int64_t timeout_ms; /* to connect and log in; and for the oldest command without a reply */
    const char *name;   /* shown by CLIENT LIST and in the log; borrowed */
    fw_text_t script;   /* loaded at every connection; empty = none; borrowed */
    uint64_t seed;      /* of the jitter */
    /* The state is another one. After all replies of a lost connection. */
    void (*on_state)(void *context, fw_redis_link_state_t state);
    /* Something that the connection itself met: connecting, logging in, loading the script. */
    void (*on_error)(void *context, fw_redis_error_t error);
    /* Whatever had come has been handed out; NULL = nobody wants to know. */
    void (*on_turn)(void *context);
    void *context;
} fw_redis_link_config_t;

/* reply lives until the function returns; NULL = lost. It may give new commands, not destroy the
 * link. */
typedef void fw_redis_reply_fn(void *context, size_t index, const redisReply *reply);

fw_redis_link_t *fw_redis_link_new(zloop_t *loop, const fw_redis_link_config_t *config)
    __attribute__((warn_unused_result));
/* Closes the connection: pending commands get NULL. NULL-safe. */
void fw_redis_link_destroy(fw_redis_link_t **self_p);

/* Connects when it is time to, notices silence. To be called at least every 100 ms; longer pauses
 * are this process' own and not the server's silence. */
void fw_redis_link_tick(fw_redis_link_t *self, int64_t now_ms);
fw_redis_link_state_t fw_redis_link_state(const fw_redis_link_t *self);

/* Queues one command; 0, -ENOTCONN, or -ENOBUFS when FW_REDIS_PENDING_MAX wait. Index is given back
 * with the reply. */
int fw_redis_link_command(fw_redis_link_t *self, int argc, const char **argv, const size_t *sizes,
                          fw_redis_reply_fn *reply_fn, void *context, size_t index)
    __attribute__((warn_unused_result));
/* Sends what is queued. */
void fw_redis_link_flush(fw_redis_link_t *self);

/* The script's SHA-1, FW_REDIS_SHA_SIZE characters; valid while connected. */
const char *fw_redis_link_sha(const fw_redis_link_t *self);

/* How often the server said that another one of its cluster holds the key. */
uint64_t fw_redis_link_moved(const fw_redis_link_t *self);

/* Closes the connection and makes a new one soon: this server is of no use (any more). */
void fw_redis_link_reset(fw_redis_link_t *self, fw_redis_error_t reason);

/* How often the server turned out to be another process than before (its run_id changed): what it
 * held may be lost. */
uint64_t fw_redis_link_restarts(const fw_redis_link_t *self);
