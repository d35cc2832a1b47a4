/* SPDX-License-Identifier: MPL-2.0
 * The core: who is answered what and when, and the whole promise under random faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/random.h"
#include "tests/support/core_fixture.h"

static void an_event_that_invalidates_nothing_is_released_at_once(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    assert_int_equal(f->released_count, 1);
    assert_int_equal(f->released[0].position.offset, 1);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_OK);
    assert_int_equal(core_last_ack(f)->offset, 1);
}

static void an_event_is_not_released_before_its_purge(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1", "user:2"}, "t", FW_ACK_PURGED, &core_service},
                 0);
    assert_int_equal(f->released_count, 0);
    assert_int_equal(f->acked_count, 0);
    core_done(f, 0, 1 * MS);
    assert_int_equal(f->released_count, 2);
    assert_int_equal(f->released[0].fresh, 1);
    assert_false(f->released[0].unconfirmed);
    assert_int_equal(core_last_ack(f)->fresh, 1);
    assert_true(fw_core_drained(f->core, 0));
}

static void level_accepted_is_answered_before_the_purge(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_ACCEPTED, &core_service}, 0);
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(f->released_count, 0);
    assert_int_equal(core_last_ack(f)->offset, 1);
}

static void without_a_worker_it_is_released_flagged_when_its_time_is_up(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_core_tick(f->core, 499 * MS);
    assert_int_equal(f->released_count, 0);
    assert_true(fw_core_next_us(f->core) <= 500 * MS);
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
    assert_int_equal(f->released[0].fresh, 0);
    assert_true(core_last_ack(f)->unconfirmed);
    /* The purge itself is not given up. */
    fw_core_worker(f->core, &core_worker, 10, 600 * MS);
    assert_int_equal(f->jobs_count, 1);
    core_done(f, 0, 601 * MS);
    assert_int_equal(f->released_count, 1);
}

static void later_events_of_the_channel_wait_and_other_channels_do_not(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 2, (core_call_t){"b", {"room:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 3, (core_call_t){"c", {"room:2"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    assert_int_equal(f->released_count, 1);
    assert_string_equal(f->released[0].channel, "room:2");
    core_done(f, 0, 1);
    assert_int_equal(f->released_count, 3);
    assert_int_equal(f->released[1].position.offset, 1);
    assert_int_equal(f->released[2].position.offset, 2);
}

static void an_event_that_only_invalidates_reaches_nobody_and_is_answered(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {NULL}, "t", FW_ACK_PURGED, &core_service}, 0);
    assert_int_equal(f->acked_count, 0);
    core_done(f, 0, 1);
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(f->released_count, 0);
    assert_true(fw_core_drained(f->core, 0));
}

static void a_retry_with_the_same_id_is_the_same_event(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 2, (core_call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &core_other}, 1);
    assert_int_equal(f->released_count, 1);
    assert_int_equal(f->acked_count, 2);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_DUPLICATE);
    assert_int_equal(core_last_ack(f)->offset, 1);
}

static void a_retry_while_the_first_is_in_flight_is_answered_with_it(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    core_publish(f, 2, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 1);
    assert_int_equal(f->acked_count, 0);
    core_done(f, 0, 2);
    assert_int_equal(f->acked_count, 2);
    assert_int_equal(f->released_count, 1);
}

static void more_than_its_credit_is_refused_with_overload(void **state)
{
    core_fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 1; i <= 9; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        core_publish(f, i, (core_call_t){id, {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    }
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(core_last_ack(f)->request_id, 9);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_OVERLOAD);
    /* Another publisher is not disturbed. */
    core_publish(f, 50, (core_call_t){"o", {"room:2"}, NULL, FW_ACK_PURGED, &core_other}, 0);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_OK);
}

static void events_that_wait_are_bounded_in_bytes(void **state)
{
    core_fixture_t *f = *state;
    char id[16];
    int taken = 0;
    for (; taken < 1000; taken++) {
        fw_peer_t somebody = {2, {(uint8_t)taken, (uint8_t)(taken >> 8)}};
        (void)snprintf(id, sizeof id, "%d", taken);
        core_publish(f, 1, (core_call_t){id, {"room:1"}, "t", FW_ACK_PURGED, &somebody}, 0);
        if (f->acked_count > 0)
            break;
    }
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_OVERLOAD);
    assert_in_range(taken, 100, 999);
    fw_core_tick(f->core, 500 * MS); /* they are released, and there is room again */
    core_publish(f, 2, (core_call_t){"later", {"room:2"}, NULL, FW_ACK_PURGED, &core_other},
                 500 * MS);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_OK);
}

static void while_draining_publishers_are_asked_to_retry(void **state)
{
    core_fixture_t *f = *state;
    fw_core_drain(f->core);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    assert_int_equal(core_last_ack(f)->status, FW_PUBLISH_RETRY);
    assert_int_equal(f->released_count, 0);
}

static void a_publisher_that_left_is_not_answered(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_core_publisher_gone(f->core, &core_service);
    core_done(f, 0, 1);
    assert_int_equal(f->acked_count, 0);
    assert_int_equal(f->released_count, 1);
}

