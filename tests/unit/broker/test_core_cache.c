/* SPDX-License-Identifier: MPL-2.0
 * The cache as a whole: opened before gateways are answered, closed when nothing is owed, flushed
 * before a loss becomes a reset; and channels that hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/core_fixture.h"

static void gateways_wait_until_the_cache_is_opened(void **state)
{
    core_fixture_t *f = *state;
    assert_int_equal(fw_core_cache_state(f->core, 0), FW_CACHE_STATE_WAIT);
    fw_core_worker(f->core, &core_worker, 10, 0);
    assert_int_equal(f->actions_count, 1);
    assert_int_equal(f->actions[0], FW_CACHE_OPEN);
    assert_int_equal(fw_core_cache_state(f->core, 999 * MS), FW_CACHE_STATE_WAIT);
    core_end_action(f, 0, 999 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 999 * MS), FW_CACHE_STATE_SETTLED);
}

static void who_is_reset_before_the_cache_is_opened_is_told_so(void **state)
{
    core_fixture_t *f = *state;
    assert_int_equal(fw_core_cache_state(f->core, 1000 * MS), FW_CACHE_STATE_UNCONFIRMED);
    fw_core_worker(f->core, &core_worker, 10, 1000 * MS);
    assert_int_equal(f->alarms, 0);
    core_end_action(f, 0, 1001 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 1001 * MS), FW_CACHE_STATE_SETTLED);
    assert_int_equal(f->alarms, 1); /* what was read in doubt is read again */
}

static void a_cache_that_cannot_be_opened_stays_unconfirmed(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    fw_job_failed_t failed = {.job_id = f->action_jobs[0], .reason = FW_TEXT("NOPERM")};
    fw_core_job_failed(f->core, &core_worker, &failed, 1);
    assert_int_equal(fw_core_cache_state(f->core, 1), FW_CACHE_STATE_UNCONFIRMED);
}

static void a_clean_end_closes_the_cache_when_no_purge_is_owed(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_core_drain(f->core);
    assert_false(fw_core_drained(f->core, 0));
    fw_core_tick(f->core, 500 * MS); /* released, its purge is still owed */
    assert_int_equal(f->released_count, 1);
    assert_false(fw_core_drained(f->core, 500 * MS));
    assert_int_equal(f->actions_count, 1);
    core_done(f, 0, 501 * MS);
    assert_false(fw_core_drained(f->core, 501 * MS));
    assert_int_equal(f->actions[1], FW_CACHE_CLOSE);
    /* From here on nobody would do its purge. */
    core_publish(f, 2, (core_call_t){"b", {"room:1"}, "t", FW_ACK_PURGED, NULL}, 501 * MS);
    assert_int_equal(f->jobs_count, 1);
    assert_false(fw_core_drained(f->core, 501 * MS));
    core_end_action(f, 1, 502 * MS);
    assert_true(fw_core_drained(f->core, 502 * MS));
}

static void who_is_reset_while_a_purge_is_owed_is_told_so(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    assert_int_equal(fw_core_cache_state(f->core, 0), FW_CACHE_STATE_SETTLED);
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 500 * MS), FW_CACHE_STATE_UNCONFIRMED);
    core_done(f, 0, 501 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 501 * MS), FW_CACHE_STATE_SETTLED);
}

static void a_cache_that_may_have_missed_something_is_not_closed(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    fw_core_drain(f->core);
    fw_core_leave_open(f->core);
    assert_true(fw_core_drained(f->core, 0));
    assert_int_equal(f->actions_count, 1);
}

static void without_a_cache_nothing_is_opened_and_a_loss_resets_at_once(void **state)
{
    core_fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    core_restart_without_cache(f);
    fw_core_worker(f->core, &core_worker, 10, 0);
    assert_int_equal(f->actions_count, 0);
    assert_int_equal(fw_core_cache_state(f->core, 0), FW_CACHE_STATE_SETTLED);
    fw_core_lost(f->core, &rooms, 1, 0);
    assert_int_equal(f->alarms, 1);
    fw_core_drain(f->core);
    assert_true(fw_core_drained(f->core, 0));
    assert_int_equal(f->actions_count, 0);
}

static void purges_that_fill_the_memory_become_one_flush(void **state)
{
    core_fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 0; i < 30; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        core_publish(f, i + 1, (core_call_t){id, {"room:1"}, "t", FW_ACK_PURGED, NULL}, 0);
    }
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 30);
    fw_core_tick(f->core, 501 * MS);
    fw_core_worker(f->core, &core_worker, 100, 600 * MS);
    assert_int_equal(f->jobs_count, 0);
    assert_int_equal(f->actions_count, 2);
    assert_true(f->actions[0] == FW_CACHE_FLUSH || f->actions[1] == FW_CACHE_FLUSH);
}

