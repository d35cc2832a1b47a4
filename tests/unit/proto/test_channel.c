/* test_channel.c - names of channels and their topics.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/channel.h"

static fw_text_t text_of(const char *bytes, size_t size)
{
    return (fw_text_t){bytes, size};
}

static void refuses_names_that_are_no_channel(void **state)
{
    static const char *const bad[] = {
        "",         "broadcas",  "broadcast ", "Broadcast", "broadcast:1", "user",
        "user:",    "room:",     "User:9",     "users:9",   "group:9",     "room",
        "room;42",  "room:a\nb", "room:a\x7f", "user:\x01", "room:\xff",   "room:\xed\xa0\x80",
        " room:42", "\xc0\xaf",  "user:\xc3",  "~room:1",   "!hb",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fw_channel_kind(fw_text(bad[i])) != FW_CHANNEL_INVALID)
            fail_msg("\"%s\" is taken for a channel", bad[i]);
    assert_int_equal(fw_channel_kind(text_of("room:a\0b", 8)), FW_CHANNEL_INVALID);
    assert_int_equal(fw_channel_kind(FW_TEXT_NONE), FW_CHANNEL_INVALID);
}

static void refuses_an_id_that_is_one_byte_too_long(void **state)
{
    char name[FW_CHANNEL_SIZE_MAX + 2];
    (void)state;
    memset(name, 'x', sizeof name);
    memcpy(name, "room:", 5);
    name[FW_CHANNEL_SIZE_MAX + 1] = '\0';
    assert_int_equal(fw_channel_kind(text_of(name, FW_CHANNEL_SIZE_MAX + 1)), FW_CHANNEL_INVALID);
    name[FW_CHANNEL_SIZE_MAX] = '\0';
    assert_int_equal(fw_channel_kind(text_of(name, FW_CHANNEL_SIZE_MAX)), FW_CHANNEL_KIND_ROOM);
}

static void knows_the_kind_and_the_id(void **state)
{
    static const struct {
        const char *name;
        fw_channel_kind_t kind;
        const char *id;
    } rows[] = {
        {"broadcast", FW_CHANNEL_KIND_BROADCAST, ""},
        {"user:9", FW_CHANNEL_KIND_USER, "9"},
        {"room:42", FW_CHANNEL_KIND_ROOM, "42"},
        {"room::", FW_CHANNEL_KIND_ROOM, ":"},
        {"room:a b/c?d*", FW_CHANNEL_KIND_ROOM, "a b/c?d*"},
        {"user:Gr\xc3\xbc\xc3\x9f", FW_CHANNEL_KIND_USER, "Gr\xc3\xbc\xc3\x9f"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fw_channel_kind(fw_text(rows[i].name)), rows[i].kind);
        assert_true(fw_text_equal(fw_channel_id(fw_text(rows[i].name)), fw_text(rows[i].id)));
    }
}

static void makes_no_name_that_it_would_refuse(void **state)
{
    char name[FW_CHANNEL_SIZE_MAX + 1] = "before";
    char long_id[FW_CHANNEL_ID_SIZE_MAX + 2];
    size_t size = 77;
    (void)state;
    memset(long_id, 'x', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_ROOM, FW_TEXT_NONE, name, &size), -EINVAL);
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_USER, FW_TEXT("a\n"), name, &size), -EINVAL);
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_USER, FW_TEXT("\xff"), name, &size), -EINVAL);
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_ROOM, fw_text(long_id), name, &size), -EINVAL);
    assert_int_equal(fw_channel_make(FW_CHANNEL_INVALID, FW_TEXT("1"), name, &size), -EINVAL);
    assert_string_equal(name, "before");
    assert_int_equal(size, 77);
}

static void makes_the_name_of_every_kind(void **state)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = 0;
    (void)state;
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_ROOM, FW_TEXT("42"), name, &size), 0);
    assert_string_equal(name, "room:42");
    assert_int_equal(size, 7);
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_USER, FW_TEXT("9"), name, &size), 0);
    assert_string_equal(name, "user:9");
    assert_int_equal(fw_channel_make(FW_CHANNEL_KIND_BROADCAST, FW_TEXT("ignored"), name, &size),
                     0);
    assert_string_equal(name, "broadcast");
    assert_int_equal(size, 9);
}

static void topics_are_six_known_characters(void **state)
{
    static const char *const names[] = {"broadcast", "user:9", "room:42"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char topic[FW_TOPIC_SIZE + 1] = "??????~", again[FW_TOPIC_SIZE];
        fw_channel_topic(fw_text(names[i]), topic);
        assert_int_equal(topic[0], names[i][0]);
        for (int k = 1; k < FW_TOPIC_SIZE; k++)
            assert_non_null(strchr("0123456789abcdefghjkmnpqrstvwxyz", topic[k]));
        assert_int_equal(topic[FW_TOPIC_SIZE], '~');
        fw_channel_topic(fw_text(names[i]), again);
        assert_memory_equal(topic, again, FW_TOPIC_SIZE);
    }
}

/* Brokers and gateways of different builds must agree, so the hash may never change. */
static void topics_stay_what_they_are(void **state)
{
    static const struct {
        const char *name, *topic;
    } rows[] = {{"broadcast", "bp9d39"}, {"user:9", "uqnv4b"}, {"room:42", "rt7g44"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char topic[FW_TOPIC_SIZE + 1] = {0};
        fw_channel_topic(fw_text(rows[i].name), topic);
        assert_string_equal(topic, rows[i].topic);
    }
}

static void spreads_channels_evenly_over_topics(void **state)
{
    enum { CHANNELS = 32 * 1000 };
    int buckets[32] = {0}; /* by the first of five characters */
    (void)state;
    for (int i = 0; i < CHANNELS; i++) {
        char name[32], topic[FW_TOPIC_SIZE];
        (void)snprintf(name, sizeof name, "user:%d", i);
        fw_channel_topic(fw_text(name), topic);
        const char *digits = "0123456789abcdefghjkmnpqrstvwxyz";
        buckets[strchr(digits, topic[1]) - digits]++;
    }
    for (int i = 0; i < 32; i++)
        assert_in_range(buckets[i], 800, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_names_that_are_no_channel),
        cmocka_unit_test(refuses_an_id_that_is_one_byte_too_long),
        cmocka_unit_test(knows_the_kind_and_the_id),
        cmocka_unit_test(makes_no_name_that_it_would_refuse),
        cmocka_unit_test(makes_the_name_of_every_kind),
        cmocka_unit_test(topics_are_six_known_characters),
        cmocka_unit_test(topics_stay_what_they_are),
        cmocka_unit_test(spreads_channels_evenly_over_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
