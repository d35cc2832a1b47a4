/* test_sync.c - the state machine that keeps a ring complete or resets it.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/sync.h"
#include "proto/codec.h"

static const fw_ring_limits_t limits = {.events_max = 16, .bytes_max = 1 << 20};

enum { EPOCH = 77, OTHER = 78 };

static unsigned event(fw_sync_t *sync, uint64_t epoch, uint64_t offset)
{
    fw_entry_t *entry = make_entry(offset, NULL, NULL);
    unsigned changed = fw_sync_event(sync, &limits, epoch, &entry);
    assert_null(entry);
    return changed;
}

static unsigned position(fw_sync_t *sync, uint64_t request, uint64_t epoch, uint64_t offset)
{
    return fw_sync_position(sync, &limits, request, (fw_position_t){epoch, offset});
}

static unsigned replay(fw_sync_t *sync, uint64_t request, uint64_t from, uint64_t to, bool complete,
                       uint64_t visible)
{
    fw_entry_t *entries[FW_REPLAY_EVENTS_MAX];
    uint32_t count = 0;
    for (uint64_t i = from; i <= to; i++)
        entries[count++] = make_entry(i, NULL, NULL);
    fw_sync_replay_t reply = {.request_id = request,
                              .complete = complete,
                              .visible = {EPOCH, visible},
                              .entries = entries,
                              .count = count};
    unsigned changed = fw_sync_replayed(sync, &limits, &reply);
    for (uint32_t i = 0; i < count; i++)
        assert_null(entries[i]);
    return changed;
}

static unsigned replay_reset(fw_sync_t *sync, uint64_t request, uint64_t epoch, uint64_t visible)
{
    fw_sync_replay_t reply = {.request_id = request, .reset = true, .visible = {epoch, visible}};
    return fw_sync_replayed(sync, &limits, &reply);
}

static fw_position_t ask_replay(fw_sync_t *sync, uint64_t request, uint32_t *ret_limit)
{
    fw_position_t since = {0, 0};
    assert_int_equal(fw_sync_needs(sync), FW_SYNC_NEEDS_REPLAY);
    fw_sync_replay_asked(sync, request, 1000, &since, ret_limit);
    assert_int_equal(fw_sync_needs(sync), 0);
    return since;
}

/* A live channel whose ring holds first..head. */
static void go_live(fw_sync_t *sync, uint64_t first, uint64_t head)
{
    fw_sync_init(sync);
    fw_sync_fenced(sync);
    assert_int_equal(fw_sync_needs(sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(sync, 1, 1000);
    assert_true(position(sync, 1, EPOCH, first - 1) & FW_SYNC_SETTLES);
    for (uint64_t i = first; i <= head; i++)
        assert_int_equal(event(sync, EPOCH, i), FW_SYNC_GREW);
    assert_int_equal(sync->state, FW_SYNC_LIVE);
    assert_null(sync->repair);
}

static void nothing_is_asked_before_the_fence(void **state)
{
    (void)state;
    fw_sync_t sync;
    fw_sync_init(&sync);
    fw_sync_suspect(&sync);
    assert_int_equal(fw_sync_needs(&sync), 0);
    assert_int_equal(event(&sync, EPOCH, 4), 0);
    assert_int_equal(fw_sync_needs(&sync), 0);
    fw_sync_clear(&sync);
}

static void answers_that_nobody_waits_for_change_nothing(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    assert_int_equal(position(&sync, 9, OTHER, 50), 0);
    assert_int_equal(replay(&sync, 9, 4, 5, true, 5), 0);
    assert_int_equal(replay_reset(&sync, 9, OTHER, 5), 0);
    assert_int_equal(fw_ring_head(&sync.ring), 3);
    assert_int_equal(sync.epoch, EPOCH);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 10, 0);
    assert_int_equal(position(&sync, 9, OTHER, 50), 0);
    assert_int_equal(sync.epoch, EPOCH);
    fw_sync_clear(&sync);
}

static void events_that_come_before_the_position_are_kept_or_known(void **state)
{
    (void)state;
    fw_sync_t sync;
    fw_sync_init(&sync);
    assert_int_equal(event(&sync, EPOCH, 5), 0);
    fw_sync_fenced(&sync);
    assert_int_equal(event(&sync, EPOCH, 6), 0);
    assert_int_equal(event(&sync, EPOCH, 7), 0);
    fw_sync_position_asked(&sync, 1, 0);
    unsigned changed = position(&sync, 1, EPOCH, 5);
    assert_int_equal(changed, FW_SYNC_GREW | FW_SYNC_SETTLES);
    assert_int_equal(sync.ring.base, 6);
    assert_int_equal(fw_ring_head(&sync.ring), 7);
    assert_int_equal(fw_sync_needs(&sync), 0);
    fw_sync_clear(&sync);
}

static void duplicates_are_dropped(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 4);
    assert_true(fw_sync_knows(&sync, (fw_position_t){EPOCH, 4}));
    assert_false(fw_sync_knows(&sync, (fw_position_t){EPOCH, 5}));
    assert_false(fw_sync_knows(&sync, (fw_position_t){OTHER, 1}));
    assert_int_equal(event(&sync, EPOCH, 4), 0);
    assert_int_equal(event(&sync, EPOCH, 1), 0);
    assert_int_equal(fw_ring_head(&sync.ring), 4);
    fw_sync_clear(&sync);
}

