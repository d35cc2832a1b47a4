/* sweeper.c - runs pattern sweeps on a Redis link.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/sweeper.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { ARGUMENTS_MAX = 1 + FW_SWEEP_KEYS_PER_COMMAND, DIGITS_MAX = 24 };

struct fw_sweeper {
    zloop_t *loop;
    fw_redis_link_t *redis;
    fw_sweep_t *sweep;
    fw_sweep_step_t step;    /* that is on its way */
    bool asked;              /* a step is on its way */
    bool broken;             /* part of an UNLINK failed */
    int timer;               /* that ends the rest; -1 = none */
    fw_sweep_totals_t shown; /* what the counters have been told */
    size_t awaited;          /* replies to the commands of an UNLINK */
    fw_sweeper_config_t config;
    const fw_worker_metrics_t *metrics;
    bool ending; /* being destroyed */
    fw_log_limit_t log_limit;
};

static void advance(fw_sweeper_t *self);

/* Brings the counters up to the totals. */
static void show(fw_sweeper_t *self)
{
    const fw_worker_metrics_t *metrics = self->metrics;
    fw_sweep_totals_t now = fw_sweep_totals(self->sweep);
    fw_counter_add(metrics->sweeps_done, now.sweeps - self->shown.sweeps);
    fw_counter_add(metrics->sweeps_refused, now.sweeps_refused - self->shown.sweeps_refused);
    fw_counter_add(metrics->sweep_keys_scanned, now.keys_scanned - self->shown.keys_scanned);
    fw_counter_add(metrics->sweep_keys_matched, now.keys_matched - self->shown.keys_matched);
    fw_counter_add(metrics->sweep_keys_refused, now.keys_refused - self->shown.keys_refused);
    self->shown = now;
}

/* ---- replies */

static void log_error(fw_sweeper_t *self, const redisReply *reply)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->log_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, "redis refused a step of a sweep",
               FW_KV_TEXT("step", self->step.kind == FW_SWEEP_SCAN ? "scan" : "unlink"),
               FW_KV_TEXT("detail", reply->str), FW_KV_UINT("suppressed", suppressed));
    }
}

static bool is_spared(const fw_sweeper_t *self, fw_bytes_t key)
{
    for (size_t i = 0; i < self->config.spared_count; i++) {
        const fw_text_t spared = self->config.spared[i];
        if (fw_bytes_equal(key, (fw_bytes_t){(const uint8_t *)spared.text, spared.size})) {
            return true;
        }
    }
    return false;
}

/* The answer to SCAN: the next cursor and an array of keys. False when it has another shape. */
static bool take_scan(fw_sweeper_t *self, const redisReply *reply, int64_t now_us)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    const redisReply *list = reply->element[1];
    fw_bytes_t *keys = fw_alloc(list->elements + 1, sizeof(fw_bytes_t));
    size_t count = 0;
    for (size_t i = 0; i < list->elements; i++) {
        const redisReply *key = list->element[i];
        fw_bytes_t bytes = {(const uint8_t *)key->str, (size_t)key->len};
        if (!is_spared(self, bytes)) {
            keys[count++] = bytes;
        }
    }
    uint64_t cursor = strtoull(reply->element[0]->str, NULL, 10);
    fw_sweep_scanned(self->sweep, cursor, keys, count, now_us);
    free(keys);
    return true;
}

/* Several keys that were refused together are removed one by one: then it is known which. */
static void tell_refused(fw_sweeper_t *self, fw_bytes_t key, const char *reason)
{
    if (self->step.kind == FW_SWEEP_SCAN || key.size > 0) {
        self->config.on_refused(self->config.context, key, reason);
    }
}

static void on_reply(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_sweeper_t *self = context;
    int64_t now_us = fw_clock_us();
    self->asked = false;
    bool error = reply && reply->type == REDIS_REPLY_ERROR;
    if (error) {
        log_error(self, reply);
    }
    bool answered = reply && !error;
    if (error &&
        !fw_redis_error_retryable(fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len}))) {
        tell_refused(self,
                     self->step.kind == FW_SWEEP_UNLINK && self->step.keys_count == 1
                         ? self->step.keys[0]
                         : (fw_bytes_t){NULL, 0},
                     reply->str);
        fw_sweep_refused(self->sweep, now_us);
    } else if (answered && self->step.kind == FW_SWEEP_UNLINK) {
        fw_sweep_unlinked(self->sweep, now_us);
    } else if (!answered || !take_scan(self, reply, now_us)) {
        fw_sweep_failed(self->sweep, now_us);
    }
    show(self);
    advance(self);
}

/* ---- steps */

static int on_rested(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    fw_sweeper_t *self = arg;
    self->timer = -1;
    advance(self);
    return 0;
}

/* A key of its own: what one of them meets is met by the step, which is then begun again. */
static void on_unlinked(void *context, size_t index, const redisReply *reply)
{
    fw_sweeper_t *self = context;
    bool refused =
        reply && reply->type == REDIS_REPLY_ERROR &&
        !fw_redis_error_retryable(fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len}));
    if (refused) {
        fw_counter_add(self->metrics->sweep_keys_refused, 1);
        tell_refused(self, self->step.keys[index], reply->str);
    } else if (!reply || reply->type == REDIS_REPLY_ERROR) {
        self->broken = true;
        if (reply) {
            log_error(self, reply);
        }
    }
    if (--self->awaited > 0) {
        return;
    }
    self->asked = false;
    int64_t now_us = fw_clock_us();
    if (self->broken) {
        fw_sweep_failed(self->sweep, now_us);
    } else {
        fw_sweep_unlinked(self->sweep, now_us);
    }
    show(self);
    advance(self);
}

