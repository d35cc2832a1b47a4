/* test_inlet.c - what is read is seen first.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/inlet.h"

static int pair[2];
static char seen[64];
static size_t let_pass;

static size_t look(void *context, uint8_t *bytes, size_t size)
{
    assert_ptr_equal(context, &pair);
    memcpy(seen, bytes, size);
    seen[size] = '\0';
    for (size_t i = 0; i < size; i++)
        bytes[i] = bytes[i] == 'x' ? 'y' : bytes[i];
    return size < let_pass ? size : let_pass;
}

static int set_up(void **state)
{
    (void)state;
    seen[0] = '\0';
    let_pass = 64;
    fw_inlet_open(look);
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    fw_inlet_close();
    (void)close(pair[0]);
    return close(pair[1]);
}

static void check_received(const char *expected)
{
    char buffer[64];
    ssize_t size = recv(pair[0], buffer, sizeof buffer, 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(buffer, expected, strlen(expected));
}

static void others_are_read_as_ever(void **state)
{
    (void)state;
    assert_int_equal(send(pair[1], "xa", 2, 0), 2);
    check_received("xa");
    assert_string_equal(seen, "");
    char byte;
    assert_int_equal(recv(pair[0], &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(-1, &byte, 1, 0), -1);
    assert_int_equal(errno, EBADF);
}

static void what_is_added_is_seen_and_changed(void **state)
{
    (void)state;
    fw_inlet_add(pair[0], &pair);
    assert_int_equal(send(pair[1], "axb", 3, 0), 3);
    char buffer[8];
    assert_int_equal(recv(pair[0], buffer, sizeof buffer, MSG_PEEK), 3);
    assert_string_equal(seen, ""); /* what is only peeked at is not read */
    check_received("ayb");
    assert_string_equal(seen, "axb");
    fw_inlet_remove(pair[0], seen); /* of another context: stays */
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    check_received("y");
    fw_inlet_remove(pair[0], &pair);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    check_received("x");
}

static void what_does_not_pass_has_not_come(void **state)
{
    (void)state;
    char buffer[8];
    fw_inlet_add(pair[0], &pair);
    let_pass = 1;
    assert_int_equal(send(pair[1], "abc", 3, 0), 3);
    check_received("a");
    let_pass = 0;
    assert_int_equal(send(pair[1], "abc", 3, 0), 3);
    assert_int_equal(recv(pair[0], buffer, sizeof buffer, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    assert_int_equal(recv(pair[0], buffer, sizeof buffer, 0), 0); /* the end always comes */
}

static void *read_elsewhere(void *context)
{
    if (recv(pair[0], context, 1, 0) != 1)
        *(char *)context = '\0';
    return NULL;
}

static void another_thread_is_not_looked_at(void **state)
{
    (void)state;
    pthread_t thread;
    char byte = '\0';
    fw_inlet_add(pair[0], &pair);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    assert_int_equal(pthread_create(&thread, NULL, read_elsewhere, &byte), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(byte, 'x');
    assert_string_equal(seen, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_are_read_as_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_added_is_seen_and_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_pass_has_not_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_is_not_looked_at, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("the inlet", tests, NULL, NULL);
}