static void a_gap_is_replayed_once_and_joined_with_what_came_meanwhile(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    assert_int_equal(event(&sync, EPOCH, 6), 0);
    fw_position_t since = ask_replay(&sync, 5, &limit);
    assert_int_equal(since.epoch, EPOCH);
    assert_int_equal(since.offset, 3);
    assert_int_equal(limit, FW_REPLAY_EVENTS_MAX);
    assert_int_equal(event(&sync, EPOCH, 7), 0);
    assert_int_equal(fw_sync_needs(&sync), 0);
    assert_int_equal(replay(&sync, 5, 4, 6, true, 6), FW_SYNC_GREW);
    assert_int_equal(fw_ring_head(&sync.ring), 7);
    assert_null(sync.repair);
    fw_sync_clear(&sync);
}

static void a_long_gap_is_asked_for_until_it_is_closed(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 1);
    assert_int_equal(event(&sync, EPOCH, 9), 0);
    (void)ask_replay(&sync, 5, &limit);
    assert_int_equal(replay(&sync, 5, 2, 4, false, 9), FW_SYNC_GREW);
    fw_position_t since = ask_replay(&sync, 6, &limit);
    assert_int_equal(since.offset, 4);
    assert_int_equal(replay(&sync, 6, 5, 9, true, 9), FW_SYNC_GREW);
    assert_int_equal(fw_ring_head(&sync.ring), 9);
    assert_null(sync.repair);
    fw_sync_clear(&sync);
}

static void more_events_than_can_be_held_are_replayed(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    uint64_t last = 3 + FW_SYNC_HELD_EVENTS_MAX + 10;
    go_live(&sync, 1, 1);
    for (uint64_t i = 3; i <= last; i++)
        assert_int_equal(event(&sync, EPOCH, i), 0);
    (void)ask_replay(&sync, 5, &limit);
    assert_int_equal(replay(&sync, 5, 2, 2, true, last), FW_SYNC_GREW);
    assert_int_equal(fw_ring_head(&sync.ring), 3 + FW_SYNC_HELD_EVENTS_MAX - 1);
    fw_position_t since = ask_replay(&sync, 6, &limit);
    assert_int_equal(since.offset, 3 + FW_SYNC_HELD_EVENTS_MAX - 1);
    assert_int_equal(replay(&sync, 6, since.offset + 1, last, true, last), FW_SYNC_GREW);
    assert_int_equal(fw_ring_head(&sync.ring), last);
    fw_sync_clear(&sync);
}

static void a_gap_that_history_cannot_fill_is_a_reset(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    assert_int_equal(event(&sync, EPOCH, 20), 0);
    (void)ask_replay(&sync, 5, &limit);
    unsigned changed = replay_reset(&sync, 5, EPOCH, 20);
    assert_true(changed & FW_SYNC_RESET);
    assert_int_equal(sync.reset_reason, FW_RESET_HISTORY);
    assert_int_equal(fw_ring_head(&sync.ring), 20);
    assert_int_equal(fw_sync_resume(&sync, 3), -ESTALE);
    assert_int_equal(fw_sync_needs(&sync), 0);
    fw_sync_clear(&sync);
}

