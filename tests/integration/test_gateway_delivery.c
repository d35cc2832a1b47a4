/* test_gateway_delivery.c - who gets what, in order, also when something was missed.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <poll.h>
#include <string.h>

#include "proto/position.h"

#define OURS "freshwire.v1.json"

static gateway_fixture_t fixture;

static int set_up(void **state)
{
    (void)state;
    fixture = gateway_fixture_new();
    fixture.config.ring_events_max = 600;
    fixture.config.linger_ms = 60000;
    gateway_fixture_start(&fixture);
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

static uint64_t lose(const char *channel)
{
    return fake_broker_release(fixture.broker, &(fake_event_t){.channel = channel, .lost = true});
}

/* Expects the event with this offset, whose data is the offset. */
static void expect_event(ws_client_t *client, uint64_t offset)
{
    char beginning[64];
    (void)snprintf(beginning, sizeof beginning,
                   "{\"type\":\"t\",\"data\":%llu,\"channel\":", (unsigned long long)offset);
    (void)expect(client, beginning);
}

/* A session that says it has everything of a channel up to offset. Returns after its welcome. */
static ws_client_t *greet_again(const char *channel, uint64_t epoch, uint64_t offset, bool batch,
                                const char *in_welcome)
{
    char hello[512];
    char text[FW_EPOCH_TEXT_SIZE_MAX + 1];
    (void)fw_epoch_format(epoch, text);
    ws_client_t *client = gateway_open(&fixture, "/ws", OURS, "{\"sub\":\"alice\"}");
    (void)snprintf(hello, sizeof hello,
                   "{\"type\":\"fw.hello\",\"batch\":%s,\"subscriptions\":[{\"channel\":\"%s\","
                   "\"epoch\":\"%s\",\"offset\":\"%llu\"}]}",
                   batch ? "true" : "false", channel, text, (unsigned long long)offset);
    assert_true(ws_send_text(client, hello));
    const char *welcome = expect(client, "{\"type\":\"fw.welcome\"");
    if (!strstr(welcome, in_welcome))
        fail_msg("%s is not in %s", in_welcome, welcome);
    return client;
}

static ws_client_t *resume(const char *channel, uint64_t epoch, uint64_t offset,
                           const char *in_welcome)
{
    return greet_again(channel, epoch, offset, false, in_welcome);
}

static void only_listeners_get_an_event_and_not_the_excluded_ones(void **state)
{
    (void)state;
    const struct {
        const char *path, *claims;
        bool gets_first, gets_second;
    } cases[] = {
        {"/ws/room/1?origin=tab-1", "{\"sub\":\"alice\"}", false, true},
        {"/ws/room/1?origin=tab-2", "{\"sub\":\"alice\"}", true, true},
        {"/ws/room/1", "{\"sub\":\"bob\"}", true, false},
        {"/ws/room/11", "{\"sub\":\"carol\"}", false, false},
        {"/ws/notifications", "{\"sub\":\"1\"}", false, false},
    };
    ws_client_t *clients[5];
    for (int i = 0; i < 5; i++) {
        clients[i] = gateway_open(&fixture, cases[i].path, NULL, cases[i].claims);
        (void)expect(clients[i], "{\"type\":\"fw.welcome\"");
    }
    fake_event_t event = {.channel = "room:1", .type = "first", .exclude_origin = "tab-1"};
    (void)fake_broker_release(fixture.broker, &event);
    event = (fake_event_t){.channel = "room:1", .type = "second", .exclude_user = "bob"};
    (void)fake_broker_release(fixture.broker, &event);
    for (int i = 0; i < 5; i++) {
        if (cases[i].gets_first)
            (void)expect(clients[i], "{\"type\":\"first\"");
        if (cases[i].gets_second)
            (void)expect(clients[i], "{\"type\":\"second\"");
        expect_nothing(clients[i]);
        ws_close(&clients[i]);
    }
}

static void an_origin_from_the_greeting_is_excluded_too(void **state)
{
    (void)state;
    ws_client_t *client = gateway_open(&fixture, "/ws/room/2", OURS, "{\"sub\":\"alice\"}");
    assert_true(ws_send_text(client, "{\"type\":\"fw.hello\",\"origin\":\"tab-9\"}"));
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    fake_event_t event = {.channel = "room:2", .type = "mine", .exclude_origin = "tab-9"};
    (void)fake_broker_release(fixture.broker, &event);
    (void)expect(client, "{\"type\":\"fw.position\",\"channel\":\"room:2\"");
    event.exclude_origin = "tab-8";
    event.type = "theirs";
    (void)fake_broker_release(fixture.broker, &event);
    (void)expect(client, "{\"type\":\"theirs\"");
    ws_close(&client);
}

