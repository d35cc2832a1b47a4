/* test_rules.c - what a cache calls things, and which rules it has.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/read.h"

typedef struct {
    char buffer[FW_CACHE_PREFIXES_MAX][FW_CACHE_TAG_SIZE_MAX + 1];
    fw_text_t tags[FW_CACHE_TAGS_MAX];
    size_t count;
} result_t;

static void rules_that_cannot_work_are_refused(void **state)
{
    (void)state;
    const fw_text_t empty = FW_TEXT_NONE;
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    assert_int_equal(fw_cache_rules_check(&rules), 0);
    rules.name = FW_TEXT_NONE;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
    rules = fw_cache_rules_defaults();
    /* A stamp that runs out before its entries would only cost misses, but all the time. */
    rules.ttl_ms = rules.stamp_ttl_ms / 2 + 1;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
    rules = fw_cache_rules_defaults();
    rules.hold_off_ms = -1;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
    rules.hold_off_ms = INT64_MAX;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
    rules = fw_cache_rules_defaults();
    rules.prefixes = &empty;
    rules.prefixes_count = 1;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
    rules = fw_cache_rules_defaults();
    rules.payload_size_max = FW_CACHE_PAYLOAD_SIZE_MAX + 1;
    assert_int_equal(fw_cache_rules_check(&rules), -EINVAL);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    static char long_text[600];
    memset(long_text, 'k', sizeof(long_text));
    const fw_text_t many[FW_CACHE_TAGS_MAX + 1] = {{"t", 1}};
    const fw_text_t bad_tags[] = {
        FW_TEXT_NONE, {long_text, FW_CACHE_TAG_SIZE_MAX + 1}, {"a\0b", 3}};
    fw_cache_read_t *read = NULL;
    const uint8_t nonce[FW_CACHE_NONCE_SIZE] = {1};
    fw_cache_request_t asked = {.key = FW_TEXT("projects:7")};
    asked.key = FW_TEXT_NONE;
    assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -EINVAL);
    asked.key = (fw_text_t){long_text, FW_CACHE_KEY_SIZE_MAX + 1};
    assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -EINVAL);
    asked = (fw_cache_request_t){.key = FW_TEXT("projects:7")};
    asked.tags_count = 1;
    for (size_t i = 0; i < 3; i++) {
        asked.tags = &bad_tags[i];
        assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -EINVAL);
    }
    asked.tags = many;
    asked.tags_count = FW_CACHE_TAGS_MAX + 1;
    assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -E2BIG);
    asked = (fw_cache_request_t){.key = FW_TEXT("projects:7")};
    asked.ttl_ms = rules.stamp_ttl_ms / 2 + 1;
    assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -EINVAL);
    asked.ttl_ms = -1;
    assert_int_equal(fw_cache_read_new(&rules, &asked, nonce, 0, &read), -EINVAL);
    assert_null(read);
}

static void keys_in_redis_are_as_documented(void **state)
{
    (void)state;
    char buffer[64];
    fw_text_t key;
    char *end = fw_cache_entry_key_write(FW_TEXT("shop"), FW_TEXT("user:1"), buffer, &key);
    assert_string_equal(key.text, "shop:c:user:1");
    assert_int_equal(end - buffer, key.size + 1);
    (void)fw_cache_stamp_key_write(FW_TEXT("shop"), FW_TEXT("users"), buffer, &key);
    assert_string_equal(key.text, "shop:t:users");
    (void)fw_cache_stamp_key_write(FW_TEXT("shop"), FW_TEXT_NONE, buffer, &key);
    assert_string_equal(key.text, "shop:epoch");
    assert_int_equal(key.size, strlen("shop:epoch"));
}

static void tags_are_sorted_and_each_is_there_once(void **state)
{
    (void)state;
    const fw_cache_rules_t rules = fw_cache_rules_defaults();
    const fw_text_t tags[] = {{"b", 1}, {"a", 1}, {"b", 1}, {"ab", 2}, {"\xc3\xa4", 2}};
    result_t result;
    assert_int_equal(fw_cache_rules_tags(&rules, FW_TEXT("k"), tags, 5, result.buffer, result.tags,
                                         &result.count),
                     0);
    assert_int_equal(result.count, 4);
    assert_string_equal(result.tags[0].text, "a");
    assert_string_equal(result.tags[1].text, "ab");
    assert_string_equal(result.tags[2].text, "b");
    assert_string_equal(result.tags[3].text, "\xc3\xa4");
}

static void registered_prefixes_are_tags_of_what_begins_so(void **state)
{
    (void)state;
    const fw_text_t prefixes[] = {{"users:", 6}, {"u", 1}, {"teams:", 6}};
    const fw_text_t tags[] = {{"zebra", 5}, {"users:*", 7}};
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 3;
    result_t result;
    assert_int_equal(fw_cache_rules_tags(&rules, FW_TEXT("users:7"), tags, 2, result.buffer,
                                         result.tags, &result.count),
                     0);
    assert_int_equal(result.count, 3);
    assert_string_equal(result.tags[0].text, "u*");
    assert_string_equal(result.tags[1].text, "users:*");
    assert_string_equal(result.tags[2].text, "zebra");
    assert_int_equal(fw_cache_rules_tags(&rules, FW_TEXT("team"), tags, 0, result.buffer,
                                         result.tags, &result.count),
                     0);
    assert_int_equal(result.count, 0);
}

static void prefixes_count_as_tags(void **state)
{
    (void)state;
    const fw_text_t prefix = FW_TEXT("k");
    fw_text_t tags[FW_CACHE_TAGS_MAX];
    char texts[FW_CACHE_TAGS_MAX][4];
    for (size_t i = 0; i < FW_CACHE_TAGS_MAX; i++) {
        texts[i][0] = (char)('0' + i / 10);
        texts[i][1] = (char)('0' + i % 10);
        texts[i][2] = 0;
        tags[i] = (fw_text_t){texts[i], 2};
    }
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    result_t result;
    assert_int_equal(fw_cache_rules_tags(&rules, FW_TEXT("key"), tags, FW_CACHE_TAGS_MAX,
                                         result.buffer, result.tags, &result.count),
                     0);
    rules.prefixes = &prefix;
    rules.prefixes_count = 1;
    assert_int_equal(fw_cache_rules_tags(&rules, FW_TEXT("key"), tags, FW_CACHE_TAGS_MAX,
                                         result.buffer, result.tags, &result.count),
                     -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_cannot_work_are_refused),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
        cmocka_unit_test(keys_in_redis_are_as_documented),
        cmocka_unit_test(tags_are_sorted_and_each_is_there_once),
        cmocka_unit_test(registered_prefixes_are_tags_of_what_begins_so),
        cmocka_unit_test(prefixes_count_as_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
