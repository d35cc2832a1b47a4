/* test_presence.c - who is in which room, as the broker decides it.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/presence.h"

enum { GRACE_MS = 15000 };

typedef struct {
    fw_presence_t *presence;
    int64_t now_ms;
    uint64_t number[3];
    char told[8192]; /* changes: "+user:sessions -user:0 " */
    size_t notes;
    uint64_t last_version;
    fw_presence_diff_t last;
    int again;
} fixture_t;

static const uint8_t gateways[3][FW_INCARNATION_SIZE] = {{1}, {2}, {3}};

static void on_note(void *context, const fw_note_t *note)
{
    fixture_t *f = context;
    size_t used = strlen(f->told);
    f->notes++;
    f->last = note->presence;
    f->last_version = note->presence.version;
    for (size_t i = 0; i < note->presence.changes_count; i++) {
        const fw_room_member_t *one = &note->presence.changes[i];
        used += (size_t)snprintf(f->told + used, sizeof f->told - used, "%s%s:%u ",
                                 one->sessions ? "+" : "-", one->user_id.text, one->sessions);
        assert_true(used < sizeof f->told);
    }
}

static void on_again(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE])
{
    (void)incarnation;
    ((fixture_t *)context)->again++;
}

static void settle_in(fixture_t *f, uint32_t members_max, size_t bytes_max)
{
    fw_presence_limits_t limits = {GRACE_MS * 1000, members_max, bytes_max};
    fw_presence_output_t output = {f, on_note, on_again};
    *f = (fixture_t){.now_ms = 1000};
    f->presence = fw_presence_new(&limits, 77, &output, f->now_ms * 1000);
}

static fw_presence_ack_t report(fixture_t *f, int gateway, bool begin, bool complete,
                                const char *room, const char *user, uint32_t sessions, bool left)
{
    fw_room_member_t member = {fw_text(user), sessions, left};
    fw_room_members_t list = {fw_text(room), &member, 1};
    fw_presence_report_t message = {++f->number[gateway], begin, complete, &list, user ? 1 : 0};
    return fw_presence_report(f->presence, gateways[gateway], &message, f->now_ms * 1000);
}

/* Time passes; the gateways whose bits are set are heard meanwhile. */
static const char *pass(fixture_t *f, int64_t ms, unsigned heard)
{
    f->told[0] = '\0';
    for (int64_t end_ms = f->now_ms + ms; f->now_ms < end_ms;) {
        f->now_ms += 50;
        for (int i = 0; i < 3; i++)
            if (heard & 1U << i)
                (void)fw_presence_heard(f->presence, gateways[i], f->now_ms * 1000);
        fw_presence_tick(f->presence, f->now_ms * 1000);
    }
    return f->told;
}

static void a_gateway_that_nobody_knows_has_to_begin(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    assert_false(fw_presence_heard(f.presence, gateways[0], 0));
    assert_true(report(&f, 0, false, false, "room:1", "ada", 1, false).again);
    fw_presence_ack_t ack = report(&f, 0, true, true, "room:1", "ada", 1, false);
    assert_false(ack.again);
    assert_true(ack.number == 2);
    f.number[0]++; /* one is lost */
    assert_true(report(&f, 0, false, false, "room:1", "bob", 1, false).again);
    assert_string_equal(pass(&f, 200, 1), "+ada:1 ");
    fw_presence_destroy(&f.presence);
}

static void what_comes_twice_or_is_no_room_changes_nothing(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, true, "room:1", "ada", 2, false);
    f.number[0]--;
    assert_true(report(&f, 0, true, true, "room:1", "eve", 1, false).number == 1);
    (void)report(&f, 0, false, false, "broadcast", "ada", 1, false);
    (void)report(&f, 0, false, false, "room:1", "", 1, false);
    (void)report(&f, 0, false, false, "room:2", "nobody", 0, true);
    assert_string_equal(pass(&f, 200, 1), "+ada:2 ");
    assert_int_equal(fw_presence_counts(f.presence)->rooms, 1);
    fw_presence_destroy(&f.presence);
}

