/* auditor.c - see auditor.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/auditor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/rules.h"
#include "runtime/actor.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/hash.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "workers/audit_check.h"
#include "workers/audit_compare.h"
#include "workers/audit_link.h"
#include "workers/audit_metrics.h"
#include "workers/audit_walk.h"

enum { TICK_MS = 20, SHOW_MS = 250 };

struct fw_auditor {
    fw_auditor_config_t config;
    fw_redis_url_t targets[FW_REDIS_TARGETS_MAX];
    size_t targets_count;
    fw_audit_metrics_t metrics;
    fw_pulse_t *pulse;
    fw_condition_t *redis_up;
    fw_condition_t *broker_up;
    fw_actor_t *actor;
};

typedef struct {
    const fw_auditor_t *args;
    zsock_t *pipe;
    zloop_t *loop;
    fw_audit_t *audit;
    fw_audit_link_t *link;
    fw_redis_pool_t *pools[FW_REDIS_TARGETS_MAX];
    fw_audit_walk_t *walks[FW_REDIS_TARGETS_MAX];
    fw_audit_place_t place;
    size_t checks;               /* that run */
    size_t heals;                /* that run */
    fw_audit_compare_t *compare; /* NULL without rules */
    struct errand *comparing;    /* checks that wait for it */
    uint64_t comparisons;
    int64_t show_at_ms;
    bool ending;
    fw_log_limit_t findings_limit;
} auditor_t;

/* What a check is for: a sample, or an entry that was come across at some timescale. */
typedef struct errand {
    auditor_t *self;
    struct errand *prev, *next; /* of those that wait for a comparison */
    uint64_t comparison;
    fw_audit_check_t *check;         /* while it waits for one */
    const fw_audit_sample_t *sample; /* NULL = come across */
    size_t scale;
    uint64_t redis_time;
    char *tag; /* come across: whose purge it outlived */
    size_t tag_size;
} errand_t;

/* ---- healing */

static void on_healed(void *context, fw_purge_job_t **job_p)
{
    auditor_t *self = context;
    bool done = (*job_p)->status == FW_PURGE_DONE;
    fw_counter_add(done ? self->args->metrics.healed : self->args->metrics.heals_failed, 1);
    self->heals--;
    fw_purge_job_destroy(job_p);
}

static void heal(auditor_t *self, size_t target, const fw_text_t *keys, size_t keys_count,
                 const fw_text_t *stamp_keys, size_t stamp_keys_count)
{
    if (!self->args->config.heal || self->ending) {
        return;
    }
    if (self->heals >= FW_AUDITOR_HEALS_MAX) {
        fw_counter_add(self->args->metrics.heals_failed, 1);
        return;
    }
    fw_purge_job_t *job = fw_purge_job_of(keys, keys_count, stamp_keys, stamp_keys_count);
    self->heals++;
    fw_redis_pool_add(self->pools[target], &job);
}

/* Purges an entry, and the tag that should have ended it. */
static void heal_finding(auditor_t *self, const errand_t *errand, const fw_audit_finding_t *finding)
{
    fw_text_t key = fw_text(finding->key);
    char name[FW_PURGE_NAME_SPACE_SIZE_MAX + FW_CACHE_NAME_OVERHEAD + FW_CACHE_TAG_SIZE_MAX];
    fw_text_t stamp_key = FW_TEXT_NONE;
    if (finding->is_stamp) {
        heal(self, finding->target, NULL, 0, &key, 1);
        return;
    }
    if (errand->tag) {
        fw_cache_stamp_key_write(fw_text(self->args->config.name_space),
                                 (fw_text_t){errand->tag, errand->tag_size}, name, &stamp_key);
    }
    heal(self, finding->target, &key, 1, &stamp_key, errand->tag ? 1 : 0);
}

/* ---- checks */

/* Names and times, never values: what one needs to find who wrote it. */
static void report(auditor_t *self, const errand_t *errand, const fw_audit_finding_t *finding)
{
    char scale[FW_AUDIT_SCALE_TEXT_SIZE];
    uint64_t suppressed = 0;
    if (!fw_log_limited(&self->findings_limit, fw_clock_ms(), &suppressed)) {
        return;
    }
    fw_audit_scale_text(self->args->config.scales_ms[errand->scale], scale);
    if (finding->is_stamp) {
        fw_log(FW_LOG_ERROR, "a tag's stamp is older than its purge left it",
               FW_KV_TEXT("key", finding->key), FW_KV_TEXT("timescale", scale),
               FW_KV_UINT("stamp", finding->stamp), FW_KV_UINT("purged_stamp", finding->was_stamp),
               FW_KV_UINT("redis_time", errand->redis_time), FW_KV_UINT("target", finding->target),
               FW_KV_UINT("suppressed", suppressed));
        return;
    }
    fw_log(FW_LOG_ERROR, "an entry that was purged would be served",
           FW_KV_TEXT("key", finding->key), FW_KV_TEXT("timescale", scale),
           FW_KV_TEXT("tag", errand->tag ? errand->tag : ""),
           FW_KV_UINT("fill_began", finding->start_us),
           FW_KV_UINT("redis_time", errand->redis_time), FW_KV_TEXT("nonce", finding->nonce),
           FW_KV_UINT("target", finding->target), FW_KV_UINT("suppressed", suppressed));
}

