/* purge_pipeline.c - runs jobs on a Redis link.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_pipeline.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/scripts.h"
#include "runtime/alloc.h"
#include "workers/purge_plan.h"

enum {
    ARGUMENTS_MAX = 4 + FW_PURGE_KEYS_PER_COMMAND,
    DIGITS_MAX = 24,
};

_Static_assert((int)FW_REDIS_PENDING_MAX > 2 * (int)FW_PURGE_ITEMS_MAX,
               "any round fits the link, also when every command is preceded by ASKING");

typedef struct {
    fw_purge_job_t *job;
} waiting_t;

struct fw_purge_pipeline {
    fw_purge_pipeline_config_t config;
    fw_purge_plan_t *plan; /* in flight, or empty */
    bool in_flight;
    bool running;      /* in fw_purge_pipeline_run: jobs that end at once must not begin it again */
    bool useless_link; /* this server cannot do it: leave it after the round */
    fw_redis_error_t useless_error;
    waiting_t *waiting; /* a ring, oldest first */
    size_t waiting_first, waiting_count, waiting_capacity;
    char ttl[DIGITS_MAX];
};

/* The arguments of one command, on their way to hiredis, which copies them. */
typedef struct {
    int count;
    const char *texts[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX];
} arguments_t;

static void add_argument(arguments_t *arguments, const char *text, size_t size)
{
    assert(arguments->count < ARGUMENTS_MAX);
    arguments->texts[arguments->count] = text;
    arguments->sizes[arguments->count] = size;
    arguments->count++;
}

static void add_names(arguments_t *arguments, const fw_purge_command_t *command)
{
    for (size_t i = 0; i < command->names_count; i++) {
        add_argument(arguments, command->names[i].text, command->names[i].size);
    }
}

/* ---- replies */

static void finish_round(fw_purge_pipeline_t *self);

static uint64_t number_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING) {
        return 0;
    }
    char *end = NULL;
    uint64_t number = strtoull(reply->str, &end, 10);
    return *end ? 0 : number;
}

/* Redis' own time: an array of seconds and microseconds. 0 when it is not. */
static uint64_t time_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return 0;
    }
    return number_of(reply->element[0]) * 1000000 + number_of(reply->element[1]);
}

/* Translates a reply for the plan. stamps is room for those of one command. */
static fw_purge_reply_t translate(const fw_purge_command_t *command, const redisReply *reply,
                                  uint64_t stamps[FW_PURGE_TAGS_PER_COMMAND])
{
    fw_purge_reply_t result = {.failed = false};
    if (!reply) {
        return (fw_purge_reply_t){.failed = true, .error = FW_REDIS_LOST, .text = "no answer"};
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fw_text_t text = {reply->str, (size_t)reply->len};
        return (fw_purge_reply_t){
            .failed = true, .error = fw_redis_error_of(text), .text = reply->str};
    }
    if (command->kind == FW_PURGE_TIME) {
        result.number = time_of(reply);
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        result.number = (uint64_t)reply->integer;
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements <= FW_PURGE_TAGS_PER_COMMAND) {
        for (size_t i = 0; i < reply->elements; i++) {
            stamps[i] = number_of(reply->element[i]);
        }
        result.stamps = stamps;
        result.stamps_count = reply->elements;
    } else {
        result = (fw_purge_reply_t){.failed = true, .error = FW_REDIS_PROTOCOL, .text = "bad type"};
    }
    return result;
}

static void on_reply(void *context, size_t index, const redisReply *reply)
{
    fw_purge_pipeline_t *self = context;
    uint64_t stamps[FW_PURGE_TAGS_PER_COMMAND];
    const fw_purge_command_t *command = fw_purge_plan_command(self->plan, index);
    fw_purge_reply_t answer = translate(command, reply, stamps);
    if (answer.failed) {
        self->config.on_error(self->config.context, answer.error);
        if (answer.error == FW_REDIS_READONLY || answer.error == FW_REDIS_AUTH ||
            answer.error == FW_REDIS_PROTOCOL) {
            self->useless_link = true;
            self->useless_error = answer.error;
        }
    }
    if (fw_purge_plan_reply(self->plan, index, &answer)) {
        finish_round(self);
    }
}

/* ---- commands */

static void fill(arguments_t *arguments, const fw_purge_pipeline_t *self,
                 const fw_purge_command_t *command, char count[DIGITS_MAX])
{
    switch (command->kind) {
    case FW_PURGE_UNLINK:
    case FW_PURGE_DROP:
        add_argument(arguments, "UNLINK", 6);
        add_names(arguments, command);
        return;
    case FW_PURGE_BUMP:
        add_argument(arguments, "EVALSHA", 7);
        add_argument(arguments, fw_redis_link_sha(self->config.redis), FW_REDIS_SHA_SIZE);
        break;
    case FW_PURGE_BUMP_EVAL:
        add_argument(arguments, "EVAL", 4);
        add_argument(arguments, fw_cache_script_bump.text, fw_cache_script_bump.size);
        break;
    case FW_PURGE_TIME:
        add_argument(arguments, "TIME", 4);
        return;
    }
    (void)snprintf(count, DIGITS_MAX, "%zu", command->names_count);
    add_argument(arguments, count, strlen(count));
    add_names(arguments, command);
    add_argument(arguments, self->ttl, strlen(self->ttl));
}