static void sessions_of_all_gateways_are_one_member(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, true, "room:1", "ada", 1, false);
    (void)report(&f, 1, true, true, "room:1", "ada", 2, false);
    assert_string_equal(pass(&f, 200, 3), "+ada:3 ");
    assert_true(f.last.previous == FW_PRESENCE_FROM_EMPTY);
    (void)report(&f, 1, false, false, "room:1", "ada", 0, true);
    assert_string_equal(pass(&f, 200, 3), "+ada:1 ");
    (void)report(&f, 0, false, false, "room:1", "ada", 0, true);
    assert_string_equal(pass(&f, 200, 3), "-ada:0 ");
    assert_int_equal(fw_presence_counts(f.presence)->rooms, 0);
    fw_presence_destroy(&f.presence);
}

static void who_lost_the_connection_has_the_grace(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, true, "room:1", "ada", 1, false);
    (void)pass(&f, 200, 1);
    (void)report(&f, 0, false, false, "room:1", "ada", 0, false);
    assert_string_equal(pass(&f, GRACE_MS - 1000, 1), "");
    (void)report(&f, 0, false, false, "room:1", "ada", 1, false);
    assert_string_equal(pass(&f, 2 * GRACE_MS, 1), "");
    (void)report(&f, 0, false, false, "room:1", "ada", 0, false);
    assert_string_equal(pass(&f, GRACE_MS + 500, 1), "-ada:0 ");
    fw_presence_destroy(&f.presence);
}

static void a_silent_gateway_takes_its_users_with_it_after_the_grace(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, true, "room:1", "ada", 1, false);
    (void)report(&f, 1, true, true, "room:1", "bob", 1, false);
    (void)pass(&f, 200, 3);
    assert_string_equal(pass(&f, 10000, 1), "");
    /* Heard again in time: it still vouches for its users. */
    assert_string_equal(pass(&f, 20000, 3), "");
    assert_string_equal(pass(&f, 16000, 1), "-bob:0 ");
    assert_false(fw_presence_heard(f.presence, gateways[1], f.now_ms * 1000));
    fw_presence_gone(f.presence, gateways[0], f.now_ms * 1000);
    assert_string_equal(pass(&f, 16000, 0), "-ada:0 ");
    assert_int_equal(fw_presence_counts(f.presence)->gateways, 0);
    assert_true(fw_presence_counts(f.presence)->bytes == 0);
    fw_presence_destroy(&f.presence);
}

static void beginning_anew_drops_only_who_is_not_named_again(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, false, "room:1", "ada", 1, false);
    (void)report(&f, 0, false, true, "room:1", "bob", 1, false);
    (void)pass(&f, 200, 1);
    (void)report(&f, 0, true, false, "room:1", "ada", 1, false);
    assert_string_equal(pass(&f, 2 * GRACE_MS, 1), ""); /* not complete yet */
    (void)report(&f, 0, false, true, NULL, NULL, 0, false);
    assert_string_equal(pass(&f, GRACE_MS - 1000, 1), "");
    assert_string_equal(pass(&f, 2000, 1), "-bob:0 ");
    fw_presence_destroy(&f.presence);
}

static void an_own_pause_is_nobodys_silence(void **state)
{
    (void)state;
    fixture_t f;
    settle_in(&f, 100, 1 << 20);
    (void)report(&f, 0, true, true, "room:1", "ada", 1, false);
    (void)pass(&f, 200, 1);
    f.now_ms += 60000;
    assert_string_equal(pass(&f, 1000, 1), "");
    fw_presence_destroy(&f.presence);
}

