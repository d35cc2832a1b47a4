/* SPDX-License-Identifier: MPL-2.0
 * The broker and the cache as a whole, on real sockets: opened, flushed after a loss, closed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/signals.h"
#include "tests/support/broker_fixture.h"

static fw_positions_reply_t ask_position(broker_fixture_t *f, zsock_t *gateway, fw_text_t channel)
{
    fw_message_t ask = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                        .positions_request = {3, &channel, 1}};
    broker_send_message(f, gateway, FW_LINK_GATEWAY_UP, &ask);
    fw_message_t reply = broker_receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.kind, FW_MESSAGE_POSITIONS_REPLY);
    return reply.positions_reply;
}

static void gateways_are_answered_when_the_cache_is_opened_or_time_is_up(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *gateway = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    broker_say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    /* No worker: the answer comes late, and says that caches are to be bypassed. */
    assert_true(ask_position(f, gateway, FW_TEXT("room:1")).unconfirmed);
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, worker, FW_CACHE_OPEN);
    for (int64_t end_ms = fw_clock_ms() + BROKER_DEADLINE_MS;
         ask_position(f, gateway, FW_TEXT("room:1")).unconfirmed;)
        assert_true(fw_clock_ms() < end_ms);
    zsock_destroy(&worker);
    zsock_destroy(&gateway);
}

static fw_fire_missing_t receive_missing(broker_fixture_t *f, zsock_t *service)
{
    fw_message_t message = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(message.kind, FW_MESSAGE_FIRE_MISSING);
    assert_memory_equal(message.fire_missing.incarnation.data, broker_incarnation,
                        sizeof broker_incarnation);
    return message.fire_missing;
}

static void fire(broker_fixture_t *f, zsock_t *service, uint64_t number)
{
    broker_sequence = number;
    broker_publish(f, service, number, "broadcast", NULL);
    broker_sequence = 0;
}

static void a_lost_event_is_asked_for_and_comes_late(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_subscribe(f, "broadcast");
    zsock_t *service = broker_dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    assert_int_equal(broker_receive(f, service).data[0], 1);
    fire(f, service, 1);
    fire(f, service, 4);
    fw_fire_missing_t missing = receive_missing(f, service);
    assert_int_equal(missing.first, 2);
    assert_int_equal(missing.count, 2);
    fire(f, service, 2);
    fire(f, service, 3);
    fire(f, service, 3); /* once more: it is known by its number, and by its id */
    for (uint64_t offset = 1; offset <= 4; offset++)
        assert_int_equal(broker_receive_delivery(f, sub).position.offset, offset);
    fw_message_t mark = {.kind = FW_MESSAGE_FIRE_MARK,
                         .fire_mark = {{broker_incarnation, sizeof broker_incarnation}, 5, 1}};
    broker_send_message(f, service, FW_LINK_PUBLISHER_UP, &mark);
    do
        missing = receive_missing(f, service);
    while (missing.first != 5); /* it may have asked for the others again meanwhile */
    fire(f, service, 5);
    assert_int_equal(broker_receive_delivery(f, sub).position.offset, 5);
    broker_wait_for_metric(f, "freshwire_broker_fire_gaps_total{outcome=\"repaired\"} ", 3);
    broker_wait_for_metric(f, "freshwire_broker_fire_gaps_total{outcome=\"repeated\"} ", 1);
    assert_int_equal((int)broker_metric(f, "freshwire_broker_fire_gaps_total{outcome=\"lost\"} "),
                     0);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void an_event_that_stays_lost_flushes_the_cache_and_alarms_gateways(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *beacons = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_t *gateway = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = broker_dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    zsock_set_subscribe(beacons, FW_TOPIC_BEACON);
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, worker, FW_CACHE_OPEN);
    broker_say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    uint64_t epoch = ask_position(f, gateway, FW_TEXT("room:1")).positions[0].position.epoch;
    assert_int_equal(broker_receive(f, service).data[0], 1);
    fire(f, service, 1);
    fire(f, service, 3);
    broker_do_cache_action(f, worker, FW_CACHE_FLUSH);
    uint64_t last = 0;
    for (;;) {
        fw_beacon_t beacon;
        fw_refusal_t refusal;
        fw_bytes_t frame = broker_receive(f, beacons);
        frame.data += strlen(FW_TOPIC_BEACON);
        frame.size -= strlen(FW_TOPIC_BEACON);
        assert_int_equal(fw_codec_decode_beacon(f->reply, frame, &beacon, &refusal), 0);
        if (last != 0 && beacon.number != last + 1)
            break;
        last = beacon.number;
    }
    fw_positions_reply_t reply = ask_position(f, gateway, FW_TEXT("room:1"));
    assert_true(reply.positions[0].position.epoch != epoch);
    assert_false(reply.unconfirmed);
    zsock_destroy(&service);
    zsock_destroy(&worker);
    zsock_destroy(&gateway);
    zsock_destroy(&beacons);
}

static void a_stop_closes_the_cache(void **state)
{
    broker_fixture_t *f = *state;
    pthread_t stopper;
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, worker, FW_CACHE_OPEN);
    broker_wait_for_metric(f, "freshwire_broker_jobs_total{outcome=\"done\"} ", 1);
    assert_int_equal(pthread_create(&stopper, NULL, broker_stop_thread, f), 0);
    broker_do_cache_action(f, worker, FW_CACHE_CLOSE);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    zsock_destroy(&worker);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, broker_set_up, broker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(gateways_are_answered_when_the_cache_is_opened_or_time_is_up),
        CASE(a_lost_event_is_asked_for_and_comes_late),
        CASE(an_event_that_stays_lost_flushes_the_cache_and_alarms_gateways),
        CASE(a_stop_closes_the_cache),
    };
    fw_signals_block();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
