/* test_read.c - a read serves, waits, fills or gives up as it should.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/read.h"
#include "tests/simulation/cache/redis_model.h"

enum { COMMANDS_MAX = 16 };

static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
static const fw_bytes_t value = {(const uint8_t *)"\x81\xa2id*", 5};

typedef struct {
    redis_model_t redis;
    fw_cache_rules_t rules;
    int64_t now_ms;
    uint8_t nonce;
    size_t commands; /* sent in all */
} world_t;

static int setup(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    world->rules = fw_cache_rules_defaults();
    world->redis.now_us = 1000000;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static fw_cache_request_t request(void)
{
    return (fw_cache_request_t){.key = FW_TEXT("projects:7"), .tags = tags, .tags_count = 2};
}

static fw_cache_read_t *begin(world_t *world, const fw_cache_request_t *asked)
{
    uint8_t nonce[FW_CACHE_NONCE_SIZE] = {++world->nonce};
    fw_cache_read_t *read = NULL;
    assert_int_equal(fw_cache_read_new(&world->rules, asked, nonce, world->now_ms, &read), 0);
    return read;
}

/* One round trip. */
static void send(world_t *world, fw_cache_read_t *read)
{
    static model_reply_t storage[COMMANDS_MAX];
    fw_cache_reply_t replies[COMMANDS_MAX];
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_read_commands(read, &count);
    assert_in_range(count, 1, COMMANDS_MAX);
    for (size_t i = 0; i < count; i++) {
        world->redis.now_us++;
        redis_model_run(&world->redis, &commands[i], &storage[i]);
        replies[i] = storage[i].reply;
    }
    world->commands += count;
    fw_cache_read_replies(read, replies, world->now_ms);
}

static fw_cache_step_t go_on(world_t *world, fw_cache_read_t *read)
{
    while (fw_cache_read_step(read) == FW_CACHE_STEP_SEND) {
        send(world, read);
    }
    return fw_cache_read_step(read);
}

/* A whole read: the status, and whether it stored. */
static fw_cache_status_t read_whole(world_t *world, const fw_cache_request_t *asked,
                                    bool *ret_stored)
{
    fw_cache_read_t *read = begin(world, asked);
    if (go_on(world, read) == FW_CACHE_STEP_LOAD) {
        fw_cache_read_loaded(read, value);
        go_on(world, read);
    }
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_DONE);
    fw_cache_outcome_t outcome = *fw_cache_read_outcome(read);
    if (outcome.status == FW_CACHE_HIT) {
        assert_true(fw_bytes_equal(outcome.payload, value));
    }
    *ret_stored = outcome.stored;
    fw_cache_read_destroy(&read);
    return outcome.status;
}

static void fill(world_t *world)
{
    bool stored = false;
    fw_cache_request_t asked = request();
    (void)read_whole(world, &asked, &stored);
    assert_true(stored);
}

static void put(world_t *world, const char *key, const void *data, size_t size)
{
    redis_model_set(&world->redis, fw_text(key), (fw_bytes_t){data, size}, 60000);
}

static fw_bytes_t get(world_t *world, const char *key)
{
    return redis_model_get(&world->redis, fw_text(key));
}

static void hostile_values_are_misses_and_are_replaced(void **state)
{
    world_t *world = *state;
    fill(world);
    fw_bytes_t entry = get(world, "fw:c:projects:7");
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
        put(world, "fw:c:projects:7", bad, bad_size);
        bool stored = false;
        fw_cache_request_t asked = request();
        assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
        assert_true(stored);
        assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
    }
    /* The last byte belongs to the value: what is not MessagePack is not served. */
    good[size - 1] = 0xc1;
    put(world, "fw:c:projects:7", good, size);
    bool stored = false;
    fw_cache_request_t asked = request();
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void a_value_without_epoch_is_a_miss(void **state)
{
    world_t *world = *state;
    fill(world);
    redis_model_unlink(&world->redis, FW_TEXT("fw:epoch"));
    bool stored = false;
    fw_cache_request_t asked = request();
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void without_redis_the_value_is_loaded_and_not_stored(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    /* Lost at the first, second … round trip. */
    for (int lost = 0; lost < 3; lost++) {
        world->redis = (redis_model_t){.now_us = 1000000, .scripts = UINT32_MAX};
        fw_cache_read_t *read = begin(world, &asked);
        for (int i = 0; i < lost; i++) {
            if (fw_cache_read_step(read) == FW_CACHE_STEP_LOAD) {
                fw_cache_read_loaded(read, value);
            }
            send(world, read);
        }
        if (fw_cache_read_step(read) == FW_CACHE_STEP_LOAD) {
            fw_cache_read_loaded(read, value);
        }
        assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_SEND);
        fw_cache_read_replies(read, NULL, 0);
        if (lost < 2) {
            assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_LOAD);
            assert_false(fw_cache_read_may_store(read));
            fw_cache_read_loaded(read, value);
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
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    send(world, read);
    const uint8_t now[] = {'9', '9'};
    const fw_bytes_t time = {now, 2};
    const fw_cache_reply_t replies[] = {{.integer = 1, .values = &time, .values_count = 1},
                                        {.error = "OOM command not allowed"}};
    fw_cache_read_replies(read, replies, 0);
    size_t count = 0;
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_SEND);
    assert_int_equal(fw_cache_read_commands(read, &count)->kind, FW_CACHE_COMMAND_RELEASE);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_LOAD);
    fw_cache_read_loaded(read, value);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_NO_ANSWER);
    fw_cache_read_destroy(&read);
}

