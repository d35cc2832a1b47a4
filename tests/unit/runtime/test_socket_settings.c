/* test_socket_settings.c - the options of every role, and the combinations that are refused.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/codec.h"
#include "runtime/context.h"
#include "runtime/socket.h"

_Static_assert((int)FW_SOCKET_BIND_BYTES_MAX == (int)FW_FRAME_SIZE_MAX,
               "a bound socket accepts exactly what the codec does");

static zsock_t *open_socket(fw_socket_role_t role, const char *endpoints)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, endpoints, &socket), 0);
    assert_non_null(socket);
    return socket;
}

static void expect_refused(fw_socket_settings_t settings, const char *part)
{
    const char *reason = NULL;
    assert_int_equal(fw_socket_check(&settings, &reason), -EINVAL);
    assert_non_null(reason);
    assert_non_null(strstr(reason, part));
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, "inproc://test-refused", &socket), -EINVAL);
    assert_null(socket);
}

static void combinations_that_lose_or_abort_are_refused(void **state)
{
    (void)state;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_SUB_CONNECT);
    settings.send_hwm = 1000;
    expect_refused(settings, "subscri");
    settings = fw_socket_settings(FW_SOCKET_XSUB_BIND);
    settings.send_hwm = 1;
    expect_refused(settings, "subscri");
    settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    settings.heartbeat_interval_ms = 1000;
    settings.heartbeat_timeout_ms = 3000;
    expect_refused(settings, "abort");
    settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    settings.receive_hwm = 1000;
    expect_refused(settings, "receive_hwm");
    settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    settings.message_bytes_max = 1023;
    expect_refused(settings, "1024");
    settings = fw_socket_settings(FW_SOCKET_XPUB_BIND);
    settings.message_bytes_max = -1;
    expect_refused(settings, "1024");
    settings = fw_socket_settings(FW_SOCKET_XPUB_BIND);
    settings.send_hwm = -1;
    expect_refused(settings, "negative");
    settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    settings.heartbeat_interval_ms = 0;
    expect_refused(settings, "heartbeat_interval_ms");
}

static int option_of(zsock_t *socket, int option)
{
    int value = -12345;
    size_t size = sizeof value;
    assert_int_equal(zmq_getsockopt(zsock_resolve(socket), option, &value, &size), 0);
    return value;
}

static int64_t size_limit_of(zsock_t *socket)
{
    int64_t value = 0;
    size_t size = sizeof value;
    assert_int_equal(zmq_getsockopt(zsock_resolve(socket), ZMQ_MAXMSGSIZE, &value, &size), 0);
    return value;
}

static void the_options_of_each_role_are_set(void **state)
{
    (void)state;
    zsock_t *router = open_socket(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    assert_int_equal(option_of(router, ZMQ_SNDHWM), 10000);
    assert_int_equal(option_of(router, ZMQ_RCVHWM), 0);
    assert_int_equal(option_of(router, ZMQ_LINGER), 0);
    assert_int_equal(option_of(router, ZMQ_HEARTBEAT_IVL), 1000);
    assert_int_equal(option_of(router, ZMQ_HEARTBEAT_TIMEOUT), 3000);
    assert_int_equal(option_of(router, ZMQ_HEARTBEAT_TTL), 0);
    assert_int_equal(option_of(router, ZMQ_HANDSHAKE_IVL), 3000);
    assert_int_equal(option_of(router, ZMQ_BACKLOG), 4096);
    assert_int_equal(option_of(router, ZMQ_TCP_KEEPALIVE), 1);
    assert_int_equal(option_of(router, ZMQ_TCP_KEEPALIVE_IDLE), 10);
    assert_int_equal(option_of(router, ZMQ_TCP_MAXRT), 10000);
    assert_true(size_limit_of(router) == INT64_C(1024) * 1024);
    zsock_destroy(&router);

    zsock_t *xpub = open_socket(FW_SOCKET_XPUB_BIND, "tcp://127.0.0.1:*");
    assert_int_equal(option_of(xpub, ZMQ_SNDHWM), 100000);
    assert_int_equal(option_of(xpub, ZMQ_SNDBUF), 1024 * 1024);
    zsock_destroy(&xpub);

    zsock_t *sub = open_socket(FW_SOCKET_SUB_CONNECT, "tcp://127.0.0.1:9,tcp://192.0.2.1:9");
    assert_int_equal(option_of(sub, ZMQ_SNDHWM), 0);
    assert_int_equal(option_of(sub, ZMQ_RCVHWM), 0);
    assert_int_equal(option_of(sub, ZMQ_HEARTBEAT_IVL), 0);
    assert_int_equal(option_of(sub, ZMQ_RECONNECT_IVL), 1000);
    assert_int_equal(option_of(sub, ZMQ_RECONNECT_IVL_MAX), 8000);
    assert_int_equal(option_of(sub, ZMQ_CONNECT_TIMEOUT), 2000);
    assert_int_equal(option_of(sub, ZMQ_IMMEDIATE), 0);
    assert_true(size_limit_of(sub) == INT64_C(8) * 1024 * 1024);
    zsock_destroy(&sub);

    zsock_t *dealer = open_socket(FW_SOCKET_DEALER_CONNECT, "tcp://127.0.0.1:9");
    assert_int_equal(option_of(dealer, ZMQ_IMMEDIATE), 1);
    assert_int_equal(option_of(dealer, ZMQ_SNDHWM), 0);
    assert_int_equal(option_of(dealer, ZMQ_RECONNECT_IVL), 100);
    assert_int_equal(option_of(dealer, ZMQ_RECONNECT_IVL_MAX), 1000);
    zsock_destroy(&dealer);
}

static void the_context_has_room_and_two_io_threads(void **state)
{
    (void)state;
    assert_int_equal(zmq_ctx_get(fw_context(), ZMQ_MAX_SOCKETS), FW_CONTEXT_SOCKETS_MAX);
    assert_int_equal(zmq_ctx_get(fw_context(), ZMQ_IO_THREADS), FW_CONTEXT_IO_THREADS);
    assert_ptr_equal(fw_context(), zsys_init());
}

static void every_role_passes_its_own_check(void **state)
{
    (void)state;
    for (int role = FW_SOCKET_ROUTER_BIND; role <= FW_SOCKET_SUB_CONNECT; role++) {
        fw_socket_settings_t settings = fw_socket_settings((fw_socket_role_t)role);
        const char *reason = NULL;
        assert_int_equal(fw_socket_check(&settings, &reason), 0);
        assert_null(reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combinations_that_lose_or_abort_are_refused),
        cmocka_unit_test(the_options_of_each_role_are_set),
        cmocka_unit_test(the_context_has_room_and_two_io_threads),
        cmocka_unit_test(every_role_passes_its_own_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
