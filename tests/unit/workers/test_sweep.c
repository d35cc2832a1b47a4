/* test_sweep.c - sweeps find what matches, and leave Redis time for others.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/random.h"
#include "workers/glob.h"
#include "workers/sweep.h"

static const fw_sweep_limits_t limits = {.patterns_max = 4, .count = 10, .duty_percent = 10};

static fw_sweep_t *sweep;

static int setup(void **state)
{
    (void)state;
    sweep = fw_sweep_new(&limits);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fw_sweep_destroy(&sweep);
    return 0;
}

static int request(const char *pattern)
{
    return fw_sweep_request(sweep, fw_text(pattern));
}

static fw_bytes_t bytes_of(const char *text)
{
    return (fw_bytes_t){(const uint8_t *)text, strlen(text)};
}

/* Time passes only as the tests say; a step that is due never rests. */
static fw_sweep_step_t next_due(int64_t *now_us)
{
    fw_sweep_step_t step = fw_sweep_next(sweep, *now_us);
    while (step.kind == FW_SWEEP_REST) {
        *now_us = step.until_us;
        step = fw_sweep_next(sweep, *now_us);
    }
    return step;
}

static void too_many_patterns_are_refused(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    assert_int_equal(request("b:*"), 0);
    assert_int_equal(request("a:*"), 0);
    assert_int_equal(fw_sweep_pending(sweep), 2);
    assert_int_equal(request("c:*"), 0);
    assert_int_equal(request("d:*"), 0);
    assert_int_equal(request("e:*"), -ENOSPC);
    assert_int_equal(request("d:*"), 0);
    assert_int_equal(fw_sweep_pending(sweep), 4);
}

static void nothing_to_sweep_is_idle(void **state)
{
    (void)state;
    assert_int_equal(fw_sweep_next(sweep, 0).kind, FW_SWEEP_IDLE);
    assert_int_equal(fw_sweep_totals(sweep).sweeps, 0);
}

static void waiting_patterns_share_one_scan_of_their_common_prefix(void **state)
{
    (void)state;
    assert_int_equal(request("user:1*:page"), 0);
    assert_int_equal(request("user:[23]:*"), 0);
    int64_t now_us = 0;
    fw_sweep_step_t step = next_due(&now_us);
    assert_int_equal(step.kind, FW_SWEEP_SCAN);
    assert_int_equal(step.cursor, 0);
    assert_int_equal(step.count, limits.count);
    assert_string_equal(step.match, "user:*");
    const fw_bytes_t keys[] = {bytes_of("user:1:page"), bytes_of("user:1"), bytes_of("user:3:x"),
                               bytes_of("user:4:x")};
    fw_sweep_scanned(sweep, 0, keys, 4, now_us);
    step = next_due(&now_us);
    assert_int_equal(step.kind, FW_SWEEP_UNLINK);
    assert_int_equal(step.keys_count, 2);
    assert_true(fw_bytes_equal(step.keys[0], keys[0]));
    assert_true(fw_bytes_equal(step.keys[1], keys[2]));
    fw_sweep_unlinked(sweep, now_us);
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_IDLE);
    assert_int_equal(fw_sweep_totals(sweep).sweeps, 1);
    assert_int_equal(fw_sweep_totals(sweep).keys_scanned, 4);
    assert_int_equal(fw_sweep_totals(sweep).keys_matched, 2);
    assert_int_equal(fw_sweep_pending(sweep), 0);
}

static void patterns_without_a_common_prefix_scan_everything(void **state)
{
    (void)state;
    assert_int_equal(request("user:*"), 0);
    assert_int_equal(request("page:*"), 0);
    int64_t now_us = 0;
    assert_string_equal(next_due(&now_us).match, "");
}

