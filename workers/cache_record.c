/* cache_record.c - which broker vouches for the cache.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/cache_record.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/log.h"

enum { QUEUE_MAX = FW_INCARNATION_SIZE, KEY_SIZE_MAX = FW_PURGE_NAME_SPACE_SIZE_MAX + 8 };

/* Writes the record if it still says what was read: a worker that stood still meanwhile must not
 * overwrite what another one has done since. */
_Static_assert(FW_RECORD_SIZE_MAX == 40, "as the script says");
static const char swap_script[] =
    "local value = redis.pcall('GETRANGE', KEYS[1], 0, 40) "
    "if type(value) ~= 'string' or #value > 40 then value = '' end "
    "if value == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end "
    "return 0";

struct fw_cache_record {
    fw_redis_pool_t *pool;
    void (*on_decided)(void *context, fw_purge_job_t **job_p);
    void *context;
    char record_key[KEY_SIZE_MAX];
    char epoch_key[KEY_SIZE_MAX];
    fw_purge_job_t *jobs[QUEUE_MAX]; /* the first one is being done */
    size_t jobs_count;
    char found[FW_RECORD_SIZE_MAX + 1]; /* what the record said; "" = nothing that can be one */
    size_t found_size;
    char ours[FW_RECORD_SIZE_MAX + 1];
    uint8_t met[2][FW_INCARNATION_SIZE]; /* the last two brokers, the latest first */
    size_t met_count;
};

/* ---- pure */

#define HEX_SIZE ((size_t)2 * FW_INCARNATION_SIZE)

static void write_hex(const uint8_t incarnation[FW_INCARNATION_SIZE], char ret_hex[HEX_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < FW_INCARNATION_SIZE; i++) {
        ret_hex[2 * i] = digits[incarnation[i] >> 4];
        ret_hex[2 * i + 1] = digits[incarnation[i] & 15];
    }
    ret_hex[HEX_SIZE] = 0;
}

fw_record_step_t fw_record_decide(fw_cache_action_t action,
                                  const uint8_t broker[FW_INCARNATION_SIZE], const uint8_t *before,
                                  fw_text_t found, char ret_ours[FW_RECORD_SIZE_MAX + 1])
{
    char hex[HEX_SIZE + 1];
    write_hex(broker, hex);
    char running[FW_RECORD_SIZE_MAX + 1];
    char clean[FW_RECORD_SIZE_MAX + 1];
    (void)snprintf(running, sizeof(running), "%s running", hex);
    (void)snprintf(clean, sizeof(clean), "%s clean", hex);
    bool ours = fw_text_equal(found, fw_text(running));
    if (action == FW_CACHE_CLOSE) {
        memcpy(ret_ours, clean, sizeof(clean));
        return ours ? FW_RECORD_WRITE : FW_RECORD_KEEP;
    }
    memcpy(ret_ours, running, sizeof(running));
    if (ours) {
        return FW_RECORD_KEEP;
    }
    size_t clean_size = strlen(clean);
    bool left = found.size == clean_size &&
                memcmp(found.text + HEX_SIZE, clean + HEX_SIZE, clean_size - HEX_SIZE) == 0;
    if (left && before) {
        write_hex(before, hex);
        left = memcmp(found.text, hex, HEX_SIZE) == 0;
    }
    return left ? FW_RECORD_WRITE : FW_RECORD_BUMP_AND_WRITE;
}

/* ---- steps */

static void begin(fw_cache_record_t *self);

/* Ends the first job as its status says, and begins the next. */
static void finish(fw_cache_record_t *self)
{
    fw_purge_job_t *job = self->jobs[0];
    self->jobs_count--;
    memmove(self->jobs, self->jobs + 1, self->jobs_count * sizeof(fw_purge_job_t *));
    self->on_decided(self->context, &job);
    if (self->jobs_count > 0) {
        begin(self);
    }
}

