/* redis_fixture.c - a private redis-server for one test.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/redis_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS_MAX = 20000, POLL_MS = 10, STARTS_MAX = 5 };

struct fw_redis_fixture {
    pid_t process; /* 0 when it is not running */
    int port;
    char folder[64];
    char socket_path[96];
    char url[128];
    char tcp_url[64];
    char *arguments[FW_REDIS_ARGUMENTS_MAX + 1]; /* further ones, NULL at the end */
    int watched_port;                            /* of a Sentinel; 0 = it is none */
};

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("redis_fixture: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    abort();
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A port that was free a moment ago; a server that loses the race for it is started again on
 * another. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        give_up("no free port: %s", strerror(errno));
    }
    close(fd);
    return ntohs(address.sin_port);
}

__attribute__((noreturn)) static void become_server(const fw_redis_fixture_t *self,
                                                    const char *port)
{
    /* The signals that the test blocks would otherwise stay blocked in the server. */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *own[] = {"--port",
                         port,
                         "--bind",
                         "127.0.0.1",
                         "--unixsocket",
                         self->socket_path,
                         "--dir",
                         self->folder,
                         "--logfile",
                         "redis.log",
                         "--save",
                         "",
                         "--appendonly",
                         "no",
                         "--repl-diskless-sync-delay",
                         "0"};
    char config[96];
    char *argv[2 + sizeof(own) / sizeof(own[0]) + FW_REDIS_ARGUMENTS_MAX + 2];
    size_t count = 0;
    argv[count++] = strdup("redis-server");
    if (self->watched_port) {
        (void)snprintf(config, sizeof(config), "%s/sentinel.conf", self->folder);
        argv[count++] = config;
        argv[count++] = strdup("--sentinel");
    }
    for (size_t i = 0; !self->watched_port && i < sizeof(own) / sizeof(own[0]); i++) {
        argv[count++] = strdup(own[i]);
    }
    for (size_t i = 0; self->arguments[i]; i++) {
        argv[count++] = self->arguments[i];
    }
    argv[count] = NULL;
    execvp("redis-server", argv);
    _exit(127);
}

static bool answers(const fw_redis_fixture_t *self)
{
    const struct timeval patience = {.tv_sec = 1};
    redisContext *redis = redisConnectUnixWithTimeout(self->socket_path, patience);
    redisReply *reply = redis && !redis->err ? redisCommand(redis, "PING") : NULL;
    bool good = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(redis);
    return good;
}

/* False when the server ended by itself: its port was taken. */
static bool start_once(fw_redis_fixture_t *self)
{
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", self->port);
    (void)unlink(self->socket_path);
    self->process = fork();
    if (self->process < 0) {
        give_up("fork: %s", strerror(errno));
    }
    if (self->process == 0) {
        become_server(self, port);
    }
    for (int64_t deadline = now_ms() + START_MS_MAX; now_ms() < deadline; poll(NULL, 0, POLL_MS)) {
        int status = 0;
        if (waitpid(self->process, &status, WNOHANG) == self->process) {
            self->process = 0;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
                give_up("redis-server is not installed");
            }
            return false;
        }
        if (answers(self)) {
            return true;
        }
    }
    give_up("redis-server does not answer; see %s/redis.log", self->folder);
}

static void name_addresses(fw_redis_fixture_t *self)
{
    (void)snprintf(self->socket_path, sizeof(self->socket_path), "%s/redis.sock", self->folder);
    (void)snprintf(self->url, sizeof(self->url), "unix://%s", self->socket_path);
    (void)snprintf(self->tcp_url, sizeof(self->tcp_url), "redis://127.0.0.1:%d", self->port);
}

/* What a Sentinel is told, and overwrites with what it learns. */
static void write_sentinel_config(const fw_redis_fixture_t *self)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/sentinel.conf", self->folder);
    FILE *file = fopen(path, "we");
    if (!file) {
        give_up("%s: %s", path, strerror(errno));
    }
    (void)fprintf(file,
                  "port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nlogfile %s/redis.log\n"
                  "sentinel monitor main 127.0.0.1 %d 1\n"
                  "sentinel down-after-milliseconds main 500\n"
                  "sentinel failover-timeout main 2000\n",
                  self->port, self->socket_path, self->folder, self->folder, self->watched_port);
    (void)fclose(file);
}

