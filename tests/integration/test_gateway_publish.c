/* test_gateway_publish.c - POST /v1/events.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <string.h>

static gateway_fixture_t fixture;

static int set_up(void **state)
{
    (void)state;
    static const char *const keys[] = {"first-key", "second-key"};
    fixture = gateway_fixture_new();
    fixture.config.publish_keys = keys;
    fixture.config.publish_keys_count = 2;
    gateway_fixture_start(&fixture);
    /* The publish link is a third one. */
    for (int i = 0; i < 1000 && fake_broker_counts(fixture.broker)->hellos < 2; i++)
        ws_pause(10);
    ws_pause(100);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_fixture_end(&fixture);
    return 0;
}

static int post(ws_client_t *client, const char *key, const char *headers, const char *body)
{
    char head[1024];
    (void)snprintf(head, sizeof head,
                   "POST /v1/events HTTP/1.1\r\nHost: x\r\n%s%s%sContent-Length: %zu\r\n%s\r\n",
                   key ? "Authorization: Bearer " : "", key ? key : "", key ? "\r\n" : "",
                   strlen(body), headers);
    return ws_request(client, head, body);
}

#define JSON "Content-Type: application/json\r\n"
#define EVENT                                                                                      \
    "{\"type\":\"project_updated\",\"data\":{\"id\":\"42\", "                                      \
    "\"n\":0.10},\"audience\":[\"room:42\"]}"

static void check_refused(const char *key, const char *headers, const char *body, int status,
                          const char *in_body)
{
    ws_client_t *client = ws_dial(fixture.port, 0);
    unsigned published = fake_broker_counts(fixture.broker)->published;
    assert_int_equal(post(client, key, headers, body), status);
    assert_non_null(strstr(ws_head(client), "Content-Type: application/problem+json"));
    if (!strstr(ws_body(client), in_body))
        fail_msg("%s is not in %s", in_body, ws_body(client));
    assert_int_equal(fake_broker_counts(fixture.broker)->published, published);
    char series[64];
    (void)snprintf(series, sizeof series, "freshwire_publish_requests_total{status=\"%d\"}",
                   status);
    assert_true(gateway_metric(&fixture, series) >= 1);
    ws_close(&client);
}

static void requests_that_break_a_rule_are_refused_and_not_published(void **state)
{
    (void)state;
    check_refused(NULL, JSON, EVENT, 401, "publish key");
    check_refused("third-key", JSON, EVENT, 401, "publish key");
    check_refused("first-ke", JSON, EVENT, 401, "publish key");
    check_refused("", JSON, EVENT, 401, "publish key");
    check_refused("first-key", "", EVENT, 415, "application/json");
    check_refused("first-key", "Content-Type: application/jsonp\r\n", EVENT, 415,
                  "application/json");
    check_refused("first-key", JSON, "", 400, "not a JSON object");
    check_refused("first-key", JSON, "{\"type\":", 400, "not a JSON object");
    check_refused("first-key", JSON, "[]", 400, "not a JSON object");
    check_refused("first-key", JSON, "{\"type\":\"a\",\"audience\":[\"all\"]}", 422,
                  "\"field\":\"audience[0]\"");
    check_refused("first-key", JSON,
                  "{\"type\":\"a\",\"audience\":[\"broadcast\"],\"invalidates\":{}}", 422,
                  "\"field\":\"invalidates\"");
    check_refused("first-key", JSON "Idempotency-Key: k1\r\n",
                  "{\"type\":\"a\",\"audience\":[\"broadcast\"],\"id\":\"k2\"}", 422,
                  "\"field\":\"id\"");
}