static void conclude(errand_t *errand, fw_audit_check_t *check, fw_audit_verdict_t verdict)
{
    auditor_t *self = errand->self;
    size_t findings = verdict == FW_AUDIT_STALE ? fw_audit_check_findings(check) : 0;
    for (size_t i = 0; i < findings && !self->ending; i++) {
        fw_audit_finding_t finding = fw_audit_check_finding(check, i);
        report(self, errand, &finding);
        heal_finding(self, errand, &finding);
    }
    if (errand->sample) {
        fw_audit_checked(self->audit, errand->sample, verdict, fw_clock_ms());
    } else {
        fw_audit_came_across(self->audit, errand->scale, verdict);
    }
    self->checks--;
    free(errand->tag);
    free(errand);
    fw_audit_check_destroy(&check);
}

/* What its readers call an entry or a tag: the key without "<name space>:c:" or ":t:". */
static fw_text_t name_of(const auditor_t *self, const fw_audit_finding_t *finding)
{
    size_t prefix = strlen(self->args->config.name_space) + 3;
    return (fw_text_t){finding->key + prefix, strlen(finding->key) - prefix};
}

/* Asks the service about the first finding. False when it is not to be asked. */
static bool ask_service(errand_t *errand, fw_audit_check_t *check)
{
    auditor_t *self = errand->self;
    const fw_auditor_config_t *config = &self->args->config;
    char url[FW_COMPARE_URL_SIZE_MAX + 1];
    if (!self->compare || self->ending || config->scales_ms[errand->scale] < config->url_after_ms ||
        fw_audit_check_findings(check) != 1) {
        return false;
    }
    fw_audit_finding_t finding = fw_audit_check_finding(check, 0);
    errand->comparison = ++self->comparisons;
    if (fw_audit_url(config->url_rules, config->url_rules_count, name_of(self, &finding), url) !=
            0 ||
        fw_audit_compare_ask(self->compare, errand->comparison, url) != 0) {
        return false;
    }
    errand->check = check;
    DL_APPEND(self->comparing, errand);
    return true;
}

static void on_compared(void *context, uint64_t id, fw_compared_t compared)
{
    auditor_t *self = context;
    errand_t *errand;
    fw_counter_add(self->args->metrics.compared[compared], 1);
    DL_FOREACH(self->comparing, errand)
    {
        if (errand->comparison == id) {
            DL_DELETE(self->comparing, errand);
            conclude(errand, errand->check,
                     compared == FW_COMPARED_SAME ? FW_AUDIT_CLEAN : FW_AUDIT_STALE);
            return;
        }
    }
}

static void on_checked(void *context, fw_audit_check_t *check)
{
    errand_t *errand = context;
    fw_audit_verdict_t verdict = fw_audit_check_verdict(check);
    if (verdict != FW_AUDIT_STALE || !ask_service(errand, check)) {
        conclude(errand, check, verdict);
    }
}

static void check_due(auditor_t *self, int64_t now_ms)
{
    const fw_audit_sample_t *sample;
    while (self->checks < FW_AUDITOR_CHECKS_MAX && (sample = fw_audit_take(self->audit, now_ms))) {
        errand_t *errand = fw_alloc(1, sizeof(*errand));
        *errand = (errand_t){.self = self,
                             .sample = sample,
                             .scale = sample->scale,
                             .redis_time = sample->redis_time};
        self->checks++;
        fw_audit_check_begin(fw_audit_check_new(&self->place, sample, on_checked, errand));
    }
}

/* An entry that the walk came across: is it one that a sampled purge of its tags should have ended?
 */
static void on_entry(void *context, size_t target, fw_text_t key, const fw_cache_entry_t *entry)
{
    auditor_t *self = context;
    for (size_t i = 1; i < entry->stamps_count && !self->ending; i++) {
        fw_bytes_t tag = entry->stamps[i].tag;
        const fw_audit_sample_t *sample = fw_audit_suspect(self->audit, tag, entry->start_us);
        if (!sample || self->checks >= FW_AUDITOR_CHECKS_MAX) {
            continue;
        }
        errand_t *errand = fw_alloc(1, sizeof(*errand));
        *errand = (errand_t){.self = self,
                             .scale = sample->scale - 1,
                             .redis_time = sample->redis_time,
                             .tag = fw_copy_text((const char *)tag.data, tag.size),
                             .tag_size = tag.size};
        self->checks++;
        fw_audit_check_begin(
            fw_audit_check_of_key(&self->place, target, key, sample, on_checked, errand));
        return;
    }
}

