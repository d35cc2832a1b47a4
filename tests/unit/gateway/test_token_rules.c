/* test_token_rules.c - what the configuration says about tokens.   SPDX-License-Identifier: MPL-2.0
 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/token_rules.h"
#include "tests/support/signer.h"
#include "tests/support/token.h"

enum { WALL = 1000000 };

static fw_tokens_config_t nothing(void)
{
    return (fw_tokens_config_t){.secret = "",
                                .previous_secret = "",
                                .cookie = "",
                                .jwks_url = "",
                                .jwks_ca_file = "",
                                .leeway_ms = 5000};
}

/* A file that holds a text; the caller removes and frees it. */
static char *write_file(const char *text)
{
    char *path = strdup("/tmp/freshwire-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    return path;
}

/* Refused, with a reason that names the option and nothing of what it holds. */
static void check_refused(const fw_tokens_config_t *config, const char *option, const char *hidden)
{
    char reason[512] = "";
    fw_token_rules_t *rules = NULL;
    assert_true(fw_token_rules_new(config, &rules, reason, sizeof reason) < 0);
    assert_null(rules);
    if (strncmp(reason, option, strlen(option)) != 0 || reason[strlen(option)] != ':')
        fail_msg("\"%s\" does not name %s", reason, option);
    if (hidden)
        assert_null(strstr(reason, hidden));
}

static void what_cannot_be_a_key_is_refused_by_its_options_name(void **state)
{
    (void)state;
    signer_t *signer = signer_new(FW_KEY_ES256, "1", 0);
    char *private_pem = signer_private_pem(signer);
    char *private_file = write_file(private_pem);
    char *secret_file = write_file("just thirty-two bytes of some text");
    fw_tokens_config_t config = nothing();
    config.secret = "opensesame";
    check_refused(&config, "gateway.jwt.secret", "opensesame");
    config.secret = TEST_SECRET;
    config.previous_secret = "brief";
    check_refused(&config, "gateway.jwt.previous_secret", "brief");
    config.secret = "";
    check_refused(&config, "gateway.jwt.previous_secret", "brief");
    config.previous_secret = "";
    const char *bad[] = {"/nowhere/at-all.pem", "/", private_pem, private_file, secret_file, ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        config.keys = &bad[i];
        config.keys_count = 1;
        check_refused(&config, "gateway.jwt.keys", "BEGIN");
    }
    (void)unlink(private_file);
    (void)unlink(secret_file);
    free(private_file);
    free(secret_file);
    free(private_pem);
    signer_destroy(&signer);
}

static int verify(const fw_auth_t *auth, char *token)
{
    fw_claims_t *claims = NULL;
    const char *reason = "";
    int result = fw_auth_verify(auth, fw_text(token), WALL, &claims, &reason);
    fw_claims_destroy(&claims);
    free(token);
    return result;
}

static void keys_of_every_kind_are_good_together_and_give_way_to_others(void **state)
{
    (void)state;
    static const char before[] = "the secret before, thirty-two bytes and more";
    const char *ours = "{\"sub\":\"a\",\"aud\":\"sync\",\"iss\":\"us\"}";
    const char *audience = "sync";
    const char *issuer = "us";
    signer_t *in_set = signer_new(FW_KEY_RS256, "1", 0);
    signer_t *in_pem = signer_new(FW_KEY_EDDSA, "", 0);
    const signer_t *listed[] = {in_set};
    char *set = signer_set(listed, 1);
    char *file = write_file(set);
    char *pem = signer_pem(in_pem);
    const char *keys[] = {file, pem};
    char reason[512] = "";
    fw_tokens_config_t config = nothing();
    config.secret = TEST_SECRET;
    config.previous_secret = before;
    config.keys = keys;
    config.keys_count = 2;
    config.audiences = &audience;
    config.audiences_count = 1;
    config.issuers = &issuer;
    config.issuers_count = 1;
    fw_token_rules_t *rules = NULL;
    assert_int_equal(fw_token_rules_new(&config, &rules, reason, sizeof reason), 0);
    assert_int_equal(fw_token_rules_keys(rules), 4);
    fw_auth_t *auth = make_auth("", (fw_auth_policy_t){.leeway_s = 0});
    fw_token_rules_apply(rules, auth);
    assert_int_equal(verify(auth, make_good_token(ours)), 0);
    assert_int_equal(verify(auth, make_token(before, "{\"alg\":\"HS256\"}", ours)), 0);
    assert_int_equal(verify(auth, signer_token(in_set, ours)), 0);
    assert_int_equal(verify(auth, signer_token(in_pem, ours)), 0);
    assert_int_equal(verify(auth, make_good_token("{\"sub\":\"a\",\"aud\":\"sync\"}")), -EACCES);
    fw_token_rules_t *others = NULL;
    config = nothing();
    config.secret = before;
    assert_int_equal(fw_token_rules_new(&config, &others, reason, sizeof reason), 0);
    fw_token_rules_apply(others, auth);
    fw_token_rules_destroy(&rules);
    assert_int_equal(verify(auth, make_token(before, "{\"alg\":\"HS256\"}", "{\"sub\":\"a\"}")), 0);
    assert_int_equal(verify(auth, make_good_token(ours)), -EACCES);
    assert_int_equal(verify(auth, signer_token(in_set, ours)), -EACCES);
    fw_auth_destroy(&auth);
    fw_token_rules_destroy(&others);
    (void)unlink(file);
    free(file);
    free(set);
    free(pem);
    signer_destroy(&in_set);
    signer_destroy(&in_pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_a_key_is_refused_by_its_options_name),
        cmocka_unit_test(keys_of_every_kind_are_good_together_and_give_way_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
