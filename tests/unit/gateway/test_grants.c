/* test_grants.c - what the backend decided about rooms: asked once, remembered, asked again.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/authoriser.h"
#include "gateway/grants.h"

typedef struct {
    fw_grants_t *grants;
    unsigned told[4]; /* by waiter */
    bool used;
    unsigned withdrawn;
} world_t;

static void answered(void *context, void *waiter)
{
    world_t *world = context;
    world->told[(uintptr_t)waiter]++;
}

static bool used(void *context, const fw_grant_question_t *question)
{
    const world_t *world = context;
    assert_true(fw_text_equal(question->user, FW_TEXT("9")));
    return world->used;
}

static void withdrawn(void *context, const fw_grant_question_t *question)
{
    world_t *world = context;
    assert_true(fw_text_equal(question->channel, FW_TEXT("room:1")));
    world->withdrawn++;
}

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof *world);
    fw_grants_limits_t limits = {.entries_max = 4, .asking_max = 3};
    fw_grants_output_t output = {world, answered, used, withdrawn};
    world->grants = fw_grants_new(&limits, &output, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_t *world = *state;
    fw_grants_destroy(&world->grants);
    free(world);
    return 0;
}

static fw_grant_t look(world_t *world, const char *channel, uintptr_t waiter, int64_t now_ms)
{
    union {
        uintptr_t number;
        void *pointer;
    } who = {.number = waiter};
    return fw_grants_look(world->grants, FW_TEXT("9"), fw_text(channel), FW_ACTION_LISTEN,
                          who.pointer, now_ms);
}

/* Answers the next question. */
static void reply(world_t *world, fw_grant_t grant, int64_t ttl_ms, int64_t now_ms)
{
    fw_grant_question_t question;
    assert_true(fw_grants_next(world->grants, &question));
    fw_grants_answer(world->grants, question.number, grant, ttl_ms, now_ms);
}

static void asks_once_whoever_waits(void **state)
{
    world_t *world = *state;
    fw_grant_question_t question;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:1", 2, 0), FW_GRANT_LATER);
    assert_true(fw_grants_next(world->grants, &question));
    assert_true(fw_text_equal(question.channel, FW_TEXT("room:1")));
    assert_false(fw_grants_next(world->grants, &question));
    fw_grants_answer(world->grants, question.number + 1, FW_GRANT_YES, 1000, 0);
    assert_int_equal(world->told[1], 0);
    fw_grants_answer(world->grants, question.number, FW_GRANT_YES, 1000, 0);
    fw_grants_answer(world->grants, question.number, FW_GRANT_NO, 1000, 0);
    assert_int_equal(world->told[1], 1);
    assert_int_equal(world->told[2], 1);
    assert_int_equal(look(world, "room:1", 3, 0), FW_GRANT_YES);
}

static void who_has_gone_is_told_nothing(void **state)
{
    world_t *world = *state;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:1", 2, 0), FW_GRANT_LATER);
    fw_grants_forget(world->grants, (const void *)1);
    reply(world, FW_GRANT_NO, 1000, 0);
    assert_int_equal(world->told[1], 0);
    assert_int_equal(world->told[2], 1);
}

static void other_actions_and_users_are_other_questions(void **state)
{
    world_t *world = *state;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_YES, 1000, 0);
    assert_int_equal(fw_grants_look(world->grants, FW_TEXT("9"), FW_TEXT("room:1"),
                                    FW_ACTION_PUBLISH, (void *)1, 0),
                     FW_GRANT_LATER);
    assert_int_equal(fw_grants_look(world->grants, FW_TEXT("8"), FW_TEXT("room:1"),
                                    FW_ACTION_LISTEN, (void *)1, 0),
                     FW_GRANT_LATER);
}

static void a_refusal_and_a_failure_hold_for_their_time(void **state)
{
    world_t *world = *state;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_NO, 5000, 0);
    assert_int_equal(look(world, "room:2", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_UNKNOWN, 0, 0);
    assert_int_equal(look(world, "room:2", 1, 0), FW_GRANT_UNKNOWN);
    fw_grants_tick(world->grants, FW_GRANT_ERROR_MS + 200);
    assert_int_equal(look(world, "room:1", 1, 2000), FW_GRANT_NO);
    assert_int_equal(look(world, "room:2", 1, 2000), FW_GRANT_LATER);
    fw_grants_tick(world->grants, 5200);
    assert_int_equal(look(world, "room:1", 1, 6000), FW_GRANT_LATER);
}

static void what_is_used_is_asked_again_and_holds_meanwhile(void **state)
{
    world_t *world = *state;
    world->used = true;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_YES, 1000, 0);
    fw_grants_tick(world->grants, 1200);
    assert_int_equal(look(world, "room:1", 1, 1200), FW_GRANT_YES);
    reply(world, FW_GRANT_UNKNOWN, 0, 1300); /* the backend is away: nothing is taken away */
    assert_int_equal(look(world, "room:1", 1, 1300), FW_GRANT_YES);
    fw_grants_tick(world->grants, 1300 + FW_GRANT_AGAIN_MS + 200);
    assert_int_equal(world->withdrawn, 0);
    reply(world, FW_GRANT_NO, 1000, 7000);
    assert_int_equal(world->withdrawn, 1);
    assert_int_equal(look(world, "room:1", 1, 7000), FW_GRANT_NO);
}

