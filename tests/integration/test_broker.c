/* SPDX-License-Identifier: MPL-2.0
 * The broker on real sockets: every link's conversation, bad input at every door, and a clean stop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "runtime/clock.h"
#include "runtime/signals.h"
#include "runtime/socket.h"

enum { DEADLINE_MS = 10000 };

typedef struct {
    fw_broker_t *broker;
    fw_broker_endpoints_t at;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_codec_t *codec; /* encodes what we send */
    fw_codec_t *reply; /* decodes what we get */
    zmq_msg_t frame;
} fixture_t;

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    fw_broker_config_t config = fw_broker_defaults();
    config.fire_endpoints = config.publish_endpoints = config.jobs_endpoints =
        config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    config.beacon_interval_ms = 50;
    config.barrier_first_ms = 50;
    config.barrier_timeout_ms = 150;
    config.open_timeout_ms = 300;
    config.fire_repair_ms = 800;
    f->metrics = fw_metrics_new();
    f->health = fw_health_new();
    f->codec = fw_codec_new();
    f->reply = fw_codec_new();
    zmq_msg_init(&f->frame);
    assert_int_equal(fw_broker_start(&config, f->metrics, f->health, &f->broker), 0);
    fw_broker_endpoints(f->broker, &f->at);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    fw_broker_stop(&f->broker);
    fw_metrics_destroy(&f->metrics);
    fw_health_destroy(&f->health);
    fw_codec_destroy(&f->codec);
    fw_codec_destroy(&f->reply);
    zmq_msg_close(&f->frame);
    free(f);
    return 0;
}

static zsock_t *dial(fw_socket_role_t role, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, endpoint, &socket), 0);
    return socket;
}

static void send_bytes(zsock_t *socket, fw_bytes_t bytes)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLOUT, 0};
    assert_int_equal(zmq_poll(&item, 1, DEADLINE_MS), 1);
    assert_int_equal(fw_socket_send(socket, bytes), 0);
}

static void send_text(zsock_t *socket, const char *text)
{
    send_bytes(socket, (fw_bytes_t){(const uint8_t *)text, strlen(text)});
}

static void send_message(fixture_t *f, zsock_t *socket, fw_link_t link, const fw_message_t *message)
{
    send_bytes(socket, fw_codec_encode(f->codec, link, message));
}

/* The next frame; fails the test when none comes. */
static fw_bytes_t receive(fixture_t *f, zsock_t *socket)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLIN, 0};
    assert_int_equal(zmq_poll(&item, 1, DEADLINE_MS), 1);
    assert_int_equal(fw_socket_receive(socket, &f->frame), 0);
    return fw_socket_bytes(&f->frame);
}

static fw_message_t receive_message(fixture_t *f, zsock_t *socket, fw_link_t link)
{
    fw_message_t message;
    fw_refusal_t refusal;
    fw_bytes_t frame = receive(f, socket);
    assert_int_equal(fw_codec_decode(f->reply, link, frame, &message, &refusal), 0);
    return message;
}

static const uint8_t incarnation[FW_INCARNATION_SIZE] = {1};

static void say_hello(fixture_t *f, zsock_t *socket, fw_link_t up, fw_link_t down)
{
    fw_message_t hello = {
        .kind = FW_MESSAGE_HELLO,
        .hello = {FW_PROTOCOL_VERSION, FW_TEXT("test"), {incarnation, sizeof incarnation}, 4}};
    send_message(f, socket, up, &hello);
    assert_int_equal(receive_message(f, socket, down).kind, FW_MESSAGE_WELCOME);
}

/* The next message to a worker is the job that opens the cache, or that does another thing to it.
 */
static void do_cache_action(fixture_t *f, zsock_t *worker, fw_cache_action_t action)
{
    fw_message_t job = receive_message(f, worker, FW_LINK_WORKER_DOWN);
    assert_int_equal(job.kind, FW_MESSAGE_JOB);
    assert_int_equal(job.job.cache_action, action);
    fw_message_t done = {.kind = FW_MESSAGE_JOB_DONE,
                         .done = {.job_id = job.job.job_id, .redis_time = 1}};
    send_message(f, worker, FW_LINK_WORKER_UP, &done);
}

static uint64_t sequence; /* of the next publish, 0 = it does not count */

