/* sweep_queue.c - patterns that wait to be swept, kept in Redis.   SPDX-License-Identifier: MPL-2.0
 */
#include "workers/sweep_queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/slot_map.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "workers/dead_letters.h"
#include "workers/sweep_scripts.h"
#include "workers/sweeper.h"

enum {
    SERVERS_MAX = FW_SLOT_SERVERS_MAX,
    KEY_SIZE_MAX = FW_PURGE_NAME_SPACE_SIZE_MAX + 16,
    ARGUMENTS_MAX = 4 + 2 * FW_SWEEP_QUEUE_MAX,
    SPARED = 5,
    REFUSED_MAX = 256,
    REASON_SIZE = 160,
};

typedef struct {
    char *text;
    size_t size;
    char score[32];
} claimed_t;

/* One server and who sweeps it. */
typedef struct {
    fw_redis_address_t address;
    fw_sweeper_t *sweeper;
} crew_t;

struct fw_sweep_queue {
    fw_sweep_queue_config_t config;
    char set_key[KEY_SIZE_MAX];
    char owner_key[KEY_SIZE_MAX];
    char spared_keys[SPARED][KEY_SIZE_MAX]; /* ours, whatever a pattern says */
    fw_text_t spared[SPARED];
    char me[33];
    crew_t crew[SERVERS_MAX];
    size_t crew_count;
    uint64_t generation; /* of the pool when the sweep began */
    bool sweeping;
    bool leaving;
    bool asked; /* a claim or a removal is on its way */
    bool renewing;
    int64_t poll_at_ms;
    int64_t renew_at_ms;
    claimed_t *claimed; /* what is being swept */
    size_t claimed_count;
    fw_text_t refused[REFUSED_MAX]; /* keys that Redis will never remove, of this sweep */
    size_t refused_count;
    bool patterns_refused;            /* or there were more: the patterns themselves are kept */
    char refused_reason[REASON_SIZE]; /* Redis' words, for the first of them */
    int64_t waiting; /* patterns in the set, as far as this worker is the one to sweep them */
    fw_log_limit_t log_limit;
};

static void complain(fw_sweep_queue_t *self, const char *what, const redisReply *reply)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->log_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, what,
               FW_KV_TEXT("detail",
                          reply && reply->type == REDIS_REPLY_ERROR ? reply->str : "no answer"),
               FW_KV_UINT("suppressed", suppressed));
    }
}

static void set_waiting(fw_sweep_queue_t *self, int64_t waiting)
{
    fw_gauge_add(self->config.metrics->sweep_pending, waiting - self->waiting);
    self->waiting = waiting;
}

/* Runs a script; its keys are ours. arguments: room for four more in front. */
static int run_script(fw_sweep_queue_t *self, const char *script, size_t count,
                      const fw_text_t *arguments, fw_redis_reply_fn *reply_fn, void *context)
{
    const char *argv[ARGUMENTS_MAX + 1];
    size_t sizes[ARGUMENTS_MAX + 1];
    const fw_text_t head[] = {FW_TEXT("EVAL"), fw_text(script), FW_TEXT("2"),
                              fw_text(self->set_key), fw_text(self->owner_key)};
    size_t total = 0;
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++, total++) {
        argv[total] = head[i].text;
        sizes[total] = head[i].size;
    }
    assert(total + count <= ARGUMENTS_MAX + 1);
    for (size_t i = 0; i < count; i++, total++) {
        argv[total] = arguments[i].text;
        sizes[total] = arguments[i].size;
    }
    return fw_redis_pool_call(self->config.pool, fw_text(self->set_key), (int)total, argv, sizes,
                              reply_fn, context, 0);
}

/* ---- what is refused */

static void on_refused(void *context, fw_bytes_t key, const char *reason)
{
    fw_sweep_queue_t *self = context;
    if (self->refused_count == 0 && !self->patterns_refused) {
        (void)snprintf(self->refused_reason, sizeof(self->refused_reason), "%s", reason);
    }
    if (key.size == 0 || self->refused_count == REFUSED_MAX) {
        self->patterns_refused = true;
        return;
    }
    const char *text = (const char *)key.data;
    self->refused[self->refused_count++] = (fw_text_t){fw_copy_text(text, key.size), key.size};
}

static void forget_refused(fw_sweep_queue_t *self)
{
    for (size_t i = 0; i < self->refused_count; i++) {
        union {
            const char *in;
            char *out;
        } cast = {.in = self->refused[i].text};
        free(cast.out);
    }
    self->refused_count = 0;
    self->patterns_refused = false;
}

