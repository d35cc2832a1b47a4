/* test_publisher.c - what a publisher promises its owner, on real sockets. SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/fire.h"
#include "clients/c/publisher.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/socket.h"
#include "tests/support/fake_intake.h"

enum { PATIENCE_MS = 10000, TURN_MS = 5 };

/* What done was told; the last answer and the counts. */
typedef struct {
    fake_intake_t *broker;
    fw_publisher_t *publisher;
    unsigned ended, ok, rejected, timeouts, canceled;
    uint64_t last_request_id;
    fw_publish_status_t last_status;
    fw_refusal_t last_refusal;
    size_t last_positions;
    unsigned to_send_from_done; /* further events that done itself sends */
    int send_from_done;         /* result of the last of them */
} scene_t;

static fw_event_t make_event(const char *id)
{
    static const fw_text_t audience[] = {{"room:42", sizeof "room:42" - 1}};
    return (fw_event_t){.id = fw_text(id),
                        .type = FW_TEXT("project_updated"),
                        .audience = audience,
                        .audience_count = 1};
}

static int try_send(scene_t *scene, const char *id)
{
    uint64_t request_id;
    fw_refusal_t refusal;
    fw_event_t event = make_event(id);
    return fw_publisher_send(scene->publisher, &event, FW_ACK_PURGED, fw_clock_ms(), &request_id,
                             &refusal);
}

static void done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    scene_t *scene = context;
    scene->ended++;
    scene->last_request_id = request_id;
    scene->timeouts += error == -ETIMEDOUT;
    scene->canceled += error == -ECANCELED;
    assert_int_equal(error == 0, ack != NULL);
    if (ack) {
        scene->last_status = ack->status;
        scene->last_positions = ack->positions_count;
        scene->ok += ack->status == FW_PUBLISH_OK;
        scene->rejected += ack->status == FW_PUBLISH_REJECTED;
        if (ack->has_refusal) {
            scene->last_refusal = ack->refusal;
        }
    }
    if (scene->to_send_from_done > 0) {
        scene->to_send_from_done--;
        scene->send_from_done = try_send(scene, "");
    }
}

static void start_with(scene_t *scene, fw_publisher_options_t options)
{
    *scene = (scene_t){.broker = fake_intake_new()};
    options.endpoint = fake_intake_endpoint(scene->broker);
    options.name = "test";
    assert_int_equal(fw_publisher_new(&options, done, scene, &scene->publisher), 0);
}

static void start(scene_t *scene)
{
    start_with(scene, (fw_publisher_options_t){.in_flight_max = 100, .timeout_ms = PATIENCE_MS});
}

static void stop(scene_t *scene)
{
    fw_publisher_destroy(&scene->publisher);
    fake_intake_destroy(&scene->broker);
}

static void turn(scene_t *scene)
{
    fake_intake_serve(scene->broker);
    fw_publisher_wait(scene->publisher, TURN_MS);
}

