/* test_gateway_links.c - a broker that restarts, falls silent, or was never there.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <string.h>

#include "gateway/uplink.h"
#include "runtime/clock.h"

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

static uint64_t release(const char *channel)
{
    return fake_broker_release(fixture.broker, &(fake_event_t){.channel = channel});
}

static void expect_event(ws_client_t *client, uint64_t offset)
{
    char beginning[64];
    (void)snprintf(beginning, sizeof beginning, "{\"type\":\"t\",\"data\":%llu,",
                   (unsigned long long)offset);
    (void)expect(client, beginning);
}

static ws_client_t *open_welcomed(const char *path)
{
    ws_client_t *client = gateway_open(&fixture, path, NULL, "{\"sub\":\"alice\"}");
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    return client;
}

static bool is_degraded(void *context)
{
    (void)context;
    return gateway_metric(&fixture, "freshwire_gateway_degraded") > 0;
}

static bool is_ready(void *context)
{
    (void)context;
    return fw_health_ready(fixture.health, fw_clock_ms());
}

static void a_broker_that_restarts_without_memory_is_a_reset_for_every_channel(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *room = open_welcomed("/ws/room/1");
    ws_client_t *all = open_welcomed("/ws");
    for (uint64_t i = 1; i <= 3; i++) {
        (void)release("room:1");
        expect_event(room, i);
    }
    fake_broker_restart(fixture.broker, true);
    (void)expect(room, "{\"type\":\"fw.reset\",\"reason\":\"epoch\",\"channel\":\"room:1\"");
    const char *reset = expect(all, "{\"type\":\"fw.reset\",\"reason\":\"epoch\",\"channel\":\"");
    bool user_first = strstr(reset, "user:alice") != NULL;
    assert_non_null(strstr(expect(all, "{\"type\":\"fw.reset\",\"reason\":\"epoch\""),
                           user_first ? "broadcast" : "user:alice"));
    (void)release("room:1");
    expect_event(room, 1);
    (void)release("broadcast");
    expect_event(all, 1);
    expect_nothing(room);
    assert_true(ws_wait(is_ready, NULL, WS_WAIT_MS));
    ws_close(&room);
    ws_close(&all);
}

static void a_broker_that_keeps_its_memory_costs_no_reset(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *room = open_welcomed("/ws/room/1");
    (void)release("room:1");
    expect_event(room, 1);
    fake_broker_restart(fixture.broker, false);
    /* Released while nobody is connected: lost on the link, found by the positions after the fence.
     */
    for (int i = 0; i < 10; i++)
        (void)release("room:1");
    for (uint64_t i = 2; i <= 11; i++)
        expect_event(room, i);
    ws_close(&room);
}

static void a_silent_broker_is_left_and_found_again(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *room = open_welcomed("/ws/room/1");
    fake_broker_settings(fixture.broker)->mute = true;
    for (int i = 0; i < 4; i++)
        (void)release("room:1");
    assert_true(ws_wait(is_degraded, NULL, WS_WAIT_MS));
    gateway_await_metric(&fixture, "freshwire_uplink_connected", 0);
    /* It stays ready: all gateways lose a broker at the same time. */
    assert_true(fw_health_ready(fixture.health, fw_clock_ms()));
    char *health = fw_health_render(fixture.health, fw_clock_ms());
    assert_non_null(strstr(health, "\"degraded\":{\"broker link\":true}"));
    free(health);
    /* Who is connected stays so, and who comes is let in as far as is known here. */
    (void)expect(room, "{\"type\":\"fw.degraded\",\"degraded\":true}");
    ws_client_t *second = gateway_open(&fixture, "/ws/room/1", NULL, "{\"sub\":\"alice\"}");
    assert_non_null(strstr(expect(second, "{\"type\":\"fw.welcome\""), "\"degraded\":true"));
    ws_client_t *waiting = gateway_open(&fixture, "/ws/room/2", NULL, "{\"sub\":\"alice\"}");
    expect_nothing(waiting);
    int64_t begin_ms = fw_clock_ms();
    while (gateway_metric(&fixture, "freshwire_uplink_reopened_total") < 1) {
        assert_true(fw_clock_ms() - begin_ms < WS_WAIT_MS);
        ws_pause(50);
    }
    fake_broker_settings(fixture.broker)->mute = false;
    for (uint64_t i = 1; i <= 4; i++) {
        expect_event(room, i);
        expect_event(second, i);
    }
    (void)expect(waiting, "{\"type\":\"fw.welcome\"");
    gateway_await_metric(&fixture, "freshwire_gateway_degraded", 0);
    (void)release("room:1");
    expect_event(room, 5);
    ws_close(&room);
    ws_close(&second);
    ws_close(&waiting);
}

static void a_gateway_without_a_broker_lives_and_waits(void **state)
{
    (void)state;
    fake_broker_settings(fixture.broker)->mute = true;
    assert_int_equal(
        fw_gateway_start(&fixture.config, fixture.metrics, fixture.health, &fixture.gateway), 0);
    fixture.port = fw_gateway_port(fixture.gateway);
    ws_client_t *client = gateway_open(&fixture, "/ws", NULL, NULL);
    expect_nothing(client);
    assert_true(fw_health_live(fixture.health, fw_clock_ms()));
    assert_false(fw_health_ready(fixture.health, fw_clock_ms()));
    fake_broker_settings(fixture.broker)->mute = false;
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    assert_true(ws_wait(is_ready, NULL, WS_WAIT_MS));
    ws_close(&client);
}

