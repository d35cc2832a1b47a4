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

#include "broker/subscriptions.h"
#include "runtime/clock.h"
#include "runtime/signals.h"
#include "tests/support/broker_fixture.h"

static void an_event_reaches_its_subscriber_and_its_publisher_is_answered(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_subscribe(f, "room:42");
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    broker_publish(f, service, 7, "room:42", NULL);
    fw_message_t ack = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.kind, FW_MESSAGE_PUBLISH_ACK);
    assert_int_equal(ack.ack.request_id, 7);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_int_equal(ack.ack.positions[0].position.offset, 1);
    fw_delivery_t delivery = broker_receive_delivery(f, sub);
    assert_string_equal(delivery.channel.text, "room:42");
    assert_int_equal(delivery.position.offset, 1);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void fire_and_forget_events_are_sequenced_too(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_subscribe(f, "broadcast");
    zsock_t *service = broker_dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    fw_bytes_t up = broker_receive(f, service);
    assert_int_equal(up.data[0], 1);
    broker_publish(f, service, 1, "broadcast", NULL);
    broker_publish(f, service, 2, "broadcast", NULL);
    assert_int_equal(broker_receive_delivery(f, sub).position.offset, 1);
    assert_int_equal(broker_receive_delivery(f, sub).position.offset, 2);
    zsock_destroy(&service);
    zsock_destroy(&sub);
}

static void an_event_waits_for_its_purge_and_carries_its_time(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_subscribe(f, "broadcast");
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, worker, FW_CACHE_OPEN);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    broker_publish(f, service, 1, "broadcast", "projects");
    fw_message_t job = broker_receive_message(f, worker, FW_LINK_WORKER_DOWN);
    assert_int_equal(job.kind, FW_MESSAGE_JOB);
    assert_string_equal(job.job.invalidate.tags[0].text, "projects");
    fw_message_t done = {.kind = FW_MESSAGE_JOB_DONE,
                         .done = {.job_id = job.job.job_id, .redis_time = 123456}};
    broker_send_message(f, worker, FW_LINK_WORKER_UP, &done);
    fw_delivery_t delivery = broker_receive_delivery(f, sub);
    assert_int_equal(delivery.fresh, 123456);
    assert_false(delivery.unconfirmed);
    assert_int_equal(broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.fresh, 123456);
    zsock_destroy(&service);
    zsock_destroy(&worker);
    zsock_destroy(&sub);
}

static void who_listens_for_audits_is_told_what_was_purged(void **state)
{
    broker_fixture_t *f = *state;
    static const char fence[] = "~audit-1";
    zsock_t *auditor = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zsock_set_subscribe(auditor, FW_TOPIC_AUDIT);
    zsock_set_subscribe(auditor, fence);
    assert_int_equal(broker_receive(f, auditor).size, strlen(fence));
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, worker, FW_CACHE_OPEN);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    broker_publish(f, service, 1, "broadcast", "projects");
    fw_message_t job = broker_receive_message(f, worker, FW_LINK_WORKER_DOWN);
    const fw_stamp_t stamp = {FW_TEXT("projects"), 123400};
    fw_message_t done = {
        .kind = FW_MESSAGE_JOB_DONE,
        .done = {
            .job_id = job.job.job_id, .redis_time = 123456, .stamps = &stamp, .stamps_count = 1}};
    broker_send_message(f, worker, FW_LINK_WORKER_UP, &done);
    fw_bytes_t frame = broker_receive(f, auditor);
    size_t topic = strlen(FW_TOPIC_AUDIT);
    fw_purged_t purged;
    fw_refusal_t refusal;
    assert_memory_equal(frame.data, FW_TOPIC_AUDIT, topic);
    frame = (fw_bytes_t){frame.data + topic, frame.size - topic};
    assert_int_equal(fw_codec_decode_purged(f->reply, frame, &purged, &refusal), 0);
    assert_int_equal(purged.redis_time, 123456);
    assert_int_equal(purged.invalidate.tags_count, 1);
    assert_string_equal(purged.invalidate.tags[0].text, "projects");
    assert_int_equal(purged.stamps_count, 1);
    assert_int_equal(purged.stamps[0].stamp, 123400);
    assert_true(purged.took_us > 0);
    zsock_destroy(&service);
    zsock_destroy(&worker);
    zsock_destroy(&auditor);
}