#define until(scene, condition)                                                                    \
    do {                                                                                           \
        int64_t until_ms = fw_clock_ms() + PATIENCE_MS;                                            \
        while (!(condition) && fw_clock_ms() < until_ms) {                                         \
            turn(scene);                                                                           \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void refuses_bad_options(void **state)
{
    (void)state;
    fw_publisher_t *publisher = NULL;
    char long_name[FW_NAME_SIZE_MAX + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const fw_publisher_options_t bad[] = {
        {.endpoint = NULL},
        {.endpoint = ""},
        {.endpoint = "nonsense"},
        {.endpoint = "tcp://127.0.0.1"},
        {.endpoint = "inproc://x", .name = long_name},
        {.endpoint = "inproc://x", .name = "bell\a"},
        {.endpoint = "inproc://x", .name = "\xff"},
        {.endpoint = "inproc://x", .in_flight_max = FW_PUBLISHER_IN_FLIGHT_MAX + 1},
        {.endpoint = "inproc://x", .timeout_ms = -1},
        {.endpoint = "inproc://x", .timeout_ms = (int64_t)FW_PUBLISHER_TIMEOUT_MS_MAX + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fw_publisher_new(&bad[i], done, NULL, &publisher), -EINVAL);
        assert_null(publisher);
    }
}

static void refuses_an_event_that_breaks_a_rule(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    uint64_t request_id = 99;
    fw_refusal_t refusal = {.field = ""};
    fw_event_t event = make_event("");
    event.type = FW_TEXT("fw.reserved");
    assert_int_equal(
        fw_publisher_send(scene.publisher, &event, FW_ACK_PURGED, 0, &request_id, &refusal),
        -EPROTO);
    assert_string_equal(refusal.field, "type");
    assert_int_equal(request_id, 99);
    assert_int_equal(fw_publisher_in_flight(scene.publisher), 0);
    stop(&scene);
}

/* Each part is within its limit, but the broker's socket would cut the connection at every try. */
static void refuses_an_event_that_no_frame_holds(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    static char key[FW_KEY_SIZE_MAX + 1];
    memset(key, 'k', FW_KEY_SIZE_MAX);
    fw_text_t *keys = fw_alloc(FW_INVALIDATE_KEYS_MAX, sizeof *keys);
    for (size_t i = 0; i < FW_INVALIDATE_KEYS_MAX; i++) {
        keys[i] = fw_text(key);
    }
    char *data = fw_alloc(FW_PAYLOAD_SIZE_MAX + 1, 1);
    memset(data, '1', FW_PAYLOAD_SIZE_MAX);
    uint64_t request_id;
    fw_refusal_t refusal = {.field = ""};
    fw_event_t event = make_event("");
    event.invalidate = (fw_invalidate_t){.keys = keys, .keys_count = FW_INVALIDATE_KEYS_MAX};
    event.data = (fw_payload_t){.kind = FW_PAYLOAD_JSON,
                                .bytes = {(const uint8_t *)data, FW_PAYLOAD_SIZE_MAX}};
    int result = fw_publisher_send(scene.publisher, &event, FW_ACK_PURGED, fw_clock_ms(),
                                   &request_id, &refusal);
    assert_int_equal(result, -EMSGSIZE);
    assert_string_equal(refusal.field, "event");
    assert_int_equal(refusal.limit, FW_FRAME_SIZE_MAX);
    assert_true(refusal.value > FW_FRAME_SIZE_MAX);
    free(data);
    free(keys);
    stop(&scene);
}

static void tells_what_the_broker_answered(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    assert_int_equal(try_send(&scene, "my-id"), 0);
    until(&scene, scene.ended == 1);
    assert_int_equal(scene.ok, 1);
    assert_int_equal(scene.last_request_id, 1);
    assert_int_equal(scene.last_positions, 1);
    fake_intake_state_t *broker = fake_intake_state(scene.broker);
    assert_string_equal(broker->last_id, "my-id");
    assert_int_equal(broker->last_sequence, 1);
    assert_int_equal(broker->last_level, FW_ACK_PURGED);
    broker->status = FW_PUBLISH_REJECTED;
    assert_int_equal(try_send(&scene, ""), 0);
    until(&scene, scene.ended == 2);
    assert_int_equal(scene.rejected, 1);
    assert_string_equal(scene.last_refusal.reason, "is not liked");
    assert_int_equal(strlen(broker->last_id), 36);
    broker->status = FW_PUBLISH_DUPLICATE;
    assert_int_equal(try_send(&scene, "my-id"), 0);
    until(&scene, scene.ended == 3);
    assert_int_equal(scene.last_status, FW_PUBLISH_DUPLICATE);
    const fw_publisher_stats_t *stats = fw_publisher_stats(scene.publisher);
    assert_int_equal(stats->ok, 1);
    assert_int_equal(stats->rejected, 1);
    assert_int_equal(stats->duplicates, 1);
    assert_int_equal(stats->resent, 0);
    stop(&scene);
}

static void keeps_events_while_there_is_no_broker(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    fake_intake_down(scene.broker);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(try_send(&scene, ""), 0);
    }
    for (int i = 0; i < 20; i++) {
        turn(&scene);
    }
    assert_int_equal(scene.ended, 0);
    assert_int_equal(fw_publisher_in_flight(scene.publisher), 10);
    fake_intake_up(scene.broker);
    until(&scene, scene.ok == 10);
    assert_int_equal(fake_intake_state(scene.broker)->ids_count, 10);
    stop(&scene);
}

static void gives_the_caller_back_pressure(void **state)
{
    (void)state;
    scene_t scene;
    start_with(&scene, (fw_publisher_options_t){.in_flight_max = 3});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(try_send(&scene, ""), 0);
    }
    assert_int_equal(try_send(&scene, ""), -EAGAIN);
    until(&scene, scene.ok == 3);
    assert_int_equal(try_send(&scene, ""), 0);
    until(&scene, scene.ok == 4);
    stop(&scene);
}

static void never_has_more_on_the_wire_than_the_brokers_credit(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    fake_intake_state_t *broker = fake_intake_state(scene.broker);
    broker->credit = 2;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(try_send(&scene, ""), 0);
    }
    broker->mode = FAKE_ANSWER;
    broker->copies = 0;
    until(&scene, broker->publishes == 2);
    for (int i = 0; i < 20; i++) {
        turn(&scene);
    }
    assert_int_equal(broker->publishes, 2);
    assert_int_equal(try_send(&scene, ""), -EAGAIN);
    broker->copies = 1;
    fake_intake_acknowledge(scene.broker, 1, FW_PUBLISH_OK);
    fake_intake_acknowledge(scene.broker, 2, FW_PUBLISH_OK);
    until(&scene, scene.ok == 5);
    assert_int_equal(broker->ids_count, 5);
    stop(&scene);
}

