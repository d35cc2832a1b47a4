/* test_socket.c - sockets lose nothing silently and take one frame from strangers.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { DEADLINE_MS = 10000 };

static zsock_t *open_socket(fw_socket_role_t role, const char *endpoints)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, endpoints, &socket), 0);
    assert_non_null(socket);
    return socket;
}

static zsock_t *connect_to(zsock_t *bound, fw_socket_role_t role)
{
    char *endpoint = fw_socket_endpoint(bound);
    zsock_t *socket = open_socket(role, endpoint);
    free(endpoint);
    return socket;
}

static fw_bytes_t bytes_of(const char *text)
{
    return (fw_bytes_t){(const uint8_t *)text, strlen(text)};
}

static void wait_readable(zsock_t *socket, int64_t until_ms)
{
    int64_t left_ms = until_ms - fw_clock_ms();
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
    (void)zmq_poll(&item, 1, left_ms > 0 ? (long)left_ms : 0);
}

/* The next result that is not -EAGAIN, or -EAGAIN at the deadline. */
static int receive_until(zsock_t *socket, fw_peer_t *ret_peer, zmq_msg_t *frame, int wait_ms)
{
    int64_t until_ms = fw_clock_ms() + wait_ms;
    for (;;) {
        int result = ret_peer ? fw_socket_receive_from(socket, ret_peer, frame)
                              : fw_socket_receive(socket, frame);
        if (result != -EAGAIN || fw_clock_ms() >= until_ms)
            return result;
        wait_readable(socket, until_ms);
    }
}

static void expect_frame(zsock_t *socket, fw_peer_t *ret_peer, fw_bytes_t expected)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(receive_until(socket, ret_peer, &frame, DEADLINE_MS), 0);
    assert_true(fw_bytes_equal(fw_socket_bytes(&frame), expected));
    (void)zmq_msg_close(&frame);
}

/* Sends once the link is up: a connecting socket has no pipe before. */
static void send_until(zsock_t *socket, fw_bytes_t frame)
{
    int64_t until_ms = fw_clock_ms() + DEADLINE_MS;
    int result;
    while ((result = fw_socket_send(socket, frame)) == -EAGAIN && fw_clock_ms() < until_ms) {
        zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLOUT};
        (void)zmq_poll(&item, 1, 100);
    }
    assert_int_equal(result, 0);
}

static void bad_endpoints_are_refused_and_leave_nothing_open(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      ",",
                                      "tcp://127.0.0.1:*,",
                                      ",tcp://127.0.0.1:*",
                                      "tcp://127.0.0.1:*,,tcp://127.0.0.1:*",
                                      "127.0.0.1:7001",
                                      "tcp://127.0.0.1",
                                      "tcp://127.0.0.1:99999",
                                      "tcp://127.0.0.1:-1",
                                      "tcp://127.0.0.1:",
                                      "nonsense://x",
                                      "tcp://127.0.0.1:*,nonsense://x"};
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zsock_t *socket = NULL;
        assert_true(fw_socket_open(&settings, bad[i], &socket) < 0);
        assert_null(socket);
    }
    char long_endpoint[400];
    memset(long_endpoint, 'a', sizeof long_endpoint - 1);
    long_endpoint[sizeof long_endpoint - 1] = 0;
    memcpy(long_endpoint, "inproc://", 9);
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, long_endpoint, &socket), -EINVAL);
}

static void a_port_in_use_is_reported(void **state)
{
    (void)state;
    zsock_t *first = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    char *endpoint = fw_socket_endpoint(first);
    assert_non_null(strstr(endpoint, "tcp://127.0.0.1:"));
    assert_null(strchr(endpoint, '*'));
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_XPUB_BIND);
    zsock_t *second = NULL;
    assert_int_equal(fw_socket_open(&settings, endpoint, &second), -EADDRINUSE);
    assert_null(second);
    free(endpoint);
    zsock_destroy(&first);
}