static void an_answer_without_progress_is_a_reset_not_a_loop(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    (void)event(&sync, EPOCH, 9);
    (void)ask_replay(&sync, 5, &limit);
    assert_true(replay(&sync, 5, 6, 8, false, 9) & FW_SYNC_RESET);
    assert_int_equal(fw_ring_head(&sync.ring), 9);
    assert_int_equal(fw_sync_needs(&sync), 0);
    fw_sync_clear(&sync);
}

static void a_lost_tail_shows_in_the_position(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 2, 0);
    (void)position(&sync, 2, EPOCH, 5);
    assert_int_equal(ask_replay(&sync, 3, &limit).offset, 3);
    assert_int_equal(replay(&sync, 3, 4, 5, true, 5), FW_SYNC_GREW);
    fw_sync_clear(&sync);
}

static void a_new_epoch_resets_and_goes_on(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    assert_int_equal(event(&sync, OTHER, 1), 0);
    assert_int_equal(event(&sync, OTHER, 2), 0);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(&sync, 2, 0);
    unsigned changed = position(&sync, 2, OTHER, 1);
    assert_int_equal(changed, FW_SYNC_RESET | FW_SYNC_SETTLES | FW_SYNC_GREW);
    assert_int_equal(sync.reset_reason, FW_RESET_EPOCH);
    assert_int_equal(sync.epoch, OTHER);
    assert_int_equal(sync.ring.base, 2);
    assert_int_equal(fw_ring_head(&sync.ring), 2);
    fw_sync_clear(&sync);
}

static void a_lower_position_than_was_known_when_it_was_asked_is_a_reset(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 1, 0);
    assert_int_equal(event(&sync, EPOCH, 4), FW_SYNC_GREW);
    /* An answer that events have overtaken changes nothing. */
    assert_int_equal(position(&sync, 1, EPOCH, 3), FW_SYNC_SETTLES);
    assert_int_equal(fw_ring_head(&sync.ring), 4);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 2, 0);
    assert_int_equal(position(&sync, 2, EPOCH, 2), FW_SYNC_RESET | FW_SYNC_SETTLES);
    assert_int_equal(sync.reset_reason, FW_RESET_HISTORY);
    assert_int_equal(fw_ring_head(&sync.ring), 2);
    assert_int_equal(event(&sync, EPOCH, 3), FW_SYNC_GREW);
    fw_sync_clear(&sync);
}

static void a_replay_that_shows_a_lower_position_asks_for_it(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    (void)event(&sync, EPOCH, 9);
    (void)ask_replay(&sync, 5, &limit);
    assert_int_equal(replay(&sync, 5, 4, 5, true, 5), 0);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(&sync, 6, 0);
    assert_true(position(&sync, 6, EPOCH, 5) & FW_SYNC_RESET);
    assert_int_equal(sync.visible, 5);
    fw_sync_clear(&sync);
}

static void a_reset_while_the_broker_doubts_its_cache_says_so(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 2, 0);
    sync.unconfirmed = true;
    assert_true(position(&sync, 2, OTHER, 1) & FW_SYNC_RESET);
    assert_int_equal(sync.reset_reason, FW_RESET_UNCONFIRMED);
    assert_int_equal(fw_sync_reason(&sync, FW_RESET_HISTORY), FW_RESET_UNCONFIRMED);
    assert_int_equal(fw_sync_reason(&sync, FW_RESET_NONE), FW_RESET_NONE);
    sync.unconfirmed = false;
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 3, 0);
    assert_true(position(&sync, 3, EPOCH, 1) & FW_SYNC_RESET);
    assert_int_equal(sync.reset_reason, FW_RESET_EPOCH);
    fw_sync_clear(&sync);
}

static void a_position_asked_before_the_new_epoch_does_not_lose_its_events(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 2, 0);
    assert_int_equal(event(&sync, OTHER, 1), 0);
    assert_false(position(&sync, 2, EPOCH, 3) & FW_SYNC_RESET);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(&sync, 3, 0);
    assert_true(position(&sync, 3, OTHER, 0) & FW_SYNC_GREW);
    assert_int_equal(fw_ring_head(&sync.ring), 1);
    fw_sync_clear(&sync);
}