/* Adds one job, or those of one message; *ret_together tells of the latter. */
static size_t take_jobs(const fw_message_t *message, fw_job_done_t *done, size_t count,
                        bool *ret_together)
{
    const fw_jobs_t one = {&message->job, 1};
    const fw_jobs_t jobs = message->kind == FW_MESSAGE_JOBS ? message->jobs : one;
    assert_true(message->kind == FW_MESSAGE_JOBS || message->kind == FW_MESSAGE_JOB);
    *ret_together |= message->kind == FW_MESSAGE_JOBS;
    for (size_t i = 0; i < jobs.count; i++, count++)
        done[count] = (fw_job_done_t){.job_id = jobs.jobs[i].job_id, .redis_time = 100 + count};
    return count;
}

static void jobs_that_wait_for_a_worker_come_together_and_are_answered_together(void **state)
{
    enum { EVENTS = 3, JOBS = EVENTS + 1 }; /* the first one opens the cache */
    broker_fixture_t *f = *state;
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zsock_t *worker = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    broker_publish(f, service, 1, "room:1", "one");
    broker_publish(f, service, 2, "room:2", "two");
    broker_publish(f, service, 3, "room:3", "three");
    broker_wait_for_metric(f, "\nfreshwire_broker_jobs_open ", JOBS);
    broker_say_hello(f, worker, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    fw_job_done_t done[JOBS + FW_JOBS_MAX];
    bool together = false;
    size_t count = 0;
    while (count < JOBS) {
        fw_message_t message = broker_receive_message(f, worker, FW_LINK_WORKER_DOWN);
        count = take_jobs(&message, done, count, &together);
    }
    assert_int_equal(count, JOBS);
    assert_true(together);
    const fw_message_t answer = {.kind = FW_MESSAGE_JOBS_DONE, .jobs_done = {done, JOBS}};
    broker_send_message(f, worker, FW_LINK_WORKER_UP, &answer);
    broker_wait_for_metric(f, "\nfreshwire_broker_jobs_total{outcome=\"done\"} ", JOBS);
    for (int i = 0; i < EVENTS; i++)
        assert_int_equal(broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.status,
                         FW_PUBLISH_OK);
    zsock_destroy(&service);
    zsock_destroy(&worker);
}

static void without_an_answer_another_worker_is_asked_then_it_goes_out_flagged(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_subscribe(f, "broadcast");
    zsock_t *first = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *second = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.jobs);
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    broker_say_hello(f, first, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_do_cache_action(f, first, FW_CACHE_OPEN);
    broker_say_hello(f, second, FW_LINK_WORKER_UP, FW_LINK_WORKER_DOWN);
    broker_publish(f, service, 1, "broadcast", "projects");
    fw_message_t a = broker_receive_message(f, first, FW_LINK_WORKER_DOWN);
    uint64_t job_id = a.job.job_id;
    fw_message_t b = broker_receive_message(f, second, FW_LINK_WORKER_DOWN);
    assert_int_equal(b.job.job_id, job_id);
    assert_int_not_equal(a.job.attempt, b.job.attempt);
    fw_delivery_t delivery = broker_receive_delivery(f, sub);
    assert_true(delivery.unconfirmed);
    assert_int_equal(delivery.fresh, 0);
    zsock_destroy(&service);
    zsock_destroy(&second);
    zsock_destroy(&first);
    zsock_destroy(&sub);
}

static void a_gateway_learns_positions_and_replays_what_it_missed(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zsock_t *gateway = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.control);
    broker_say_hello(f, gateway, FW_LINK_GATEWAY_UP, FW_LINK_GATEWAY_DOWN);
    for (uint64_t i = 1; i <= 5; i++) {
        broker_publish(f, service, i, "user:9", NULL);
        assert_int_equal(broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.status,
                         FW_PUBLISH_OK);
    }
    fw_text_t channels[] = {FW_TEXT("user:9"), FW_TEXT("room:never")};
    fw_message_t ask = {.kind = FW_MESSAGE_POSITIONS_REQUEST,
                        .positions_request = {3, channels, 2}};
    broker_send_message(f, gateway, FW_LINK_GATEWAY_UP, &ask);
    fw_message_t reply = broker_receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.positions_reply.positions_count, 2);
    assert_int_equal(reply.positions_reply.positions[0].position.offset, 5);
    assert_int_equal(reply.positions_reply.positions[1].position.offset, 0);
    assert_true(reply.positions_reply.positions[1].position.epoch != 0);
    fw_position_t since = {reply.positions_reply.positions[0].position.epoch, 2};
    fw_message_t replay = {.kind = FW_MESSAGE_REPLAY_REQUEST,
                           .replay_request = {4, FW_TEXT("user:9"), since, 256}};
    broker_send_message(f, gateway, FW_LINK_GATEWAY_UP, &replay);
    reply = broker_receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.replay_reply.status, FW_REPLAY_COMPLETE);
    assert_int_equal(reply.replay_reply.deliveries_count, 3);
    assert_int_equal(reply.replay_reply.deliveries[0].position.offset, 3);
    since.epoch++;
    replay.replay_request.since = since;
    broker_send_message(f, gateway, FW_LINK_GATEWAY_UP, &replay);
    reply = broker_receive_message(f, gateway, FW_LINK_GATEWAY_DOWN);
    assert_int_equal(reply.replay_reply.status, FW_REPLAY_RESET);
    zsock_destroy(&gateway);
    zsock_destroy(&service);
}