static void finds_out_when_withdrawn_credit_is_given_back(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    fake_intake_state_t *broker = fake_intake_state(scene.broker);
    broker->credit = 0;
    assert_int_equal(try_send(&scene, ""), 0);
    until(&scene, fw_publisher_connected(scene.publisher));
    for (int i = 0; i < 20; i++) {
        turn(&scene);
    }
    assert_int_equal(broker->publishes, 0);
    assert_int_equal(try_send(&scene, ""), -EAGAIN);
    broker->credit = 5;
    until(&scene, scene.ok == 1);
    stop(&scene);
}

static void done_may_send_the_next_event(void **state)
{
    (void)state;
    scene_t scene;
    start_with(&scene, (fw_publisher_options_t){.in_flight_max = 1});
    scene.to_send_from_done = 20;
    assert_int_equal(try_send(&scene, ""), 0);
    until(&scene, scene.ended == 21);
    assert_int_equal(scene.send_from_done, 0);
    stop(&scene);
}

static void gives_up_after_the_timeout_and_ignores_the_late_answer(void **state)
{
    (void)state;
    scene_t scene;
    start_with(&scene, (fw_publisher_options_t){.timeout_ms = 200});
    fake_intake_state_t *broker = fake_intake_state(scene.broker);
    until(&scene, fw_publisher_connected(scene.publisher));
    broker->mode = FAKE_IGNORE;
    assert_int_equal(try_send(&scene, ""), 0);
    until(&scene, scene.ended == 1);
    assert_int_equal(scene.timeouts, 1);
    assert_int_equal(broker->publishes, 1);
    fake_intake_acknowledge(scene.broker, 1, FW_PUBLISH_OK);
    until(&scene, fw_publisher_stats(scene.publisher)->bad_answers == 1);
    assert_int_equal(scene.ended, 1);
    stop(&scene);
}

static void destroying_cancels_every_waiting_event_once_and_says_goodbye(void **state)
{
    (void)state;
    scene_t scene;
    start(&scene);
    fake_intake_state_t *broker = fake_intake_state(scene.broker);
    until(&scene, fw_publisher_connected(scene.publisher));
    broker->copies = 0;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(try_send(&scene, ""), 0);
    }
    scene.to_send_from_done = 1;
    fw_publisher_destroy(&scene.publisher);
    assert_null(scene.publisher);
    assert_int_equal(scene.canceled, 7);
    assert_int_equal(scene.send_from_done, -ECANCELED);
    int64_t give_up_ms = fw_clock_ms() + PATIENCE_MS;
    while (broker->goodbyes == 0 && fw_clock_ms() < give_up_ms) {
        (void)zmq_poll(NULL, 0, TURN_MS);
        fake_intake_serve(scene.broker);
    }
    assert_int_equal(broker->goodbyes, 1);
    fw_publisher_destroy(&scene.publisher);
    fake_intake_destroy(&scene.broker);
}

