/* test_wrong_peers.c - links whose broker's port was somebody else's for a while.
 * SPDX-License-Identifier: MPL-2.0
 * ZeroMQ gives a connection up for good when its peer turns out to be no fellow, so each link must
 * notice by itself. Real sockets and the real clock: all wrong peers at once, on ports of their
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/fire.h"
#include "clients/c/publisher.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/socket.h"
#include "tests/support/fake_intake.h"
#include "tests/support/wrong_peer.h"

enum {
    PATIENCE_MS = 20000,
    TAKEN_MS = 4000, /* so long the port is somebody else's: beyond the first reopening */
    RECOVERY_MS_MAX = 10000,
    TURN_MS = 5,
};

static int64_t since(int64_t begin_ms)
{
    return fw_clock_ms() - begin_ms;
}

static void done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    (void)request_id;
    (void)ack;
    unsigned *acknowledged = context;
    *acknowledged += error == 0;
}

/* ------ acknowledged */

typedef struct {
    fake_intake_t *broker;
    fw_publisher_t *publisher;
    wrong_peer_t *wrong;
    unsigned acknowledged;
} acknowledged_t;

static void turn_acknowledged(acknowledged_t *scene, bool up)
{
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        if (scene[kind].wrong)
            wrong_peer_turn(scene[kind].wrong);
        if (up)
            fake_intake_serve(scene[kind].broker);
        fw_publisher_service(scene[kind].publisher, fw_clock_ms());
    }
    (void)poll(NULL, 0, TURN_MS);
}

static bool all_connected(const acknowledged_t *scene)
{
    for (int kind = 0; kind < WRONG_KINDS; kind++)
        if (!fw_publisher_connected(scene[kind].publisher))
            return false;
    return true;
}

static void publish_one(fw_publisher_t *publisher)
{
    static const fw_text_t audience[] = {{"broadcast", sizeof "broadcast" - 1}};
    fw_event_t event = {.type = FW_TEXT("tick"), .audience = audience, .audience_count = 1};
    uint64_t request_id;
    fw_refusal_t refusal;
    assert_int_equal(
        fw_publisher_send(publisher, &event, FW_ACK_ACCEPTED, fw_clock_ms(), &request_id, &refusal),
        0);
}

static void an_acknowledged_link_finds_its_broker_again(void **state)
{
    (void)state;
    acknowledged_t scene[WRONG_KINDS] = {{NULL}};
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        scene[kind].broker = fake_intake_new();
        fw_publisher_options_t options = {.endpoint = fake_intake_endpoint(scene[kind].broker)};
        assert_int_equal(
            fw_publisher_new(&options, done, &scene[kind].acknowledged, &scene[kind].publisher), 0);
    }
    int64_t begin_ms = fw_clock_ms();
    while (!all_connected(scene) && since(begin_ms) < PATIENCE_MS)
        turn_acknowledged(scene, true);
    assert_true(all_connected(scene));
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        fake_intake_down(scene[kind].broker);
        scene[kind].wrong =
            wrong_peer_new((wrong_kind_t)kind, fake_intake_endpoint(scene[kind].broker));
    }
    begin_ms = fw_clock_ms();
    while (since(begin_ms) < TAKEN_MS)
        turn_acknowledged(scene, false);
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        assert_false(fw_publisher_connected(scene[kind].publisher));
        assert_true(kind == WRONG_REP || wrong_peer_connections(scene[kind].wrong) > 0);
        publish_one(scene[kind].publisher);
        wrong_peer_destroy(&scene[kind].wrong);
        fake_intake_up(scene[kind].broker);
    }
    begin_ms = fw_clock_ms();
    unsigned acknowledged = 0;
    while (acknowledged < WRONG_KINDS && since(begin_ms) < PATIENCE_MS) {
        turn_acknowledged(scene, true);
        acknowledged = 0;
        for (int kind = 0; kind < WRONG_KINDS; kind++)
            acknowledged += scene[kind].acknowledged;
    }
    print_message("recovered after %lld ms\n", (long long)since(begin_ms));
    assert_int_equal(acknowledged, WRONG_KINDS);
    assert_true(since(begin_ms) <= RECOVERY_MS_MAX);
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        fw_publisher_destroy(&scene[kind].publisher);
        fake_intake_destroy(&scene[kind].broker);
    }
}

/* ------ fire and forget */

typedef struct {
    zsock_t *intake;
    char *endpoint;
    fw_fire_t *fire;
    wrong_peer_t *wrong;
} fired_t;

