/* test_fire_gaps.c - every number of a publisher is published once, or counted as lost.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/fire_gaps.h"
#include "runtime/random.h"

enum { MS = 1000, REPAIR_MS = 2000 };

typedef struct {
    fw_fire_gaps_t *gaps;
    fw_fire_missing_t asked; /* the last one */
    size_t asks;
    uint64_t lost;
    char user[64];
} fixture_t;

static const uint8_t one[FW_INCARNATION_SIZE] = {1};
static const uint8_t two[FW_INCARNATION_SIZE] = {2};

static void on_ask(void *context, const fw_fire_missing_t *missing)
{
    fixture_t *f = context;
    f->asked = *missing;
    f->asks++;
}

static void on_lost(void *context, fw_text_t user, uint64_t count)
{
    fixture_t *f = context;
    f->lost += count;
    memcpy(f->user, user.text, user.size);
    f->user[user.size] = '\0';
}

static int set_up(void **state)
{
    static fixture_t fixture;
    fw_fire_gaps_options_t options = {.publishers_max = 3, .repair_us = REPAIR_MS * MS};
    fw_fire_gaps_output_t output = {&fixture, on_ask, on_lost};
    fixture = (fixture_t){.gaps = fw_fire_gaps_new(&options, &output)};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fw_fire_gaps_destroy(&((fixture_t *)*state)->gaps);
    return 0;
}

static fw_fire_verdict_t event(fixture_t *f, const uint8_t *who, uint64_t sequence, int64_t now_us)
{
    return fw_fire_gaps_event(f->gaps, (fw_bytes_t){who, FW_INCARNATION_SIZE}, sequence,
                              FW_TEXT("key"), now_us);
}

static void mark(fixture_t *f, const uint8_t *who, uint64_t last, uint64_t kept, int64_t now_us)
{
    fw_fire_mark_t message = {{who, FW_INCARNATION_SIZE}, last, kept};
    fw_fire_gaps_mark(f->gaps, &message, FW_TEXT("key"), now_us);
}

static void a_hole_is_asked_for_and_filled(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(event(f, one, 1, 0), FW_FIRE_NEW);
    assert_int_equal(event(f, one, 5, 0), FW_FIRE_NEW);
    fw_fire_gaps_tick(f->gaps, 99 * MS);
    assert_int_equal(f->asks, 0);
    assert_int_equal(fw_fire_gaps_next_us(f->gaps), 100 * MS);
    fw_fire_gaps_tick(f->gaps, 100 * MS);
    assert_int_equal(f->asked.first, 2);
    assert_int_equal(f->asked.count, 3);
    assert_int_equal(event(f, one, 3, 110 * MS), FW_FIRE_REPAIRED);
    assert_int_equal(event(f, one, 3, 110 * MS), FW_FIRE_REPEATED);
    fw_fire_gaps_tick(f->gaps, 600 * MS);
    assert_int_equal(f->asks, 3); /* 2, and 4 */
    assert_int_equal(event(f, one, 4, 700 * MS), FW_FIRE_REPAIRED);
    assert_int_equal(event(f, one, 2, 700 * MS), FW_FIRE_REPAIRED);
    fw_fire_gaps_tick(f->gaps, 10000 * MS);
    assert_int_equal(f->lost, 0);
    assert_int_equal(fw_fire_gaps_next_us(f->gaps), INT64_MAX);
}

static void what_does_not_come_in_time_is_lost(void **state)
{
    fixture_t *f = *state;
    fw_fire_gaps_stats_t stats;
    (void)event(f, one, 1, 0);
    (void)event(f, one, 11, 0);
    fw_fire_gaps_tick(f->gaps, (REPAIR_MS - 1) * MS);
    assert_int_equal(f->lost, 0);
    fw_fire_gaps_tick(f->gaps, REPAIR_MS * MS);
    assert_int_equal(f->lost, 9);
    assert_string_equal(f->user, "key");
    assert_int_equal(event(f, one, 5, REPAIR_MS * MS), FW_FIRE_REPEATED);
    fw_fire_gaps_stats(f->gaps, &stats);
    assert_int_equal(stats.lost, 9);
    assert_int_equal(stats.missing, 0);
}

static void a_mark_shows_a_lost_tail(void **state)
{
    fixture_t *f = *state;
    mark(f, one, 0, 1, 0);
    (void)event(f, one, 1, 0);
    mark(f, one, 3, 1, 10);
    fw_fire_gaps_tick(f->gaps, 200 * MS);
    assert_int_equal(f->asked.first, 2);
    assert_int_equal(f->asked.count, 2);
}

static void what_a_publisher_does_not_keep_is_lost_at_once(void **state)
{
    fixture_t *f = *state;
    (void)event(f, one, 1, 0);
    mark(f, one, 10, 8, 0);
    assert_int_equal(f->lost, 6);
    mark(f, one, 10, 11, 0);
    assert_int_equal(f->lost, 9);
}

static void one_never_seen_before_is_asked_for_all_it_keeps(void **state)
{
    fixture_t *f = *state;
    mark(f, one, 100, 90, 0);
    assert_int_equal(f->lost, 0);
    fw_fire_gaps_tick(f->gaps, 100 * MS);
    assert_int_equal(f->asked.first, 90);
    assert_int_equal(f->asked.count, 11);
    /* One that only sends events begins with the first that comes. */
    assert_int_equal(event(f, two, 50, 0), FW_FIRE_NEW);
    assert_int_equal(event(f, two, 51, 0), FW_FIRE_NEW);
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(f->gaps, &stats);
    assert_int_equal(stats.missing, 11);
}

