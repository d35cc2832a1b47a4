/* test_purge.c - a purge asks for what it should, and says done only when it is.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/purge.h"

static const fw_text_t tags[] = {{"projects", 8}, {"team:7", 6}};
static const fw_text_t keys[] = {{"a", 1}, {"b", 1}};
static const fw_text_t prefixes[] = {{"users:", 6}};
static const fw_bytes_t time_values[] = {{(const uint8_t *)"1732270000", 10},
                                         {(const uint8_t *)"122456", 6}};
static const fw_cache_reply_t time_reply = {.values = time_values, .values_count = 2};

static fw_cache_rules_t rules_with_prefix(void)
{
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    return rules;
}

static fw_cache_purge_t *begin(const fw_cache_rules_t *rules,
                               const fw_cache_purge_request_t *request)
{
    fw_cache_purge_t *purge = NULL;
    assert_int_equal(fw_cache_purge_new(rules, request, &purge), 0);
    return purge;
}

static void what_cannot_be_purged_is_refused(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = rules_with_prefix();
    const fw_text_t empty = FW_TEXT_NONE;
    const fw_text_t unknown = FW_TEXT("teams:");
    fw_cache_purge_t *purge = NULL;
    fw_cache_purge_request_t request = {0};
    assert_int_equal(fw_cache_purge_new(&rules, &request, &purge), -EINVAL);
    request = (fw_cache_purge_request_t){.tags = &empty, .tags_count = 1};
    assert_int_equal(fw_cache_purge_new(&rules, &request, &purge), -EINVAL);
    request = (fw_cache_purge_request_t){.keys = &empty, .keys_count = 1};
    assert_int_equal(fw_cache_purge_new(&rules, &request, &purge), -EINVAL);
    request = (fw_cache_purge_request_t){.prefixes = &unknown, .prefixes_count = 1};
    assert_int_equal(fw_cache_purge_new(&rules, &request, &purge), -EINVAL);
    request = (fw_cache_purge_request_t){.tags = tags, .tags_count = SIZE_MAX};
    assert_int_equal(fw_cache_purge_new(&rules, &request, &purge), -E2BIG);
    assert_null(purge);
}

static void a_purge_that_is_refused_is_not_done(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    const fw_cache_purge_request_t request = {.keys = keys, .keys_count = 1};
    fw_cache_purge_t *purge = begin(&rules, &request);
    const fw_cache_reply_t replies[] = {{.error = "READONLY You can't write"}, time_reply};
    fw_cache_purge_replies(purge, replies);
    assert_int_equal(fw_cache_purge_step(purge), FW_CACHE_STEP_DONE);
    assert_false(fw_cache_purge_outcome(purge)->done);
    assert_string_equal(fw_cache_purge_outcome(purge)->failure, "READONLY You can't write");
    fw_cache_purge_destroy(&purge);
    purge = begin(&rules, &request);
    fw_cache_purge_replies(purge, NULL);
    assert_false(fw_cache_purge_outcome(purge)->done);
    assert_string_equal(fw_cache_purge_outcome(purge)->failure, "no answer");
    fw_cache_purge_destroy(&purge);
}

static void the_time_is_asked_for_last(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = rules_with_prefix();
    const fw_cache_purge_request_t request = {.tags = tags,
                                              .tags_count = 2,
                                              .keys = keys,
                                              .keys_count = 2,
                                              .prefixes = prefixes,
                                              .prefixes_count = 1,
                                              .everything = true};
    fw_cache_purge_t *purge = begin(&rules, &request);
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_purge_commands(purge, &count);
    assert_int_equal(count, 3);
    assert_int_equal(commands[0].kind, FW_CACHE_COMMAND_BUMP);
    assert_int_equal(commands[0].keys_count, 4);
    assert_string_equal(commands[0].keys[0].text, "fw:epoch");
    assert_string_equal(commands[0].keys[1].text, "fw:t:projects");
    assert_string_equal(commands[0].keys[2].text, "fw:t:team:7");
    assert_string_equal(commands[0].keys[3].text, "fw:t:users:*");
    assert_int_equal(commands[0].keys[3].size, strlen("fw:t:users:*"));
    assert_int_equal(commands[1].kind, FW_CACHE_COMMAND_UNLINK);
    assert_string_equal(commands[1].keys[1].text, "fw:c:b");
    assert_int_equal(commands[2].kind, FW_CACHE_COMMAND_TIME);
    /* A stamp that Redis had no memory for was removed, which purges as well. */
    const fw_bytes_t stamps[] = {{(const uint8_t *)"5", 1},
                                 {NULL, 0},
                                 {(const uint8_t *)"1732270000122457", 16},
                                 {(const uint8_t *)"7", 1}};
    const fw_cache_reply_t replies[] = {
        {.values = stamps, .values_count = 4}, {.integer = 2}, time_reply};
    fw_cache_purge_replies(purge, replies);
    const fw_cache_purged_t *outcome = fw_cache_purge_outcome(purge);
    assert_true(outcome->done);
    assert_int_equal(outcome->keys_removed, 2);
    assert_int_equal(outcome->fresh_us, UINT64_C(1732270000122457));
    fw_cache_purge_destroy(&purge);
}

