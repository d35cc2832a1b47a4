/* test_delays.c - rules of channels that may wait, and the ticks at which their listeners are told.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/hub_fixture.h"

#include <errno.h>

static void a_rule_that_is_none_is_refused_by_name(void **state)
{
    (void)state;
    const char *const rules[] = {"",
                                 "max_delay_ms=5",
                                 "room:* max_delay_ms=1001",
                                 "room:* max_delay_ms=-1",
                                 "room:* max_delay_ms=5ms",
                                 "room:* max_delay_ms=5 max_delay_ms=6",
                                 "room:* delay=5"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        fw_delays_t *delays = NULL;
        fw_config_error_t error = {""};
        assert_int_equal(fw_delays_new(&rules[i], 1, &delays, &error), -EINVAL);
        assert_null(delays);
        assert_non_null(strstr(error.text, "gateway.channels"));
    }
}

static fw_delays_t *make_delays(const char *const *rules, size_t count)
{
    fw_delays_t *delays = NULL;
    fw_config_error_t error = {""};
    if (fw_delays_new(rules, count, &delays, &error) != 0)
        fail_msg("%s", error.text);
    return delays;
}

static void the_first_rule_that_matches_counts(void **state)
{
    (void)state;
    const char *const rules[] = {"room:quick-*", "room:* max_delay_ms=5", "* max_delay_ms=1000"};
    fw_delays_t *delays = make_delays(rules, 3);
    assert_int_equal(fw_delays_find(delays, FW_TEXT("room:quick-1")), 0);
    assert_int_equal(fw_delays_find(delays, FW_TEXT("room:1")), 5);
    assert_int_equal(fw_delays_find(delays, FW_TEXT("broadcast")), 1000);
    fw_delays_destroy(&delays);
    assert_null(delays);
    delays = make_delays(rules, 1);
    assert_int_equal(fw_delays_find(delays, FW_TEXT("broadcast")), 0);
    fw_delays_destroy(&delays);
}

/* ------ ticks */

typedef struct {
    scene_t scene;
    fw_delays_t *delays;
} stage_t;

static stage_t stage_new(void)
{
    static const char *const rules[] = {"room:* max_delay_ms=10", "user:* max_delay_ms=7"};
    stage_t stage = {.scene = scene_new(100), .delays = make_delays(rules, 2)};
    fw_hub_limits_t limits = {
        .ring = {100, 1 << 20},
        .rings_bytes_max = 16 << 20,
        .linger_ms = 1000,
        .delays = stage.delays,
    };
    fw_hub_destroy(&stage.scene.hub);
    stage.scene.hub = fw_hub_new(&limits);
    return stage;
}

static void stage_end(stage_t *stage)
{
    scene_end(&stage->scene);
    fw_delays_destroy(&stage->delays);
}

static fw_session_t *open_on(scene_t *scene, const char *const *names, size_t count)
{
    fw_session_t *session = scene_session(scene);
    for (size_t i = 0; i < count; i++)
        (void)fw_hub_join(scene->hub, session, fw_text(names[i]), NULL, FW_TEXT_NONE);
    scene_answer(scene, TEST_EPOCH, 0);
    fw_hub_await(scene->hub, session);
    (void)scene_sent(scene, session);
    (void)scene_marked(scene);
    return session;
}

static void without_a_rule_nothing_waits(void **state)
{
    (void)state;
    const char *const names[] = {"broadcast"};
    stage_t stage = stage_new();
    fw_session_t *session = open_on(&stage.scene, names, 1);
    scene_event(&stage.scene, "broadcast", 1, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1001), 0);
    assert_int_equal(scene_marked(&stage.scene), 1);
    scene_leave(&stage.scene, &session);
    stage_end(&stage);
}

static void events_of_a_tick_share_a_write(void **state)
{
    (void)state;
    const char *const names[] = {"room:1", "room:2"};
    stage_t stage = stage_new();
    fw_session_t *session = open_on(&stage.scene, names, 2);
    scene_event(&stage.scene, "room:1", 1, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1003), 1010);
    assert_int_equal(scene_marked(&stage.scene), 0);
    scene_event(&stage.scene, "room:1", 2, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1005), 1010);
    scene_event(&stage.scene, "room:2", 1, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1009), 1010);
    assert_int_equal(scene_marked(&stage.scene), 0);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1010), 0);
    assert_int_equal(scene_marked(&stage.scene), 1);
    assert_string_equal(scene_sent(&stage.scene, session), "{\"n\":1}\n{\"n\":2}\n{\"n\":1}\n");
    scene_leave(&stage.scene, &session);
    stage_end(&stage);
}