static void steps_are_batches_and_name_their_places(void **state)
{
    (void)state;
    fixture_t f;
    char user[16];
    settle_in(&f, 1000, 1 << 20);
    (void)report(&f, 0, true, true, NULL, NULL, 0, false);
    for (int i = 0; i < 2 * FW_PRESENCE_BATCH_MAX; i++) {
        (void)snprintf(user, sizeof user, "u%03d", i);
        (void)report(&f, 0, false, false, "room:1", user, 1, false);
    }
    f.told[0] = '\0';
    fw_presence_tick(f.presence, f.now_ms * 1000 + FW_PRESENCE_BATCH_US - 1);
    assert_int_equal(f.notes, 0);
    uint64_t first = f.last_version;
    fw_presence_tick(f.presence, f.now_ms * 1000 + FW_PRESENCE_BATCH_US);
    assert_int_equal(f.notes, 2);
    assert_int_equal(f.last.count, 2 * FW_PRESENCE_BATCH_MAX);
    assert_true(f.last.previous > first && f.last.version > f.last.previous);
    fw_presence_reply_t reply;
    fw_room_version_t asked = {FW_TEXT("room:1"), 77, f.last_version};
    fw_presence_ask(f.presence, &asked, f.now_ms * 1000, &reply);
    assert_true(reply.same && reply.members_count == 0 && reply.settling_ms > 0);
    asked.version--;
    fw_presence_ask(f.presence, &asked, f.now_ms * 1000 + GRACE_MS * 1000, &reply);
    assert_true(!reply.same && reply.settling_ms == 0);
    assert_int_equal(reply.members_count, 2 * FW_PRESENCE_BATCH_MAX);
    fw_presence_destroy(&f.presence);
}

static void a_room_with_too_many_is_told_by_its_number(void **state)
{
    (void)state;
    fixture_t f;
    char user[16];
    settle_in(&f, 16, 1 << 20);
    (void)report(&f, 0, true, true, NULL, NULL, 0, false);
    for (int i = 0; i < 17; i++) {
        (void)snprintf(user, sizeof user, "u%02d", i);
        (void)report(&f, 0, false, false, "room:1", user, 1, false);
    }
    assert_string_equal(pass(&f, 200, 1), "");
    assert_true(f.last.too_many);
    assert_int_equal(f.last.count, 17);
    fw_presence_reply_t reply;
    fw_room_version_t asked = {FW_TEXT("room:1"), 0, 0};
    fw_presence_ask(f.presence, &asked, f.now_ms * 1000, &reply);
    assert_true(reply.too_many && reply.count == 17 && reply.members_count == 0);
    /* Back below, with some distance: everybody has to ask. */
    for (int i = 0; i < 3; i++) {
        (void)snprintf(user, sizeof user, "u%02d", i);
        (void)report(&f, 0, false, false, "room:1", user, 0, true);
    }
    (void)pass(&f, 2500, 1);
    assert_false(f.last.too_many);
    assert_true(f.last.previous == 0);
    assert_int_equal(f.last.count, 14);
    fw_presence_destroy(&f.presence);
}

static void without_memory_newcomers_are_counted_and_asked_for_later(void **state)
{
    (void)state;
    fixture_t f;
    char user[16];
    settle_in(&f, 100, 4096);
    (void)report(&f, 0, true, true, NULL, NULL, 0, false);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(user, sizeof user, "u%02d", i);
        (void)report(&f, 0, false, false, "room:1", user, 1, false);
    }
    (void)pass(&f, 200, 1);
    assert_true(fw_presence_counts(f.presence)->refused > 50);
    assert_true(fw_presence_counts(f.presence)->bytes < 4096 + 512);
    assert_true(f.last.too_many);
    (void)pass(&f, 15000, 1);
    assert_int_equal(f.again, 0);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(user, sizeof user, "u%02d", i);
        (void)report(&f, 0, false, false, "room:1", user, 0, true);
    }
    (void)pass(&f, 15000, 1);
    assert_int_equal(f.again, 1);
    assert_true(fw_presence_counts(f.presence)->bytes == 0);
    fw_presence_destroy(&f.presence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gateway_that_nobody_knows_has_to_begin),
        cmocka_unit_test(what_comes_twice_or_is_no_room_changes_nothing),
        cmocka_unit_test(sessions_of_all_gateways_are_one_member),
        cmocka_unit_test(who_lost_the_connection_has_the_grace),
        cmocka_unit_test(a_silent_gateway_takes_its_users_with_it_after_the_grace),
        cmocka_unit_test(beginning_anew_drops_only_who_is_not_named_again),
        cmocka_unit_test(an_own_pause_is_nobodys_silence),
        cmocka_unit_test(steps_are_batches_and_name_their_places),
        cmocka_unit_test(a_room_with_too_many_is_told_by_its_number),
        cmocka_unit_test(without_memory_newcomers_are_counted_and_asked_for_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
