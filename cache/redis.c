/* redis.c - the cache's commands over one blocking hiredis connection.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cache/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"

enum { PORT = 6379, REASON_SIZE = 160 };

typedef struct {
    char *host;
    int port;
    char *path;
    char *user;
    char *password;
    int database;
    struct timeval timeout;
    redisContext *(*connect)(void *context);
    void *connect_context;
    redisContext *redis; /* NULL = not connected */
    int64_t role_checked_ms;
    bool lost; /* a connection, during this exchange: writing to it may have raised SIGPIPE */
    unsigned failures; /* in a row */
    int64_t rest_until_ms;
    redisReply **replies; /* of the last exchange */
    size_t replies_count, replies_capacity;
    fw_bytes_t *values; /* of all replies */
    size_t values_capacity;
    fw_bytes_t *words; /* of one command */
    const char **argv;
    size_t *sizes;
    size_t words_capacity;
    char reason[REASON_SIZE];
} redis_t;

/* ---- a lost connection must not end the process */

static sigset_t block_sigpipe(void)
{
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, &before);
    return before;
}

/* What our own write raised is taken away, unless the caller collects these signals himself. */
static void unblock_sigpipe(const sigset_t *before, bool failed)
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

static void forget_replies(redis_t *self)
{
    for (size_t i = 0; i < self->replies_count; i++) {
        freeReplyObject(self->replies[i]);
    }
    self->replies_count = 0;
}

static void disconnect(redis_t *self)
{
    if (self->redis) {
        redisFree(self->redis);
        self->redis = NULL;
    }
}

/* What a failed hiredis call means. -EPIPE: the server has closed the connection. */
static int failure_of(redis_t *self)
{
    int number = errno;
    self->lost = true;
    bool closed = self->redis->err == REDIS_ERR_EOF ||
                  (self->redis->err == REDIS_ERR_IO && (number == EPIPE || number == ECONNRESET));
    (void)snprintf(self->reason, REASON_SIZE, "%s", self->redis->errstr);
    return closed ? -EPIPE : -EIO;
}

/* One command while connecting, which must not be refused. */
static int demand(redis_t *self, int argc, const char **argv)
{
    redisReply *reply = redisCommandArgv(self->redis, argc, argv, NULL);
    if (!reply) {
        return failure_of(self);
    }
    int result = 0;
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(self->reason, REASON_SIZE, "%s", reply->str);
        result = -EACCES;
    }
    freeReplyObject(reply);
    return result;
}

/* What a replica answers may be old. A server that does not say what it is is believed. */
static int check_role(redis_t *self)
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
        (void)snprintf(self->reason, REASON_SIZE, "the server is a replica");
    }
    return replica ? -EROFS : 0;
}

static int log_in(redis_t *self)
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

static int open_connection(redis_t *self)
{
    if (self->connect) {
        self->redis = self->connect(self->connect_context);
    } else if (self->path) {
        self->redis = redisConnectUnixWithTimeout(self->path, self->timeout);
    } else {
        self->redis = redisConnectWithTimeout(self->host, self->port, self->timeout);
    }
    if (!self->redis || self->redis->err) {
        (void)snprintf(self->reason, REASON_SIZE, "%s",
                       self->redis ? self->redis->errstr : "not connected");
        return -ECONNREFUSED;
    }
    (void)redisSetTimeout(self->redis, self->timeout);
    return self->connect ? check_role(self) : log_in(self);
}

/* ---- one round trip */

static void *grow(void *old, size_t count, size_t size)
{
    free(old);
    return fw_alloc(count, size);
}

static int append(redis_t *self, const fw_cache_command_t *command)
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

static size_t values_in(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY ? reply->elements : 1;
}

/* Adds what one reply, or one element of it, says. */
static void add(const redisReply *reply, fw_cache_reply_t *ret_reply, fw_bytes_t *values)
{
    if (reply->type == REDIS_REPLY_INTEGER) {
        ret_reply->integer = reply->integer;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        ret_reply->error = reply->str;
    } else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) {
        values[ret_reply->values_count++] =
            (fw_bytes_t){(const uint8_t *)reply->str, (size_t)reply->len};
    } else {
        values[ret_reply->values_count++] = (fw_bytes_t){NULL, 0};
    }
}