static void a_batch_is_one_message_for_who_asked(void **state)
{
    (void)state;
    enum { EVENTS = 200 };
    ws_client_t *first = gateway_open(&fixture, "/ws/room/3", NULL, "{\"sub\":\"alice\"}");
    (void)expect(first, "{\"type\":\"fw.welcome\"");
    for (uint64_t i = 1; i <= EVENTS; i++)
        assert_int_equal(release("room:3"), i);
    for (uint64_t i = 1; i <= EVENTS; i++)
        expect_event(first, i);
    /* All of them are in the ring, so how many share a message does not depend on who is quicker.
     */
    ws_client_t *client = greet_again("room:3", fake_broker_epoch(fixture.broker), 0, true,
                                      "\"offset\":\"0\",\"recovered\":true");
    unsigned events = 0, messages = 0;
    while (events < EVENTS) {
        const char *message = expect(client, "{\"type\":\"t\",\"data\":");
        messages++;
        for (const char *line = message; line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            events++;
    }
    assert_int_equal(events, EVENTS);
    assert_true(messages < EVENTS / 10);
    ws_close(&client);
    ws_close(&first);
}

static void who_comes_back_reads_on_from_the_ring(void **state)
{
    (void)state;
    ws_client_t *first = gateway_open(&fixture, "/ws/room/4", NULL, "{\"sub\":\"alice\"}");
    (void)expect(first, "{\"type\":\"fw.welcome\"");
    for (uint64_t i = 1; i <= 20; i++)
        assert_int_equal(release("room:4"), i);
    for (uint64_t i = 1; i <= 20; i++)
        expect_event(first, i);
    ws_close(&first);
    unsigned replays = fake_broker_counts(fixture.broker)->replays;
    ws_client_t *back = resume("room:4", fake_broker_epoch(fixture.broker), 12,
                               "\"offset\":\"12\",\"recovered\":true");
    for (uint64_t i = 13; i <= 20; i++)
        expect_event(back, i);
    assert_int_equal(release("room:4"), 21);
    expect_event(back, 21);
    assert_int_equal(fake_broker_counts(fixture.broker)->replays, replays);
    ws_close(&back);
}

static void who_was_away_longer_gets_a_replay_of_the_broker(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++)
        (void)release("room:5"); /* nobody listens here */
    fake_broker_settings(fixture.broker)->replay_limit = 90;
    ws_client_t *back = resume("room:5", fake_broker_epoch(fixture.broker), 100,
                               "\"offset\":\"100\",\"recovered\":true");
    for (uint64_t i = 101; i <= 500; i++)
        expect_event(back, i);
    assert_int_equal(release("room:5"), 501);
    expect_event(back, 501);
    fake_broker_settings(fixture.broker)->replay_limit = 0;
    ws_close(&back);
}

static void what_cannot_be_replayed_completely_is_a_reset(void **state)
{
    (void)state;
    for (int i = 0; i < 800; i++)
        (void)release("room:6");
    ws_client_t *back = resume("room:6", fake_broker_epoch(fixture.broker), 10,
                               "\"offset\":\"800\",\"recovered\":false");
    (void)expect(back, "{\"type\":\"fw.reset\",\"reason\":\"history\",\"channel\":\"room:6\"");
    (void)release("room:6");
    expect_event(back, 801);
    ws_close(&back);
    fake_broker_settings(fixture.broker)->refuses_replays = true;
    back = resume("room:6", fake_broker_epoch(fixture.broker), 700,
                  "\"offset\":\"801\",\"recovered\":false");
    (void)expect(back, "{\"type\":\"fw.reset\",\"reason\":\"history\"");
    fake_broker_settings(fixture.broker)->refuses_replays = false;
    ws_close(&back);
    back = resume("room:6", fake_broker_epoch(fixture.broker) + 5, 801,
                  "\"offset\":\"801\",\"recovered\":false");
    (void)expect(back, "{\"type\":\"fw.reset\",\"reason\":\"epoch\",\"channel\":\"room:6\"");
    ws_close(&back);
    back = resume("room:6", fake_broker_epoch(fixture.broker), 5000,
                  "\"offset\":\"801\",\"recovered\":false");
    (void)expect(back, "{\"type\":\"fw.reset\",\"reason\":\"history\"");
    ws_close(&back);
}

static void a_gap_is_repaired_in_order(void **state)
{
    (void)state;
    const double replays =
        gateway_metric(&fixture, "freshwire_replays_total{outcome=\"complete\"}");
    const double resets = gateway_metric(&fixture, "freshwire_resets_total{reason=\"history\"}");
    ws_client_t *client = gateway_open(&fixture, "/ws/room/7", NULL, "{\"sub\":\"alice\"}");
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    (void)release("room:7");
    for (int i = 0; i < 5; i++)
        (void)lose("room:7");
    (void)release("room:7");
    (void)release("room:7");
    for (uint64_t i = 1; i <= 8; i++)
        expect_event(client, i);
    gateway_await_growth(&fixture, "freshwire_replays_total{outcome=\"complete\"}", replays);
    fake_broker_settings(fixture.broker)->refuses_replays = true;
    (void)lose("room:7");
    (void)release("room:7");
    (void)expect(client, "{\"type\":\"fw.reset\",\"reason\":\"history\",\"channel\":\"room:7\"");
    fake_broker_settings(fixture.broker)->refuses_replays = false;
    (void)release("room:7");
    expect_event(client, 11);
    gateway_await_growth(&fixture, "freshwire_resets_total{reason=\"history\"}", resets);
    ws_close(&client);
}

