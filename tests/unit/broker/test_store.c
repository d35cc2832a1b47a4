/* SPDX-License-Identifier: MPL-2.0
 * The memory engine keeps the contract, its bounds, and a place for idle subscribers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/store_memory.h"
#include "tests/support/store_contract.h"

static fw_policies_t *policies; /* made once in main */

static fw_store_memory_options_t options(void)
{
    return (fw_store_memory_options_t){.policies = policies,
                                       .bytes_max = 1 << 20,
                                       .idle_us_max = 5000,
                                       .channels_max = 100,
                                       .seed = 1};
}

static fw_store_t *make(const fw_store_answers_t *answers)
{
    fw_store_memory_options_t o = options();
    return fw_store_memory_new(&o, answers);
}

static void ignore_append(void *context, fw_store_append_t *append)
{
    (void)context;
    (void)append;
}

static void ignore_commit(void *context, fw_store_commit_t *commit)
{
    (void)context;
    (void)commit;
}

static const fw_store_answers_t nobody = {NULL, ignore_append, ignore_commit};

static fw_position_t write_one(fw_store_t *store, const char *channel, size_t size, int64_t now_us)
{
    static uint8_t bytes[4096];
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t position;
    fw_blob_t *blob = fw_blob_new((fw_bytes_t){bytes, size});
    fw_store_append_t append = {.publication = blob,
                                .channels = channels,
                                .channels_count = 1,
                                .ret_positions = &position,
                                .now_us = now_us};
    fw_store_append(store, &append, 1);
    fw_blob_release(&blob);
    fw_store_commit_t commit = {.channel = channels[0], .position = position};
    fw_store_commit(store, &commit, 1);
    return position;
}

static void note_located(void *context, fw_store_positions_t *positions)
{
    (void)context;
    (void)positions;
}

static fw_position_t position_of(fw_store_t *store, const char *channel)
{
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t visible;
    fw_store_positions_t request = {
        .channels = channels, .channels_count = 1, .ret_visible = &visible, .answer = note_located};
    fw_store_positions(store, &request);
    return visible;
}

static void bytes_of_all_channels_are_bounded(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_stats_t stats;
    o.bytes_max = 20000;
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    for (int i = 0; i < 50; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "room:%d", i);
        (void)write_one(store, name, 1000, i);
    }
    fw_store_stats(store, &stats);
    assert_true(stats.bytes <= o.bytes_max);
    assert_int_equal(stats.channels, 50); /* names and positions stay, only events go */
    assert_int_equal(position_of(store, "room:0").offset, 1);
    fw_store_destroy(&store);
}

static void channels_are_bounded_and_the_one_written_longest_ago_goes(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_stats_t stats;
    o.channels_max = 10;
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    fw_position_t first = write_one(store, "room:0", 10, 0);
    for (int i = 1; i <= 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "room:%d", i);
        (void)write_one(store, name, 10, i);
    }
    fw_store_stats(store, &stats);
    assert_int_equal(stats.channels, 10);
    assert_true(position_of(store, "room:0").epoch != first.epoch);
    assert_int_equal(position_of(store, "room:10").offset, 1);
    fw_store_destroy(&store);
}

static void old_events_go_then_idle_channels(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_stats_t stats;
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    fw_position_t first = write_one(store, "room:1", 10, 0);
    fw_store_tick(store, 1001);
    fw_store_stats(store, &stats);
    assert_int_equal(stats.events, 0);
    assert_int_equal(position_of(store, "room:1").epoch, first.epoch);
    assert_int_equal(position_of(store, "room:1").offset, 1);
    fw_store_tick(store, 5001);
    assert_true(position_of(store, "room:1").epoch != first.epoch);
    fw_store_destroy(&store);
}

static void forgetting_a_channel_does_not_move_idle_subscribers_of_others(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    fw_position_t idle = position_of(store, "user:idle");
    (void)write_one(store, "room:1", 10, 0);
    fw_store_tick(store, 10000);
    fw_store_tick(store, 20000);
    assert_int_equal(position_of(store, "user:idle").epoch, idle.epoch);
    fw_store_destroy(&store);
}

static void a_channel_that_comes_back_has_another_epoch(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    fw_position_t first = write_one(store, "room:1", 10, 0);
    fw_store_tick(store, 10000);
    fw_store_tick(store, 20000);
    fw_position_t second = write_one(store, "room:1", 10, 20000);
    assert_true(second.epoch != first.epoch);
    assert_int_equal(second.offset, 1);
    fw_store_destroy(&store);
}

static void patterns_keep_what_their_rule_says(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    fw_store_stats_t stats;
    for (int i = 0; i < 20; i++) {
        (void)write_one(store, "room:1", 10, 0);
        (void)write_one(store, "user:1", 10, 0);
    }
    fw_store_stats(store, &stats);
    assert_int_equal(stats.events, 8 + 2);
    fw_store_tick(store, 1001);
    fw_store_stats(store, &stats);
    assert_int_equal(stats.events, 2);
    fw_store_destroy(&store);
}

static void a_reset_gives_new_epochs_to_what_matches_and_to_what_is_not_kept(void **state)
{
    (void)state;
    fw_store_memory_options_t o = options();
    fw_store_t *store = fw_store_memory_new(&o, &nobody);
    const fw_text_t patterns[] = {FW_TEXT("room:?")};
    fw_position_t room = write_one(store, "room:1", 10, 0);
    fw_position_t far = write_one(store, "room:22", 10, 0);
    fw_position_t idle = position_of(store, "room:9");
    fw_store_reset(store, patterns, 1);
    assert_true(position_of(store, "room:1").epoch != room.epoch);
    assert_int_equal(position_of(store, "room:1").offset, 1);
    assert_int_equal(position_of(store, "room:22").epoch, far.epoch);
    assert_true(position_of(store, "room:9").epoch != idle.epoch);
    fw_position_t next = write_one(store, "room:1", 10, 0);
    assert_int_equal(next.epoch, position_of(store, "room:1").epoch);
    assert_int_equal(next.offset, 2);
    fw_store_destroy(&store);
}

int main(void)
{
    static const char *const rules[] = {"user:* history_events=2 history_age=1h"};
    fw_policy_t fallback = {8, 1 << 20, 1000, false};
    fw_config_error_t error;
    if (fw_policies_new(rules, 1, &fallback, &policies, &error) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_all_channels_are_bounded),
        cmocka_unit_test(channels_are_bounded_and_the_one_written_longest_ago_goes),
        cmocka_unit_test(old_events_go_then_idle_channels),
        cmocka_unit_test(forgetting_a_channel_does_not_move_idle_subscribers_of_others),
        cmocka_unit_test(a_channel_that_comes_back_has_another_epoch),
        cmocka_unit_test(patterns_keep_what_their_rule_says),
        cmocka_unit_test(a_reset_gives_new_epochs_to_what_matches_and_to_what_is_not_kept),
    };
    int failed = store_contract_run(make);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    fw_policies_destroy(&policies);
    return failed;
}