static void convert(redis_t *self, fw_cache_reply_t *ret_replies)
{
    size_t needed = 0;
    for (size_t i = 0; i < self->replies_count; i++) {
        needed += values_in(self->replies[i]);
    }
    if (needed > self->values_capacity) {
        self->values = grow(self->values, needed, sizeof(self->values[0]));
        self->values_capacity = needed;
    }
    fw_bytes_t *values = self->values;
    for (size_t i = 0; i < self->replies_count; i++) {
        const redisReply *reply = self->replies[i];
        ret_replies[i] = (fw_cache_reply_t){.values = values};
        if (reply->type == REDIS_REPLY_ARRAY) {
            for (size_t j = 0; j < reply->elements; j++) {
                add(reply->element[j], &ret_replies[i], values);
            }
        } else {
            add(reply, &ret_replies[i], values);
        }
        values += values_in(reply);
    }
}

/* The server is of no use: it has become a replica, or is about to end. */
static bool must_leave(const fw_cache_reply_t *reply)
{
    return reply->error &&
           (strncmp(reply->error, "READONLY", 8) == 0 || strncmp(reply->error, "LOADING", 7) == 0 ||
            strncmp(reply->error, "MASTERDOWN", 10) == 0);
}

/* Connects, or makes sure that the server has not become a replica since: one that is only read
 * from would not say so. */
static int make_ready(redis_t *self)
{
    int64_t now_ms = fw_clock_ms();
    if (self->redis && now_ms - self->role_checked_ms < FW_CACHE_REDIS_ROLE_MS) {
        return 0;
    }
    self->role_checked_ms = now_ms;
    return self->redis ? check_role(self) : open_connection(self);
}

static int send_and_receive(redis_t *self, const fw_cache_command_t *commands, size_t count)
{
    int result = make_ready(self);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = append(self, &commands[i]);
    }
    if (count > self->replies_capacity) {
        self->replies = grow(self->replies, count, sizeof(redisReply *));
        self->replies_capacity = count;
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        void *reply = NULL;
        if (redisGetReply(self->redis, &reply) != REDIS_OK) {
            result = failure_of(self);
            break;
        }
        self->replies[self->replies_count++] = reply;
    }
    if (result < 0) {
        /* Replies that still come would be taken for those of the next commands. */
        disconnect(self);
    }
    return result;
}

static int ask_all(redis_t *self, const fw_cache_command_t *commands, size_t count,
                   fw_cache_reply_t *ret_replies)
{
    bool used_before = self->redis != NULL;
    int result = send_and_receive(self, commands, count);
    if (result == -EPIPE && used_before && self->replies_count == 0) {
        /* Closed while nothing was asked, by a restart or an idle time-out. Were the commands run
         * nevertheless, then twice is harmless: a lease is good for one store only. */
        result = send_and_receive(self, commands, count);
    }
    if (result < 0) {
        return result;
    }
    convert(self, ret_replies);
    for (size_t i = 0; i < count; i++) {
        if (must_leave(&ret_replies[i])) {
            disconnect(self);
            break;
        }
    }
    return 0;
}

static int exchange(void *context, const fw_cache_command_t *commands, size_t count,
                    fw_cache_reply_t *ret_replies, const char **ret_reason)
{
    redis_t *self = context;
    forget_replies(self);
    *ret_reason = self->reason;
    if (self->failures >= FW_CACHE_REDIS_FAILURES_MAX && fw_clock_ms() < self->rest_until_ms) {
        return -EAGAIN; /* The reason is still that of the last failure. */
    }
    self->lost = false;
    sigset_t signals = block_sigpipe();
    int result = ask_all(self, commands, count, ret_replies);
    unblock_sigpipe(&signals, self->lost);
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
    forget_replies(self);
    disconnect(self);
    free(self->host);
    free(self->path);
    free(self->user);
    free(self->password);
    free(self->replies);
    free(self->values);
    free(self->words);
    free(self->argv);
    free(self->sizes);
    free(self);
}

static char *copy(const char *text)
{
    return text ? fw_copy_text(text, strlen(text)) : NULL;
}

fw_cache_transport_t fw_cache_redis_transport(const fw_cache_redis_options_t *options)
{
    redis_t *self = fw_alloc(1, sizeof(*self));
    int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : FW_CACHE_REDIS_TIMEOUT_MS;
    self->host = copy(options->host ? options->host : "127.0.0.1");
    self->port = options->port ? options->port : PORT;
    self->path = copy(options->path);
    self->user = copy(options->user);
    self->password = copy(options->password);
    self->database = options->database;
    self->timeout = (struct timeval){timeout_ms / 1000, timeout_ms % 1000 * 1000};
    self->connect = options->connect;
    self->connect_context = options->connect_context;
    return (fw_cache_transport_t){self, exchange, destroy};
}
