/* test_hub.c - channels, subscriptions and their places.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/hub_fixture.h"

#include <errno.h>

#define WELCOME(id, subscriptions)                                                                 \
    "{\"type\":\"fw.welcome\",\"session_id\":\"000000000000000" id                                 \
    "\",\"ping_interval_ms\":25000,"                                                               \
    "\"reconnect_window_ms\":2000,\"subscriptions\":[" subscriptions "]}\n"
#define STANDING(channel, offset, recovered)                                                       \
    "{\"channel\":\"" channel "\",\"epoch\":\"5\",\"offset\":\"" offset                            \
    "\",\"recovered\":" recovered "}"
#define RESET(reason, channel, epoch, offset)                                                      \
    "{\"type\":\"fw.reset\",\"reason\":\"" reason "\",\"channel\":\"" channel                      \
    "\",\"epoch\":\"" epoch "\",\"offset\":\"" offset "\"}\n"

/* A replay of [from, to] as an answer to what the channel asks. */
static void replay(scene_t *scene, const char *name, uint64_t from, uint64_t to, uint64_t visible)
{
    fw_channel_t *channel = fw_hub_find(scene->hub, fw_text(name));
    fw_entry_t *entries[64];
    uint32_t count = 0;
    fw_position_t since;
    uint32_t limit;
    assert_true(fw_sync_needs(&channel->sync) & FW_SYNC_NEEDS_REPLAY);
    fw_sync_replay_asked(&channel->sync, ++scene->request, 0, &since, &limit);
    for (uint64_t i = from; i <= to; i++)
        entries[count++] = make_entry(i, NULL, NULL);
    fw_sync_replay_t reply = {.request_id = scene->request,
                              .complete = true,
                              .reset = count == 0,
                              .visible = {TEST_EPOCH, visible},
                              .entries = entries,
                              .count = count};
    fw_hub_replayed(scene->hub, channel, &reply);
}

static fw_session_t *resume(scene_t *scene, const char *name, uint64_t epoch, uint64_t offset)
{
    fw_session_t *session = scene_session(scene);
    fw_position_t position = {epoch, offset};
    (void)fw_hub_join(scene->hub, session, fw_text(name), &position, FW_TEXT_NONE);
    fw_hub_await(scene->hub, session);
    return session;
}

static fw_session_t *join(scene_t *scene, const char *name)
{
    fw_session_t *session = scene_session(scene);
    (void)fw_hub_join(scene->hub, session, fw_text(name), NULL, FW_TEXT_NONE);
    fw_hub_await(scene->hub, session);
    return session;
}

static void the_welcome_waits_for_every_position(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = scene_session(&scene);
    (void)fw_hub_join(scene.hub, session, FW_TEXT("broadcast"), NULL, FW_TEXT_NONE);
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:1"), NULL, FW_TEXT_NONE);
    fw_hub_await(scene.hub, session);
    assert_int_equal(session->state, FW_SESSION_WAITING);
    assert_string_equal(scene_sent(&scene, session), "");
    scene_event(&scene, "broadcast", 8, NULL, NULL);
    scene_answer(&scene, TEST_EPOCH, 7);
    assert_int_equal(session->state, FW_SESSION_OPEN);
    assert_int_equal(scene_marked(&scene), 1);
    assert_string_equal(
        scene_sent(&scene, session),
        WELCOME("1", STANDING("broadcast", "8", "false") "," STANDING("room:1", "7", "false")));
    scene_event(&scene, "broadcast", 9, NULL, NULL);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":9}\n");
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void a_place_in_the_ring_is_resumed_from_it(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *first = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 0);
    for (uint64_t i = 1; i <= 5; i++)
        scene_event(&scene, "broadcast", i, NULL, NULL);
    fw_session_t *session = resume(&scene, "broadcast", TEST_EPOCH, 3);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session),
                        WELCOME("2", STANDING("broadcast", "3", "true")) "{\"n\":4}\n{\"n\":5}\n");
    fw_session_t *level = resume(&scene, "broadcast", TEST_EPOCH, 5);
    assert_string_equal(scene_sent(&scene, level),
                        WELCOME("3", STANDING("broadcast", "5", "true")));
    scene_leave(&scene, &first);
    scene_leave(&scene, &session);
    scene_leave(&scene, &level);
    scene_end(&scene);
}