static void fail(fw_cache_record_t *self, const redisReply *reply)
{
    fw_purge_job_t *job = self->jobs[0];
    bool error = reply && reply->type == REDIS_REPLY_ERROR;
    job->error = error   ? fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len})
                 : reply ? FW_REDIS_PROTOCOL
                         : FW_REDIS_LOST;
    char what[40];
    (void)snprintf(what, sizeof(what), "redis %s", fw_redis_error_name(job->error));
    fw_purge_job_fail(job,
                      fw_redis_error_retryable(job->error) ? FW_PURGE_FAILED : FW_PURGE_REFUSED,
                      what, error ? reply->str : "the record of the broker");
    finish(self);
}

static void call(fw_cache_record_t *self, int argc, const fw_text_t *texts,
                 fw_redis_reply_fn *reply_fn)
{
    enum { ARGUMENTS_MAX = 6 };
    const char *argv[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX];
    assert(argc <= ARGUMENTS_MAX);
    for (int i = 0; i < argc; i++) {
        argv[i] = texts[i].text;
        sizes[i] = texts[i].size;
    }
    if (fw_redis_pool_call(self->pool, fw_text(self->record_key), argc, argv, sizes, reply_fn, self,
                           0) != 0) {
        reply_fn(self, 0, NULL);
    }
}

/* The job is done as of Redis' time: everything before it is covered. */
static void on_timed(void *context, fw_purge_job_t *timed)
{
    fw_cache_record_t *self = context;
    fw_purge_job_t *job = self->jobs[0];
    job->status = timed->status;
    job->error = timed->error;
    memcpy(job->reason, timed->reason, sizeof(job->reason));
    job->redis_time = timed->redis_time;
    finish(self);
}

/* Asks for the time with a job that purges nothing: then it comes from every server. */
static void ask_time(fw_cache_record_t *self)
{
    fw_purge_job_t *job = fw_purge_job_of(NULL, 0, NULL, 0);
    job->on_decided = on_timed;
    job->owner = self;
    fw_redis_pool_add(self->pool, &job);
    fw_redis_pool_run(self->pool);
}

static void on_removed(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_cache_record_t *self = context;
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
        fail(self, reply);
        return;
    }
    ask_time(self);
}

static void on_swapped(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_cache_record_t *self = context;
    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1) {
        ask_time(self);
        return;
    }
    if (reply && reply->type == REDIS_REPLY_INTEGER) {
        fw_purge_job_fail(self->jobs[0], FW_PURGE_FAILED,
                          "another worker changed the record of the broker", "");
        finish(self);
        return;
    }
    bool full = reply && reply->type == REDIS_REPLY_ERROR &&
                fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len}) == FW_REDIS_OOM;
    if (full && self->jobs[0]->action == FW_CACHE_OPEN) {
        /* No room for the record: none at all makes the next broker bump, which is right as well.
         */
        const fw_text_t texts[] = {FW_TEXT("UNLINK"), fw_text(self->record_key)};
        call(self, 2, texts, on_removed);
        return;
    }
    fail(self, reply);
}

static void write_record(fw_cache_record_t *self)
{
    const fw_text_t texts[] = {
        FW_TEXT("EVAL"),
        fw_text(swap_script),
        FW_TEXT("1"),
        fw_text(self->record_key),
        {self->found, self->found_size},
        fw_text(self->ours),
    };
    call(self, 6, texts, on_swapped);
}

static void on_bumped(void *context, fw_purge_job_t *bumped)
{
    fw_cache_record_t *self = context;
    if (bumped->status != FW_PURGE_DONE) {
        on_timed(context, bumped);
        return;
    }
    write_record(self);
}

static void bump(fw_cache_record_t *self)
{
    const fw_text_t key = fw_text(self->epoch_key);
    fw_purge_job_t *job = fw_purge_job_of(NULL, 0, &key, 1);
    job->on_decided = on_bumped;
    job->owner = self;
    fw_redis_pool_add(self->pool, &job);
    fw_redis_pool_run(self->pool);
}

