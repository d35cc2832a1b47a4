/* test_keys.c - what is a key, and what it verifies.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/base64url.h"
#include "gateway/keys.h"
#include "tests/support/signer.h"
#include "tests/support/token.h"

static signer_t *rsa, *p256, *ed25519;

static int set_up(void **state)
{
    (void)state;
    rsa = signer_new(FW_KEY_RS256, "rsa", 0);
    p256 = signer_new(FW_KEY_ES256, "p256", 0);
    ed25519 = signer_new(FW_KEY_EDDSA, "ed", 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    signer_destroy(&rsa);
    signer_destroy(&p256);
    signer_destroy(&ed25519);
    return 0;
}

/* Adds to a set of its own; frees the text. */
static int add_pem(char *pem)
{
    const char *reason = "";
    fw_keys_t *keys = fw_keys_new();
    int result = fw_keys_add_pem(keys, fw_text(pem), &reason);
    assert_true(result == 0 || *reason);
    fw_keys_destroy(&keys);
    free(pem);
    return result;
}

static int add_jwks(const char *json, bool secrets, size_t *ret_count, size_t *ret_skipped)
{
    const char *reason = "";
    fw_keys_t *keys = fw_keys_new();
    int result = fw_keys_add_jwks(keys, bytes_of(json), secrets, ret_skipped, &reason);
    assert_true(result == 0 || *reason);
    *ret_count = fw_keys_count(keys);
    fw_keys_destroy(&keys);
    return result;
}

static void what_is_no_pem_of_a_good_key_is_refused(void **state)
{
    (void)state;
    char *good = signer_pem(rsa);
    char *cut = strdup(good);
    cut[strlen(cut) / 2] = '\0';
    char *changed = strdup(good);
    changed[60] = changed[60] == 'A' ? 'B' : 'A';
    assert_int_equal(add_pem(strdup("")), -EINVAL);
    assert_int_equal(add_pem(strdup("secret")), -EINVAL);
    assert_int_equal(add_pem(strdup("-----BEGIN ")), -EINVAL);
    assert_int_equal(add_pem(strdup("-----BEGIN PUBLIC KEY-----")), -EINVAL);
    assert_int_equal(
        add_pem(strdup("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")), -EINVAL);
    assert_int_equal(
        add_pem(strdup("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), -EINVAL);
    assert_int_equal(
        add_pem(strdup("-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n")),
        -EINVAL);
    assert_int_equal(add_pem(cut), -EINVAL);
    assert_int_equal(add_pem(changed), -EINVAL);
    assert_int_equal(add_pem(signer_private_pem(p256)), -EINVAL);
    assert_int_equal(add_pem(good), 0);
}

static void keys_that_are_weak_or_of_no_algorithm_here_are_refused(void **state)
{
    (void)state;
    signer_t *weak = signer_new(FW_KEY_RS256, "", 1024);
    signer_t *p384 = signer_new_p384("");
    assert_int_equal(add_pem(signer_pem(weak)), -EINVAL);
    assert_int_equal(add_pem(signer_pem(p384)), -EINVAL);
    char *jwks[] = {
        signer_jwk(weak, ""),
        signer_jwk(p384, ""),
        /* With the exponent 1 every message is its own signature. */
        strdup("{\"kty\":\"RSA\",\"n\":\""
               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"e\":\"AQ\"}"),
    };
    for (size_t i = 0; i < sizeof jwks / sizeof *jwks; i++) {
        size_t count, skipped;
        assert_int_equal(add_jwks(jwks[i], true, &count, &skipped), -EINVAL);
        free(jwks[i]);
    }
    signer_destroy(&weak);
    signer_destroy(&p384);
}

/* A key whose modulus is good and whose exponent is not. */
static void an_exponent_by_which_everybody_could_sign_is_refused(void **state)
{
    (void)state;
    const char *exponents[] = {"AQ", "Ag", "AA", "AQAAAAAAAAAAAQ"};
    char *good = signer_jwk(rsa, "");
    char *end = strstr(good, ",\"e\":\"");
    assert_non_null(end);
    size_t count, skipped;
    assert_int_equal(add_jwks(good, false, &count, &skipped), 0);
    *end = '\0';
    for (size_t i = 0; i < sizeof exponents / sizeof *exponents; i++) {
        char key[4096];
        (void)snprintf(key, sizeof key, "%s,\"e\":\"%s\"}", good, exponents[i]);
        assert_int_equal(add_jwks(key, false, &count, &skipped), -EINVAL);
    }
    free(good);
}

static void what_is_no_key_set_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[7,null,\"x\",[]]}",
        "{\"keys\":[{}]}",
        "{\"keys\":[{\"kty\":\"RSA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}]}",
        "{\"keys\":[[[[[[[[[]]]]]]]]]}",
        "<html>not found</html>",
        "{\"keys\":[",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t count, skipped;
        assert_int_equal(add_jwks(texts[i], true, &count, &skipped), -EINVAL);
        assert_int_equal(count, 0);
    }
    char *large = malloc(FW_KEY_SET_SIZE_MAX + 2);
    memset(large, ' ', FW_KEY_SET_SIZE_MAX + 1);
    large[FW_KEY_SET_SIZE_MAX + 1] = '\0';
    size_t count, skipped;
    assert_int_equal(add_jwks(large, true, &count, &skipped), -EINVAL);
    free(large);
}

static void keys_for_other_purposes_are_skipped(void **state)
{
    (void)state;
    const char *members[] = {
        ",\"use\":\"enc\"",   ",\"use\":7",         ",\"key_ops\":[\"sign\"]", ",\"key_ops\":[]",
        ",\"alg\":\"RS384\"", ",\"alg\":\"PS256\"", ",\"alg\":\"HS256\"",      ",\"alg\":\"none\"",
        ",\"d\":\"AQAB\"",    ",\"kid\":7",
    };
    signer_t *plain = signer_new(FW_KEY_RS256, "", 0);
    char *good = signer_jwk(p256, ",\"use\":\"sig\",\"alg\":\"ES256\",\"key_ops\":[\"verify\"],"
                                  "\"x5t\":\"abc\",\"x5c\":[\"MIIB\"],\"x5u\":\"https://evil\"");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char set[8192];
        size_t count, skipped;
        char *bad = signer_jwk(plain, members[i]);
        (void)snprintf(set, sizeof set, "{\"keys\":[%s,%s]}", bad, good);
        assert_int_equal(add_jwks(set, false, &count, &skipped), 0);
        assert_int_equal(count, 1);
        assert_int_equal(skipped, 1);
        free(bad);
    }
    free(good);
    signer_destroy(&plain);
}

static void too_many_keys_are_refused(void **state)
{
    (void)state;
    const signer_t *many[FW_KEYS_MAX + 1];
    for (size_t i = 0; i <= FW_KEYS_MAX; i++)
        many[i] = ed25519;
    size_t count, skipped;
    char *set = signer_set(many, FW_KEYS_MAX);
    assert_int_equal(add_jwks(set, false, &count, &skipped), 0);
    assert_int_equal(count, FW_KEYS_MAX);
    free(set);
    set = signer_set(many, FW_KEYS_MAX + 1);
    assert_int_equal(add_jwks(set, false, &count, &skipped), -EINVAL);
    free(set);
}

static void secrets_are_long_and_are_no_keys_of_another_kind(void **state)
{
    (void)state;
    const char *reason = "";
    fw_keys_t *keys = fw_keys_new();
    char *pem = signer_pem(rsa);
    char *jwk = signer_jwk(rsa, "");
    char *padded = malloc(strlen(pem) + 3);
    (void)snprintf(padded, strlen(pem) + 3, "\n %s", pem);
    const char *bad[] = {"", "secret", "thirty-one bytes are not enough", pem, jwk, padded};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fw_keys_add_secret(keys, FW_TEXT_NONE, bytes_of(bad[i]), &reason),
                         -EINVAL);
    assert_int_equal(fw_keys_count(keys), 0);
    assert_int_equal(fw_keys_add_secret(keys, FW_TEXT_NONE, bytes_of(TEST_SECRET), &reason), 0);
    fw_keys_destroy(&keys);
    free(padded);
    free(pem);
    free(jwk);
}