/* ---- purges that are told */

static void on_purged(void *context, const fw_purged_t *purged)
{
    auditor_t *self = context;
    fw_audit_offer_t offer = fw_audit_offer(self->audit, purged, fw_clock_ms());
    fw_counter_add(self->args->metrics.offers[offer], 1);
}

static void on_refused(void *context)
{
    auditor_t *self = context;
    fw_counter_add(self->args->metrics.refused, 1);
}

/* ---- the loop */

static void on_ready(void *context)
{
    auditor_t *self = context;
    bool ready = true;
    for (size_t i = 0; i < self->args->targets_count; i++) {
        ready = ready && self->pools[i] && fw_redis_pool_ready(self->pools[i]);
    }
    fw_condition_set(self->args->redis_up, ready);
}

static void on_error(void *context, fw_redis_error_t error)
{
    (void)context;
    (void)error; /* The link has logged it; a check without an answer is unjudged. */
}

static void on_batch(void *context, size_t jobs)
{
    (void)context;
    (void)jobs;
}

static int on_tick(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    auditor_t *self = arg;
    int64_t now_ms = fw_clock_ms();
    const fw_auditor_t *args = self->args;
    fw_pulse_beat(args->pulse, now_ms);
    fw_audit_link_tick(self->link, now_ms);
    fw_condition_set(args->broker_up, fw_audit_link_up(self->link));
    for (size_t i = 0; i < args->targets_count; i++) {
        fw_redis_pool_tick(self->pools[i], now_ms);
    }
    check_due(self, now_ms);
    for (size_t i = 0; i < args->targets_count; i++) {
        fw_audit_walk_tick(self->walks[i], fw_audit_samples(self->audit) > 0, now_ms);
        fw_redis_pool_run(self->pools[i]);
    }
    if (now_ms >= self->show_at_ms) {
        self->show_at_ms = now_ms + SHOW_MS;
        for (size_t i = 0; i < args->targets_count; i++) {
            fw_counter_add(args->metrics.entries, fw_audit_walk_seen(self->walks[i]));
        }
        fw_audit_metrics_show(&args->metrics, self->audit);
    }
    return 0;
}

static int on_control(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    (void)reader;
    auditor_t *self = arg;
    fw_control_t control;
    while ((control = fw_actor_receive(self->pipe))) {
        if (control == FW_CONTROL_STOP) {
            self->ending = true;
            return -1;
        }
    }
    return 0;
}

/* ---- life */

static fw_redis_pool_t *make_pool(auditor_t *self, const fw_redis_url_t *url, uint64_t seed)
{
    const fw_redis_pool_config_t pool = {
        .url = url,
        .timeout_ms = self->args->config.redis_timeout_ms,
        .stamp_ttl_ms = self->args->config.stamp_ttl_ms,
        .name = "auditor",
        .seed = seed,
        .on_decided = on_healed,
        .on_ready = on_ready,
        .on_error = on_error,
        .on_batch = on_batch,
        .context = self,
    };
    return fw_redis_pool_new(self->loop, &pool);
}

static int start(auditor_t *self)
{
    const fw_auditor_config_t *config = &self->args->config;
    uint64_t seed;
    fw_random_bytes(&seed, sizeof(seed));
    fw_audit_limits_t limits = {
        .scales_count = config->scales_count,
        .rate = config->rate,
        .samples_max = config->samples_max,
        .bytes_max = config->bytes_max,
        .slack_us = (uint64_t)config->slack_ms * 1000,
        .seed = seed,
    };
    memcpy(limits.scales_ms, config->scales_ms, sizeof(limits.scales_ms));
    self->audit = fw_audit_new(&limits, config->name_space);
    self->loop = zloop_new();
    assert(self->loop);
    zloop_set_nonstop(self->loop, true);
    for (size_t i = 0; i < self->args->targets_count; i++) {
        self->pools[i] = make_pool(self, &self->args->targets[i], seed + i);
        self->walks[i] = fw_audit_walk_new(self->pools[i], i, config->name_space, config->walk_rate,
                                           on_entry, self);
    }
    self->place = (fw_audit_place_t){self->pools, self->args->targets_count, config->name_space};
    const fw_audit_link_config_t link = {.endpoint = config->events_endpoint,
                                         .security = config->security,
                                         .seed = seed,
                                         .on_purged = on_purged,
                                         .on_refused = on_refused,
                                         .context = self};
    self->link = fw_audit_link_new(self->loop, &link);
    int result = zloop_reader(self->loop, self->pipe, on_control, self);
    assert(result == 0);
    int timer = zloop_timer(self->loop, TICK_MS, 0, on_tick, self);
    assert(timer >= 0);
    (void)timer;
    if (config->url_rules_count > 0) {
        result = fw_audit_compare_new(self->loop, on_compared, self, &self->compare);
    }
    return result;
}

