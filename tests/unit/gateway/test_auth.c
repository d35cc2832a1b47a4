/* test_auth.c - tokens, and who may listen to what.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/auth.h"
#include "tests/support/token.h"

enum { NOW = 1000000 };

static fw_auth_t *auth;

static int set_up(void **state)
{
    (void)state;
    fw_auth_key_t key = {
        FW_TEXT_NONE, FW_AUTH_HS256, {(const uint8_t *)TEST_SECRET, sizeof TEST_SECRET - 1}};
    auth = fw_auth_new(&key, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fw_auth_destroy(&auth);
    return 0;
}

static int verify(char *token, fw_claims_t **ret_claims)
{
    const char *reason = NULL;
    int result = fw_auth_verify(auth, fw_text(token), NOW, ret_claims, &reason);
    assert_true(result == 0 || (reason && *reason));
    free(token);
    return result;
}

static void check_refused(char *token, int expected)
{
    fw_claims_t *claims = NULL;
    assert_int_equal(verify(token, &claims), expected);
    assert_null(claims);
}

static void what_is_no_signed_token_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {
        "",           ".",           "..",     "a.b",      "a.b.c",
        "a.b.c.d.e",  "not a token", "a.b.c ", "e30.e30.", "{\"payload\":\"e30\"}",
        "e30.e30.e30"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_refused(strdup(texts[i]), -EACCES);
    char *longest = calloc(1, FW_TOKEN_SIZE_MAX + 2);
    memset(longest, 'a', FW_TOKEN_SIZE_MAX + 1);
    longest[10] = '.';
    longest[20] = '.';
    check_refused(longest, -EACCES);
}

static void the_algorithm_is_not_the_tokens_choice(void **state)
{
    (void)state;
    const char *claims = "{\"sub\":\"alice\"}";
    check_refused(make_token(TEST_SECRET, "{\"alg\":\"none\"}", claims), -EACCES);
    check_refused(make_token(TEST_SECRET, "{\"alg\":\"None\"}", claims), -EACCES);
    check_refused(make_token(TEST_SECRET, "{\"alg\":\"HS384\"}", claims), -EACCES);
    check_refused(make_token(TEST_SECRET, "{\"alg\":\"RS256\"}", claims), -EACCES);
    check_refused(make_token(TEST_SECRET, "{\"alg\":\"\"}", claims), -EACCES);
    check_refused(make_token(TEST_SECRET, "{}", claims), -EACCES);
    check_refused(
        make_token(TEST_SECRET, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", claims),
        -EACCES);
    char *unsigned_token = make_token(TEST_SECRET, "{\"alg\":\"none\"}", claims);
    strrchr(unsigned_token, '.')[1] = '\0';
    check_refused(unsigned_token, -EACCES);
}

static void a_key_in_the_header_is_not_looked_at(void **state)
{
    (void)state;
    /* The oct key below is base64url of "evil". */
    check_refused(make_token("evil",
                             "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"ZXZpbA\"}}",
                             "{\"sub\":\"alice\"}"),
                  -EACCES);
    check_refused(make_token("evil", "{\"alg\":\"HS256\",\"jku\":\"https://evil.example/keys\"}",
                             "{\"sub\":\"alice\"}"),
                  -EACCES);
    check_refused(make_token("evil", "{\"alg\":\"HS256\",\"x5u\":\"https://evil.example/cert\"}",
                             "{\"sub\":\"alice\"}"),
                  -EACCES);
}

static void every_changed_byte_breaks_the_signature(void **state)
{
    (void)state;
    char *good = make_good_token("{\"sub\":\"alice\"}");
    size_t size = strlen(good);
    for (size_t i = 0; i < size; i++) {
        char *changed = strdup(good);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        check_refused(changed, -EACCES);
    }
    char *cut = strdup(good);
    cut[size - 1] = '\0';
    check_refused(cut, -EACCES);
    free(good);
    check_refused(make_token("another secret", "{\"alg\":\"HS256\"}", "{\"sub\":\"alice\"}"),
                  -EACCES);
}

static void nobody_can_authenticate_without_a_key(void **state)
{
    (void)state;
    fw_auth_t *none = fw_auth_new(NULL, 0);
    const char *reason = NULL;
    fw_claims_t *claims = NULL;
    char *token = make_good_token("{\"sub\":\"alice\"}");
    assert_int_equal(fw_auth_verify(none, fw_text(token), NOW, &claims, &reason), -EACCES);
    free(token);
    token = make_token("", "{\"alg\":\"HS256\"}", "{\"sub\":\"alice\"}");
    assert_int_equal(fw_auth_verify(none, fw_text(token), NOW, &claims, &reason), -EACCES);
    free(token);
    fw_auth_destroy(&none);
}