static void an_older_place_is_resumed_by_a_replay(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = resume(&scene, "broadcast", TEST_EPOCH, 3);
    scene_answer(&scene, TEST_EPOCH, 6);
    assert_int_equal(session->state, FW_SESSION_WAITING);
    fw_session_t *second = resume(&scene, "broadcast", TEST_EPOCH, 4);
    scene_event(&scene, "broadcast", 7, NULL, NULL);
    replay(&scene, "broadcast", 4, 6, 7);
    (void)scene_marked(&scene);
    assert_string_equal(
        scene_sent(&scene, session),
        WELCOME("1",
                STANDING("broadcast", "3", "true")) "{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n");
    assert_string_equal(
        scene_sent(&scene, second),
        WELCOME("2", STANDING("broadcast", "4", "true")) "{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n");
    assert_int_equal(fw_hub_counts(scene.hub)->replays_complete, 1);
    scene_leave(&scene, &session);
    scene_leave(&scene, &second);
    scene_end(&scene);
}

static void a_place_that_cannot_be_resumed_is_a_reset_after_the_welcome(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *gone = resume(&scene, "broadcast", TEST_EPOCH, 3);
    fw_session_t *other = resume(&scene, "broadcast", 99, 3);
    scene_answer(&scene, TEST_EPOCH, 60);
    assert_string_equal(scene_sent(&scene, other),
                        WELCOME("2", STANDING("broadcast", "60", "false"))
                            RESET("epoch", "broadcast", "5", "60"));
    replay(&scene, "broadcast", 1, 0, 60);
    assert_string_equal(scene_sent(&scene, gone), WELCOME("1", STANDING("broadcast", "60", "false"))
                                                      RESET("history", "broadcast", "5", "60"));
    assert_int_equal(fw_hub_counts(scene.hub)->resets[FW_RESET_EPOCH], 1);
    assert_int_equal(fw_hub_counts(scene.hub)->resets[FW_RESET_HISTORY], 1);
    scene_leave(&scene, &gone);
    scene_leave(&scene, &other);
    scene_end(&scene);
}

static void who_comes_while_the_broker_doubts_its_cache_is_told_to_bypass_it(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *fresh = join(&scene, "broadcast");
    fw_session_t *old = resume(&scene, "broadcast", 99, 3);
    fw_hub_doubt(fw_hub_find(scene.hub, FW_TEXT("broadcast")), true);
    scene_answer(&scene, TEST_EPOCH, 6);
    assert_string_equal(scene_sent(&scene, fresh), WELCOME("1", STANDING("broadcast", "6", "false"))
                                                       RESET("unconfirmed", "broadcast", "5", "6"));
    assert_string_equal(scene_sent(&scene, old), WELCOME("2", STANDING("broadcast", "6", "false"))
                                                     RESET("unconfirmed", "broadcast", "5", "6"));
    assert_int_equal(fw_hub_counts(scene.hub)->resets[FW_RESET_UNCONFIRMED], 2);
    fw_hub_doubt(fw_hub_find(scene.hub, FW_TEXT("broadcast")), false);
    fw_session_t *later = join(&scene, "broadcast");
    assert_null(strstr(scene_sent(&scene, later), "fw.reset"));
    scene_leave(&scene, &fresh);
    scene_leave(&scene, &old);
    scene_leave(&scene, &later);
    scene_end(&scene);
}

static void a_place_ahead_of_this_gateway_is_checked_with_the_broker(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *first = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 5);
    fw_session_t *ahead = resume(&scene, "broadcast", TEST_EPOCH, 7);
    fw_session_t *liar = resume(&scene, "broadcast", TEST_EPOCH, 700);
    assert_string_equal(scene_sent(&scene, ahead), "");
    scene_answer(&scene, TEST_EPOCH, 8);
    assert_string_equal(scene_sent(&scene, ahead),
                        WELCOME("2", STANDING("broadcast", "7", "true")));
    assert_string_equal(scene_sent(&scene, liar), WELCOME("3", STANDING("broadcast", "5", "false"))
                                                      RESET("history", "broadcast", "5", "5"));
    replay(&scene, "broadcast", 6, 8, 8);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, ahead), "{\"n\":8}\n");
    (void)scene_sent(&scene, first);
    scene_leave(&scene, &first);
    scene_leave(&scene, &ahead);
    scene_leave(&scene, &liar);
    scene_end(&scene);
}

static void a_new_epoch_resets_everybody_once(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *open = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 5);
    (void)scene_sent(&scene, open);
    scene_event(&scene, "broadcast", 6, NULL, NULL);
    (void)scene_marked(&scene);
    fw_hub_suspect(scene.hub);
    scene_answer(&scene, TEST_EPOCH + 1, 2);
    assert_int_equal(scene_marked(&scene), 1);
    assert_string_equal(scene_sent(&scene, open), RESET("epoch", "broadcast", "6", "2"));
    assert_string_equal(scene_sent(&scene, open), "");
    scene_leave(&scene, &open);
    scene_end(&scene);
}

