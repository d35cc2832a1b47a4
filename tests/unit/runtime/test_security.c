/* test_security.c - the keys of this process, and those whom it trusts.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keys.h"
#include "runtime/context.h"

#include <zmq.h>

static void refuses_keys_that_are_none_and_never_shows_a_secret(void **state)
{
    keys_t keys = keys_make();
    const char *good[] = {keys.public_key};
    const char *bad[] = {"not a key"};
    const char *many[FW_SERVER_KEYS_MAX + 1];
    for (size_t i = 0; i <= FW_SERVER_KEYS_MAX; i++)
        many[i] = keys.public_key;
    const struct {
        fw_security_options_t options;
        const char *message;
    } cases[] = {
        {{.secret_key = NULL}, "security.secret_key: is missing"},
        {{.secret_key = ""}, "security.secret_key: is missing"},
        {{.secret_key = "my own secret"}, "security.secret_key: must be 40 characters of Z85"},
        {{.secret_key = keys.secret_key, .server_keys = bad, .server_keys_count = 1},
         "security.server_keys: must be public keys of 40 characters of Z85, not \"not a key\""},
        {{.secret_key = keys.secret_key, .server_keys = many, .server_keys_count = 17},
         "security.server_keys: must be at most 16 keys, not 17"},
        {{.secret_key = keys.secret_key, .peers = good, .peers_count = 1}, "security.peers: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_security_t *security = NULL;
        fw_config_error_t error = {""};
        int result = fw_security_new(&cases[i].options, &security, &error);
        if (result == 0 || strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%zu: %s", i, error.text);
        assert_null(security);
        assert_null(strstr(error.text, "my own secret"));
        assert_null(strstr(error.text, keys.secret_key));
    }
}

static void derives_its_public_key(void **state)
{
    keys_t keys = keys_make();
    fw_security_t *security = keys_broker(&keys, NULL, 0);
    (void)state;
    assert_string_equal(fw_security_public_key(security), keys.public_key);
    assert_int_equal(fw_security_server_keys_count(security), 0);
    assert_int_equal(fw_security_server_keys_count(NULL), 0);
    fw_security_destroy(&security);
    assert_null(security);
    fw_security_destroy(&security);
}

static void replaces_its_peers_as_a_whole_or_not_at_all(void **state)
{
    keys_t own = keys_make();
    keys_t one = keys_make();
    keys_t two = keys_make();
    const char *first[] = {keys_rule(&one, "one", "worker", "")};
    const char *second[] = {keys_rule(&two, "two", "worker", "")};
    const char *broken[] = {keys_rule(&two, "two", "worker", ""), "name=three"};
    fw_security_t *security = keys_broker(&own, first, 1);
    const fw_holder_t *holder = NULL;
    fw_config_error_t error = {""};
    uint64_t generation = fw_security_generation(security);
    (void)state;
    assert_int_not_equal(fw_security_replace_peers(security, broken, 2, &error), 0);
    assert_non_null(strstr(error.text, "three"));
    assert_int_equal(fw_security_generation(security), generation);
    fw_keyring_t *before = fw_security_keyring(security);
    assert_int_equal(fw_security_replace_peers(security, second, 1, &error), 0);
    assert_true(fw_security_generation(security) > generation);
    fw_keyring_t *after = fw_security_keyring(security);
    /* A keyring that somebody has stays as it was. */
    assert_int_equal(fw_keyring_judge(before, FW_DOMAIN_JOBS, fw_text(one.public_key), &holder),
                     FW_VERDICT_ADMITTED);
    assert_int_equal(fw_keyring_judge(after, FW_DOMAIN_JOBS, fw_text(one.public_key), &holder),
                     FW_VERDICT_UNKNOWN_KEY);
    assert_int_equal(fw_keyring_judge(after, FW_DOMAIN_JOBS, fw_text(two.public_key), &holder),
                     FW_VERDICT_ADMITTED);
    fw_keyring_destroy(&before);
    fw_keyring_destroy(&after);
    fw_security_destroy(&security);
}

/* libzmq's header hides the option; should a library ever ignore it, this fails. */
static void a_server_enforces_its_domain(void **state)
{
    enum { ZAP_ENFORCE_DOMAIN = 93 };
    keys_t own = keys_make();
    fw_security_t *security = keys_broker(&own, NULL, 0);
    void *raw = zmq_socket(fw_context(), ZMQ_ROUTER);
    char domain[16] = "";
    int value = -1;
    size_t size = sizeof value;
    (void)state;
    assert_int_equal(zmq_getsockopt(raw, ZAP_ENFORCE_DOMAIN, &value, &size), 0);
    assert_int_equal(value, 0);
    assert_int_equal(fw_security_serve(security, raw, FW_DOMAIN_EVENTS), 0);
    assert_int_equal(zmq_getsockopt(raw, ZAP_ENFORCE_DOMAIN, &value, &size), 0);
    assert_int_equal(value, 1);
    size = sizeof domain;
    assert_int_equal(zmq_getsockopt(raw, ZMQ_ZAP_DOMAIN, domain, &size), 0);
    assert_string_equal(domain, "events");
    assert_int_equal(zmq_getsockopt(raw, ZMQ_MECHANISM, &value, &(size_t){sizeof value}), 0);
    assert_int_equal(value, ZMQ_CURVE);
    (void)zmq_close(raw);
    fw_security_destroy(&security);
}

static void nobody_can_join_without_a_server_key(void **state)
{
    keys_t own = keys_make();
    fw_security_t *security = keys_broker(&own, NULL, 0);
    void *raw = zmq_socket(fw_context(), ZMQ_DEALER);
    (void)state;
    assert_int_not_equal(fw_security_join(security, raw, 0), 0);
    (void)zmq_close(raw);
    fw_security_destroy(&security);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_keys_that_are_none_and_never_shows_a_secret),
        cmocka_unit_test(derives_its_public_key),
        cmocka_unit_test(replaces_its_peers_as_a_whole_or_not_at_all),
        cmocka_unit_test(a_server_enforces_its_domain),
        cmocka_unit_test(nobody_can_join_without_a_server_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
