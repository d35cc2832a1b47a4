/* test_handshakes.c - connections that speak no ZeroMQ are counted, and good ones are not.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/handshakes.h"
#include "runtime/socket.h"

enum { DEADLINE_MS = 10000 };

typedef struct {
    zsock_t *bound;
    char *endpoint;
    fw_handshakes_t *handshakes;
} fixture_t;

static int begin(void **state)
{
    static fixture_t fixture;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    settings.handshake_ms = 200;
    assert_int_equal(fw_socket_open(&settings, "tcp://127.0.0.1:*", &fixture.bound), 0);
    fixture.endpoint = fw_socket_endpoint(fixture.bound);
    fixture.handshakes = fw_handshakes_new(fixture.bound);
    assert_non_null(fixture.handshakes);
    *state = &fixture;
    return 0;
}

static int end(void **state)
{
    fixture_t *fixture = *state;
    fw_handshakes_destroy(&fixture->handshakes);
    assert_null(fixture->handshakes);
    zsock_destroy(&fixture->bound);
    free(fixture->endpoint);
    return 0;
}

/* A TCP connection that has said this. */
static int connect_and_say(const fixture_t *fixture, const void *bytes, size_t size)
{
    const char *port = strrchr(fixture->endpoint, ':') + 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

/* Waits until so many have been counted in all, and checks that it is not one more. */
static void expect_failed(fixture_t *fixture, uint64_t expected)
{
    uint64_t failed = 0;
    int64_t give_up_ms = fw_clock_ms() + DEADLINE_MS;
    while (failed < expected) {
        assert_true(fw_clock_ms() < give_up_ms);
        (void)zmq_poll(NULL, 0, 5);
        failed += fw_handshakes_failed(fixture->handshakes);
    }
    assert_int_equal(failed, expected);
}

static void noise_is_counted_once_per_connection(void **state)
{
    static const char *const noise[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02", "x"};
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        assert_int_equal(close(connect_and_say(*state, noise[i], strlen(noise[i]))), 0);
    expect_failed(*state, 3);
}

static void another_mechanism_is_counted(void **state)
{
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'T', 'L', 'M'};
    int fd = connect_and_say(*state, greeting, sizeof greeting);
    expect_failed(*state, 1);
    assert_int_equal(close(fd), 0);
}

static void greeting_that_never_ends_is_given_up_and_counted(void **state)
{
    int fd = connect_and_say(*state, "\xff", 1);
    expect_failed(*state, 1);
    assert_int_equal(close(fd), 0);
}

static void good_connection_that_comes_and_goes_is_not_counted(void **state)
{
    fixture_t *fixture = *state;
    for (int i = 0; i < 3; i++) {
        fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
        zsock_t *peer = NULL;
        assert_int_equal(fw_socket_open(&settings, fixture->endpoint, &peer), 0);
        zsock_set_sndtimeo(peer, DEADLINE_MS);
        assert_int_equal(zstr_send(peer, "hello"), 0);
        zsock_set_rcvtimeo(fixture->bound, DEADLINE_MS);
        zmsg_t *message = zmsg_recv(fixture->bound);
        assert_non_null(message);
        zmsg_destroy(&message);
        zsock_destroy(&peer);
    }
    /* A bad one after them shows that the good ones would have been counted by now. */
    assert_int_equal(close(connect_and_say(fixture, "x", 1)), 0);
    expect_failed(fixture, 1);
}

static void watching_ends_while_failures_wait(void **state)
{
    fixture_t *fixture = *state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(close(connect_and_say(fixture, "x", 1)), 0);
    fw_handshakes_destroy(&fixture->handshakes);
    fw_handshakes_destroy(&fixture->handshakes);
    assert_int_equal(fw_handshakes_failed(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(noise_is_counted_once_per_connection, begin, end),
        cmocka_unit_test_setup_teardown(another_mechanism_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(greeting_that_never_ends_is_given_up_and_counted, begin,
                                        end),
        cmocka_unit_test_setup_teardown(good_connection_that_comes_and_goes_is_not_counted, begin,
                                        end),
        cmocka_unit_test_setup_teardown(watching_ends_while_failures_wait, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
