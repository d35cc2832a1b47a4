/* redis_link.c - one connection to Redis on a czmq loop.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/resolve.h"

enum { RUN_ID_SIZE = 40, HANDSHAKE_ARGUMENTS_MAX = 3, DETAIL_SIZE = 128 };

/* A command whose reply has not come; Redis answers in order. */
typedef struct {
    fw_redis_reply_fn *reply_fn;
    void *context;
    size_t index;
} pending_t;

struct fw_redis_link {
    zloop_t *loop;
    fw_redis_link_config_t config;
    fw_redis_link_state_t state;
    fw_resolve_t *resolve;    /* while the name is looked up */
    redisAsyncContext *redis; /* hiredis frees it by itself: see on_cleanup */
    zmq_pollitem_t polled;    /* what the loop watches; fd -1 = nothing */
    bool want_read, want_write;
    pending_t *pending; /* a ring */
    size_t pending_first, pending_count, pending_capacity;
    int64_t progress_ms;   /* the last reply, or the first command after idleness */
    int64_t ticked_ms;     /* the last tick */
    int64_t connect_at_ms; /* when it is closed */
    fw_backoff_t backoff;
    bool busy;                      /* hiredis is at work: it must not be entered again */
    bool ending;                    /* being destroyed: nobody is told any more */
    fw_redis_error_t fault;         /* why we end the connection ourselves */
    char fault_detail[DETAIL_SIZE]; /* "" = we do not */
    char sha[FW_REDIS_SHA_SIZE + 1];
    char run_id[RUN_ID_SIZE + 1];
    uint64_t restarts;
    uint64_t moved;
    fw_log_limit_t log_limit;
};

/* ---- state */

static void set_state(fw_redis_link_t *self, fw_redis_link_state_t state)
{
    if (self->state != state) {
        self->state = state;
        self->config.on_state(self->config.context, state);
    }
}

/* Logs why the connection ended or could not be made, and plans the next one. */
static void closed(fw_redis_link_t *self, fw_redis_error_t error, const char *detail)
{
    if (self->ending) {
        self->state = FW_REDIS_LINK_CLOSED;
        return;
    }
    int64_t now_ms = fw_clock_ms();
    int64_t wait_ms = fw_backoff_next_ms(&self->backoff);
    self->connect_at_ms = now_ms + wait_ms;
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->log_limit, now_ms, &suppressed)) {
        fw_log(FW_LOG_WARN, "redis link is down, retrying", FW_KV_TEXT("link", self->config.name),
               FW_KV_TEXT("reason", fw_redis_error_name(error)), FW_KV_TEXT("detail", detail),
               FW_KV_INT("wait_ms", wait_ms), FW_KV_UINT("suppressed", suppressed));
    }
    self->config.on_error(self->config.context, error);
    set_state(self, FW_REDIS_LINK_CLOSED);
}

/* ---- what hiredis wants to be told */

static int on_event(zloop_t *loop, zmq_pollitem_t *item, void *arg);

/* Makes the loop watch exactly what hiredis waits for. The loop cannot change a watch, only replace
 * it. */
static void update_poller(fw_redis_link_t *self)
{
    short events =
        (short)((self->want_read ? ZMQ_POLLIN : 0) | (self->want_write ? ZMQ_POLLOUT : 0));
    int fd = self->redis ? self->redis->c.fd : -1;
    if (self->polled.fd == fd && self->polled.events == events) {
        return;
    }
    if (self->polled.fd >= 0) {
        zloop_poller_end(self->loop, &self->polled);
        self->polled.fd = -1;
    }
    if (fd >= 0 && events) {
        self->polled = (zmq_pollitem_t){.fd = fd, .events = events};
        int result = zloop_poller(self->loop, &self->polled, on_event, self);
        assert(result == 0);
        (void)result;
        /* An error on the socket is hiredis' to report, not a reason for the loop to give up. */
        zloop_poller_set_tolerant(self->loop, &self->polled);
    }
}

static void on_add_read(void *arg)
{
    ((fw_redis_link_t *)arg)->want_read = true;
}

static void on_del_read(void *arg)
{
    ((fw_redis_link_t *)arg)->want_read = false;
}

static void on_add_write(void *arg)
{
    ((fw_redis_link_t *)arg)->want_write = true;
}

static void on_del_write(void *arg)
{
    ((fw_redis_link_t *)arg)->want_write = false;
}

