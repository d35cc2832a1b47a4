/* test_ring.c - entries and the bounded ring of a channel.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/ring.h"

static const fw_ring_limits_t wide = {.events_max = 1000, .bytes_max = 1 << 20};

static void append(fw_ring_t *ring, const fw_ring_limits_t *limits, uint64_t offset)
{
    fw_entry_t *entry = make_entry(offset, NULL, NULL);
    fw_ring_append(ring, limits, &entry);
    assert_null(entry);
}

static void an_entry_is_excluded_for_its_user_or_origin_only(void **state)
{
    (void)state;
    fw_entry_t *entry = make_entry(1, "alice", "tab-1");
    assert_true(fw_entry_excludes_any(entry));
    assert_true(fw_entry_excludes(entry, FW_TEXT("alice"), FW_TEXT_NONE));
    assert_true(fw_entry_excludes(entry, FW_TEXT("bob"), FW_TEXT("tab-1")));
    assert_false(fw_entry_excludes(entry, FW_TEXT("alic"), FW_TEXT("tab-")));
    assert_false(fw_entry_excludes(entry, FW_TEXT("alicetab"), FW_TEXT("-1")));
    assert_false(fw_entry_excludes(entry, FW_TEXT_NONE, FW_TEXT_NONE));
    fw_entry_destroy(&entry);
    entry = make_entry(1, NULL, NULL);
    assert_false(fw_entry_excludes_any(entry));
    assert_false(fw_entry_excludes(entry, FW_TEXT_NONE, FW_TEXT_NONE));
    fw_entry_destroy(&entry);
}

static void an_entry_keeps_frame_and_body(void **state)
{
    (void)state;
    fw_entry_t *entry = make_entry(42, NULL, NULL);
    fw_bytes_t frame = fw_entry_frame(entry);
    fw_bytes_t body = fw_entry_body(entry);
    assert_int_equal(frame.size, 10);
    assert_memory_equal(frame.data, "\x81\x08{\"n\":42}", 10);
    assert_int_equal(body.size, 8);
    assert_ptr_equal(body.data, frame.data + 2);
    assert_int_equal(fw_entry_offset(entry), 42);
    assert_true(fw_entry_bytes(entry) > frame.size);
    fw_entry_destroy(&entry);
}

static void an_empty_ring_stands_behind_its_head(void **state)
{
    (void)state;
    fw_ring_t ring = {.entries = NULL};
    fw_ring_start(&ring, 7);
    assert_int_equal(fw_ring_head(&ring), 7);
    assert_null(fw_ring_at(&ring, 7));
    assert_null(fw_ring_at(&ring, 8));
    assert_false(fw_ring_lapped(&ring, 7));
    assert_true(fw_ring_lapped(&ring, 6));
    assert_false(fw_ring_drop_oldest(&ring));
    fw_ring_clear(&ring);
}

static void the_oldest_entries_make_room_by_count_and_by_bytes(void **state)
{
    (void)state;
    fw_ring_t ring = {.entries = NULL};
    const fw_ring_limits_t few = {.events_max = 5, .bytes_max = 1 << 20};
    fw_ring_start(&ring, 0);
    for (uint64_t i = 1; i <= 12; i++)
        append(&ring, &few, i);
    assert_int_equal(ring.base, 8);
    assert_int_equal(fw_ring_head(&ring), 12);
    assert_true(fw_ring_lapped(&ring, 6));
    assert_false(fw_ring_lapped(&ring, 7));
    const fw_ring_limits_t small = {.events_max = 5, .bytes_max = 2 * ring.bytes / 5 + 8};
    append(&ring, &small, 13);
    assert_int_equal(ring.base, 12);
    const fw_ring_limits_t tiny = {.events_max = 5, .bytes_max = 1};
    append(&ring, &tiny, 14);
    assert_int_equal(ring.count, 1);
    assert_int_equal(fw_entry_offset(fw_ring_at(&ring, 14)), 14);
    fw_ring_clear(&ring);
    assert_int_equal(ring.bytes, 0);
}

static void older_entries_go_before_only_if_all_of_them_fit(void **state)
{
    (void)state;
    fw_ring_t ring = {.entries = NULL};
    const fw_ring_limits_t four = {.events_max = 4, .bytes_max = 1 << 20};
    fw_ring_start(&ring, 10);
    append(&ring, &four, 11);
    append(&ring, &four, 12);
    fw_entry_t *older[3] = {make_entry(8, NULL, NULL), make_entry(9, NULL, NULL),
                            make_entry(10, NULL, NULL)};
    assert_int_equal(fw_ring_prepend(&ring, &four, older, 3), -ENOSPC);
    assert_non_null(older[0]);
    assert_int_equal(ring.base, 11);
    assert_int_equal(fw_ring_prepend(&ring, &four, older + 1, 2), 0);
    assert_null(older[1]);
    assert_int_equal(ring.base, 9);
    for (uint64_t i = 9; i <= 12; i++)
        assert_int_equal(fw_entry_offset(fw_ring_at(&ring, i)), i);
    const fw_ring_limits_t bytes = {.events_max = 9, .bytes_max = ring.bytes};
    assert_int_equal(fw_ring_prepend(&ring, &bytes, older, 1), -ENOSPC);
    fw_entry_destroy(&older[0]);
    fw_ring_clear(&ring);
}

static void it_wraps_around_many_times(void **state)
{
    (void)state;
    fw_ring_t ring = {.entries = NULL};
    const fw_ring_limits_t seven = {.events_max = 7, .bytes_max = 1 << 20};
    fw_ring_start(&ring, 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        append(&ring, &seven, i);
        for (uint64_t k = ring.base; k <= i; k++)
            assert_int_equal(fw_entry_offset(fw_ring_at(&ring, k)), k);
    }
    fw_ring_start(&ring, 5);
    assert_int_equal(ring.base, 6);
    append(&ring, &wide, 6);
    fw_ring_clear(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_excluded_for_its_user_or_origin_only),
        cmocka_unit_test(an_entry_keeps_frame_and_body),
        cmocka_unit_test(an_empty_ring_stands_behind_its_head),
        cmocka_unit_test(the_oldest_entries_make_room_by_count_and_by_bytes),
        cmocka_unit_test(older_entries_go_before_only_if_all_of_them_fit),
        cmocka_unit_test(it_wraps_around_many_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
