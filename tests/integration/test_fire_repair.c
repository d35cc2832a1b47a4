/* test_fire_repair.c - the fire-and-forget link's library against the real broker, and against one
 * that asks.   SPDX-License-Identifier: MPL-2.0 */
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
#include "clients/c/fire.h"
#include "runtime/clock.h"
#include "runtime/context.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "runtime/socket.h"

enum { PATIENCE_MS = 20000, TURN_MS = 5 };

static const fw_text_t audience[] = {{"broadcast", sizeof "broadcast" - 1}};
static const fw_event_t event = {
    .type = {"tick", 4}, .audience = audience, .audience_count = 1, .id = {"", 0}};

/* An XSUB that a test plays the broker with. */
typedef struct {
    zsock_t *intake;
    char *endpoint;
    fw_fire_t *fire;
    fw_codec_t *codec;
    zmq_msg_t frame;
    int64_t ahead_ms; /* the library's clock runs so far ahead */
} scene_t;

static void serve(scene_t *scene)
{
    fw_fire_service(scene->fire, fw_clock_ms() + scene->ahead_ms);
    (void)zsock_events(scene->intake);
}

static scene_t *start(void)
{
    scene_t *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XSUB_BIND);
    assert_int_equal(fw_socket_open(&settings, "tcp://127.0.0.1:*", &scene->intake), 0);
    scene->endpoint = fw_socket_endpoint(scene->intake);
    scene->codec = fw_codec_new();
    (void)zmq_msg_init(&scene->frame);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = scene->endpoint}, &scene->fire),
                     0);
    int64_t begin_ms = fw_clock_ms();
    while (!fw_fire_connected(scene->fire) && fw_clock_ms() - begin_ms < PATIENCE_MS) {
        serve(scene);
        (void)poll(NULL, 0, TURN_MS);
    }
    assert_true(fw_fire_connected(scene->fire));
    return scene;
}

static void end(scene_t *scene)
{
    fw_fire_destroy(&scene->fire, 0);
    zsock_destroy(&scene->intake);
    fw_codec_destroy(&scene->codec);
    (void)zmq_msg_close(&scene->frame);
    free(scene->endpoint);
    free(scene);
}

/* The next message of a kind; others are passed over. */
static fw_message_t await(scene_t *scene, fw_message_kind_t kind)
{
    fw_message_t message = {.kind = FW_MESSAGE_PING};
    fw_refusal_t refusal;
    int64_t begin_ms = fw_clock_ms();
    while (fw_clock_ms() - begin_ms < PATIENCE_MS) {
        serve(scene);
        if (fw_socket_receive(scene->intake, &scene->frame) != 0) {
            (void)poll(NULL, 0, TURN_MS);
            continue;
        }
        assert_int_equal(fw_codec_decode(scene->codec, FW_LINK_PUBLISHER_UP,
                                         fw_socket_bytes(&scene->frame), &message, &refusal),
                         0);
        if (message.kind == kind)
            return message;
    }
    fail_msg("no message of kind %d came", (int)kind);
    return message;
}

static void send_events(scene_t *scene, int count)
{
    fw_refusal_t refusal;
    for (int i = 0; i < count; i++)
        assert_int_equal(fw_fire_send(scene->fire, &event, &refusal), 0);
}

static void ask(scene_t *scene, const uint8_t incarnation[FW_INCARNATION_SIZE], uint64_t first,
                uint32_t count)
{
    fw_message_t missing = {.kind = FW_MESSAGE_FIRE_MISSING,
                            .fire_missing = {{incarnation, FW_INCARNATION_SIZE}, first, count}};
    assert_int_equal(
        fw_socket_send(scene->intake,
                       fw_codec_encode(scene->codec, FW_LINK_PUBLISHER_DOWN, &missing)),
        0);
}

static void nonsense_of_the_broker_is_counted(void **state)
{
    (void)state;
    scene_t *scene = start();
    static const uint8_t other[FW_INCARNATION_SIZE] = {1};
    assert_int_equal(fw_socket_send(scene->intake, (fw_bytes_t){(const uint8_t *)"\xff\xff", 2}),
                     0);
    send_events(scene, 2);
    ask(scene, other, 1, 2);
    int64_t begin_ms = fw_clock_ms();
    while (fw_fire_stats(scene->fire)->bad_frames == 0 && fw_clock_ms() - begin_ms < PATIENCE_MS)
        serve(scene);
    assert_int_equal(fw_fire_stats(scene->fire)->bad_frames, 1);
    assert_int_equal(await(scene, FW_MESSAGE_PUBLISH).publish.sequence, 1);
    assert_int_equal(await(scene, FW_MESSAGE_PUBLISH).publish.sequence, 2);
    assert_int_equal(fw_fire_stats(scene->fire)->resent, 0);
    end(scene);
}