static void a_straggler_of_an_old_epoch_is_forgotten(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    assert_int_equal(event(&sync, OTHER, 90), 0);
    fw_sync_position_asked(&sync, 2, 0);
    assert_int_equal(position(&sync, 2, EPOCH, 3), FW_SYNC_SETTLES);
    assert_null(sync.repair);
    assert_int_equal(fw_ring_head(&sync.ring), 3);
    fw_sync_clear(&sync);
}

static void older_events_are_fetched_and_put_before_the_ring(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 10, 12);
    assert_int_equal(fw_sync_resume(&sync, 9), 0);
    assert_int_equal(fw_sync_resume(&sync, 12), 0);
    assert_int_equal(fw_sync_resume(&sync, 13), -ESTALE);
    assert_int_equal(fw_sync_resume(&sync, 6), -EAGAIN);
    assert_int_equal(fw_sync_resume(&sync, 4), -EAGAIN);
    fw_position_t since = ask_replay(&sync, 5, &limit);
    assert_int_equal(since.offset, 4);
    assert_int_equal(limit, 5);
    assert_int_equal(event(&sync, EPOCH, 13), FW_SYNC_GREW);
    assert_int_equal(replay(&sync, 5, 5, 7, false, 13), 0);
    since = ask_replay(&sync, 6, &limit);
    assert_int_equal(since.offset, 7);
    assert_int_equal(limit, 2);
    assert_int_equal(replay(&sync, 6, 8, 9, false, 13), FW_SYNC_SETTLES);
    assert_int_equal(sync.ring.base, 5);
    assert_int_equal(fw_ring_head(&sync.ring), 13);
    assert_int_equal(fw_sync_resume(&sync, 4), 0);
    assert_null(sync.repair);
    fw_sync_clear(&sync);
}

static void older_events_that_are_gone_or_do_not_fit_are_refused(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 30, 31);
    assert_int_equal(fw_sync_resume(&sync, 2), -EAGAIN);
    (void)ask_replay(&sync, 5, &limit);
    assert_int_equal(replay_reset(&sync, 5, EPOCH, 31), FW_SYNC_SETTLES);
    assert_int_equal(fw_sync_resume(&sync, 2), -ESTALE);
    assert_int_equal(fw_sync_resume(&sync, 10), -EAGAIN);
    (void)ask_replay(&sync, 6, &limit);
    assert_int_equal(replay(&sync, 6, 11, 29, true, 31), FW_SYNC_SETTLES);
    assert_int_equal(fw_sync_resume(&sync, 10), -ESTALE);
    assert_int_equal(sync.ring.base, 30);
    assert_int_equal(fw_sync_resume(&sync, 20), -EAGAIN);
    (void)ask_replay(&sync, 7, &limit);
    assert_int_equal(replay(&sync, 7, 21, 29, false, 31), FW_SYNC_SETTLES);
    assert_int_equal(sync.ring.base, 21);
    fw_sync_clear(&sync);
}

static void a_replay_of_another_epoch_asks_for_the_position_first(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 30, 31);
    assert_int_equal(fw_sync_resume(&sync, 20), -EAGAIN);
    (void)ask_replay(&sync, 5, &limit);
    assert_int_equal(replay_reset(&sync, 5, OTHER, 3), 0);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(&sync, 6, 0);
    assert_true(position(&sync, 6, OTHER, 3) & FW_SYNC_RESET);
    assert_null(sync.repair);
    fw_sync_clear(&sync);
}

static void what_is_not_answered_is_asked_again(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    (void)event(&sync, EPOCH, 6);
    (void)ask_replay(&sync, 5, &limit);
    (void)fw_sync_expire(&sync, 1000 + FW_SYNC_ANSWER_MS - 1);
    assert_int_equal(fw_sync_needs(&sync), 0);
    (void)fw_sync_expire(&sync, 1000 + FW_SYNC_ANSWER_MS);
    (void)ask_replay(&sync, 6, &limit);
    assert_int_equal(replay(&sync, 5, 4, 6, true, 6), 0);
    assert_int_equal(replay(&sync, 6, 4, 6, true, 6), FW_SYNC_GREW);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 7, 5000);
    (void)fw_sync_expire(&sync, 5000 + FW_SYNC_ANSWER_MS);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_clear(&sync);
}