static void publish(fixture_t *f, zsock_t *socket, uint64_t request_id, const char *channel,
                    const char *tag)
{
    fw_text_t audience[] = {fw_text(channel)};
    fw_text_t tags[] = {fw_text(tag)};
    char id[32];
    (void)snprintf(id, sizeof id, "event-%d", (int)request_id);
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = request_id;
    if (sequence) {
        message.publish.sequence = sequence;
        message.publish.incarnation = (fw_bytes_t){incarnation, sizeof incarnation};
    }
    message.publish.event = (fw_event_t){.id = fw_text(id),
                                         .type = FW_TEXT("project_updated"),
                                         .data = {.kind = FW_PAYLOAD_JSON,
                                                  .bytes = {(const uint8_t *)"{\"id\":1}", 8},
                                                  .type = FW_TEXT_NONE},
                                         .audience = audience,
                                         .audience_count = 1,
                                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                         .origin = FW_TEXT_NONE,
                                         .user_id = FW_TEXT_NONE,
                                         .traceparent = FW_TEXT_NONE};
    if (tag)
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    send_message(f, socket, FW_LINK_PUBLISHER_UP, &message);
}

/* A SUB whose subscriptions are in force: proved by a fence. */
static zsock_t *subscribe(fixture_t *f, const char *channel)
{
    char topic[FW_TOPIC_SIZE + 1] = {0};
    zsock_t *sub = dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    fw_channel_topic(fw_text(channel), topic);
    zsock_set_subscribe(sub, topic);
    zsock_set_subscribe(sub, "~f-1");
    fw_bytes_t echo = receive(f, sub);
    assert_int_equal(echo.size, 4);
    assert_memory_equal(echo.data, "~f-1", 4);
    return sub;
}

static fw_delivery_t receive_delivery(fixture_t *f, zsock_t *sub)
{
    fw_delivery_t delivery;
    fw_refusal_t refusal;
    fw_bytes_t frame = receive(f, sub);
    assert_true(frame.size > FW_TOPIC_SIZE);
    frame.data += FW_TOPIC_SIZE;
    frame.size -= FW_TOPIC_SIZE;
    assert_int_equal(fw_codec_decode_delivery(f->reply, frame, &delivery, &refusal), 0);
    return delivery;
}

static double metric(fixture_t *f, const char *line)
{
    size_t size;
    char *text = fw_metrics_render(f->metrics, &size);
    const char *at = strstr(text, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    free(text);
    return value;
}

static void wait_for_metric(fixture_t *f, const char *line, double at_least)
{
    int64_t deadline = fw_clock_ms() + DEADLINE_MS;
    while (metric(f, line) < at_least) {
        assert_true(fw_clock_ms() < deadline);
        (void)zmq_poll(NULL, 0, 5);
    }
}

static void an_event_reaches_its_subscriber_and_its_publisher_is_answered(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = subscribe(f, "room:42");
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    publish(f, service, 7, "room:42", NULL);
    fw_message_t ack = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.kind, FW_MESSAGE_PUBLISH_ACK);
    assert_int_equal(ack.ack.request_id, 7);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_int_equal(ack.ack.positions[0].position.offset, 1);
    fw_delivery_t delivery = receive_delivery(f, sub);
    assert_string_equal(delivery.channel.text, "room:42");
    assert_int_equal(delivery.position.offset, 1);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void fire_and_forget_events_are_sequenced_too(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = subscribe(f, "broadcast");
    zsock_t *service = dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    fw_bytes_t up = receive(f, service);
    assert_int_equal(up.data[0], 1);
    publish(f, service, 1, "broadcast", NULL);
    publish(f, service, 2, "broadcast", NULL);
    assert_int_equal(receive_delivery(f, sub).position.offset, 1);
    assert_int_equal(receive_delivery(f, sub).position.offset, 2);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void an_event_waits_for_its_purge_and_carries_its_time(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = subscribe(f, "broadcast");
    zsock_t *worker = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    do_cache_action(f, worker, FW_CACHE_OPEN);
    say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    publish(f, service, 1, "broadcast", "projects");
    fw_message_t job = receive_message(f, worker, FW_LINK_WORKER_DOWN);
    assert_int_equal(job.kind, FW_MESSAGE_JOB);
    assert_string_equal(job.job.invalidate.tags[0].text, "projects");
    fw_message_t done = {.kind = FW_MESSAGE_JOB_DONE,
                         .done = {.job_id = job.job.job_id, .redis_time = 123456}};
    send_message(f, worker, FW_LINK_WORKER_UP, &done);
    fw_delivery_t delivery = receive_delivery(f, sub);
    assert_int_equal(delivery.fresh, 123456);
    assert_false(delivery.unconfirmed);
    assert_int_equal(receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.fresh, 123456);
    zsock_destroy(&service);
    zsock_destroy(&worker);
    zsock_destroy(&sub);
}

static void without_an_answer_another_worker_is_asked_then_it_goes_out_flagged(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = subscribe(f, "broadcast");
    zsock_t *first = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *second = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    say_hello(f, first, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    do_cache_action(f, first, FW_CACHE_OPEN);
    say_hello(f, second, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    publish(f, service, 1, "broadcast", "projects");
    fw_message_t a = receive_message(f, first, FW_LINK_WORKER_DOWN);
    uint64_t job_id = a.job.job_id;
    fw_message_t b = receive_message(f, second, FW_LINK_WORKER_DOWN);
    assert_int_equal(b.job.job_id, job_id);
    assert_int_not_equal(a.job.attempt, b.job.attempt);
    fw_delivery_t delivery = receive_delivery(f, sub);
    assert_true(delivery.unconfirmed);
    assert_int_equal(delivery.fresh, 0);
    zsock_destroy(&service);
    zsock_destroy(&second);
    zsock_destroy(&first);
    zsock_destroy(&sub);
}

static void a_gateway_learns_positions_and_replays_what_it_missed(void **state)
{
    fixture_t *f = *state;
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zsock_t *gateway = dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    for (uint64_t i = 1; i <= 5; i++) {
        publish(f, service, i, "user:9", NULL);
        assert_int_equal(receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.status,
                         FW_PUBLISH_OK);
    }
    fw_text_t channels[] = {FW_TEXT("user:9"), FW_TEXT("room:never")};
    fw_message_t ask = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                        .positions_request = {3, channels, 2}};
    send_message(f, gateway, FW_LINK_GATEWAY_UP, &ask);
    fw_message_t reply = receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.positions_reply.positions_count, 2);
    assert_int_equal(reply.positions_reply.positions[0].position.offset, 5);
    assert_int_equal(reply.positions_reply.positions[1].position.offset, 0);
    assert_true(reply.positions_reply.positions[1].position.epoch != 0);
    fw_position_t since = {reply.positions_reply.positions[0].position.epoch, 2};
    fw_message_t replay = {.kind = FW_MESSAGE_REPLAY_REQUEST,
                           .replay_request = {4, FW_TEXT("user:9"), since, 256}};
    send_message(f, gateway, FW_LINK_GATEWAY_UP, &replay);
    reply = receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.replay_reply.status, FW_REPLAY_COMPLETE);
    assert_int_equal(reply.replay_reply.deliveries_count, 3);
    assert_int_equal(reply.replay_reply.deliveries[0].position.offset, 3);
    since.epoch++;
    replay.replay_request.since = since;
    send_message(f, gateway, FW_LINK_GATEWAY_UP, &replay);
    reply = receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.replay_reply.status, FW_REPLAY_RESET);
    zsock_destroy(&gateway);
    zsock_destroy(&service);
}

