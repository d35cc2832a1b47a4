/* test_gateway_drain.c - pings, expiry, draining and the end.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <pthread.h>
#include <string.h>

#include "runtime/clock.h"

#define OURS "freshwire.v1.json"

static gateway_fixture_t fixture;

static int set_up(void **state)
{
    (void)state;
    fixture = gateway_fixture_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_fixture_end(&fixture);
    return 0;
}

static void *stop(void *context)
{
    (void)context;
    fw_gateway_stop(&fixture.gateway);
    return NULL;
}

static ws_client_t *open_plain(void)
{
    ws_client_t *client = gateway_open(&fixture, "/ws", NULL, NULL);
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    return client;
}

static void who_answers_pings_stays_and_who_does_not_is_closed(void **state)
{
    (void)state;
    fixture.config.ping_ms = 300;
    fixture.config.pong_ms = 200;
    gateway_fixture_start(&fixture);
    ws_client_t *deaf = open_plain();
    ws_ignore_pings(deaf);
    ws_client_t *alive = open_plain();
    ws_client_t *greeted = gateway_open(&fixture, "/ws", OURS, NULL);
    assert_true(ws_send_text(greeted, "{\"type\":\"fw.hello\"}"));
    (void)expect(greeted, "{\"type\":\"fw.welcome\"");
    ws_ignore_pings(greeted);
    int64_t begin_ms = fw_clock_ms();
    while (fw_clock_ms() - begin_ms < 1500) {
        const char *message = ws_receive(greeted, 50);
        if (message) {
            assert_string_equal(message, "{\"type\":\"fw.ping\"}");
            assert_true(ws_send_text(greeted, "{\"type\":\"fw.pong\"}"));
        }
        assert_null(ws_receive(alive, 1));
    }
    assert_true(ws_pings(alive) >= 3);
    expect_close(deaf, 4003, "no pong");
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "broadcast"});
    (void)expect(alive, "{\"type\":\"t\"");
    ws_close(&deaf);
    ws_close(&alive);
    ws_close(&greeted);
}

static void a_token_that_expires_ends_its_session(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    char claims[128];
    (void)snprintf(claims, sizeof claims, "{\"sub\":\"alice\",\"exp\":%lld}",
                   (long long)(fw_clock_wall_ms() / 1000 - 3));
    ws_client_t *client = gateway_open(&fixture, "/ws", NULL, claims);
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    expect_close(client, 4100, "token has expired");
    ws_close(&client);
}

static void an_unfinished_message_does_not_hold_memory_for_ever(void **state)
{
    (void)state;
    fixture.config.ping_ms = 200;
    fixture.config.pong_ms = 100;
    gateway_fixture_start(&fixture);
    ws_client_t *client = open_plain();
    assert_true(ws_send_frame(client, false, 1, "{\"type\"", 7));
    expect_close(client, 4400, "message was not finished");
    ws_close(&client);
}

static void a_drain_serves_then_refuses_then_closes_over_the_window(void **state)
{
    (void)state;
    enum { SESSIONS = 40 };
    ws_client_t *clients[SESSIONS];
    fixture.config.shards = 2;
    fixture.config.drain_delay_ms = 500;
    fixture.config.drain_window_ms = 1000;
    gateway_fixture_start(&fixture);
    for (int i = 0; i < SESSIONS; i++)
        clients[i] = open_plain();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop, NULL), 0);
    int64_t begin_ms = fw_clock_ms();
    while (fw_health_ready(fixture.health, fw_clock_ms()))
        ws_pause(1);
    /* During the delay everything goes on. */
    ws_client_t *late = open_plain();
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "broadcast"});
    (void)expect(clients[0], "{\"type\":\"t\"");
    while (fw_clock_ms() - begin_ms < 600)
        ws_pause(10);
    ws_options_t options = {.path = "/ws"};
    ws_client_t *refused = ws_try(fixture.port, &options);
    assert_int_equal(ws_status(refused), 503);
    assert_non_null(strstr(ws_body(refused), "draining"));
    while (fw_clock_ms() - begin_ms < 1000)
        ws_pause(10);
    int half = (int)gateway_metric(&fixture, "freshwire_sessions");
    print_message("%d of %d sessions in the middle of the window\n", half, SESSIONS);
    assert_in_range(half, SESSIONS / 4, 3 * SESSIONS / 4);
    for (int i = 0; i < SESSIONS; i++) {
        const char *message = ws_receive(clients[i], WS_WAIT_MS);
        while (message && strstr(message, "\"type\":\"t\""))
            message = ws_receive(clients[i], WS_WAIT_MS);
        assert_non_null(message);
        assert_string_equal(message, "{\"type\":\"fw.drain\",\"reconnect_window_ms\":2000}");
        expect_close(clients[i], 4000, "draining");
        ws_close(&clients[i]);
    }
    assert_true(fw_clock_ms() - begin_ms >= 1000);
    expect_close(late, 4000, "draining");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(fw_clock_ms() - begin_ms < 6000);
    assert_int_equal((int)gateway_metric(&fixture, "freshwire_disconnects_total{code=\"4000\"}"),
                     SESSIONS + 1);
    assert_int_equal((int)gateway_metric(&fixture, "freshwire_sessions"), 0);
    assert_int_equal((int)gateway_metric(&fixture, "freshwire_subscriptions"), 0);
    assert_int_equal((int)gateway_metric(&fixture, "freshwire_ring_bytes"), 0);
    assert_true(fake_broker_counts(fixture.broker)->goodbyes <= 2);
    ws_close(&late);
    ws_close(&refused);
}