static void on_asking(void *context, size_t index, const redisReply *reply)
{
    (void)context;
    (void)index;
    (void)reply; /* What matters is how the command behind it is answered. */
}

static void send_asking(fw_purge_pipeline_t *self)
{
    const char *argv[] = {"ASKING"};
    const size_t sizes[] = {6};
    if (fw_redis_link_command(self->config.redis, 1, argv, sizes, on_asking, NULL, 0) != 0) {
        return; /* Then the command behind it fails as well. */
    }
}

/* Sends the round that has begun. */
static void send_round(fw_purge_pipeline_t *self)
{
    size_t count = fw_purge_plan_commands(self->plan);
    self->in_flight = true;
    for (size_t i = 0; i < count; i++) {
        char digits[DIGITS_MAX];
        arguments_t arguments = {.count = 0};
        const fw_purge_command_t *command = fw_purge_plan_command(self->plan, i);
        if (command->asking) {
            send_asking(self);
        }
        fill(&arguments, self, command, digits);
        if (fw_redis_link_command(self->config.redis, arguments.count, arguments.texts,
                                  arguments.sizes, on_reply, self, i) != 0) {
            on_reply(self, i, NULL);
        }
    }
    fw_redis_link_flush(self->config.redis);
}

/* Hands out what the round decided, and goes on with the rest. */
static void finish_round(fw_purge_pipeline_t *self)
{
    fw_purge_job_t *job;
    while ((job = fw_purge_plan_take(self->plan))) {
        self->config.on_decided(self->config.context, &job);
    }
    if (self->useless_link) {
        self->useless_link = false;
        fw_redis_link_reset(self->config.redis, self->useless_error);
    }
    if (fw_purge_plan_begin(self->plan)) {
        send_round(self);
        return;
    }
    self->in_flight = false;
    fw_purge_pipeline_run(self);
}

/* ---- waiting jobs */

void fw_purge_pipeline_add(fw_purge_pipeline_t *self, fw_purge_job_t **job_p)
{
    if (self->waiting_count == self->waiting_capacity) {
        size_t larger = self->waiting_capacity ? 2 * self->waiting_capacity : 64;
        waiting_t *ring = fw_alloc(larger, sizeof(waiting_t));
        for (size_t i = 0; i < self->waiting_count; i++) {
            ring[i] = self->waiting[(self->waiting_first + i) % self->waiting_capacity];
        }
        free(self->waiting);
        self->waiting = ring;
        self->waiting_first = 0;
        self->waiting_capacity = larger;
    }
    self->waiting[(self->waiting_first + self->waiting_count) % self->waiting_capacity].job =
        *job_p;
    self->waiting_count++;
    *job_p = NULL;
}

static void pop_waiting(fw_purge_pipeline_t *self)
{
    self->waiting_first = (self->waiting_first + 1) % self->waiting_capacity;
    self->waiting_count--;
}

static void fail_waiting(fw_purge_pipeline_t *self)
{
    while (self->waiting_count > 0) {
        fw_purge_job_t *job = self->waiting[self->waiting_first].job;
        pop_waiting(self);
        fw_purge_job_fail(job, FW_PURGE_FAILED, "redis is not connected", "");
        self->config.on_decided(self->config.context, &job);
    }
}

/* Moves as many jobs as fit into the plan. */
static void fill_plan(fw_purge_pipeline_t *self)
{
    while (self->waiting_count > 0 &&
           fw_purge_plan_add(self->plan, &self->waiting[self->waiting_first].job) == 0) {
        pop_waiting(self);
    }
}

void fw_purge_pipeline_run(fw_purge_pipeline_t *self)
{
    if (self->running) {
        return;
    }
    self->running = true;
    while (!self->in_flight && self->waiting_count > 0) {
        if (fw_redis_link_state(self->config.redis) != FW_REDIS_LINK_CONNECTED) {
            fail_waiting(self);
            break;
        }
        fill_plan(self);
        self->config.on_batch(self->config.context, fw_purge_plan_jobs(self->plan));
        bool begun = fw_purge_plan_begin(self->plan);
        assert(begun);
        (void)begun;
        send_round(self);
    }
    self->running = false;
}

/* ---- life */

fw_purge_pipeline_t *fw_purge_pipeline_new(const fw_purge_pipeline_config_t *config)
{
    fw_purge_pipeline_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    self->plan = fw_purge_plan_new(config->seed, config->by_slot);
    (void)snprintf(self->ttl, sizeof(self->ttl), "%" PRId64, config->stamp_ttl_ms);
    return self;
}

void fw_purge_pipeline_destroy(fw_purge_pipeline_t **self_p)
{
    fw_purge_pipeline_t *self = *self_p;
    if (!self) {
        return;
    }
    while (self->waiting_count > 0) {
        fw_purge_job_destroy(&self->waiting[self->waiting_first].job);
        pop_waiting(self);
    }
    free(self->waiting);
    fw_purge_plan_destroy(&self->plan);
    free(self);
    *self_p = NULL;
}
