/* test_purge_plan_model.c - random jobs against a model of Redis that fails in every way: a job is
 * done only after all that it names was purged.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/random.h"
#include "workers/purge_plan.h"

enum {
    NAMES = 40,    /* keys and tags that there are; few, so that jobs share them */
    JOBS_MAX = 30, /* in a plan */
    JOB_NAMES_MAX = 6,
    SCHEDULES = 4000,
    FORBIDDEN = NAMES - 1, /* the key that nobody may remove */
};

/* Redis as far as a purge sees it. */
typedef struct {
    fw_random_t random;
    uint64_t now_us;
    bool key_exists[NAMES];
    uint64_t stamps[NAMES];    /* 0 = missing */
    uint64_t bumped_us[NAMES]; /* when a tag was last purged */
    bool knows_script;
    bool has_memory;
    bool lost; /* the connection: nothing is executed any more */
} model_t;

static char key_texts[NAMES][8];
static char tag_texts[NAMES][8];

static uint64_t pick(model_t *model, uint64_t bound)
{
    return fw_random_below(&model->random, bound);
}

static bool once_in(model_t *model, uint64_t n)
{
    return pick(model, n) == 0;
}

static int number_in(fw_text_t name)
{
    return (int)strtol(strrchr(name.text, '.') + 1, NULL, 10);
}

static fw_purge_reply_t error(fw_redis_error_t kind)
{
    return (fw_purge_reply_t){.failed = true, .error = kind, .text = "model"};
}

static fw_purge_reply_t unlink_keys(model_t *model, const fw_purge_command_t *command)
{
    fw_purge_reply_t reply = {.number = 0};
    for (size_t i = 0; i < command->names_count; i++) {
        if (number_in(command->names[i]) == FORBIDDEN) {
            return error(FW_REDIS_NOPERM);
        }
    }
    for (size_t i = 0; i < command->names_count; i++) {
        int key = number_in(command->names[i]);
        reply.number += model->key_exists[key];
        model->key_exists[key] = false;
    }
    return reply;
}

static fw_purge_reply_t drop_stamps(model_t *model, const fw_purge_command_t *command)
{
    fw_purge_reply_t reply = {.number = 0};
    for (size_t i = 0; i < command->names_count; i++) {
        int tag = number_in(command->names[i]);
        reply.number += model->stamps[tag] != 0;
        model->stamps[tag] = 0;
        model->bumped_us[tag] = model->now_us;
    }
    return reply;
}

static fw_purge_reply_t bump(model_t *model, const fw_purge_command_t *command,
                             uint64_t stamps[FW_PURGE_TAGS_PER_COMMAND])
{
    if (command->kind == FW_PURGE_BUMP && !model->knows_script) {
        return error(FW_REDIS_NOSCRIPT);
    }
    model->knows_script = true;
    if (!model->has_memory) {
        return error(FW_REDIS_OOM);
    }
    for (size_t i = 0; i < command->names_count; i++) {
        int tag = number_in(command->names[i]);
        uint64_t stamp = model->now_us;
        model->stamps[tag] = model->stamps[tag] >= stamp ? model->stamps[tag] + 1 : stamp;
        model->bumped_us[tag] = model->now_us;
        stamps[i] = model->stamps[tag];
    }
    return (fw_purge_reply_t){.stamps = stamps, .stamps_count = command->names_count};
}

static fw_purge_reply_t execute(model_t *model, const fw_purge_command_t *command,
                                uint64_t stamps[FW_PURGE_TAGS_PER_COMMAND])
{
    model->now_us += pick(model, 3); /* Commands may fall into the same microsecond. */
    model->lost |= once_in(model, 60);
    if (model->lost) {
        /* It may have been executed although its answer is lost. */
        if (command->kind == FW_PURGE_UNLINK && once_in(model, 2)) {
            (void)unlink_keys(model, command);
        }
        return error(FW_REDIS_LOST);
    }
    if (once_in(model, 40)) {
        return error(once_in(model, 2) ? FW_REDIS_BUSY : FW_REDIS_READONLY);
    }
    model->knows_script &= !once_in(model, 15);
    model->has_memory = !once_in(model, 10);
    switch (command->kind) {
    case FW_PURGE_UNLINK:
        return unlink_keys(model, command);
    case FW_PURGE_DROP:
        return drop_stamps(model, command);
    case FW_PURGE_BUMP:
    case FW_PURGE_BUMP_EVAL:
        return bump(model, command, stamps);
    case FW_PURGE_TIME:
        break;
    }
    return (fw_purge_reply_t){.number = model->now_us};
}

static fw_purge_job_t *random_job(model_t *model, uint64_t job_id)
{
    fw_text_t keys[JOB_NAMES_MAX];
    fw_text_t tags[JOB_NAMES_MAX];
    size_t keys_count = pick(model, JOB_NAMES_MAX);
    size_t tags_count = pick(model, JOB_NAMES_MAX);
    for (size_t i = 0; i < keys_count; i++) {
        keys[i] = fw_text(key_texts[pick(model, NAMES)]);
    }
    for (size_t i = 0; i < tags_count; i++) {
        tags[i] = fw_text(tag_texts[pick(model, NAMES)]);
    }
    const fw_job_t job = {.job_id = job_id,
                          .invalidate = {keys, keys_count, tags, tags_count, NULL, 0}};
    return fw_purge_job_new(&job, "ns", 0);
}

