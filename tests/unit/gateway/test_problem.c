/* test_problem.c - HTTP answers.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>

#include "gateway/problem.h"

static void check(char *response, size_t size, const char *expected)
{
    assert_int_equal(size, strlen(expected));
    assert_string_equal(response, expected);
    free(response);
}

static void a_problem_says_what_is_wrong_and_when_to_come_back(void **state)
{
    (void)state;
    size_t size = 0;
    fw_problem_t problem = {.status = 503, .detail = "draining", .retry_after_s = 5};
    char *response = fw_problem_response(&problem, &size);
    check(response, size,
          "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
          "Content-Length: 85\r\nCache-Control: no-store\r\nConnection: close\r\nRetry-After: "
          "5\r\n\r\n"
          "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
          "\"detail\":\"draining\"}");
}

static void a_refusal_names_field_limit_and_value(void **state)
{
    (void)state;
    size_t size = 0;
    fw_refusal_t refusal = {
        .field = "audience[3]", .reason = "is \"odd\"", .limit = 64, .value = 65};
    fw_problem_t problem = {.status = 422, .refusal = &refusal};
    char *response = fw_problem_response(&problem, &size);
    assert_non_null(strstr(response, "\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Unprocessable "
                                     "Content\",\"status\":422,\"detail\":\"is \\\"odd\\\"\","
                                     "\"field\":\"audience[3]\",\"limit\":64,\"value\":65}"));
    assert_null(strstr(response, "Retry-After"));
    free(response);
}

static void some_statuses_have_headers_of_their_own(void **state)
{
    (void)state;
    const struct {
        unsigned status;
        const char *header;
    } cases[] = {{401, "\r\nWWW-Authenticate: Bearer\r\n"},
                 {405, "\r\nAllow: POST\r\n"},
                 {426, "\r\nUpgrade: websocket\r\n"},
                 {599, "HTTP/1.1 599 Error\r\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        fw_problem_t problem = {.status = cases[i].status};
        char *response = fw_problem_response(&problem, &size);
        assert_non_null(strstr(response, cases[i].header));
        free(response);
    }
}

static void a_published_event_is_answered_with_its_positions(void **state)
{
    (void)state;
    size_t size = 0;
    fw_channel_position_t positions[2] = {{FW_TEXT("broadcast"), {5, 17}},
                                          {FW_TEXT("room:\"x\""), {6, 1}}};
    fw_publish_ack_t ack = {.id = FW_TEXT("e1"),
                            .status = FW_PUBLISH_DUPLICATE,
                            .positions = positions,
                            .positions_count = 2,
                            .unconfirmed = true,
                            .fresh = UINT64_C(18446744073709551615)};
    char *response = fw_published_response(&ack, &size);
    const char *body = strstr(response, "\r\n\r\n") + 4;
    assert_string_equal(body,
                        "{\"id\":\"e1\",\"positions\":[{\"channel\":\"broadcast\",\"epoch\":\"5\","
                        "\"offset\":\"17\"},{\"channel\":\"room:\\\"x\\\"\",\"epoch\":\"6\","
                        "\"offset\":\"1\"}],\"duplicate\":true,\"unconfirmed\":true,"
                        "\"fresh\":\"18446744073709551615\"}");
    char length[40];
    (void)snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", strlen(body));
    assert_non_null(strstr(response, length));
    free(response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_says_what_is_wrong_and_when_to_come_back),
        cmocka_unit_test(a_refusal_names_field_limit_and_value),
        cmocka_unit_test(some_statuses_have_headers_of_their_own),
        cmocka_unit_test(a_published_event_is_answered_with_its_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