static void open_intake(fired_t *scene, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XSUB_BIND);
    int64_t begin_ms = fw_clock_ms();
    int result;
    while ((result = fw_socket_open(&settings, endpoint, &scene->intake)) != 0 &&
           since(begin_ms) < PATIENCE_MS)
        (void)poll(NULL, 0, TURN_MS);
    assert_int_equal(result, 0);
}

static unsigned turn_fired(fired_t *scene)
{
    unsigned connected = 0;
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        if (scene[kind].wrong)
            wrong_peer_turn(scene[kind].wrong);
        if (scene[kind].intake)
            (void)zsock_events(scene[kind].intake);
        connected += fw_fire_connected(scene[kind].fire);
    }
    (void)poll(NULL, 0, TURN_MS);
    return connected;
}

static void a_fire_and_forget_link_finds_its_broker_again(void **state)
{
    (void)state;
    fired_t scene[WRONG_KINDS] = {{NULL}};
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        open_intake(&scene[kind], "tcp://127.0.0.1:*");
        scene[kind].endpoint = fw_socket_endpoint(scene[kind].intake);
        fw_fire_options_t options = {.endpoint = scene[kind].endpoint};
        assert_int_equal(fw_fire_new(&options, &scene[kind].fire), 0);
    }
    int64_t begin_ms = fw_clock_ms();
    unsigned connected = 0;
    while ((connected = turn_fired(scene)) < WRONG_KINDS && since(begin_ms) < PATIENCE_MS)
        continue;
    assert_int_equal(connected, WRONG_KINDS);
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        zsock_destroy(&scene[kind].intake);
        scene[kind].wrong = wrong_peer_new((wrong_kind_t)kind, scene[kind].endpoint);
    }
    begin_ms = fw_clock_ms();
    while (since(begin_ms) < TAKEN_MS)
        connected = turn_fired(scene);
    assert_int_equal(connected, 0);
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        assert_true(fw_fire_stats(scene[kind].fire)->reopened > 0);
        wrong_peer_destroy(&scene[kind].wrong);
        open_intake(&scene[kind], scene[kind].endpoint);
    }
    begin_ms = fw_clock_ms();
    while ((connected = turn_fired(scene)) < WRONG_KINDS && since(begin_ms) < PATIENCE_MS)
        continue;
    print_message("recovered after %lld ms\n", (long long)since(begin_ms));
    assert_int_equal(connected, WRONG_KINDS);
    assert_true(since(begin_ms) <= RECOVERY_MS_MAX);
    for (int kind = 0; kind < WRONG_KINDS; kind++) {
        fw_fire_destroy(&scene[kind].fire, 0);
        zsock_destroy(&scene[kind].intake);
        free(scene[kind].endpoint);
    }
}

/* ------ names */

/* One address where nobody is, then the right one. */
static int mislead(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)context;
    assert_string_equal(host, "broker.test");
    *ret_addresses = (fw_addresses_t){.count = 2, .text = {"127.0.0.77", "127.0.0.1"}};
    return 0;
}

static void a_link_tries_every_address_of_its_brokers_name(void **state)
{
    (void)state;
    static const fw_resolver_t resolver = {.look_up = mislead};
    fw_resolve_with(&resolver);
    fake_intake_t *broker = fake_intake_new();
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "tcp://broker.test%s",
                   strrchr(fake_intake_endpoint(broker), ':'));
    fw_publisher_t *publisher = NULL;
    unsigned acknowledged = 0;
    fw_publisher_options_t options = {.endpoint = endpoint};
    assert_int_equal(fw_publisher_new(&options, done, &acknowledged, &publisher), 0);
    publish_one(publisher);
    int64_t begin_ms = fw_clock_ms();
    while (acknowledged == 0 && since(begin_ms) < PATIENCE_MS) {
        fake_intake_serve(broker);
        fw_publisher_wait(publisher, TURN_MS);
    }
    assert_int_equal(acknowledged, 1);
    assert_true(since(begin_ms) <= RECOVERY_MS_MAX);
    fw_publisher_destroy(&publisher);
    fake_intake_destroy(&broker);
    fw_resolve_with(NULL);
}

static int never(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)host;
    (void)ret_addresses;
    int *pipe_end = context;
    char byte;
    /* Ends when the test closes the other end. */
    (void)!read(*pipe_end, &byte, 1);
    return -EHOSTUNREACH;
}