static void a_pattern_that_comes_during_a_sweep_waits_for_the_next(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_SCAN);
    /* The same pattern again: keys may have come where this sweep has been already. */
    assert_int_equal(request("a:*"), 0);
    assert_int_equal(request("b:*"), 0);
    assert_int_equal(fw_sweep_pending(sweep), 3);
    const fw_bytes_t keys[] = {bytes_of("b:1")};
    fw_sweep_scanned(sweep, 0, keys, 1, now_us);
    assert_int_equal(fw_sweep_pending(sweep), 2);
    fw_sweep_step_t step = next_due(&now_us);
    assert_int_equal(step.kind, FW_SWEEP_SCAN);
    assert_int_equal(step.cursor, 0);
    fw_sweep_scanned(sweep, 0, keys, 1, now_us);
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_UNLINK);
    fw_sweep_unlinked(sweep, now_us);
    assert_int_equal(fw_sweep_totals(sweep).sweeps, 2);
}

static void a_connection_lost_before_the_first_key_was_found_is_survived(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_SCAN);
    fw_sweep_failed(sweep, now_us);
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_SCAN);
    assert_int_equal(fw_sweep_pending(sweep), 1);
}

static void a_lost_connection_begins_the_sweep_again(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    (void)next_due(&now_us);
    const fw_bytes_t keys[] = {bytes_of("a:1")};
    fw_sweep_scanned(sweep, 77, keys, 1, now_us);
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_UNLINK);
    int64_t failed_us = now_us;
    fw_sweep_failed(sweep, now_us);
    assert_int_equal(fw_sweep_next(sweep, now_us).kind, FW_SWEEP_REST);
    fw_sweep_step_t step = next_due(&now_us);
    assert_true(now_us >= failed_us + FW_SWEEP_FAILED_REST_US);
    assert_int_equal(step.kind, FW_SWEEP_SCAN);
    assert_int_equal(step.cursor, 0);
    fw_sweep_scanned(sweep, 0, NULL, 0, now_us);
    assert_int_equal(fw_sweep_pending(sweep), 0);
}

static void keys_that_redis_keeps_do_not_keep_their_neighbours(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    (void)next_due(&now_us);
    const fw_bytes_t keys[] = {bytes_of("a:1"), bytes_of("a:2"), bytes_of("a:3")};
    fw_sweep_scanned(sweep, 0, keys, 3, now_us);
    assert_int_equal(next_due(&now_us).keys_count, 3);
    fw_sweep_refused(sweep, now_us);
    for (size_t i = 0; i < 3; i++) {
        fw_sweep_step_t step = next_due(&now_us);
        assert_int_equal(step.kind, FW_SWEEP_UNLINK);
        assert_int_equal(step.keys_count, 1);
        assert_true(fw_bytes_equal(step.keys[0], keys[i]));
        if (i == 1) {
            fw_sweep_refused(sweep, now_us);
        } else {
            fw_sweep_unlinked(sweep, now_us);
        }
    }
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_IDLE);
    assert_int_equal(fw_sweep_totals(sweep).keys_refused, 1);
    assert_int_equal(fw_sweep_totals(sweep).sweeps, 1);
}

static void a_scan_that_is_forbidden_is_given_up_and_counted(void **state)
{
    (void)state;
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_SCAN);
    fw_sweep_refused(sweep, now_us);
    assert_int_equal(fw_sweep_pending(sweep), 0);
    assert_int_equal(fw_sweep_totals(sweep).sweeps_refused, 1);
    assert_int_equal(fw_sweep_totals(sweep).sweeps, 0);
    assert_int_equal(next_due(&now_us).kind, FW_SWEEP_IDLE);
}

static void redis_is_busy_at_most_its_share_of_the_time(void **state)
{
    (void)state;
    enum { STEPS = 1000 };
    assert_int_equal(request("a:*"), 0);
    fw_random_t random = {42};
    int64_t now_us = 0;
    int64_t busy_us = 0;
    for (int i = 0; i < STEPS; i++) {
        assert_int_equal(next_due(&now_us).kind, FW_SWEEP_SCAN);
        int64_t took_us = (int64_t)fw_random_below(&random, 900);
        busy_us += took_us;
        now_us += took_us;
        fw_sweep_scanned(sweep, 1, NULL, 0, now_us);
    }
    (void)next_due(&now_us);
    assert_true(busy_us * 100 <= now_us * limits.duty_percent);
    assert_true(busy_us * 100 >= now_us * limits.duty_percent - (int64_t)STEPS * 100);
}

