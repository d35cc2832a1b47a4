/* test_refused_keys.c - links whose key the broker does not know, and then does.
 * SPDX-License-Identifier: MPL-2.0
 * ZeroMQ never connects a refused socket again: each link must notice by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "clients/c/fire.h"
#include "clients/c/publisher.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "runtime/zap.h"
#include "tests/support/keys.h"
#include "tests/support/many_channels.h"

enum { REFUSED_MS = 4500, RECOVERY_MS_MAX = 10000, PATIENCE_MS = 20000, CHANNELS = 10 };

typedef struct {
    fw_publisher_t *publisher;
    fw_fire_t *fire;
    many_channels_t *shard;
} links_t;

static void ignore_answer(void *context, uint64_t request_id, int error,
                          const fw_publish_ack_t *ack)
{
    (void)context;
    (void)request_id;
    (void)error;
    (void)ack;
}

static unsigned turn(links_t *links)
{
    fw_publisher_service(links->publisher, fw_clock_ms());
    many_channels_turn(links->shard);
    return (unsigned)fw_publisher_connected(links->publisher) +
           (unsigned)fw_fire_connected(links->fire) +
           (unsigned)(many_channels_live(links->shard) == CHANNELS);
}

static void a_refused_key_that_is_let_in_later_connects_by_itself(void **state)
{
    (void)state;
    keys_t own = keys_make();
    keys_t known = keys_make();
    keys_t publisher = keys_make();
    keys_t gateway = keys_make();
    const char *before[] = {keys_rule(&known, "known", "worker", "")};
    const char *after[] = {keys_rule(&known, "known", "worker", ""),
                           keys_rule(&publisher, "orders", "publisher", ""),
                           keys_rule(&gateway, "edge", "gateway", "")};
    fw_metrics_t *metrics = fw_metrics_new();
    fw_health_t *health = fw_health_new();
    fw_security_t *broker_security = keys_broker(&own, before, 1);
    fw_security_t *publisher_security = keys_peer(&publisher, &own);
    fw_security_t *gateway_security = keys_peer(&gateway, &own);
    fw_zap_t *zap = NULL;
    fw_broker_t *broker = NULL;
    fw_broker_endpoints_t at;
    fw_config_error_t error;
    links_t links = {.publisher = NULL};
    fw_broker_config_t config = fw_broker_defaults();
    config.fire_endpoints = config.publish_endpoints = config.jobs_endpoints =
        config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    config.security = broker_security;
    config.open_timeout_ms = 0; /* there is no worker */
    assert_int_equal(fw_zap_start(broker_security, metrics, health, &zap), 0);
    assert_int_equal(fw_broker_start(&config, metrics, health, &broker), 0);
    fw_broker_endpoints(broker, &at);
    fw_publisher_options_t options = {.endpoint = at.publish, .security = publisher_security};
    fw_fire_options_t fire = {.endpoint = at.fire, .security = publisher_security};
    many_channels_options_t shard = {.channels = CHANNELS,
                                     .events_endpoint = at.events,
                                     .control_endpoint = at.control,
                                     .publish_endpoint = at.publish,
                                     .metrics = metrics,
                                     .security = gateway_security};
    assert_int_equal(fw_publisher_new(&options, ignore_answer, NULL, &links.publisher), 0);
    assert_int_equal(fw_fire_new(&fire, &links.fire), 0);
    links.shard = many_channels_new(&shard);
    assert_non_null(links.shard);
    int64_t begin_ms = fw_clock_ms();
    while (fw_clock_ms() - begin_ms < REFUSED_MS)
        assert_int_equal(turn(&links), 0);
    assert_int_equal(fw_security_replace_peers(broker_security, after, 3, &error), 0);
    begin_ms = fw_clock_ms();
    unsigned connected = 0;
    while ((connected = turn(&links)) < 3 && fw_clock_ms() - begin_ms < PATIENCE_MS)
        (void)poll(NULL, 0, 2);
    print_message("let in after %lld ms\n", (long long)(fw_clock_ms() - begin_ms));
    assert_int_equal(connected, 3);
    assert_true(fw_clock_ms() - begin_ms <= RECOVERY_MS_MAX);
    many_channels_destroy(&links.shard);
    fw_publisher_destroy(&links.publisher);
    fw_fire_destroy(&links.fire, 0);
    fw_broker_stop(&broker);
    fw_zap_stop(&zap);
    fw_security_destroy(&broker_security);
    fw_security_destroy(&publisher_security);
    fw_security_destroy(&gateway_security);
    fw_metrics_destroy(&metrics);
    fw_health_destroy(&health);
}

int main(void)
{
    fw_log_setup(FW_LOG_ERROR, FW_LOG_TEXT);
    fw_signals_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_key_that_is_let_in_later_connects_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