static void a_silent_name_server_holds_up_no_other_link_and_no_end(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const fw_resolver_t resolver = {.look_up = never, .context = &ends[0]};
    fw_resolve_with(&resolver);
    fake_intake_t *broker = fake_intake_new();
    unsigned acknowledged = 0;
    fw_publisher_t *lost = NULL;
    fw_publisher_t *well = NULL;
    fw_fire_t *fire = NULL;
    fw_publisher_options_t options = {.endpoint = "tcp://hole.test:7002"};
    fw_fire_options_t fire_options = {.endpoint = "tcp://hole.test:7001"};
    assert_int_equal(fw_publisher_new(&options, done, &acknowledged, &lost), 0);
    assert_int_equal(fw_fire_new(&fire_options, &fire), 0);
    options.endpoint = fake_intake_endpoint(broker);
    assert_int_equal(fw_publisher_new(&options, done, &acknowledged, &well), 0);
    publish_one(lost);
    enum { EVENTS = 200 };
    int64_t begin_ms = fw_clock_ms();
    for (unsigned sent = 0; acknowledged < EVENTS && since(begin_ms) < PATIENCE_MS;) {
        if (sent < EVENTS && sent == acknowledged) {
            publish_one(well);
            sent++;
        }
        fake_intake_serve(broker);
        fw_publisher_wait(well, 1);
        fw_publisher_service(lost, fw_clock_ms());
        assert_false(fw_fire_connected(fire));
    }
    assert_int_equal(acknowledged, EVENTS);
    assert_null(fw_publisher_socket(lost));
    begin_ms = fw_clock_ms();
    fw_publisher_destroy(&lost);
    fw_fire_destroy(&fire, 0);
    fw_publisher_destroy(&well);
    assert_true(since(begin_ms) < 1000);
    fake_intake_destroy(&broker);
    (void)close(ends[1]);
    begin_ms = fw_clock_ms();
    while (fw_resolve_running() > 0 && since(begin_ms) < PATIENCE_MS)
        (void)poll(NULL, 0, 1);
    assert_int_equal(fw_resolve_running(), 0);
    (void)close(ends[0]);
    fw_resolve_with(NULL);
}

static int only_ipv6(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)context;
    (void)host;
    *ret_addresses = (fw_addresses_t){.count = 1, .text = {"::1"}};
    return 0;
}

static void a_name_that_has_only_an_ipv6_address_is_found(void **state)
{
    (void)state;
    static const fw_resolver_t resolver = {.look_up = only_ipv6};
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XSUB_BIND);
    zsock_t *intake = NULL;
    fw_fire_t *fire = NULL;
    char endpoint[64];
    if (fw_socket_open(&settings, "tcp://[::1]:*", &intake) != 0)
        skip(); /* this machine has no IPv6 */
    char *bound = fw_socket_endpoint(intake);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://broker.test%s", strrchr(bound, ':'));
    fw_resolve_with(&resolver);
    assert_int_equal(fw_fire_new(&(fw_fire_options_t){.endpoint = endpoint}, &fire), 0);
    int64_t begin_ms = fw_clock_ms();
    while (fw_fire_wait(fire, TURN_MS) != 0 && since(begin_ms) < PATIENCE_MS)
        (void)zsock_events(intake);
    assert_true(fw_fire_connected(fire));
    fw_fire_destroy(&fire, 0);
    zsock_destroy(&intake);
    free(bound);
    fw_resolve_with(NULL);
}

static void localhost_is_looked_up_and_found(void **state)
{
    (void)state;
    fake_intake_t *broker = fake_intake_new();
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "tcp://localhost%s",
                   strrchr(fake_intake_endpoint(broker), ':'));
    fw_publisher_t *publisher = NULL;
    unsigned acknowledged = 0;
    fw_publisher_options_t options = {.endpoint = endpoint};
    assert_int_equal(fw_publisher_new(&options, done, &acknowledged, &publisher), 0);
    publish_one(publisher);
    int64_t begin_ms = fw_clock_ms();
    while (acknowledged == 0 && since(begin_ms) < PATIENCE_MS) {
        fake_intake_serve(broker);
        fw_publisher_wait(publisher, TURN_MS);
    }
    assert_int_equal(acknowledged, 1);
    fw_publisher_destroy(&publisher);
    fake_intake_destroy(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acknowledged_link_finds_its_broker_again),
        cmocka_unit_test(a_fire_and_forget_link_finds_its_broker_again),
        cmocka_unit_test(a_link_tries_every_address_of_its_brokers_name),
        cmocka_unit_test(a_silent_name_server_holds_up_no_other_link_and_no_end),
        cmocka_unit_test(a_name_that_has_only_an_ipv6_address_is_found),
        cmocka_unit_test(localhost_is_looked_up_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
