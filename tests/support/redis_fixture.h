/* redis_fixture.h - a private redis-server for one test.   SPDX-License-Identifier: MPL-2.0
 * Listens on a socket file and a free port of 127.0.0.1, keeps its files in a temporary folder and
 * dies with the thread that started it. Whatever fails here ends the test program with a message.
 */
#pragma once

#include <hiredis/hiredis.h>

typedef struct fw_redis_fixture fw_redis_fixture_t;

/* Starts a server without persistence and waits until it answers. */
fw_redis_fixture_t *fw_redis_fixture_start(void) __attribute__((warn_unused_result));
/* The same with further arguments of redis-server, a list of at most FW_REDIS_ARGUMENTS_MAX that
 * ends with NULL; later ones win over those of the fixture. They are kept for restarts. */
fw_redis_fixture_t *fw_redis_fixture_start_with(const char *const *arguments)
    __attribute__((warn_unused_result));
/* A Sentinel that watches the server as "main", with a quorum of one, and is quick to give it up.
 */
fw_redis_fixture_t *fw_redis_fixture_start_sentinel(const fw_redis_fixture_t *watched)
    __attribute__((warn_unused_result));
enum { FW_REDIS_ARGUMENTS_MAX = 16 };
int fw_redis_fixture_port(const fw_redis_fixture_t *self);
/* Kills the server and removes its folder. NULL-safe, sets *self_p to NULL. */
void fw_redis_fixture_stop(fw_redis_fixture_t **self_p);

/* Addresses, which stay the same over restarts; borrowed. */
const char *fw_redis_fixture_url(const fw_redis_fixture_t *self);     /* unix:///…/redis.sock */
const char *fw_redis_fixture_tcp_url(const fw_redis_fixture_t *self); /* redis://127.0.0.1:port */

/* SIGKILL: what the server has not written to its disk is lost. */
void fw_redis_fixture_kill(fw_redis_fixture_t *self);
/* Starts it again after a kill, without persistence empty, and waits until it answers. */
void fw_redis_fixture_restart(fw_redis_fixture_t *self);
/* SIGSTOP and SIGCONT: connections stay open, nothing answers. */
void fw_redis_fixture_pause(fw_redis_fixture_t *self);
void fw_redis_fixture_resume(fw_redis_fixture_t *self);

/* A new blocking connection; the caller frees it with redisFree. */
redisContext *fw_redis_fixture_connect(const fw_redis_fixture_t *self)
    __attribute__((warn_unused_result));

/* Runs one command that must not fail; the caller frees the reply with freeReplyObject. */
redisReply *fw_redis_command(redisContext *redis, const char *format, ...)
    __attribute__((warn_unused_result));
/* As above, for a command that answers an integer. */
long long fw_redis_integer(redisContext *redis, const char *format, ...);
/* As above, for a command whose answer does not matter. */
void fw_redis_do(redisContext *redis, const char *format, ...);
