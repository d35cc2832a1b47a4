/* test_gather.c - what is written to a session, and how often it is copied.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/hub_fixture.h"

/* An open session on these channels, with its welcome already sent. */
static fw_session_t *open_on(scene_t *scene, const char *first, const char *second)
{
    fw_session_t *session = scene_session(scene);
    (void)fw_hub_join(scene->hub, session, fw_text(first), NULL, FW_TEXT_NONE);
    if (second)
        (void)fw_hub_join(scene->hub, session, fw_text(second), NULL, FW_TEXT_NONE);
    scene_answer(scene, TEST_EPOCH, 0);
    fw_hub_await(scene->hub, session);
    (void)scene_sent(scene, session);
    (void)scene_marked(scene);
    return session;
}

static void nothing_is_written_when_there_is_nothing(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    fw_output_t output;
    assert_false(fw_gather_next(scene.plain, session, FW_GATHER_BYTES_MAX, &output));
    assert_false(output.more);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void a_single_event_is_written_from_the_ring_itself(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    assert_int_equal(scene_marked(&scene), 1);
    fw_output_t output;
    assert_true(fw_gather_next(scene.plain, session, FW_GATHER_BYTES_MAX, &output));
    const fw_ring_t *ring = &fw_hub_find(scene.hub, FW_TEXT("broadcast"))->sync.ring;
    assert_ptr_equal(output.bytes.data, fw_entry_frame(fw_ring_at(ring, 1)).data);
    assert_int_equal(output.events, 1);
    assert_int_equal(output.oldest_us, 1);
    assert_false(output.more);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void sessions_in_step_share_one_copy(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *first = open_on(&scene, "broadcast", NULL);
    fw_session_t *second = open_on(&scene, "broadcast", NULL);
    fw_session_t *late = open_on(&scene, "broadcast", NULL);
    for (uint64_t i = 1; i <= 3; i++)
        scene_event(&scene, "broadcast", i, NULL, NULL);
    late->subscriptions[0].cursor = 1;
    assert_int_equal(scene_marked(&scene), 3);
    fw_output_t one, two, three;
    assert_true(fw_gather_next(scene.plain, first, FW_GATHER_BYTES_MAX, &one));
    assert_int_equal(one.events, 3);
    assert_memory_equal(one.bytes.data, "\x81\x07{\"n\":1}\x81\x07{\"n\":2}\x81\x07{\"n\":3}", 27);
    ((uint8_t *)(uintptr_t)one.bytes.data)[6] = '7'; /* so that a copy made anew would show */
    assert_true(fw_gather_next(scene.plain, second, FW_GATHER_BYTES_MAX, &two));
    assert_ptr_equal(two.bytes.data, one.bytes.data);
    assert_int_equal(two.bytes.data[6], '7');
    assert_int_equal(two.events, 3);
    assert_true(fw_gather_next(scene.plain, late, FW_GATHER_BYTES_MAX, &three));
    assert_int_equal(three.events, 2);
    assert_memory_equal(three.bytes.data, "\x81\x07{\"n\":2}\x81\x07{\"n\":3}", 18);
    assert_int_equal(second->subscriptions[0].cursor, 3);
    assert_string_equal(scene_sent(&scene, second), "");
    scene_leave(&scene, &first);
    scene_leave(&scene, &second);
    scene_leave(&scene, &late);
    scene_end(&scene);
}

static void a_copy_is_not_shared_where_somebody_is_excluded(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *sessions[3];
    const char *origins[3] = {"tab-1", "tab-2", ""};
    for (int i = 0; i < 3; i++) {
        sessions[i] = open_on(&scene, "broadcast", NULL);
        fw_session_set_origin(sessions[i], fw_text(origins[i]));
    }
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    scene_event(&scene, "broadcast", 2, NULL, "tab-2");
    scene_event(&scene, "broadcast", 3, NULL, NULL);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, sessions[0]), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_string_equal(scene_sent(&scene, sessions[1]), "{\"n\":1}\n{\"n\":3}\n");
    assert_string_equal(scene_sent(&scene, sessions[2]), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    scene_event(&scene, "broadcast", 4, NULL, "tab-1");
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, sessions[0]), "");
    assert_int_equal(sessions[0]->subscriptions[0].cursor, 4);
    for (int i = 0; i < 3; i++)
        scene_leave(&scene, &sessions[i]);
    scene_end(&scene);
}

