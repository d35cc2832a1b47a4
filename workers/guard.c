/* guard.c - notices that Redis lost purges, and purges them again.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/guard.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/slot_map.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "workers/lineage.h"
#include "workers/purge_log.h"

enum {
    PLACES_MAX = FW_SLOT_SERVERS_MAX,
    KEY_SIZE_MAX = FW_PURGE_NAME_SPACE_SIZE_MAX + 24,
    TAGS_MAX = 1000000, /* tried to find one of a server's slots */
};

/* Sets a mark unless the one that is there tells of another history: then it is evidence, which is
 * kept until it has been acted upon. Forgets marks of the same history that nobody renews, and,
 * when told to, those of other histories. KEYS: the hash. ARGV: worker, settled, history, whether
 * to set it anyway, seconds that a mark is kept, whether to forget other histories. Returns the
 * mark before, '' = none, whether it was set, then the others' ids and marks. */
static const char beat_script[] =
    "local time = redis.call('TIME') "
    "local old = redis.call('HGET', KEYS[1], ARGV[1]) "
    "local all = redis.call('HGETALL', KEYS[1]) "
    "local set = 0 "
    "if ARGV[4] == '1' or (old and string.sub(old, -40) == ARGV[3]) then "
    "  local now = string.format('%.0f', time[1] * 1000000 + time[2]) "
    "  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. now .. ' ' .. ARGV[3]) "
    "  set = 1 "
    "end "
    "local others = {old or '', set} "
    "for i = 1, #all, 2 do "
    "  if all[i] ~= ARGV[1] then "
    "    local at = tonumber(string.match(all[i + 1], '^%d+ (%d+) ') or '') "
    "    others[#others + 1] = all[i] "
    "    others[#others + 1] = all[i + 1] "
    "    local same = string.sub(all[i + 1], -40) == ARGV[3] "
    "    if set == 1 and ((same and at and at / 1000000 + ARGV[5] < tonumber(time[1])) "
    "       or (not same and ARGV[6] == '1')) then "
    "      redis.call('HDEL', KEYS[1], all[i]) "
    "    end "
    "  end "
    "end "
    "return others";

static const char distrust_script[] =
    "local value = redis.pcall('GETRANGE', KEYS[1], -8, -1) "
    "if value ~= ' running' then redis.call('UNLINK', KEYS[1]) end "
    "return 1";

/* One server, known by a key that it holds. */
typedef struct {
    fw_guard_t *guard;
    char key[KEY_SIZE_MAX];
    bool asked;     /* INFO or the script is on its way */
    bool repairing; /* and not asked before that is done */
    bool flushing;  /* that is how it is repaired */
    bool failed;    /* part of the repair */
    bool marked;    /* has been set */
    bool force;     /* set it whatever is there: everything is repaired, for this history: */
    char repaired[FW_LINEAGE_HISTORY_SIZE + 1];
    uint64_t sent;    /* with the script that is on its way */
    uint64_t settled; /* that the mark says, as far as is known */
    size_t pending;   /* jobs of the repair */
    int64_t next_ms;
    int64_t strangers_since_ms; /* marks of another history are there since; 0 = none */
    int64_t patience_ms;        /* how long they may be */
    bool forget;                /* them: the epoch has been bumped for their sake */
    char history[FW_LINEAGE_HISTORY_SIZE + 1]; /* of the server */
} place_t;

struct fw_guard {
    fw_guard_config_t config;
    fw_purge_log_t *log;
    size_t shown; /* entries that the gauge has been told */
    char id[FW_LINEAGE_ID_SIZE + 1];
    char epoch_key[KEY_SIZE_MAX];
    char record_key[KEY_SIZE_MAX];
    place_t *places[PLACES_MAX]; /* never moved: replies point to them */
    size_t places_count;
    uint64_t generation; /* of the pool, that the places are made for */
    bool marked_anywhere;
    int64_t now_ms; /* of the last tick */
    fw_random_t random;
    fw_log_limit_t log_limit;
};

/* ---- the log */

void fw_guard_before(fw_guard_t *self, fw_purge_job_t *job)
{
    if (fw_purge_job_items(job) + job->patterns_count > 0) {
        job->sequence = fw_purge_log_append(self->log, job, self->now_ms);
    }
}

void fw_guard_after(fw_guard_t *self, const fw_purge_job_t *job)
{
    if (job->sequence > 0) {
        fw_purge_log_settled(self->log, job->sequence);
    }
}

