/* test_event_check.c - events that break a rule are refused by the name of the field.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/channel.h"
#include "proto/event.h"

#define TS_MAX ((INT64_C(1) << 53) - 1)

static const fw_text_t room[] = {{"room:42", 7}};

/* An event that keeps every rule. */
static fw_event_t good_event(void)
{
    return (fw_event_t){.id = FW_TEXT("1"),
                        .type = FW_TEXT("project_updated"),
                        .audience = room,
                        .audience_count = 1};
}

static void assert_refused(const fw_event_t *event, int result, const char *field,
                           const char *reason, uint64_t limit, uint64_t value)
{
    fw_refusal_t refusal;
    int got = fw_event_check(event, &refusal);
    if (got != result)
        fail_msg("%s %s: %d", field, reason, got);
    assert_string_equal(refusal.field, field);
    assert_string_equal(refusal.reason, reason);
    assert_true(refusal.limit == limit);
    assert_true(refusal.value == value);
}

static void assert_accepted(const fw_event_t *event)
{
    fw_refusal_t refusal;
    if (fw_event_check(event, &refusal) != 0)
        fail_msg("%s %s", refusal.field, refusal.reason);
}

/* Text of one letter repeated; the next call ends its life. */
static fw_text_t long_text(size_t size)
{
    static char text[FW_KEY_SIZE_MAX + 2];
    assert_true(size < sizeof text);
    memset(text, 'x', size);
    text[size] = '\0';
    return (fw_text_t){text, size};
}

static void refuses_types_that_are_no_names(void **state)
{
    static const char *const bad[] = {"a b", "a\n", "\"", "a\\", "Gr\xc3\xbc", "a{", "*", "a,b"};
    const char *reason = "may hold letters, digits, '_', '-', '.', ':' and '/' only";
    fw_event_t event = good_event();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        event.type = fw_text(bad[i]);
        assert_refused(&event, -EPROTO, "type", reason, 0, 0);
    }
    event.type = FW_TEXT_NONE;
    assert_refused(&event, -EPROTO, "type", "is missing", 0, 0);
    event.type = FW_TEXT("fw.reset");
    assert_refused(&event, -EPROTO, "type", "begins with \"fw.\", which is reserved", 0, 0);
    event.type = long_text(FW_EVENT_TYPE_SIZE_MAX + 1);
    assert_refused(&event, -EMSGSIZE, "type", "is too long", 64, 65);
    event.type = long_text(FW_EVENT_TYPE_SIZE_MAX);
    assert_accepted(&event);
    event.type = FW_TEXT("Billing/invoice.paid:v2_a-b");
    assert_accepted(&event);
}

static void refuses_names_that_are_too_long_or_not_printable(void **state)
{
    fw_event_t event = good_event();
    const struct {
        const char *field;
        fw_text_t *text;
        size_t size_max;
    } rows[] = {
        {"id", &event.id, FW_EVENT_ID_SIZE_MAX},
        {"origin", &event.origin, FW_ORIGIN_SIZE_MAX},
        {"user_id", &event.user_id, FW_USER_ID_SIZE_MAX},
        {"exclude.origin", &event.exclude.origin, FW_ORIGIN_SIZE_MAX},
        {"exclude.user_id", &event.exclude.user_id, FW_USER_ID_SIZE_MAX},
        {"traceparent", &event.traceparent, FW_TRACEPARENT_SIZE_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const char *const bad[] = {"\n", "\x7f", "\xff", "\xed\xa0\x80"};
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            *rows[i].text = fw_text(bad[k]);
            assert_refused(&event, -EPROTO, rows[i].field,
                           "is not UTF-8 text without control characters", 0, 0);
        }
        *rows[i].text = (fw_text_t){"a\0b", 3};
        assert_refused(&event, -EPROTO, rows[i].field,
                       "is not UTF-8 text without control characters", 0, 0);
        *rows[i].text = long_text(rows[i].size_max + 1);
        assert_refused(&event, -EMSGSIZE, rows[i].field, "is too long", rows[i].size_max,
                       rows[i].size_max + 1);
        *rows[i].text = long_text(rows[i].size_max);
        assert_accepted(&event);
        *rows[i].text = FW_TEXT("Gr\xc3\xbc\xc3\x9f");
    }
    assert_accepted(&event);
}

