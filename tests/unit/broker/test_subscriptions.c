/* test_subscriptions.c - how much one connection may subscribe to.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/subscriptions.h"
#include "proto/channel.h"

static fw_topic_kind_t kind(const char *topic)
{
    return fw_topic_kind((fw_bytes_t){(const uint8_t *)topic, strlen(topic)});
}

static void topics_that_lead_nowhere_are_told_from_ours(void **state)
{
    static const char *const foreign[] = {"",        "b",    "user:1", "r0000i", "x00000",
                                          "r000000", "!hbx", "!h",     "rABCDE"};
    char topic[FW_TOPIC_SIZE + 1] = "";
    char fence[FW_FENCE_TOPIC_SIZE_MAX + 2] = "";
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (kind(foreign[i]) != FW_TOPIC_FOREIGN)
            fail_msg("%s is ours", foreign[i]);
    assert_int_equal(fw_topic_kind((fw_bytes_t){(const uint8_t *)"r\0\0\0\0\0", 6}),
                     FW_TOPIC_FOREIGN);
    fw_channel_topic(FW_TEXT("room:42"), topic);
    assert_int_equal(kind(topic), FW_TOPIC_OURS);
    fw_channel_topic(FW_TEXT("broadcast"), topic);
    assert_int_equal(kind(topic), FW_TOPIC_OURS);
    assert_int_equal(kind("!hb"), FW_TOPIC_OURS);
    memset(fence, '~', FW_FENCE_TOPIC_SIZE_MAX);
    assert_int_equal(kind(fence), FW_TOPIC_FENCE);
    fence[FW_FENCE_TOPIC_SIZE_MAX] = '~';
    assert_int_equal(kind(fence), FW_TOPIC_FOREIGN);
}

static void one_connection_that_asks_for_too_much_does_not_touch_others(void **state)
{
    fw_subscriptions_t *subscriptions = fw_subscriptions_new(100);
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_OURS, 0));
    assert_true(fw_subscriptions_add(subscriptions, 8, FW_TOPIC_OURS, 0));
    assert_false(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_OURS, 0));
    /* The descriptor is another connection's by now. */
    assert_true(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_OURS, 0));
    fw_subscriptions_destroy(&subscriptions);
}

static void the_count_is_of_a_minute(void **state)
{
    fw_subscriptions_t *subscriptions = fw_subscriptions_new(100);
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_FENCE,
                                         (int64_t)i * FW_SUBSCRIPTIONS_WINDOW_MS / 100));
    fw_subscriptions_destroy(&subscriptions);
}

static void few_foreign_topics_are_enough(void **state)
{
    fw_subscriptions_t *subscriptions = fw_subscriptions_new(1000000);
    (void)state;
    for (int i = 0; i < FW_FOREIGN_TOPICS_MAX; i++)
        assert_true(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_FOREIGN, 0));
    assert_false(fw_subscriptions_add(subscriptions, 7, FW_TOPIC_FOREIGN, 0));
    fw_subscriptions_destroy(&subscriptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_that_lead_nowhere_are_told_from_ours),
        cmocka_unit_test(one_connection_that_asks_for_too_much_does_not_touch_others),
        cmocka_unit_test(the_count_is_of_a_minute),
        cmocka_unit_test(few_foreign_topics_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