static void beacons_come_without_holes(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *sub = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    uint64_t last = 0;
    zsock_set_subscribe(sub, FW_TOPIC_BEACON);
    for (int i = 0; i < 5; i++) {
        fw_beacon_t beacon;
        fw_refusal_t refusal;
        fw_bytes_t frame = broker_receive(f, sub);
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
    broker_fixture_t *f = *state;
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    fw_message_t early = {.kind = FW_MESSAGE_PING, .number = 98};
    broker_send_message(f, service, FW_LINK_PUBLISHER_UP, &early);
    assert_int_equal(broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN).kind,
                     FW_MESSAGE_GOODBYE);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = 99};
    broker_send_message(f, service, FW_LINK_PUBLISHER_UP, &ping);
    fw_message_t pong = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(pong.kind, FW_MESSAGE_PONG);
    assert_int_equal(pong.number, 99);
    zsock_destroy(&service);
}

static void a_bad_event_is_rejected_with_its_field_and_the_next_one_passes(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    broker_publish(f, service, 1, "nowhere", NULL);
    fw_message_t ack = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_REJECTED);
    assert_string_equal(ack.ack.refusal.field, "audience[0]");
    broker_publish(f, service, 2, "room:1", NULL);
    ack = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_true(broker_metric(f, "freshwire_refused_total{door=\"publish\",reason=\"rule\"} ") >=
                1);
    zsock_destroy(&service);
}

static void garbage_at_every_door_is_counted_and_disturbs_nobody(void **state)
{
    broker_fixture_t *f = *state;
    static const char *const garbage[] = {"", "\n", "GET / HTTP/1.1\r\n\r\n",
                                          "\x0a\xff\xff\xff\x7f",
                                          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    const char *const doors[] = {f->at.publish, f->at.jobs, f->at.control};
    zsock_t *sub = broker_subscribe(f, "broadcast");
    for (size_t door = 0; door < 3; door++) {
        zsock_t *peer = broker_dial(FW_SOCKET_DEALER_CONNECT, doors[door]);
        for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
            broker_send_text(peer, garbage[i]);
            (void)broker_receive(f, peer); /* a refusal */
        }
        zsock_destroy(&peer);
    }
    zsock_t *fire = broker_dial(FW_SOCKET_XPUB_CONNECT, f->at.fire);
    (void)broker_receive(f, fire);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
        broker_send_text(fire, garbage[i]);
    broker_wait_for_metric(f, "freshwire_refused_total{door=\"fire\",reason=\"malformed\"} ", 5);
    broker_publish(f, fire, 1, "broadcast", NULL);
    assert_int_equal(broker_receive_delivery(f, sub).position.offset, 1);
    zsock_destroy(&fire);
    zsock_destroy(&sub);
}