static void a_mark_that_comes_after_the_first_event_shows_what_was_before_it(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(event(f, one, 5, 0), FW_FIRE_NEW);
    mark(f, one, 5, 3, 0);
    fw_fire_gaps_tick(f->gaps, 100 * MS);
    assert_int_equal(f->asked.first, 3);
    assert_int_equal(f->asked.count, 2);
    assert_int_equal(event(f, one, 4, 0), FW_FIRE_REPAIRED);
    assert_int_equal(event(f, one, 3, 0), FW_FIRE_REPAIRED);
    mark(f, one, 5, 1, 0); /* a later mark says nothing new */
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(f->gaps, &stats);
    assert_int_equal(stats.missing, 0);
}

static void one_with_another_key_cannot_speak_for_it(void **state)
{
    fixture_t *f = *state;
    fw_fire_mark_t foreign = {{one, FW_INCARNATION_SIZE}, 1000000, 1};
    fw_bytes_t incarnation = {one, FW_INCARNATION_SIZE};
    (void)event(f, one, 1, 0);
    assert_int_equal(fw_fire_gaps_event(f->gaps, incarnation, 5, FW_TEXT("thief"), 0), FW_FIRE_NEW);
    fw_fire_gaps_mark(f->gaps, &foreign, FW_TEXT("thief"), 0);
    assert_int_equal(event(f, one, 2, 0), FW_FIRE_NEW);
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(f->gaps, &stats);
    assert_int_equal(stats.missing, 0);
}

static void holes_and_publishers_are_bounded(void **state)
{
    fixture_t *f = *state;
    for (uint64_t i = 0; i < FW_FIRE_RANGES_MAX + 5; i++)
        (void)event(f, one, 1 + 2 * i, 0);
    assert_int_equal(f->lost, 4);
    for (uint8_t i = 10; i < 20; i++) {
        uint8_t who[FW_INCARNATION_SIZE] = {i};
        (void)event(f, who, 1, 0);
    }
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(f->gaps, &stats);
    assert_int_equal(stats.publishers, 3);
    assert_int_equal(f->lost, FW_FIRE_RANGES_MAX + 4);
}

static void senseless_marks_and_numbers_change_nothing_else(void **state)
{
    fixture_t *f = *state;
    mark(f, one, 5, 0, 0);
    mark(f, one, 5, UINT64_MAX, 0);
    assert_int_equal(event(f, one, UINT64_MAX, 0), FW_FIRE_NEW);
    fw_fire_gaps_tick(f->gaps, 100 * MS);
    assert_int_equal(f->asked.count, UINT32_MAX);
    mark(f, one, UINT64_MAX, UINT64_MAX, 0);
    assert_int_equal(event(f, two, 1, 0), FW_FIRE_NEW);
}

/* Whatever is lost, late, repeated or out of order: each number is published at most once, and in
 * the end each was published or is counted as lost. */
static void every_number_is_published_once_or_lost(void **state)
{
    enum { EVENTS = 400 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        fixture_t *f;
        (void)set_up((void **)&f);
        fw_random_t random = {seed};
        uint64_t published[EVENTS + 1] = {0};
        int64_t now_us = 0;
        mark(f, one, 0, 1, 0);
        for (uint64_t next = 1; next <= EVENTS;) {
            uint64_t dice = fw_random_below(&random, 100);
            now_us += (int64_t)fw_random_below(&random, 40 * MS);
            uint64_t sequence = dice < 60 ? next++ : 1 + fw_random_below(&random, next);
            if (dice >= 90 || sequence > next || sequence > EVENTS)
                continue; /* lost, or nothing to repeat */
            if (sequence == next)
                next++;
            if (event(f, one, sequence, now_us) != FW_FIRE_REPEATED)
                published[sequence]++;
            fw_fire_gaps_tick(f->gaps, now_us);
        }
        mark(f, one, EVENTS, 1, now_us);
        fw_fire_gaps_tick(f->gaps, now_us + (REPAIR_MS + 1) * MS);
        uint64_t count = 0;
        for (uint64_t i = 1; i <= EVENTS; i++) {
            if (published[i] > 1)
                fail_msg("seed %d: %d twice", (int)seed, (int)i);
            count += published[i];
        }
        if (count + f->lost != EVENTS)
            fail_msg("seed %d: %d published, %d lost", (int)seed, (int)count, (int)f->lost);
        (void)tear_down((void **)&f);
    }
    (void)state;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_hole_is_asked_for_and_filled),
        CASE(what_does_not_come_in_time_is_lost),
        CASE(a_mark_shows_a_lost_tail),
        CASE(what_a_publisher_does_not_keep_is_lost_at_once),
        CASE(one_never_seen_before_is_asked_for_all_it_keeps),
        CASE(a_mark_that_comes_after_the_first_event_shows_what_was_before_it),
        CASE(one_with_another_key_cannot_speak_for_it),
        CASE(holes_and_publishers_are_bounded),
        CASE(senseless_marks_and_numbers_change_nothing_else),
        cmocka_unit_test(every_number_is_published_once_or_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
