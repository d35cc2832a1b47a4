/* test_registry.c - channels by name.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/registry.h"
#include "runtime/random.h"

enum { NAMES = 500, STEPS = 20000 };

static fw_text_t name_of(unsigned i, char text[32])
{
    (void)snprintf(text, 32, "room:%u", i);
    return fw_text(text);
}

static void it_finds_exactly_what_it_holds_through_random_changes(void **state)
{
    (void)state;
    fw_registry_t *registry = fw_registry_new();
    fw_channel_t *held[NAMES] = {NULL};
    fw_random_t random = {20};
    size_t count = 0;
    char text[32];
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)fw_random_below(&random, NAMES);
        fw_text_t name = name_of(i, text);
        assert_ptr_equal(fw_registry_find(registry, name), held[i]);
        if (held[i]) {
            fw_registry_remove(registry, held[i]);
            fw_channel_destroy(&held[i]);
            count--;
        } else {
            held[i] = fw_channel_new(name, 1);
            fw_registry_add(registry, held[i]);
            count++;
        }
        assert_int_equal(fw_registry_count(registry), count);
    }
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(fw_registry_find(registry, fw_channel_name(fw_registry_at(registry, i))),
                         fw_registry_at(registry, i));
    assert_null(fw_registry_at(registry, count));
    for (unsigned i = 0; i < NAMES; i++) {
        if (!held[i])
            continue;
        fw_registry_remove(registry, held[i]);
        fw_channel_destroy(&held[i]);
    }
    fw_registry_destroy(&registry);
}

static void subscribers_stay_dense(void **state)
{
    (void)state;
    int sessions[3];
    fw_channel_t *channel = fw_channel_new(FW_TEXT("broadcast"), 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(fw_channel_join(channel, (void *)&sessions[i], 10 + i), i);
    fw_subscriber_t moved = fw_channel_leave(channel, 0);
    assert_ptr_equal(moved.session, &sessions[2]);
    assert_int_equal(moved.index, 12);
    assert_ptr_equal(channel->subscribers[0].session, &sessions[2]);
    assert_null(fw_channel_leave(channel, 1).session);
    assert_null(fw_channel_leave(channel, 0).session);
    assert_null(channel->subscribers);
    fw_channel_destroy(&channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_exactly_what_it_holds_through_random_changes),
        cmocka_unit_test(subscribers_stay_dense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