static void only_files_hold_secrets(void **state)
{
    (void)state;
    const char *set = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"s\",\"alg\":\"HS256\",\"k\":"
                      "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE\"}]}";
    const char *short_one = "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OQ\"}";
    const char *other = "{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":"
                        "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE\"}";
    size_t count, skipped;
    assert_int_equal(add_jwks(set, false, &count, &skipped), -EINVAL);
    assert_int_equal(add_jwks(short_one, true, &count, &skipped), -EINVAL);
    assert_int_equal(add_jwks(other, true, &count, &skipped), -EINVAL);
    assert_int_equal(add_jwks(set, true, &count, &skipped), 0);
    assert_int_equal(count, 1);
}

/* The parts of "<message>.<signature>". */
static int verify(const fw_keys_t *keys, fw_key_algorithm_t algorithm, const char *id,
                  const char *token)
{
    uint8_t signature[FW_SIGNATURE_SIZE_MAX];
    size_t size = 0;
    const char *dot = strrchr(token, '.');
    assert_int_equal(fw_base64url_decode(fw_text(dot + 1), signature, sizeof signature, &size), 0);
    return fw_keys_verify(keys, algorithm, fw_text(id),
                          (fw_bytes_t){(const uint8_t *)token, (size_t)(dot - token)},
                          (fw_bytes_t){signature, size});
}