static void a_session_not_yet_welcomed_is_not_told_of_what_it_never_had(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *first = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 5);
    fw_session_t *session = scene_session(&scene);
    fw_position_t place = {TEST_EPOCH, 5};
    (void)fw_hub_join(scene.hub, session, FW_TEXT("broadcast"), NULL, FW_TEXT_NONE);
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:1"), NULL, FW_TEXT_NONE);
    fw_hub_await(scene.hub, session);
    fw_session_t *placed = scene_session(&scene);
    (void)fw_hub_join(scene.hub, placed, FW_TEXT("broadcast"), &place, FW_TEXT_NONE);
    (void)fw_hub_join(scene.hub, placed, FW_TEXT("room:1"), NULL, FW_TEXT_NONE);
    fw_hub_await(scene.hub, placed);
    fw_channel_t *channel = fw_hub_find(scene.hub, FW_TEXT("broadcast"));
    fw_hub_suspect(scene.hub);
    fw_sync_position_asked(&channel->sync, ++scene.request, 0);
    fw_hub_position(scene.hub, channel, scene.request, (fw_position_t){TEST_EPOCH + 1, 2});
    scene_answer(&scene, TEST_EPOCH + 1, 2);
    assert_null(strstr(scene_sent(&scene, session), "fw.reset"));
    assert_non_null(strstr(scene_sent(&scene, placed), "\"offset\":\"2\",\"recovered\":false},"));
    scene_leave(&scene, &first);
    scene_leave(&scene, &session);
    scene_leave(&scene, &placed);
    scene_end(&scene);
}

static void subscribing_later_is_answered_with_the_request(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = join(&scene, "broadcast");
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:2"), NULL, FW_TEXT("r2"));
    scene_answer(&scene, TEST_EPOCH, 0);
    assert_string_equal(
        scene_sent(&scene, session),
        WELCOME("1", STANDING("broadcast", "0",
                              "false")) "{\"type\":\"fw.subscribed\",\"request_id\":\"r2\","
                                        "\"channel\":\"room:2\","
                                        "\"epoch\":\"5\",\"offset\":\"0\",\"recovered\":false}\n");
    fw_position_t place = {TEST_EPOCH, 0};
    scene_event(&scene, "room:2", 1, NULL, NULL);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":1}\n");
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:2"), &place, FW_TEXT("r3"));
    assert_string_equal(scene_sent(&scene, session),
                        "{\"type\":\"fw.subscribed\",\"request_id\":\"r3\",\"channel\":\"room:2\","
                        "\"epoch\":\"5\",\"offset\":\"0\",\"recovered\":true}\n{\"n\":1}\n");
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:2"), NULL, FW_TEXT("r4"));
    assert_string_equal(scene_sent(&scene, session),
                        "{\"type\":\"fw.subscribed\",\"request_id\":\"r4\",\"channel\":\"room:2\","
                        "\"epoch\":\"5\",\"offset\":\"1\",\"recovered\":false}\n");
    assert_int_equal(fw_hub_counts(scene.hub)->subscriptions, 2);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void leaving_ends_delivery_and_the_channel_after_a_while(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 0);
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:1"), NULL, FW_TEXT_NONE);
    (void)fw_hub_join(scene.hub, session, FW_TEXT("room:2"), NULL, FW_TEXT_NONE);
    scene_answer(&scene, TEST_EPOCH, 0);
    (void)scene_sent(&scene, session);
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    scene_event(&scene, "room:1", 1, NULL, NULL);
    scene_event(&scene, "room:2", 1, NULL, NULL);
    (void)scene_marked(&scene);
    assert_int_equal(fw_hub_leave(scene.hub, session, FW_TEXT("room:9"), 0), -ENOENT);
    assert_int_equal(fw_hub_leave(scene.hub, session, FW_TEXT("broadcast"), 100), 0);
    assert_int_equal(fw_hub_leave(scene.hub, session, FW_TEXT("broadcast"), 100), -ENOENT);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":1}\n{\"n\":1}\n");
    assert_non_null(fw_hub_find(scene.hub, FW_TEXT("broadcast")));
    fw_hub_tick(scene.hub, 1099);
    assert_non_null(fw_hub_find(scene.hub, FW_TEXT("broadcast")));
    fw_session_t *back = resume(&scene, "broadcast", TEST_EPOCH, 0);
    assert_non_null(strstr(scene_sent(&scene, back), "\"recovered\":true"));
    scene_leave(&scene, &back);
    fw_hub_tick(scene.hub, 5000);
    assert_null(fw_hub_find(scene.hub, FW_TEXT("broadcast")));
    fw_topic_change_t change;
    assert_true(fw_hub_next_change(scene.hub, &change));
    assert_false(change.subscribe);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void a_session_that_is_behind_is_not_marked(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 0);
    (void)scene_marked(&scene);
    session->behind = true;
    scene_event(&scene, "broadcast", 1, NULL, NULL);
    assert_int_equal(scene_marked(&scene), 0);
    assert_int_equal(session->first_dirty, 1);
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void all_rings_together_keep_their_bound(void **state)
{
    (void)state;
    fw_hub_limits_t limits = {.ring = {1000, 1 << 20}, .rings_bytes_max = 8000, .linger_ms = 1000};
    scene_t scene = {fw_hub_new(&limits), fw_gather_new(FW_ENCODING_JSON, false),
                     fw_gather_new(FW_ENCODING_JSON, true), 0, 0};
    fw_session_t *first = join(&scene, "room:1");
    fw_session_t *second = join(&scene, "room:2");
    scene_answer(&scene, TEST_EPOCH, 0);
    for (uint64_t i = 1; i <= 300; i++) {
        scene_event(&scene, "room:1", i, NULL, NULL);
        assert_true(fw_hub_counts(scene.hub)->rings_bytes <= 8000);
    }
    for (uint64_t i = 1; i <= 300; i++) {
        scene_event(&scene, "room:2", i, NULL, NULL);
        assert_true(fw_hub_counts(scene.hub)->rings_bytes <= 8000);
    }
    assert_int_equal(fw_ring_head(&fw_hub_find(scene.hub, FW_TEXT("room:2"))->sync.ring), 300);
    scene_leave(&scene, &first);
    scene_leave(&scene, &second);
    scene_end(&scene);
}