static void beacons_come_without_holes(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    uint64_t last = 0;
    zsock_set_subscribe(sub, FW_TOPIC_BEACON);
    for (int i = 0; i < 5; i++) {
        fw_beacon_t beacon;
        fw_refusal_t refusal;
        fw_bytes_t frame = receive(f, sub);
        frame.data += strlen(FW_TOPIC_BEACON);
        frame.size -= strlen(FW_TOPIC_BEACON);
        assert_int_equal(fw_codec_decode_beacon(f->reply, frame, &beacon, &refusal), 0);
        assert_true(last == 0 || beacon.number == last + 1);
        last = beacon.number;
    }
    zsock_destroy(&sub);
}

static void a_ping_gets_its_pong_after_hello(void **state)
{
    fixture_t *f = *state;
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    fw_message_t early = {.kind = FW_MESSAGE_PING, .number = 98};
    send_message(f, service, FW_LINK_PUBLISHER_UP, &early);
    assert_int_equal(receive_message(f, service, FW_LINK_PUBLISHER_DOWN).kind, FW_MESSAGE_GOODBYE);
    say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = 99};
    send_message(f, service, FW_LINK_PUBLISHER_UP, &ping);
    fw_message_t pong = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(pong.kind, FW_MESSAGE_PONG);
    assert_int_equal(pong.number, 99);
    zsock_destroy(&service);
}

static fw_positions_reply_t ask_position(fixture_t *f, zsock_t *gateway, fw_text_t channel)
{
    fw_message_t ask = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                        .positions_request = {3, &channel, 1}};
    send_message(f, gateway, FW_LINK_GATEWAY_UP, &ask);
    fw_message_t reply = receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.kind, FW_MESSAGE_POSITIONS_REPLY);
    return reply.positions_reply;
}

