/* test_listen.c - what may be listened on, and what may not.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/listen.h"

static void texts_that_are_no_address_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "8080",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:x",
                                      "1.2.3.4.5",
                                      "127.0.0.1:-1",
                                      "::1:80",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:000080",
                                      "[::1]80",
                                      "example.org:80",
                                      "[::1:80",
                                      "127.0.0.1:80 ",
                                      "999.0.0.1:80",
                                      "[]:80",
                                      "[zz]:80",
                                      "a:b:80",
                                      "127.0.0.1:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = -1;
        int port = -1;
        int result = fw_listen(bad[i], 5, &fd, &port);
        if (result == 0)
            print_message("accepted \"%s\"\n", bad[i]);
        assert_int_equal(result, -EINVAL);
        assert_int_equal(fd, -1);
        assert_int_equal(port, -1);
    }
    char long_host[200];
    memset(long_host, '1', sizeof long_host);
    memcpy(long_host + sizeof long_host - 4, ":80", 4);
    int fd = -1;
    int port = -1;
    assert_int_equal(fw_listen(long_host, 5, &fd, &port), -EINVAL);
}

static void a_port_in_use_is_reported(void **state)
{
    (void)state;
    int fd = -1;
    int port = 0;
    assert_int_equal(fw_listen("127.0.0.1:0", 5, &fd, &port), 0);
    char text[32];
    (void)snprintf(text, sizeof text, "localhost:%d", port);
    int other = -1;
    int other_port = 0;
    assert_int_equal(fw_listen(text, 5, &other, &other_port), -EADDRINUSE);
    (void)close(fd);
    /* Free again at once. */
    assert_int_equal(fw_listen(text, 5, &other, &other_port), 0);
    assert_int_equal(other_port, port);
    (void)close(other);
}

static void every_way_to_say_any_or_this_machine_works(void **state)
{
    (void)state;
    static const char *const good[] = {":0", "*:0", "0.0.0.0:0", "localhost:0", "127.0.0.1:0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int fd = -1;
        int port = 0;
        assert_int_equal(fw_listen(good[i], 5, &fd, &port), 0);
        assert_true(port > 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        (void)close(fd);
    }
}

static void ipv6_works_where_the_machine_has_it(void **state)
{
    (void)state;
    int fd = -1;
    int port = 0;
    int result = fw_listen("[::1]:0", 5, &fd, &port);
    if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT)
        skip();
    assert_int_equal(result, 0);
    assert_true(port > 0);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_no_address_are_refused),
        cmocka_unit_test(a_port_in_use_is_reported),
        cmocka_unit_test(every_way_to_say_any_or_this_machine_works),
        cmocka_unit_test(ipv6_works_where_the_machine_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