static void refuses_times_that_a_browser_cannot_hold(void **state)
{
    fw_event_t event = good_event();
    (void)state;
    event.ts = -1;
    assert_refused(&event, -EPROTO, "ts", "is not a time in milliseconds", TS_MAX, UINT64_MAX);
    event.ts = TS_MAX + 1;
    assert_refused(&event, -EPROTO, "ts", "is not a time in milliseconds", TS_MAX, TS_MAX + 1);
    event.ts = TS_MAX;
    assert_accepted(&event);
}

static void refuses_an_audience_that_is_no_list_of_channels(void **state)
{
    const fw_text_t unknown[] = {FW_TEXT("broadcast"), FW_TEXT("group:1")};
    const fw_text_t twice[] = {FW_TEXT("room:1"), FW_TEXT("user:1"), FW_TEXT("room:1")};
    fw_text_t many[FW_AUDIENCE_MAX + 1];
    char names[FW_AUDIENCE_MAX + 1][16];
    fw_event_t event = good_event();
    (void)state;
    for (size_t i = 0; i <= FW_AUDIENCE_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "user:%zu", i);
        many[i] = fw_text(names[i]);
    }
    event.audience = unknown;
    event.audience_count = 2;
    assert_refused(&event, -EPROTO, "audience[1]",
                   "is not \"broadcast\", \"user:<id>\" or \"room:<id>\"", 0, 0);
    event.audience = twice;
    event.audience_count = 3;
    assert_refused(&event, -EPROTO, "audience[2]", "is given twice", 0, 0);
    event.audience = many;
    event.audience_count = FW_AUDIENCE_MAX + 1;
    assert_refused(&event, -EMSGSIZE, "audience", "has too many channels", 64, 65);
    event.audience_count = FW_AUDIENCE_MAX;
    assert_accepted(&event);
}

static void refuses_an_event_that_would_reach_nobody(void **state)
{
    const fw_text_t key[] = {FW_TEXT("k")};
    fw_event_t event = good_event();
    (void)state;
    event.audience_count = 0;
    assert_refused(&event, -EPROTO, "audience",
                   "is empty, and so is invalidate: the event would reach nobody", 0, 0);
    event.invalidate.keys = key;
    event.invalidate.keys_count = 1;
    assert_accepted(&event);
}

/* Each of the three lists in turn: too many, empty, too long, zero byte, not UTF-8. */
static void refuses_bad_entries_of_what_it_invalidates(void **state)
{
    const struct {
        const char *field;
        size_t count_max, size_max;
    } rows[] = {
        {"invalidate.keys", FW_INVALIDATE_KEYS_MAX, FW_KEY_SIZE_MAX},
        {"invalidate.tags", FW_INVALIDATE_TAGS_MAX, FW_TAG_SIZE_MAX},
        {"invalidate.patterns", FW_INVALIDATE_PATTERNS_MAX, FW_KEY_SIZE_MAX},
    };
    static fw_text_t texts[FW_INVALIDATE_KEYS_MAX + 1];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fw_event_t event = good_event();
        const fw_text_t **lists[] = {&event.invalidate.keys, &event.invalidate.tags,
                                     &event.invalidate.patterns};
        size_t *counts[] = {&event.invalidate.keys_count, &event.invalidate.tags_count,
                            &event.invalidate.patterns_count};
        char second[32];
        (void)snprintf(second, sizeof second, "%s[1]", rows[i].field);
        for (size_t k = 0; k <= rows[i].count_max; k++)
            texts[k] = FW_TEXT("key");
        *lists[i] = texts;
        *counts[i] = rows[i].count_max + 1;
        assert_refused(&event, -EMSGSIZE, rows[i].field, "has too many entries", rows[i].count_max,
                       rows[i].count_max + 1);
        *counts[i] = rows[i].count_max;
        assert_accepted(&event);
        texts[1] = FW_TEXT_NONE;
        assert_refused(&event, -EPROTO, second, "is empty", 0, 0);
        texts[1] = (fw_text_t){"key\0", 4};
        assert_refused(&event, -EPROTO, second, "holds a zero byte", 0, 0);
        texts[1] = FW_TEXT("key\xff");
        assert_refused(&event, -EPROTO, second, "is not UTF-8 text", 0, 0);
        texts[1] = long_text(rows[i].size_max + 1);
        assert_refused(&event, -EMSGSIZE, second, "is too long", rows[i].size_max,
                       rows[i].size_max + 1);
        texts[1] = long_text(rows[i].size_max);
        assert_accepted(&event);
    }
}