/* ---- repair */

static void part_done(place_t *place, bool good)
{
    place->failed |= !good;
    if (--place->pending > 0) {
        return;
    }
    place->repairing = false;
    place->force = !place->failed;
    place->forget &= place->force;
    place->next_ms = place->failed ? fw_clock_ms() + FW_GUARD_RETRY_MS : 0;
}

static void on_repaired(void *owner, fw_purge_job_t *job)
{
    place_t *place = owner;
    /* What can never be purged could not be purged the first time either: it holds nobody up. */
    bool good =
        job->status == FW_PURGE_DONE || (job->status == FW_PURGE_REFUSED && !place->flushing);
    part_done(place, good);
}

static void on_distrusted(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    part_done(context, reply && reply->type != REDIS_REPLY_ERROR);
}

/* A record that calls the cache clean may be an older one now, while a broker is running that owes
 * purges. One that says "running" promises nothing and may stay. */
static void distrust_record(place_t *place)
{
    fw_guard_t *self = place->guard;
    const char *argv[] = {"EVAL", distrust_script, "1", self->record_key};
    const size_t sizes[] = {4, sizeof(distrust_script) - 1, 1, strlen(self->record_key)};
    place->pending++;
    if (fw_redis_pool_call(self->config.pool, fw_text(self->record_key), 4, argv, sizes,
                           on_distrusted, place, 0) != 0) {
        part_done(place, false);
    }
}

static void give(place_t *place, fw_purge_job_t *job)
{
    job->on_decided = on_repaired;
    job->owner = place;
    fw_redis_pool_add(place->guard->config.pool, &job);
}

static void begin_repair(place_t *place)
{
    memcpy(place->repaired, place->history, sizeof(place->repaired));
    place->repairing = true;
    place->flushing = false;
    place->failed = false;
    place->pending = 1; /* Until all jobs are given: some may be decided at once. */
}

static void end_of_jobs(place_t *place)
{
    fw_redis_pool_run(place->guard->config.pool);
    part_done(place, true);
}

/* Invalidates everything. */
static void flush(place_t *place, const char *reason)
{
    fw_guard_t *self = place->guard;
    const fw_text_t epoch = fw_text(self->epoch_key);
    fw_counter_add(self->config.metrics->lineage_flushed, 1);
    fw_log(FW_LOG_WARN, "bumping the epoch of the cache", FW_KV_TEXT("reason", reason),
           FW_KV_TEXT("mark", place->key));
    begin_repair(place);
    place->flushing = true;
    distrust_record(place);
    place->pending++;
    give(place, fw_purge_job_of(NULL, 0, &epoch, 1));
    end_of_jobs(place);
}

/* Purges once more what is behind the mark. */
static void purge_again(place_t *place, uint64_t since)
{
    fw_guard_t *self = place->guard;
    size_t count = 0;
    begin_repair(place);
    distrust_record(place);
    fw_purge_job_t *job;
    uint64_t before = since;
    while ((job = fw_purge_log_next(self->log, &since))) {
        place->pending++;
        count += (size_t)(since - before);
        before = since;
        give(place, job);
    }
    fw_counter_add(self->config.metrics->lineage_replayed, 1);
    fw_counter_add(self->config.metrics->lineage_jobs, count);
    fw_log(FW_LOG_WARN, "redis has another history, purging again what it may have lost",
           FW_KV_TEXT("mark", place->key), FW_KV_UINT("jobs", count));
    end_of_jobs(place);
}

static void repair(place_t *place, uint64_t settled)
{
    if (fw_purge_log_covers(place->guard->log, settled)) {
        purge_again(place, settled);
    } else {
        flush(place, "redis lost more than the log of purges holds");
    }
}

/* ---- marks */

static int call(place_t *place, int argc, const char *const *texts, fw_redis_reply_fn *reply_fn)
{
    enum { ARGUMENTS_MAX = 10 };
    const char *argv[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX];
    assert(argc <= ARGUMENTS_MAX);
    for (int i = 0; i < argc; i++) {
        argv[i] = texts[i];
        sizes[i] = strlen(texts[i]);
    }
    return fw_redis_pool_call(place->guard->config.pool, fw_text(place->key), argc, argv, sizes,
                              reply_fn, place, 0);
}