static fw_redis_fixture_t *start(const char *const *arguments, int watched_port)
{
    fw_redis_fixture_t *self = calloc(1, sizeof(*self));
    if (!self) {
        give_up("out of memory");
    }
    self->watched_port = watched_port;
    for (size_t i = 0; arguments && arguments[i]; i++) {
        if (i == FW_REDIS_ARGUMENTS_MAX || !(self->arguments[i] = strdup(arguments[i]))) {
            give_up("too many arguments");
        }
    }
    (void)snprintf(self->folder, sizeof(self->folder), "/tmp/freshwire-redis-XXXXXX");
    if (!mkdtemp(self->folder)) {
        give_up("%s: %s", self->folder, strerror(errno));
    }
    for (int i = 0; i < STARTS_MAX; i++) {
        self->port = free_port();
        name_addresses(self);
        if (watched_port) {
            write_sentinel_config(self);
        }
        if (start_once(self)) {
            return self;
        }
    }
    give_up("redis-server ends at once; see %s/redis.log", self->folder);
}

fw_redis_fixture_t *fw_redis_fixture_start(void)
{
    return start(NULL, 0);
}

fw_redis_fixture_t *fw_redis_fixture_start_with(const char *const *arguments)
{
    return start(arguments, 0);
}

fw_redis_fixture_t *fw_redis_fixture_start_sentinel(const fw_redis_fixture_t *watched)
{
    return start(NULL, watched->port);
}

int fw_redis_fixture_port(const fw_redis_fixture_t *self)
{
    return self->port;
}

void fw_redis_fixture_kill(fw_redis_fixture_t *self)
{
    if (self->process > 0) {
        kill(self->process, SIGKILL);
        waitpid(self->process, NULL, 0);
        self->process = 0;
    }
}

void fw_redis_fixture_restart(fw_redis_fixture_t *self)
{
    fw_redis_fixture_kill(self);
    for (int i = 0; i < STARTS_MAX; i++) {
        if (start_once(self)) {
            return;
        }
    }
    give_up("redis-server cannot be started again; see %s/redis.log", self->folder);
}

void fw_redis_fixture_pause(fw_redis_fixture_t *self)
{
    kill(self->process, SIGSTOP);
}

void fw_redis_fixture_resume(fw_redis_fixture_t *self)
{
    kill(self->process, SIGCONT);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

void fw_redis_fixture_stop(fw_redis_fixture_t **self_p)
{
    fw_redis_fixture_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_redis_fixture_kill(self);
    (void)nftw(self->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; self->arguments[i]; i++) {
        free(self->arguments[i]);
    }
    free(self);
    *self_p = NULL;
}

const char *fw_redis_fixture_url(const fw_redis_fixture_t *self)
{
    return self->url;
}

const char *fw_redis_fixture_tcp_url(const fw_redis_fixture_t *self)
{
    return self->tcp_url;
}

redisContext *fw_redis_fixture_connect(const fw_redis_fixture_t *self)
{
    redisContext *redis = redisConnectUnix(self->socket_path);
    if (!redis || redis->err) {
        give_up("connect: %s", redis ? redis->errstr : "out of memory");
    }
    return redis;
}

static redisReply *command(redisContext *redis, const char *format, va_list args)
{
    redisReply *reply = redisvCommand(redis, format, args);
    if (!reply) {
        give_up("%s: %s", format, redis->errstr);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        give_up("%s: %s", format, reply->str);
    }
    return reply;
}

redisReply *fw_redis_command(redisContext *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    return reply;
}

long long fw_redis_integer(redisContext *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = command(redis, format, args);
    va_end(args);
    if (reply->type != REDIS_REPLY_INTEGER) {
        give_up("%s: answered type %d, not an integer", format, reply->type);
    }
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

void fw_redis_do(redisContext *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    freeReplyObject(command(redis, format, args));
    va_end(args);
}