static void bodies_without_an_end_or_too_large_are_refused(void **state)
{
    (void)state;
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_int_equal(ws_request(client,
                                "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                                "first-key\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n",
                                "5\r\n{\"a\":\r\n"),
                     411);
    ws_close(&client);
    client = ws_dial(fixture.port, 0);
    assert_int_equal(ws_request(client,
                                "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                                "first-key\r\n" JSON "\r\n",
                                NULL),
                     411);
    ws_close(&client);
    client = ws_dial(fixture.port, 0);
    assert_int_equal(ws_request(client,
                                "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                                "first-key\r\n" JSON "Content-Length: 99999999999\r\n\r\n",
                                NULL),
                     413);
    assert_int_equal(ws_answer(client, WS_WAIT_MS), 0); /* the connection has ended */
    ws_close(&client);
    char *large = malloc(600001);
    memset(large, ' ', 600000);
    large[600000] = '\0';
    client = ws_dial(fixture.port, 0);
    static const char head[] = "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                               "first-key\r\n" JSON "Content-Length: 600000\r\n\r\n";
    assert_true(ws_send_raw(client, head, sizeof head - 1));
    assert_true(ws_send_raw(client, large, 600000));
    assert_int_equal(ws_answer(client, WS_WAIT_MS), 413);
    ws_close(&client);
    free(large);
}

