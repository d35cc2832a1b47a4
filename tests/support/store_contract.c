/* store_contract.c - see store_contract.h.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store_contract.h"

enum { KEPT = 8, EVENTS = 32 };

static store_contract_make_fn *make_store;

static void on_appended(void *context, fw_store_append_t *append)
{
    (void)append;
    ((store_contract_t *)context)->appended++;
}

static void on_committed(void *context, fw_store_commit_t *commit)
{
    (void)commit;
    ((store_contract_t *)context)->committed++;
}

static int set_up(void **state)
{
    static store_contract_t contract;
    fw_store_answers_t answers = {&contract, on_appended, on_committed};
    contract = (store_contract_t){0};
    contract.store = make_store(&answers);
    *state = &contract;
    return 0;
}

static int tear_down(void **state)
{
    store_contract_t *contract = *state;
    fw_store_destroy(&contract->store);
    return 0;
}

static fw_position_t append(store_contract_t *c, const char *channel, const char *text)
{
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t position = {0};
    fw_blob_t *blob = fw_blob_new((fw_bytes_t){(const uint8_t *)text, strlen(text)});
    fw_store_append_t request = {
        .publication = blob, .channels = channels, .channels_count = 1, .ret_positions = &position};
    fw_store_append(c->store, &request, 1);
    assert_int_equal(request.result, 0);
    fw_blob_release(&blob);
    return position;
}

static void commit(store_contract_t *c, const char *channel, fw_position_t position, uint64_t fresh)
{
    fw_store_commit_t request = {.channel = fw_text(channel), .position = position, .fresh = fresh};
    fw_store_commit(c->store, &request, 1);
    assert_int_equal(request.result, 0);
}

static void note_read(void *context, fw_store_read_t *read)
{
    (void)read;
    *(bool *)context = true;
}

static fw_store_read_t read_since(store_contract_t *c, const char *channel, fw_position_t since,
                                  size_t limit, fw_store_event_t *events)
{
    bool answered = false;
    fw_store_read_t request = {.channel = fw_text(channel),
                               .since = since,
                               .limit = limit,
                               .ret_events = events,
                               .answer = note_read,
                               .context = &answered};
    fw_store_read(c->store, &request);
    assert_true(answered);
    assert_int_equal(request.result, 0);
    return request;
}

static void note_located(void *context, fw_store_positions_t *positions)
{
    (void)positions;
    *(bool *)context = true;
}

static fw_position_t position_of(store_contract_t *c, const char *channel)
{
    bool answered = false;
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t visible = {0};
    fw_store_positions_t request = {.channels = channels,
                                    .channels_count = 1,
                                    .ret_visible = &visible,
                                    .answer = note_located,
                                    .context = &answered};
    fw_store_positions(c->store, &request);
    assert_true(answered);
    return visible;
}

static void a_channel_that_never_had_an_event_has_an_epoch_and_offset_0(void **state)
{
    store_contract_t *c = *state;
    fw_position_t position = position_of(c, "user:nobody");
    assert_true(position.epoch != 0);
    assert_int_equal(position.offset, 0);
    assert_int_equal(append(c, "user:nobody", "a").epoch, position.epoch);
}

static void offsets_count_from_1_per_channel(void **state)
{
    store_contract_t *c = *state;
    assert_int_equal(append(c, "room:1", "a").offset, 1);
    assert_int_equal(append(c, "room:1", "b").offset, 2);
    assert_int_equal(append(c, "room:2", "c").offset, 1);
    assert_int_equal(c->appended, 3);
}

static void nothing_is_visible_before_its_commit(void **state)
{
    store_contract_t *c = *state;
    fw_store_event_t events[EVENTS];
    fw_position_t first = append(c, "room:1", "a");
    fw_position_t before = {first.epoch, 0};
    fw_store_read_t read = read_since(c, "room:1", before, EVENTS, events);
    assert_int_equal(read.ret_count, 0);
    assert_int_equal(read.ret_status, FW_REPLAY_COMPLETE);
    assert_int_equal(position_of(c, "room:1").offset, 0);
    commit(c, "room:1", first, 5);
    assert_int_equal(c->committed, 1);
    read = read_since(c, "room:1", before, EVENTS, events);
    assert_int_equal(read.ret_count, 1);
    assert_int_equal(events[0].fresh, 5);
    assert_int_equal(events[0].position.offset, 1);
}

static fw_position_t append_many(store_contract_t *c, const char *channel, int count)
{
    fw_position_t position = {0};
    for (int i = 0; i < count; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i + 1);
        position = append(c, channel, text);
        commit(c, channel, position, 0);
    }
    return position;
}

static void a_replay_is_contiguous_and_says_when_there_is_more(void **state)
{
    store_contract_t *c = *state;
    fw_store_event_t events[EVENTS];
    fw_position_t last = append_many(c, "room:1", 7);
    fw_store_read_t read = read_since(c, "room:1", (fw_position_t){last.epoch, 2}, 3, events);
    assert_int_equal(read.ret_status, FW_REPLAY_MORE);
    assert_int_equal(read.ret_count, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(events[i].position.offset, 3 + i);
    assert_int_equal(read.ret_visible.offset, 7);
    read = read_since(c, "room:1", (fw_position_t){last.epoch, 5}, 3, events);
    assert_int_equal(read.ret_status, FW_REPLAY_COMPLETE);
    assert_int_equal(read.ret_count, 2);
}

static void what_is_not_kept_is_a_reset_never_a_part(void **state)
{
    store_contract_t *c = *state;
    fw_store_event_t events[EVENTS];
    fw_position_t last = append_many(c, "room:1", KEPT + 3);
    fw_store_read_t read = read_since(c, "room:1", (fw_position_t){last.epoch, 2}, EVENTS, events);
    assert_int_equal(read.ret_status, FW_REPLAY_RESET);
    assert_int_equal(read.ret_count, 0);
    read = read_since(c, "room:1", (fw_position_t){last.epoch, 3}, EVENTS, events);
    assert_int_equal(read.ret_status, FW_REPLAY_COMPLETE);
    assert_int_equal(read.ret_count, KEPT);
}

static void another_epoch_or_the_future_is_a_reset(void **state)
{
    store_contract_t *c = *state;
    fw_store_event_t events[EVENTS];
    fw_position_t last = append_many(c, "room:1", 2);
    fw_position_t cases[] = {
        {last.epoch + 1, 1}, {0, 0}, {last.epoch, 3}, {last.epoch, UINT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(read_since(c, "room:1", cases[i], EVENTS, events).ret_status,
                         FW_REPLAY_RESET);
}

static void one_event_may_go_to_several_channels(void **state)
{
    store_contract_t *c = *state;
    fw_store_event_t events[EVENTS];
    fw_text_t channels[] = {FW_TEXT("room:1"), FW_TEXT("user:2")};
    fw_position_t positions[2];
    fw_blob_t *blob = fw_blob_new((fw_bytes_t){(const uint8_t *)"x", 1});
    fw_store_append_t request = {
        .publication = blob, .channels = channels, .channels_count = 2, .ret_positions = positions};
    (void)append(c, "user:2", "first");
    fw_store_append(c->store, &request, 1);
    fw_blob_release(&blob);
    assert_int_equal(positions[0].offset, 1);
    assert_int_equal(positions[1].offset, 2);
    commit(c, "room:1", positions[0], 9);
    fw_store_read_t read =
        read_since(c, "room:1", (fw_position_t){positions[0].epoch, 0}, EVENTS, events);
    assert_int_equal(read.ret_count, 1);
    assert_int_equal(fw_blob_bytes(events[0].publication).data[0], 'x');
}

int store_contract_run(store_contract_make_fn *make)
{
    make_store = make;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_channel_that_never_had_an_event_has_an_epoch_and_offset_0,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(offsets_count_from_1_per_channel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_visible_before_its_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replay_is_contiguous_and_says_when_there_is_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_kept_is_a_reset_never_a_part, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_epoch_or_the_future_is_a_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_event_may_go_to_several_channels, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store contract", tests, NULL, NULL);
}