static void end(auditor_t *self)
{
    self->ending = true;
    fw_audit_link_destroy(&self->link);
    fw_audit_compare_destroy(&self->compare);
    while (self->comparing) {
        errand_t *errand = self->comparing;
        DL_DELETE(self->comparing, errand);
        conclude(errand, errand->check, FW_AUDIT_UNJUDGED);
    }
    /* Checks end while the pools go: every command gets its answer, or none. */
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_redis_pool_destroy(&self->pools[i]);
    }
    assert(self->checks == 0);
    for (size_t i = 0; i < self->args->targets_count; i++) {
        fw_audit_walk_destroy(&self->walks[i]);
    }
    fw_audit_metrics_show(&self->args->metrics, self->audit);
    fw_condition_set(self->args->redis_up, false);
    fw_condition_set(self->args->broker_up, false);
    fw_pulse_end(self->args->pulse);
    fw_audit_destroy(&self->audit);
    zloop_destroy(&self->loop);
}

static void run(zsock_t *pipe, void *args)
{
    auditor_t self = {.args = args, .pipe = pipe};
    int result = start(&self);
    fw_actor_ready(pipe, result);
    while (result == 0 && !self.ending) {
        zloop_start(self.loop);
    }
    end(&self);
}

fw_auditor_config_t fw_auditor_defaults(void)
{
    return (fw_auditor_config_t){
        .events_endpoint = "tcp://127.0.0.1:7004",
        .redis_url = "redis://127.0.0.1:6379",
        .name_space = "fw",
        .stamp_ttl_ms = INT64_C(24) * 60 * 60 * 1000,
        .redis_timeout_ms = 1000,
        .scales_ms = {0, 1000, 10000, 60000, 300000},
        .scales_count = 5,
        .rate = 10,
        .samples_max = 8192,
        .bytes_max = 16 * 1024 * 1024,
        .slack_ms = 50,
        .heal = true,
        .walk_rate = 500,
        .url_after_ms = 60000,
    };
}

static const char *find_fault(const fw_auditor_config_t *config)
{
    size_t name_size = strlen(config->name_space);
    if (config->scales_count < 1 || config->scales_count > FW_AUDIT_SCALES_MAX) {
        return "there must be 1 to 8 timescales";
    }
    for (size_t i = 0; i < config->scales_count; i++) {
        if (config->scales_ms[i] < 0 ||
            (i > 0 && config->scales_ms[i] <= config->scales_ms[i - 1])) {
            return "timescales must ascend";
        }
    }
    if (name_size < 1 || name_size > FW_PURGE_NAME_SPACE_SIZE_MAX) {
        return "the name space must have 1 to 64 bytes";
    }
    if (config->rate < 1 || config->samples_max < 1 || config->slack_ms < 0) {
        return "rate and samples_max must be at least 1, slack not negative";
    }
    return NULL;
}

int fw_auditor_start(const fw_auditor_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_auditor_t **ret_auditor)
{
    fw_auditor_t *self = fw_alloc(1, sizeof(*self));
    fw_config_error_t error;
    const char *fault = find_fault(config);
    if (!fault && fw_audit_url_check(config->url_rules, config->url_rules_count, &error) != 0) {
        fault = error.text;
    }
    if (fault ||
        fw_redis_urls_parse(config->redis_url, self->targets, &self->targets_count, &fault) != 0) {
        fw_log(FW_LOG_ERROR, "the auditor cannot start", FW_KV_TEXT("reason", fault));
        free(self);
        return -EINVAL;
    }
    self->config = *config;
    self->metrics = fw_audit_metrics_make(metrics, config->scales_ms, config->scales_count);
    self->pulse = fw_health_pulse(health, "auditor");
    self->redis_up = fw_health_condition(health, "auditor redis");
    self->broker_up = fw_health_condition(health, "auditor link");
    int result = fw_actor_start("auditor", run, self, &self->actor);
    if (result != 0) {
        fw_auditor_stop(&self);
        return result;
    }
    *ret_auditor = self;
    return 0;
}

void fw_auditor_stop(fw_auditor_t **self_p)
{
    fw_auditor_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_actor_stop(&self->actor);
    explicit_bzero(self, sizeof(*self)); /* It holds passwords. */
    free(self);
    *self_p = NULL;
}
