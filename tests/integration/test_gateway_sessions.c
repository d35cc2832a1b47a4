/* test_gateway_sessions.c - endpoints, modes and close codes on real sockets.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <string.h>

#define OURS "freshwire.v1.json"

static gateway_fixture_t fixture;

static int set_up(void **state)
{
    (void)state;
    fixture = gateway_fixture_new();
    fixture.config.hello_ms = 300;
    fixture.config.shards = 2;
    gateway_fixture_start(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_fixture_end(&fixture);
    return 0;
}

static void refused_tokens_are_told_by_close_codes_in_every_mode(void **state)
{
    (void)state;
    const char *modes[] = {NULL, OURS};
    for (int i = 0; i < 2; i++) {
        ws_options_t garbage = {.path = "/ws?token=abc.def.ghi", .subprotocol = modes[i]};
        ws_client_t *client = ws_open(fixture.port, &garbage);
        expect_close(client, 4101, NULL);
        ws_close(&client);
        client = gateway_open(&fixture, "/ws", modes[i], "{\"sub\":\"a\",\"exp\":1000}");
        expect_close(client, 4100, "token has expired");
        ws_close(&client);
    }
    ws_options_t header = {.path = "/ws", .headers = "Authorization: Bearer nonsense\r\n"};
    ws_client_t *client = ws_open(fixture.port, &header);
    expect_close(client, 4101, NULL);
    ws_close(&client);
    client = gateway_open(&fixture, "/ws/room/7", NULL, "{\"sub\":\"a\",\"rooms\":[\"8\"]}");
    expect_close(client, 4403, "the token does not allow this room");
    ws_close(&client);
}

static void who_does_not_greet_is_closed(void **state)
{
    (void)state;
    ws_client_t *client = gateway_open(&fixture, "/ws", OURS, "{\"sub\":\"a\"}");
    expect_close(client, 4400, "hello expected");
    ws_close(&client);
    client = gateway_open(&fixture, "/ws/notifications", NULL, NULL);
    expect_close(client, 4101, NULL);
    ws_close(&client);
    client = gateway_open(&fixture, "/ws/room/7", NULL, NULL);
    expect_close(client, 4101, NULL);
    ws_close(&client);
}

static void a_client_without_a_common_subprotocol_can_read_why(void **state)
{
    (void)state;
    ws_client_t *client = gateway_open(&fixture, "/ws", "chat.v2, other", NULL);
    assert_non_null(strcasestr(ws_head(client), "\r\nSec-WebSocket-Protocol: chat.v2\r\n"));
    expect_close(client, 4406, "no common subprotocol");
    ws_close(&client);
    client = gateway_open(&fixture, "/ws", "chat.v2, " OURS, NULL);
    assert_non_null(strcasestr(ws_head(client), "\r\nSec-WebSocket-Protocol: " OURS "\r\n"));
    ws_close(&client);
    client = gateway_open(&fixture, "/ws", NULL, NULL);
    assert_null(strcasestr(ws_head(client), "Sec-WebSocket-Protocol"));
    ws_close(&client);
}

static void a_plain_client_needs_nothing_but_the_url(void **state)
{
    (void)state;
    ws_client_t *client = gateway_open(&fixture, "/ws", NULL, NULL);
    const char *welcome = expect(client, "{\"type\":\"fw.welcome\",\"session_id\":\"");
    assert_non_null(strstr(welcome, "\"subscriptions\":[{\"channel\":\"broadcast\",\"epoch\":\""));
    assert_null(strstr(welcome, "user:"));
    (void)fake_broker_release(fixture.broker,
                              &(fake_event_t){.channel = "broadcast", .type = "project_updated"});
    (void)expect(client, "{\"type\":\"project_updated\",\"data\":");
    ws_close(&client);
    client = gateway_open(&fixture, "/ws/notifications", NULL, "{\"sub\":\"alice\"}");
    welcome = expect(client, "{\"type\":\"fw.welcome\"");
    assert_non_null(strstr(welcome, "\"user_id\":\"alice\""));
    assert_non_null(strstr(welcome, "[{\"channel\":\"user:alice\""));
    assert_null(strstr(welcome, "broadcast"));
    ws_close(&client);
    client = gateway_open(&fixture, "/ws/room/a%20b?origin=tab-1", NULL, "{\"sub\":\"alice\"}");
    welcome = expect(client, "{\"type\":\"fw.welcome\"");
    assert_non_null(strstr(welcome, "[{\"channel\":\"room:a b\""));
    ws_close(&client);
}

static void a_token_may_come_in_a_header(void **state)
{
    (void)state;
    char headers[2048];
    char *token = make_good_token("{\"sub\":\"alice\"}");
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", token);
    free(token);
    ws_options_t options = {.path = "/ws", .headers = headers};
    ws_client_t *client = ws_open(fixture.port, &options);
    assert_non_null(strstr(expect(client, "{\"type\":\"fw.welcome\""), "user:alice"));
    ws_close(&client);
}

static void a_greeting_brings_token_origin_and_places(void **state)
{
    (void)state;
    char hello[4096];
    char *token = make_good_token("{\"sub\":\"alice\",\"rooms\":[\"4*\"]}");
    ws_client_t *client = gateway_open(&fixture, "/ws", OURS, NULL);
    expect_nothing(client);
    (void)snprintf(hello, sizeof hello,
                   "{\"type\":\"fw.hello\",\"token\":\"%s\",\"origin\":\"tab-7\","
                   "\"subscriptions\":[{\"channel\":\"room:42\"},{\"channel\":\"room:5\"}]}",
                   token);
    free(token);
    assert_true(ws_send_text(client, hello));
    const char *error = expect(client, "{\"type\":\"fw.error\",\"code\":4403");
    assert_non_null(strstr(error, "room:5"));
    const char *welcome = expect(client, "{\"type\":\"fw.welcome\"");
    assert_non_null(strstr(welcome, "\"user_id\":\"alice\",\"ping_interval_ms\":25000"));
    assert_non_null(strstr(welcome, "broadcast"));
    assert_non_null(strstr(welcome, "user:alice"));
    assert_non_null(strstr(welcome, "room:42"));
    assert_true(ws_send_text(client, "{\"type\":\"fw.subscribe\",\"request_id\":\"1\","
                                     "\"channel\":\"room:43\"}"));
    (void)expect(client,
                 "{\"type\":\"fw.subscribed\",\"request_id\":\"1\",\"channel\":\"room:43\"");
    assert_true(ws_send_text(client, "{\"type\":\"fw.unsubscribe\",\"request_id\":\"2\","
                                     "\"channel\":\"room:43\"}"));
    (void)expect(client, "{\"type\":\"fw.unsubscribed\",\"request_id\":\"2\"");
    assert_true(ws_send_text(client, "{\"type\":\"fw.ping\"}"));
    (void)expect(client, "{\"type\":\"fw.pong\"}");
    ws_close(&client);
}

static void sessions_and_disconnects_are_counted(void **state)
{
    (void)state;
    gateway_await_metric(&fixture, "freshwire_sessions", 0);
    double opened = gateway_metric(&fixture, "freshwire_sessions_opened_total{result=\"open\"}");
    ws_client_t *client = gateway_open(&fixture, "/ws", NULL, "{\"sub\":\"alice\"}");
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    gateway_await_metric(&fixture, "freshwire_sessions", 1);
    gateway_await_metric(&fixture, "freshwire_subscriptions", 2);
    gateway_await_metric(&fixture, "freshwire_sessions_opened_total{result=\"open\"}", opened + 1);
    double peers = gateway_metric(&fixture, "freshwire_disconnects_total{code=\"peer\"}");
    assert_true(ws_send_frame(client, true, 8, "\x03\xe8", 2));
    expect_close(client, 1000, NULL);
    gateway_await_metric(&fixture, "freshwire_disconnects_total{code=\"peer\"}", peers + 1);
    gateway_await_metric(&fixture, "freshwire_subscriptions", 0);
    ws_close(&client);
    double lost = gateway_metric(&fixture, "freshwire_disconnects_total{code=\"lost\"}");
    client = gateway_open(&fixture, "/ws", NULL, NULL);
    ws_close(&client);
    gateway_await_metric(&fixture, "freshwire_disconnects_total{code=\"lost\"}", lost + 1);
    gateway_await_metric(&fixture, "freshwire_sessions", 0);
}

static void a_thousand_sessions_are_told_of_one_event(void **state)
{
    (void)state;
    enum { SESSIONS = 1000 };
    static ws_client_t *clients[SESSIONS];
    for (int i = 0; i < SESSIONS; i++)
        clients[i] = gateway_open(&fixture, "/ws", NULL, NULL);
    for (int i = 0; i < SESSIONS; i++)
        (void)expect(clients[i], "{\"type\":\"fw.welcome\"");
    gateway_await_metric(&fixture, "freshwire_sessions", SESSIONS);
    double delivered = gateway_metric(&fixture, "freshwire_events_delivered_total");
    (void)fake_broker_release(fixture.broker,
                              &(fake_event_t){.channel = "broadcast", .type = "one"});
    (void)fake_broker_release(fixture.broker,
                              &(fake_event_t){.channel = "broadcast", .type = "two"});
    for (int i = 0; i < SESSIONS; i++) {
        (void)expect(clients[i], "{\"type\":\"one\"");
        (void)expect(clients[i], "{\"type\":\"two\"");
    }
    gateway_await_metric(&fixture, "freshwire_events_delivered_total", delivered + 2 * SESSIONS);
    for (int i = 0; i < SESSIONS; i++)
        ws_close(&clients[i]);
    gateway_await_metric(&fixture, "freshwire_sessions", 0);
    gateway_await_metric(&fixture, "freshwire_gateway_connections", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_tokens_are_told_by_close_codes_in_every_mode),
        cmocka_unit_test(who_does_not_greet_is_closed),
        cmocka_unit_test(a_client_without_a_common_subprotocol_can_read_why),
        cmocka_unit_test(a_plain_client_needs_nothing_but_the_url),
        cmocka_unit_test(a_token_may_come_in_a_header),
        cmocka_unit_test(a_greeting_brings_token_origin_and_places),
        cmocka_unit_test(sessions_and_disconnects_are_counted),
        cmocka_unit_test(a_thousand_sessions_are_told_of_one_event),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
