/* connection.c - see connection.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cache/connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/sentinel.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum { PORT = 6379 };

struct fw_cache_connection {
    char *host;
    int port;
    char *path;
    char *sentinels;
    char *primary;
    char *user;
    char *password;
    int database;
    struct timeval timeout;
    redisContext *(*connect)(void *context);
    void *connect_context;
    redisContext *redis; /* NULL = not connected */
    int64_t role_checked_ms;
    fw_bytes_t *words; /* of one command */
    const char **argv;
    size_t *sizes;
    size_t words_capacity;
    char reason[FW_CACHE_REASON_SIZE];
};

/* ---- a lost connection must not end the process */

sigset_t fw_cache_connection_guard(void)
{
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, &before);
    return before;
}

void fw_cache_connection_unguard(const sigset_t *before, bool failed)
{
    sigset_t set;
    const struct timespec now = {0};
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    if (failed && sigismember(before, SIGPIPE) == 0) {
        (void)sigtimedwait(&set, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---- connecting */

void fw_cache_connection_leave(fw_cache_connection_t *self)
{
    if (self->redis) {
        redisFree(self->redis);
        self->redis = NULL;
    }
}

/* What a failed hiredis call means. -EPIPE: the server has closed the connection. */
static int failure_of(fw_cache_connection_t *self)
{
    int number = errno;
    bool closed = self->redis->err == REDIS_ERR_EOF ||
                  (self->redis->err == REDIS_ERR_IO && (number == EPIPE || number == ECONNRESET));
    (void)snprintf(self->reason, FW_CACHE_REASON_SIZE, "%s", self->redis->errstr);
    return closed ? -EPIPE : -EIO;
}

/* One command while connecting, which must not be refused. */
static int demand(fw_cache_connection_t *self, int argc, const char **argv)
{
    redisReply *reply = redisCommandArgv(self->redis, argc, argv, NULL);
    if (!reply) {
        return failure_of(self);
    }
    int result = 0;
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(self->reason, FW_CACHE_REASON_SIZE, "%s", reply->str);
        result = -EACCES;
    }
    freeReplyObject(reply);
    return result;
}

/* What a replica answers may be old. A server that does not say what it is is believed. */
static int check_role(fw_cache_connection_t *self)
{
    const char *argv[] = {"ROLE"};
    redisReply *reply = redisCommandArgv(self->redis, 1, argv, NULL);
    if (!reply) {
        return failure_of(self);
    }
    bool replica = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                   reply->element[0]->type == REDIS_REPLY_STRING &&
                   strcmp(reply->element[0]->str, "master") != 0;
    freeReplyObject(reply);
    if (replica) {
        (void)snprintf(self->reason, FW_CACHE_REASON_SIZE, "the server is a replica");
    }
    return replica ? -EROFS : 0;
}

static int log_in(fw_cache_connection_t *self)
{
    int result = 0;
    if (self->password && self->user) {
        const char *argv[] = {"AUTH", self->user, self->password};
        result = demand(self, 3, argv);
    } else if (self->password) {
        const char *argv[] = {"AUTH", self->password};
        result = demand(self, 2, argv);
    }
    if (result == 0 && self->database > 0) {
        char database[16];
        (void)snprintf(database, sizeof(database), "%d", self->database);
        const char *argv[] = {"SELECT", database};
        result = demand(self, 2, argv);
    }
    return result == 0 ? check_role(self) : result;
}

/* The primary as the Sentinels name it, if there are any. */
static int find_primary(fw_cache_connection_t *self)
{
    fw_slot_server_t primary;
    if (!self->sentinels) {
        return 0;
    }
    int result = fw_cache_sentinel_ask(self->sentinels, self->primary, self->timeout, &primary,
                                       self->reason, sizeof(self->reason));
    if (result == 0) {
        free(self->host);
        self->host = fw_copy_text(primary.host, strlen(primary.host));
        self->port = primary.port;
    }
    return result;
}

static int open_connection(fw_cache_connection_t *self)
{
    int result = find_primary(self);
    if (result < 0) {
        return result;
    }
    if (self->connect) {
        self->redis = self->connect(self->connect_context);
    } else if (self->path) {
        self->redis = redisConnectUnixWithTimeout(self->path, self->timeout);
    } else {
        self->redis = redisConnectWithTimeout(self->host, self->port, self->timeout);
    }
    if (!self->redis || self->redis->err) {
        (void)snprintf(self->reason, FW_CACHE_REASON_SIZE, "%s",
                       self->redis ? self->redis->errstr : "not connected");
        return -ECONNREFUSED;
    }
    (void)redisSetTimeout(self->redis, self->timeout);
    return self->connect ? check_role(self) : log_in(self);
}

/* ---- commands and replies */

static void *grow(void *old, size_t count, size_t size)
{
    free(old);
    return fw_alloc(count, size);
}

int fw_cache_connection_append(fw_cache_connection_t *self, const fw_cache_command_t *command)
{
    size_t needed = fw_cache_command_words(command);
    if (needed > self->words_capacity) {
        self->words = grow(self->words, needed, sizeof(self->words[0]));
        self->argv = grow(self->argv, needed, sizeof(self->argv[0]));
        self->sizes = grow(self->sizes, needed, sizeof(self->sizes[0]));
        self->words_capacity = needed;
    }
    char count_text[FW_CACHE_COUNT_SIZE];
    size_t words = fw_cache_command_write(command, count_text, self->words);
    for (size_t i = 0; i < words; i++) {
        /* hiredis copies sizes[i] bytes, also from an empty argument. */
        self->argv[i] = self->words[i].size > 0 ? (const char *)self->words[i].data : "";
        self->sizes[i] = self->words[i].size;
    }
    int result = redisAppendCommandArgv(self->redis, (int)words, self->argv, self->sizes);
    return result == REDIS_OK ? 0 : -ENOMEM;
}

int fw_cache_connection_append_words(fw_cache_connection_t *self, int count, const char **words)
{
    int result = redisAppendCommandArgv(self->redis, count, words, NULL);
    return result == REDIS_OK ? 0 : -ENOMEM;
}

int fw_cache_connection_flush(fw_cache_connection_t *self)
{
    int sent = 0;
    while (!sent) {
        if (redisBufferWrite(self->redis, &sent) != REDIS_OK) {
            return failure_of(self);
        }
    }
    return 0;
}

int fw_cache_connection_receive(fw_cache_connection_t *self, redisReply **ret_reply)
{
    void *reply = NULL;
    if (redisGetReply(self->redis, &reply) != REDIS_OK) {
        return failure_of(self);
    }
    *ret_reply = reply;
    return 0;
}

int fw_cache_connection_ready(fw_cache_connection_t *self)
{
    int64_t now_ms = fw_clock_ms();
    if (self->redis && now_ms - self->role_checked_ms < FW_CACHE_REDIS_ROLE_MS) {
        return 0;
    }
    self->role_checked_ms = now_ms;
    return self->redis ? check_role(self) : open_connection(self);
}

bool fw_cache_connection_is_open(const fw_cache_connection_t *self)
{
    return self->redis != NULL;
}

const char *fw_cache_connection_reason(const fw_cache_connection_t *self)
{
    return self->reason;
}

static char *copy(const char *text)
{
    return text ? fw_copy_text(text, strlen(text)) : NULL;
}

fw_cache_connection_t *fw_cache_connection_new(const fw_cache_redis_options_t *options)
{
    fw_cache_connection_t *self = fw_alloc(1, sizeof(*self));
    int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : FW_CACHE_REDIS_TIMEOUT_MS;
    self->host = copy(options->host ? options->host : "127.0.0.1");
    self->port = options->port ? options->port : PORT;
    self->path = copy(options->path);
    self->sentinels = copy(options->sentinels);
    self->primary = copy(options->primary);
    self->user = copy(options->user);
    self->password = copy(options->password);
    self->database = options->database;
    self->timeout = (struct timeval){timeout_ms / 1000, timeout_ms % 1000 * 1000};
    self->connect = options->connect;
    self->connect_context = options->connect_context;
    return self;
}

void fw_cache_connection_destroy(fw_cache_connection_t **self_p)
{
    fw_cache_connection_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_cache_connection_leave(self);
    free(self->host);
    free(self->path);
    free(self->sentinels);
    free(self->primary);
    free(self->user);
    free(self->password);
    free(self->words);
    free(self->argv);
    free(self->sizes);
    free(self);
    *self_p = NULL;
}
