/* test_gateway_repair.c - a gateway whose broker's ports lead somewhere else, or whose broker
 * doubts its cache.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <string.h>

#include "runtime/clock.h"
#include "runtime/resolve.h"
#include "tests/support/wrong_peer.h"

enum { TAKEN_MS = 4000, RECOVERY_MS_MAX = 10000 };

static gateway_fixture_t fixture;
static wrong_peer_t *wrong;

static void turn(void *context)
{
    (void)context;
    fake_broker_turn(fixture.broker);
    if (wrong)
        wrong_peer_turn(wrong);
}

static int set_up(void **state)
{
    (void)state;
    fixture = gateway_fixture_new();
    ws_set_hook(turn, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wrong_peer_destroy(&wrong);
    gateway_fixture_end(&fixture);
    fw_resolve_with(NULL);
    return 0;
}

static void release(const char *channel)
{
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = channel});
}

static void expect_event(ws_client_t *client, uint64_t offset)
{
    char beginning[64];
    (void)snprintf(beginning, sizeof beginning, "{\"type\":\"t\",\"data\":%llu,",
                   (unsigned long long)offset);
    (void)expect(client, beginning);
}

static bool is_linked(void *context)
{
    (void)context;
    return gateway_metric(&fixture, "freshwire_uplink_connected") > 0;
}

/* The broker goes, somebody else takes one of its ports, and then it is back. */
static void take_over(wrong_kind_t kind, const char *endpoint)
{
    gateway_fixture_start(&fixture);
    ws_client_t *room = gateway_open(&fixture, "/ws/room/1", NULL, "{\"sub\":\"alice\"}");
    (void)expect(room, "{\"type\":\"fw.welcome\"");
    release("room:1");
    expect_event(room, 1);
    fake_broker_down(fixture.broker);
    wrong = wrong_peer_new(kind, endpoint);
    ws_pause(TAKEN_MS);
    assert_false(is_linked(NULL));
    wrong_peer_destroy(&wrong);
    fake_broker_up(fixture.broker, false);
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "room:1", .lost = true});
    int64_t begin_ms = fw_clock_ms();
    assert_true(ws_wait(is_linked, NULL, WS_WAIT_MS));
    expect_event(room, 2);
    print_message("recovered after %lld ms\n", (long long)(fw_clock_ms() - begin_ms));
    assert_true(fw_clock_ms() - begin_ms <= RECOVERY_MS_MAX);
    ws_close(&room);
}

static void finds_its_broker_after_a_foreign_socket_on_the_events_port(void **state)
{
    (void)state;
    take_over(WRONG_REP, fake_broker_events(fixture.broker));
}

static void finds_its_broker_after_garbage_on_the_events_port(void **state)
{
    (void)state;
    take_over(WRONG_GARBAGE, fake_broker_events(fixture.broker));
}

static void finds_its_broker_after_an_http_server_on_the_control_port(void **state)
{
    (void)state;
    take_over(WRONG_HTTP, fake_broker_control(fixture.broker));
}

static void finds_its_broker_after_a_mute_listener_on_the_control_port(void **state)
{
    (void)state;
    take_over(WRONG_MUTE, fake_broker_control(fixture.broker));
}

/* Somebody who speaks ZeroMQ, and a lot, but is no broker. */
static void a_talkative_stranger_is_no_sign_of_life(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    double before = gateway_metric(&fixture, "freshwire_uplink_reopened_total");
    fake_broker_settings(fixture.broker)->mute = true;
    int64_t begin_ms = fw_clock_ms();
    while (gateway_metric(&fixture, "freshwire_uplink_reopened_total") <= before) {
        assert_true(fw_clock_ms() - begin_ms < WS_WAIT_MS);
        fake_broker_send_event_frame(fixture.broker, "!hb\xff\xff\xff", 6);
        ws_pause(20);
    }
    assert_true(gateway_metric(&fixture, "freshwire_refused_total{door=\"uplink_events\",reason="
                                         "\"malformed\"}") > 10);
    fake_broker_settings(fixture.broker)->mute = false;
    assert_true(ws_wait(is_linked, NULL, WS_WAIT_MS));
}

