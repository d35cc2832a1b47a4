/* connection.h - one blocking connection to a Redis server.   SPDX-License-Identifier: MPL-2.0
 * For one thread; for the transports, not installed. Connects when it is first needed and again
 * after a failure; a server that is a replica is not used. While one is used SIGPIPE must be
 * blocked (fw_cache_connection_guard). */
#pragma once

#include <hiredis/hiredis.h>
#include <signal.h>

#include "cache/redis.h"

enum { FW_CACHE_REASON_SIZE = 160 };

typedef struct fw_cache_connection fw_cache_connection_t;

/* Everything is copied. */
fw_cache_connection_t *fw_cache_connection_new(const fw_cache_redis_options_t *options)
    __attribute__((warn_unused_result));
void fw_cache_connection_destroy(fw_cache_connection_t **self_p); /* NULL-safe */

/* Connects, or makes sure that the server has not become a replica since: one that is only read
 * from would not say so. 0 or -errno; -EPIPE here and below: the server has closed the connection.
 * Whoever gets a failure leaves. */
int fw_cache_connection_ready(fw_cache_connection_t *self) __attribute__((warn_unused_result));
/* Puts a command into the buffer: one of the cache's, or any. */
int fw_cache_connection_append(fw_cache_connection_t *self, const fw_cache_command_t *command)
    __attribute__((warn_unused_result));
int fw_cache_connection_append_words(fw_cache_connection_t *self, int count, const char **words)
    __attribute__((warn_unused_result));
/* Sends what is in the buffer. */
int fw_cache_connection_flush(fw_cache_connection_t *self) __attribute__((warn_unused_result));
/* The next reply, the caller's; sends what was not sent. */
int fw_cache_connection_receive(fw_cache_connection_t *self, redisReply **ret_reply)
    __attribute__((warn_unused_result));
/* Disconnects: replies that still come would be taken for those of the next commands. */
void fw_cache_connection_leave(fw_cache_connection_t *self);

bool fw_cache_connection_is_open(const fw_cache_connection_t *self);
/* What failed last; lives as long as the connection. */
const char *fw_cache_connection_reason(const fw_cache_connection_t *self);

/* A lost connection must not end the process: what writing to it raised is taken away again, unless
 * the caller collects these signals himself. */
sigset_t fw_cache_connection_guard(void);
void fw_cache_connection_unguard(const sigset_t *before, bool failed);

/* Answers as the machines take them. */
typedef struct {
    redisReply **replies; /* NULL = none came */
    size_t count, capacity;
    fw_bytes_t *values;
    size_t values_capacity;
} fw_cache_replies_t;

/* Makes room for count replies, all NULL. */
void fw_cache_replies_begin(fw_cache_replies_t *self, size_t count);
void fw_cache_replies_clear(fw_cache_replies_t *self); /* frees the replies */
void fw_cache_replies_free(fw_cache_replies_t *self);
/* What the replies say; valid until the next begin. A reply that did not come is left alone. */
void fw_cache_replies_convert(fw_cache_replies_t *self, fw_cache_reply_t *ret_replies);
