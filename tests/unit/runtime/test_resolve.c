/* test_resolve.c - tests of runtime/resolve and runtime/dial.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/dial.h"

enum { WAIT_MS = 20000 };

/* A name server that says what a test wants, when it wants it. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool black_hole;
    int result;
    fw_addresses_t addresses;
    unsigned asked;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int look_up(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)context;
    (void)host;
    (void)pthread_mutex_lock(&server.lock);
    server.asked++;
    while (server.black_hole)
        (void)pthread_cond_wait(&server.changed, &server.lock);
    *ret_addresses = server.addresses;
    int result = server.result;
    (void)pthread_mutex_unlock(&server.lock);
    return result;
}

static void serve(bool black_hole, int result, const char *first, const char *second)
{
    (void)pthread_mutex_lock(&server.lock);
    server.black_hole = black_hole;
    server.result = result;
    server.addresses = (fw_addresses_t){.count = 0};
    const char *texts[] = {first, second};
    for (size_t i = 0; i < 2 && texts[i]; i++)
        (void)snprintf(server.addresses.text[server.addresses.count++], FW_ADDRESS_SIZE_MAX + 1,
                       "%s", texts[i]);
    (void)pthread_cond_broadcast(&server.changed);
    (void)pthread_mutex_unlock(&server.lock);
}

static int use_server(void **state)
{
    (void)state;
    static const fw_resolver_t resolver = {.look_up = look_up};
    serve(false, 0, NULL, NULL);
    fw_resolve_with(&resolver);
    return 0;
}

static int use_library(void **state)
{
    (void)state;
    /* A black hole of a test that failed would keep its threads. */
    serve(false, 0, NULL, NULL);
    fw_resolve_with(NULL);
    return 0;
}

static void pause_ms(int milliseconds)
{
    (void)poll(NULL, 0, milliseconds);
}

#define until(condition)                                                                           \
    do {                                                                                           \
        int64_t until_ms = fw_clock_ms() + WAIT_MS;                                                \
        bool met;                                                                                  \
        while (!(met = (condition)) && fw_clock_ms() < until_ms)                                   \
            pause_ms(1);                                                                           \
        assert_true(met);                                                                          \
    } while (0)

static int await_result(const fw_resolve_t *resolve, fw_addresses_t *addresses)
{
    int result = -EINPROGRESS;
    until((result = fw_resolve_result(resolve, addresses)) != -EINPROGRESS);
    return result;
}

static const char *await_endpoint(fw_dial_t *dial, int64_t now_ms)
{
    const char *endpoint = NULL;
    int result = -EINPROGRESS;
    until((result = fw_dial_next(dial, now_ms, &endpoint)) != -EINPROGRESS);
    assert_int_equal(result, 0);
    return endpoint;
}

static void refuses_a_host_that_is_no_name(void **state)
{
    (void)state;
    char long_name[FW_RESOLVE_HOST_SIZE_MAX + 2];
    fw_resolve_t *resolve = NULL;
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(fw_resolve_start("", &resolve), -EINVAL);
    assert_int_equal(fw_resolve_start(long_name, &resolve), -EINVAL);
    assert_null(resolve);
}

static void a_name_that_nobody_knows_is_an_error(void **state)
{
    (void)state;
    fw_resolve_t *resolve = NULL;
    fw_addresses_t addresses;
    serve(false, -ENOENT, NULL, NULL);
    assert_int_equal(fw_resolve_start("nobody", &resolve), 0);
    assert_int_equal(await_result(resolve, &addresses), -EHOSTUNREACH);
    fw_resolve_destroy(&resolve);
    serve(false, 0, NULL, NULL);
    assert_int_equal(fw_resolve_start("without-address", &resolve), 0);
    assert_int_equal(await_result(resolve, &addresses), -EHOSTUNREACH);
    fw_resolve_destroy(&resolve);
    assert_null(resolve);
    fw_resolve_destroy(&resolve);
}

static void a_black_hole_holds_up_nobody_and_nothing_beyond_its_limit(void **state)
{
    (void)state;
    fw_resolve_t *resolves[FW_RESOLVE_THREADS_MAX];
    fw_resolve_t *further = NULL;
    fw_addresses_t addresses;
    until(fw_resolve_running() == 0);
    serve(true, 0, "192.0.2.1", NULL);
    int64_t begin_ms = fw_clock_ms();
    for (size_t i = 0; i < FW_RESOLVE_THREADS_MAX; i++)
        assert_int_equal(fw_resolve_start("hole", &resolves[i]), 0);
    assert_int_equal(fw_resolve_start("hole", &further), -EAGAIN);
    assert_null(further);
    assert_int_equal(fw_resolve_result(resolves[0], &addresses), -EINPROGRESS);
    /* Half of the owners go while their look-ups are under way. */
    for (size_t i = 0; i < FW_RESOLVE_THREADS_MAX; i += 2)
        fw_resolve_destroy(&resolves[i]);
    assert_true(fw_clock_ms() - begin_ms < WAIT_MS);
    serve(false, 0, "192.0.2.1", NULL);
    for (size_t i = 1; i < FW_RESOLVE_THREADS_MAX; i += 2) {
        assert_int_equal(await_result(resolves[i], &addresses), 0);
        assert_string_equal(addresses.text[0], "192.0.2.1");
        fw_resolve_destroy(&resolves[i]);
    }
    until(fw_resolve_running() == 0);
}

