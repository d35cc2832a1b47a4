/* test_dialogue.c - how sessions begin and what their clients may say.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/dialogue_fixture.h"

static void refusals_have_their_code(void **state)
{
    (void)state;
    const struct {
        const char *path;
        fw_subprotocol_t subprotocol;
        const char *claims;
        fw_close_code_t code;
    } cases[] = {
        {"/ws", FW_SUBPROTOCOL_UNKNOWN, NULL, FW_CLOSE_NO_PROTOCOL},
        {"/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":7}", FW_CLOSE_TOKEN_REFUSED},
        {"/ws", FW_SUBPROTOCOL_OURS, "{\"sub\":7}", FW_CLOSE_TOKEN_REFUSED},
        {"/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"a\",\"exp\":1}", FW_CLOSE_TOKEN_EXPIRED},
        {"/ws/room/5", FW_SUBPROTOCOL_NONE, "{\"sub\":\"a\",\"rooms\":[\"6\"]}",
         FW_CLOSE_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_t stage = stage_new();
        fw_close_t result = open_with(&stage, cases[i].path, cases[i].subprotocol, cases[i].claims);
        assert_int_equal(result.code, cases[i].code);
        assert_true(strlen(result.reason) > 0 && strlen(result.reason) <= 123);
        assert_int_equal(stage.session->count, 0);
        stage_end(&stage);
    }
}

static void a_plain_client_is_welcomed_at_once(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL).code, FW_CLOSE_NONE);
    assert_int_equal(stage.session->state, FW_SESSION_OPEN);
    assert_true(listens(&stage, "broadcast"));
    assert_int_equal(stage.session->count, 1);
    assert_null(strstr(sent(&stage), "user_id"));
    stage_end(&stage);
    stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}");
    assert_true(listens(&stage, "broadcast") && listens(&stage, "user:alice"));
    assert_non_null(strstr(sent(&stage), "\"user_id\":\"alice\""));
    stage_end(&stage);
    stage = stage_new();
    (void)open_with(&stage, "/ws/notifications", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}");
    assert_true(listens(&stage, "user:alice"));
    assert_int_equal(stage.session->count, 1);
    stage_end(&stage);
    stage = stage_new();
    (void)open_with(&stage, "/ws/room/42", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}");
    assert_true(listens(&stage, "room:42"));
    assert_int_equal(stage.session->count, 1);
    stage_end(&stage);
}

static void a_plain_client_without_the_token_it_needs_may_still_greet(void **state)
{
    (void)state;
    const char *paths[] = {"/ws/notifications", "/ws/room/42"};
    for (size_t i = 0; i < 2; i++) {
        stage_t stage = stage_new();
        assert_int_equal(open_with(&stage, paths[i], FW_SUBPROTOCOL_NONE, NULL).code,
                         FW_CLOSE_NONE);
        assert_int_equal(stage.session->state, FW_SESSION_GREETING);
        assert_string_equal(sent(&stage), "");
        assert_int_equal(fw_dialogue_late(stage.session).code, FW_CLOSE_TOKEN_REFUSED);
        assert_int_equal(hello(&stage, "{\"sub\":\"alice\"}", "").code, FW_CLOSE_NONE);
        assert_int_equal(stage.session->state, FW_SESSION_OPEN);
        assert_non_null(strstr(sent(&stage), "fw.welcome"));
        stage_end(&stage);
    }
}

static void nothing_is_delivered_before_the_hello(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, NULL);
    assert_int_equal(stage.session->state, FW_SESSION_GREETING);
    assert_int_equal(stage.session->count, 0);
    assert_int_equal(fw_dialogue_late(stage.session).code, FW_CLOSE_BAD_REQUEST);
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"request_id\":\"1\",\"channel\":\"broadcast\"}");
    assert_string_equal(sent(&stage), "{\"type\":\"fw.error\",\"request_id\":\"1\",\"code\":4400,"
                                      "\"reason\":\"fw.hello is expected\",\"temporary\":false}\n");
    (void)say(&stage, "{\"type\":\"fw.ping\"}");
    assert_string_equal(sent(&stage), "{\"type\":\"fw.pong\"}\n");
    (void)hello(&stage, NULL, "");
    assert_non_null(strstr(sent(&stage), "fw.welcome"));
    stage_end(&stage);
}

static void a_hello_is_refused_like_an_opening(void **state)
{
    (void)state;
    const struct {
        const char *path, *claims;
        fw_close_code_t code;
    } cases[] = {
        {"/ws", "{\"sub\":\"a\",\"exp\":5}", FW_CLOSE_TOKEN_EXPIRED},
        {"/ws", "{}", FW_CLOSE_TOKEN_REFUSED},
        {"/ws/notifications", NULL, FW_CLOSE_TOKEN_REFUSED},
        {"/ws/room/42", NULL, FW_CLOSE_TOKEN_REFUSED},
        {"/ws/room/42", "{\"sub\":\"a\",\"rooms\":[]}", FW_CLOSE_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_t stage = stage_new();
        (void)open_with(&stage, cases[i].path, FW_SUBPROTOCOL_OURS, NULL);
        assert_int_equal(hello(&stage, cases[i].claims, "").code, cases[i].code);
        stage_end(&stage);
    }
    stage_t stage = stage_new();
    stage.dialogue.anonymous = false;
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, NULL);
    assert_int_equal(hello(&stage, NULL, "").code, FW_CLOSE_TOKEN_REFUSED);
    stage_end(&stage);
    stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, "{\"sub\":\"alice\"}");
    assert_int_equal(hello(&stage, "{\"sub\":\"bob\"}", "").code, FW_CLOSE_FORBIDDEN);
    stage_end(&stage);
}

static void a_hello_subscribes_with_positions_and_is_told_what_it_may_not(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, NULL);
    (void)hello(&stage, "{\"sub\":\"alice\",\"rooms\":[\"4*\"]}",
                ",\"origin\":\"tab-7\",\"batch\":true,\"subscriptions\":["
                "{\"channel\":\"broadcast\",\"epoch\":\"5\",\"offset\":\"0\"},"
                "{\"channel\":\"room:42\"},{\"channel\":\"room:5\"},{\"channel\":\"nonsense\"}]");
    assert_string_equal(
        sent(&stage),
        "{\"type\":\"fw.error\",\"code\":4403,\"reason\":\"the token does not allow this\","
        "\"temporary\":false,\"channel\":\"room:5\"}\n"
        "{\"type\":\"fw.error\",\"code\":4400,\"reason\":\"not the name of a channel\","
        "\"temporary\":false,\"channel\":\"nonsense\"}\n"
        "{\"type\":\"fw.welcome\",\"session_id\":\"0000000000000001\",\"user_id\":\"alice\","
        "\"ping_interval_ms\":25000,\"reconnect_window_ms\":2000,\"subscriptions\":["
        "{\"channel\":\"broadcast\",\"epoch\":\"5\",\"offset\":\"0\",\"recovered\":true},"
        "{\"channel\":\"user:alice\",\"epoch\":\"5\",\"offset\":\"0\",\"recovered\":false},"
        "{\"channel\":\"room:42\",\"epoch\":\"5\",\"offset\":\"0\",\"recovered\":false}]}\n");
    assert_true(stage.session->batch);
    assert_string_equal(fw_session_origin(stage.session).text, "tab-7");
    (void)hello(&stage, NULL, ",\"request_id\":\"2\"");
    assert_string_equal(sent(&stage), "{\"type\":\"fw.error\",\"request_id\":\"2\",\"code\":4400,"
                                      "\"reason\":\"fw.hello was said\",\"temporary\":false}\n");
    stage_end(&stage);
}

static void a_plain_client_that_greets_later_goes_back_to_its_place(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL);
    (void)sent(&stage);
    scene_event(&stage.scene, "broadcast", 1, NULL, NULL);
    scene_event(&stage.scene, "broadcast", 2, NULL, NULL);
    assert_string_equal(sent(&stage), "{\"n\":1}\n{\"n\":2}\n");
    (void)hello(
        &stage, "{\"sub\":\"alice\"}",
        ",\"subscriptions\":[{\"channel\":\"broadcast\",\"epoch\":\"5\",\"offset\":\"1\"}]");
    const char *text = sent(&stage);
    assert_non_null(strstr(text, "\"offset\":\"1\",\"recovered\":true"));
    assert_non_null(strstr(text, "user:alice"));
    assert_non_null(strstr(text, "]}\n{\"n\":2}\n"));
    stage_end(&stage);
}

static void channels_are_limited(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}");
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"channel\":\"room:1\"}");
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"channel\":\"room:2\"}");
    (void)sent(&stage);
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"request_id\":\"9\",\"channel\":\"room:3\"}");
    assert_string_equal(sent(&stage), "{\"type\":\"fw.error\",\"request_id\":\"9\",\"code\":4290,"
                                      "\"reason\":\"too many channels\",\"temporary\":true,"
                                      "\"channel\":\"room:3\"}\n");
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"channel\":\"room:2\"}");
    assert_non_null(strstr(sent(&stage), "fw.subscribed"));
    (void)say(&stage, "{\"type\":\"fw.unsubscribe\",\"request_id\":\"8\",\"channel\":\"room:1\"}");
    assert_string_equal(sent(&stage), "{\"type\":\"fw.unsubscribed\",\"request_id\":\"8\","
                                      "\"channel\":\"room:1\"}\n");
    (void)say(&stage, "{\"type\":\"fw.unsubscribe\",\"request_id\":\"8\",\"channel\":\"room:1\"}");
    assert_non_null(strstr(sent(&stage), "not subscribed"));
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"request_id\":\"9\",\"channel\":\"room:3\"}");
    assert_non_null(strstr(sent(&stage), "fw.subscribed"));
    stage_end(&stage);
}

static void anonymous_sessions_get_no_rooms_and_no_users(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL);
    (void)sent(&stage);
    const char *names[] = {"room:1", "user:alice"};
    for (size_t i = 0; i < 2; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "{\"type\":\"fw.subscribe\",\"channel\":\"%s\"}",
                       names[i]);
        assert_int_equal(say(&stage, text).code, FW_CLOSE_NONE);
        assert_non_null(strstr(sent(&stage), "\"code\":4403"));
        assert_false(listens(&stage, names[i]));
    }
    stage_end(&stage);
}

static void bad_messages_are_answered_and_the_session_goes_on(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL);
    (void)sent(&stage);
    const char *texts[] = {"x", "[]", "{\"type\":\"fw.nope\"}", "{\"type\":\"chat\"}", "{}"};
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            assert_int_equal(say(&stage, texts[i]).code, FW_CLOSE_NONE);
            assert_non_null(strstr(sent(&stage), "\"type\":\"fw.error\",\"code\":4400"));
        }
    }
    stage_end(&stage);
}

static void too_many_messages_end_the_session(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    (void)open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL);
    for (int i = 0; i < FW_MESSAGES_BURST; i++)
        assert_int_equal(say(&stage, "{\"type\":\"fw.pong\"}").code, FW_CLOSE_NONE);
    assert_int_equal(say(&stage, "{\"type\":\"fw.pong\"}").code, FW_CLOSE_TOO_MANY);
    stage_end(&stage);
}

static void a_subscription_asked_for_before_the_welcome_is_answered_after_it(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    stage.route = fw_route_parse(FW_TEXT_NONE, FW_TEXT("/ws"));
    char *token = make_good_token("{\"sub\":\"alice\"}");
    fw_opening_t opening = {.route = stage.route,
                            .subprotocol = FW_SUBPROTOCOL_NONE,
                            .door = FW_DOOR_HEADER,
                            .token = fw_text(token),
                            .origin = FW_TEXT("tab-1")};
    stage.session = scene_session(&stage.scene);
    fw_close_t opened = fw_dialogue_open(&stage.dialogue, stage.session, &opening, 0, WALL);
    assert_int_equal(opened.code, FW_CLOSE_NONE);
    free(token);
    assert_int_equal(stage.session->state, FW_SESSION_WAITING);
    const char *text = "{\"type\":\"fw.subscribe\",\"request_id\":\"1\",\"channel\":\"room:1\"}";
    fw_close_t asked =
        fw_dialogue_message(&stage.dialogue, stage.session, &stage.route, bytes_of(text), 0, WALL);
    assert_int_equal(asked.code, FW_CLOSE_NONE);
    scene_answer(&stage.scene, TEST_EPOCH, 0);
    const char *all = sent(&stage);
    assert_non_null(strstr(all, "fw.welcome"));
    assert_true(strstr(all, "fw.welcome") < strstr(all, "fw.subscribed"));
    assert_string_equal(fw_session_origin(stage.session).text, "tab-1");
    stage_end(&stage);
}

static void a_bad_origin_is_refused(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    fw_opening_t opening = {.route = fw_route_parse(FW_TEXT_NONE, FW_TEXT("/ws")),
                            .subprotocol = FW_SUBPROTOCOL_NONE,
                            .door = FW_DOOR_QUERY,
                            .token = FW_TEXT_NONE,
                            .origin = FW_TEXT("tab\n1")};
    stage.session = scene_session(&stage.scene);
    assert_int_equal(fw_dialogue_open(&stage.dialogue, stage.session, &opening, 0, WALL).code,
                     FW_CLOSE_BAD_REQUEST);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_have_their_code),
        cmocka_unit_test(a_plain_client_is_welcomed_at_once),
        cmocka_unit_test(a_plain_client_without_the_token_it_needs_may_still_greet),
        cmocka_unit_test(nothing_is_delivered_before_the_hello),
        cmocka_unit_test(a_hello_is_refused_like_an_opening),
        cmocka_unit_test(a_hello_subscribes_with_positions_and_is_told_what_it_may_not),
        cmocka_unit_test(a_plain_client_that_greets_later_goes_back_to_its_place),
        cmocka_unit_test(channels_are_limited),
        cmocka_unit_test(anonymous_sessions_get_no_rooms_and_no_users),
        cmocka_unit_test(bad_messages_are_answered_and_the_session_goes_on),
        cmocka_unit_test(too_many_messages_end_the_session),
        cmocka_unit_test(a_subscription_asked_for_before_the_welcome_is_answered_after_it),
        cmocka_unit_test(a_bad_origin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