/* Keeps as a dead letter what the sweep could not do: its events have been released long ago, so
 * that nobody else hears of it. */
static void keep_refused(fw_sweep_queue_t *self)
{
    fw_text_t patterns[FW_SWEEP_QUEUE_MAX];
    fw_purge_job_t letter = {.keys = self->refused, .keys_count = self->refused_count};
    if (self->patterns_refused) {
        for (size_t i = 0; i < self->claimed_count && i < FW_SWEEP_QUEUE_MAX; i++) {
            patterns[i] = (fw_text_t){self->claimed[i].text, self->claimed[i].size};
        }
        letter.keys_count = 0;
        letter.patterns = patterns;
        letter.patterns_count = self->claimed_count;
    }
    if (fw_purge_job_items(&letter) + letter.patterns_count > 0) {
        fw_purge_job_fail(&letter, FW_PURGE_REFUSED, "redis refused a sweep", self->refused_reason);
        fw_dead_letters_add(self->config.pool, self->config.config->name_space, &letter);
    }
    forget_refused(self);
}

/* ---- the crew */

static fw_sweeper_t *make_sweeper(fw_sweep_queue_t *self, const fw_redis_address_t *address)
{
    const fw_workers_config_t *workers = self->config.config;
    const fw_sweep_limits_t limits = {.patterns_max = FW_SWEEP_QUEUE_MAX,
                                      .count = workers->sweep_count,
                                      .duty_percent = workers->sweep_duty_percent};
    const fw_sweeper_config_t config = {
        .link = {.address = *address,
                 .timeout_ms = workers->redis_timeout_ms,
                 .name = self->config.name,
                 .seed = self->config.seed + self->crew_count},
        .limits = limits,
        .one_by_one = fw_redis_pool_clustered(self->config.pool),
        .spared = self->spared,
        .spared_count = SPARED,
        .metrics = self->config.metrics,
        .on_refused = on_refused,
        .context = self,
    };
    return fw_sweeper_new(self->config.loop, &config);
}

static void dismiss(fw_sweep_queue_t *self)
{
    for (size_t i = 0; i < self->crew_count; i++) {
        fw_sweeper_destroy(&self->crew[i].sweeper);
    }
    self->crew_count = 0;
}

/* A sweeper for each server, kept as long as the servers are the same. */
static void gather_crew(fw_sweep_queue_t *self)
{
    uint64_t generation = fw_redis_pool_generation(self->config.pool);
    if (self->crew_count > 0 && generation == self->generation) {
        return;
    }
    dismiss(self);
    self->generation = generation;
    size_t servers = fw_redis_pool_servers(self->config.pool);
    for (size_t i = 0; i < servers && i < SERVERS_MAX; i++) {
        crew_t *crew = &self->crew[i];
        crew->address = *fw_redis_pool_server(self->config.pool, i);
        crew->sweeper = make_sweeper(self, &crew->address);
        self->crew_count++;
    }
}

static void sweep(fw_sweep_queue_t *self, fw_text_t pattern)
{
    for (size_t i = 0; i < self->crew_count; i++) {
        if (fw_sweeper_request(self->crew[i].sweeper, pattern) != 0) {
            /* Only patterns that the set has no room for; their jobs come again. */
            fw_counter_add(self->config.metrics->refused[FW_REFUSED_SWEEPS], 1);
        }
    }
}

static size_t crew_pending(const fw_sweep_queue_t *self)
{
    size_t pending = 0;
    for (size_t i = 0; i < self->crew_count; i++) {
        pending += fw_sweeper_pending(self->crew[i].sweeper);
    }
    return pending;
}

static void forget_claimed(fw_sweep_queue_t *self)
{
    for (size_t i = 0; i < self->claimed_count; i++) {
        free(self->claimed[i].text);
    }
    free(self->claimed);
    self->claimed = NULL;
    self->claimed_count = 0;
}

/* Begins, or begins again because the servers are others now. */
static void begin_sweep(fw_sweep_queue_t *self)
{
    gather_crew(self);
    for (size_t i = 0; i < self->claimed_count; i++) {
        sweep(self, (fw_text_t){self->claimed[i].text, self->claimed[i].size});
    }
    self->sweeping = true;
}

/* ---- recording patterns */

typedef struct {
    fw_sweep_queue_t *queue;
    fw_purge_job_t *job;
} recording_t;