static void a_message_of_several_frames_is_refused(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    zmq_pollitem_t item = {zsock_resolve(service), 0, ZMQ_POLLOUT, 0};
    assert_int_equal(zmq_poll(&item, 1, BROKER_DEADLINE_MS), 1);
    assert_int_equal(zmq_send(zsock_resolve(service), "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(service), "b", 1, 0), 1);
    broker_wait_for_metric(f, "freshwire_refused_total{door=\"publish\",reason=\"malformed\"} ", 1);
    broker_publish(f, service, 2, "room:1", NULL);
    assert_int_equal(broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN).ack.status,
                     FW_PUBLISH_OK);
    zsock_destroy(&service);
}

static void an_overlong_fence_is_not_echoed(void **state)
{
    broker_fixture_t *f = *state;
    char topic[101] = {0};
    memset(topic, 'x', 100);
    topic[0] = '~';
    zsock_t *sub = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_set_subscribe(sub, topic);
    broker_wait_for_metric(f, "freshwire_refused_total{door=\"events\",reason=\"rule\"} ", 1);
    zsock_destroy(&sub);
}

static void one_that_subscribes_to_too_much_is_cut_and_nobody_else(void **state)
{
    broker_fixture_t *f = *state;
    zsock_t *bystander = broker_subscribe(f, "broadcast");
    zsock_t *flood = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    zsock_t *service = broker_dial(FW_SOCKET_DEALER_CONNECT, f->at.publish);
    for (int i = 0; i <= FW_FOREIGN_TOPICS_MAX; i++) {
        char topic[32];
        (void)snprintf(topic, sizeof topic, "user:%d", i);
        zsock_set_subscribe(flood, topic);
    }
    broker_wait_for_metric(f, "\nfreshwire_broker_subscribers_cut_total ", 1);
    zsock_destroy(&flood);
    broker_publish(f, service, 1, "broadcast", NULL);
    assert_int_equal(broker_receive_delivery(f, bystander).position.offset, 1);
    zsock_destroy(&service);
    zsock_destroy(&bystander);
}

static void a_second_broker_on_the_same_port_is_told_so(void **state)
{
    broker_fixture_t *f = *state;
    fw_broker_config_t config = fw_broker_defaults();
    fw_broker_t *second = NULL;
    config.fire_endpoints = f->at.fire;
    assert_int_equal(fw_broker_start(&config, f->metrics, f->health, &second), -EADDRINUSE);
    assert_null(second);
}

static void a_stop_releases_what_is_held_and_says_goodbye(void **state)
{
    broker_fixture_t *f = *state;
    pthread_t stopper;
    /* Not one of ours: those forget what they have not read when the peer closes. */
    zsock_t *service = zsock_new(ZMQ_DEALER);
    assert_int_equal(zsock_connect(service, "%s", f->at.publish), 0);
    broker_say_hello(f, service, FW_LINK_PUBLISHER_UP, FW_LINK_PUBLISHER_DOWN);
    broker_publish(f, service, 1, "broadcast",
                   "projects"); /* no worker: held until its time is up */
    broker_wait_for_metric(f, "freshwire_broker_events_total{outcome=\"accepted\"} ", 1);
    assert_int_equal(pthread_create(&stopper, NULL, broker_stop_thread, f), 0);
    fw_message_t ack = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(ack.ack.status, FW_PUBLISH_OK);
    assert_true(ack.ack.unconfirmed);
    fw_message_t goodbye = broker_receive_message(f, service, FW_LINK_PUBLISHER_DOWN);
    assert_int_equal(goodbye.kind, FW_MESSAGE_GOODBYE);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    zsock_destroy(&service);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, broker_set_up, broker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_reaches_its_subscriber_and_its_publisher_is_answered),
        CASE(fire_and_forget_events_are_sequenced_too),
        CASE(an_event_waits_for_its_purge_and_carries_its_time),
        CASE(jobs_that_wait_for_a_worker_come_together_and_are_answered_together),
        CASE(without_an_answer_another_worker_is_asked_then_it_goes_out_flagged),
        CASE(a_gateway_learns_positions_and_replays_what_it_missed),
        CASE(beacons_come_without_holes),
        CASE(a_ping_gets_its_pong_after_hello),
        CASE(a_bad_event_is_rejected_with_its_field_and_the_next_one_passes),
        CASE(garbage_at_every_door_is_counted_and_disturbs_nobody),
        CASE(a_message_of_several_frames_is_refused),
        CASE(who_listens_for_audits_is_told_what_was_purged),
        CASE(an_overlong_fence_is_not_echoed),
        CASE(one_that_subscribes_to_too_much_is_cut_and_nobody_else),
        CASE(a_second_broker_on_the_same_port_is_told_so),
        CASE(a_stop_releases_what_is_held_and_says_goodbye),
    };
    fw_signals_block();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