static void what_is_missing_comes_again_with_its_number_and_id(void **state)
{
    (void)state;
    scene_t *scene = start();
    uint8_t incarnation[FW_INCARNATION_SIZE];
    char ids[10][64];
    send_events(scene, 10);
    for (uint64_t i = 0; i < 10; i++) {
        fw_publish_t came = await(scene, FW_MESSAGE_PUBLISH).publish;
        assert_int_equal(came.sequence, i + 1);
        (void)snprintf(ids[i], sizeof ids[i], "%s", came.event.id.text);
        memcpy(incarnation, came.incarnation.data, sizeof incarnation);
    }
    ask(scene, incarnation, 4, 3);
    for (uint64_t sequence = 4; sequence <= 6; sequence++) {
        fw_publish_t came = await(scene, FW_MESSAGE_PUBLISH).publish;
        assert_int_equal(came.sequence, sequence);
        assert_string_equal(came.event.id.text, ids[sequence - 1]);
    }
    assert_int_equal(fw_fire_stats(scene->fire)->resent, 3);
    end(scene);
}

static void marks_tell_how_far_was_counted_and_what_is_kept(void **state)
{
    (void)state;
    scene_t *scene = start();
    assert_int_equal(await(scene, FW_MESSAGE_FIRE_MARK).fire_mark.last, 0);
    send_events(scene, 3);
    scene->ahead_ms += FW_FIRE_MARK_MS;
    fw_fire_mark_t mark = await(scene, FW_MESSAGE_FIRE_MARK).fire_mark;
    assert_int_equal(mark.last, 3);
    assert_int_equal(mark.kept, 1);
    uint8_t incarnation[FW_INCARNATION_SIZE];
    memcpy(incarnation, mark.incarnation.data, sizeof incarnation);
    send_events(scene, FW_KEPT_EVENTS_MAX);
    ask(scene, incarnation, 1, 3);
    mark = await(scene, FW_MESSAGE_FIRE_MARK).fire_mark;
    assert_int_equal(mark.last, FW_KEPT_EVENTS_MAX + 3);
    assert_int_equal(mark.kept, 4);
    assert_int_equal(fw_fire_stats(scene->fire)->gone, 3);
    /* And before leaving. */
    send_events(scene, 1);
    fw_fire_destroy(&scene->fire, 1000);
    fw_message_t message = {.kind = FW_MESSAGE_PING};
    fw_refusal_t refusal;
    int64_t begin_ms = fw_clock_ms();
    while (message.kind != FW_MESSAGE_FIRE_MARK && fw_clock_ms() - begin_ms < PATIENCE_MS) {
        if (fw_socket_receive(scene->intake, &scene->frame) == 0)
            assert_int_equal(fw_codec_decode(scene->codec, FW_LINK_PUBLISHER_UP,
                                             fw_socket_bytes(&scene->frame), &message, &refusal),
                             0);
        else
            (void)poll(NULL, 0, TURN_MS);
    }
    assert_int_equal(message.kind, FW_MESSAGE_FIRE_MARK);
    assert_int_equal(message.fire_mark.last, FW_KEPT_EVENTS_MAX + 4);
    end(scene);
}

/* Inside a process the receiver's limit counts, so that a link can be filled. */
static void a_full_link_is_the_callers_error_and_no_hole(void **state)
{
    (void)state;
    static const char endpoint[] = "inproc://test-fire-repair";
    static const int one = 1;
    fw_fire_t *fire = NULL;
    fw_refusal_t refusal;
    void *intake = zmq_socket(fw_context(), ZMQ_XSUB);
    assert_int_equal(zmq_setsockopt(intake, ZMQ_RCVHWM, &one, sizeof one), 0);
    assert_int_equal(zmq_bind(intake, endpoint), 0);
    assert_int_equal(zmq_send(intake, "\x01", 1, 0), 1);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = endpoint}, &fire), 0);
    /* ZeroMQ sends the subscription when the intake's own thread touches its socket. */
    int64_t begin_ms = fw_clock_ms();
    int events;
    size_t size = sizeof events;
    while (fw_fire_wait(fire, TURN_MS) != 0 && fw_clock_ms() - begin_ms < PATIENCE_MS)
        (void)zmq_getsockopt(intake, ZMQ_EVENTS, &events, &size);
    int result = 0;
    uint64_t sent = 0;
    while (sent < 100000 && (result = fw_fire_send(fire, &event, &refusal)) == 0)
        sent++;
    assert_int_equal(result, -EAGAIN);
    assert_int_equal(fw_fire_stats(fire)->sent, sent);
    assert_int_equal(fw_fire_stats(fire)->refused, 1);
    fw_codec_t *codec = fw_codec_new();
    fw_message_t message;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (uint64_t sequence = 1; sequence <= sent;) {
        assert_true(zmq_msg_recv(&frame, intake, ZMQ_DONTWAIT) > 0);
        assert_int_equal(fw_codec_decode(codec, FW_LINK_PUBLISHER_UP, fw_socket_bytes(&frame),
                                         &message, &refusal),
                         0);
        if (message.kind == FW_MESSAGE_PUBLISH)
            assert_int_equal(message.publish.sequence, sequence++);
    }
    /* What is sent next has the next number: there is no hole that the broker would ask for. */
    assert_int_equal(fw_fire_send(fire, &event, &refusal), 0);
    do
        assert_true(zmq_msg_recv(&frame, intake, ZMQ_DONTWAIT) > 0);
    while (fw_codec_decode(codec, FW_LINK_PUBLISHER_UP, fw_socket_bytes(&frame), &message,
                           &refusal) == 0 &&
           message.kind != FW_MESSAGE_PUBLISH);
    assert_int_equal(message.publish.sequence, sent + 1);
    (void)zmq_msg_close(&frame);
    fw_codec_destroy(&codec);
    fw_fire_destroy(&fire, 0);
    assert_int_equal(zmq_close(intake), 0);
}