static void a_key_verifies_what_it_signed_by_its_own_algorithm_only(void **state)
{
    (void)state;
    const struct {
        const signer_t *signer;
        fw_key_algorithm_t algorithm;
        const char *id;
    } all[] = {
        {rsa, FW_KEY_RS256, "rsa"}, {p256, FW_KEY_ES256, "p256"}, {ed25519, FW_KEY_EDDSA, "ed"}};
    const signer_t *signers[] = {rsa, p256, ed25519};
    char *set = signer_set(signers, 3);
    const char *reason = "";
    size_t skipped = 0;
    fw_keys_t *keys = fw_keys_new();
    fw_keys_t *pems = fw_keys_new();
    assert_int_equal(fw_keys_add_jwks(keys, bytes_of(set), false, &skipped, &reason), 0);
    for (size_t i = 0; i < 3; i++) {
        char *pem = signer_pem(signers[i]);
        assert_int_equal(fw_keys_add_pem(pems, fw_text(pem), &reason), 0);
        free(pem);
    }
    for (size_t i = 0; i < 3; i++) {
        char *token = signer_token(all[i].signer, "{\"sub\":\"a\"}");
        assert_int_equal(verify(keys, all[i].algorithm, all[i].id, token), 0);
        assert_int_equal(verify(keys, all[i].algorithm, "", token), 0);
        assert_int_equal(verify(keys, all[i].algorithm, "gone", token), -ENOKEY);
        /* Keys of PEM have no id: any may be meant. */
        assert_int_equal(verify(pems, all[i].algorithm, "gone", token), 0);
        for (size_t k = 0; k < 3; k++)
            if (k != i)
                assert_int_equal(verify(keys, all[k].algorithm, "", token), -EACCES);
        assert_int_equal(verify(keys, FW_KEY_HS256, "", token), -ENOKEY);
        token[1] = token[1] == 'A' ? 'B' : 'A';
        assert_int_equal(verify(keys, all[i].algorithm, "", token), -EACCES);
        free(token);
    }
    fw_keys_destroy(&keys);
    fw_keys_destroy(&pems);
    free(set);
}

static void signatures_of_a_wrong_size_or_of_nothing_are_refused(void **state)
{
    (void)state;
    const uint8_t zeros[512] = {0};
    const size_t sizes[] = {0, 1, 31, 32, 63, 64, 65, 72, 255, 256, 257, 512};
    const signer_t *signers[] = {rsa, p256, ed25519};
    char *set = signer_set(signers, 3);
    const char *reason = "";
    size_t skipped = 0;
    fw_keys_t *keys = fw_keys_new();
    assert_int_equal(fw_keys_add_jwks(keys, bytes_of(set), false, &skipped, &reason), 0);
    assert_int_equal(fw_keys_add_secret(keys, FW_TEXT_NONE, bytes_of(TEST_SECRET), &reason), 0);
    for (int algorithm = FW_KEY_HS256; algorithm <= FW_KEY_EDDSA; algorithm++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            assert_int_equal(fw_keys_verify(keys, (fw_key_algorithm_t)algorithm, FW_TEXT_NONE,
                                            bytes_of("message"), (fw_bytes_t){zeros, sizes[i]}),
                             -EACCES);
    fw_keys_destroy(&keys);
    free(set);
}

static void base64url_has_one_text_for_each_value(void **state)
{
    (void)state;
    const char *bad[] = {"A", "AAAAA", "AB", "AAB", "A=", "AA==", "A+", "A/", "A A", "AAA\n"};
    uint8_t bytes[8];
    size_t size = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fw_base64url_decode(fw_text(bad[i]), bytes, sizeof bytes, &size), -EINVAL);
    assert_int_equal(fw_base64url_decode(fw_text("AAAAAAAAAAAA"), bytes, 8, &size), -EMSGSIZE);
    assert_int_equal(fw_base64url_decode(fw_text("_-8"), bytes, 2, &size), 0);
    assert_int_equal(size, 2);
    assert_memory_equal(bytes, "\xff\xef", 2);
    assert_int_equal(fw_base64url_decode(FW_TEXT_NONE, bytes, 0, &size), 0);
    assert_int_equal(size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_pem_of_a_good_key_is_refused),
        cmocka_unit_test(keys_that_are_weak_or_of_no_algorithm_here_are_refused),
        cmocka_unit_test(an_exponent_by_which_everybody_could_sign_is_refused),
        cmocka_unit_test(what_is_no_key_set_is_refused),
        cmocka_unit_test(keys_for_other_purposes_are_skipped),
        cmocka_unit_test(too_many_keys_are_refused),
        cmocka_unit_test(secrets_are_long_and_are_no_keys_of_another_kind),
        cmocka_unit_test(only_files_hold_secrets),
        cmocka_unit_test(signatures_of_a_wrong_size_or_of_nothing_are_refused),
        cmocka_unit_test(base64url_has_one_text_for_each_value),
        cmocka_unit_test(a_key_verifies_what_it_signed_by_its_own_algorithm_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
