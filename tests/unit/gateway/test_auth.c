/* test_auth.c - tokens, and who may listen to what.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/auth.h"
#include "tests/support/signer.h"
#include "tests/support/token.h"

enum { NOW = 1000000, LEEWAY_S = 5 };

static fw_auth_t *auth;

static int set_up(void **state)
{
    (void)state;
    auth = make_auth(TEST_SECRET, (fw_auth_policy_t){.leeway_s = LEEWAY_S});
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

/* Not even when it is signed with the right key: who adds it has something in mind. */
static void a_token_that_brings_a_key_along_is_refused(void **state)
{
    (void)state;
    const char *members[] = {
        "\"jwk\":{\"kty\":\"oct\",\"k\":\"ZXZpbA\"}",
        "\"jku\":\"https://evil.example/keys\"",
        "\"x5u\":\"https://evil.example/cert\"",
        "\"x5c\":[\"MIIB\"]",
        "\"jwk\":null",
        "\"x5c\":[]",
        "\"crit\":[]",
    };
    const char *secrets[] = {"evil", TEST_SECRET};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char header[256];
        (void)snprintf(header, sizeof header, "{\"alg\":\"HS256\",%s}", members[i]);
        for (size_t k = 0; k < 2; k++)
            check_refused(make_token(secrets[k], header, "{\"sub\":\"alice\"}"), -EACCES);
    }
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
    fw_auth_t *none = make_auth("", (fw_auth_policy_t){.leeway_s = 0});
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
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"exp\":%d}", NOW - LEEWAY_S);
    check_refused(make_good_token(text), -EKEYEXPIRED);
    check_refused(make_good_token("{\"sub\":\"a\",\"exp\":0}"), -EKEYEXPIRED);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"exp\":%d.5}", NOW - LEEWAY_S + 1);
    assert_int_equal(verify(make_good_token(text), &claims), 0);
    assert_int_equal(fw_claims_expires_s(claims), NOW - LEEWAY_S + 1);
    fw_claims_destroy(&claims);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"nbf\":%d}", NOW + LEEWAY_S + 1);
    check_refused(make_good_token(text), -EACCES);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"nbf\":%d}", NOW + LEEWAY_S);
    assert_int_equal(verify(make_good_token(text), &claims), 0);
    fw_claims_destroy(&claims);
}

static int verify_with(const fw_auth_t *with, char *token)
{
    fw_claims_t *claims = NULL;
    const char *reason = NULL;
    int result = fw_auth_verify(with, fw_text(token), NOW, &claims, &reason);
    assert_int_equal(claims != NULL, result == 0);
    fw_claims_destroy(&claims);
    free(token);
    return result;
}