/* The last thing that hiredis does before it frees a connection, for whatever reason. */
static void on_cleanup(void *arg)
{
    fw_redis_link_t *self = arg;
    assert(self->pending_count == 0);
    bool ours = self->fault_detail[0];
    char detail[DETAIL_SIZE];
    const char *errstr = self->redis->errstr ? self->redis->errstr : "";
    (void)snprintf(detail, sizeof(detail), "%s", ours ? self->fault_detail : errstr);
    self->redis = NULL;
    self->fault_detail[0] = 0;
    self->want_read = self->want_write = false;
    update_poller(self);
    closed(self, ours ? self->fault : FW_REDIS_LOST, detail);
}

static int on_event(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    fw_redis_link_t *self = arg;
    bool connected = self->redis->c.flags & REDIS_CONNECTED;
    self->busy = true;
    if (!connected || item->revents & ZMQ_POLLOUT) {
        redisAsyncHandleWrite(self->redis);
    }
    if (connected && self->redis && item->revents & (ZMQ_POLLIN | ZMQ_POLLERR)) {
        redisAsyncHandleRead(self->redis);
    }
    self->busy = false;
    fw_redis_link_flush(self);
    if (self->config.on_turn) {
        self->config.on_turn(self->config.context);
    }
    return 0;
}

/* ---- commands */

static void on_reply(redisAsyncContext *redis, void *reply, void *arg)
{
    (void)redis;
    fw_redis_link_t *self = arg;
    assert(self->pending_count > 0);
    pending_t pending = self->pending[self->pending_first];
    self->pending_first = (self->pending_first + 1) % self->pending_capacity;
    self->pending_count--;
    self->progress_ms = fw_clock_ms();
    const redisReply *answer = reply;
    if (answer && answer->type == REDIS_REPLY_ERROR && strncmp(answer->str, "MOVED ", 6) == 0) {
        self->moved++;
    }
    pending.reply_fn(pending.context, pending.index, reply);
}

static void push_pending(fw_redis_link_t *self, pending_t pending)
{
    if (self->pending_count == self->pending_capacity) {
        size_t larger = self->pending_capacity ? 2 * self->pending_capacity : 64;
        pending_t *ring = fw_alloc(larger, sizeof(pending_t));
        for (size_t i = 0; i < self->pending_count; i++) {
            ring[i] = self->pending[(self->pending_first + i) % self->pending_capacity];
        }
        free(self->pending);
        self->pending = ring;
        self->pending_first = 0;
        self->pending_capacity = larger;
    }
    self->pending[(self->pending_first + self->pending_count) % self->pending_capacity] = pending;
    self->pending_count++;
}

/* Queues a command in any state in which hiredis takes one. */
static int queue(fw_redis_link_t *self, int argc, const char **argv, const size_t *sizes,
                 pending_t pending)
{
    if (self->pending_count >= FW_REDIS_PENDING_MAX) {
        return -ENOBUFS;
    }
    /* Refused while the connection is being freed, that is from a reply function that got NULL. */
    if (!self->redis ||
        redisAsyncCommandArgv(self->redis, on_reply, self, argc, argv, sizes) != REDIS_OK) {
        return -ENOTCONN;
    }
    if (self->pending_count == 0) {
        self->progress_ms = fw_clock_ms();
    }
    push_pending(self, pending);
    return 0;
}

int fw_redis_link_command(fw_redis_link_t *self, int argc, const char **argv, const size_t *sizes,
                          fw_redis_reply_fn *reply_fn, void *context, size_t index)
{
    if (self->state != FW_REDIS_LINK_CONNECTED) {
        return -ENOTCONN;
    }
    return queue(self, argc, argv, sizes, (pending_t){reply_fn, context, index});
}

void fw_redis_link_flush(fw_redis_link_t *self)
{
    if (self->busy) {
        return; /* Whoever is at work flushes at the end. */
    }
    /* Written at once: to wait until the loop finds the socket writable would cost a turn. */
    if (self->redis && self->want_write && self->redis->c.flags & REDIS_CONNECTED) {
        self->busy = true;
        redisAsyncHandleWrite(self->redis);
        self->busy = false;
    }
    update_poller(self);
}

/* Ends the connection; from within a reply function hiredis does so a little later. */
static void end_connection(fw_redis_link_t *self)
{
    bool was_busy = self->busy;
    self->busy = true;
    redisAsyncFree(self->redis);
    self->busy = was_busy;
}

static void reset(fw_redis_link_t *self, fw_redis_error_t reason, const char *detail)
{
    if (self->redis) {
        self->fault = reason;
        (void)snprintf(self->fault_detail, sizeof(self->fault_detail), "%s", detail);
        end_connection(self);
    }
}