static void gateways_are_answered_when_the_cache_is_opened_or_time_is_up(void **state)
{
    fixture_t *f = *state;
    zsock_t *gateway = dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    zsock_t *worker = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    /* No worker: the answer comes late, and says that caches are to be bypassed. */
    assert_true(ask_position(f, gateway, FW_TEXT("room:1")).unconfirmed);
    say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    do_cache_action(f, worker, FW_CACHE_OPEN);
    for (int64_t end_ms = fw_clock_ms() + DEADLINE_MS;
         ask_position(f, gateway, FW_TEXT("room:1")).unconfirmed;)
        assert_true(fw_clock_ms() < end_ms);
    zsock_destroy(&worker);
    zsock_destroy(&gateway);
}

static fw_fire_missing_t receive_missing(fixture_t *f, zsock_t *service)
{
    fw_message_t message = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(message.kind, FW_MESSAGE_FIRE_MISSING);
    assert_memory_equal(message.fire_missing.incarnation.data, incarnation, sizeof incarnation);
    return message.fire_missing;
}

static void fire(fixture_t *f, zsock_t *service, uint64_t number)
{
    sequence = number;
    publish(f, service, number, "broadcast", NULL);
    sequence = 0;
}

static void a_lost_event_is_asked_for_and_comes_late(void **state)
{
    fixture_t *f = *state;
    zsock_t *sub = subscribe(f, "broadcast");
    zsock_t *service = dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    assert_int_equal(receive(f, service).data[0], 1);
    fire(f, service, 1);
    fire(f, service, 4);
    fw_fire_missing_t missing = receive_missing(f, service);
    assert_int_equal(missing.first, 2);
    assert_int_equal(missing.count, 2);
    fire(f, service, 2);
    fire(f, service, 3);
    fire(f, service, 3); /* once more: it is known by its number, and by its id */
    for (uint64_t offset = 1; offset <= 4; offset++)
        assert_int_equal(receive_delivery(f, sub).position.offset, offset);
    fw_message_t mark = {.kind = FW_MESSAGE_FIRE_MARK,
                         .fire_mark = {{incarnation, sizeof incarnation}, 5, 1}};
    send_message(f, service, FW_LINK_PUBLISHER_UP, &mark);
    do
        missing = receive_missing(f, service);
    while (missing.first != 5); /* it may have asked for the others again meanwhile */
    fire(f, service, 5);
    assert_int_equal(receive_delivery(f, sub).position.offset, 5);
    wait_for_metric(f, "freshwire_broker_fire_gaps_total{outcome=\"repaired\"} ", 3);
    wait_for_metric(f, "freshwire_broker_fire_gaps_total{outcome=\"repeated\"} ", 1);
    assert_int_equal((int)metric(f, "freshwire_broker_fire_gaps_total{outcome=\"lost\"} "), 0);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void an_event_that_stays_lost_flushes_the_cache_and_alarms_gateways(void **state)
{
    fixture_t *f = *state;
    zsock_t *beacons = dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_t *gateway = dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    zsock_t *worker = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    zsock_set_subscribe(beacons, FW_TOPIC_BEACON);
    say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    do_cache_action(f, worker, FW_CACHE_OPEN);
    say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    uint64_t epoch = ask_position(f, gateway, FW_TEXT("room:1")).positions[0].position.epoch;
    assert_int_equal(receive(f, service).data[0], 1);
    fire(f, service, 1);
    fire(f, service, 3);
    do_cache_action(f, worker, FW_CACHE_FLUSH);
    uint64_t last = 0;
    for (;;) {
        fw_beacon_t beacon;
        fw_refusal_t refusal;
        fw_bytes_t frame = receive(f, beacons);
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

static void a_bad_event_is_rejected_with_its_field_and_the_next_one_passes(void **state)
{
    fixture_t *f = *state;
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    publish(f, service, 1, "nowhere", NULL);
    fw_message_t ack = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_REJECTED);
    assert_string_equal(ack.ack.refusal.field, "audience[0]");
    publish(f, service, 2, "room:1", NULL);
    ack = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_true(metric(f, "freshwire_refused_total{door=\"publish\",reason=\"rule\"} ") >= 1);
    zsock_destroy(&service);
}

static void garbage_at_every_door_is_counted_and_disturbs_nobody(void **state)
{
    fixture_t *f = *state;
    static const char *const garbage[] = {"", "\n", "GET / HTTP/1.1\r\n\r\n",
                                          "\x0a\xff\xff\xff\x7f",
                                          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    const char *const doors[] = {f->at.publish, f->at.jobs, f->at.control};
    zsock_t *sub = subscribe(f, "broadcast");
    for (size_t door = 0; door < 3; door++) {
        zsock_t *peer = dial(FW_SOCKET_DEALER_CONNECT, doors[door]);
        for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
            send_text(peer, garbage[i]);
            (void)receive(f, peer); /* a refusal */
        }
        zsock_destroy(&peer);
    }
    zsock_t *fire = dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    (void)receive(f, fire);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
        send_text(fire, garbage[i]);
    wait_for_metric(f, "freshwire_refused_total{door=\"fire\",reason=\"malformed\"} ", 5);
    publish(f, fire, 1, "broadcast", NULL);
    assert_int_equal(receive_delivery(f, sub).position.offset, 1);
    zsock_destroy(&fire);
    zsock_destroy(&sub);
}

static void a_message_of_several_frames_is_refused(void **state)
{
    fixture_t *f = *state;
    zsock_t *service = dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zmq_pollitem_t item = {zsock_resolve(service), 0, ZMQ_POLLOUT, 0};
    assert_int_equal(zmq_poll(&item, 1, DEADLINE_MS), 1);
    assert_int_equal(zmq_send(zsock_resolve(service), "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(service), "b", 1, 0), 1);
    wait_for_metric(f, "freshwire_refused_total{door=\"publish\",reason=\"malformed\"} ", 1);
    publish(f, service, 2, "room:1", NULL);
    assert_int_equal(receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.status, FW_PUBLISH_OK);
    zsock_destroy(&service);
}

static void an_overlong_fence_is_not_echoed(void **state)
{
    fixture_t *f = *state;
    char topic[101] = {0};
    memset(topic, 'x', 100);
    topic[0] = '~';
    zsock_t *sub = dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_set_subscribe(sub, topic);
    wait_for_metric(f, "freshwire_refused_total{door=\"events\",reason=\"limit\"} ", 1);
    zsock_destroy(&sub);
}

static void a_second_broker_on_the_same_port_is_told_so(void **state)
{
    fixture_t *f = *state;
    fw_broker_config_t config = fw_broker_defaults();
    fw_broker_t *second = NULL;
    config.fire_endpoints = f->at.fire;
    assert_int_equal(fw_broker_start(&config, f->metrics, f->health, &second), -EADDRINUSE);
    assert_null(second);
}

static void *stop_broker(void *args)
{
    fixture_t *f = args;
    fw_broker_stop(&f->broker);
    return NULL;
}

static void a_stop_releases_what_is_held_and_says_goodbye(void **state)
{
    fixture_t *f = *state;
    pthread_t stopper;
    /* Not one of ours: those forget what they have not read when the peer closes. */
    zsock_t *service = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(service, "%s", f->at.publish), 0);
    say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    publish(f, service, 1, "broadcast", "projects"); /* no worker: held until its time is up */
    wait_for_metric(f, "freshwire_broker_events_total{outcome=\"accepted\"} ", 1);
    assert_int_equal(pthread_create(&stopper, NULL, stop_broker, f), 0);
    fw_message_t ack = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_true(ack.ack.unconfirmed);
    fw_message_t goodbye = receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(goodbye.kind, FW_MESSAGE_GOODBYE);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    zsock_destroy(&service);
}

static void a_stop_closes_the_cache(void **state)
{
    fixture_t *f = *state;
    pthread_t stopper;
    zsock_t *worker = dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    do_cache_action(f, worker, FW_CACHE_OPEN);
    assert_int_equal(pthread_create(&stopper, NULL, stop_broker, f), 0);
    do_cache_action(f, worker, FW_CACHE_CLOSE);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    zsock_destroy(&worker);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_reaches_its_subscriber_and_its_publisher_is_answered),
        CASE(fire_and_forget_events_are_sequenced_too),
        CASE(an_event_waits_for_its_purge_and_carries_its_time),
        CASE(without_an_answer_another_worker_is_asked_then_it_goes_out_flagged),
        CASE(a_gateway_learns_positions_and_replays_what_it_missed),
        CASE(beacons_come_without_holes),
        CASE(a_ping_gets_its_pong_after_hello),
        CASE(gateways_are_answered_when_the_cache_is_opened_or_time_is_up),
        CASE(a_lost_event_is_asked_for_and_comes_late),
        CASE(an_event_that_stays_lost_flushes_the_cache_and_alarms_gateways),
        CASE(a_stop_closes_the_cache),
        CASE(a_bad_event_is_rejected_with_its_field_and_the_next_one_passes),
        CASE(garbage_at_every_door_is_counted_and_disturbs_nobody),
        CASE(a_message_of_several_frames_is_refused),
        CASE(an_overlong_fence_is_not_echoed),
        CASE(a_second_broker_on_the_same_port_is_told_so),
        CASE(a_stop_releases_what_is_held_and_says_goodbye),
    };
    fw_signals_block();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
