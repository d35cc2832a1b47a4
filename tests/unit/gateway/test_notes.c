/* test_notes.c - the notes of a channel, and where its subscribers stand. SPDX-License-Identifier:
 * MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>

#include "gateway/notes.h"
#include "runtime/alloc.h"

static void add(fw_notes_t *notes, fw_note_kind_t kind)
{
    fw_entry_t *entry = make_entry(fw_notes_next_number(notes), NULL, NULL);
    fw_notes_add(notes, kind, &entry);
}

static void set_list(fw_notes_t *notes, uint32_t count)
{
    fw_entry_t **parts = fw_alloc(count, sizeof(fw_entry_t *));
    for (uint32_t i = 0; i < count; i++)
        parts[i] = make_entry(1000 + i, NULL, NULL);
    fw_notes_set_list(notes, parts, count, 1);
}

/* Offsets of everything that this place gets now: parts of lists from 1000 on. */
static const char *read_all(fw_notes_t *notes, fw_note_place_t *place)
{
    static char text[4096];
    size_t used = 0;
    const fw_entry_t *entry;
    text[0] = '\0';
    while ((entry = fw_notes_next(notes, place, false)) != NULL) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%llu ",
                                 (unsigned long long)fw_entry_offset(entry));
        assert_true(used < sizeof text);
        place->cursor++;
    }
    return text;
}

static void who_is_lapped_misses_events_and_gets_the_rest(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t place = {0};
    for (int i = 0; i < FW_NOTES_MAX + 5; i++)
        add(notes, FW_NOTE_EVENT);
    assert_int_equal(fw_entry_offset(fw_notes_next(notes, &place, false)), 6);
    (void)read_all(notes, &place);
    assert_int_equal(place.cursor, FW_NOTES_MAX + 5);
    fw_notes_clear(notes);
    assert_string_equal(read_all(notes, &place), "");
    add(notes, FW_NOTE_EVENT);
    assert_string_equal(read_all(notes, &place), "135 ");
    fw_notes_destroy(&notes);
}

static void who_does_not_watch_gets_events_only(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t plain = {0};
    fw_note_place_t watches = {.watches = true};
    add(notes, FW_NOTE_PRESENCE);
    add(notes, FW_NOTE_EVENT);
    add(notes, FW_NOTE_PRESENCE);
    assert_string_equal(read_all(notes, &plain), "2 ");
    assert_string_equal(read_all(notes, &watches), "1 2 3 ");
    fw_notes_destroy(&notes);
}

static void a_list_comes_before_its_changes_and_no_event_is_lost_for_it(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t place = {.watches = true, .list = true};
    add(notes, FW_NOTE_EVENT);
    add(notes, FW_NOTE_PRESENCE);
    assert_string_equal(read_all(notes, &place), "1 ");
    assert_true(fw_notes_wants_list(notes));
    add(notes, FW_NOTE_EVENT);
    set_list(notes, 3);
    assert_false(fw_notes_wants_list(notes));
    add(notes, FW_NOTE_PRESENCE);
    add(notes, FW_NOTE_EVENT);
    assert_string_equal(read_all(notes, &place), "3 1000 1001 1002 4 5 ");
    assert_false(place.list || place.parts);
    fw_notes_destroy(&notes);
}

static void a_list_older_than_where_somebody_stands_is_made_anew_for_him(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    set_list(notes, 1);
    add(notes, FW_NOTE_PRESENCE);
    add(notes, FW_NOTE_EVENT);
    fw_note_place_t late = {.cursor = fw_notes_head(notes), .watches = true, .list = true};
    assert_string_equal(read_all(notes, &late), "");
    assert_true(fw_notes_wants_list(notes));
    set_list(notes, 1);
    assert_string_equal(read_all(notes, &late), "1000 ");
    fw_notes_destroy(&notes);
}

static void who_watches_and_is_lapped_gets_a_list_again(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t place = {.watches = true};
    for (int i = 0; i < FW_NOTES_MAX + 1; i++)
        add(notes, FW_NOTE_PRESENCE);
    assert_string_equal(read_all(notes, &place), "");
    assert_true(place.list && fw_notes_wants_list(notes));
    set_list(notes, 2);
    assert_string_equal(read_all(notes, &place), "1000 1001 ");
    fw_notes_destroy(&notes);
}

static void a_list_that_changes_while_it_is_read_begins_again(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t place = {.watches = true, .list = true};
    set_list(notes, 3);
    assert_int_equal(fw_entry_offset(fw_notes_next(notes, &place, false)), 1000);
    place.cursor++;
    fw_notes_drop_list(notes);
    assert_string_equal(read_all(notes, &place), "");
    assert_true(place.list && !place.parts);
    set_list(notes, 1);
    assert_string_equal(read_all(notes, &place), "1000 ");
    fw_notes_destroy(&notes);
}

static void numbers_may_wrap(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    fw_note_place_t place = {.cursor = UINT32_MAX - 1, .watches = false};
    add(notes, FW_NOTE_EVENT);
    /* Far behind, or far ahead: what is there is read once. */
    assert_string_equal(read_all(notes, &place), "1 ");
    assert_string_equal(read_all(notes, &place), "");
    fw_notes_destroy(&notes);
}

static void what_is_old_goes_and_a_list_that_nobody_reads(void **state)
{
    (void)state;
    fw_notes_t *notes = fw_notes_new();
    size_t empty = fw_notes_bytes(notes);
    add(notes, FW_NOTE_EVENT);
    set_list(notes, 2);
    assert_true(fw_notes_bytes(notes) > empty);
    fw_notes_expire(notes, FW_NOTES_AGE_US);
    assert_true(fw_notes_has_list(notes));
    fw_notes_expire(notes, 3 * FW_NOTES_AGE_US);
    assert_false(fw_notes_has_list(notes));
    assert_true(fw_notes_bytes(notes) < empty + 64);
    fw_notes_destroy(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_lapped_misses_events_and_gets_the_rest),
        cmocka_unit_test(who_does_not_watch_gets_events_only),
        cmocka_unit_test(a_list_comes_before_its_changes_and_no_event_is_lost_for_it),
        cmocka_unit_test(a_list_older_than_where_somebody_stands_is_made_anew_for_him),
        cmocka_unit_test(who_watches_and_is_lapped_gets_a_list_again),
        cmocka_unit_test(a_list_that_changes_while_it_is_read_begins_again),
        cmocka_unit_test(numbers_may_wrap),
        cmocka_unit_test(what_is_old_goes_and_a_list_that_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