static void a_channel_that_holds_waits_longer_than_others(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1,
                 (core_call_t){"a", {"room:held", "room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 2, (core_call_t){"b", {"room:held"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 1);
    assert_string_equal(f->released[0].channel, "room:1");
    assert_true(f->released[0].unconfirmed);
    assert_int_equal(f->acked_count, 0);
    fw_core_worker(f->core, &core_worker, 10, 1000 * MS);
    core_done(f, 0, 1001 * MS);
    assert_int_equal(f->released_count, 3);
    assert_string_equal(f->released[1].channel, "room:held");
    assert_false(f->released[1].unconfirmed);
    assert_int_equal(f->released[1].fresh, 1);
    assert_int_equal(f->acked_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(f->acked[i].unconfirmed, f->acked[i].request_id == 1);
}

static void holding_ends_flagged_when_its_own_time_is_up(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:held"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_core_tick(f->core, 1999 * MS);
    assert_int_equal(f->released_count, 0);
    fw_core_tick(f->core, 2000 * MS);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
    assert_true(core_last_ack(f)->unconfirmed);
}

static void a_loss_flushes_the_cache_and_then_resets_what_it_may_touch(void **state)
{
    core_fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    core_publish(f, 1, (core_call_t){"a", {"room:1", "user:1"}, NULL, FW_ACK_PURGED, &core_service},
                 0);
    fw_position_t room = core_place_of(f, "room:1"), user = core_place_of(f, "user:1");
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    assert_int_equal(f->actions[1], FW_CACHE_FLUSH);
    assert_int_equal(core_place_of(f, "room:1").epoch, room.epoch);
    assert_int_equal(f->alarms, 0);
    core_end_action(f, 1, 1);
    assert_int_equal(f->alarms, 1);
    assert_true(core_place_of(f, "room:1").epoch != room.epoch);
    assert_int_equal(core_place_of(f, "user:1").epoch, user.epoch);
    assert_int_equal(fw_core_cache_state(f->core, 1), FW_CACHE_STATE_SETTLED);
}

static void a_loss_resets_unconfirmed_when_the_flush_takes_too_long(void **state)
{
    core_fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    assert_true(fw_core_next_us(f->core) <= 1000 * MS);
    fw_core_tick(f->core, 1000 * MS);
    assert_int_equal(f->alarms, 1);
    assert_int_equal(fw_core_cache_state(f->core, 1000 * MS), FW_CACHE_STATE_UNCONFIRMED);
    core_end_action(f, 1, 1001 * MS);
    assert_int_equal(f->alarms, 2); /* what was read in doubt is read again */
    assert_int_equal(fw_core_cache_state(f->core, 1001 * MS), FW_CACHE_STATE_SETTLED);
}

static void more_losses_than_fit_are_one_loss_of_everything(void **state)
{
    core_fixture_t *f = *state;
    const fw_text_t room = FW_TEXT("room:1");
    core_publish(f, 1, (core_call_t){"a", {"user:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    fw_position_t user = core_place_of(f, "user:1");
    fw_core_worker(f->core, &core_worker, 100, 0);
    core_end_action(f, 0, 0);
    for (int i = 0; i < 70; i++)
        fw_core_lost(f->core, &room, 1, 0);
    assert_int_equal(f->actions_count, 65);
    core_end_action(f, 1, 1);
    fw_core_tick(f->core, 2);
    assert_int_equal(f->actions_count, 66);
    core_end_action(f, 65, 3);
    assert_true(core_place_of(f, "user:1").epoch != user.epoch);
}

static void an_event_released_after_a_reset_carries_the_new_epoch(void **state)
{
    core_fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_end_action(f, 0, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 2, (core_call_t){"b", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    core_end_action(f, 1, 1);
    fw_position_t now = core_place_of(f, "room:1");
    assert_int_equal(now.offset, 1);
    core_done(f, 0, 2);
    assert_int_equal(f->released[1].position.epoch, now.epoch);
    assert_int_equal(f->released[1].position.offset, 2);
}

static void an_unacknowledged_event_that_finds_no_room_is_a_loss(void **state)
{
    core_fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 0; i < 1001; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        core_publish(f, i + 1, (core_call_t){id, {"room:1"}, "t", FW_ACK_PURGED, NULL}, 0);
    }
    fw_core_tick(f->core, 1000 * MS);
    assert_true(f->alarms >= 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, core_set_up, core_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(gateways_wait_until_the_cache_is_opened),
        CASE(who_is_reset_before_the_cache_is_opened_is_told_so),
        CASE(a_cache_that_cannot_be_opened_stays_unconfirmed),
        CASE(a_clean_end_closes_the_cache_when_no_purge_is_owed),
        CASE(who_is_reset_while_a_purge_is_owed_is_told_so),
        CASE(a_cache_that_may_have_missed_something_is_not_closed),
        CASE(without_a_cache_nothing_is_opened_and_a_loss_resets_at_once),
        CASE(purges_that_fill_the_memory_become_one_flush),
        CASE(a_channel_that_holds_waits_longer_than_others),
        CASE(holding_ends_flagged_when_its_own_time_is_up),
        CASE(a_loss_flushes_the_cache_and_then_resets_what_it_may_touch),
        CASE(a_loss_resets_unconfirmed_when_the_flush_takes_too_long),
        CASE(more_losses_than_fit_are_one_loss_of_everything),
        CASE(an_event_released_after_a_reset_carries_the_new_epoch),
        CASE(an_unacknowledged_event_that_finds_no_room_is_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
