/* test_dialogue_token.c - tokens of sessions, and of sessions that go on.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/dialogue_fixture.h"

#include <errno.h>

static const char *refresh(stage_t *stage, const char *claims)
{
    static char text[8192];
    char *token = claims ? make_good_token(claims) : NULL;
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"fw.refresh\",\"request_id\":\"7\",\"token\":\"%s\"}",
                   token ? token : "x");
    free(token);
    assert_int_equal(say(stage, text).code, FW_CLOSE_NONE);
    return sent(stage);
}

static void a_token_is_not_replaced_by_one_that_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *claims, *code;
    } cases[] = {
        {NULL, "\"code\":4101"},
        {"{\"sub\":\"alice\",\"exp\":1}", "\"code\":4100"},
        {"{\"sub\":\"alice\",\"nbf\":2000000}", "\"code\":4101"},
        {"{\"sub\":\"bob\"}", "\"code\":4403"},
        {"{\"sub\":\"alice2\",\"rooms\":[\"*\"]}", "\"code\":4403"},
    };
    stage_t stage = stage_new();
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, NULL).code, FW_CLOSE_NONE);
    /* Before fw.hello there is nothing to refresh. */
    assert_non_null(strstr(refresh(&stage, "{\"sub\":\"alice\"}"), "fw.hello is expected"));
    const char *claims = "{\"sub\":\"alice\",\"exp\":1000100,\"rooms\":[\"1\"]}";
    assert_int_equal(hello(&stage, claims, ",\"subscriptions\":[{\"channel\":\"room:1\"}]").code,
                     FW_CLOSE_NONE);
    (void)sent(&stage);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = refresh(&stage, cases[i].claims);
        assert_non_null(strstr(text, "fw.error"));
        assert_non_null(strstr(text, "\"request_id\":\"7\""));
        assert_non_null(strstr(text, cases[i].code));
        assert_int_equal(fw_claims_expires_s(stage.session->claims), 1000100);
        assert_true(listens(&stage, "room:1") && listens(&stage, "user:alice"));
        assert_false(listens(&stage, "user:bob"));
    }
    stage_end(&stage);
}

static int last_verdicts[FW_DOORS];

static void note_verdict(void *context, fw_door_t door, int result)
{
    (void)context;
    last_verdicts[door] = result;
}

static void a_token_that_cannot_be_looked_at_is_refused(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    stage.dialogue.judged = note_verdict;
    fw_opening_t opening = {.route = fw_route_parse(FW_TEXT_NONE, FW_TEXT("/ws")),
                            .subprotocol = FW_SUBPROTOCOL_OURS,
                            .door = FW_DOOR_COOKIE,
                            .token = FW_TEXT_NONE,
                            .token_refused = "why not",
                            .origin = FW_TEXT_NONE};
    stage.session = scene_session(&stage.scene);
    fw_close_t result = fw_dialogue_open(&stage.dialogue, stage.session, &opening, 0, WALL);
    assert_int_equal(result.code, FW_CLOSE_TOKEN_REFUSED);
    assert_string_equal(result.reason, "why not");
    assert_int_equal(last_verdicts[FW_DOOR_COOKIE], -EACCES);
    stage_end(&stage);
}

static void a_token_whose_key_may_come_is_told_to_wait(void **state)
{
    (void)state;
    signer_t *signer = signer_new(FW_KEY_EDDSA, "next", 0);
    char *token = signer_token(signer, "{\"sub\":\"alice\"}");
    stage_t stage = stage_new();
    const fw_auth_policy_t awaiting = {.leeway_s = 5, .awaits = true};
    fw_auth_set_policy(stage.auth, &awaiting);
    fw_opening_t opening = {.route = fw_route_parse(FW_TEXT_NONE, FW_TEXT("/ws")),
                            .subprotocol = FW_SUBPROTOCOL_OURS,
                            .door = FW_DOOR_HEADER,
                            .token = fw_text(token),
                            .origin = FW_TEXT_NONE};
    stage.session = scene_session(&stage.scene);
    fw_close_t result = fw_dialogue_open(&stage.dialogue, stage.session, &opening, 0, WALL);
    assert_int_equal(result.code, FW_CLOSE_KEY_UNKNOWN);
    scene_leave(&stage.scene, &stage.session);
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}").code,
                     FW_CLOSE_NONE);
    (void)sent(&stage);
    char text[1024];
    (void)snprintf(text, sizeof text, "{\"type\":\"fw.refresh\",\"token\":\"%s\"}", token);
    assert_int_equal(say(&stage, text).code, FW_CLOSE_NONE);
    assert_non_null(strstr(sent(&stage), "\"code\":4201,"));
    free(token);
    stage_end(&stage);
    signer_destroy(&signer);
}