static void a_broker_that_doubts_its_cache_makes_browsers_bypass_it(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *room = gateway_open(&fixture, "/ws/room/1", NULL, "{\"sub\":\"alice\"}");
    (void)expect(room, "{\"type\":\"fw.welcome\"");
    fake_broker_settings(fixture.broker)->unconfirmed = true;
    fake_broker_restart(fixture.broker, true);
    (void)expect(room, "{\"type\":\"fw.reset\",\"reason\":\"unconfirmed\",\"channel\":\"room:1\"");
    ws_client_t *late = gateway_open(&fixture, "/ws/room/1", NULL, "{\"sub\":\"alice\"}");
    (void)expect(late, "{\"type\":\"fw.welcome\"");
    (void)expect(late, "{\"type\":\"fw.reset\",\"reason\":\"unconfirmed\"");
    gateway_await_metric(&fixture, "freshwire_resets_total{reason=\"unconfirmed\"}", 2);
    fake_broker_settings(fixture.broker)->unconfirmed = false;
    fake_broker_restart(fixture.broker, true);
    (void)expect(room, "{\"type\":\"fw.reset\",\"reason\":\"epoch\"");
    (void)expect(late, "{\"type\":\"fw.reset\",\"reason\":\"epoch\"");
    ws_close(&room);
    ws_close(&late);
}

/* The first address of the name is nobody's. */
static int name_server(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)context;
    (void)host;
    *ret_addresses = (fw_addresses_t){.count = 2, .text = {"127.0.0.77", "127.0.0.1"}};
    return 0;
}

static const char *named(char text[64], const char *endpoint)
{
    (void)snprintf(text, 64, "tcp://broker.test%s", strrchr(endpoint, ':'));
    return text;
}

static void every_address_of_the_brokers_name_is_tried(void **state)
{
    (void)state;
    static const fw_resolver_t resolver = {.look_up = name_server};
    char texts[3][64];
    fw_resolve_with(&resolver);
    fixture.config.events_endpoint = named(texts[0], fixture.config.events_endpoint);
    fixture.config.control_endpoint = named(texts[1], fixture.config.control_endpoint);
    fixture.config.publish_endpoint = named(texts[2], fixture.config.publish_endpoint);
    int64_t begin_ms = fw_clock_ms();
    gateway_fixture_start(&fixture);
    assert_true(fw_clock_ms() - begin_ms <= RECOVERY_MS_MAX);
}

static fake_broker_t *second_broker;

static void turn_both(void *context)
{
    (void)context;
    fake_broker_turn(fixture.broker);
    fake_broker_turn(second_broker);
}

static void links_to_two_brokers_are_given_up_until_they_lead_to_one(void **state)
{
    (void)state;
    second_broker = fake_broker_new();
    ws_set_hook(turn_both, NULL);
    fixture.config.control_endpoint = fake_broker_control(second_broker);
    gateway_fixture_start(&fixture);
    int64_t begin_ms = fw_clock_ms();
    while (gateway_metric(&fixture, "freshwire_uplink_reopened_total") < 1) {
        assert_true(fw_clock_ms() - begin_ms < WS_WAIT_MS);
        ws_pause(50);
    }
    ws_set_hook(turn, NULL);
    fw_gateway_stop(&fixture.gateway);
    fake_broker_destroy(&second_broker);
}

#define with_gateway(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_gateway(finds_its_broker_after_a_foreign_socket_on_the_events_port),
        with_gateway(finds_its_broker_after_garbage_on_the_events_port),
        with_gateway(finds_its_broker_after_an_http_server_on_the_control_port),
        with_gateway(finds_its_broker_after_a_mute_listener_on_the_control_port),
        with_gateway(a_talkative_stranger_is_no_sign_of_life),
        with_gateway(a_broker_that_doubts_its_cache_makes_browsers_bypass_it),
        with_gateway(every_address_of_the_brokers_name_is_tried),
        with_gateway(links_to_two_brokers_are_given_up_until_they_lead_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