static void what_nobody_uses_is_forgotten(void **state)
{
    world_t *world = *state;
    fw_grant_question_t question;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_YES, 1000, 0);
    fw_grants_tick(world->grants, 1200);
    assert_false(fw_grants_next(world->grants, &question));
    assert_int_equal(fw_grants_counts(world->grants)->entries, 0);
}

static void is_bounded_and_forgets_refusals_first(void **state)
{
    world_t *world = *state;
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:2", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:3", 1, 0), FW_GRANT_LATER);
    assert_int_equal(look(world, "room:4", 1, 0), FW_GRANT_UNKNOWN); /* three wait */
    reply(world, FW_GRANT_YES, 60000, 0);
    reply(world, FW_GRANT_NO, 60000, 0);
    reply(world, FW_GRANT_YES, 60000, 0);
    assert_int_equal(look(world, "room:4", 1, 0), FW_GRANT_LATER);
    reply(world, FW_GRANT_YES, 60000, 0);
    assert_int_equal(look(world, "room:5", 1, 0), FW_GRANT_LATER); /* room:2 makes place */
    reply(world, FW_GRANT_YES, 60000, 0);
    assert_int_equal(look(world, "room:6", 1, 0), FW_GRANT_UNKNOWN); /* all are allowed */
    assert_int_equal(look(world, "room:1", 1, 0), FW_GRANT_YES);
    assert_int_equal(fw_grants_counts(world->grants)->entries, 4);
}

static void only_a_clear_answer_is_one(void **state)
{
    static const struct {
        int status;
        const char *body;
        fw_grant_t grant;
        int64_t ttl_ms;
    } rows[] = {
        {200, "{\"allow\":true}", FW_GRANT_YES, FW_AUTHORISE_TTL_MS},
        {200, "{\"allow\":true,\"ttl_seconds\":5}", FW_GRANT_YES, 5000},
        {200, "{\"allow\":true,\"ttl_seconds\":99999999}", FW_GRANT_YES, FW_GRANT_TTL_MS_MAX},
        {200, "{\"allow\":true,\"ttl_seconds\":-1}", FW_GRANT_YES, FW_AUTHORISE_TTL_MS},
        {200, "{\"allow\":false}", FW_GRANT_NO, FW_AUTHORISE_DENY_TTL_MS},
        {403, "", FW_GRANT_NO, FW_AUTHORISE_DENY_TTL_MS},
        {403, "{\"allow\":true,\"ttl_seconds\":3}", FW_GRANT_NO, 3000},
        {200, "", FW_GRANT_UNKNOWN, 0},
        {200, "true", FW_GRANT_UNKNOWN, 0},
        {200, "{\"allow\":\"true\"}", FW_GRANT_UNKNOWN, 0},
        {200, "{\"allow\":1}", FW_GRANT_UNKNOWN, 0},
        {200, "{\"allow\":true,\"allow\":true}", FW_GRANT_UNKNOWN, 0},
        {201, "{\"allow\":true}", FW_GRANT_UNKNOWN, 0},
        {302, "{\"allow\":true}", FW_GRANT_UNKNOWN, 0},
        {500, "{\"allow\":true}", FW_GRANT_UNKNOWN, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t ttl_ms = -1;
        fw_bytes_t body = {(const uint8_t *)rows[i].body, strlen(rows[i].body)};
        assert_int_equal(fw_authorise_judge(rows[i].status, body, &ttl_ms), rows[i].grant);
        if (rows[i].grant != FW_GRANT_UNKNOWN)
            assert_int_equal(ttl_ms, rows[i].ttl_ms);
    }
}

static void a_question_is_escaped(void **state)
{
    fw_grant_question_t question = {
        .user = FW_TEXT("a\"\\\x01"), .channel = FW_TEXT("room:1"), .action = FW_ACTION_PRESENCE};
    (void)state;
    char *body = fw_authorise_body(&question);
    assert_string_equal(body, "{\"user_id\":\"a\\\"\\\\\\u0001\",\"channel\":\"room:1\","
                              "\"action\":\"presence\"}");
    free(body);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(asks_once_whoever_waits),
        CASE(who_has_gone_is_told_nothing),
        CASE(other_actions_and_users_are_other_questions),
        CASE(a_refusal_and_a_failure_hold_for_their_time),
        CASE(what_is_used_is_asked_again_and_holds_meanwhile),
        CASE(what_nobody_uses_is_forgotten),
        CASE(is_bounded_and_forgets_refusals_first),
        cmocka_unit_test(only_a_clear_answer_is_one),
        cmocka_unit_test(a_question_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