static void a_key_with_an_id_serves_tokens_that_name_it_or_none(void **state)
{
    (void)state;
    static const char new[] = "the new secret, thirty-two bytes long";
    static const char old[] = "the old secret, thirty-two bytes long";
    const char *reason = "";
    fw_keys_t *keys = fw_keys_new();
    assert_int_equal(fw_keys_add_secret(keys, FW_TEXT("new"), bytes_of(new), &reason), 0);
    assert_int_equal(fw_keys_add_secret(keys, FW_TEXT("old"), bytes_of(old), &reason), 0);
    fw_auth_t *two = make_auth("", (fw_auth_policy_t){.leeway_s = 0});
    fw_auth_set_fixed(two, &keys);
    const struct {
        const char *secret, *header;
        int result;
    } cases[] = {
        {new, "{\"alg\":\"HS256\",\"kid\":\"new\"}", 0},
        {old, "{\"alg\":\"HS256\",\"kid\":\"old\"}", 0},
        {old, "{\"alg\":\"HS256\"}", 0},
        {old, "{\"alg\":\"HS256\",\"kid\":\"new\"}", -EACCES},
        {new, "{\"alg\":\"HS256\",\"kid\":\"gone\"}", -EACCES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            verify_with(two, make_token(cases[i].secret, cases[i].header, "{\"sub\":\"a\"}")),
            cases[i].result);
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

static int judge(const fw_auth_policy_t *policy, const char *claims)
{
    fw_auth_t *strict = make_auth(TEST_SECRET, *policy);
    int result = verify_with(strict, make_good_token(claims));
    fw_auth_destroy(&strict);
    return result;
}

static void a_token_for_others_or_from_others_is_refused(void **state)
{
    (void)state;
    const char *ours[] = {"sync", "sync-beta"};
    const char *login[] = {"https://old.example", "https://login.example"};
    fw_auth_policy_t policy = {
        .audiences = ours, .audiences_count = 2, .issuers = login, .issuers_count = 2};
    const struct {
        const char *claims;
        int result;
    } cases[] = {
        {"{\"sub\":\"a\"}", -EACCES},
        {"{\"sub\":\"a\",\"aud\":\"sync\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":\"shop\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":[\"shop\",7]}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":[]}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":{\"0\":\"sync\"}}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example.evil\",\"aud\":\"sync\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":[\"https://login.example\"],\"aud\":\"sync\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":\"syn\"}", -EACCES},
        {"{\"sub\":\"a\",\"iss\":\"https://login.example\",\"aud\":\"sync\"}", 0},
        {"{\"sub\":\"a\",\"iss\":\"https://old.example\",\"aud\":[\"shop\",\"sync-beta\"]}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(judge(&policy, cases[i].claims), cases[i].result);
    fw_auth_policy_t any = {.leeway_s = 0};
    assert_int_equal(judge(&any, "{\"sub\":\"a\",\"aud\":\"shop\",\"iss\":\"x\"}"), 0);
}

static void leeway_is_what_it_is_set_to(void **state)
{
    (void)state;
    char text[128];
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"exp\":%d}", NOW - 60);
    fw_auth_policy_t none = {.leeway_s = 0};
    fw_auth_policy_t minute = {.leeway_s = 61};
    assert_int_equal(judge(&none, text), -EKEYEXPIRED);
    assert_int_equal(judge(&minute, text), 0);
    (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"nbf\":%d}", NOW + 60);
    assert_int_equal(judge(&none, text), -EACCES);
    assert_int_equal(judge(&minute, text), 0);
}

/* The public key of RS256 is no secret: as an HMAC key it must not open the door. */
static void a_public_key_is_no_secret(void **state)
{
    (void)state;
    const char *alice = "{\"sub\":\"a\"}";
    signer_t *signer = signer_new(FW_KEY_RS256, "", 0);
    char *pem = signer_pem(signer);
    const char *reason = NULL;
    fw_keys_t *keys = fw_keys_new();
    assert_int_equal(fw_keys_add_pem(keys, fw_text(pem), &reason), 0);
    fw_auth_t *rsa = make_auth("", (fw_auth_policy_t){.leeway_s = 0});
    fw_auth_set_fixed(rsa, &keys);
    char *tokens[] = {
        make_token(pem, "{\"alg\":\"HS256\"}", alice),
        make_token(pem, "{\"alg\":\"RS256\"}", alice),
        make_token("", "{\"alg\":\"none\"}", alice),
        signer_token_with(signer, "{\"alg\":\"PS256\"}", alice),
        signer_token_with(signer, "{\"alg\":\"RS384\"}", alice),
        signer_token_with(signer, "{\"alg\":\"none\"}", alice),
        signer_token_with(signer, "{\"alg\":[\"RS256\"]}", alice),
        signer_token_with(signer, "{\"alg\":\"rs256\"}", alice),
    };
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        assert_int_equal(verify_with(rsa, tokens[i]), -EACCES);
    assert_int_equal(verify_with(rsa, signer_token(signer, alice)), 0);
    free(pem);
    fw_auth_destroy(&rsa);
    signer_destroy(&signer);
}

static void keys_that_are_fetched_replace_each_other(void **state)
{
    (void)state;
    const char *alice = "{\"sub\":\"alice\"}";
    signer_t *signers[2] = {signer_new(FW_KEY_EDDSA, "1", 0), signer_new(FW_KEY_ES256, "2", 0)};
    fw_auth_t *fetching = make_auth(TEST_SECRET, (fw_auth_policy_t){.leeway_s = 0, .awaits = true});
    size_t skipped = 0;
    const char *reason = NULL;
    assert_int_equal(verify_with(fetching, signer_token(signers[0], alice)), -ENOKEY);
    assert_int_equal(verify_with(fetching, make_good_token(alice)), 0);
    /* What cannot be a token of a key that is fetched does not wait for one. */
    assert_int_equal(verify_with(fetching, strdup("a.b.c")), -EACCES);
    assert_int_equal(verify_with(fetching, make_token("", "{\"alg\":\"none\"}", alice)), -EACCES);
    assert_int_equal(
        verify_with(fetching, make_token("x", "{\"alg\":\"HS256\",\"kid\":\"z\"}", alice)),
        -EACCES);
    for (int round = 0; round < 2; round++) {
        char *set = signer_set((const signer_t *const *)&signers[round], 1);
        fw_keys_t *keys = fw_keys_new();
        assert_int_equal(fw_keys_add_jwks(keys, bytes_of(set), false, &skipped, &reason), 0);
        fw_auth_set_fetched(fetching, &keys);
        assert_int_equal(verify_with(fetching, signer_token(signers[round], alice)), 0);
        assert_int_equal(verify_with(fetching, signer_token(signers[!round], alice)), -ENOKEY);
        assert_int_equal(verify_with(fetching, make_good_token(alice)), 0);
        free(set);
    }
    /* Its id is known, so that no other key will come for it. */
    assert_int_equal(
        verify_with(fetching,
                    signer_token_with(signers[0], "{\"alg\":\"ES256\",\"kid\":\"2\"}", alice)),
        -EACCES);
    fw_keys_t *gone = NULL;
    fw_auth_set_fetched(fetching, &gone);
    assert_int_equal(verify_with(fetching, signer_token(signers[1], alice)), -ENOKEY);
    fw_auth_destroy(&fetching);
    signer_destroy(&signers[0]);
    signer_destroy(&signers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_signed_token_is_refused),
        cmocka_unit_test(the_algorithm_is_not_the_tokens_choice),
        cmocka_unit_test(a_token_that_brings_a_key_along_is_refused),
        cmocka_unit_test(every_changed_byte_breaks_the_signature),
        cmocka_unit_test(nobody_can_authenticate_without_a_key),
        cmocka_unit_test(claims_must_be_what_they_should),
        cmocka_unit_test(dates_are_kept_with_a_small_leeway),
        cmocka_unit_test(a_key_with_an_id_serves_tokens_that_name_it_or_none),
        cmocka_unit_test(channels_are_permitted_by_user_and_rooms),
        cmocka_unit_test(a_token_for_others_or_from_others_is_refused),
        cmocka_unit_test(leeway_is_what_it_is_set_to),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(keys_that_are_fetched_replace_each_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
