/* gateway_fixture.h - a gateway on a fake broker, for integration tests.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/gateway.h"
#include "tests/support/fake_broker.h"
#include "tests/support/token.h"
#include "tests/support/ws_client.h"

typedef struct {
    fw_metrics_t *metrics;
    fw_health_t *health;
    fake_broker_t *broker;
    fw_gateway_config_t config;
    fw_gateway_t *gateway;
    int port;
} gateway_fixture_t;

/* Defaults for tests, with a fake broker and not yet started. */
gateway_fixture_t gateway_fixture_new(void);
/* Starts the gateway and waits for its link to the broker. */
void gateway_fixture_start(gateway_fixture_t *self);
void gateway_fixture_end(gateway_fixture_t *self);

/* One value of a metric, for example "freshwire_sessions" or
 * "freshwire_disconnects_total{code=\"4400\"}". */
double gateway_metric(gateway_fixture_t *self, const char *series);
/* Waits until it has this value; the test fails when it does not. */
void gateway_await_metric(gateway_fixture_t *self, const char *series, double value);
/* Waits until a series is larger than a value. */
void gateway_await_growth(gateway_fixture_t *self, const char *series, double value);

/* Opens a WebSocket; claims NULL = without a token, else as ?token=. */
ws_client_t *gateway_open(gateway_fixture_t *self, const char *path, const char *subprotocol,
                          const char *claims);
/* Fails unless the next message begins with this. */
const char *expect(ws_client_t *client, const char *beginning);
/* Fails unless no message comes for a while. */
void expect_nothing(ws_client_t *client);
/* Fails unless the server ends the connection with this code. */
void expect_close(ws_client_t *client, int code, const char *reason);
