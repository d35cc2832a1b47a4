/* test_audit.c - sampled purges come up again at every timescale.   SPDX-License-Identifier:
 * MPL-2.0 The last test draws purges, delays and verdicts; FW_SEED repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/random.h"
#include "workers/audit.h"

enum { T = 1000000 }; /* Redis time of the first purge */

static fw_audit_limits_t limits_of(uint32_t rate, uint32_t samples_max)
{
    return (fw_audit_limits_t){.scales_ms = {0, 1000, 10000},
                               .scales_count = 3,
                               .rate = rate,
                               .samples_max = samples_max,
                               .bytes_max = 1024 * 1024,
                               .slack_us = 10,
                               .seed = 7};
}

static fw_audit_t *new_audit(uint32_t rate, uint32_t samples_max)
{
    fw_audit_limits_t limits = limits_of(rate, samples_max);
    return fw_audit_new(&limits, "fw");
}

static fw_audit_offer_t offer(fw_audit_t *audit, const char *key, const char *tag, uint64_t stamp,
                              int64_t now_ms)
{
    const fw_text_t keys[] = {fw_text(key)};
    const fw_text_t tags[] = {fw_text(tag)};
    const fw_stamp_t stamps[] = {{fw_text(tag), stamp}};
    const fw_purged_t purged = {.redis_time = T,
                                .took_us = 100,
                                .invalidate = {.keys = keys,
                                               .keys_count = *key ? 1 : 0,
                                               .tags = tags,
                                               .tags_count = *tag ? 1 : 0},
                                .stamps = stamps,
                                .stamps_count = stamp ? 1 : 0};
    return fw_audit_offer(audit, &purged, now_ms);
}

static void what_cannot_be_judged_is_not_sampled(void **state)
{
    (void)state;
    fw_audit_t *audit = new_audit(10, 10);
    assert_int_equal(offer(audit, "", "", 0, 0), FW_AUDIT_EMPTY);
    assert_int_equal(offer(audit, "other:c:1", "", 0, 0), FW_AUDIT_EMPTY);
    assert_int_equal(offer(audit, "fw:c:", "", 0, 0), FW_AUDIT_EMPTY);
    assert_int_equal(offer(audit, "fw:t:tag", "", 0, 0), FW_AUDIT_EMPTY);
    const fw_text_t tag = FW_TEXT("a");
    const fw_purged_t timeless = {.invalidate = {.tags = &tag, .tags_count = 1}};
    assert_int_equal(fw_audit_offer(audit, &timeless, 0), FW_AUDIT_EMPTY);
    assert_int_equal(fw_audit_samples(audit), 0);
    fw_audit_destroy(&audit);
    fw_audit_destroy(&audit);
}

static void more_than_the_rate_is_left_out_until_time_has_passed(void **state)
{
    (void)state;
    fw_audit_t *audit = new_audit(2, 10);
    assert_int_equal(offer(audit, "", "a", 1, 5000), FW_AUDIT_TAKEN);
    assert_int_equal(offer(audit, "", "b", 1, 5000), FW_AUDIT_TAKEN);
    assert_int_equal(offer(audit, "", "c", 1, 5000), FW_AUDIT_RATE);
    assert_int_equal(offer(audit, "", "c", 1, 5499), FW_AUDIT_RATE);
    assert_int_equal(offer(audit, "", "c", 1, 5500), FW_AUDIT_TAKEN);
    assert_int_equal(offer(audit, "", "d", 1, 5500), FW_AUDIT_RATE);
    fw_audit_destroy(&audit);
}

