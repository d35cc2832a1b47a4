/* test_resubscribe.c - very many channels on one shard, and a broker that restarts.
 * SPDX-License-Identifier: MPL-2.0
 * As many as are promised, a tenth of them under sanitizers; FW_TEST_CHANNELS says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "clients/c/publisher.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "tests/support/many_channels.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHANNELS = 10000 };
#else
enum { CHANNELS = 100000 };
#endif
enum { PATIENCE_MS = 60000, REBIND_MS = 10000, SAMPLES = 100 };

static fw_metrics_t *metrics;
static fw_health_t *health;

static fw_broker_t *start_broker(const fw_broker_endpoints_t *at)
{
    fw_broker_config_t config = fw_broker_defaults();
    fw_broker_t *broker = NULL;
    int64_t begin_ms = fw_clock_ms();
    int result;
    config.fire_endpoints = at ? at->fire : "tcp://127.0.0.1:*";
    config.publish_endpoints = at ? at->publish : "tcp://127.0.0.1:*";
    config.jobs_endpoints = at ? at->jobs : "tcp://127.0.0.1:*";
    config.events_endpoints = at ? at->events : "tcp://127.0.0.1:*";
    config.control_endpoints = at ? at->control : "tcp://127.0.0.1:*";
    config.open_timeout_ms = 0; /* there is no worker, and no cache */
    /* A port that was closed a moment ago may still be held by ZeroMQ's own thread. */
    while ((result = fw_broker_start(&config, metrics, health, &broker)) == -EADDRINUSE &&
           fw_clock_ms() - begin_ms < REBIND_MS)
        (void)poll(NULL, 0, 5);
    assert_int_equal(result, 0);
    return broker;
}

static void count_answer(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    (void)request_id;
    unsigned *answered = context;
    assert_int_equal(error, 0);
    assert_int_equal(ack->status, FW_PUBLISH_OK);
    (*answered)++;
}

/* One event in each of some channels arrives in each of their rings. */
static void expect_delivery(many_channels_t *shard, const fw_broker_endpoints_t *at,
                            size_t channels)
{
    fw_publisher_options_t options = {.endpoint = at->publish};
    fw_publisher_t *publisher = NULL;
    unsigned answered = 0;
    assert_int_equal(fw_publisher_new(&options, count_answer, &answered, &publisher), 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "room:%zu", i * channels / SAMPLES);
        fw_text_t audience[] = {fw_text(name)};
        fw_event_t event = {.type = FW_TEXT("tick"), .audience = audience, .audience_count = 1};
        uint64_t request_id;
        fw_refusal_t refusal;
        assert_int_equal(fw_publisher_send(publisher, &event, FW_ACK_ACCEPTED, fw_clock_ms(),
                                           &request_id, &refusal),
                         0);
    }
    int64_t begin_ms = fw_clock_ms();
    size_t arrived = 0;
    while ((arrived < SAMPLES || answered < SAMPLES) && fw_clock_ms() - begin_ms < PATIENCE_MS) {
        fw_publisher_service(publisher, fw_clock_ms());
        many_channels_turn(shard);
        arrived = 0;
        for (size_t i = 0; i < SAMPLES; i++)
            arrived += many_channels_head(shard, i * channels / SAMPLES) == 1;
    }
    assert_int_equal(arrived, SAMPLES);
    assert_int_equal(answered, SAMPLES);
    fw_publisher_destroy(&publisher);
}

static void every_channel_is_live_again_after_a_restart(void **state)
{
    (void)state;
    const char *given = getenv("FW_TEST_CHANNELS");
    size_t channels = given ? strtoul(given, NULL, 10) : CHANNELS;
    fw_broker_endpoints_t at;
    metrics = fw_metrics_new();
    health = fw_health_new();
    fw_broker_t *broker = start_broker(NULL);
    fw_broker_endpoints(broker, &at);
    many_channels_options_t options = {.channels = channels,
                                       .events_endpoint = at.events,
                                       .control_endpoint = at.control,
                                       .publish_endpoint = at.publish,
                                       .metrics = metrics};
    many_channels_t *shard = many_channels_new(&options);
    assert_non_null(shard);
    int64_t first_ms = many_channels_await(shard, PATIENCE_MS);
    assert_true(first_ms >= 0);
    expect_delivery(shard, &at, channels);
    many_channels_renew(shard);
    assert_int_equal(many_channels_live(shard), 0);
    fw_broker_stop(&broker);
    broker = start_broker(&at);
    int64_t again_ms = many_channels_await(shard, PATIENCE_MS);
    print_message("%zu channels, %zu topics: live after %lld ms, after a restart after %lld ms\n",
                  channels, many_channels_topics(shard), (long long)first_ms, (long long)again_ms);
    assert_true(again_ms >= 0);
    expect_delivery(shard, &at, channels);
    many_channels_destroy(&shard);
    fw_broker_stop(&broker);
    fw_metrics_destroy(&metrics);
    fw_health_destroy(&health);
}

int main(void)
{
    fw_log_setup(getenv("FW_TEST_LOG") ? FW_LOG_DEBUG : FW_LOG_ERROR, FW_LOG_TEXT);
    fw_signals_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_is_live_again_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
