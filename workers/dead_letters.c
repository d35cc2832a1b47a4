/* dead_letters.c - purges that can never be done, kept for a person.
 * SPDX-License-Identifier: MPL-2.0 */
#include "workers/dead_letters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { KEY_SIZE_MAX = FW_PURGE_NAME_SPACE_SIZE_MAX + 8, TICK_MS = 20 };

/* ---- pure */

static void raw(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

/* The name at an index over keys, tags and patterns. */
static fw_text_t name_at(const fw_purge_job_t *job, size_t index)
{
    if (index < job->keys_count) {
        return job->keys[index];
    }
    index -= job->keys_count;
    if (index < job->tags_count) {
        fw_text_t key = job->stamp_keys[index];
        return (fw_text_t){key.text + job->tag_at, key.size - job->tag_at};
    }
    return job->patterns[index - job->tags_count];
}

/* The member of those names from from to to that lie between first and end. */
static void write_list(fw_json_t *json, const char *label, const fw_purge_job_t *job, size_t first,
                       size_t end, size_t from, size_t to)
{
    raw(json, label);
    bool any = false;
    for (size_t i = from > first ? from : first; i < (to < end ? to : end); i++) {
        raw(json, any ? "," : "");
        fw_json_string(json, name_at(job, i));
        any = true;
    }
    raw(json, "]");
}

bool fw_dead_letter_write(fw_json_t *json, const fw_purge_job_t *job, int64_t wall_ms,
                          size_t *from_p)
{
    size_t tags_at = job->keys_count;
    size_t patterns_at = tags_at + job->tags_count;
    size_t end = patterns_at + job->patterns_count;
    size_t from = *from_p;
    size_t to = from;
    size_t bytes = 0;
    while (to < end && (to == from || bytes + name_at(job, to).size <= FW_DEAD_LETTER_NAMES_MAX)) {
        bytes += name_at(job, to).size;
        to++;
    }
    if (to == from) {
        return false;
    }
    raw(json, "{\"type\":\"dead_letter\",\"audience\":[],\"data\":{\"reason\":");
    fw_json_string(json, fw_text(job->reason));
    raw(json, ",\"at_ms\":");
    fw_json_number(json, wall_ms);
    raw(json, "},\"invalidate\":{");
    write_list(json, "\"keys\":[", job, 0, tags_at, from, to);
    write_list(json, ",\"tags\":[", job, tags_at, patterns_at, from, to);
    write_list(json, ",\"patterns\":[", job, patterns_at, end, from, to);
    raw(json, "}}");
    *from_p = to;
    return true;
}

/* ---- keeping */

static void on_kept(void *context, size_t index, const redisReply *reply)
{
    (void)context;
    (void)index;
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        fw_log(FW_LOG_WARN, "a refused purge could not be kept, ignoring",
               FW_KV_TEXT("detail", reply ? reply->str : "no answer"));
    }
}

static void key_of(const char *name_space, char ret_key[KEY_SIZE_MAX])
{
    (void)snprintf(ret_key, KEY_SIZE_MAX, "%s:dead", name_space);
}

static void push(fw_redis_pool_t *pool, const char *key, const fw_json_t *json)
{
    char last[16];
    (void)snprintf(last, sizeof(last), "%d", FW_DEAD_LETTERS_MAX - 1);
    const char *push_argv[] = {"LPUSH", key, json->buffer};
    const size_t push_sizes[] = {5, strlen(key), json->needed};
    const char *trim_argv[] = {"LTRIM", key, "0", last};
    const size_t trim_sizes[] = {5, strlen(key), 1, strlen(last)};
    if (fw_redis_pool_call(pool, fw_text(key), 3, push_argv, push_sizes, on_kept, NULL, 0) != 0 ||
        fw_redis_pool_call(pool, fw_text(key), 4, trim_argv, trim_sizes, on_kept, NULL, 0) != 0) {
        on_kept(NULL, 0, NULL);
    }
}

void fw_dead_letters_add(fw_redis_pool_t *pool, const char *name_space, const fw_purge_job_t *job)
{
    char key[KEY_SIZE_MAX];
    key_of(name_space, key);
    int64_t wall_ms = fw_clock_wall_us() / 1000;
    for (size_t from = 0;;) {
        size_t measured = from;
        fw_json_t measure = {.buffer = NULL};
        if (!fw_dead_letter_write(&measure, job, wall_ms, &measured)) {
            return;
        }
        fw_json_t json = {.buffer = fw_alloc(measure.needed + 1, 1), .size = measure.needed};
        (void)fw_dead_letter_write(&json, job, wall_ms, &from);
        push(pool, key, &json);
        free(json.buffer);
    }
}

/* ---- reading */

