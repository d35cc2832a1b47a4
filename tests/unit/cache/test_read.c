/* test_read.c - a read serves, waits, fills or gives up as it should.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/cache/read_world.h"

static void hostile_values_are_misses_and_are_replaced(void **state)
{
    world_t *world = *state;
    world_fill(world);
    fw_bytes_t entry = world_get(world, "fw:c:projects:7");
    uint8_t good[MODEL_VALUE_SIZE_MAX];
    size_t size = entry.size;
    memcpy(good, entry.data, size);
    static const struct {
        size_t at; /* byte that is changed, or where it is cut */
        int byte;  /* -1: cut */
    } damages[] = {{3, '2'}, {28, 0x90}, {0, 'X'}, {3, -1}, {20, -1}, {27, -1}, {40, -1}};
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        uint8_t bad[MODEL_VALUE_SIZE_MAX];
        memcpy(bad, good, size);
        size_t bad_size = size;
        if (damages[i].byte < 0) {
            bad_size = damages[i].at;
        } else {
            bad[damages[i].at] = (uint8_t)damages[i].byte;
        }
        world_put(world, "fw:c:projects:7", bad, bad_size);
        bool stored = false;
        fw_cache_request_t asked = world_request();
        assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
        assert_true(stored);
        assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
    }
    /* The last byte belongs to the value: what is not MessagePack is not served. */
    good[size - 1] = 0xc1;
    world_put(world, "fw:c:projects:7", good, size);
    bool stored = false;
    fw_cache_request_t asked = world_request();
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void a_value_without_epoch_is_a_miss(void **state)
{
    world_t *world = *state;
    world_fill(world);
    redis_model_unlink(&world->redis, FW_TEXT("fw:epoch"));
    bool stored = false;
    fw_cache_request_t asked = world_request();
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void without_redis_the_value_is_loaded_and_not_stored(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    /* Lost at the first, second … round trip. */
    for (int lost = 0; lost < 3; lost++) {
        world->redis = (redis_model_t){.now_us = 1000000, .scripts = UINT32_MAX};
        fw_cache_read_t *read = world_begin(world, &asked);
        for (int i = 0; i < lost; i++) {
            if (fw_cache_read_step(read) == FW_CACHE_STEP_LOAD) {
                fw_cache_read_loaded(read, world_value);
            }
            world_send(world, read);
        }
        if (fw_cache_read_step(read) == FW_CACHE_STEP_LOAD) {
            fw_cache_read_loaded(read, world_value);
        }
        assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_SEND);
        fw_cache_read_replies(read, NULL, 0);
        if (lost < 2) {
            assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_LOAD);
            assert_false(fw_cache_read_may_store(read));
            fw_cache_read_loaded(read, world_value);
        }
        assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_DONE);
        assert_int_equal(fw_cache_read_outcome(read)->status, FW_CACHE_MISS);
        assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_NO_ANSWER);
        assert_false(fw_cache_read_outcome(read)->stored);
        fw_cache_read_destroy(&read);
    }
}

static void who_cannot_capture_gives_the_lease_back(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    world_send(world, read);
    const uint8_t now[] = {'9', '9'};
    const fw_bytes_t time = {now, 2};
    const fw_cache_reply_t replies[] = {{.integer = 1, .values = &time, .values_count = 1},
                                        {.error = "OOM command not allowed"}};
    fw_cache_read_replies(read, replies, 0);
    size_t count = 0;
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_SEND);
    assert_int_equal(fw_cache_read_commands(read, &count)->kind, FW_CACHE_COMMAND_RELEASE);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
    fw_cache_read_loaded(read, world_value);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_NO_ANSWER);
    fw_cache_read_destroy(&read);
}

static void an_answer_of_another_shape_is_no_answer(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    const fw_cache_reply_t reply = {.integer = 1};
    fw_cache_read_replies(read, &reply, 0);
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_LOAD);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_NO_ANSWER);
    fw_cache_read_destroy(&read);
}

static void lost_scripts_are_sent_along_once(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    world_send(world, read);
    /* The server knows one script and lost the other: only from there on it is told again. */
    world->redis.scripts = UINT32_C(1) << FW_CACHE_COMMAND_ACQUIRE;
    world_send(world, read);
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_read_commands(read, &count);
    assert_int_equal(count, 1);
    assert_int_equal(commands[0].kind, FW_CACHE_COMMAND_CAPTURE);
    assert_true(commands[0].with_source);
    /* A server that will not know it either is not asked for ever. */
    const fw_cache_reply_t again = {.error = "NOSCRIPT No matching script."};
    fw_cache_read_replies(read, &again, 0);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
    assert_false(fw_cache_read_may_store(read));
    fw_cache_read_destroy(&read);
}