static void there_is_room_for_so_many_samples_and_bytes(void **state)
{
    (void)state;
    fw_audit_t *audit = new_audit(100, 2);
    assert_int_equal(offer(audit, "", "a", 1, 0), FW_AUDIT_TAKEN);
    assert_int_equal(offer(audit, "", "b", 1, 0), FW_AUDIT_TAKEN);
    assert_int_equal(offer(audit, "", "c", 1, 0), FW_AUDIT_FULL);
    fw_audit_destroy(&audit);
    fw_audit_limits_t limits = limits_of(100, 1000);
    limits.bytes_max = 3000;
    audit = fw_audit_new(&limits, "fw");
    fw_audit_offer_t last = FW_AUDIT_TAKEN;
    for (int i = 0; i < 50 && last == FW_AUDIT_TAKEN; i++) {
        last = offer(audit, "fw:c:key", "tag", 1, 0);
        assert_true(fw_audit_bytes(audit) <= 3000);
    }
    assert_int_equal(last, FW_AUDIT_FULL);
    fw_audit_destroy(&audit);
}

static void a_sample_comes_up_once_at_each_timescale(void **state)
{
    (void)state;
    static const int64_t at_ms[] = {100, 1100, 10100};
    fw_audit_t *audit = new_audit(10, 10);
    assert_int_equal(fw_audit_next_ms(audit), INT64_MAX);
    assert_int_equal(offer(audit, "fw:c:k", "t", 5, 100), FW_AUDIT_TAKEN);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fw_audit_next_ms(audit), at_ms[i]);
        assert_null(fw_audit_take(audit, at_ms[i] - 1));
        const fw_audit_sample_t *sample = fw_audit_take(audit, at_ms[i]);
        assert_non_null(sample);
        assert_int_equal(sample->scale, i);
        assert_int_equal(sample->keys_count, 1);
        assert_string_equal(sample->keys[0].text, "fw:c:k");
        assert_int_equal(sample->tags_count, 1);
        assert_string_equal(sample->tags[0].tag.text, "t");
        assert_int_equal(sample->tags[0].stamp, 5);
        assert_int_equal(sample->bound_us, T - 110);
        assert_null(fw_audit_take(audit, at_ms[i])); /* It is being checked. */
        fw_audit_checked(audit, sample, i == 1 ? FW_AUDIT_STALE : FW_AUDIT_CLEAN, at_ms[i]);
        assert_int_equal(fw_audit_tally(audit, i).checked, 1);
        assert_int_equal(fw_audit_tally(audit, i).stale, i == 1);
    }
    assert_int_equal(fw_audit_samples(audit), 0);
    assert_int_equal(fw_audit_bytes(audit), 0);
    fw_audit_destroy(&audit);
}

static void a_check_that_comes_too_late_is_missed_and_the_last_one_is_made(void **state)
{
    (void)state;
    fw_audit_t *audit = new_audit(10, 10);
    assert_int_equal(offer(audit, "", "t", 5, 0), FW_AUDIT_TAKEN);
    const fw_audit_sample_t *sample = fw_audit_take(audit, 0);
    fw_audit_checked(audit, sample, FW_AUDIT_UNJUDGED, 60000);
    assert_int_equal(fw_audit_tally(audit, 0).unjudged, 1);
    assert_int_equal(fw_audit_tally(audit, 0).checked, 0);
    assert_int_equal(fw_audit_tally(audit, 1).missed, 1);
    sample = fw_audit_take(audit, 60000);
    assert_non_null(sample);
    assert_int_equal(sample->scale, 2);
    fw_audit_checked(audit, sample, FW_AUDIT_CLEAN, 60000);
    assert_int_equal(fw_audit_samples(audit), 0);
    fw_audit_destroy(&audit);
}