static void claims_must_be_what_they_should(void **state)
{
    (void)state;
    const char *claims[] = {
        "[]",
        "7",
        "{}",
        "{\"sub\":7}",
        "{\"sub\":\"\"}",
        "{\"sub\":\"a\\nb\"}",
        "{\"sub\":null}",
        "{\"sub\":\"a\",\"exp\":\"soon\"}",
        "{\"sub\":\"a\",\"exp\":-5}",
        "{\"sub\":\"a\",\"nbf\":[]}",
        "{\"sub\":\"a\",\"rooms\":\"*\"}",
        "{\"sub\":\"a\",\"rooms\":[1]}",
        "{\"sub\":\"a\",\"exp\":1e300}",
        "not json",
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        check_refused(make_good_token(claims[i]), -EACCES);
    char text[256];
    (void)snprintf(text, sizeof text, "{\"sub\":\"%0*d\"}", FW_CHANNEL_ID_SIZE_MAX + 1, 0);
    check_refused(make_good_token(text), -EACCES);
}

static void dates_are_kept_with_a_small_leeway(void **state)
{
    (void)state;
    char text[128];
    fw_claims_t *claims = NULL;
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"exp\":%d}", NOW - FW_TOKEN_LEEWAY_S);
    check_refused(make_good_token(text), -EKEYEXPIRED);
    check_refused(make_good_token("{\"sub\":\"a\",\"exp\":0}"), -EKEYEXPIRED);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"exp\":%d.5}", NOW - FW_TOKEN_LEEWAY_S + 1);
    assert_int_equal(verify(make_good_token(text), &claims), 0);
    assert_int_equal(fw_claims_expires_s(claims), NOW - FW_TOKEN_LEEWAY_S + 1);
    fw_claims_destroy(&claims);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"nbf\":%d}", NOW + FW_TOKEN_LEEWAY_S + 1);
    check_refused(make_good_token(text), -EACCES);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"nbf\":%d}", NOW + FW_TOKEN_LEEWAY_S);
    assert_int_equal(verify(make_good_token(text), &claims), 0);
    fw_claims_destroy(&claims);
}

static void a_key_with_an_id_serves_tokens_that_name_it_or_none(void **state)
{
    (void)state;
    fw_auth_key_t keys[2] = {{FW_TEXT("new"), FW_AUTH_HS256, {(const uint8_t *)"n", 1}},
                             {FW_TEXT("old"), FW_AUTH_HS256, {(const uint8_t *)"o", 1}}};
    fw_auth_t *two = fw_auth_new(keys, 2);
    const struct {
        const char *secret, *header;
        int result;
    } cases[] = {
        {"n", "{\"alg\":\"HS256\",\"kid\":\"new\"}", 0},
        {"o", "{\"alg\":\"HS256\",\"kid\":\"old\"}", 0},
        {"o", "{\"alg\":\"HS256\"}", 0},
        {"o", "{\"alg\":\"HS256\",\"kid\":\"new\"}", -EACCES},
        {"n", "{\"alg\":\"HS256\",\"kid\":\"gone\"}", -EACCES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = make_token(cases[i].secret, cases[i].header, "{\"sub\":\"a\"}");
        fw_claims_t *claims = NULL;
        const char *reason = NULL;
        assert_int_equal(fw_auth_verify(two, fw_text(token), NOW, &claims, &reason),
                         cases[i].result);
        fw_claims_destroy(&claims);
        free(token);
    }
    fw_auth_destroy(&two);
}

static bool permits(const char *json, const char *channel)
{
    fw_claims_t *claims = NULL;
    if (json)
        assert_int_equal(verify(make_good_token(json), &claims), 0);
    bool result = fw_claims_may(claims, FW_ACTION_LISTEN, fw_text(channel));
    fw_claims_destroy(&claims);
    return result;
}

static void channels_are_permitted_by_user_and_rooms(void **state)
{
    (void)state;
    const char *alice = "{\"sub\":\"alice\"}";
    const char *some = "{\"sub\":\"alice\",\"rooms\":[\"org-7:*\",\"lobby\"]}";
    const char *none = "{\"sub\":\"alice\",\"rooms\":[]}";
    assert_true(permits(NULL, "broadcast"));
    assert_false(permits(NULL, "room:1"));
    assert_false(permits(NULL, "user:alice"));
    assert_false(permits(alice, "nonsense"));
    assert_false(permits(alice, "user:alic"));
    assert_false(permits(alice, "user:alice2"));
    assert_true(permits(alice, "user:alice"));
    assert_true(permits(alice, "room:any"));
    assert_true(permits(some, "room:lobby"));
    assert_true(permits(some, "room:org-7:x"));
    assert_false(permits(some, "room:org-8:x"));
    assert_false(permits(some, "room:lobby2"));
    assert_false(permits(none, "room:lobby"));
    assert_true(permits(none, "broadcast"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_signed_token_is_refused),
        cmocka_unit_test(the_algorithm_is_not_the_tokens_choice),
        cmocka_unit_test(a_key_in_the_header_is_not_looked_at),
        cmocka_unit_test(every_changed_byte_breaks_the_signature),
        cmocka_unit_test(nobody_can_authenticate_without_a_key),
        cmocka_unit_test(claims_must_be_what_they_should),
        cmocka_unit_test(dates_are_kept_with_a_small_leeway),
        cmocka_unit_test(a_key_with_an_id_serves_tokens_that_name_it_or_none),
        cmocka_unit_test(channels_are_permitted_by_user_and_rooms),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
