/* gateway_fixture.c - see gateway_fixture.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/gateway_fixture.h"

#include <string.h>

#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"

gateway_fixture_t gateway_fixture_new(void)
{
    gateway_fixture_t self = {
        .metrics = fw_metrics_new(),
        .health = fw_health_new(),
        .broker = fake_broker_new(),
        .config = fw_gateway_defaults(),
    };
    fw_log_setup(getenv("FW_TEST_LOG") ? FW_LOG_DEBUG : FW_LOG_ERROR, FW_LOG_TEXT);
    fw_signals_block();
    self.config.listen = "127.0.0.1:0";
    self.config.events_endpoint = fake_broker_events(self.broker);
    self.config.control_endpoint = fake_broker_control(self.broker);
    self.config.publish_endpoint = fake_broker_publish(self.broker);
    self.config.tokens.secret = TEST_SECRET;
    self.config.sessions_max = 2000;
    self.config.drain_delay_ms = 0;
    self.config.drain_window_ms = 0;
    ws_set_hook(fake_broker_turn, self.broker);
    return self;
}

static bool is_ready(void *context)
{
    gateway_fixture_t *self = context;
    return fw_health_ready(self->health, fw_clock_ms());
}

void gateway_fixture_start(gateway_fixture_t *self)
{
    assert_int_equal(fw_gateway_start(&self->config, self->metrics, self->health, &self->gateway),
                     0);
    self->port = fw_gateway_port(self->gateway);
    assert_true(ws_wait(is_ready, self, WS_WAIT_MS));
}

void gateway_fixture_end(gateway_fixture_t *self)
{
    fw_gateway_stop(&self->gateway);
    ws_set_hook(NULL, NULL);
    fake_broker_destroy(&self->broker);
    fw_metrics_destroy(&self->metrics);
    fw_health_destroy(&self->health);
}

double gateway_metric(gateway_fixture_t *self, const char *series)
{
    size_t size = 0;
    char *text = fw_metrics_render(self->metrics, &size);
    size_t length = strlen(series);
    double value = -1;
    for (char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, series, length) == 0 && line[length] == ' ')
            value = strtod(line + length, NULL);
    free(text);
    return value;
}

typedef struct {
    gateway_fixture_t *fixture;
    const char *series;
    double value;
    double last;
} awaited_t;

static bool has_value(void *context)
{
    awaited_t *awaited = context;
    awaited->last = gateway_metric(awaited->fixture, awaited->series);
    double difference = awaited->last - awaited->value;
    return difference > -0.5 && difference < 0.5;
}

void gateway_await_metric(gateway_fixture_t *self, const char *series, double value)
{
    awaited_t awaited = {self, series, value, 0};
    if (!ws_wait(has_value, &awaited, WS_WAIT_MS))
        fail_msg("%s is %g, not %g", series, awaited.last, value);
}

static bool has_grown(void *context)
{
    awaited_t *awaited = context;
    awaited->last = gateway_metric(awaited->fixture, awaited->series);
    return awaited->last > awaited->value + 0.5;
}

void gateway_await_growth(gateway_fixture_t *self, const char *series, double value)
{
    awaited_t awaited = {self, series, value, 0};
    if (!ws_wait(has_grown, &awaited, WS_WAIT_MS))
        fail_msg("%s is %g, not more than %g", series, awaited.last, value);
}

ws_client_t *gateway_open(gateway_fixture_t *self, const char *path, const char *subprotocol,
                          const char *claims)
{
    char full[4096];
    char *token = claims ? make_good_token(claims) : NULL;
    (void)snprintf(full, sizeof full, "%s%s%s%s", path,
                   claims ? (strchr(path, '?') ? "&" : "?") : "", claims ? "token=" : "",
                   token ? token : "");
    free(token);
    ws_options_t options = {.path = full, .subprotocol = subprotocol};
    return ws_open(self->port, &options);
}

/* The next message that is asked for; what is told of a broker that is away depends on how long the
 * test takes, and is left out unless it is that. */
static const char *next_message(ws_client_t *client, const char *beginning, int wait_ms)
{
    static const char degraded[] = "{\"type\":\"fw.degraded\"";
    const char *message;
    do {
        message = ws_receive(client, wait_ms);
    } while (message && strncmp(message, degraded, sizeof degraded - 1) == 0 &&
             strncmp(beginning, degraded, sizeof degraded - 1) != 0);
    return message;
}

const char *expect(ws_client_t *client, const char *beginning)
{
    const char *message = next_message(client, beginning, WS_WAIT_MS);
    if (!message)
        fail_msg("no message, but %s was expected", beginning);
    else if (strncmp(message, beginning, strlen(beginning)) != 0)
        fail_msg("%s came, but %s was expected", message, beginning);
    return message;
}

void expect_nothing(ws_client_t *client)
{
    const char *message = next_message(client, "", 200);
    if (message)
        fail_msg("%s came, but nothing was expected", message);
}

void expect_close(ws_client_t *client, int code, const char *reason)
{
    assert_int_equal(ws_receive_close(client, WS_WAIT_MS), code);
    if (reason)
        assert_string_equal(ws_close_reason(client), reason);
}