static void reset_by_reply(fw_redis_link_t *self, const redisReply *reply)
{
    reset(self, fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len}), reply->str);
}

void fw_redis_link_reset(fw_redis_link_t *self, fw_redis_error_t reason)
{
    reset(self, reason, "given up");
}

/* ---- connecting */

typedef enum { STEP_AUTH, STEP_SELECT, STEP_NAME, STEP_INFO, STEP_SCRIPT, STEP_LAST } step_t;

/* The process that answers is named by its run_id. */
static void note_run_id(fw_redis_link_t *self, const redisReply *reply)
{
    static const char label[] = "run_id:";
    const char *found = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, label) : NULL;
    if (!found || strlen(found) < sizeof(label) - 1 + RUN_ID_SIZE) {
        return; /* A proxy, or a user who may not ask: then restarts are not noticed. */
    }
    char run_id[RUN_ID_SIZE + 1] = {0};
    memcpy(run_id, found + sizeof(label) - 1, RUN_ID_SIZE);
    if (self->run_id[0] && strcmp(self->run_id, run_id) != 0) {
        self->restarts++;
        fw_log(FW_LOG_WARN, "redis is another process than before",
               FW_KV_TEXT("link", self->config.name));
    }
    memcpy(self->run_id, run_id, sizeof(run_id));
}

static void on_step(void *context, size_t index, const redisReply *reply)
{
    fw_redis_link_t *self = context;
    if (!reply) {
        return;
    }
    step_t step = (step_t)index;
    bool failed = reply->type == REDIS_REPLY_ERROR;
    if (failed && step != STEP_NAME && step != STEP_INFO) {
        reset_by_reply(self, reply);
        return;
    }
    if (step == STEP_INFO) {
        note_run_id(self, reply);
    }
    if (step == STEP_SCRIPT && reply->type == REDIS_REPLY_STRING &&
        reply->len == FW_REDIS_SHA_SIZE) {
        memcpy(self->sha, reply->str, FW_REDIS_SHA_SIZE);
    }
    if (step == STEP_LAST) {
        fw_backoff_reset(&self->backoff);
        fw_log(FW_LOG_INFO, "redis link is up", FW_KV_TEXT("link", self->config.name));
        set_state(self, FW_REDIS_LINK_CONNECTED);
    }
}

static void say(fw_redis_link_t *self, step_t step, int argc, const char *const *texts)
{
    const char *argv[HANDSHAKE_ARGUMENTS_MAX];
    size_t sizes[HANDSHAKE_ARGUMENTS_MAX];
    assert(argc <= HANDSHAKE_ARGUMENTS_MAX);
    for (int i = 0; i < argc; i++) {
        argv[i] = texts[i];
        sizes[i] = strlen(texts[i]);
    }
    int result = queue(self, argc, argv, sizes, (pending_t){on_step, self, (size_t)step});
    assert(result == 0);
    (void)result;
}

static void log_in(fw_redis_link_t *self)
{
    const fw_redis_address_t *address = &self->config.address;
    if (address->user[0]) {
        say(self, STEP_AUTH, 3, (const char *[]){"AUTH", address->user, address->password});
    } else if (address->password[0]) {
        say(self, STEP_AUTH, 2, (const char *[]){"AUTH", address->password});
    }
    if (address->database > 0) {
        char database[16];
        (void)snprintf(database, sizeof(database), "%d", address->database);
        say(self, STEP_SELECT, 2, (const char *[]){"SELECT", database});
    }
    say(self, STEP_NAME, 3, (const char *[]){"CLIENT", "SETNAME", self->config.name});
    say(self, STEP_INFO, 2, (const char *[]){"INFO", "server"});
    if (self->config.script.size > 0) {
        say(self, STEP_SCRIPT, 3, (const char *[]){"SCRIPT", "LOAD", self->config.script.text});
    }
    say(self, STEP_LAST, 1, (const char *[]){"PING"});
}