static void complain(place_t *place, const redisReply *reply)
{
    uint64_t suppressed = 0;
    if (reply && fw_log_limited(&place->guard->log_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, "cannot set a mark in redis, asking again",
               FW_KV_TEXT("detail",
                          reply->type == REDIS_REPLY_ERROR ? reply->str : "no primary, or no mark"),
               FW_KV_UINT("suppressed", suppressed));
    }
}

/* Marks of another history, after the grace: their workers are gone, and so is what they knew. */
static void miss_strangers(place_t *place, const redisReply *reply)
{
    fw_guard_t *self = place->guard;
    bool any = false;
    for (size_t i = 2; i + 1 < reply->elements; i += 2) {
        fw_lineage_mark_t mark;
        const redisReply *text = reply->element[i + 1];
        any |= !fw_lineage_parse((fw_text_t){text->str, (size_t)text->len}, &mark) ||
               strcmp(mark.history, place->history) != 0;
    }
    int64_t now_ms = fw_clock_ms();
    if (!any) {
        place->strangers_since_ms = 0;
        return;
    }
    if (place->strangers_since_ms == 0) {
        place->strangers_since_ms = now_ms;
        /* Not all workers at once: the first one does it for the others. */
        place->patience_ms =
            FW_LINEAGE_GRACE_MS + (int64_t)fw_random_below(&self->random, FW_LINEAGE_GRACE_MS);
    }
    if (now_ms - place->strangers_since_ms < place->patience_ms) {
        return;
    }
    place->strangers_since_ms = 0;
    place->forget = true; /* With the next mark, which comes behind the bump. */
    flush(place, "a worker is missed since redis has another history");
}

/* The first mark here. */
static void begin_marking(place_t *place)
{
    memcpy(place->repaired, place->history, sizeof(place->repaired));
    place->force = true;
    place->next_ms = 0;
}

static void on_marked(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    place_t *place = context;
    fw_guard_t *self = place->guard;
    place->asked = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_INTEGER) {
        complain(place, reply);
        return;
    }
    const redisReply *old = reply->element[0];
    fw_lineage_view_t view = {.marked = place->marked,
                              .marked_anywhere = self->marked_anywhere,
                              .purged = fw_purge_log_count(self->log) > 0,
                              .settled = place->settled,
                              .others = (reply->elements - 2) / 2,
                              .history = place->history};
    view.found = fw_lineage_parse((fw_text_t){old->str, (size_t)old->len}, &view.mark);
    bool forced = place->force;
    place->force = place->forget = false;
    if (reply->element[1]->integer == 1) {
        place->marked = true;
        place->settled = place->sent;
        self->marked_anywhere = true;
    }
    switch (forced ? FW_LINEAGE_SAME : fw_lineage_judge(&view)) {
    case FW_LINEAGE_SAME:
        if (reply->element[1]->integer == 0) {
            begin_marking(place);
        } else {
            miss_strangers(place, reply);
        }
        return;
    case FW_LINEAGE_LOST:
        repair(place, view.mark.settled);
        return;
    case FW_LINEAGE_UNKNOWN:
        flush(place, view.marked ? "redis lost the mark of this worker" : "nobody was here before");
        return;
    }
}

static void on_info(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    place_t *place = context;
    fw_guard_t *self = place->guard;
    place->asked = false;
    if (!reply || reply->type != REDIS_REPLY_STRING ||
        !fw_lineage_history(reply->str, place->history)) {
        complain(place, reply);
        return;
    }
    place->force &= fw_lineage_holds(place->repaired, place->history);
    place->forget &= place->force;
    char settled[24];
    char age[16];
    /* What is settled now stands before the mark in the history of the server. */
    place->sent = fw_purge_log_watermark(self->log);
    (void)snprintf(settled, sizeof(settled), "%" PRIu64, place->sent);
    (void)snprintf(age, sizeof(age), "%d", FW_LINEAGE_AGE_S_MAX);
    place->asked = call(place, 10,
                        (const char *[]){"EVAL", beat_script, "1", place->key, self->id, settled,
                                         place->history, place->force ? "1" : "0", age,
                                         place->force && place->forget ? "1" : "0"},
                        on_marked) == 0;
}