static void a_purge_that_can_never_succeed_is_released_flagged(void **state)
{
    core_fixture_t *f = *state;
    fw_core_worker(f->core, &core_worker, 10, 0);
    core_publish(f, 1, (core_call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &core_service}, 0);
    fw_job_failed_t failed = {.job_id = f->jobs[0], .reason = FW_TEXT("WRONGTYPE")};
    fw_core_job_failed(f->core, &core_worker, &failed, 1);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
}

static void destroying_with_events_in_flight_frees_everything(void **state)
{
    core_fixture_t *f = *state;
    core_publish(f, 1, (core_call_t){"a", {"room:1", "room:2"}, "t", FW_ACK_PURGED, &core_service},
                 0);
    core_publish(f, 2, (core_call_t){"b", {"room:2"}, NULL, FW_ACK_PURGED, &core_service}, 0);
    assert_false(fw_core_drained(f->core, 0));
}

/* Checks what was released since the last look: offsets without hole per channel, and P1: an event
 * that is not flagged carries the time of a purge that really happened. */
static void check_releases(core_fixture_t *f, size_t *from, uint64_t heads[4])
{
    for (; *from < f->released_count; (*from)++) {
        const core_released_t *released = &f->released[*from];
        size_t channel = (size_t)(released->channel[5] - '0');
        assert_int_equal(released->position.offset, heads[channel] + 1);
        heads[channel]++;
        assert_true(released->unconfirmed || released->fresh <= f->purged);
    }
}

static void run_random(core_fixture_t *f, uint64_t seed)
{
    static const char *const rooms[] = {"room:0", "room:1", "room:2", "room:3"};
    fw_random_t random = {seed};
    uint64_t heads[4] = {0};
    uint64_t request = 0;
    size_t checked = 0, answered = 0, expected = 0;
    int64_t now = 0;
    for (int step = 0; step < 3000; step++) {
        now += (int64_t)fw_random_below(&random, 30 * MS);
        uint64_t dice = fw_random_below(&random, 100);
        fw_peer_t w = {1, {(uint8_t)('w' + fw_random_below(&random, 3))}};
        if (dice < 40) {
            char id[16];
            size_t a = fw_random_below(&random, 4);
            size_t b = (a + 1 + fw_random_below(&random, 3)) % 4;
            (void)snprintf(id, sizeof id, "%d", (int)fw_random_below(&random, 1000));
            core_publish(
                f, ++request,
                (core_call_t){id,
                              {rooms[a], fw_random_below(&random, 2) ? rooms[b] : NULL},
                              fw_random_below(&random, 3) ? "t" : NULL,
                              fw_random_below(&random, 2) ? FW_ACK_PURGED : FW_ACK_ACCEPTED,
                              &core_service},
                now);
            expected++;
        } else if (dice < 55) {
            fw_core_worker(f->core, &w, 4, now);
        } else if (dice < 57) {
            fw_core_worker_gone(f->core, &w, now);
        } else {
            fw_core_tick(f->core, now);
        }
        for (; answered < f->jobs_count; answered++)
            if (fw_random_below(&random, 10) < 6)
                core_done(f, answered, now);
        (void)fw_core_publisher_seen(f->core, &core_service, now);
        check_releases(f, &checked, heads);
    }
    for (int i = 0; i < 100; i++) {
        now += 100 * MS;
        (void)fw_core_publisher_seen(f->core, &core_service, now);
        fw_core_tick(f->core, now);
    }
    check_releases(f, &checked, heads);
    assert_true(fw_core_drained(f->core, now));
    assert_int_equal(f->acked_count, expected);
}

static void random_faults_never_break_order_nor_lose_an_answer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        void *own;
        assert_int_equal(core_set_up(&own), 0);
        print_message(seed == 1 ? "seeds 1 to 100\n" : "");
        run_random(own, seed);
        assert_int_equal(core_tear_down(&own), 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, core_set_up, core_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_that_invalidates_nothing_is_released_at_once),
        CASE(an_event_is_not_released_before_its_purge),
        CASE(level_accepted_is_answered_before_the_purge),
        CASE(without_a_worker_it_is_released_flagged_when_its_time_is_up),
        CASE(later_events_of_the_channel_wait_and_other_channels_do_not),
        CASE(an_event_that_only_invalidates_reaches_nobody_and_is_answered),
        CASE(a_retry_with_the_same_id_is_the_same_event),
        CASE(a_retry_while_the_first_is_in_flight_is_answered_with_it),
        CASE(more_than_its_credit_is_refused_with_overload),
        CASE(events_that_wait_are_bounded_in_bytes),
        CASE(while_draining_publishers_are_asked_to_retry),
        CASE(a_publisher_that_left_is_not_answered),
        CASE(a_purge_that_can_never_succeed_is_released_flagged),
        CASE(destroying_with_events_in_flight_frees_everything),
        cmocka_unit_test(random_faults_never_break_order_nor_lose_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
