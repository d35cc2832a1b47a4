/* test_permissions.c - what the holder of a key may publish.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "broker/permissions.h"
#include "proto/utf8.h"

static const fw_text_t channels[] = {{"room:*", 6}, {"user:7", 6}};
static const fw_text_t types[] = {{"order_*", 7}};
static const fw_text_t tags[] = {{"orders*", 7}};
static const fw_text_t keys[] = {{"shop:*", 6}, {"*:total", 7}, {"exact", 5}};
static const fw_holder_t orders = {
    .name = "orders",
    .scopes = {[FW_SCOPE_CHANNELS] = {channels, 2},
               [FW_SCOPE_TYPES] = {types, 1},
               [FW_SCOPE_TAGS] = {tags, 1},
               [FW_SCOPE_KEYS] = {keys, 3}},
};

static int check(const fw_holder_t *holder, const char *type, const char *a, const char *b,
                 fw_refusal_t *ret_refusal)
{
    fw_text_t audience[] = {fw_text(a), fw_text(b)};
    fw_event_t event = {.type = fw_text(type),
                        .audience = audience,
                        .audience_count = (size_t)(a != NULL) + (b != NULL)};
    return fw_permissions_check(holder, &event, ret_refusal);
}

static void refuses_a_channel_that_no_pattern_allows_and_names_it(void **state)
{
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check(&orders, "order_paid", "room:1", "broadcast", &refusal), -EACCES);
    assert_string_equal(refusal.field, "audience[1]");
    assert_string_equal(refusal.reason, "\"broadcast\" is not among the channels that the key of "
                                        "orders may publish");
    assert_int_equal(check(&orders, "order_paid", "user:70", NULL, &refusal), -EACCES);
    assert_string_equal(refusal.field, "audience[0]");
}

static void refuses_a_type_that_no_pattern_allows_and_names_it(void **state)
{
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check(&orders, "user_deleted", "room:1", NULL, &refusal), -EACCES);
    assert_string_equal(refusal.field, "type");
    assert_string_equal(refusal.reason, "\"user_deleted\" is not among the types that the key of "
                                        "orders may publish");
}

static int check_purge(const char *tag, const char *key, const char *pattern,
                       fw_refusal_t *ret_refusal)
{
    fw_text_t tag_text = fw_text(tag ? tag : "");
    fw_text_t key_text = fw_text(key ? key : "");
    fw_text_t pattern_text = fw_text(pattern ? pattern : "");
    fw_event_t event = {.type = fw_text("order_paid"),
                        .invalidate = {.tags = &tag_text,
                                       .tags_count = tag != NULL,
                                       .keys = &key_text,
                                       .keys_count = key != NULL,
                                       .patterns = &pattern_text,
                                       .patterns_count = pattern != NULL}};
    return fw_permissions_check(&orders, &event, ret_refusal);
}

static void refuses_a_purge_of_what_is_not_the_holders(void **state)
{
    static const char *const beyond[] = {"*",       "sho*",     "s*",      "shop",     "?hop:1",
                                         "[s]hop:", "\\shop:*", "x:total", "[a:total", "exac?"};
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check_purge("projects", NULL, NULL, &refusal), -EACCES);
    assert_string_equal(refusal.field, "invalidate.tags[0]");
    assert_string_equal(refusal.reason,
                        "\"projects\" is not among the tags that the key of orders may purge");
    assert_int_equal(check_purge(NULL, "session:1", NULL, &refusal), -EACCES);
    assert_string_equal(refusal.field, "invalidate.keys[0]");
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        assert_int_equal(check_purge(NULL, NULL, beyond[i], &refusal), -EACCES);
        assert_string_equal(refusal.field, "invalidate.patterns[0]");
    }
}

static void allows_a_purge_of_what_is(void **state)
{
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check_purge("orders:1", "shop:1", "shop:*", &refusal), 0);
    assert_int_equal(check_purge("orders", "x:total", "shop:1?[ab]*", &refusal), 0);
    assert_int_equal(check_purge(NULL, "exact", "shop:", &refusal), 0);
}

static void cuts_a_long_name_between_characters(void **state)
{
    fw_refusal_t refusal;
    char channel[128] = "user:";
    (void)state;
    for (size_t offset = 5; offset < 8; offset++) {
        memset(channel, 'a', sizeof channel);
        memcpy(channel, "user:", 5);
        for (size_t i = offset; i + 3 < sizeof channel; i += 3)
            memcpy(channel + i, "\xe2\x82\xac", 3);
        channel[110] = '\0';
        assert_int_equal(check(&orders, "order_paid", channel, NULL, &refusal), -EACCES);
        fw_bytes_t reason = {(const uint8_t *)refusal.reason, strlen(refusal.reason)};
        assert_true(fw_utf8_valid(reason));
        assert_non_null(strstr(refusal.reason, "that the key of orders may publish"));
    }
}

static void allows_what_the_patterns_allow(void **state)
{
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check(&orders, "order_paid", "room:1", "user:7", &refusal), 0);
    /* It only purges: no channel is touched. */
    assert_int_equal(check(&orders, "order_paid", NULL, NULL, &refusal), 0);
}

static void allows_everything_to_who_is_not_limited_and_to_this_process(void **state)
{
    static const fw_holder_t anybody = {.name = "anybody"};
    fw_refusal_t refusal;
    (void)state;
    assert_int_equal(check(&anybody, "x", "broadcast", "user:1", &refusal), 0);
    assert_int_equal(check(NULL, "x", "broadcast", "user:1", &refusal), 0);
}

static void tells_which_channels_may_have_lost_something(void **state)
{
    static const fw_holder_t anybody = {.name = "anybody"};
    size_t count = 0;
    (void)state;
    assert_ptr_equal(fw_permissions_channels(&orders, &count), channels);
    assert_int_equal(count, 2);
    assert_string_equal(fw_permissions_channels(&anybody, &count)->text, "*");
    assert_int_equal(count, 1);
    assert_string_equal(fw_permissions_channels(NULL, &count)->text, "*");
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_channel_that_no_pattern_allows_and_names_it),
        cmocka_unit_test(refuses_a_type_that_no_pattern_allows_and_names_it),
        cmocka_unit_test(refuses_a_purge_of_what_is_not_the_holders),
        cmocka_unit_test(allows_a_purge_of_what_is),
        cmocka_unit_test(cuts_a_long_name_between_characters),
        cmocka_unit_test(allows_what_the_patterns_allow),
        cmocka_unit_test(allows_everything_to_who_is_not_limited_and_to_this_process),
        cmocka_unit_test(tells_which_channels_may_have_lost_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