static void a_lost_link_keeps_the_ring_and_begins_asking_anew(void **state)
{
    (void)state;
    fw_sync_t sync;
    uint32_t limit = 0;
    go_live(&sync, 1, 3);
    (void)event(&sync, EPOCH, 6);
    (void)ask_replay(&sync, 5, &limit);
    fw_sync_link_lost(&sync);
    assert_int_equal(sync.state, FW_SYNC_LIVE);
    assert_int_equal(fw_ring_head(&sync.ring), 3);
    (void)ask_replay(&sync, 6, &limit);
    assert_int_equal(replay(&sync, 5, 4, 6, true, 6), 0);
    assert_int_equal(replay(&sync, 6, 4, 6, true, 6), FW_SYNC_GREW);
    fw_sync_clear(&sync);
    fw_sync_init(&sync);
    fw_sync_fenced(&sync);
    fw_sync_position_asked(&sync, 1, 0);
    fw_sync_link_lost(&sync);
    assert_int_equal(sync.state, FW_SYNC_FENCING);
    assert_int_equal(position(&sync, 1, EPOCH, 5), 0);
    fw_sync_clear(&sync);
}

static void a_place_ahead_waits_for_an_answer_that_was_asked_after_it_came(void **state)
{
    (void)state;
    fw_sync_t sync;
    go_live(&sync, 1, 3);
    fw_sync_suspect(&sync);
    fw_sync_position_asked(&sync, 2, 0);
    uint32_t answer = fw_sync_next_answer(&sync);
    (void)position(&sync, 2, EPOCH, 3);
    assert_true(sync.answered < answer);
    assert_int_equal(fw_sync_needs(&sync), FW_SYNC_NEEDS_POSITION);
    fw_sync_position_asked(&sync, 3, 0);
    (void)position(&sync, 3, EPOCH, 5);
    assert_true(sync.answered >= answer);
    assert_int_equal(fw_sync_resume(&sync, 5), 0);
    assert_int_equal(fw_sync_resume(&sync, 6), -ESTALE);
    fw_sync_clear(&sync);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_before_the_fence),
        cmocka_unit_test(answers_that_nobody_waits_for_change_nothing),
        cmocka_unit_test(events_that_come_before_the_position_are_kept_or_known),
        cmocka_unit_test(duplicates_are_dropped),
        cmocka_unit_test(a_gap_is_replayed_once_and_joined_with_what_came_meanwhile),
        cmocka_unit_test(a_long_gap_is_asked_for_until_it_is_closed),
        cmocka_unit_test(more_events_than_can_be_held_are_replayed),
        cmocka_unit_test(a_gap_that_history_cannot_fill_is_a_reset),
        cmocka_unit_test(an_answer_without_progress_is_a_reset_not_a_loop),
        cmocka_unit_test(a_lost_tail_shows_in_the_position),
        cmocka_unit_test(a_new_epoch_resets_and_goes_on),
        cmocka_unit_test(a_lower_position_than_was_known_when_it_was_asked_is_a_reset),
        cmocka_unit_test(a_replay_that_shows_a_lower_position_asks_for_it),
        cmocka_unit_test(a_reset_while_the_broker_doubts_its_cache_says_so),
        cmocka_unit_test(a_position_asked_before_the_new_epoch_does_not_lose_its_events),
        cmocka_unit_test(a_straggler_of_an_old_epoch_is_forgotten),
        cmocka_unit_test(older_events_are_fetched_and_put_before_the_ring),
        cmocka_unit_test(older_events_that_are_gone_or_do_not_fit_are_refused),
        cmocka_unit_test(a_replay_of_another_epoch_asks_for_the_position_first),
        cmocka_unit_test(what_is_not_answered_is_asked_again),
        cmocka_unit_test(a_lost_link_keeps_the_ring_and_begins_asking_anew),
        cmocka_unit_test(a_place_ahead_waits_for_an_answer_that_was_asked_after_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