static void positions_are_audited_in_turn(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = scene_session(&scene);
    for (int i = 0; i < 9; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "room:%d", i);
        (void)fw_hub_join(scene.hub, session, fw_text(name), NULL, FW_TEXT_NONE);
    }
    scene_answer(&scene, TEST_EPOCH, 0);
    uint64_t before = scene.request;
    for (int i = 0; i < 3; i++)
        fw_hub_audit(scene.hub, 3);
    assert_true(fw_hub_wants(scene.hub));
    assert_false(fw_hub_wants(scene.hub));
    scene_answer(&scene, TEST_EPOCH, 0);
    assert_int_equal(scene.request - before, 9);
    before = scene.request;
    for (int i = 0; i < 30; i++) {
        fw_hub_audit(scene.hub, 30);
        scene_answer(&scene, TEST_EPOCH, 0);
    }
    assert_int_equal(scene.request - before, 9); /* few channels are not asked for every time */
    scene_leave(&scene, &session);
    scene_end(&scene);
}

static void a_lost_link_is_repaired_without_a_reset(void **state)
{
    (void)state;
    scene_t scene = scene_new(100);
    fw_session_t *session = join(&scene, "broadcast");
    scene_answer(&scene, TEST_EPOCH, 0);
    (void)scene_sent(&scene, session);
    fw_hub_link_lost(scene.hub);
    fw_session_t *late = join(&scene, "room:1");
    fw_topic_change_t change;
    unsigned changes = 0;
    while (fw_hub_next_change(scene.hub, &change))
        changes += change.subscribe;
    assert_int_equal(changes, 2);
    scene_answer(&scene, TEST_EPOCH, 3);
    replay(&scene, "broadcast", 1, 3, 3);
    (void)scene_marked(&scene);
    assert_string_equal(scene_sent(&scene, session), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_non_null(strstr(scene_sent(&scene, late), "fw.welcome"));
    scene_leave(&scene, &session);
    scene_leave(&scene, &late);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_welcome_waits_for_every_position),
        cmocka_unit_test(a_place_in_the_ring_is_resumed_from_it),
        cmocka_unit_test(an_older_place_is_resumed_by_a_replay),
        cmocka_unit_test(a_place_that_cannot_be_resumed_is_a_reset_after_the_welcome),
        cmocka_unit_test(who_comes_while_the_broker_doubts_its_cache_is_told_to_bypass_it),
        cmocka_unit_test(a_place_ahead_of_this_gateway_is_checked_with_the_broker),
        cmocka_unit_test(a_new_epoch_resets_everybody_once),
        cmocka_unit_test(a_session_not_yet_welcomed_is_not_told_of_what_it_never_had),
        cmocka_unit_test(subscribing_later_is_answered_with_the_request),
        cmocka_unit_test(leaving_ends_delivery_and_the_channel_after_a_while),
        cmocka_unit_test(a_session_that_is_behind_is_not_marked),
        cmocka_unit_test(all_rings_together_keep_their_bound),
        cmocka_unit_test(positions_are_audited_in_turn),
        cmocka_unit_test(a_lost_link_is_repaired_without_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