static void matches_beyond_one_command_are_removed_in_several(void **state)
{
    (void)state;
    enum { KEYS = 2 * FW_SWEEP_KEYS_PER_COMMAND + 1 };
    static char texts[KEYS][16];
    static fw_bytes_t keys[KEYS];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "a:%d", i);
        keys[i] = bytes_of(texts[i]);
    }
    assert_int_equal(request("a:*"), 0);
    int64_t now_us = 0;
    (void)next_due(&now_us);
    fw_sweep_scanned(sweep, 0, keys, KEYS, now_us);
    size_t removed = 0;
    fw_sweep_step_t step;
    while ((step = next_due(&now_us)).kind == FW_SWEEP_UNLINK) {
        assert_true(step.keys_count <= FW_SWEEP_KEYS_PER_COMMAND);
        removed += step.keys_count;
        fw_sweep_unlinked(sweep, now_us);
    }
    assert_int_equal(removed, KEYS);
    assert_int_equal(step.kind, FW_SWEEP_IDLE);
}

/* A keyspace of numbers; SCAN walks it in pieces, and connections are lost now and then. */
static void every_match_is_removed_and_nothing_else(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    static const char *const patterns[] = {"k:1*", "k:?7*", "k:[2-4]5"};
    static char texts[KEYS][8];
    bool there[KEYS];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "k:%d", i);
        there[i] = true;
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(request(patterns[i]), 0);
    }
    int64_t now_us = 0;
    fw_sweep_step_t step;
    while ((step = next_due(&now_us)).kind != FW_SWEEP_IDLE) {
        if (fw_random_below(&random, 30) == 0) {
            fw_sweep_failed(sweep, now_us);
        } else if (step.kind == FW_SWEEP_SCAN) {
            fw_bytes_t keys[KEYS];
            size_t count = 0;
            uint64_t at = step.cursor;
            for (; at < KEYS && count < step.count; at++) {
                if (there[at] && fw_glob_match(fw_text(step.match), bytes_of(texts[at]))) {
                    keys[count++] = bytes_of(texts[at]);
                }
            }
            fw_sweep_scanned(sweep, at == KEYS ? 0 : at, keys, count, now_us);
        } else {
            for (size_t i = 0; i < step.keys_count; i++) {
                there[strtoul((const char *)step.keys[i].data + 2, NULL, 10)] = false;
            }
            fw_sweep_unlinked(sweep, now_us);
        }
    }
    for (int i = 0; i < KEYS; i++) {
        bool matches = false;
        for (size_t p = 0; p < 3; p++) {
            matches |= fw_glob_match(fw_text(patterns[p]), bytes_of(texts[i]));
        }
        assert_int_equal(there[i], !matches);
    }
}

#define SWEEP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWEEP_TEST(too_many_patterns_are_refused),
        SWEEP_TEST(nothing_to_sweep_is_idle),
        SWEEP_TEST(waiting_patterns_share_one_scan_of_their_common_prefix),
        SWEEP_TEST(patterns_without_a_common_prefix_scan_everything),
        SWEEP_TEST(a_pattern_that_comes_during_a_sweep_waits_for_the_next),
        SWEEP_TEST(a_connection_lost_before_the_first_key_was_found_is_survived),
        SWEEP_TEST(a_lost_connection_begins_the_sweep_again),
        SWEEP_TEST(keys_that_redis_keeps_do_not_keep_their_neighbours),
        SWEEP_TEST(a_scan_that_is_forbidden_is_given_up_and_counted),
        SWEEP_TEST(redis_is_busy_at_most_its_share_of_the_time),
        SWEEP_TEST(matches_beyond_one_command_are_removed_in_several),
        SWEEP_TEST(every_match_is_removed_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