static void an_abort_ends_a_drain_soon(void **state)
{
    (void)state;
    fixture.config.drain_delay_ms = 60000;
    fixture.config.drain_window_ms = 60000;
    gateway_fixture_start(&fixture);
    ws_client_t *client = open_plain();
    fw_gateway_t *gateway = fixture.gateway;
    int64_t begin_ms = fw_clock_ms();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop, NULL), 0);
    while (fw_health_ready(fixture.health, fw_clock_ms()))
        ws_pause(1);
    ws_pause(100);
    fw_gateway_abort(gateway);
    (void)expect(client, "{\"type\":\"fw.drain\"");
    expect_close(client, 4000, "draining");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(fw_clock_ms() - begin_ms < 5000);
    ws_close(&client);
}

static void a_stop_with_sessions_that_do_not_answer_ends_too(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *clients[10];
    for (int i = 0; i < 10; i++)
        clients[i] = open_plain();
    ws_client_t *half = ws_dial(fixture.port, 0);
    assert_true(ws_send_raw(half, "GET /ws HT", 10));
    int64_t begin_ms = fw_clock_ms();
    fw_gateway_stop(&fixture.gateway);
    assert_null(fixture.gateway);
    assert_true(fw_clock_ms() - begin_ms < 5000);
    for (int i = 0; i < 10; i++)
        ws_close(&clients[i]);
    ws_close(&half);
}

static void check_not_started(const fw_gateway_config_t *config)
{
    /* What a failed start leaves behind in the registries ends with the process. */
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    fw_gateway_t *gateway = NULL;
    assert_true(fw_gateway_start(config, metrics, health, &gateway) < 0);
    assert_null(gateway);
    fw_metrics_destroy(&metrics);
    fw_health_destroy(&health);
}

static void a_configuration_that_cannot_work_is_refused(void **state)
{
    (void)state;
    fw_gateway_config_t config = fixture.config;
    config.shards = 0;
    check_not_started(&config);
    config.shards = 33;
    check_not_started(&config);
    config = fixture.config;
    const char *addresses[] = {"nowhere", "127.0.0.1",   "127.0.0.1:99999",
                               "::1:80",  "256.0.0.1:0", ""};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        config.listen = addresses[i];
        check_not_started(&config);
    }
    config = fixture.config;
    config.events_endpoint = "nonsense";
    check_not_started(&config);
    config = fixture.config;
    config.publish_endpoint = "nonsense";
    check_not_started(&config);
    config = fixture.config;
    config.ring_events_max = 0;
    check_not_started(&config);
}

static void two_gateways_take_two_ports(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    fw_gateway_t *second = NULL;
    assert_int_equal(fw_gateway_start(&fixture.config, fixture.metrics, fixture.health, &second),
                     0);
    assert_int_not_equal(fw_gateway_port(second), fixture.port);
    fw_gateway_stop(&second);
    ws_client_t *client = open_plain();
    ws_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_answers_pings_stays_and_who_does_not_is_closed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_token_that_expires_ends_its_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unfinished_message_does_not_hold_memory_for_ever, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_drain_serves_then_refuses_then_closes_over_the_window,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_abort_ends_a_drain_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_with_sessions_that_do_not_answer_ends_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_configuration_that_cannot_work_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_gateways_take_two_ports, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