static void one_that_counts_offsets_is_told_of_events_that_are_not_for_it(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    session->greets = true;
    fw_session_set_origin(session, FW_TEXT("tab-1"));
    scene_event(&scene, "broadcast", 1, NULL, "tab-1");
    scene_event(&scene, "broadcast", 2, NULL, "tab-1");
    scene_event(&scene, "broadcast", 3, NULL, NULL);
    scene_event(&scene, "broadcast", 4, NULL, "tab-1");
    (void)scene_marked(&scene);
    const char *sent = scene_sent(&scene, session);
    const char *first = strstr(sent, "\"fw.position\"");
    const char *event = strstr(sent, "{\"n\":3}");
    assert_non_null(first);
    assert_non_null(event);
    assert_true(first < event);
    assert_non_null(strstr(first, "\"offset\":\"2\""));
    const char *second = strstr(event, "\"fw.position\"");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"offset\":\"4\""));
    assert_null(strstr(sent, "{\"n\":1}"));
    assert_int_equal(session->subscriptions[0].cursor, 4);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void several_channels_go_into_one_piece(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", "room:1");
    scene_event(&scene, "room:1", 1, NULL, NULL);
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    scene_event(&scene, "room:1", 2, NULL, NULL);
    (void)scene_marked(&scene);
    fw_output_t output;
    assert_true(fw_gather_next(scene.plain, session, FW_GATHER_BYTES_MAX, &output));
    assert_int_equal(output.events, 3);
    assert_false(output.more);
    assert_int_equal(output.bytes.size, 27);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void a_batch_is_one_message_with_a_line_per_event(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    fw_session_t *other = open_on(&scene, "broadcast", NULL);
    session->batch = other->batch = true;
    for (uint64_t i = 1; i <= 40; i++)
        scene_event(&scene, "broadcast", i, NULL, NULL);
    (void)scene_marked(&scene);
    fw_output_t output, again;
    assert_true(fw_gather_next(scene.batch, session, FW_GATHER_BYTES_MAX, &output));
    assert_int_equal(output.events, 40);
    assert_int_equal(output.bytes.data[1], 126);
    assert_memory_equal(output.bytes.data + 4, "{\"n\":1}\n{\"n\":2}\n", 16);
    assert_int_equal(output.bytes.data[output.bytes.size - 1], '}');
    assert_true(fw_gather_next(scene.batch, other, FW_GATHER_BYTES_MAX, &again));
    assert_ptr_equal(again.bytes.data, output.bytes.data);
    scene_event(&scene, "broadcast", 41, NULL, NULL);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":41}\n");
    scene_leave(&scene, &session);
    scene_leave(&scene, &other);
    scene_end(&scene);
}

static void a_piece_keeps_its_limit_and_the_rest_follows(void **state)
{
    (void)state;
    scene_t scene = scene_new(5000);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    fw_session_t *twin = open_on(&scene, "broadcast", NULL);
    for (uint64_t i = 1; i <= 4000; i++)
        scene_event(&scene, "broadcast", i, NULL, NULL);
    (void)scene_marked(&scene);
    uint32_t events = 0;
    fw_output_t output;
    while (fw_gather_next(scene.plain, session, 1000, &output)) {
        assert_true(output.bytes.size <= 1000);
        assert_true(output.bytes.size > 900 || !output.more);
        assert_int_equal(output.oldest_us, events + 1);
        events += output.events;
    }
    assert_int_equal(events, 4000);
    events = 0;
    while (fw_gather_next(scene.plain, twin, FW_GATHER_BYTES_MAX, &output))
        events += output.events;
    assert_int_equal(events, 4000);
    scene_leave(&scene, &session);
    scene_leave(&scene, &twin);
    scene_end(&scene);
}

