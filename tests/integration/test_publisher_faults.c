/* test_publisher_faults.c - a publisher beside a broker that misbehaves.   SPDX-License-Identifier:
 * MPL-2.0 Time is the test's own: it may run faster than the clock, so that silence need not be
 * waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/liveness.h"
#include "clients/c/publisher.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/socket.h"
#include "tests/support/fake_intake.h"

enum { PATIENCE_MS = 20000, TURN_MS = 2, EVENTS_MAX = 4000, TIMEOUT_MS = 600000 };

typedef struct {
    fake_intake_t *broker;
    fw_publisher_t *publisher;
    int64_t ahead_ms; /* the publisher's clock runs so far ahead */
    unsigned ended, ok;
    uint8_t told[EVENTS_MAX + 1]; /* how often done was told of a request */
} scene_t;

static void done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    scene_t *scene = context;
    assert_in_range(request_id, 1, EVENTS_MAX);
    assert_int_equal(scene->told[request_id], 0);
    scene->told[request_id] = 1;
    scene->ended++;
    scene->ok +=
        error == 0 && (ack->status == FW_PUBLISH_OK || ack->status == FW_PUBLISH_DUPLICATE);
}

static int64_t now_ms(const scene_t *scene)
{
    return fw_clock_ms() + scene->ahead_ms;
}

static scene_t *start(void)
{
    scene_t *scene = fw_alloc(1, sizeof *scene);
    scene->broker = fake_intake_new();
    fw_publisher_options_t options = {.endpoint = fake_intake_endpoint(scene->broker),
                                      .in_flight_max = 200,
                                      .timeout_ms = TIMEOUT_MS};
    assert_int_equal(fw_publisher_new(&options, done, scene, &scene->publisher), 0);
    return scene;
}

static void stop(scene_t *scene)
{
    fw_publisher_destroy(&scene->publisher);
    fake_intake_destroy(&scene->broker);
    free(scene);
}

static void send_event(scene_t *scene)
{
    static const fw_text_t audience[] = {{"room:42", sizeof "room:42" - 1}};
    fw_event_t event = {
        .type = FW_TEXT("project_updated"), .audience = audience, .audience_count = 1};
    uint64_t request_id;
    fw_refusal_t refusal;
    int result = fw_publisher_send(scene->publisher, &event, FW_ACK_PURGED, now_ms(scene),
                                   &request_id, &refusal);
    assert_int_equal(result, 0);
}

/* One turn of both sides; waits on the clock only as long as sockets need. */
static void turn(scene_t *scene)
{
    fake_intake_serve(scene->broker);
    zsock_t *socket = fw_publisher_socket(scene->publisher);
    zmq_pollitem_t item = {.socket = socket ? zsock_resolve(socket) : NULL, .events = ZMQ_POLLIN};
    (void)zmq_poll(&item, socket ? 1 : 0, TURN_MS);
    fw_publisher_service(scene->publisher, now_ms(scene));
}