static void repeated_events_are_dropped_and_broken_ones_ignored(void **state)
{
    (void)state;
    ws_client_t *client = gateway_open(&fixture, "/ws/room/8", NULL, "{\"sub\":\"alice\"}");
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    (void)release("room:8");
    expect_event(client, 1);
    fake_broker_send_event_frame(fixture.broker, "bxxxxx\xff\xff\xff", 9);
    fake_broker_send_event_frame(fixture.broker, "!hb\xff\xff", 5);
    (void)release("room:8");
    expect_event(client, 2);
    gateway_await_metric(&fixture,
                         "freshwire_refused_total{door=\"uplink_events\",reason=\"malformed\"}", 1);
    ws_close(&client);
}

static void a_slow_reader_reads_on_or_is_told_that_it_was_lapped(void **state)
{
    (void)state;
    static char data[20000];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    fake_event_t large = {.channel = "room:9", .data = data};
    ws_options_t options = {.receive_buffer = 4096};
    char path[2048];
    char *token = make_good_token("{\"sub\":\"alice\"}");
    (void)snprintf(path, sizeof path, "/ws/room/9?token=%s", token);
    free(token);
    options.path = path;
    ws_client_t *slow = ws_open(fixture.port, &options);
    (void)expect(slow, "{\"type\":\"fw.welcome\"");
    ws_client_t *quick = gateway_open(&fixture, "/ws/room/9", NULL, "{\"sub\":\"bob\"}");
    (void)expect(quick, "{\"type\":\"fw.welcome\"");
    /* What is written to the slow one fills its buffers; the rest waits in the ring, in nobody's
     * queue. */
    double lapped = gateway_metric(&fixture, "freshwire_resets_total{reason=\"lapped\"}");
    for (int i = 0; i < 900; i++) {
        (void)fake_broker_release(fixture.broker, &large);
        (void)expect(quick, "{\"type\":\"t\",\"data\":\"xxx");
    }
    assert_true(gateway_metric(&fixture, "freshwire_ring_bytes") < 8 * 1024 * 1024);
    unsigned events = 0, resets = 0;
    uint64_t offset = 0;
    while (offset < 900) {
        const char *message = expect(slow, "{\"type\":\"");
        uint64_t next = strtoull(strstr(message, "\"offset\":\"") + 10, NULL, 10);
        bool reset = strstr(message, "{\"type\":\"fw.reset\",\"reason\":\"lapped\"") == message;
        assert_true(reset ? next > offset : next == offset + 1);
        offset = next;
        resets += reset;
        events += !reset;
    }
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "room:9", .type = "last"});
    (void)expect(slow, "{\"type\":\"last\"");
    assert_true(resets >= 1);
    assert_true(events > 10 && events < 900);
    assert_true(gateway_metric(&fixture, "freshwire_resets_total{reason=\"lapped\"}") > lapped);
    ws_close(&slow);
    ws_close(&quick);
}

static void what_fits_into_the_ring_is_read_later_without_a_reset(void **state)
{
    (void)state;
    static char data[8000];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    ws_options_t options = {.receive_buffer = 4096, .path = "/ws"};
    ws_client_t *slow = ws_open(fixture.port, &options);
    (void)expect(slow, "{\"type\":\"fw.welcome\"");
    ws_client_t *quick = gateway_open(&fixture, "/ws", NULL, NULL);
    (void)expect(quick, "{\"type\":\"fw.welcome\"");
    for (int i = 0; i < 450; i++) {
        (void)fake_broker_release(fixture.broker,
                                  &(fake_event_t){.channel = "broadcast", .data = data});
        (void)expect(quick, "{\"type\":\"t\",\"data\":\"xxx");
    }
    for (int i = 0; i < 450; i++) {
        char offset[32];
        (void)snprintf(offset, sizeof offset, "\"offset\":\"%d\"", i + 1);
        assert_non_null(strstr(expect(slow, "{\"type\":\"t\",\"data\":\"xxx"), offset));
    }
    ws_close(&slow);
    ws_close(&quick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_listeners_get_an_event_and_not_the_excluded_ones),
        cmocka_unit_test(an_origin_from_the_greeting_is_excluded_too),
        cmocka_unit_test(a_batch_is_one_message_for_who_asked),
        cmocka_unit_test(who_comes_back_reads_on_from_the_ring),
        cmocka_unit_test(who_was_away_longer_gets_a_replay_of_the_broker),
        cmocka_unit_test(what_cannot_be_replayed_completely_is_a_reset),
        cmocka_unit_test(a_gap_is_repaired_in_order),
        cmocka_unit_test(repeated_events_are_dropped_and_broken_ones_ignored),
        cmocka_unit_test(a_slow_reader_reads_on_or_is_told_that_it_was_lapped),
        cmocka_unit_test(what_fits_into_the_ring_is_read_later_without_a_reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