static void beat(place_t *place)
{
    fw_guard_t *self = place->guard;
    size_t server = fw_redis_pool_server_of(self->config.pool, fw_text(place->key));
    const char *argv[] = {"INFO", "replication"};
    const size_t sizes[] = {4, 11};
    place->asked = server != FW_REDIS_NO_SERVER &&
                   fw_redis_pool_call_server(self->config.pool, server, 2, argv, sizes, on_info,
                                             place, 0) == 0;
}

/* ---- places */

static bool has_place(const fw_guard_t *self, size_t server)
{
    for (size_t i = 0; i < self->places_count; i++) {
        if (fw_redis_pool_server_of(self->config.pool, fw_text(self->places[i]->key)) == server) {
            return true;
        }
    }
    return false;
}

static place_t *make_place(fw_guard_t *self)
{
    place_t *place = fw_alloc(1, sizeof(*place));
    place->guard = self;
    self->places[self->places_count++] = place;
    return place;
}

/* A key for each server that has none. Those of servers that are gone stay: whoever took over their
 * slots is asked for their marks. Every worker finds the same keys, since all try the same ones. */
static void find_places(fw_guard_t *self)
{
    self->generation = fw_redis_pool_generation(self->config.pool);
    size_t servers = fw_redis_pool_servers(self->config.pool);
    for (size_t server = 0; server < servers && self->places_count < PLACES_MAX; server++) {
        if (has_place(self, server)) {
            continue;
        }
        char key[KEY_SIZE_MAX];
        (void)snprintf(key, sizeof(key), "%s:lineage", self->config.name_space);
        bool mine = fw_redis_pool_server_of(self->config.pool, fw_text(key)) == server;
        for (int tag = 0; !mine && tag < TAGS_MAX; tag++) {
            (void)snprintf(key, sizeof(key), "{%d}%s:lineage", tag, self->config.name_space);
            mine = fw_redis_pool_server_of(self->config.pool, fw_text(key)) == server;
        }
        if (mine) {
            memcpy(make_place(self)->key, key, sizeof(key));
        }
    }
    fw_guard_hasten(self);
}

void fw_guard_hasten(fw_guard_t *self)
{
    for (size_t i = 0; i < self->places_count; i++) {
        self->places[i]->next_ms = 0;
    }
}

void fw_guard_tick(fw_guard_t *self, int64_t now_ms)
{
    const fw_worker_metrics_t *metrics = self->config.metrics;
    self->now_ms = now_ms;
    fw_counter_add(metrics->log_overflows, fw_purge_log_trim(self->log, now_ms));
    size_t count = fw_purge_log_count(self->log);
    fw_gauge_add(metrics->log_entries, (int64_t)count - (int64_t)self->shown);
    self->shown = count;
    if (self->generation != fw_redis_pool_generation(self->config.pool)) {
        find_places(self);
    }
    for (size_t i = 0; i < self->places_count; i++) {
        place_t *place = self->places[i];
        if (!place->asked && !place->repairing && now_ms >= place->next_ms) {
            place->next_ms = now_ms + FW_GUARD_BEAT_MS;
            beat(place);
        }
    }
}

/* ---- life */

fw_guard_t *fw_guard_new(const fw_guard_config_t *config)
{
    fw_guard_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    self->now_ms = fw_clock_ms();
    self->random.state = config->seed;
    const fw_purge_log_limits_t limits = {.age_ms_max = FW_GUARD_AGE_MS,
                                          .entries_max = FW_GUARD_ENTRIES_MAX,
                                          .bytes_max = FW_GUARD_BYTES_MAX};
    self->log = fw_purge_log_new(&limits);
    uint8_t id[FW_LINEAGE_ID_SIZE / 2];
    fw_random_bytes(id, sizeof(id));
    for (size_t i = 0; i < sizeof(id); i++) {
        (void)snprintf(self->id + 2 * i, 3, "%02x", id[i]);
    }
    (void)snprintf(self->epoch_key, KEY_SIZE_MAX, "%s:epoch", config->name_space);
    (void)snprintf(self->record_key, KEY_SIZE_MAX, "%s:broker", config->name_space);
    return self;
}

void fw_guard_destroy(fw_guard_t **self_p)
{
    fw_guard_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_gauge_add(self->config.metrics->log_entries, -(int64_t)self->shown);
    for (size_t i = 0; i < self->places_count; i++) {
        /* What was asked last may never be answered: the pool is gone, and so is whoever would. */
        free(self->places[i]);
    }
    fw_purge_log_destroy(&self->log);
    free(self);
    *self_p = NULL;
}