static void of_many_names_some_are_drawn(void **state)
{
    (void)state;
    char names[64][16];
    fw_text_t keys[64];
    fw_text_t tags[64];
    bool seen[64] = {false};
    for (size_t i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "fw:c:%02zu", i);
        keys[i] = tags[i] = fw_text(names[i]);
    }
    fw_audit_t *audit = new_audit(1000, 1000);
    const fw_purged_t purged = {
        .redis_time = T,
        .invalidate = {.keys = keys, .keys_count = 64, .tags = tags, .tags_count = 64}};
    for (int i = 0; i < 200; i++) {
        assert_int_equal(fw_audit_offer(audit, &purged, 0), FW_AUDIT_TAKEN);
        const fw_audit_sample_t *sample = fw_audit_take(audit, 0);
        assert_int_equal(sample->keys_count, FW_AUDIT_KEYS_MAX);
        assert_int_equal(sample->tags_count, FW_AUDIT_TAGS_MAX);
        for (size_t k = 0; k < sample->keys_count; k++) {
            seen[strtoul(sample->keys[k].text + 5, NULL, 10)] = true;
        }
        fw_audit_checked(audit, sample, FW_AUDIT_CLEAN, 0);
    }
    for (size_t i = 0; i < 64; i++) {
        assert_true(seen[i]);
    }
    fw_audit_destroy(&audit);
}

static void an_entry_is_suspected_by_the_last_purge_of_its_tag(void **state)
{
    (void)state;
    fw_audit_t *audit = new_audit(100, 100);
    const fw_bytes_t tag = {(const uint8_t *)"t", 1};
    const fw_bytes_t other = {(const uint8_t *)"u", 1};
    assert_int_equal(offer(audit, "", "t", 5, 0), FW_AUDIT_TAKEN);
    assert_null(fw_audit_suspect(audit, tag, 1)); /* Its first check is to come. */
    fw_audit_checked(audit, fw_audit_take(audit, 0), FW_AUDIT_CLEAN, 0);
    assert_non_null(fw_audit_suspect(audit, tag, T - 110));
    assert_null(fw_audit_suspect(audit, tag, T - 109));
    assert_null(fw_audit_suspect(audit, other, 1));
    /* A later purge takes over, and the tag is forgotten with it. */
    assert_int_equal(offer(audit, "", "t", 6, 500), FW_AUDIT_TAKEN);
    assert_null(fw_audit_suspect(audit, tag, 1));
    fw_audit_checked(audit, fw_audit_take(audit, 500), FW_AUDIT_CLEAN, 500);
    assert_int_equal(fw_audit_suspect(audit, tag, 1)->number, 2);
    const fw_audit_sample_t *sample;
    while ((sample = fw_audit_take(audit, 1000000))) {
        fw_audit_checked(audit, sample, FW_AUDIT_CLEAN, 1000000);
    }
    assert_null(fw_audit_suspect(audit, tag, 1));
    fw_audit_came_across(audit, 1, FW_AUDIT_CLEAN);
    fw_audit_came_across(audit, 1, FW_AUDIT_STALE);
    assert_int_equal(fw_audit_tally(audit, 1).stale, 1);
    fw_audit_destroy(&audit);
}

/* ---- drawn */

enum { ROUNDS = 20000, BUSY_MAX = 40 };

typedef struct {
    fw_random_t random;
    fw_audit_t *audit;
    const fw_audit_sample_t *busy[BUSY_MAX];
    size_t busy_count;
    uint64_t taken, missed, answered;
    int64_t offered_ms[ROUNDS + 1]; /* by number */
    size_t next_scale[ROUNDS + 1];
    int64_t now_ms;
} run_t;

static void draw_offer(run_t *run)
{
    char key[16];
    char tag[16];
    (void)snprintf(key, sizeof(key), "fw:c:%u", (unsigned)fw_random_below(&run->random, 20));
    (void)snprintf(tag, sizeof(tag), "%u", (unsigned)fw_random_below(&run->random, 20));
    bool with_key = fw_random_below(&run->random, 2);
    if (offer(run->audit, with_key ? key : "", tag, 1, run->now_ms) == FW_AUDIT_TAKEN) {
        run->offered_ms[++run->taken] = run->now_ms;
    }
}