static void on_added(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    recording_t *recording = context;
    fw_sweep_queue_t *self = recording->queue;
    fw_purge_job_t *job = recording->job;
    free(recording);
    bool counted = reply && reply->type == REDIS_REPLY_INTEGER;
    if (counted && reply->integer >= 0) {
        set_waiting(self, reply->integer);
        self->poll_at_ms = 0;
    } else if (counted) {
        fw_counter_add(self->config.metrics->refused[FW_REFUSED_SWEEPS], 1);
        fw_purge_job_fail(job, FW_PURGE_FAILED, "too many patterns wait for a sweep", "");
    } else {
        bool error = reply && reply->type == REDIS_REPLY_ERROR;
        job->error = error   ? fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len})
                     : reply ? FW_REDIS_PROTOCOL
                             : FW_REDIS_LOST;
        if (job->error == FW_REDIS_OOM && !self->leaving) {
            gather_crew(self);
            for (size_t i = 0; i < job->patterns_count; i++) {
                sweep(self, job->patterns[i]);
            }
            self->sweeping = true;
        }
        bool again = fw_redis_error_retryable(job->error);
        fw_purge_job_fail(job, again ? FW_PURGE_FAILED : FW_PURGE_REFUSED,
                          "the patterns could not be recorded", error ? reply->str : "");
    }
    self->config.on_recorded(self->config.context, &job);
}

void fw_sweep_queue_record(fw_sweep_queue_t *self, fw_purge_job_t **job_p)
{
    fw_purge_job_t *job = *job_p;
    *job_p = NULL;
    fw_text_t arguments[1 + FW_INVALIDATE_PATTERNS_MAX];
    char max[16];
    (void)snprintf(max, sizeof(max), "%d", FW_SWEEP_QUEUE_MAX);
    arguments[0] = fw_text(max);
    assert(job->patterns_count <= FW_INVALIDATE_PATTERNS_MAX);
    memcpy(arguments + 1, job->patterns, job->patterns_count * sizeof(fw_text_t));
    recording_t *recording = fw_alloc(1, sizeof(*recording));
    *recording = (recording_t){self, job};
    if (run_script(self, fw_sweep_add_script, 1 + job->patterns_count, arguments, on_added,
                   recording) != 0) {
        on_added(recording, 0, NULL);
    }
}

/* ---- claiming and giving back */

static void take_patterns(fw_sweep_queue_t *self, const redisReply *list)
{
    size_t count = list->elements / 2;
    self->claimed = fw_alloc(count, sizeof(claimed_t));
    for (size_t i = 0; i < count; i++) {
        const redisReply *pattern = list->element[2 * i];
        const redisReply *score = list->element[2 * i + 1];
        if (pattern->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
            pattern->len > FW_KEY_SIZE_MAX) {
            continue; /* Nobody of us wrote this. */
        }
        claimed_t *claimed = &self->claimed[self->claimed_count++];
        claimed->text = fw_copy_text(pattern->str, (size_t)pattern->len);
        claimed->size = (size_t)pattern->len;
        (void)snprintf(claimed->score, sizeof(claimed->score), "%s", score->str);
    }
}

static void on_claimed(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_sweep_queue_t *self = context;
    self->asked = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER ||
        reply->element[2]->type != REDIS_REPLY_ARRAY) {
        if (reply) {
            complain(self, "cannot look for patterns to sweep, asking again", reply);
        }
        return;
    }
    bool mine = reply->element[1]->integer == 1;
    set_waiting(self, mine ? reply->element[0]->integer : 0);
    if (mine && !self->leaving && reply->element[2]->elements >= 2) {
        take_patterns(self, reply->element[2]);
        self->renew_at_ms = fw_clock_ms() + FW_SWEEP_RENEW_MS;
        begin_sweep(self);
    }
}

static void claim(fw_sweep_queue_t *self)
{
    char lease[16];
    char limit[16];
    (void)snprintf(lease, sizeof(lease), "%d", FW_SWEEP_LEASE_MS);
    (void)snprintf(limit, sizeof(limit), "%d", FW_SWEEP_QUEUE_MAX);
    const fw_text_t arguments[] = {fw_text(self->me), fw_text(lease), fw_text(limit)};
    self->asked = run_script(self, fw_sweep_claim_script, 3, arguments, on_claimed, self) == 0;
}

static void on_renewed(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_sweep_queue_t *self = context;
    self->renewing = false;
    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0 && self->sweeping) {
        /* This process stood still for too long: whoever holds the lease now sweeps them. */
        dismiss(self);
        forget_claimed(self);
        forget_refused(self);
        self->sweeping = false;
        set_waiting(self, 0);
    }
}

static void renew(fw_sweep_queue_t *self)
{
    char lease[16];
    (void)snprintf(lease, sizeof(lease), "%d", FW_SWEEP_LEASE_MS);
    const fw_text_t arguments[] = {fw_text(self->me), fw_text(lease)};
    self->renewing = run_script(self, fw_sweep_renew_script, 2, arguments, on_renewed, self) == 0;
}