/* ------ the real broker */

static double value_of(fw_metrics_t *metrics, const char *series)
{
    size_t size = 0;
    char *text = fw_metrics_render(metrics, &size);
    const char *found = strstr(text, series);
    double value = found ? strtod(found + strlen(series), NULL) : -1;
    free(text);
    return value;
}

static fw_broker_t *start_broker(const char *fire, fw_metrics_t *metrics, fw_health_t *health)
{
    fw_broker_config_t config = fw_broker_defaults();
    fw_broker_t *broker = NULL;
    int64_t begin_ms = fw_clock_ms();
    int result;
    config.fire_endpoints = fire;
    config.publish_endpoints = config.jobs_endpoints = "tcp://127.0.0.1:*";
    config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    while ((result = fw_broker_start(&config, metrics, health, &broker)) == -EADDRINUSE &&
           fw_clock_ms() - begin_ms < PATIENCE_MS)
        (void)poll(NULL, 0, TURN_MS);
    assert_int_equal(result, 0);
    return broker;
}

static void a_broker_that_comes_back_gets_what_the_other_one_got(void **state)
{
    (void)state;
    enum { EVENTS = 300 };
    fw_broker_endpoints_t at;
    fw_fire_t *fire = NULL;
    fw_refusal_t refusal;
    fw_metrics_t *metrics[2] = {fw_metrics_new(), fw_metrics_new()};
    fw_health_t *health[2] = {fw_health_new(), fw_health_new()};
    fw_broker_t *broker = start_broker("tcp://127.0.0.1:*", metrics[0], health[0]);
    fw_broker_endpoints(broker, &at);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = at.fire}, &fire), 0);
    assert_int_equal(fw_fire_wait(fire, PATIENCE_MS), 0);
    for (int i = 0; i < EVENTS; i++)
        assert_int_equal(fw_fire_send(fire, &event, &refusal), 0);
    fw_broker_stop(&broker);
    broker = start_broker(at.fire, metrics[1], health[1]);
    int64_t begin_ms = fw_clock_ms();
    while (fw_fire_stats(fire)->resent < EVENTS && fw_clock_ms() - begin_ms < PATIENCE_MS) {
        fw_fire_service(fire, fw_clock_ms());
        (void)poll(NULL, 0, TURN_MS);
    }
    assert_int_equal(fw_fire_stats(fire)->resent, EVENTS);
    assert_int_equal(fw_fire_stats(fire)->gone, 0);
    begin_ms = fw_clock_ms();
    while (value_of(metrics[1], "freshwire_broker_fire_gaps_total{outcome=\"repaired\"} ") <
               EVENTS &&
           fw_clock_ms() - begin_ms < PATIENCE_MS)
        (void)poll(NULL, 0, TURN_MS);
    assert_true(value_of(metrics[1], "freshwire_broker_fire_gaps_total{outcome=\"repaired\"} ") ==
                EVENTS);
    assert_true(value_of(metrics[1], "freshwire_broker_fire_gaps_total{outcome=\"lost\"} ") == 0);
    fw_fire_destroy(&fire, 0);
    fw_broker_stop(&broker);
    for (int i = 0; i < 2; i++) {
        fw_metrics_destroy(&metrics[i]);
        fw_health_destroy(&health[i]);
    }
}

int main(void)
{
    fw_log_setup(getenv("FW_TEST_LOG") ? FW_LOG_DEBUG : FW_LOG_ERROR, FW_LOG_TEXT);
    fw_signals_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_of_the_broker_is_counted),
        cmocka_unit_test(what_is_missing_comes_again_with_its_number_and_id),
        cmocka_unit_test(marks_tell_how_far_was_counted_and_what_is_kept),
        cmocka_unit_test(a_full_link_is_the_callers_error_and_no_hole),
        cmocka_unit_test(a_broker_that_comes_back_gets_what_the_other_one_got),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
