/* test_gateway_reload.c - another configuration while sessions live; their age; where they go.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "runtime/clock.h"

static const char other_secret[] = "another secret of at least thirty-two bytes";

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

static ws_client_t *open_welcomed(const char *path, const char *claims)
{
    ws_client_t *client = gateway_open(&fixture, path, NULL, claims);
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    return client;
}

typedef struct {
    const char *origin;
    int status;
} attempt_t;

static bool is_answered(void *context)
{
    const attempt_t *attempt = context;
    char header[100];
    (void)snprintf(header, sizeof header, "Origin: %s\r\n", attempt->origin);
    ws_options_t options = {.path = "/ws", .headers = header};
    ws_client_t *client = ws_try(fixture.port, &options);
    bool good = ws_status(client) == attempt->status;
    ws_close(&client);
    return good;
}

/* A shard takes a new configuration in its own time. */
static void await_status(const char *origin, int status)
{
    attempt_t attempt = {origin, status};
    assert_true(ws_wait(is_answered, &attempt, WS_WAIT_MS));
}

static void what_is_wrong_is_refused_whole(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    static const char *const origins[] = {"https://only.example"};
    fw_gateway_config_t fresh = fixture.config;
    fresh.origins = origins;
    fresh.origins_count = 1;
    fresh.tokens.secret = "short"; /* not a secret */
    assert_true(fw_gateway_reload(fixture.gateway, &fresh) < 0);
    fresh.tokens.secret = TEST_SECRET;
    fresh.ping_ms = 0;
    assert_int_equal(fw_gateway_reload(fixture.gateway, &fresh), -EINVAL);
    /* Had the origins been taken, this one would be refused by now. */
    fresh.ping_ms = fixture.config.ping_ms;
    fresh.origins_count = 0;
    assert_int_equal(fw_gateway_reload(fixture.gateway, &fresh), 0);
    attempt_t attempt = {"https://other.example", 101};
    assert_true(is_answered(&attempt));
}

static void origins_and_secrets_change_and_sessions_stay(void **state)
{
    (void)state;
    gateway_fixture_start(&fixture);
    ws_client_t *client = open_welcomed("/ws", "{\"sub\":\"alice\"}");
    await_status("https://other.example", 101);
    char *origin = strdup("https://only.example"); /* the gateway keeps nothing of ours */
    char *secret = strdup(other_secret);
    const char *const origins[] = {origin};
    fw_gateway_config_t fresh = fixture.config;
    fresh.origins = origins;
    fresh.origins_count = 1;
    fresh.tokens.secret = secret;
    fresh.anonymous = false;
    assert_int_equal(fw_gateway_reload(fixture.gateway, &fresh), 0);
    memset(origin, 'x', strlen(origin));
    memset(secret, 'x', strlen(secret));
    free(origin);
    free(secret);
    await_status("https://other.example", 403);
    await_status("https://only.example", 101);

    /* The old secret is not good any more, and nobody is anonymous. */
    ws_client_t *late = gateway_open(&fixture, "/ws", NULL, "{\"sub\":\"bob\"}");
    expect_close(late, 4101, NULL);
    ws_close(&late);
    ws_client_t *nobody = gateway_open(&fixture, "/ws", NULL, NULL);
    assert_true(ws_send_text(nobody, "{\"type\":\"fw.hello\"}"));
    expect_close(nobody, 4101, NULL);
    ws_close(&nobody);

    /* Who was there before is there still. */
    (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "user:alice"});
    (void)expect(client, "{\"type\":\"t\"");
    assert_int_equal(fw_gateway_reload(fixture.gateway, &fixture.config), 0);
    await_status("https://other.example", 101);
    ws_close(&client);
}

static void a_gateway_that_is_reloaded_all_the_time_serves_on(void **state)
{
    (void)state;
    fixture.config.shards = 2;
    gateway_fixture_start(&fixture);
    ws_client_t *client = open_welcomed("/ws", "{\"sub\":\"alice\"}");
    fw_gateway_config_t fresh = fixture.config;
    for (uint32_t i = 0; i < 300; i++) {
        fresh.reconnect_window_ms = 1000 + i;
        assert_int_equal(fw_gateway_reload(fixture.gateway, &fresh), 0);
        if (i % 10 > 0)
            continue;
        (void)fake_broker_release(fixture.broker, &(fake_event_t){.channel = "user:alice"});
        (void)expect(client, "{\"type\":\"t\"");
    }
    int64_t begin_ms = fw_clock_ms();
    bool told = false;
    while (!told) { /* both shards, whichever it comes to */
        ws_client_t *second = gateway_open(&fixture, "/ws", NULL, NULL);
        told = strstr(expect(second, "{\"type\":\"fw.welcome\""), "\"reconnect_window_ms\":1299");
        ws_close(&second);
        assert_true(fw_clock_ms() - begin_ms < WS_WAIT_MS);
    }
    ws_close(&client);
}

static void sessions_that_are_too_old_are_asked_to_come_back(void **state)
{
    (void)state;
    enum { CLIENTS = 5 };
    ws_client_t *clients[CLIENTS];
    fixture.config.connection_age_max_ms = 2000;
    gateway_fixture_start(&fixture);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_welcomed("/ws", NULL);
    for (int i = 0; i < CLIENTS; i++) {
        (void)expect(clients[i], "{\"type\":\"fw.drain\",\"reconnect_window_ms\":2000}");
        expect_close(clients[i], 4000, "connected for long enough");
        ws_close(&clients[i]);
    }
    /* The gateway goes on. */
    ws_client_t *again = open_welcomed("/ws", NULL);
    ws_close(&again);
}

static void *stop(void *context)
{
    (void)context;
    fw_gateway_stop(&fixture.gateway);
    return NULL;
}

static void a_drain_tells_to_spread_over_what_the_others_can_take(void **state)
{
    (void)state;
    enum { CLIENTS = 12 };
    ws_client_t *clients[CLIENTS];
    pthread_t thread;
    fixture.config.reconnects_per_second = 2;
    gateway_fixture_start(&fixture);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_welcomed("/ws", NULL);
    gateway_await_metric(&fixture, "freshwire_sessions", CLIENTS);
    assert_int_equal(pthread_create(&thread, NULL, stop, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        (void)expect(clients[i], "{\"type\":\"fw.drain\",\"reconnect_window_ms\":6000}");
        expect_close(clients[i], 4000, "draining");
        ws_close(&clients[i]);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_is_wrong_is_refused_whole),
        CASE(origins_and_secrets_change_and_sessions_stay),
        CASE(a_gateway_that_is_reloaded_all_the_time_serves_on),
        CASE(sessions_that_are_too_old_are_asked_to_come_back),
        CASE(a_drain_tells_to_spread_over_what_the_others_can_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