#define until(scene, condition)                                                                    \
    do {                                                                                           \
        int64_t until_ms = fw_clock_ms() + PATIENCE_MS;                                            \
        while (!(condition) && fw_clock_ms() < until_ms) {                                         \
            turn(scene);                                                                           \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* Lets the publisher's clock run, a little at each turn, as a listening owner would see it. */
static void pass(scene_t *scene, int64_t duration_ms)
{
    for (int64_t passed_ms = 0; passed_ms < duration_ms; passed_ms += 200) {
        scene->ahead_ms += 200;
        turn(scene);
    }
}

static void garbage_changes_nothing_but_a_count(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    until(scene, fw_publisher_connected(scene->publisher));
    broker->mode = FAKE_GARBAGE;
    send_event(scene);
    until(scene, fw_publisher_stats(scene->publisher)->bad_answers >= 2);
    assert_int_equal(scene->ended, 0);
    fake_intake_acknowledge(scene->broker, 12345, FW_PUBLISH_OK);
    fake_intake_acknowledge(scene->broker, 0, FW_PUBLISH_REJECTED);
    uint64_t before = fw_publisher_stats(scene->publisher)->bad_answers;
    until(scene, fw_publisher_stats(scene->publisher)->bad_answers >= before + 2);
    assert_int_equal(scene->ended, 0);
    broker->mode = FAKE_ANSWER;
    fake_intake_acknowledge(scene->broker, 1, FW_PUBLISH_OK);
    until(scene, scene->ok == 1);
    stop(scene);
}

static void a_broker_of_another_version_is_no_broker(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state(scene->broker)->version = FW_PROTOCOL_VERSION + 1;
    send_event(scene);
    until(scene, fw_publisher_stats(scene->publisher)->bad_answers >= 1);
    assert_false(fw_publisher_connected(scene->publisher));
    assert_string_equal(fw_publisher_refusal(scene->publisher)->field, "welcome.version");
    assert_int_equal(fake_intake_state(scene->broker)->publishes, 0);
    fake_intake_state(scene->broker)->version = FW_PROTOCOL_VERSION;
    scene->ahead_ms += FW_LIVENESS_INTERVAL_MS;
    until(scene, scene->ok == 1);
    stop(scene);
}

static void answers_that_come_twice_are_told_once(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state(scene->broker)->copies = 3;
    for (int i = 0; i < 50; i++) {
        send_event(scene);
    }
    until(scene, scene->ok == 50 && fw_publisher_stats(scene->publisher)->bad_answers == 100);
    stop(scene);
}

static void sends_again_with_the_same_id_after_retry(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    broker->status = FW_PUBLISH_RETRY;
    broker->retry_after_ms = 300;
    send_event(scene);
    until(scene, fw_publisher_stats(scene->publisher)->postponed == 1);
    int64_t deadline_ms = fw_publisher_deadline_ms(scene->publisher, now_ms(scene));
    assert_true(deadline_ms - now_ms(scene) <= FW_LIVENESS_INTERVAL_MS);
    assert_int_equal(broker->publishes, 1);
    broker->status = FW_PUBLISH_OK;
    scene->ahead_ms += 2500;
    until(scene, scene->ok == 1);
    assert_int_equal(broker->ids_count, 1);
    assert_int_equal(broker->arrivals[0], 2);
    stop(scene);
}

static void reopens_a_silent_link_and_sends_again_with_the_same_id(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    until(scene, fw_publisher_connected(scene->publisher));
    uint64_t number = fw_publisher_socket_number(scene->publisher);
    broker->mode = FAKE_IGNORE;
    send_event(scene);
    until(scene, broker->publishes == 1);
    pass(scene, FW_LIVENESS_SILENCE_MS + FW_LIVENESS_REOPEN_MS_MAX + 400);
    assert_true(fw_publisher_socket_number(scene->publisher) >= number + 2);
    assert_false(fw_publisher_connected(scene->publisher));
    assert_int_equal(scene->ended, 0);
    broker->mode = FAKE_ANSWER;
    scene->ahead_ms += FW_LIVENESS_REOPEN_MS_MAX;
    until(scene, scene->ok == 1);
    assert_int_equal(broker->ids_count, 1);
    assert_true(broker->arrivals[0] >= 2);
    assert_true(fw_publisher_stats(scene->publisher)->links_lost >= 1);
    stop(scene);
}

static void survives_restarts_of_the_broker_without_losing_an_event(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    unsigned sent = 0;
    for (int restart = 0; restart < 3; restart++) {
        until(scene, fw_publisher_connected(scene->publisher));
        /* These reach a broker that dies before it answers. */
        broker->mode = FAKE_IGNORE;
        for (int i = 0; i < 20; i++, sent++) {
            send_event(scene);
        }
        until(scene, broker->publishes >= sent);
        fake_intake_down(scene->broker);
        turn(scene);
        broker->mode = FAKE_ANSWER;
        fake_intake_up(scene->broker);
        pass(scene, 2000);
        until(scene, scene->ok == sent);
    }
    assert_int_equal(broker->ids_count, sent);
    stop(scene);
}

static void reopens_after_goodbye(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    broker->mode = FAKE_GOODBYE;
    send_event(scene);
    until(scene, fw_publisher_stats(scene->publisher)->links_lost >= 1);
    assert_false(fw_publisher_connected(scene->publisher));
    broker->mode = FAKE_ANSWER;
    scene->ahead_ms += FW_LIVENESS_REOPEN_MS_MAX;
    until(scene, scene->ok == 1);
    stop(scene);
}

/* ZeroMQ gives a connection up for good when the peer turns out to be of another kind. */
static void finds_its_broker_on_a_port_that_was_somebody_elses(void **state)
{
    (void)state;
    scene_t *scene = start();
    fake_intake_down(scene->broker);
    zsock_t *stranger = NULL;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_BIND);
    int64_t give_up_ms = fw_clock_ms() + PATIENCE_MS;
    while (fw_socket_open(&settings, fake_intake_endpoint(scene->broker), &stranger) != 0 &&
           fw_clock_ms() < give_up_ms) {
        turn(scene);
    }
    assert_non_null(stranger);
    send_event(scene);
    for (int i = 0; i < 300; i++) {
        turn(scene);
    }
    assert_int_equal(scene->ended, 0);
    zsock_destroy(&stranger);
    fake_intake_up(scene->broker);
    pass(scene, FW_LIVENESS_SILENCE_MS + FW_LIVENESS_REOPEN_MS_MAX);
    until(scene, scene->ok == 1);
    stop(scene);
}

/* One random thing that goes wrong, or right. */
static void misbehave(scene_t *scene, fw_random_t *random)
{
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    static const fw_publish_status_t statuses[] = {
        FW_PUBLISH_OK,    FW_PUBLISH_OK,       FW_PUBLISH_OK,      FW_PUBLISH_DUPLICATE,
        FW_PUBLISH_RETRY, FW_PUBLISH_OVERLOAD, FW_PUBLISH_REJECTED};
    broker->status = statuses[fw_random_below(random, sizeof statuses / sizeof *statuses)];
    broker->mode = FAKE_ANSWER;
    broker->copies = (unsigned)fw_random_below(random, 3);
    broker->credit = (uint32_t)fw_random_below(random, 120);
    broker->retry_after_ms = (uint32_t)fw_random_below(random, 200);
    switch (fw_random_below(random, 12)) {
    case 0:
        broker->mode = FAKE_IGNORE;
        break;
    case 1:
        broker->mode = FAKE_GARBAGE;
        break;
    case 2:
        broker->mode = FAKE_GOODBYE;
        break;
    case 3:
        fake_intake_down(scene->broker);
        turn(scene);
        fake_intake_up(scene->broker);
        break;
    case 4:
        pass(scene, FW_LIVENESS_SILENCE_MS + 1000);
        break;
    default:
        break;
    }
}

static void tells_every_event_once_whatever_the_broker_does(void **state)
{
    (void)state;
    uint64_t seed = 0;
    const char *given = getenv("FW_TEST_SEED");
    if (given) {
        seed = strtoull(given, NULL, 0);
    } else {
        fw_random_bytes(&seed, sizeof seed);
    }
    print_message("seed: FW_TEST_SEED=%llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    scene_t *scene = start();
    unsigned sent = 0;
    int64_t end_ms = fw_clock_ms() + 4000;
    while (sent < EVENTS_MAX && fw_clock_ms() < end_ms) {
        misbehave(scene, &random);
        uint64_t burst = fw_random_below(&random, 60);
        for (uint64_t i = 0; i < burst && sent < EVENTS_MAX; i++) {
            static const fw_text_t audience[] = {{"broadcast", sizeof "broadcast" - 1}};
            fw_event_t event = {.type = FW_TEXT("tick"), .audience = audience, .audience_count = 1};
            uint64_t request_id;
            fw_refusal_t refusal;
            int result = fw_publisher_send(scene->publisher, &event, FW_ACK_ACCEPTED, now_ms(scene),
                                           &request_id, &refusal);
            if (result == -EAGAIN) {
                break;
            }
            assert_int_equal(result, 0);
            assert_int_equal(request_id, ++sent);
        }
        pass(scene, (int64_t)fw_random_below(&random, 1500));
    }
    fake_intake_state_t *broker = fake_intake_state(scene->broker);
    *broker = (fake_intake_state_t){
        .status = FW_PUBLISH_OK, .version = FW_PROTOCOL_VERSION, .credit = 1000, .copies = 1};
    int64_t give_up_ms = fw_clock_ms() + PATIENCE_MS;
    while (scene->ended < sent && fw_clock_ms() < give_up_ms) {
        pass(scene, 200);
    }
    assert_int_equal(scene->ended, sent);
    assert_int_equal(fw_publisher_in_flight(scene->publisher), 0);
    assert_true(sent > 50);
    print_message("%u events, %llu sent again, %llu links lost\n", sent,
                  (unsigned long long)fw_publisher_stats(scene->publisher)->resent,
                  (unsigned long long)fw_publisher_stats(scene->publisher)->links_lost);
    stop(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_changes_nothing_but_a_count),
        cmocka_unit_test(a_broker_of_another_version_is_no_broker),
        cmocka_unit_test(answers_that_come_twice_are_told_once),
        cmocka_unit_test(sends_again_with_the_same_id_after_retry),
        cmocka_unit_test(reopens_a_silent_link_and_sends_again_with_the_same_id),
        cmocka_unit_test(survives_restarts_of_the_broker_without_losing_an_event),
        cmocka_unit_test(reopens_after_goodbye),
        cmocka_unit_test(finds_its_broker_on_a_port_that_was_somebody_elses),
        cmocka_unit_test(tells_every_event_once_whatever_the_broker_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