static void fires_only_while_the_link_is_up_and_counts_its_events(void **state)
{
    (void)state;
    fw_fire_t *fire = NULL;
    fw_refusal_t refusal;
    fw_event_t event = make_event("");
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = "nonsense"}, &fire), -EINVAL);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = NULL}, &fire), -EINVAL);

    zsock_t *intake = NULL;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XSUB_BIND);
    assert_int_equal(fw_socket_open(&settings, "tcp://127.0.0.1:*", &intake), 0);
    char *endpoint = fw_socket_endpoint(intake);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = endpoint}, &fire), 0);
    /* ZeroMQ sends the subscription when the intake's own thread touches its socket. */
    int64_t up_by_ms = fw_clock_ms() + PATIENCE_MS;
    while (fw_fire_wait(fire, TURN_MS) != 0 && fw_clock_ms() < up_by_ms) {
        (void)zsock_events(intake);
    }
    assert_true(fw_fire_connected(fire));
    event.type = FW_TEXT("");
    assert_int_equal(fw_fire_send(fire, &event, &refusal), -EPROTO);
    event.type = FW_TEXT("project_updated");
    assert_int_equal(fw_fire_send(fire, &event, &refusal), 0);
    assert_int_equal(fw_fire_send(fire, &event, &refusal), 0);

    fw_codec_t *codec = fw_codec_new();
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    for (uint64_t sequence = 1; sequence <= 2;) {
        zmq_pollitem_t item = {.socket = zsock_resolve(intake), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
        assert_int_equal(fw_socket_receive(intake, &frame), 0);
        fw_message_t message;
        assert_int_equal(fw_codec_decode(codec, FW_LINK_PUBLISHER_UP, fw_socket_bytes(&frame),
                                         &message, &refusal),
                         0);
        if (message.kind == FW_MESSAGE_FIRE_MARK) {
            continue;
        }
        assert_int_equal(message.kind, FW_MESSAGE_PUBLISH);
        assert_int_equal(message.publish.sequence, sequence++);
        assert_int_equal(message.publish.incarnation.size, FW_INCARNATION_SIZE);
        assert_int_equal(message.publish.event.id.size, 36);
    }
    zsock_destroy(&intake);
    int64_t give_up_ms = fw_clock_ms() + PATIENCE_MS;
    while (fw_fire_connected(fire) && fw_clock_ms() < give_up_ms) {
        (void)zmq_poll(NULL, 0, TURN_MS);
    }
    assert_int_equal(fw_fire_send(fire, &event, &refusal), -EHOSTUNREACH);
    assert_int_equal(fw_fire_wait(fire, 1), -ETIMEDOUT);
    zmq_msg_close(&frame);
    fw_codec_destroy(&codec);
    fw_fire_destroy(&fire, 0);
    assert_null(fire);
    free(endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_options),
        cmocka_unit_test(refuses_an_event_that_breaks_a_rule),
        cmocka_unit_test(refuses_an_event_that_no_frame_holds),
        cmocka_unit_test(tells_what_the_broker_answered),
        cmocka_unit_test(keeps_events_while_there_is_no_broker),
        cmocka_unit_test(gives_the_caller_back_pressure),
        cmocka_unit_test(never_has_more_on_the_wire_than_the_brokers_credit),
        cmocka_unit_test(finds_out_when_withdrawn_credit_is_given_back),
        cmocka_unit_test(done_may_send_the_next_event),
        cmocka_unit_test(gives_up_after_the_timeout_and_ignores_the_late_answer),
        cmocka_unit_test(destroying_cancels_every_waiting_event_once_and_says_goodbye),
        cmocka_unit_test(fires_only_while_the_link_is_up_and_counts_its_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
