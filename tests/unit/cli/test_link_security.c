/* test_link_security.c - the keys of the links, from options.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cli/link_security.h"

#define SECRET "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
#define PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

static fw_config_t *load(const char *const *variables)
{
    char text[8][256];
    char *environment[9] = {NULL};
    for (size_t i = 0; variables[i]; i++) {
        (void)snprintf(text[i], sizeof text[i], "FRESHWIRE_%s", variables[i]);
        environment[i] = text[i];
    }
    size_t count;
    const fw_option_t *options = fw_options(&count);
    fw_config_t *config = NULL;
    fw_config_error_t error = {.text = ""};
    if (fw_config_load(options, count, NULL, environment, NULL, NULL, &config, &error) != 0)
        fail_msg("%s", error.text);
    return config;
}

static void expect_refused(const char *const *variables, fw_roles_t roles, const char *message)
{
    fw_config_t *config = load(variables);
    fw_security_t *security = NULL;
    fw_config_error_t error = {.text = ""};
    assert_int_equal(fw_link_security_make(config, roles, &security, &error), -EINVAL);
    assert_null(security);
    if (strncmp(error.text, message, strlen(message)) != 0)
        fail_msg("%s\nbut expected\n%s", error.text, message);
    assert_null(strstr(error.text, SECRET));
    fw_config_destroy(&config);
}

#define REFUSED(roles, message, ...)                                                               \
    expect_refused((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, roles, message)

static void refuses_to_bind_where_others_reach_it_without_keys(void **state)
{
    static const char *const addresses[] = {"0.0.0.0", "*",      "10.0.0.1", "[::]",
                                            "eth0",    "broker", "128.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        char variable[64];
        char message[128];
        (void)snprintf(variable, sizeof variable, "BROKER_BIND=%s", addresses[i]);
        (void)snprintf(message, sizeof message, "FRESHWIRE_BROKER_BIND: broker.bind: \"%s\" can be",
                       addresses[i]);
        REFUSED(FW_ROLE_BROKER, message, variable);
        REFUSED(FW_ROLE_ALL, message, variable);
    }
}

static void refuses_lists_without_the_secret_key(void **state)
{
    (void)state;
    REFUSED(FW_ROLE_BROKER, "FRESHWIRE_SECURITY_PEERS: security.peers: means links with keys",
            "SECURITY_PEERS=name=w role=worker key=" PUBLIC);
    REFUSED(FW_ROLE_WORKER,
            "FRESHWIRE_SECURITY_SERVER_KEYS: security.server_keys: means links with keys",
            "SECURITY_SERVER_KEYS=" PUBLIC);
    REFUSED(FW_ROLE_GATEWAY, "default: security.server_keys: is missing",
            "SECURITY_SECRET_KEY=" SECRET);
}

static void refuses_what_is_no_key_and_says_where_it_was_set(void **state)
{
    (void)state;
    REFUSED(FW_ROLE_BROKER, "FRESHWIRE_SECURITY_SECRET_KEY: security.secret_key: must be 40",
            "SECURITY_SECRET_KEY=abc");
    REFUSED(FW_ROLE_WORKER, "FRESHWIRE_SECURITY_SERVER_KEYS: security.server_keys: must be public",
            "SECURITY_SECRET_KEY=" SECRET, "SECURITY_SERVER_KEYS=abc");
    REFUSED(FW_ROLE_BROKER, "FRESHWIRE_SECURITY_PEERS: security.peers: the peer \"w\" has no role",
            "SECURITY_SECRET_KEY=" SECRET, "SECURITY_PEERS=name=w key=" PUBLIC);
}

static void the_check_needs_no_secret_key_but_looks_at_the_rest(void **state)
{
    static const struct {
        const char *variable;
        int result;
    } cases[] = {
        {"SECURITY_PEERS=name=w role=worker key=" PUBLIC, 0},
        {"SECURITY_PEERS=name=w role=worker key=short", -EINVAL},
        {"SECURITY_SERVER_KEYS=" PUBLIC, 0},
        {"SECURITY_SERVER_KEYS=short", -EINVAL},
        {"BROKER_BIND=0.0.0.0", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_config_t *config = load((const char *const[]){cases[i].variable, NULL});
        fw_config_error_t error = {.text = ""};
        assert_int_equal(fw_link_security_check(config, &error), cases[i].result);
        assert_int_equal(fw_options_check(config, &error), cases[i].result);
        fw_config_destroy(&config);
    }
}

static fw_security_t *made(const char *const *variables, fw_roles_t roles)
{
    fw_config_t *config = load(variables);
    fw_security_t *security = NULL;
    fw_config_error_t error = {.text = ""};
    if (fw_link_security_make(config, roles, &security, &error) != 0)
        fail_msg("%s", error.text);
    fw_config_destroy(&config);
    return security;
}

#define MADE(roles, ...) made((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, roles)

static void makes_what_a_role_needs(void **state)
{
    (void)state;
    assert_null(MADE(FW_ROLE_ALL));
    assert_null(MADE(FW_ROLE_BROKER, "BROKER_BIND=*", "SECURITY_ALLOW_PLAINTEXT=true"));
    /* One that only connects does not care what a broker would bind. */
    assert_null(MADE(FW_ROLE_WORKER, "BROKER_BIND=*"));
    fw_security_t *broker =
        MADE(FW_ROLE_BROKER, "BROKER_BIND=*", "SECURITY_SECRET_KEY=" SECRET,
             "SECURITY_PEERS=name=w role=worker key=" PUBLIC ",name=x role=gateway key="
             "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    fw_keyring_t *keyring = fw_security_keyring(broker);
    assert_int_equal(fw_keyring_count(keyring), 2);
    fw_keyring_destroy(&keyring);
    fw_security_destroy(&broker);
    fw_security_t *worker = MADE(FW_ROLE_WORKER, "SECURITY_SECRET_KEY=" SECRET,
                                 "SECURITY_SERVER_KEYS=" PUBLIC "," PUBLIC);
    assert_int_equal(fw_security_server_keys_count(worker), 2);
    fw_security_destroy(&worker);
}

static void knows_which_addresses_only_this_machine_reaches(void **state)
{
    static const char *const local[] = {"127.0.0.1", "127.8.9.10", "localhost", "lo",
                                        "::1",       "[::1]",      "[0::1]"};
    static const char *const others[] = {"",         "*",    "0.0.0.0", "127.0.0.1.example.com",
                                         "127.",     "::",   "[::]",    "[::1",
                                         "10.0.0.1", "host", "::2",     "[fe80::1]"};
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!fw_link_security_is_loopback(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (fw_link_security_is_loopback(others[i]))
            fail_msg("%s", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_to_bind_where_others_reach_it_without_keys),
        cmocka_unit_test(refuses_lists_without_the_secret_key),
        cmocka_unit_test(refuses_what_is_no_key_and_says_where_it_was_set),
        cmocka_unit_test(the_check_needs_no_secret_key_but_looks_at_the_rest),
        cmocka_unit_test(makes_what_a_role_needs),
        cmocka_unit_test(knows_which_addresses_only_this_machine_reaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
