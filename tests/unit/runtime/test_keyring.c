/* test_keyring.c - who may come in, and through which door.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/keyring.h"

#define KEY_A "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_B "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define KEY_C "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static void refuses_a_rule_with_the_option_and_what_is_wrong(void **state)
{
    const struct {
        const char *rule, *message;
    } cases[] = {
        {"", "security.peers: an empty rule"},
        {"orders role=publisher key=" KEY_A, "security.peers: begin with name="},
        {"role=publisher key=" KEY_A, "security.peers: the peer \"\" has no name"},
        {"name=a,b role=publisher key=" KEY_A, "security.peers: the peer \"a,b\" has a name that"},
        {"name=orders key=" KEY_A, "security.peers: the peer \"orders\" has no role"},
        {"name=orders role=admin key=" KEY_A,
         "security.peers: role must be publisher, worker, gateway or auditor, not \"admin\""},
        {"name=orders role=publisher", "security.peers: the peer \"orders\" has no key"},
        {"name=orders role=publisher key=short",
         "security.peers: the peer \"orders\" has a key that is not 40 characters"},
        {"name=orders role=publisher key=" KEY_A "0",
         "security.peers: the peer \"orders\" has a key that is not 40 characters"},
        {"name=orders role=publisher key=~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
         "security.peers: the peer \"orders\" has a key that is not 40 characters"},
        /* Five characters that stand for more than 32 bits. */
        {"name=orders role=publisher key=########################################",
         "security.peers: the peer \"orders\" has a key that is not 40 characters"},
        {"name=w role=worker channels=room:* key=" KEY_A,
         "security.peers: the peer \"w\" does not publish"},
        {"name=o role=publisher channels=room:*||x key=" KEY_A, "security.peers: an empty item"},
        {"name=o role=publisher chanels=room:* key=" KEY_A,
         "security.peers: unknown word \"chanels\"; did you mean channels?"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_keyring_t *keyring = NULL;
        fw_config_error_t error = {""};
        int result = fw_keyring_new("security.peers", (const char *const[]){cases[i].rule}, 1,
                                    &keyring, &error);
        if (result == 0 || strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].rule, error.text);
        assert_null(keyring);
    }
}

static void refuses_a_key_that_stands_twice(void **state)
{
    const char *const rules[] = {"name=a role=publisher key=" KEY_A,
                                 "name=b role=worker key=" KEY_B, "name=c role=gateway key=" KEY_A};
    fw_keyring_t *keyring = NULL;
    fw_config_error_t error;
    (void)state;
    assert_int_not_equal(fw_keyring_new("security.peers", rules, 3, &keyring, &error), 0);
    assert_non_null(strstr(error.text, "the key Yne@$w-v… stands twice"));
    assert_null(strstr(error.text, KEY_A));
}

static fw_keyring_t *make(const char *const *rules, size_t count)
{
    fw_keyring_t *keyring = NULL;
    fw_config_error_t error = {""};
    if (fw_keyring_new("security.peers", rules, count, &keyring, &error) != 0)
        fail_msg("%s", error.text);
    return keyring;
}

static void lets_each_role_through_its_own_doors_only(void **state)
{
    const char *const rules[] = {"name=p role=publisher key=" KEY_A,
                                 "name=w role=worker key=" KEY_B, "name=g role=gateway key=" KEY_C};
    const struct {
        const char *key;
        bool doors[FW_DOMAINS]; /* fire, publish, jobs, events, control */
    } table[] = {
        {KEY_A, {true, true, false, false, false}},
        {KEY_B, {false, false, true, false, false}},
        {KEY_C, {false, true, false, true, true}},
    };
    (void)state;
    fw_keyring_t *keyring = make(rules, 3);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int domain = 0; domain < FW_DOMAINS; domain++) {
            const fw_holder_t *holder = NULL;
            fw_verdict_t expected =
                table[i].doors[domain] ? FW_VERDICT_ADMITTED : FW_VERDICT_WRONG_ROLE;
            assert_int_equal(
                fw_keyring_judge(keyring, (fw_domain_t)domain, fw_text(table[i].key), &holder),
                expected);
            assert_non_null(holder);
            assert_string_equal(holder->key, table[i].key);
        }
    }
    fw_keyring_destroy(&keyring);
}