static void an_event_larger_than_a_piece_is_written_alone(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    fw_channel_t *channel = fw_hub_find(scene.hub, FW_TEXT("broadcast"));
    char *body = malloc(100000);
    memset(body, 'x', 100000);
    fw_exclude_t nobody = {FW_TEXT_NONE, FW_TEXT_NONE};
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    fw_entry_t *large = fw_entry_new(2, (fw_bytes_t){(uint8_t *)body, 100000}, &nobody, 1);
    fw_hub_event(scene.hub, channel, TEST_EPOCH, &large);
    scene_event(&scene, "broadcast", 3, NULL, NULL);
    (void)scene_marked(&scene);
    size_t sizes[3];
    fw_output_t output;
    for (int i = 0; i < 3; i++) {
        assert_true(fw_gather_next(scene.plain, session, FW_GATHER_BYTES_MAX, &output));
        sizes[i] = output.bytes.size;
    }
    assert_int_equal(sizes[0], 9);
    assert_int_equal(sizes[1], 100010);
    assert_int_equal(sizes[2], 9);
    assert_false(output.more);
    free(body);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void who_reads_too_slowly_gets_one_reset_and_goes_on(void **state)
{
    (void)state;
    scene_t scene = scene_new(10);
    fw_session_t *session = open_on(&scene, "broadcast", "room:1");
    scene_event(&scene, "room:1", 1, NULL, NULL);
    for (uint64_t i = 1; i <= 25; i++)
        scene_event(&scene, "broadcast", i, NULL, NULL);
    (void)scene_marked(&scene);
    fw_output_t output;
    assert_true(fw_gather_next(scene.plain, session, FW_GATHER_BYTES_MAX, &output));
    assert_int_equal(output.lapped, 1);
    assert_int_equal(output.events, 1);
    char text[256] = "";
    size_t first = unframe(output.bytes.data, text);
    (void)unframe(output.bytes.data + first, text);
    assert_string_equal(text, "{\"n\":1}\n{\"type\":\"fw.reset\",\"reason\":\"lapped\",\"channel\":"
                              "\"broadcast\",\"epoch\":\"5\",\"offset\":\"25\"}\n");
    scene_event(&scene, "broadcast", 26, NULL, NULL);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":26}\n");
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void own_messages_go_before_events_and_do_not_spoil_what_is_shared(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *first = open_on(&scene, "broadcast", NULL);
    fw_session_t *second = open_on(&scene, "broadcast", NULL);
    fw_session_t *third = open_on(&scene, "broadcast", NULL);
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    scene_event(&scene, "broadcast", 2, NULL, NULL);
    (void)scene_marked(&scene);
    fw_session_say_pong(second);
    assert_string_equal(scene_sent(&scene, first), "{\"n\":1}\n{\"n\":2}\n");
    assert_string_equal(scene_sent(&scene, second),
                        "{\"type\":\"fw.pong\"}\n{\"n\":1}\n{\"n\":2}\n");
    assert_string_equal(scene_sent(&scene, third), "{\"n\":1}\n{\"n\":2}\n");
    assert_null(second->control);
    scene_leave(&scene, &first);
    scene_leave(&scene, &second);
    scene_leave(&scene, &third);
    scene_end(&scene);
}

static void too_many_own_messages_make_a_session_too_slow(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = open_on(&scene, "broadcast", NULL);
    for (int i = 0; i < 20000 && !session->overfull; i++)
        fw_session_say_pong(session);
    assert_true(session->overfull);
    assert_true(session->control_size <= FW_CONTROL_BYTES_MAX);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_written_when_there_is_nothing),
        cmocka_unit_test(a_single_event_is_written_from_the_ring_itself),
        cmocka_unit_test(sessions_in_step_share_one_copy),
        cmocka_unit_test(a_copy_is_not_shared_where_somebody_is_excluded),
        cmocka_unit_test(one_that_counts_offsets_is_told_of_events_that_are_not_for_it),
        cmocka_unit_test(several_channels_go_into_one_piece),
        cmocka_unit_test(a_batch_is_one_message_with_a_line_per_event),
        cmocka_unit_test(a_piece_keeps_its_limit_and_the_rest_follows),
        cmocka_unit_test(an_event_larger_than_a_piece_is_written_alone),
        cmocka_unit_test(who_reads_too_slowly_gets_one_reset_and_goes_on),
        cmocka_unit_test(own_messages_go_before_events_and_do_not_spoil_what_is_shared),
        cmocka_unit_test(too_many_own_messages_make_a_session_too_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