static void addresses_need_no_look_up(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "::1", "fe80::1%eth0", "2001:db8::7"};
    static const char *const names[] = {"localhost", "broker-0.broker.svc", "10.0.0", "1.2.3.4.5"};
    for (size_t i = 0; i < 4; i++) {
        assert_false(fw_resolve_needed(addresses[i]));
        assert_true(fw_resolve_needed(names[i]));
    }
}

static void the_library_knows_localhost_and_names_ipv4_first(void **state)
{
    (void)state;
    fw_resolve_t *resolve = NULL;
    fw_addresses_t addresses = {.count = 0};
    assert_int_equal(fw_resolve_start("localhost", &resolve), 0);
    assert_int_equal(await_result(resolve, &addresses), 0);
    assert_string_equal(addresses.text[0], "127.0.0.1");
    fw_resolve_destroy(&resolve);
}

static void a_dial_refuses_what_is_no_single_endpoint(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "nonsense",
                                      "tcp://",
                                      "tcp://host",
                                      "tcp://:7001",
                                      "tcp://host:",
                                      "tcp://host:123456",
                                      "tcp://host:70000",
                                      "tcp://host:0",
                                      "tcp://host:*",
                                      "tcp://a:1,tcp://b:2",
                                      "tcp://eth0;host:7001",
                                      "tcp://a b:7001"};
    fw_dial_t *dial = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fw_dial_new(bad[i], &dial), -EINVAL);
        assert_null(dial);
    }
}

static void a_dial_asks_nobody_about_addresses(void **state)
{
    (void)state;
    static const char *const endpoints[] = {"inproc://freshwire-jobs", "ipc:///run/x",
                                            "tcp://127.0.0.1:7001", "tcp://[::1]:7001"};
    serve(true, 0, NULL, NULL);
    unsigned before = server.asked;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        fw_dial_t *dial = NULL;
        const char *endpoint = NULL;
        assert_int_equal(fw_dial_new(endpoints[i], &dial), 0);
        assert_int_equal(fw_dial_next(dial, 0, &endpoint), 0);
        assert_string_equal(endpoint, endpoints[i]);
        fw_dial_destroy(&dial);
    }
    assert_int_equal(server.asked, before);
    fw_dial_t *none = NULL;
    fw_dial_destroy(&none);
}

static void a_dial_changes_the_server_key_when_every_address_was_tried_in_vain(void **state)
{
    (void)state;
    fw_dial_t *named = NULL;
    fw_dial_t *bare = NULL;
    assert_int_equal(fw_dial_new("tcp://broker:7002", &named), 0);
    serve(false, 0, "192.0.2.1", "192.0.2.2");
    static const unsigned keys[] = {0, 0, 1, 1, 2};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        (void)await_endpoint(named, 0);
        assert_int_equal(fw_dial_server_key(named), keys[i]);
    }
    /* The one that was answered stays, until every address has failed again. */
    fw_dial_answered(named);
    (void)await_endpoint(named, 0);
    assert_int_equal(fw_dial_server_key(named), 2);
    fw_dial_destroy(&named);
    assert_int_equal(fw_dial_new("tcp://127.0.0.1:7002", &bare), 0);
    (void)await_endpoint(bare, 0);
    assert_int_equal(fw_dial_server_key(bare), 0);
    (void)await_endpoint(bare, 0);
    assert_int_equal(fw_dial_server_key(bare), 1);
    fw_dial_answered(bare);
    (void)await_endpoint(bare, 0);
    assert_int_equal(fw_dial_server_key(bare), 1);
    (void)await_endpoint(bare, 0);
    assert_int_equal(fw_dial_server_key(bare), 2);
    fw_dial_destroy(&bare);
}