static void knows_no_other_key(void **state)
{
    const char *const rules[] = {"name=p role=publisher key=" KEY_A};
    const char *const strangers[] = {"", KEY_B, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI",
                                     "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hIE", KEY_A "x"};
    (void)state;
    fw_keyring_t *keyring = make(rules, 1);
    fw_keyring_t *empty = make(NULL, 0);
    const fw_holder_t *holder = NULL;
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        assert_int_equal(fw_keyring_judge(keyring, FW_DOMAIN_FIRE, fw_text(strangers[i]), &holder),
                         FW_VERDICT_UNKNOWN_KEY);
        assert_null(holder);
    }
    assert_int_equal(fw_keyring_judge(empty, FW_DOMAIN_FIRE, fw_text(KEY_A), &holder),
                     FW_VERDICT_UNKNOWN_KEY);
    fw_keyring_destroy(&keyring);
    fw_keyring_destroy(&empty);
}

static void keeps_several_keys_of_one_name_several_roles_of_one_key_and_patterns(void **state)
{
    const char *const rules[] = {
        "name=orders role=publisher key=" KEY_A " channels=room:*|user:1 types=order_*",
        "name=orders role=publisher|worker key=" KEY_B,
    };
    const fw_holder_t *old = NULL;
    const fw_holder_t *new = NULL;
    (void)state;
    fw_keyring_t *keyring = make(rules, 2);
    assert_int_equal(fw_keyring_count(keyring), 2);
    assert_int_equal(fw_keyring_judge(keyring, FW_DOMAIN_FIRE, fw_text(KEY_A), &old), 0);
    assert_int_equal(fw_keyring_judge(keyring, FW_DOMAIN_JOBS, fw_text(KEY_B), &new), 0);
    assert_string_equal(old->name, "orders");
    assert_string_equal(new->name, "orders");
    assert_int_equal(old->scopes[FW_SCOPE_CHANNELS].count, 2);
    assert_string_equal(old->scopes[FW_SCOPE_CHANNELS].texts[0].text, "room:*");
    assert_string_equal(old->scopes[FW_SCOPE_CHANNELS].texts[1].text, "user:1");
    assert_int_equal(old->scopes[FW_SCOPE_TYPES].count, 1);
    assert_string_equal(old->scopes[FW_SCOPE_TYPES].texts[0].text, "order_*");
    assert_int_equal(new->scopes[FW_SCOPE_CHANNELS].count, 0);
    fw_keyring_destroy(&keyring);
    assert_null(keyring);
    fw_keyring_destroy(&keyring);
}

static void names_doors_as_metrics_and_domains_do(void **state)
{
    fw_domain_t domain;
    (void)state;
    for (int i = 0; i < FW_DOMAINS; i++) {
        assert_true(fw_domain_find(fw_text(fw_domain_name((fw_domain_t)i)), &domain));
        assert_int_equal(domain, i);
    }
    assert_false(fw_domain_find(FW_TEXT("jobs2"), &domain));
    assert_false(fw_domain_find(FW_TEXT_NONE, &domain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_rule_with_the_option_and_what_is_wrong),
        cmocka_unit_test(refuses_a_key_that_stands_twice),
        cmocka_unit_test(lets_each_role_through_its_own_doors_only),
        cmocka_unit_test(knows_no_other_key),
        cmocka_unit_test(keeps_several_keys_of_one_name_several_roles_of_one_key_and_patterns),
        cmocka_unit_test(names_doors_as_metrics_and_domains_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