static void refuses_patterns_that_would_sweep_nearly_everything(void **state)
{
    static const struct {
        const char *pattern;
        uint64_t literal;
    } bad[] = {{"*", 0}, {"a*", 1}, {"ab?", 2}, {"[a]bc", 0}, {"a\\*bc", 1}, {"ab", 2}};
    fw_event_t event = good_event();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const fw_text_t pattern[] = {fw_text(bad[i].pattern)};
        event.invalidate.patterns = pattern;
        event.invalidate.patterns_count = 1;
        assert_refused(&event, -EPROTO, "invalidate.patterns[0]",
                       "begins with too few literal characters", 3, bad[i].literal);
    }
    const fw_text_t good[] = {FW_TEXT("abc*")};
    event.invalidate.patterns = good;
    assert_accepted(&event);
}

static void refuses_data_that_is_not_one_json_value(void **state)
{
    static const char *const bad[] = {"",        "{", "{}}", "1 2", "{},\"channel\":\"room:1\"",
                                      "\"\xff\""};
    fw_event_t event = good_event();
    (void)state;
    event.data.kind = FW_PAYLOAD_JSON;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        event.data.bytes = (fw_bytes_t){(const uint8_t *)bad[i], strlen(bad[i])};
        assert_refused(&event, -EPROTO, "data", "is not one JSON value", 0, 0);
    }
    event.data.bytes = (fw_bytes_t){(const uint8_t *)"{\"id\":1}", 8};
    assert_accepted(&event);
}

static void refuses_data_that_is_too_large(void **state)
{
    static uint8_t data[FW_PAYLOAD_SIZE_MAX + 1];
    fw_event_t event = good_event();
    (void)state;
    memset(data, '1', sizeof data);
    for (fw_payload_kind_t kind = FW_PAYLOAD_JSON; kind <= FW_PAYLOAD_TYPED; kind++) {
        event.data = (fw_payload_t){.kind = kind, .bytes = {data, sizeof data}};
        assert_refused(&event, -EMSGSIZE, "data", "is too large", 65536, 65537);
    }
    event.data = (fw_payload_t){.kind = FW_PAYLOAD_JSON, .bytes = {data, FW_PAYLOAD_SIZE_MAX}};
    assert_accepted(&event);
}

static void refuses_typed_data_that_is_not_of_its_type(void **state)
{
    fw_event_t event = good_event();
    (void)state;
    event.data = (fw_payload_t){.kind = FW_PAYLOAD_TYPED, .type = FW_TEXT("team_updated")};
    assert_refused(&event, -EPROTO, "type", "does not match the typed data", 0, 0);
    event.type = event.data.type = FW_TEXT("project_renamed");
    assert_refused(&event, -EPROTO, "data", "is not a typed payload", 0, 0);
    event.type = event.data.type = FW_TEXT("team_updated");
    event.data.bytes = (fw_bytes_t){(const uint8_t *)"\x0a\x01\xff", 3};
    assert_refused(&event, -EPROTO, "data.team_updated.id", "is not UTF-8 text", 0, 0);
    event.data.bytes = (fw_bytes_t){(const uint8_t *)"\x0a\x05", 2};
    assert_refused(&event, -EPROTO, "data.team_updated", "is not a message of this protocol", 0, 0);
    event.data.bytes = (fw_bytes_t){(const uint8_t *)"\x0a\x01z", 3};
    assert_accepted(&event);
}

static void accepts_an_event_with_nothing_but_a_type_and_an_audience(void **state)
{
    fw_event_t event = {.type = FW_TEXT("a"), .audience = room, .audience_count = 1};
    (void)state;
    assert_accepted(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_types_that_are_no_names),
        cmocka_unit_test(refuses_names_that_are_too_long_or_not_printable),
        cmocka_unit_test(refuses_times_that_a_browser_cannot_hold),
        cmocka_unit_test(refuses_an_audience_that_is_no_list_of_channels),
        cmocka_unit_test(refuses_an_event_that_would_reach_nobody),
        cmocka_unit_test(refuses_bad_entries_of_what_it_invalidates),
        cmocka_unit_test(refuses_patterns_that_would_sweep_nearly_everything),
        cmocka_unit_test(refuses_data_that_is_not_one_json_value),
        cmocka_unit_test(refuses_data_that_is_too_large),
        cmocka_unit_test(refuses_typed_data_that_is_not_of_its_type),
        cmocka_unit_test(accepts_an_event_with_nothing_but_a_type_and_an_audience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