static void what_was_filled_is_served(void **state)
{
    world_t *world = *state;
    for (int cluster = 0; cluster <= 1; cluster++) {
        bool stored = false;
        fw_cache_request_t asked = world_request();
        world->rules.cluster = cluster;
        redis_model_unlink(&world->redis, FW_TEXT("fw:c:projects:7"));
        assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
        assert_true(stored);
        world->commands = 0;
        assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
        assert_false(stored);
        /* The entry, the epoch and two tags: at once, or in a cluster each for itself. */
        assert_int_equal(world->commands, cluster ? 4 : 1);
    }
}

static void other_tags_are_another_entry(void **state)
{
    world_t *world = *state;
    world_fill(world);
    bool stored = false;
    fw_cache_request_t asked = world_request();
    asked.tags_count = 1;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void the_second_reader_waits_for_the_first(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *first = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, first), FW_CACHE_STEP_LOAD);
    fw_cache_read_t *second = world_begin(world, &asked);
    int64_t waited_ms = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_go_on(world, second), FW_CACHE_STEP_PAUSE);
        assert_in_range(fw_cache_read_pause_ms(second), 5, 50);
        waited_ms += fw_cache_read_pause_ms(second);
        fw_cache_read_paused(second);
    }
    assert_in_range(waited_ms, 15, 150);
    fw_cache_read_loaded(first, world_value);
    assert_int_equal(world_go_on(world, first), FW_CACHE_STEP_DONE);
    assert_int_equal(world_go_on(world, second), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(second)->status, FW_CACHE_HIT);
    fw_cache_read_destroy(&first);
    fw_cache_read_destroy(&second);
}

static void who_waited_long_enough_loads_as_well(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *first = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, first), FW_CACHE_STEP_LOAD);
    fw_cache_read_t *second = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, second), FW_CACHE_STEP_PAUSE);
    world->now_ms += world->rules.wait_ms;
    fw_cache_read_paused(second);
    assert_int_equal(world_go_on(world, second), FW_CACHE_STEP_LOAD);
    assert_int_equal(fw_cache_read_outcome(second)->reason, FW_CACHE_BUSY);
    fw_cache_read_loaded(second, world_value);
    assert_false(fw_cache_read_outcome(second)->stored);
    fw_cache_read_destroy(&first);
    fw_cache_read_destroy(&second);
}

static void a_failed_load_gives_the_lease_back(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
    assert_int_equal(world_get(world, "fw:c:projects:7").size, FW_CACHE_LEASE_SIZE);
    fw_cache_read_failed(read);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_LOAD_FAILED);
    assert_null(world_get(world, "fw:c:projects:7").data);
    fw_cache_read_destroy(&read);
}

static void what_is_too_large_or_no_value_is_not_stored(void **state)
{
    world_t *world = *state;
    static uint8_t bytes[101] = {0xc4, 99};
    world->rules.payload_size_max = 100;
    static const struct {
        size_t size;
        fw_cache_reason_t reason;
    } cases[] = {{101, FW_CACHE_TOO_LARGE}, {100, FW_CACHE_NO_VALUE}, {0, FW_CACHE_NO_VALUE}};
    for (size_t i = 0; i < 3; i++) {
        fw_cache_request_t asked = world_request();
        fw_cache_read_t *read = world_begin(world, &asked);
        assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
        fw_cache_read_loaded(read, (fw_bytes_t){bytes, cases[i].size});
        assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
        assert_int_equal(fw_cache_read_outcome(read)->reason, cases[i].reason);
        assert_null(world_get(world, "fw:c:projects:7").data);
        fw_cache_read_destroy(&read);
    }
}

static void nothing_is_kept_for_a_shorter_time(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
    fw_cache_read_loaded(read, (fw_bytes_t){(const uint8_t *)"\xc0", 1});
    size_t count = 0;
    const fw_cache_command_t *store = fw_cache_read_commands(read, &count);
    assert_int_equal(fw_cache_stamp_parse(store->arguments[2]), world->rules.nothing_ttl_ms);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
    fw_cache_read_destroy(&read);
    read = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(read)->status, FW_CACHE_HIT);
    fw_cache_read_destroy(&read);
}

static void who_asks_not_to_store_takes_no_lease(void **state)
{
    world_t *world = *state;
    bool stored = true;
    fw_cache_request_t asked = world_request();
    asked.no_store = true;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_false(stored);
    assert_null(world_get(world, "fw:c:projects:7").data);
    world_fill(world);
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hostile_values_are_misses_and_are_replaced),
        TEST(a_value_without_epoch_is_a_miss),
        TEST(without_redis_the_value_is_loaded_and_not_stored),
        TEST(who_cannot_capture_gives_the_lease_back),
        TEST(an_answer_of_another_shape_is_no_answer),
        TEST(lost_scripts_are_sent_along_once),
        TEST(what_was_filled_is_served),
        TEST(other_tags_are_another_entry),
        TEST(the_second_reader_waits_for_the_first),
        TEST(who_waited_long_enough_loads_as_well),
        TEST(a_failed_load_gives_the_lease_back),
        TEST(what_is_too_large_or_no_value_is_not_stored),
        TEST(nothing_is_kept_for_a_shorter_time),
        TEST(who_asks_not_to_store_takes_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