/* Begins to connect to a socket file or a numeric address. */
static void open_connection(fw_redis_link_t *self, const char *address, int64_t now_ms)
{
    const char *path = self->config.address.path;
    redisAsyncContext *redis = path[0] ? redisAsyncConnectUnix(path)
                                       : redisAsyncConnect(address, self->config.address.port);
    if (!redis || redis->err) {
        char detail[DETAIL_SIZE];
        (void)snprintf(detail, sizeof(detail), "%s", redis ? redis->errstr : "out of memory");
        if (redis) {
            redisAsyncFree(redis);
        }
        closed(self, FW_REDIS_LOST, detail);
        return;
    }
    self->redis = redis;
    self->want_read = self->want_write = false;
    redis->ev.data = self;
    redis->ev.addRead = on_add_read;
    redis->ev.delRead = on_del_read;
    redis->ev.addWrite = on_add_write;
    redis->ev.delWrite = on_del_write;
    redis->ev.cleanup = on_cleanup;
    self->want_write = true; /* A socket that becomes writable is connected. */
    log_in(self);
    self->progress_ms = now_ms;
    update_poller(self);
}

static void connect_now(fw_redis_link_t *self, int64_t now_ms)
{
    const char *host = self->config.address.host;
    self->progress_ms = now_ms;
    set_state(self, FW_REDIS_LINK_CONNECTING);
    if (!host[0] || !fw_resolve_needed(host)) {
        open_connection(self, host, now_ms);
        return;
    }
    /* A look-up that was slow the last time is still going on: it is not begun a second time. */
    if (!self->resolve && fw_resolve_start(host, &self->resolve) != 0) {
        closed(self, FW_REDIS_LOST, "cannot look up the host name");
    }
}

/* Goes on when the name is known. */
static void watch_resolve(fw_redis_link_t *self, int64_t now_ms)
{
    fw_addresses_t addresses;
    int result = fw_resolve_result(self->resolve, &addresses);
    if (result == -EINPROGRESS) {
        if (now_ms - self->progress_ms >= self->config.timeout_ms) {
            closed(self, FW_REDIS_LOST, "the name server is silent");
        }
        return;
    }
    fw_resolve_destroy(&self->resolve);
    if (result == 0) {
        /* Each try that failed makes the next one use another address. */
        open_connection(self, addresses.text[self->backoff.attempt % addresses.count], now_ms);
    } else {
        closed(self, FW_REDIS_LOST, "the host name is unknown");
    }
}

static void on_pong(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        reset_by_reply(context, reply);
    }
}

void fw_redis_link_tick(fw_redis_link_t *self, int64_t now_ms)
{
    int64_t pause_ms = now_ms - self->ticked_ms;
    self->ticked_ms = now_ms;
    if (pause_ms > FW_REDIS_STALL_MS) {
        /* The answer may have come meanwhile; the loop looks at timers before it looks at sockets.
         */
        self->progress_ms = now_ms;
    }
    if (self->state == FW_REDIS_LINK_CLOSED) {
        if (now_ms >= self->connect_at_ms) {
            connect_now(self, now_ms);
        }
    } else if (self->resolve) {
        watch_resolve(self, now_ms);
    } else if (self->pending_count > 0) {
        if (now_ms - self->progress_ms >= self->config.timeout_ms) {
            reset(self, FW_REDIS_LOST, "no answer in time");
        }
    } else if (now_ms - self->progress_ms >= FW_REDIS_IDLE_MS_MAX) {
        const char *argv[] = {"PING"};
        const size_t sizes[] = {4};
        (void)queue(self, 1, argv, sizes, (pending_t){on_pong, self, 0});
        fw_redis_link_flush(self);
    }
}

/* ---- life */

fw_redis_link_t *fw_redis_link_new(zloop_t *loop, const fw_redis_link_config_t *config)
{
    assert(config->timeout_ms > 0);
    fw_redis_link_t *self = fw_alloc(1, sizeof(*self));
    self->loop = loop;
    self->config = *config;
    self->polled.fd = -1;
    self->backoff = fw_backoff_make(0, FW_REDIS_BACKOFF_MS, FW_REDIS_BACKOFF_MS_MAX, config->seed);
    return self;
}

void fw_redis_link_destroy(fw_redis_link_t **self_p)
{
    fw_redis_link_t *self = *self_p;
    if (!self) {
        return;
    }
    self->ending = true;
    if (self->redis) {
        end_connection(self);
    }
    fw_resolve_destroy(&self->resolve);
    free(self->pending);
    free(self);
    *self_p = NULL;
}

fw_redis_link_state_t fw_redis_link_state(const fw_redis_link_t *self)
{
    return self->state;
}

const char *fw_redis_link_sha(const fw_redis_link_t *self)
{
    return self->sha;
}

uint64_t fw_redis_link_restarts(const fw_redis_link_t *self)
{
    return self->restarts;
}

uint64_t fw_redis_link_moved(const fw_redis_link_t *self)
{
    return self->moved;
}
