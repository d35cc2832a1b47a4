/* test_claims.c - what a session may do.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include <jansson.h>

#include "gateway/claims.h"

static int parse(const char *text, fw_claims_t **ret_claims)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    int result = fw_claims_parse(json, ret_claims);
    json_decref(json);
    return result;
}

static void what_is_no_claim_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {
        "{}",
        "[]",
        "{\"sub\":7}",
        "{\"sub\":\"\"}",
        "{\"sub\":\"a\\tb\"}",
        "{\"sub\":[\"a\"]}",
        "{\"sub\":\"a\",\"exp\":\"1\"}",
        "{\"sub\":\"a\",\"exp\":-1}",
        "{\"sub\":\"a\",\"exp\":1e16}",
        "{\"sub\":\"a\",\"exp\":null}",
        "{\"sub\":\"a\",\"rooms\":\"*\"}",
        "{\"sub\":\"a\",\"rooms\":null}",
        "{\"sub\":\"a\",\"publish\":true}",
        "{\"sub\":\"a\",\"publish\":{\"*\":1}}",
        "{\"sub\":\"a\",\"presence\":[[\"*\"]]}",
        "{\"sub\":\"a\",\"presence\":[\"x\",7]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fw_claims_t *claims = NULL;
        assert_int_equal(parse(texts[i], &claims), -EINVAL);
        assert_null(claims);
    }
}

static void too_many_patterns_are_refused_and_so_is_one_that_is_too_long(void **state)
{
    (void)state;
    fw_text_t many[FW_CLAIM_PATTERNS_MAX + 1];
    char long_one[FW_CHANNEL_ID_SIZE_MAX + 1];
    memset(long_one, 'a', sizeof long_one);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = FW_TEXT("r");
    for (int action = 0; action < FW_ACTIONS; action++) {
        fw_claims_terms_t terms = {.user = FW_TEXT("u")};
        fw_text_t text = {long_one, FW_CHANNEL_ID_SIZE_MAX + 1};
        fw_claims_t *claims = NULL;
        terms.rooms[action] = (fw_claim_t){true, many, FW_CLAIM_PATTERNS_MAX + 1};
        assert_int_equal(fw_claims_new(&terms, &claims), -EINVAL);
        terms.rooms[action] = (fw_claim_t){true, &text, 1};
        assert_int_equal(fw_claims_new(&terms, &claims), -EINVAL);
        text.size--;
        assert_int_equal(fw_claims_new(&terms, &claims), 0);
        fw_claims_destroy(&claims);
        terms.rooms[action] = (fw_claim_t){true, many, FW_CLAIM_PATTERNS_MAX};
        assert_int_equal(fw_claims_new(&terms, &claims), 0);
        assert_true(fw_claims_may(claims, (fw_action_t)action, FW_TEXT("room:r")));
        fw_claims_destroy(&claims);
    }
}

static void anonymous_sessions_listen_to_the_broadcast_and_do_nothing_else(void **state)
{
    (void)state;
    const char *channels[] = {"broadcast", "user:a", "room:1", "nonsense", ""};
    for (int action = 0; action < FW_ACTIONS; action++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
            assert_int_equal(fw_claims_may(NULL, (fw_action_t)action, fw_text(channels[i])),
                             action == FW_ACTION_LISTEN && i == 0);
}

typedef struct {
    const char *channel;
    bool listen, publish, presence;
} case_t;

static void check_cases(const fw_claims_t *claims, const case_t *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fw_text_t channel = fw_text(cases[i].channel);
        assert_int_equal(fw_claims_may(claims, FW_ACTION_LISTEN, channel), cases[i].listen);
        assert_int_equal(fw_claims_may(claims, FW_ACTION_PUBLISH, channel), cases[i].publish);
        assert_int_equal(fw_claims_may(claims, FW_ACTION_PRESENCE, channel), cases[i].presence);
    }
}

static void absent_claims_allow_to_listen_and_nothing_else(void **state)
{
    (void)state;
    const case_t cases[] = {
        {"broadcast", true, false, false}, {"user:a", true, false, false},
        {"user:ab", false, false, false},  {"room:any", true, false, false},
        {"room:", false, false, false},
    };
    fw_claims_t *claims = NULL;
    assert_int_equal(parse("{\"sub\":\"a\"}", &claims), 0);
    assert_int_equal(fw_claims_expires_s(claims), 0);
    /* The codec of the broker's links wants it so. */
    assert_string_equal(fw_claims_user(claims).text, "a");
    check_cases(claims, cases, sizeof cases / sizeof *cases);
    fw_claims_destroy(&claims);
}

