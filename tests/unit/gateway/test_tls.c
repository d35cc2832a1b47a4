/* test_tls.c - certificates are checked before they are used.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "gateway/tls.h"

static char folder[] = "/tmp/freshwire-tls-XXXXXX";
static char certificate_path[64], key_path[64], other_key_path[64];
static char reason[FW_TLS_REASON_SIZE];

static void write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

/* A self-signed certificate that ends at a moment. */
static void write_certificate(EVP_PKEY *key, time_t expires_s)
{
    X509 *certificate = X509_new();
    FILE *file = fopen(certificate_path, "w");
    assert_non_null(certificate);
    assert_non_null(file);
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(certificate), 0));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(certificate), expires_s));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    X509_NAME *name = X509_get_subject_name(certificate);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(certificate, name), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(certificate);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static EVP_PKEY *keys[2];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(certificate_path, sizeof certificate_path, "%s/crt", folder);
    (void)snprintf(key_path, sizeof key_path, "%s/key", folder);
    (void)snprintf(other_key_path, sizeof other_key_path, "%s/other", folder);
    for (int i = 0; i < 2; i++) {
        keys[i] = EVP_EC_gen("P-256");
        assert_non_null(keys[i]);
    }
    write_key(other_key_path, keys[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    (void)unlink(certificate_path);
    (void)unlink(key_path);
    (void)unlink(other_key_path);
    return rmdir(folder);
}

static int write_good(void **state)
{
    (void)state;
    write_certificate(keys[0], time(NULL) + 86400);
    write_key(key_path, keys[0]);
    return 0;
}

static void check_refused(const char *key, const char *why)
{
    reason[0] = '\0';
    assert_int_equal(fw_tls_check(certificate_path, key, reason), -EINVAL);
    if (!strstr(reason, why))
        fail_msg("\"%s\" does not say \"%s\"", reason, why);
}

static void what_is_no_certificate_is_refused_with_a_reason(void **state)
{
    (void)state;
    check_refused(other_key_path, "is not the key of the certificate");
    check_refused("/nowhere", "no such file");
    check_refused(folder, "is not a file");
    check_refused(certificate_path, "holds no key");
    write_text(key_path, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"
                         "-----END ENCRYPTED PRIVATE KEY-----\n");
    check_refused(key_path, "holds no key");
    write_text(certificate_path, "");
    check_refused(key_path, "holds no certificate");
    write_certificate(keys[0], time(NULL) - 60);
    check_refused(key_path, "has expired");
}

static void a_certificate_followed_by_junk_is_refused(void **state)
{
    (void)state;
    FILE *file = fopen(certificate_path, "a");
    assert_non_null(file);
    assert_true(fputs("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    check_refused(key_path, "holds a broken certificate");
}

static void the_end_is_known_to_the_second(void **state)
{
    (void)state;
    static const time_t ends[] = {4102444799, 4107542400, 5000000000, 7983835199, 253402300799};
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        write_certificate(keys[0], ends[i]);
        fw_tls_t *tls = fw_tls_new(certificate_path, key_path);
        assert_int_equal(fw_tls_attach(tls, context, reason), 0);
        assert_int_equal(fw_tls_expires_s(tls), ends[i]);
        fw_tls_destroy(&tls);
    }
    SSL_CTX_free(context);
}

static void a_change_counts_once_it_has_settled(void **state)
{
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    fw_tls_t *tls = fw_tls_new(certificate_path, key_path);
    assert_int_equal(fw_tls_attach(tls, context, reason), 0);
    X509 *before = SSL_CTX_get0_certificate(context);
    assert_int_equal(X509_up_ref(before), 1);
    assert_false(fw_tls_changed(tls));
    write_text(certificate_path, "half");
    assert_false(fw_tls_changed(tls)); /* it may still be written */
    assert_true(fw_tls_changed(tls));
    assert_int_equal(fw_tls_reload(tls, reason), -EINVAL);
    assert_ptr_equal(SSL_CTX_get0_certificate(context), before);
    assert_false(fw_tls_changed(tls)); /* it was refused: not again and again */
    write_certificate(keys[0], time(NULL) + 3 * 86400);
    assert_false(fw_tls_changed(tls));
    assert_true(fw_tls_changed(tls));
    assert_int_equal(fw_tls_reload(tls, reason), 0);
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(context), before) == 0, 0);
    assert_int_equal(unlink(key_path), 0);
    assert_false(fw_tls_changed(tls));
    assert_true(fw_tls_changed(tls));
    assert_int_equal(fw_tls_reload(tls, reason), -EINVAL);
    X509_free(before);
    fw_tls_destroy(&tls);
    SSL_CTX_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_no_certificate_is_refused_with_a_reason, write_good),
        cmocka_unit_test_setup(a_certificate_followed_by_junk_is_refused, write_good),
        cmocka_unit_test_setup(the_end_is_known_to_the_second, write_good),
        cmocka_unit_test_setup(a_change_counts_once_it_has_settled, write_good),
    };
    return cmocka_run_group_tests_name("certificates", tests, set_up, tear_down);
}