static void a_channel_that_does_not_wait_takes_nobody_along(void **state)
{
    (void)state;
    const char *const names[] = {"room:1", "broadcast"};
    stage_t stage = stage_new();
    fw_session_t *session = open_on(&stage.scene, names, 2);
    scene_event(&stage.scene, "room:1", 1, NULL, NULL);
    scene_event(&stage.scene, "broadcast", 1, NULL, NULL);
    (void)fw_hub_pace(stage.scene.hub, 1001);
    assert_int_equal(scene_marked(&stage.scene), 1);
    assert_string_equal(scene_sent(&stage.scene, session), "{\"n\":1}\n");
    assert_int_equal(session->subscriptions[0].cursor, 0);
    (void)fw_hub_pace(stage.scene.hub, 1010);
    assert_int_equal(scene_marked(&stage.scene), 1);
    assert_string_equal(scene_sent(&stage.scene, session), "{\"n\":1}\n");
    scene_leave(&stage.scene, &session);
    stage_end(&stage);
}

static void each_delay_has_its_own_ticks(void **state)
{
    (void)state;
    const char *const names[] = {"room:1", "user:9"};
    stage_t stage = stage_new();
    fw_session_t *session = open_on(&stage.scene, names, 2);
    scene_event(&stage.scene, "room:1", 1, NULL, NULL);
    scene_event(&stage.scene, "user:9", 1, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1000), 1001);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1001), 1010);
    assert_int_equal(scene_marked(&stage.scene), 1);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1010), 0);
    assert_int_equal(scene_marked(&stage.scene), 1);
    assert_string_equal(scene_sent(&stage.scene, session), "{\"n\":1}\n{\"n\":1}\n");
    scene_leave(&stage.scene, &session);
    stage_end(&stage);
}

static void many_channels_are_each_told_once_a_tick(void **state)
{
    (void)state;
    enum { ROOMS = 300 };
    stage_t stage = stage_new();
    fw_session_t *sessions[ROOMS];
    char names[ROOMS][16];
    for (size_t i = 0; i < ROOMS; i++) {
        (void)snprintf(names[i], sizeof names[i], i % 3 ? "room:%zu" : "user:%zu", i);
        const char *name = names[i];
        sessions[i] = open_on(&stage.scene, &name, 1);
    }
    for (uint64_t offset = 1; offset <= 20; offset++) {
        int64_t now_ms = (int64_t)offset * 70;
        size_t told = 0;
        for (size_t i = 0; i < ROOMS; i++)
            scene_event(&stage.scene, names[i], offset, NULL, NULL);
        for (int64_t next_ms = now_ms; next_ms != 0;) {
            next_ms = fw_hub_pace(stage.scene.hub, next_ms);
            told += scene_marked(&stage.scene);
            assert_true(next_ms <= now_ms + 10);
        }
        assert_int_equal(told, ROOMS);
    }
    for (size_t i = 0; i < ROOMS; i++)
        scene_leave(&stage.scene, &sessions[i]);
    stage_end(&stage);
}

static void a_channel_that_goes_while_it_waits_is_forgotten(void **state)
{
    (void)state;
    const char *const names[] = {"room:1", "room:2"};
    stage_t stage = stage_new();
    fw_session_t *session = open_on(&stage.scene, names, 2);
    scene_event(&stage.scene, "room:1", 1, NULL, NULL);
    scene_event(&stage.scene, "room:2", 1, NULL, NULL);
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1001), 1010);
    assert_int_equal(fw_hub_leave(stage.scene.hub, session, FW_TEXT("room:1"), 0), 0);
    fw_hub_tick(stage.scene.hub, 100000);
    assert_null(fw_hub_find(stage.scene.hub, FW_TEXT("room:1")));
    assert_int_equal(fw_hub_pace(stage.scene.hub, 1010), 0);
    assert_int_equal(scene_marked(&stage.scene), 1);
    scene_leave(&stage.scene, &session);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_that_is_none_is_refused_by_name),
        cmocka_unit_test(the_first_rule_that_matches_counts),
        cmocka_unit_test(without_a_rule_nothing_waits),
        cmocka_unit_test(events_of_a_tick_share_a_write),
        cmocka_unit_test(a_channel_that_does_not_wait_takes_nobody_along),
        cmocka_unit_test(each_delay_has_its_own_ticks),
        cmocka_unit_test(many_channels_are_each_told_once_a_tick),
        cmocka_unit_test(a_channel_that_goes_while_it_waits_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
