/* test_policies.c - what channels keep, by pattern.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/policies.h"

static const fw_policy_t fallback = {1024, 4 << 20, INT64_C(600) * 1000000, false};

static void refuses_what_it_cannot_read(void **state)
{
    const struct {
        const char *rule, *message;
    } cases[] = {
        {"", "broker.channels: an empty rule"},
        {"history_events=5", "broker.channels: a rule must begin with a pattern such as room:*"},
        {"room:* history_events=0",
         "broker.channels: history_events must be between 1 and 1000000, not \"0\""},
        {"room:* history_bytes=1KiB", "broker.channels: history_bytes must be between 128KiB"},
        {"room:* history_age=soon", "broker.channels: history_age must be between 1s and 24h"},
        {"room:* barrier=never", "broker.channels: barrier must be one of release, hold"},
        {"room:* history=5", "broker.channels: unknown word \"history\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_policies_t *policies = NULL;
        fw_config_error_t error;
        assert_int_not_equal(fw_policies_new(&cases[i].rule, 1, &fallback, &policies, &error), 0);
        assert_null(policies);
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].rule, error.text);
    }
}

static void the_first_rule_that_matches_counts(void **state)
{
    static const char *const rules[] = {
        "room:live-* history_events=16 barrier=hold",
        "room:* history_age=1m history_bytes=256KiB",
        "* history_events=2",
    };
    fw_policies_t *policies = NULL;
    fw_config_error_t error;
    (void)state;
    assert_int_equal(fw_policies_new(rules, 3, &fallback, &policies, &error), 0);
    assert_true(fw_policies_hold(policies));
    const fw_policy_t *live = fw_policies_find(policies, FW_TEXT("room:live-1"));
    assert_int_equal(live->events_max, 16);
    assert_true(live->hold);
    assert_int_equal(live->age_us_max, fallback.age_us_max);
    const fw_policy_t *room = fw_policies_find(policies, FW_TEXT("room:1"));
    assert_int_equal(room->events_max, 1024);
    assert_int_equal(room->age_us_max, 60000000);
    assert_int_equal(room->bytes_max, 256 * 1024);
    assert_false(room->hold);
    assert_int_equal(fw_policies_find(policies, FW_TEXT("broadcast"))->events_max, 2);
    fw_policies_destroy(&policies);
}

static void without_rules_everything_is_as_the_fallback(void **state)
{
    fw_policies_t *policies = NULL;
    fw_config_error_t error;
    (void)state;
    assert_int_equal(fw_policies_new(NULL, 0, &fallback, &policies, &error), 0);
    assert_false(fw_policies_hold(policies));
    assert_memory_equal(fw_policies_find(policies, FW_TEXT("room:1")), &fallback, sizeof fallback);
    fw_policies_destroy(&policies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(the_first_rule_that_matches_counts),
        cmocka_unit_test(without_rules_everything_is_as_the_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