typedef struct {
    zloop_t *loop;
    fw_redis_pool_t *pool;
    char key[KEY_SIZE_MAX];
    bool take;
    bool asked;
    bool ended;
    int result;
    int64_t until_ms;
    long long at; /* from the end of the list */
    bool (*on_letter)(void *context, fw_text_t letter);
    void *context;
} reader_t;

static void ask(reader_t *self);

static void on_removed(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    reader_t *self = context;
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
        self->result = -EPROTO;
        self->ended = true;
        return;
    }
    ask(self);
}

static void on_letters(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    reader_t *self = context;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        self->result = -EPROTO;
        self->ended = true;
        return;
    }
    if (reply->elements == 0) {
        self->ended = true;
        return;
    }
    const redisReply *letter = reply->element[0];
    if (!self->on_letter(self->context, (fw_text_t){letter->str, (size_t)letter->len})) {
        self->result = -ECANCELED;
        self->ended = true;
        return;
    }
    if (!self->take) {
        self->at--;
        ask(self);
        return;
    }
    /* After it has been given away: whoever stops this command loses none. */
    const char *argv[] = {"LREM", self->key, "-1", letter->str};
    const size_t sizes[] = {4, strlen(self->key), 2, (size_t)letter->len};
    if (fw_redis_pool_call(self->pool, fw_text(self->key), 4, argv, sizes, on_removed, self, 0) !=
        0) {
        on_removed(self, 0, NULL);
    }
}

static void ask(reader_t *self)
{
    char at[24];
    (void)snprintf(at, sizeof(at), "%lld", self->at);
    const char *argv[] = {"LRANGE", self->key, at, at};
    const size_t sizes[] = {6, strlen(self->key), strlen(at), strlen(at)};
    if (fw_redis_pool_call(self->pool, fw_text(self->key), 4, argv, sizes, on_letters, self, 0) !=
        0) {
        on_letters(self, 0, NULL);
    }
}

static int on_tick(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    reader_t *self = arg;
    int64_t now_ms = fw_clock_ms();
    fw_redis_pool_tick(self->pool, now_ms);
    if (!self->asked && fw_redis_pool_ready(self->pool)) {
        self->asked = true;
        ask(self);
    }
    if (!self->asked && now_ms >= self->until_ms) {
        self->result = -ETIMEDOUT;
        self->ended = true;
    }
    return self->ended ? -1 : 0;
}

static void on_decided(void *context, fw_purge_job_t **job_p)
{
    (void)context;
    fw_purge_job_destroy(job_p); /* There are none. */
}

static void on_ready(void *context)
{
    (void)context; /* The next tick looks at it. */
}

static void on_error(void *context, fw_redis_error_t error)
{
    (void)context;
    (void)error; /* The time-out tells. */
}

static void on_batch(void *context, size_t jobs)
{
    (void)context;
    (void)jobs;
}

static int read_one(const fw_redis_url_t *url, reader_t *self, int64_t timeout_ms)
{
    const fw_redis_pool_config_t config = {.url = url,
                                           .timeout_ms = timeout_ms,
                                           .stamp_ttl_ms = 1,
                                           .name = "dead-letters",
                                           .on_decided = on_decided,
                                           .on_ready = on_ready,
                                           .on_error = on_error,
                                           .on_batch = on_batch,
                                           .context = self};
    self->loop = zloop_new();
    zloop_set_nonstop(self->loop, true);
    self->pool = fw_redis_pool_new(self->loop, &config);
    self->until_ms = fw_clock_ms() + timeout_ms;
    self->at = -1;
    self->asked = self->ended = false;
    zloop_timer(self->loop, TICK_MS, 0, on_tick, self);
    while (!self->ended) {
        zloop_start(self->loop);
    }
    int result = self->result;
    fw_redis_pool_destroy(&self->pool);
    zloop_destroy(&self->loop);
    return result;
}

int fw_dead_letters_read(const char *redis_urls, const char *name_space, int64_t timeout_ms,
                         bool take, bool (*on_letter)(void *context, fw_text_t letter),
                         void *context, const char **ret_reason)
{
    fw_redis_url_t urls[FW_REDIS_TARGETS_MAX];
    size_t count = 0;
    if (fw_redis_urls_parse(redis_urls, urls, &count, ret_reason) != 0) {
        return -EINVAL;
    }
    reader_t reader = {.take = take, .on_letter = on_letter, .context = context};
    key_of(name_space, reader.key);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = read_one(&urls[i], &reader, timeout_ms);
    }
    *ret_reason = result == -ETIMEDOUT   ? "redis does not answer"
                  : result == -ECANCELED ? "the letters could not be written"
                                         : "redis refused";
    explicit_bzero(urls, sizeof(urls));
    return result;
}