static void send_unlinks(fw_sweeper_t *self)
{
    size_t count = self->step.keys_count;
    self->awaited = count;
    self->broken = false;
    fw_bytes_t keys[FW_SWEEP_KEYS_PER_COMMAND];
    memcpy(keys, self->step.keys, count * sizeof(fw_bytes_t));
    for (size_t i = 0; i < count; i++) {
        const char *argv[] = {"UNLINK", (const char *)keys[i].data};
        const size_t sizes[] = {6, keys[i].size};
        if (fw_redis_link_command(self->redis, 2, argv, sizes, on_unlinked, self, i) != 0) {
            on_unlinked(self, i, NULL);
        }
    }
}

static void send_unlink(fw_sweeper_t *self)
{
    if (self->config.one_by_one) {
        send_unlinks(self);
        return;
    }
    const char *argv[ARGUMENTS_MAX] = {"UNLINK"};
    size_t sizes[ARGUMENTS_MAX] = {6};
    for (size_t i = 0; i < self->step.keys_count; i++) {
        argv[1 + i] = (const char *)self->step.keys[i].data;
        sizes[1 + i] = self->step.keys[i].size;
    }
    if (fw_redis_link_command(self->redis, 1 + (int)self->step.keys_count, argv, sizes, on_reply,
                              self, 0) != 0) {
        on_reply(self, 0, NULL);
    }
}

static void send_scan(fw_sweeper_t *self)
{
    char cursor[DIGITS_MAX];
    char count[DIGITS_MAX];
    (void)snprintf(cursor, sizeof(cursor), "%" PRIu64, self->step.cursor);
    (void)snprintf(count, sizeof(count), "%" PRIu32, self->step.count);
    const char *argv[] = {"SCAN", cursor, "COUNT", count, "MATCH", self->step.match};
    const size_t sizes[] = {4, strlen(cursor), 5, strlen(count), 5, strlen(self->step.match)};
    int argc = self->step.match[0] ? 6 : 4;
    fw_counter_add(self->metrics->sweep_scans, 1);
    if (fw_redis_link_command(self->redis, argc, argv, sizes, on_reply, self, 0) != 0) {
        on_reply(self, 0, NULL);
    }
}

/* Does the next step, unless one is on its way or it is not time yet. */
static void advance(fw_sweeper_t *self)
{
    if (self->ending || self->asked || self->timer >= 0 ||
        fw_redis_link_state(self->redis) != FW_REDIS_LINK_CONNECTED) {
        return;
    }
    int64_t now_us = fw_clock_us();
    self->step = fw_sweep_next(self->sweep, now_us);
    switch (self->step.kind) {
    case FW_SWEEP_IDLE:
        return;
    case FW_SWEEP_REST: {
        size_t wait_ms = (size_t)((self->step.until_us - now_us + 999) / 1000);
        self->timer = zloop_timer(self->loop, wait_ms, 1, on_rested, self);
        assert(self->timer >= 0);
        return;
    }
    case FW_SWEEP_SCAN:
        self->asked = true;
        send_scan(self);
        break;
    case FW_SWEEP_UNLINK:
        self->asked = true;
        send_unlink(self);
        break;
    }
    fw_redis_link_flush(self->redis);
}

int fw_sweeper_request(fw_sweeper_t *self, fw_text_t pattern)
{
    int result = fw_sweep_request(self->sweep, pattern);
    show(self);
    return result;
}

size_t fw_sweeper_pending(const fw_sweeper_t *self)
{
    return fw_sweep_pending(self->sweep);
}

void fw_sweeper_tick(fw_sweeper_t *self, int64_t now_ms)
{
    if (fw_sweep_pending(self->sweep) > 0 ||
        fw_redis_link_state(self->redis) != FW_REDIS_LINK_CLOSED) {
        fw_redis_link_tick(self->redis, now_ms);
    }
    advance(self);
}

/* ---- life */

static void on_state(void *context, fw_redis_link_state_t state)
{
    (void)context;
    (void)state; /* The next tick looks at it. */
}

static void on_error(void *context, fw_redis_error_t error)
{
    fw_sweeper_t *self = context;
    fw_counter_add(self->metrics->redis_errors[error], 1);
}

fw_sweeper_t *fw_sweeper_new(zloop_t *loop, const fw_sweeper_config_t *config)
{
    fw_sweeper_t *self = fw_alloc(1, sizeof(*self));
    self->loop = loop;
    self->timer = -1;
    self->config = *config;
    self->metrics = config->metrics;
    fw_redis_link_config_t link = config->link;
    link.on_state = on_state;
    link.on_error = on_error;
    link.context = self;
    link.script = FW_TEXT_NONE;
    self->redis = fw_redis_link_new(loop, &link);
    self->sweep = fw_sweep_new(&config->limits);
    return self;
}

void fw_sweeper_destroy(fw_sweeper_t **self_p)
{
    fw_sweeper_t *self = *self_p;
    if (!self) {
        return;
    }
    if (self->timer >= 0) {
        zloop_timer_end(self->loop, self->timer);
    }
    self->ending = true;
    fw_redis_link_destroy(&self->redis);
    fw_sweep_destroy(&self->sweep);
    free(self);
    *self_p = NULL;
}