static void each_action_has_patterns_of_its_own(void **state)
{
    (void)state;
    const case_t cases[] = {
        {"room:org-1:x", true, false, false}, {"room:lobby", true, true, false},
        {"room:chat-7", false, true, true},   {"room:chat-77", false, true, false},
        {"broadcast", true, false, false},    {"user:a", true, false, false},
    };
    fw_claims_t *claims = NULL;
    assert_int_equal(parse("{\"sub\":\"a\",\"exp\":12.9,\"rooms\":[\"org-1:*\",\"lobby\"],"
                           "\"publish\":[\"lobby\",\"chat-*\"],\"presence\":[\"\",\"chat-?\"]}",
                           &claims),
                     0);
    assert_int_equal(fw_claims_expires_s(claims), 12);
    check_cases(claims, cases, sizeof cases / sizeof *cases);
    fw_claims_destroy(&claims);
}

static void an_empty_list_allows_nothing(void **state)
{
    (void)state;
    const case_t cases[] = {{"room:1", false, false, false}, {"user:a", true, false, false}};
    fw_claims_t *claims = NULL;
    assert_int_equal(parse("{\"sub\":\"a\",\"rooms\":[],\"publish\":[],\"presence\":[]}", &claims),
                     0);
    check_cases(claims, cases, sizeof cases / sizeof *cases);
    fw_claims_destroy(&claims);
}

static void an_expiry_before_the_first_second_is_still_one(void **state)
{
    (void)state;
    const char *texts[] = {"{\"sub\":\"a\",\"exp\":0}", "{\"sub\":\"a\",\"exp\":0.4}"};
    for (size_t i = 0; i < 2; i++) {
        fw_claims_t *claims = NULL;
        assert_int_equal(parse(texts[i], &claims), 0);
        assert_int_equal(fw_claims_expires_s(claims), 1);
        fw_claims_destroy(&claims);
    }
}

static void patterns_can_be_replaced_for_the_same_user(void **state)
{
    (void)state;
    const fw_text_t lobby = FW_TEXT("lobby");
    const fw_text_t twice[] = {FW_TEXT("a*"), FW_TEXT("b*")};
    const fw_claim_t keep = {.given = false};
    fw_claims_t *first = NULL;
    fw_claims_t *second = NULL;
    assert_int_equal(parse("{\"sub\":\"a\",\"exp\":99,\"publish\":[\"x\",\"y\"]}", &first), 0);
    const fw_claim_t rooms[FW_ACTIONS] = {{true, &lobby, 1}, keep, {true, twice, 2}};
    assert_int_equal(fw_claims_with(first, rooms, &second), 0);
    const case_t cases[] = {
        {"room:lobby", true, false, false}, {"room:x", false, true, false},
        {"room:y", false, true, false},     {"room:beta", false, false, true},
        {"user:a", true, false, false},
    };
    check_cases(second, cases, sizeof cases / sizeof *cases);
    assert_int_equal(fw_claims_expires_s(second), 99);
    fw_claims_destroy(&first);
    const fw_claim_t nothing[FW_ACTIONS] = {{true, NULL, 0}, {true, NULL, 0}, keep};
    assert_int_equal(fw_claims_with(second, nothing, &first), 0);
    const case_t later[] = {{"room:lobby", false, false, false},
                            {"room:x", false, false, false},
                            {"room:beta", false, false, true}};
    check_cases(first, later, sizeof later / sizeof *later);
    assert_true(fw_claims_bytes(first) < fw_claims_bytes(second));
    fw_claims_destroy(&first);
    fw_claims_destroy(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_claim_is_refused),
        cmocka_unit_test(too_many_patterns_are_refused_and_so_is_one_that_is_too_long),
        cmocka_unit_test(anonymous_sessions_listen_to_the_broadcast_and_do_nothing_else),
        cmocka_unit_test(absent_claims_allow_to_listen_and_nothing_else),
        cmocka_unit_test(each_action_has_patterns_of_its_own),
        cmocka_unit_test(an_empty_list_allows_nothing),
        cmocka_unit_test(an_expiry_before_the_first_second_is_still_one),
        cmocka_unit_test(patterns_can_be_replaced_for_the_same_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