static void draw_take(run_t *run)
{
    static const int64_t scales_ms[] = {0, 1000, 10000};
    const fw_audit_sample_t *sample =
        run->busy_count < BUSY_MAX ? fw_audit_take(run->audit, run->now_ms) : NULL;
    if (!sample) {
        return;
    }
    assert_true(run->now_ms >= run->offered_ms[sample->number] + scales_ms[sample->scale]);
    assert_true(sample->scale >= run->next_scale[sample->number]);
    run->next_scale[sample->number] = sample->scale + 1;
    run->busy[run->busy_count++] = sample;
}

static void draw_answer(run_t *run)
{
    if (run->busy_count == 0) {
        return;
    }
    size_t at = (size_t)fw_random_below(&run->random, run->busy_count);
    const fw_audit_sample_t *sample = run->busy[at];
    run->busy[at] = run->busy[--run->busy_count];
    run->answered++;
    fw_audit_checked(run->audit, sample, (fw_audit_verdict_t)fw_random_below(&run->random, 3),
                     run->now_ms);
}

static void draw_walk(run_t *run)
{
    char tag[16];
    int size = snprintf(tag, sizeof(tag), "%u", (unsigned)fw_random_below(&run->random, 20));
    const fw_audit_sample_t *sample =
        fw_audit_suspect(run->audit, (fw_bytes_t){(const uint8_t *)tag, (size_t)size}, T - 110);
    if (sample) {
        assert_string_equal(sample->tags[0].tag.text, tag);
        assert_true(sample->scale > 0);
    }
}

static void nothing_is_lost_twice_or_early_whatever_is_drawn(void **state)
{
    (void)state;
    const char *given = getenv("FW_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 0;
    if (!given) {
        fw_random_bytes(&first, sizeof(first));
    }
    print_message("seed %llu (FW_SEED)\n", (unsigned long long)first);
    run_t *run = calloc(1, sizeof(*run));
    run->random.state = first;
    run->audit = new_audit(1 + (uint32_t)fw_random_below(&run->random, 50),
                           1 + (uint32_t)fw_random_below(&run->random, 200));
    for (int i = 0; i < ROUNDS; i++) {
        switch (fw_random_below(&run->random, 8)) {
        case 0:
            draw_offer(run);
            break;
        case 1:
        case 2:
            draw_take(run);
            break;
        case 3:
        case 4:
            draw_answer(run);
            break;
        case 5:
            draw_walk(run);
            break;
        default:
            run->now_ms += (int64_t)fw_random_below(&run->random, i % 500 == 0 ? 20000 : 100);
        }
    }
    run->now_ms += 1000000;
    while (fw_audit_samples(run->audit) > 0) {
        draw_take(run);
        draw_answer(run);
    }
    uint64_t seen = 0;
    for (size_t i = 0; i < 3; i++) {
        fw_audit_tally_t tally = fw_audit_tally(run->audit, i);
        run->missed += tally.missed;
        seen += tally.checked + tally.unjudged;
        /* Every sample passes every timescale, one way or another. */
        assert_int_equal(tally.checked + tally.unjudged + tally.missed, run->taken);
        assert_true(tally.stale <= tally.checked);
    }
    assert_int_equal(seen, run->answered);
    assert_int_equal(fw_audit_bytes(run->audit), 0);
    assert_true(run->taken > 0);
    fw_audit_destroy(&run->audit);
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_judged_is_not_sampled),
        cmocka_unit_test(more_than_the_rate_is_left_out_until_time_has_passed),
        cmocka_unit_test(there_is_room_for_so_many_samples_and_bytes),
        cmocka_unit_test(a_sample_comes_up_once_at_each_timescale),
        cmocka_unit_test(a_check_that_comes_too_late_is_missed_and_the_last_one_is_made),
        cmocka_unit_test(of_many_names_some_are_drawn),
        cmocka_unit_test(an_entry_is_suspected_by_the_last_purge_of_its_tag),
        cmocka_unit_test(nothing_is_lost_twice_or_early_whatever_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
