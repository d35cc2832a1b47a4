/* test_commands.c - commands about sessions: to every shard, again, for a bounded time.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/commands.h"

#define TEST_WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { SENT_MAX = 4096 };

typedef struct {
    fw_commands_t *commands;
    uint8_t sent[SENT_MAX];
    size_t sent_count;
    fw_session_result_t result;
    char asker[8];
    unsigned ended;
} world_t;

static const uint8_t shards[3][FW_INCARNATION_SIZE] = {{1}, {2}, {3}};
static const fw_bytes_t asker = {(const uint8_t *)"asker", 6};
static const fw_bytes_t frame = {(const uint8_t *)"frame", 5};

static void on_send(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE], fw_bytes_t bytes)
{
    world_t *world = context;
    assert_int_equal(bytes.size, frame.size);
    assert_memory_equal(bytes.data, frame.data, frame.size);
    assert_true(world->sent_count < SENT_MAX);
    world->sent[world->sent_count++] = incarnation[0];
}

static void on_ended(void *context, fw_bytes_t who, const fw_session_result_t *result)
{
    world_t *world = context;
    assert_int_equal(who.size, asker.size);
    memcpy(world->asker, who.data, who.size);
    world->result = *result;
    world->ended++;
}

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof *world);
    fw_commands_output_t output = {world, on_send, on_ended};
    world->commands = fw_commands_new(&output);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_t *world = *state;
    fw_commands_destroy(&world->commands);
    free(world);
    return 0;
}

static uint64_t begin(world_t *world, size_t count, int64_t now_us)
{
    uint64_t number = fw_commands_number(world->commands, now_us);
    assert_true(number != 0);
    fw_commands_add(world->commands, asker, 77, frame, shards[0], count, now_us);
    return number;
}

static void answer(world_t *world, size_t shard, uint64_t number, uint32_t sessions)
{
    fw_session_done_t done = {number, sessions};
    fw_commands_done(world->commands, shards[shard], &done);
}

static void refuses_too_many_at_once_and_too_many_a_second(void **state)
{
    world_t *world = *state;
    int64_t now_us = 10000000;
    for (int i = 0; i < FW_COMMANDS_MAX; i++)
        (void)begin(world, 1, now_us);
    assert_int_equal(fw_commands_number(world->commands, now_us), 0);
    fw_commands_gone(world->commands, shards[0]);
    assert_int_equal(fw_commands_count(world->commands), 0);
    int more = 0;
    while (fw_commands_number(world->commands, now_us) != 0)
        more++;
    assert_int_equal(more, FW_COMMANDS_PER_SECOND - FW_COMMANDS_MAX);
    assert_true(fw_commands_number(world->commands, now_us + 1000) != 0);
}

static void passes_over_strange_late_and_second_answers(void **state)
{
    world_t *world = *state;
    uint64_t number = begin(world, 2, 10000000);
    answer(world, 0, number + 1, 9);
    answer(world, 2, number, 9);
    answer(world, 0, number, 1);
    answer(world, 0, number, 9);
    assert_int_equal(world->ended, 0);
    answer(world, 1, number, 2);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->result.sessions, 3);
    answer(world, 1, number, 2);
    assert_int_equal(world->ended, 1);
}

static void says_how_many_answered_when_the_time_is_over(void **state)
{
    world_t *world = *state;
    uint64_t number = begin(world, 3, 10000000);
    answer(world, 1, number, 4);
    fw_commands_tick(world->commands, 10000000 + FW_COMMAND_TIME_US - 1);
    assert_int_equal(world->ended, 0);
    fw_commands_tick(world->commands, 10000000 + FW_COMMAND_TIME_US);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->result.command_id, 77);
    assert_int_equal(world->result.gateways, 3);
    assert_int_equal(world->result.answered, 1);
    assert_int_equal(world->result.sessions, 4);
    assert_string_equal(world->asker, "asker");
    assert_int_equal(fw_commands_next_us(world->commands), INT64_MAX);
}

static void asks_only_those_again_that_did_not_answer(void **state)
{
    world_t *world = *state;
    uint64_t number = begin(world, 3, 10000000);
    assert_int_equal(world->sent_count, 3);
    answer(world, 0, number, 1);
    answer(world, 2, number, 1);
    assert_int_equal(fw_commands_next_us(world->commands), 10000000 + FW_COMMAND_AGAIN_US);
    fw_commands_tick(world->commands, 10000000 + FW_COMMAND_AGAIN_US);
    assert_int_equal(world->sent_count, 4);
    assert_int_equal(world->sent[3], shards[1][0]);
    answer(world, 1, number, 1);
    assert_int_equal(world->result.sessions, 3);
}

static void takes_a_goodbye_for_an_answer(void **state)
{
    world_t *world = *state;
    uint64_t number = begin(world, 2, 10000000);
    answer(world, 0, number, 5);
    fw_commands_gone(world->commands, shards[1]);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->result.answered, 2);
    assert_int_equal(world->result.sessions, 5);
}

static void ends_at_once_when_there_is_no_gateway(void **state)
{
    world_t *world = *state;
    (void)begin(world, 0, 10000000);
    assert_int_equal(world->ended, 1);
    assert_int_equal(world->result.gateways, 0);
    assert_int_equal(fw_commands_count(world->commands), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH(refuses_too_many_at_once_and_too_many_a_second),
        TEST_WITH(passes_over_strange_late_and_second_answers),
        TEST_WITH(says_how_many_answered_when_the_time_is_over),
        TEST_WITH(asks_only_those_again_that_did_not_answer),
        TEST_WITH(takes_a_goodbye_for_an_answer),
        TEST_WITH(ends_at_once_when_there_is_no_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