static void after_a_lost_script_the_time_is_asked_for_again(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    const fw_cache_purge_request_t request = {.tags = tags, .tags_count = 1};
    fw_cache_purge_t *purge = begin(&rules, &request);
    const fw_cache_reply_t lost[] = {{.error = "NOSCRIPT"}, time_reply};
    fw_cache_purge_replies(purge, lost);
    assert_int_equal(fw_cache_purge_step(purge), FW_CACHE_STEP_SEND);
    size_t count = 0;
    const fw_cache_command_t *commands = fw_cache_purge_commands(purge, &count);
    assert_int_equal(count, 2);
    assert_true(commands[0].with_source);
    assert_int_equal(commands[1].kind, FW_CACHE_COMMAND_TIME);
    assert_false(commands[1].with_source);
    const fw_bytes_t stamp = {(const uint8_t *)"5", 1};
    const fw_cache_reply_t replies[] = {{.values = &stamp, .values_count = 1}, time_reply};
    fw_cache_purge_replies(purge, replies);
    assert_true(fw_cache_purge_outcome(purge)->done);
    fw_cache_purge_destroy(&purge);
}

static void many_keys_are_several_commands_and_in_a_cluster_one_each(void **state)
{
    (void)state;
    static char texts[1200][8];
    static fw_text_t many[1200];
    for (size_t i = 0; i < 1200; i++) {
        int size = snprintf(texts[i], sizeof(texts[i]), "k%zu", i);
        many[i] = (fw_text_t){texts[i], (size_t)size};
    }
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    const fw_cache_purge_request_t request = {
        .keys = many, .keys_count = 1200, .tags = many, .tags_count = 65};
    size_t count = 0;
    fw_cache_purge_t *purge = begin(&rules, &request);
    const fw_cache_command_t *commands = fw_cache_purge_commands(purge, &count);
    assert_int_equal(count, 2 + 3 + 1);
    assert_int_equal(commands[0].keys_count, 64);
    assert_int_equal(commands[1].keys_count, 1);
    assert_int_equal(commands[4].keys_count, 200);
    assert_string_equal(commands[4].keys[199].text, "fw:c:k1199");
    fw_cache_purge_destroy(&purge);
    rules.cluster = true;
    purge = begin(&rules, &request);
    commands = fw_cache_purge_commands(purge, &count);
    assert_int_equal(count, 65 + 1200 + 1);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_int_equal(commands[i].keys_count, 1);
        assert_string_equal(commands[i].route.text, commands[i].keys[0].text);
    }
    fw_cache_purge_destroy(&purge);
    fw_cache_purge_destroy(&purge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_purged_is_refused),
        cmocka_unit_test(a_purge_that_is_refused_is_not_done),
        cmocka_unit_test(the_time_is_asked_for_last),
        cmocka_unit_test(after_a_lost_script_the_time_is_asked_for_again),
        cmocka_unit_test(many_keys_are_several_commands_and_in_a_cluster_one_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
