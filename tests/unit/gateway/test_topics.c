/* test_topics.c - reference counted topics and their fences.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/topics.h"

/* Applies all changes; returns how many subscriptions (bits 0..15) and the contrary (16..) there
 * were. */
static unsigned apply(fw_topics_t *topics)
{
    char topic[FW_TOPIC_SIZE];
    bool subscribe;
    unsigned count = 0;
    while (fw_topics_next_change(topics, topic, &subscribe))
        count += subscribe ? 1 : 1 << 16;
    return count;
}

static void a_topic_is_certain_only_after_a_fence_that_followed_it(void **state)
{
    (void)state;
    fw_topics_t *topics = fw_topics_new();
    uint32_t first = fw_topics_hold(topics, FW_TEXT("room:1"));
    assert_false(fw_topics_passed(topics, first));
    assert_int_equal(fw_topics_next_fence(topics), 0); /* the subscription has not been made yet */
    assert_int_equal(apply(topics), 1);
    uint32_t fence = fw_topics_next_fence(topics);
    assert_int_equal(fence, first);
    uint32_t second = fw_topics_hold(topics, FW_TEXT("room:2"));
    assert_true(second > first);
    assert_int_equal(apply(topics), 1);
    assert_int_equal(fw_topics_next_fence(topics), 0); /* one at a time */
    (void)fw_topics_fenced(topics, fence);
    assert_true(fw_topics_passed(topics, first));
    assert_false(fw_topics_passed(topics, second));
    assert_int_equal(fw_topics_next_fence(topics), second);
    (void)fw_topics_fenced(topics, second);
    assert_true(fw_topics_passed(topics, second));
    assert_int_equal(fw_topics_next_fence(topics), 0);
    fw_topics_destroy(&topics);
}

static void a_topic_that_is_there_needs_no_other_fence(void **state)
{
    (void)state;
    fw_topics_t *topics = fw_topics_new();
    uint32_t first = fw_topics_hold(topics, FW_TEXT("room:1"));
    (void)apply(topics);
    (void)fw_topics_fenced(topics, fw_topics_next_fence(topics));
    uint32_t again = fw_topics_hold(topics, FW_TEXT("room:1"));
    assert_int_equal(again, first);
    assert_true(fw_topics_passed(topics, again));
    assert_int_equal(apply(topics), 0);
    fw_topics_release(topics, FW_TEXT("room:1"));
    assert_int_equal(apply(topics), 0);
    fw_topics_release(topics, FW_TEXT("room:1"));
    assert_int_equal(apply(topics), 1 << 16);
    assert_false(fw_topics_passed(topics, fw_topics_hold(topics, FW_TEXT("room:1"))));
    fw_topics_destroy(&topics);
}

static void a_change_of_mind_reaches_no_socket(void **state)
{
    (void)state;
    fw_topics_t *topics = fw_topics_new();
    (void)fw_topics_hold(topics, FW_TEXT("user:1"));
    fw_topics_release(topics, FW_TEXT("user:1"));
    assert_int_equal(apply(topics), 0);
    uint32_t first = fw_topics_hold(topics, FW_TEXT("user:1"));
    assert_int_equal(apply(topics), 1);
    (void)fw_topics_fenced(topics, fw_topics_next_fence(topics));
    fw_topics_release(topics, FW_TEXT("user:1"));
    assert_int_equal(fw_topics_hold(topics, FW_TEXT("user:1")), first);
    assert_int_equal(apply(topics), 0);
    fw_topics_destroy(&topics);
}

static void a_new_socket_repeats_all_and_old_fences_do_not_count(void **state)
{
    (void)state;
    fw_topics_t *topics = fw_topics_new();
    (void)fw_topics_hold(topics, FW_TEXT("room:1"));
    (void)fw_topics_hold(topics, FW_TEXT("room:2"));
    (void)apply(topics);
    uint32_t old = fw_topics_next_fence(topics);
    fw_topics_repeat(topics);
    uint32_t fence = fw_topics_fence_of(topics, FW_TEXT("room:1"));
    assert_false(fw_topics_passed(topics, fence));
    assert_int_equal(apply(topics), 2);
    assert_int_equal(fw_topics_next_fence(topics), fence);
    assert_false(fw_topics_fenced(topics, old));
    assert_false(fw_topics_passed(topics, fence));
    assert_true(fw_topics_fenced(topics, fence));
    assert_true(fw_topics_passed(topics, fence));
    fw_topics_destroy(&topics);
}

static void trouble_asks_for_one_more_fence_even_while_one_is_under_way(void **state)
{
    (void)state;
    fw_topics_t *topics = fw_topics_new();
    (void)fw_topics_hold(topics, FW_TEXT("room:1"));
    (void)apply(topics);
    uint32_t before = fw_topics_next_fence(topics);
    fw_topics_refence(topics);
    assert_false(fw_topics_fenced(topics, before));
    uint32_t after = fw_topics_next_fence(topics);
    assert_true(after > before);
    assert_true(fw_topics_fenced(topics, after));
    assert_int_equal(fw_topics_next_fence(topics), 0);
    fw_topics_destroy(&topics);
}

static void thousands_of_topics_come_and_go(void **state)
{
    (void)state;
    enum { ROOMS = 5000 };
    fw_topics_t *topics = fw_topics_new();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ROOMS; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "room:%d", i);
            (void)fw_topics_hold(topics, fw_text(name));
        }
        unsigned made = apply(topics);
        assert_in_range(made, ROOMS - 50, ROOMS); /* some share a topic */
        for (int i = 0; i < ROOMS; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "room:%d", i);
            fw_topics_release(topics, fw_text(name));
        }
        assert_int_equal(apply(topics), made << 16);
    }
    fw_topics_destroy(&topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_certain_only_after_a_fence_that_followed_it),
        cmocka_unit_test(a_topic_that_is_there_needs_no_other_fence),
        cmocka_unit_test(a_change_of_mind_reaches_no_socket),
        cmocka_unit_test(a_new_socket_repeats_all_and_old_fences_do_not_count),
        cmocka_unit_test(trouble_asks_for_one_more_fence_even_while_one_is_under_way),
        cmocka_unit_test(thousands_of_topics_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
