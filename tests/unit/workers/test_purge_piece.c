/* test_purge_piece.c - a job that several servers share in is decided when all have.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/purge_piece.h"

static fw_purge_job_t *whole_job(void)
{
    static const fw_text_t keys[] = {{"a1", 2}, {"b1", 2}, {"a2", 2}};
    static const fw_text_t tags[] = {{"a", 1}, {"b", 1}};
    static const fw_text_t patterns[] = {{"page:*", 6}};
    const fw_job_t job = {.job_id = 7,
                          .invalidate = {.keys = keys,
                                         .keys_count = 3,
                                         .tags = tags,
                                         .tags_count = 2,
                                         .patterns = patterns,
                                         .patterns_count = 1}};
    return fw_purge_job_new(&job, "fw", 0);
}

/* Names are told apart by whether they hold an a. */
static bool has_a(const void *context, fw_text_t name)
{
    return (memchr(name.text, 'a', name.size) != NULL) == *(const bool *)context;
}

static fw_purge_job_t *piece_of(fw_purge_job_t *whole, bool with_a)
{
    return fw_purge_piece_new(whole, has_a, &with_a);
}

static void done(fw_purge_job_t *piece, uint64_t redis_time, uint32_t removed)
{
    piece->status = FW_PURGE_DONE;
    piece->redis_time = redis_time;
    piece->keys_removed = removed;
}

static void what_failed_outweighs_what_was_refused_and_that_what_is_done(void **state)
{
    (void)state;
    static const fw_purge_status_t statuses[] = {FW_PURGE_DONE, FW_PURGE_REFUSED, FW_PURGE_FAILED};
    for (size_t first = 0; first < 3; first++) {
        for (size_t second = 0; second < 3; second++) {
            fw_purge_job_t *whole = whole_job();
            fw_purge_job_t *pieces[] = {fw_purge_piece_new(whole, NULL, NULL),
                                        fw_purge_piece_new(whole, NULL, NULL)};
            const size_t worst[] = {first, second};
            for (size_t i = 0; i < 2; i++) {
                done(pieces[i], 1, 0);
                if (worst[i] > 0) {
                    fw_purge_job_fail(pieces[i], statuses[worst[i]], worst[i] == 1 ? "no" : "later",
                                      "");
                }
            }
            assert_null(fw_purge_piece_merge(&pieces[0]));
            assert_ptr_equal(fw_purge_piece_merge(&pieces[1]), whole);
            size_t expected = first > second ? first : second;
            assert_int_equal(whole->status, statuses[expected]);
            static const char *const reasons[] = {"", "no", "later"};
            assert_string_equal(whole->reason, reasons[expected]);
            fw_purge_job_destroy(&whole);
        }
    }
}

static void names_are_dealt_out_and_patterns_stay_behind(void **state)
{
    (void)state;
    fw_purge_job_t *whole = whole_job();
    fw_purge_job_t *with = piece_of(whole, true);
    fw_purge_job_t *without = piece_of(whole, false);
    assert_int_equal(with->keys_count, 2);
    assert_int_equal(with->tags_count, 1);
    assert_int_equal(without->keys_count, 1);
    assert_true(fw_text_equal(without->stamp_keys[0], FW_TEXT("fw:t:b")));
    assert_int_equal(with->patterns_count + without->patterns_count, 0);
    assert_int_equal(with->job_id, 7);
    done(with, 50, 2);
    done(without, 90, 1);
    assert_null(fw_purge_piece_merge(&without));
    assert_int_equal(whole->status, FW_PURGE_OPEN);
    assert_ptr_equal(fw_purge_piece_merge(&with), whole);
    assert_int_equal(whole->status, FW_PURGE_DONE);
    /* The latest clock: whatever was stored before is older on every server. */
    assert_int_equal(whole->redis_time, 90);
    assert_int_equal(whole->keys_removed, 3);
    fw_purge_job_destroy(&whole);
}

static void a_tag_has_the_smallest_stamp_of_all_servers(void **state)
{
    (void)state;
    fw_purge_job_t *whole = whole_job();
    fw_purge_job_t *pieces[2];
    for (size_t i = 0; i < 2; i++) {
        pieces[i] = fw_purge_piece_new(whole, NULL, NULL);
        assert_int_equal(pieces[i]->patterns_count, 1);
        done(pieces[i], 1, 0);
        const fw_text_t key = pieces[i]->stamp_keys[0];
        const fw_text_t tag = {key.text + pieces[i]->tag_at, key.size - pieces[i]->tag_at};
        pieces[i]->stamps[pieces[i]->stamps_count++] = (fw_stamp_t){tag, 20 - i};
    }
    assert_null(fw_purge_piece_merge(&pieces[0]));
    assert_ptr_equal(fw_purge_piece_merge(&pieces[1]), whole);
    assert_int_equal(whole->stamps_count, 1);
    assert_int_equal(whole->stamps[0].stamp, 19);
    assert_true(fw_text_equal(whole->stamps[0].tag, FW_TEXT("a")));
    fw_purge_job_destroy(&whole);
}

static void a_piece_can_be_cut_again(void **state)
{
    (void)state;
    fw_purge_job_t *whole = whole_job();
    fw_purge_job_t *piece = fw_purge_piece_new(whole, NULL, NULL);
    fw_purge_job_t *with = piece_of(piece, true);
    fw_purge_job_t *without = piece_of(piece, false);
    done(with, 1, 1);
    fw_purge_job_fail(without, FW_PURGE_FAILED, "later", "");
    assert_null(fw_purge_piece_merge(&with));
    assert_ptr_equal(fw_purge_piece_merge(&without), piece);
    assert_ptr_equal(fw_purge_piece_merge(&piece), whole);
    assert_int_equal(whole->status, FW_PURGE_FAILED);
    assert_string_equal(whole->reason, "later");
    assert_int_equal(whole->keys_removed, 1);
    fw_purge_job_destroy(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_failed_outweighs_what_was_refused_and_that_what_is_done),
        cmocka_unit_test(names_are_dealt_out_and_patterns_stay_behind),
        cmocka_unit_test(a_tag_has_the_smallest_stamp_of_all_servers),
        cmocka_unit_test(a_piece_can_be_cut_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