static void a_lost_tail_is_found_when_a_beacon_is_missed(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *room = open_welcomed("/ws/room/1");
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "room:1", .lost = true});
    ws_pause(300);
    expect_nothing(room); /* an offset that is not followed by another shows nothing */
    double missed = gateway_metric(&fixture, "freshwire_uplink_beacons_missed_total");
    fake_broker_send_event_frame(fixture.broker, "~somebody-else", 14);
    fake_broker_skip_beacons(fixture.broker, 2);
    expect_event(room, 1);
    assert_true(gateway_metric(&fixture, "freshwire_uplink_beacons_missed_total") >= missed + 2);
    ws_close(&room);
}

static void an_unanswered_question_is_asked_again(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    fake_broker_settings(fixture.broker)->holds_positions = true;
    ws_client_t *client = gateway_open(&fixture, "/ws/room/1", NULL, "{\"sub\":\"alice\"}");
    expect_nothing(client);
    unsigned before = fake_broker_counts(fixture.broker)->positions;
    fake_broker_settings(fixture.broker)->holds_positions = false;
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    assert_true(fake_broker_counts(fixture.broker)->positions > before);
    ws_close(&client);
}

static void topics_are_subscribed_once_and_left_after_a_while(void **state)
{
    (void)state;
    fixture.config.linger_ms = 100;
    gateway_fixture_start(&fixture);
    size_t before = fake_broker_counts(fixture.broker)->subscriptions;
    ws_client_t *first = open_welcomed("/ws/room/1");
    ws_client_t *second = open_welcomed("/ws/room/1");
    /* The topic and one fence. */
    assert_int_equal(fake_broker_counts(fixture.broker)->subscriptions, before + 2);
    gateway_await_metric(&fixture, "freshwire_gateway_channels", 1);
    ws_close(&first);
    ws_close(&second);
    gateway_await_metric(&fixture, "freshwire_gateway_channels", 0);
    ws_client_t *third = open_welcomed("/ws/room/1");
    (void)release("room:1");
    expect_event(third, 1);
    ws_close(&third);
}

static void hundreds_of_channels_take_few_questions(void **state)
{
    (void)state;
    enum { ROOMS = 900 };
    static ws_client_t *clients[ROOMS];
    gateway_fixture_start(&fixture);
    unsigned before = fake_broker_counts(fixture.broker)->positions;
    char path[64];
    for (int i = 0; i < ROOMS; i++) {
        (void)snprintf(path, sizeof path, "/ws/room/%d", i);
        clients[i] = gateway_open(&fixture, path, NULL, "{\"sub\":\"alice\"}");
    }
    for (int i = 0; i < ROOMS; i++)
        (void)expect(clients[i], "{\"type\":\"fw.welcome\"");
    fake_broker_restart(fixture.broker, true);
    unsigned restarted = fake_broker_counts(fixture.broker)->positions;
    for (int i = 0; i < ROOMS; i++)
        (void)expect(clients[i], "{\"type\":\"fw.reset\",\"reason\":\"epoch\"");
    unsigned asked = fake_broker_counts(fixture.broker)->positions - restarted;
    print_message("%u questions to open, %u after the restart\n", restarted - before, asked);
    assert_true(asked <= 40);
    for (int i = 0; i < ROOMS; i++) {
        (void)snprintf(path, sizeof path, "room:%d", i);
        (void)release(path);
        expect_event(clients[i], 1);
        ws_close(&clients[i]);
    }
}

static void replays_are_asked_once_a_channel_and_at_a_bounded_rate(void **state)
{
    (void)state;
    enum { ROOMS = 300 };
    static ws_client_t *clients[ROOMS];
    char text[64];
    gateway_fixture_start(&fixture);
    for (int i = 0; i < ROOMS; i++) {
        (void)snprintf(text, sizeof text, "/ws/room/%d", i);
        clients[i] = gateway_open(&fixture, text, NULL, "{\"sub\":\"alice\"}");
    }
    for (int i = 0; i < ROOMS; i++)
        (void)expect(clients[i], "{\"type\":\"fw.welcome\"");
    unsigned before = fake_broker_counts(fixture.broker)->replays;
    for (int i = 0; i < ROOMS; i++) {
        (void)snprintf(text, sizeof text, "room:%d", i);
        (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = text, .lost = true});
    }
    int64_t begin_ms = fw_clock_ms();
    fake_broker_skip_beacons(fixture.broker, 1);
    for (int i = 0; i < ROOMS; i++)
        expect_event(clients[i], 1);
    /* A first handful at once, then so many a second. */
    assert_true(fw_clock_ms() - begin_ms >= (ROOMS - 100) * 1000 / FW_UPLINK_REPLAYS_PER_SECOND);
    assert_int_equal(fake_broker_counts(fixture.broker)->replays - before, ROOMS);
    assert_true(gateway_metric(&fixture, "freshwire_replays_paced_total") > 0);
    for (int i = 0; i < ROOMS; i++)
        ws_close(&clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_broker_that_restarts_without_memory_is_a_reset_for_every_channel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broker_that_keeps_its_memory_costs_no_reset, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_silent_broker_is_left_and_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gateway_without_a_broker_lives_and_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lost_tail_is_found_when_a_beacon_is_missed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_unanswered_question_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(topics_are_subscribed_once_and_left_after_a_while, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(hundreds_of_channels_take_few_questions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replays_are_asked_once_a_channel_and_at_a_bounded_rate,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