static void other_methods_and_paths_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *head;
        int status;
    } cases[] = {
        {"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"DELETE /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404},
        {"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426},
        {"POST /v1/other HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 404},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_client_t *client = ws_dial(fixture.port, 0);
        assert_int_equal(ws_request(client, cases[i].head, NULL), cases[i].status);
        ws_close(&client);
    }
}

static void an_event_is_answered_with_its_positions_and_delivered(void **state)
{
    (void)state;
    ws_client_t *room = gateway_open(&fixture, "/ws/room/42", NULL, "{\"sub\":\"alice\"}");
    (void)expect(room, "{\"type\":\"fw.welcome\"");
    uint64_t offset = fake_broker_visible(fixture.broker, "room:42") + 1;
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_int_equal(post(client, "second-key", JSON "Idempotency-Key: order-7\r\n", EVENT), 200);
    char expected[256];
    (void)snprintf(
        expected, sizeof expected,
        "{\"id\":\"order-7\",\"positions\":[{\"channel\":\"room:42\",\"epoch\":\"z8\","
        "\"offset\":\"%llu\"}],\"duplicate\":false,\"unconfirmed\":false,\"fresh\":\"0\"}",
        (unsigned long long)offset);
    assert_string_equal(ws_body(client), expected);
    assert_string_equal(fake_broker_last_published(fixture.broker),
                        "{\"type\":\"project_updated\",\"data\":{\"id\":\"42\", \"n\":0.10},"
                        "\"id\":\"order-7\",\"audience\":[\"room:42\"]}");
    (void)expect(room, "{\"type\":\"project_updated\",\"data\":{\"id\":\"42\", \"n\":0.10},"
                       "\"channel\":\"room:42\"");
    ws_close(&client);
    ws_close(&room);
}

static void every_answer_ends_its_connection(void **state)
{
    (void)state;
    const struct {
        const char *key, *body;
        int status;
    } cases[] = {{"first-key", EVENT, 200}, {"wrong", EVENT, 401}, {"first-key", "{}", 422}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_client_t *client = ws_dial(fixture.port, 0);
        assert_int_equal(post(client, cases[i].key, JSON, cases[i].body), cases[i].status);
        assert_non_null(strstr(ws_head(client), "\r\nConnection: close\r\n"));
        assert_int_equal(ws_answer(client, WS_WAIT_MS), 0);
        ws_close(&client);
    }
}

/* libwebsockets 4.1 takes the head of a pipelined request for its body, for ever. */
static void requests_in_a_pipeline_hold_nobody_up(void **state)
{
    (void)state;
    char good[1024];
    (void)snprintf(good, sizeof good,
                   "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n" JSON
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(EVENT), EVENT);
    const char *firsts[] = {
        good, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: tls\r\nConnection: Upgrade\r\n\r\n"};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        char both[4096];
        (void)snprintf(both, sizeof both, "%s%s%s", firsts[i], good, good);
        ws_client_t *client = ws_dial(fixture.port, 0);
        assert_true(ws_send_raw(client, both, strlen(both)));
        (void)ws_answer(client, WS_WAIT_MS);
        assert_int_equal(ws_answer(client, WS_WAIT_MS), 0);
        ws_close(&client);
        client = ws_dial(fixture.port, 0);
        assert_int_equal(post(client, "first-key", JSON, EVENT), 200);
        ws_close(&client);
    }
}

static void a_refusal_of_the_broker_is_passed_on(void **state)
{
    (void)state;
    fake_broker_settings(fixture.broker)->publish = FAKE_REJECT;
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_int_equal(post(client, "first-key", JSON, EVENT), 422);
    assert_non_null(strstr(ws_body(client), "\"detail\":\"is not for you\",\"field\":\"audience\","
                                            "\"limit\":1,\"value\":0"));
    ws_close(&client);
    fake_broker_settings(fixture.broker)->publish = FAKE_POSTPONE;
    client = ws_dial(fixture.port, 0);
    assert_int_equal(post(client, "first-key", JSON, EVENT), 200); /* sent again by itself */
    fake_broker_settings(fixture.broker)->publish = FAKE_ACCEPT;
    ws_close(&client);
}

static void without_an_acknowledgement_the_client_is_told_so_in_time(void **state)
{
    (void)state;
    fake_broker_settings(fixture.broker)->publish = FAKE_SILENT;
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_int_equal(post(client, "first-key", JSON, EVENT), 504);
    assert_non_null(strstr(ws_body(client), "with the same id"));
    fake_broker_settings(fixture.broker)->publish = FAKE_ACCEPT;
    ws_close(&client);
}

static void who_hangs_up_or_says_more_while_waiting_harms_nobody(void **state)
{
    (void)state;
    fake_broker_settings(fixture.broker)->publish = FAKE_SILENT;
    static const char request[] = "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                                  "first-key\r\n" JSON "Content-Length: 46\r\n\r\n"
                                  "{\"type\":\"a\",\"audience\":[\"broadcast\",\"room:1\"]}";
    unsigned published = fake_broker_counts(fixture.broker)->published;
    ws_client_t *gone = ws_dial(fixture.port, 0);
    ws_client_t *greedy = ws_dial(fixture.port, 0);
    assert_true(ws_send_raw(gone, request, strlen(request)));
    assert_true(ws_send_raw(greedy, request, strlen(request)));
    for (int i = 0; i < 2000 && fake_broker_counts(fixture.broker)->published < published + 2; i++)
        ws_pause(5);
    assert_int_equal(fake_broker_counts(fixture.broker)->published, published + 2);
    ws_close(&gone);
    assert_true(ws_send_raw(greedy, request, strlen(request)));
    assert_int_equal(ws_answer(greedy, WS_WAIT_MS), 0);
    ws_close(&greedy);
    fake_broker_settings(fixture.broker)->publish = FAKE_ACCEPT;
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_int_equal(post(client, "first-key", JSON, EVENT), 200);
    ws_close(&client);
}

static void without_a_broker_publishing_is_refused_at_once(void **state)
{
    (void)state;
    fake_broker_settings(fixture.broker)->mute = true;
    ws_client_t *client = ws_dial(fixture.port, 0);
    int status = 0;
    for (int i = 0; i < 400 && status != 503; i++) {
        ws_pause(50);
        /* As long as the link is not known to be dead the event waits for its answer. */
        if (gateway_metric(&fixture, "freshwire_uplink_connected") > 0)
            continue;
        ws_pause(2500);
        ws_close(&client);
        client = ws_dial(fixture.port, 0);
        status = post(client, "first-key", JSON, EVENT);
    }
    assert_int_equal(status, 503);
    assert_non_null(strstr(ws_head(client), "\r\nRetry-After: 1\r\n"));
    fake_broker_settings(fixture.broker)->mute = false;
    ws_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_break_a_rule_are_refused_and_not_published),
        cmocka_unit_test(bodies_without_an_end_or_too_large_are_refused),
        cmocka_unit_test(other_methods_and_paths_are_refused),
        cmocka_unit_test(an_event_is_answered_with_its_positions_and_delivered),
        cmocka_unit_test(every_answer_ends_its_connection),
        cmocka_unit_test(requests_in_a_pipeline_hold_nobody_up),
        cmocka_unit_test(a_refusal_of_the_broker_is_passed_on),
        cmocka_unit_test(without_an_acknowledgement_the_client_is_told_so_in_time),
        cmocka_unit_test(who_hangs_up_or_says_more_while_waiting_harms_nobody),
        cmocka_unit_test(without_a_broker_publishing_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
