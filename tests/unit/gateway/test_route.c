/* test_route.c - paths, arguments, subprotocols, origins.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/route.h"
#include "proto/channel.h"

static fw_endpoint_t endpoint(const char *prefix, const char *path)
{
    return fw_route_parse(fw_text(prefix), fw_text(path)).endpoint;
}

static void other_paths_lead_nowhere(void **state)
{
    (void)state;
    const char *paths[] = {"",
                           "/",
                           "/w",
                           "/ws/",
                           "/wsx",
                           "/ws/room",
                           "/ws/room/",
                           "/ws/other",
                           "/ws/notifications/",
                           "/v1/events/",
                           "/api/ws",
                           "/ws/room/a\nb"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(endpoint("", paths[i]), FW_ENDPOINT_NONE);
    assert_int_equal(endpoint("/api", "/ws"), FW_ENDPOINT_NONE);
    assert_int_equal(endpoint("/api", "/ap"), FW_ENDPOINT_NONE);
    char longest[16 + FW_CHANNEL_ID_SIZE_MAX];
    memset(longest, 'r', sizeof longest);
    memcpy(longest, "/ws/room/", 9);
    longest[9 + FW_CHANNEL_ID_SIZE_MAX] = '\0';
    assert_int_equal(endpoint("", longest), FW_ENDPOINT_ROOM);
    longest[9 + FW_CHANNEL_ID_SIZE_MAX] = 'r';
    longest[10 + FW_CHANNEL_ID_SIZE_MAX] = '\0';
    assert_int_equal(endpoint("", longest), FW_ENDPOINT_NONE);
}

static void endpoints_are_found_behind_the_prefix(void **state)
{
    (void)state;
    assert_int_equal(endpoint("", "/ws"), FW_ENDPOINT_ALL);
    assert_int_equal(endpoint("/api", "/api/ws"), FW_ENDPOINT_ALL);
    assert_int_equal(endpoint("/api", "/api/ws/notifications"), FW_ENDPOINT_NOTIFICATIONS);
    assert_int_equal(endpoint("/api", "/api/v1/events"), FW_ENDPOINT_EVENTS);
    assert_int_equal(endpoint("", "/sse"), FW_ENDPOINT_ALL);
    assert_int_equal(endpoint("", "/sse/notifications"), FW_ENDPOINT_NOTIFICATIONS);
    assert_true(fw_route_parse(FW_TEXT_NONE, FW_TEXT("/sse/room/4")).stream);
    assert_false(fw_route_parse(FW_TEXT_NONE, FW_TEXT("/ws/room/4")).stream);
    fw_route_t room = fw_route_parse(fw_text("/api"), fw_text("/api/ws/room/a/b c"));
    assert_int_equal(room.endpoint, FW_ENDPOINT_ROOM);
    assert_string_equal(room.room.text, "a/b c");
}

static void an_argument_needs_its_whole_name(void **state)
{
    (void)state;
    fw_text_t value;
    assert_false(fw_route_argument(FW_TEXT("token"), "token", &value));
    assert_false(fw_route_argument(FW_TEXT("tokens=1"), "token", &value));
    assert_false(fw_route_argument(FW_TEXT("toke=1"), "token", &value));
    assert_true(fw_route_argument(FW_TEXT("token=a=b"), "token", &value));
    assert_string_equal(value.text, "a=b");
    assert_true(fw_route_argument(FW_TEXT("token="), "token", &value));
    assert_int_equal(value.size, 0);
}

static void only_a_bearer_is_a_token(void **state)
{
    (void)state;
    assert_int_equal(fw_route_bearer(FW_TEXT("Basic abc")).size, 0);
    assert_int_equal(fw_route_bearer(FW_TEXT("Bearer")).size, 0);
    assert_int_equal(fw_route_bearer(FW_TEXT("Bearer ")).size, 0);
    assert_string_equal(fw_route_bearer(FW_TEXT("Bearer abc")).text, "abc");
    assert_string_equal(fw_route_bearer(FW_TEXT("bEARER   abc")).text, "abc");
}

static void subprotocols_are_chosen_from_a_list(void **state)
{
    (void)state;
    char first[FW_SUBPROTOCOL_SIZE_MAX + 1];
    assert_int_equal(fw_route_subprotocol(FW_TEXT_NONE, first), FW_SUBPROTOCOL_NONE);
    const char *bad[] = {",", "a,", ",a", "a b", "a;q", "\"a\"", "a,,b", " "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fw_route_subprotocol(fw_text(bad[i]), first), FW_SUBPROTOCOL_BAD);
    char longest[FW_SUBPROTOCOL_SIZE_MAX + 2];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(fw_route_subprotocol(fw_text(longest), first), FW_SUBPROTOCOL_BAD);
    assert_int_equal(fw_route_subprotocol(FW_TEXT("chat , super.chat"), first),
                     FW_SUBPROTOCOL_UNKNOWN);
    assert_string_equal(first, "chat");
    assert_int_equal(fw_route_subprotocol(FW_TEXT("freshwire.v1.json"), first),
                     FW_SUBPROTOCOL_OURS);
    assert_int_equal(fw_route_subprotocol(FW_TEXT("x,\tfreshwire.v1.json , y"), first),
                     FW_SUBPROTOCOL_OURS);
    assert_int_equal(
        fw_route_subprotocol(FW_TEXT("x, freshwire.v1.protobuf, freshwire.v1.json"), first),
        FW_SUBPROTOCOL_OURS_BINARY);
    assert_int_equal(
        fw_route_subprotocol(FW_TEXT("freshwire.v1.json,freshwire.v1.protobuf"), first),
        FW_SUBPROTOCOL_OURS);
    assert_int_equal(fw_route_subprotocol(FW_TEXT("freshwire.v1.jso"), first),
                     FW_SUBPROTOCOL_UNKNOWN);
}

static void origins_are_compared_whole(void **state)
{
    (void)state;
    const char *const list[] = {"https://app.example", "http://localhost:3000"};
    assert_true(fw_route_origin_allowed(NULL, 0, FW_TEXT("https://evil.example")));
    assert_true(fw_route_origin_allowed(list, 2, FW_TEXT_NONE));
    assert_true(fw_route_origin_allowed(list, 2, FW_TEXT("HTTPS://app.example")));
    assert_false(fw_route_origin_allowed(list, 2, FW_TEXT("https://app.example.evil")));
    assert_false(fw_route_origin_allowed(list, 2, FW_TEXT("https://app.exampl")));
    assert_false(fw_route_origin_allowed(list, 2, FW_TEXT("null")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_paths_lead_nowhere),
        cmocka_unit_test(endpoints_are_found_behind_the_prefix),
        cmocka_unit_test(an_argument_needs_its_whole_name),
        cmocka_unit_test(only_a_bearer_is_a_token),
        cmocka_unit_test(subprotocols_are_chosen_from_a_list),
        cmocka_unit_test(origins_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