static void an_anonymous_session_does_not_become_somebody(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, NULL).code, FW_CLOSE_NONE);
    (void)sent(&stage);
    assert_non_null(strstr(refresh(&stage, "{\"sub\":\"alice\"}"), "\"code\":4403"));
    assert_null(stage.session->claims);
    stage_end(&stage);
}

static void a_new_token_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    assert_int_equal(
        open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\",\"exp\":1000100}").code,
        FW_CLOSE_NONE);
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"request_id\":\"1\",\"channel\":\"room:1\"}");
    (void)say(&stage, "{\"type\":\"fw.subscribe\",\"request_id\":\"2\",\"channel\":\"room:2\"}");
    (void)sent(&stage);
    stage.session->expired = true;
    const char *text = refresh(&stage, "{\"sub\":\"alice\",\"exp\":1000900,\"rooms\":[\"2\"]}");
    assert_non_null(strstr(text, "{\"type\":\"fw.refreshed\",\"request_id\":\"7\","
                                 "\"expires_in_ms\":900000}"));
    assert_non_null(strstr(text, "{\"type\":\"fw.unsubscribed\",\"channel\":\"room:1\","
                                 "\"reason\":\"forbidden\"}"));
    assert_null(strstr(text, "room:2"));
    assert_false(stage.session->expired);
    assert_false(listens(&stage, "room:1"));
    assert_true(listens(&stage, "room:2"));
    assert_true(listens(&stage, "broadcast") && listens(&stage, "user:alice"));
    text = refresh(&stage, "{\"sub\":\"alice\",\"rooms\":[]}");
    assert_non_null(strstr(text, "{\"type\":\"fw.refreshed\",\"request_id\":\"7\"}"));
    assert_int_equal(stage.session->count, 2);
    stage_end(&stage);
}

static void tokens_that_come_too_fast_end_the_session(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_NONE, "{\"sub\":\"alice\"}").code,
                     FW_CLOSE_NONE);
    int taken = 0;
    fw_close_t result = FW_CLOSE_NOT;
    while (taken < FW_MESSAGES_BURST && result.code == FW_CLOSE_NONE) {
        result = say(&stage, "{\"type\":\"fw.refresh\",\"token\":\"a.b.c\"}");
        taken++;
    }
    assert_int_equal(result.code, FW_CLOSE_TOO_MANY);
    assert_int_equal(taken, FW_MESSAGES_BURST / FW_REFRESH_COST + 1);
    stage_end(&stage);
}

static void every_token_is_reported_with_its_door(void **state)
{
    (void)state;
    stage_t stage = stage_new();
    stage.dialogue.judged = note_verdict;
    for (int door = 0; door < FW_DOORS; door++)
        last_verdicts[door] = 1;
    assert_int_equal(open_with(&stage, "/ws", FW_SUBPROTOCOL_OURS, "{\"sub\":\"alice\"}").code,
                     FW_CLOSE_NONE);
    assert_int_equal(last_verdicts[FW_DOOR_QUERY], 0);
    assert_int_equal(hello(&stage, "{\"sub\":\"alice\"}", "").code, FW_CLOSE_NONE);
    assert_int_equal(last_verdicts[FW_DOOR_HELLO], 0);
    (void)refresh(&stage, "{\"sub\":\"alice\",\"exp\":1}");
    assert_int_equal(last_verdicts[FW_DOOR_REFRESH], -EKEYEXPIRED);
    assert_int_equal(last_verdicts[FW_DOOR_COOKIE], 1);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_not_replaced_by_one_that_is_refused),
        cmocka_unit_test(a_token_that_cannot_be_looked_at_is_refused),
        cmocka_unit_test(a_token_whose_key_may_come_is_told_to_wait),
        cmocka_unit_test(an_anonymous_session_does_not_become_somebody),
        cmocka_unit_test(a_new_token_takes_the_place_of_the_old_one),
        cmocka_unit_test(tokens_that_come_too_fast_end_the_session),
        cmocka_unit_test(every_token_is_reported_with_its_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