static void extra_frames_are_dropped_and_the_next_message_is_read(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    zsock_t *dealer = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    send_until(dealer, bytes_of("first"));
    void *raw = zsock_resolve(dealer);
    for (int i = 0; i < 5; i++)
        assert_int_equal(zmq_send(raw, "part", 4, i < 4 ? ZMQ_SNDMORE : 0), 4);
    send_until(dealer, bytes_of("last"));
    fw_peer_t peer;
    expect_frame(router, &peer, bytes_of("first"));
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(receive_until(router, &peer, &frame, DEADLINE_MS), -EBADMSG);
    (void)zmq_msg_close(&frame);
    expect_frame(router, &peer, bytes_of("last"));
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

static void a_dealer_also_refuses_extra_frames(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    zsock_t *dealer = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    send_until(dealer, bytes_of("hello"));
    fw_peer_t peer;
    expect_frame(router, &peer, bytes_of("hello"));
    void *raw = zsock_resolve(router);
    assert_int_equal(zmq_send(raw, peer.id, peer.size, ZMQ_SNDMORE), peer.size);
    assert_int_equal(zmq_send(raw, "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(raw, "b", 1, 0), 1);
    assert_int_equal(fw_socket_send_to(router, &peer, bytes_of("good")), 0);
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(receive_until(dealer, NULL, &frame, DEADLINE_MS), -EBADMSG);
    assert_int_equal(receive_until(dealer, NULL, &frame, DEADLINE_MS), 0);
    assert_true(fw_bytes_equal(fw_socket_bytes(&frame), bytes_of("good")));
    (void)zmq_msg_close(&frame);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

static void a_peer_that_chose_its_own_name_is_refused(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    char *endpoint = fw_socket_endpoint(router);
    zsock_t *named = zsock_new(ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(zsock_resolve(named), ZMQ_ROUTING_ID, "admin", 5), 0);
    assert_int_equal(zmq_connect(zsock_resolve(named), endpoint), 0);
    send_until(named, bytes_of("evil"));
    fw_peer_t peer = {.size = 0};
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(receive_until(router, &peer, &frame, DEADLINE_MS), -EBADMSG);
    assert_int_equal(peer.size, 0);
    assert_int_equal(fw_socket_receive_from(router, &peer, &frame), -EAGAIN);
    (void)zmq_msg_close(&frame);
    free(endpoint);
    zsock_destroy(&named);
    zsock_destroy(&router);
}

static void a_message_above_the_limit_ends_only_that_peer(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    zsock_t *bad = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    zsock_t *good = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    size_t size = FW_SOCKET_BIND_BYTES_MAX;
    uint8_t *large = fw_alloc(size + 1, 1);
    send_until(bad, (fw_bytes_t){large, size + 1});
    send_until(good, (fw_bytes_t){large, size});
    fw_peer_t peer;
    expect_frame(router, &peer, (fw_bytes_t){large, size});
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(fw_socket_receive_from(router, &peer, &frame), -EAGAIN);
    (void)zmq_msg_close(&frame);
    free(large);
    zsock_destroy(&bad);
    zsock_destroy(&good);
    zsock_destroy(&router);
}

static void a_reply_to_a_peer_that_left_is_an_error(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    fw_peer_t nobody = {.size = 5, .id = {0, 1, 2, 3, 4}};
    assert_int_equal(fw_socket_send_to(router, &nobody, bytes_of("x")), -EHOSTUNREACH);
    zsock_t *dealer = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    send_until(dealer, bytes_of("hello"));
    fw_peer_t peer;
    expect_frame(router, &peer, bytes_of("hello"));
    assert_int_equal(fw_socket_send_to(router, &peer, bytes_of("welcome")), 0);
    expect_frame(dealer, NULL, bytes_of("welcome"));
    zsock_destroy(&dealer);
    int64_t until_ms = fw_clock_ms() + DEADLINE_MS;
    int result;
    while ((result = fw_socket_send_to(router, &peer, bytes_of("x"))) == 0 &&
           fw_clock_ms() < until_ms)
        (void)zmq_poll(NULL, 0, 5);
    assert_int_equal(result, -EHOSTUNREACH);
    zsock_destroy(&router);
}

static void a_dealer_without_a_broker_is_told_instead_of_queued(void **state)
{
    (void)state;
    /* A file, because a port given back may be taken by anybody, also by the listener that is still
     * closing. */
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/freshwire-test-socket-%ld", (long)getpid());
    char endpoint[80];
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    zsock_t *dealer = open_socket(FW_SOCKET_DEALER_CONNECT, endpoint);
    assert_int_equal(fw_socket_send(dealer, bytes_of("x")), -EAGAIN);
    /* And on this machine it is there soon after the broker is. */
    int64_t begin_ms = fw_clock_ms();
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, endpoint);
    send_until(dealer, bytes_of("again"));
    fw_peer_t peer;
    expect_frame(router, &peer, bytes_of("again"));
    assert_true(fw_clock_ms() - begin_ms < 5000);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
    (void)unlink(path);
}

static void empty_and_view_only_frames_travel(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "inproc://test-socket-empty");
    zsock_t *dealer = open_socket(FW_SOCKET_DEALER_CONNECT, "inproc://test-socket-empty");
    send_until(dealer, (fw_bytes_t){NULL, 0});
    fw_peer_t peer;
    expect_frame(router, &peer, (fw_bytes_t){NULL, 0});
    assert_int_equal(fw_socket_send_to(router, &peer, (fw_bytes_t){NULL, 0}), 0);
    expect_frame(dealer, NULL, (fw_bytes_t){NULL, 0});
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

static void a_list_binds_every_endpoint(void **state)
{
    (void)state;
    zsock_t *router = open_socket(
        FW_SOCKET_ROUTER_BIND, "inproc://test-socket-list , tcp://127.0.0.1:*,tcp://127.0.0.1:*");
    zsock_t *near = open_socket(FW_SOCKET_DEALER_CONNECT, "inproc://test-socket-list");
    zsock_t *far = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    send_until(near, bytes_of("near"));
    fw_peer_t first;
    expect_frame(router, &first, bytes_of("near"));
    send_until(far, bytes_of("far"));
    fw_peer_t second;
    expect_frame(router, &second, bytes_of("far"));
    assert_int_equal(first.size, second.size);
    assert_memory_not_equal(first.id, second.id, first.size);
    zsock_destroy(&near);
    zsock_destroy(&far);
    zsock_destroy(&router);
}

static void the_fire_link_subscribes_by_itself_and_tells_when_it_is_down(void **state)
{
    (void)state;
    zsock_t *xsub = open_socket(FW_SOCKET_XSUB_BIND, "tcp://127.0.0.1:*");
    zsock_t *xpub = connect_to(xsub, FW_SOCKET_XPUB_CONNECT);
    /* A subscription goes to a new peer when the subscriber's own thread next touches its socket.
     */
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    int64_t until_ms = fw_clock_ms() + DEADLINE_MS;
    int result;
    while ((result = receive_until(xpub, NULL, &frame, 5)) == -EAGAIN && fw_clock_ms() < until_ms)
        assert_int_equal(fw_socket_receive(xsub, &frame), -EAGAIN);
    assert_int_equal(result, 0);
    assert_true(fw_bytes_equal(fw_socket_bytes(&frame), bytes_of("\x01")));
    (void)zmq_msg_close(&frame);
    send_until(xpub, bytes_of("event"));
    expect_frame(xsub, NULL, bytes_of("event"));
    zsock_destroy(&xsub);
    expect_frame(xpub, NULL, (fw_bytes_t){(const uint8_t *)"\x00", 1});
    zsock_destroy(&xpub);
}

static void twenty_thousand_subscriptions_all_arrive(void **state)
{
    (void)state;
    enum { TOPICS = 20000 };
    zsock_t *xpub = open_socket(FW_SOCKET_XPUB_BIND, "tcp://127.0.0.1:*");
    zsock_t *sub = connect_to(xpub, FW_SOCKET_SUB_CONNECT);
    for (int i = 0; i < TOPICS; i++) {
        char topic[16];
        int size = snprintf(topic, sizeof topic, "t%06d", i);
        assert_int_equal(zmq_setsockopt(zsock_resolve(sub), ZMQ_SUBSCRIBE, topic, (size_t)size), 0);
    }
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (int i = 0; i < TOPICS; i++) {
        assert_int_equal(receive_until(xpub, NULL, &frame, DEADLINE_MS), 0);
        assert_int_equal(zmq_msg_size(&frame), 8);
        assert_int_equal(*(const char *)zmq_msg_data(&frame), 1);
    }
    assert_int_equal(fw_socket_receive(xpub, &frame), -EAGAIN);
    (void)zmq_msg_close(&frame);
    assert_int_equal(fw_socket_send(xpub, bytes_of("t019999 data")), 0);
    assert_int_equal(fw_socket_send(xpub, bytes_of("x")), 0);
    expect_frame(sub, NULL, bytes_of("t019999 data"));
    zsock_destroy(&sub);
    zsock_destroy(&xpub);
}

static void a_repeated_subscription_is_seen_each_time(void **state)
{
    (void)state;
    zsock_t *xpub = open_socket(FW_SOCKET_XPUB_BIND, "tcp://127.0.0.1:*");
    zsock_t *subs[2] = {connect_to(xpub, FW_SOCKET_SUB_CONNECT),
                        connect_to(xpub, FW_SOCKET_SUB_CONNECT)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zmq_setsockopt(zsock_resolve(subs[i]), ZMQ_SUBSCRIBE, "room", 4), 0);
        expect_frame(xpub, NULL, bytes_of("\x01room"));
    }
    zsock_destroy(&subs[0]);
    zsock_destroy(&subs[1]);
    zsock_destroy(&xpub);
}

static void ipv6_works_where_the_machine_has_it(void **state)
{
    (void)state;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    zsock_t *router = NULL;
    int result = fw_socket_open(&settings, "tcp://[::1]:*", &router);
    if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT || result == -ENODEV)
        skip();
    assert_int_equal(result, 0);
    zsock_t *dealer = connect_to(router, FW_SOCKET_DEALER_CONNECT);
    send_until(dealer, bytes_of("six"));
    fw_peer_t peer;
    expect_frame(router, &peer, bytes_of("six"));
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_endpoints_are_refused_and_leave_nothing_open),
        cmocka_unit_test(a_port_in_use_is_reported),
        cmocka_unit_test(extra_frames_are_dropped_and_the_next_message_is_read),
        cmocka_unit_test(a_dealer_also_refuses_extra_frames),
        cmocka_unit_test(a_peer_that_chose_its_own_name_is_refused),
        cmocka_unit_test(a_message_above_the_limit_ends_only_that_peer),
        cmocka_unit_test(a_reply_to_a_peer_that_left_is_an_error),
        cmocka_unit_test(a_dealer_without_a_broker_is_told_instead_of_queued),
        cmocka_unit_test(empty_and_view_only_frames_travel),
        cmocka_unit_test(a_list_binds_every_endpoint),
        cmocka_unit_test(the_fire_link_subscribes_by_itself_and_tells_when_it_is_down),
        cmocka_unit_test(twenty_thousand_subscriptions_all_arrive),
        cmocka_unit_test(a_repeated_subscription_is_seen_each_time),
        cmocka_unit_test(ipv6_works_where_the_machine_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