static bool names_forbidden(const fw_purge_job_t *job)
{
    for (size_t i = 0; i < job->keys_count; i++) {
        if (number_in(job->keys[i]) == FORBIDDEN) {
            return true;
        }
    }
    return false;
}

/* What must hold for a job at the moment it is decided. began_us: when its plan began. */
static void check(const model_t *model, const fw_purge_job_t *job, uint64_t began_us)
{
    assert_int_not_equal(job->status, FW_PURGE_OPEN);
    if (job->status == FW_PURGE_REFUSED) {
        assert_true(names_forbidden(job));
    }
    if (job->status != FW_PURGE_DONE) {
        assert_true(job->reason[0]);
        return;
    }
    assert_false(names_forbidden(job));
    for (size_t i = 0; i < job->keys_count; i++) {
        assert_false(model->key_exists[number_in(job->keys[i])]);
    }
    size_t known = 0;
    for (size_t i = 0; i < job->tags_count; i++) {
        int tag = number_in(job->stamp_keys[i]);
        assert_true(model->bumped_us[tag] >= began_us);
        assert_true(model->bumped_us[tag] <= job->redis_time);
        if (model->stamps[tag] != 0) {
            assert_true(known < job->stamps_count);
            assert_string_equal(job->stamps[known].tag.text, job->stamp_keys[i].text + job->tag_at);
            assert_int_equal(job->stamps[known].stamp, model->stamps[tag]);
            known++;
        }
    }
    assert_int_equal(known, job->stamps_count);
    assert_true(job->redis_time <= model->now_us);
}

/* Fills and runs the plan once; nobody fills keys meanwhile, so whatever is gone stays gone.
 * Returns the jobs done. */
static size_t run_plan(model_t *model, fw_purge_plan_t *plan)
{
    size_t jobs = 1 + pick(model, JOBS_MAX);
    for (uint64_t id = 0; id < jobs; id++) {
        fw_purge_job_t *job = random_job(model, id);
        assert_int_equal(fw_purge_plan_add(plan, &job), 0);
    }
    uint64_t began_us = model->now_us;
    size_t decided = 0;
    size_t done = 0;
    bool seen[JOBS_MAX + 1] = {false};
    for (int round = 0; fw_purge_plan_begin(plan); round++) {
        assert_true(round < FW_PURGE_ATTEMPTS_MAX);
        for (size_t i = 0; i < fw_purge_plan_commands(plan); i++) {
            uint64_t stamps[FW_PURGE_TAGS_PER_COMMAND];
            fw_purge_reply_t reply = execute(model, fw_purge_plan_command(plan, i), stamps);
            assert_null(fw_purge_plan_take(plan));
            bool last = fw_purge_plan_reply(plan, i, &reply);
            assert_int_equal(last, i + 1 == fw_purge_plan_commands(plan));
        }
        fw_purge_job_t *job;
        while ((job = fw_purge_plan_take(plan))) {
            check(model, job, began_us);
            assert_false(seen[job->job_id]);
            seen[job->job_id] = true;
            decided++;
            done += job->status == FW_PURGE_DONE;
            fw_purge_job_destroy(&job);
        }
    }
    assert_int_equal(decided, jobs);
    assert_int_equal(fw_purge_plan_jobs(plan), 0);
    return done;
}

static void every_job_that_is_done_was_purged_before(void **state)
{
    (void)state;
    uint64_t first = (uint64_t)time(NULL);
    const char *given = getenv("FW_SEED");
    first = given ? strtoull(given, NULL, 10) : first;
    print_message("seed %llu (FW_SEED)\n", (unsigned long long)first);
    size_t done = 0;
    fw_purge_plan_t *plan = fw_purge_plan_new(first, first % 2);
    for (uint64_t seed = first; seed < first + SCHEDULES; seed++) {
        model_t model = {.random = {seed}, .now_us = 1000000, .knows_script = seed % 3 != 0};
        for (int i = 0; i < NAMES; i++) {
            model.key_exists[i] = once_in(&model, 2);
            /* Also stamps from the future, as another node's clock may have left them. */
            model.stamps[i] = once_in(&model, 2) ? 999990 + pick(&model, 50) : 0;
        }
        done += run_plan(&model, plan);
    }
    fw_purge_plan_destroy(&plan);
    /* The checks above mean nothing if nothing is ever done. */
    assert_true(done > SCHEDULES);
}

int main(void)
{
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(key_texts[i], sizeof(key_texts[i]), "k.%d", i);
        (void)snprintf(tag_texts[i], sizeof(tag_texts[i]), "t.%d", i);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_that_is_done_was_purged_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