static void a_dial_tries_one_address_after_the_other_and_begins_with_the_good_one(void **state)
{
    (void)state;
    fw_dial_t *dial = NULL;
    assert_int_equal(fw_dial_new("tcp://broker:7002", &dial), 0);
    serve(false, 0, "192.0.2.1", "2001:db8::2");
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.1:7002");
    assert_string_equal(await_endpoint(dial, 0), "tcp://[2001:db8::2]:7002");
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.1:7002");
    /* The name server may turn them round: the one that was not tried comes next all the same. */
    serve(false, 0, "192.0.2.1", "2001:db8::2");
    assert_string_equal(await_endpoint(dial, 0), "tcp://[2001:db8::2]:7002");
    fw_dial_answered(dial);
    assert_string_equal(await_endpoint(dial, 0), "tcp://[2001:db8::2]:7002");
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.1:7002");
    /* The peer moved. */
    serve(false, 0, "192.0.2.9", NULL);
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.9:7002");
    fw_dial_destroy(&dial);
}

static void a_dial_without_a_name_server_uses_the_address_that_answered(void **state)
{
    (void)state;
    fw_dial_t *dial = NULL;
    const char *endpoint = NULL;
    assert_int_equal(fw_dial_new("tcp://broker:7002", &dial), 0);
    serve(false, -EAGAIN, NULL, NULL);
    int result = -EINPROGRESS;
    until((result = fw_dial_next(dial, 0, &endpoint)) != -EINPROGRESS);
    assert_int_equal(result, -EHOSTUNREACH);
    serve(false, 0, "192.0.2.1", NULL);
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.1:7002");
    fw_dial_answered(dial);
    serve(false, -EAGAIN, NULL, NULL);
    assert_string_equal(await_endpoint(dial, 0), "tcp://192.0.2.1:7002");
    serve(true, 0, "192.0.2.2", NULL);
    assert_int_equal(fw_dial_next(dial, 1000, &endpoint), -EINPROGRESS);
    assert_int_equal(fw_dial_next(dial, 1000 + FW_DIAL_STALE_MS - 1, &endpoint), -EINPROGRESS);
    assert_int_equal(fw_dial_next(dial, 1000 + FW_DIAL_STALE_MS, &endpoint), 0);
    assert_string_equal(endpoint, "tcp://192.0.2.1:7002");
    /* What came late serves the next socket. */
    serve(false, 0, "192.0.2.2", NULL);
    until(fw_resolve_running() == 0);
    assert_string_equal(await_endpoint(dial, 9000), "tcp://192.0.2.2:7002");
    fw_dial_destroy(&dial);
}

static void two_dials_of_one_host_reach_the_same_address(void **state)
{
    (void)state;
    fw_dial_t *control = NULL;
    fw_dial_t *events = NULL;
    fw_dial_t *other = NULL;
    const char *endpoint = NULL;
    serve(false, 0, "192.0.2.1", "192.0.2.2");
    assert_int_equal(fw_dial_new("tcp://broker:7005", &control), 0);
    assert_int_equal(fw_dial_new("tcp://broker:7004", &events), 0);
    assert_int_equal(fw_dial_new("tcp://127.0.0.1:7004", &other), 0);
    (void)await_endpoint(control, 0);
    assert_string_equal(await_endpoint(control, 0), "tcp://192.0.2.2:7005");
    assert_int_equal(fw_dial_beside(events, control, 0, &endpoint), 0);
    assert_string_equal(endpoint, "tcp://192.0.2.2:7004");
    assert_int_equal(fw_dial_beside(other, control, 0, &endpoint), 0);
    assert_string_equal(endpoint, "tcp://127.0.0.1:7004");
    fw_dial_destroy(&control);
    fw_dial_destroy(&events);
    fw_dial_destroy(&other);
}

static void a_dial_can_go_while_its_name_is_looked_up(void **state)
{
    (void)state;
    fw_dial_t *dial = NULL;
    const char *endpoint = NULL;
    serve(true, 0, "192.0.2.1", NULL);
    assert_int_equal(fw_dial_new("tcp://broker:7002", &dial), 0);
    assert_int_equal(fw_dial_next(dial, 0, &endpoint), -EINPROGRESS);
    fw_dial_destroy(&dial);
    serve(false, 0, "192.0.2.1", NULL);
    until(fw_resolve_running() == 0);
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, use_server, use_library)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_host_that_is_no_name),
        with_server(a_name_that_nobody_knows_is_an_error),
        with_server(a_black_hole_holds_up_nobody_and_nothing_beyond_its_limit),
        cmocka_unit_test(addresses_need_no_look_up),
        cmocka_unit_test(the_library_knows_localhost_and_names_ipv4_first),
        cmocka_unit_test(a_dial_refuses_what_is_no_single_endpoint),
        with_server(a_dial_asks_nobody_about_addresses),
        with_server(a_dial_changes_the_server_key_when_every_address_was_tried_in_vain),
        with_server(a_dial_tries_one_address_after_the_other_and_begins_with_the_good_one),
        with_server(a_dial_without_a_name_server_uses_the_address_that_answered),
        with_server(two_dials_of_one_host_reach_the_same_address),
        with_server(a_dial_can_go_while_its_name_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