/* The last broker before the one that asks. */
static const uint8_t *met_before(const fw_cache_record_t *self, const fw_purge_job_t *job)
{
    for (size_t i = 0; i < self->met_count; i++) {
        if (memcmp(self->met[i], job->broker, FW_INCARNATION_SIZE) != 0) {
            return self->met[i];
        }
    }
    return NULL;
}

static void on_read(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_cache_record_t *self = context;
    fw_purge_job_t *job = self->jobs[0];
    bool foreign = reply && reply->type == REDIS_REPLY_ERROR &&
                   fw_redis_error_of((fw_text_t){reply->str, (size_t)reply->len}) == FW_REDIS_TYPE;
    if (!reply || (!foreign && reply->type != REDIS_REPLY_STRING)) {
        fail(self, reply);
        return;
    }
    self->found_size = foreign || reply->len > FW_RECORD_SIZE_MAX ? 0 : (size_t)reply->len;
    memcpy(self->found, foreign ? "" : reply->str, self->found_size);
    self->found[self->found_size] = 0;
    const fw_text_t found = {self->found, self->found_size};
    switch (fw_record_decide(job->action, job->broker, met_before(self, job), found, self->ours)) {
    case FW_RECORD_KEEP:
        ask_time(self);
        return;
    case FW_RECORD_WRITE:
        write_record(self);
        return;
    case FW_RECORD_BUMP_AND_WRITE:
        break;
    }
    fw_log(FW_LOG_WARN, "no broker closed the cache, bumping its epoch",
           FW_KV_TEXT("record", self->found));
    bump(self);
}

static void begin(fw_cache_record_t *self)
{
    /* As much as a record has and one byte more: whatever else is there, it is no matter how big.
     */
    const fw_text_t texts[] = {FW_TEXT("GETRANGE"), fw_text(self->record_key), FW_TEXT("0"),
                               FW_TEXT("40")};
    call(self, 4, texts, on_read);
}

void fw_cache_record_met(fw_cache_record_t *self, const uint8_t broker[FW_INCARNATION_SIZE])
{
    if (self->met_count > 0 && memcmp(self->met[0], broker, FW_INCARNATION_SIZE) == 0) {
        return;
    }
    memcpy(self->met[1], self->met[0], FW_INCARNATION_SIZE);
    memcpy(self->met[0], broker, FW_INCARNATION_SIZE);
    self->met_count += self->met_count < 2;
}

void fw_cache_record_add(fw_cache_record_t *self, fw_purge_job_t **job_p)
{
    fw_purge_job_t *job = *job_p;
    *job_p = NULL;
    assert(job->action == FW_CACHE_OPEN || job->action == FW_CACHE_CLOSE);
    if (self->jobs_count == QUEUE_MAX) {
        fw_purge_job_fail(job, FW_PURGE_FAILED, "too many jobs open or close the cache", "");
        self->on_decided(self->context, &job);
        return;
    }
    self->jobs[self->jobs_count++] = job;
    if (self->jobs_count == 1) {
        begin(self);
    }
}

/* ---- life */

fw_cache_record_t *fw_cache_record_new(fw_redis_pool_t *pool, const char *name_space,
                                       void (*on_decided)(void *context, fw_purge_job_t **job_p),
                                       void *context)
{
    fw_cache_record_t *self = fw_alloc(1, sizeof(*self));
    self->pool = pool;
    self->on_decided = on_decided;
    self->context = context;
    (void)snprintf(self->record_key, sizeof(self->record_key), "%s:broker", name_space);
    (void)snprintf(self->epoch_key, sizeof(self->epoch_key), "%s:epoch", name_space);
    return self;
}

void fw_cache_record_destroy(fw_cache_record_t **self_p)
{
    fw_cache_record_t *self = *self_p;
    if (!self) {
        return;
    }
    assert(self->jobs_count == 0);
    free(self);
    *self_p = NULL;
}