static void on_removed(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_sweep_queue_t *self = context;
    self->asked = false;
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
        /* They stay in the set and are swept once more. */
        if (!self->leaving) {
            complain(self, "cannot remove patterns that were swept", reply);
        }
        return;
    }
    set_waiting(self, reply->integer);
    self->poll_at_ms = 0;
}

/* Every server has been swept. */
static void finish(fw_sweep_queue_t *self)
{
    self->sweeping = false;
    keep_refused(self);
    if (self->claimed_count == 0) {
        return; /* Only patterns that the set had no room for. */
    }
    fw_text_t *arguments = fw_alloc(2 * self->claimed_count, sizeof(fw_text_t));
    for (size_t i = 0; i < self->claimed_count; i++) {
        arguments[2 * i] = (fw_text_t){self->claimed[i].text, self->claimed[i].size};
        arguments[2 * i + 1] = fw_text(self->claimed[i].score);
    }
    self->asked = run_script(self, fw_sweep_done_script, 2 * self->claimed_count, arguments,
                             on_removed, self) == 0;
    free(arguments);
    forget_claimed(self);
}

void fw_sweep_queue_tick(fw_sweep_queue_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->crew_count; i++) {
        fw_sweeper_tick(self->crew[i].sweeper, now_ms);
    }
    if (self->leaving) {
        return;
    }
    if (self->sweeping && fw_redis_pool_generation(self->config.pool) != self->generation) {
        begin_sweep(self); /* Keys may have moved behind the sweepers' backs. */
    }
    if (self->sweeping && !self->asked && crew_pending(self) == 0) {
        finish(self);
    }
    if (self->claimed_count > 0 && !self->renewing && now_ms >= self->renew_at_ms) {
        self->renew_at_ms = now_ms + FW_SWEEP_RENEW_MS;
        renew(self);
    }
    if (!self->sweeping && !self->asked && now_ms >= self->poll_at_ms) {
        self->poll_at_ms = now_ms + FW_SWEEP_POLL_MS;
        claim(self);
    }
}

/* ---- life */

fw_sweep_queue_t *fw_sweep_queue_new(const fw_sweep_queue_config_t *config)
{
    static const char *const own[SPARED] = {"broker", "epoch", "sweeps", "dead", "lineage"};
    fw_sweep_queue_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    const char *name_space = config->config->name_space;
    for (size_t i = 0; i < SPARED; i++) {
        (void)snprintf(self->spared_keys[i], KEY_SIZE_MAX, "%s:%s", name_space, own[i]);
        self->spared[i] = fw_text(self->spared_keys[i]);
    }
    (void)snprintf(self->set_key, KEY_SIZE_MAX, "%s:sweeps", name_space);
    /* Of the same slot; a name space with braces brings its own. */
    (void)snprintf(self->owner_key, KEY_SIZE_MAX, "{%s:sweeps}:owner", name_space);
    if (fw_slot_of(fw_text(self->owner_key)) != fw_slot_of(fw_text(self->set_key))) {
        (void)snprintf(self->owner_key, KEY_SIZE_MAX, "%s:sweeps:owner", name_space);
    }
    uint8_t id[16];
    fw_random_bytes(id, sizeof(id));
    for (size_t i = 0; i < sizeof(id); i++) {
        (void)snprintf(self->me + 2 * i, 3, "%02x", id[i]);
    }
    return self;
}

static void on_given_back(void *context, size_t index, const redisReply *reply)
{
    (void)context;
    (void)index;
    (void)reply; /* Else it runs out. */
}

void fw_sweep_queue_leave(fw_sweep_queue_t *self)
{
    if (!self || self->leaving) {
        return;
    }
    self->leaving = true;
    const fw_text_t arguments[] = {fw_text(self->me), FW_TEXT("0")};
    if (self->claimed_count > 0 &&
        run_script(self, fw_sweep_renew_script, 2, arguments, on_given_back, NULL) != 0) {
        fw_log(FW_LOG_DEBUG, "the lease of sweeps runs out by itself");
    }
    dismiss(self);
    set_waiting(self, 0);
}

void fw_sweep_queue_destroy(fw_sweep_queue_t **self_p)
{
    fw_sweep_queue_t *self = *self_p;
    if (!self) {
        return;
    }
    dismiss(self);
    set_waiting(self, 0);
    forget_claimed(self);
    forget_refused(self);
    free(self);
    *self_p = NULL;
}