static void an_answer_of_another_shape_is_no_answer(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    const fw_cache_reply_t reply = {.integer = 1};
    fw_cache_read_replies(read, &reply, 0);
    assert_int_equal(fw_cache_read_step(read), FW_CACHE_STEP_LOAD);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_NO_ANSWER);
    fw_cache_read_destroy(&read);
}

static void lost_scripts_are_sent_along_once(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    send(world, read);
    /* The server knows one script and lost the other: only from there on it is told again. */
    world->redis.scripts = UINT32_C(1) << FW_CACHE_COMMAND_ACQUIRE;
    send(world, read);
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_read_commands(read, &count);
    assert_int_equal(count, 1);
    assert_int_equal(commands[0].kind, FW_CACHE_COMMAND_CAPTURE);
    assert_true(commands[0].with_source);
    /* A server that will not know it either is not asked for ever. */
    const fw_cache_reply_t again = {.error = "NOSCRIPT No matching script."};
    fw_cache_read_replies(read, &again, 0);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_LOAD);
    assert_false(fw_cache_read_may_store(read));
    fw_cache_read_destroy(&read);
}

static void what_was_filled_is_served(void **state)
{
    world_t *world = *state;
    for (int cluster = 0; cluster <= 1; cluster++) {
        bool stored = false;
        fw_cache_request_t asked = request();
        world->rules.cluster = cluster;
        redis_model_unlink(&world->redis, FW_TEXT("fw:c:projects:7"));
        assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
        assert_true(stored);
        world->commands = 0;
        assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
        assert_false(stored);
        /* The entry, the epoch and two tags: at once, or in a cluster each for itself. */
        assert_int_equal(world->commands, cluster ? 4 : 1);
    }
}

static void other_tags_are_another_entry(void **state)
{
    world_t *world = *state;
    fill(world);
    bool stored = false;
    fw_cache_request_t asked = request();
    asked.tags_count = 1;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
}

static void the_second_reader_waits_for_the_first(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *first = begin(world, &asked);
    assert_int_equal(go_on(world, first), FW_CACHE_STEP_LOAD);
    fw_cache_read_t *second = begin(world, &asked);
    int64_t waited_ms = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(go_on(world, second), FW_CACHE_STEP_PAUSE);
        assert_in_range(fw_cache_read_pause_ms(second), 5, 50);
        waited_ms += fw_cache_read_pause_ms(second);
        fw_cache_read_paused(second);
    }
    assert_in_range(waited_ms, 15, 150);
    fw_cache_read_loaded(first, value);
    assert_int_equal(go_on(world, first), FW_CACHE_STEP_DONE);
    assert_int_equal(go_on(world, second), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(second)->status, FW_CACHE_HIT);
    fw_cache_read_destroy(&first);
    fw_cache_read_destroy(&second);
}

static void who_waited_long_enough_loads_as_well(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *first = begin(world, &asked);
    assert_int_equal(go_on(world, first), FW_CACHE_STEP_LOAD);
    fw_cache_read_t *second = begin(world, &asked);
    assert_int_equal(go_on(world, second), FW_CACHE_STEP_PAUSE);
    world->now_ms += world->rules.wait_ms;
    fw_cache_read_paused(second);
    assert_int_equal(go_on(world, second), FW_CACHE_STEP_LOAD);
    assert_int_equal(fw_cache_read_outcome(second)->reason, FW_CACHE_BUSY);
    fw_cache_read_loaded(second, value);
    assert_false(fw_cache_read_outcome(second)->stored);
    fw_cache_read_destroy(&first);
    fw_cache_read_destroy(&second);
}

static void a_failed_load_gives_the_lease_back(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_LOAD);
    assert_int_equal(get(world, "fw:c:projects:7").size, FW_CACHE_LEASE_SIZE);
    fw_cache_read_failed(read);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(read)->reason, FW_CACHE_LOAD_FAILED);
    assert_null(get(world, "fw:c:projects:7").data);
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
        fw_cache_request_t asked = request();
        fw_cache_read_t *read = begin(world, &asked);
        assert_int_equal(go_on(world, read), FW_CACHE_STEP_LOAD);
        fw_cache_read_loaded(read, (fw_bytes_t){bytes, cases[i].size});
        assert_int_equal(go_on(world, read), FW_CACHE_STEP_DONE);
        assert_int_equal(fw_cache_read_outcome(read)->reason, cases[i].reason);
        assert_null(get(world, "fw:c:projects:7").data);
        fw_cache_read_destroy(&read);
    }
}

static void nothing_is_kept_for_a_shorter_time(void **state)
{
    world_t *world = *state;
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_LOAD);
    fw_cache_read_loaded(read, (fw_bytes_t){(const uint8_t *)"\xc0", 1});
    size_t count = 0;
    const fw_cache_command_t *store = fw_cache_read_commands(read, &count);
    assert_int_equal(fw_cache_stamp_parse(store->arguments[2]), world->rules.nothing_ttl_ms);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_DONE);
    fw_cache_read_destroy(&read);
    read = begin(world, &asked);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_DONE);
    assert_int_equal(fw_cache_read_outcome(read)->status, FW_CACHE_HIT);
    fw_cache_read_destroy(&read);
}

static void who_asks_not_to_store_takes_no_lease(void **state)
{
    world_t *world = *state;
    bool stored = true;
    fw_cache_request_t asked = request();
    asked.no_store = true;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_false(stored);
    assert_null(get(world, "fw:c:projects:7").data);
    fill(world);
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

static void who_bypasses_is_not_served_and_does_not_wait(void **state)
{
    world_t *world = *state;
    fill(world);
    bool stored = false;
    fw_cache_request_t asked = request();
    asked.bypass = true;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_BYPASS);
    assert_true(stored); /* What it loaded is as new as can be: others are served it. */
    fw_cache_request_t plain = request();
    redis_model_unlink(&world->redis, FW_TEXT("fw:c:projects:7"));
    fw_cache_read_t *other = begin(world, &plain);
    assert_int_equal(go_on(world, other), FW_CACHE_STEP_LOAD);
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_BYPASS);
    assert_false(stored);
    fw_cache_read_destroy(&other);
}

static void what_began_to_be_filled_at_the_token_is_rejected(void **state)
{
    world_t *world = *state;
    fill(world);
    bool stored = false;
    fw_cache_request_t asked = request();
    fw_cache_read_t *read = begin(world, &asked);
    assert_int_equal(go_on(world, read), FW_CACHE_STEP_DONE);
    uint64_t start_us = fw_cache_read_outcome(read)->start_us;
    fw_cache_read_destroy(&read);
    asked.fresh_us = start_us - 1;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
    asked.fresh_us = start_us;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_STALE_REJECTED);
    assert_true(stored);
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

static void the_hold_off_counts_from_stamps_and_tokens(void **state)
{
    world_t *world = *state;
    bool stored = true;
    fw_cache_request_t asked = request();
    world->rules.hold_off_ms = 10;
    /* Stamps that were missing may be those of purges that are forgotten. */
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_false(stored);
    assert_null(get(world, "fw:c:projects:7").data);
    world->redis.now_us += 11000;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_true(stored);
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
    asked.fresh_us = world->redis.now_us;
    world->redis.now_us += 5000;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_STALE_REJECTED);
    assert_false(stored);
    world->redis.now_us += 6000;
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_true(stored);
    assert_int_equal(read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

static void statuses_and_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(fw_cache_status_name(FW_CACHE_HIT), "HIT");
    assert_string_equal(fw_cache_status_name(FW_CACHE_MISS), "MISS");
    assert_string_equal(fw_cache_status_name(FW_CACHE_BYPASS), "BYPASS");
    assert_string_equal(fw_cache_status_name(FW_CACHE_STALE_REJECTED), "STALE-REJECTED");
    for (int reason = FW_CACHE_STORED_OR_HIT; reason <= FW_CACHE_LOAD_FAILED; reason++) {
        assert_true(strlen(fw_cache_reason_name((fw_cache_reason_t)reason)) > 5);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(who_bypasses_is_not_served_and_does_not_wait),
        TEST(what_began_to_be_filled_at_the_token_is_rejected),
        TEST(the_hold_off_counts_from_stamps_and_tokens),
        TEST(statuses_and_reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
