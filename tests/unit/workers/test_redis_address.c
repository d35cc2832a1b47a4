/* test_redis_address.c - where Redis is, from a URL.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/redis_address.h"

static void bad_addresses_are_refused_without_repeating_them(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "localhost",
        "http://localhost",
        "rediss://localhost",
        "redis://",
        "redis://:secret@",
        "redis://user@host",
        "redis://user:@host",
        "redis://:se%2xret@host",
        "redis://:se%00ret@host",
        "redis://:secret%2@host",
        "redis://host:",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:12x",
        "redis://host:-1",
        "redis://host/x",
        "redis://host/10000",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]",
        "unix://",
        "unix://tmp/redis.sock",
        "unix:///tmp/redis.sock?x=1",
        "unix:///tmp/redis.sock?db=",
        "unix:///tmp/redis.sock?db=-1",
        "unix://user@/tmp/redis.sock",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fw_redis_address_t address = {.port = -1};
        const char *reason = NULL;
        if (fw_redis_address_parse(cases[i], &address, &reason) != -EINVAL) {
            fail_msg("\"%s\" was not refused", cases[i]);
        }
        assert_non_null(reason);
        assert_null(strstr(reason, "secret"));
        assert_int_equal(address.port, -1);
    }
}

static void a_path_that_no_socket_address_holds_is_refused(void **state)
{
    (void)state;
    char url[160] = "unix:///";
    memset(url + 8, 'x', FW_REDIS_PATH_SIZE_MAX);
    fw_redis_address_t address;
    const char *reason = NULL;
    assert_int_equal(fw_redis_address_parse(url, &address, &reason), -EINVAL);
    url[7 + FW_REDIS_PATH_SIZE_MAX] = 0;
    assert_int_equal(fw_redis_address_parse(url, &address, &reason), 0);
}

static fw_redis_address_t parse(const char *url)
{
    fw_redis_address_t address;
    const char *reason = "";
    if (fw_redis_address_parse(url, &address, &reason) != 0) {
        fail_msg("\"%s\": %s", url, reason);
    }
    return address;
}

static void a_host_may_have_a_port_and_a_database(void **state)
{
    (void)state;
    fw_redis_address_t address = parse("redis://cache.example");
    assert_string_equal(address.host, "cache.example");
    assert_int_equal(address.port, 6379);
    assert_int_equal(address.database, 0);
    assert_string_equal(address.path, "");
    assert_string_equal(address.user, "");
    assert_string_equal(address.password, "");
    address = parse("redis://10.0.0.1:7000/3");
    assert_string_equal(address.host, "10.0.0.1");
    assert_int_equal(address.port, 7000);
    assert_int_equal(address.database, 3);
    address = parse("redis://[fd00::1]:7001/");
    assert_string_equal(address.host, "fd00::1");
    assert_int_equal(address.port, 7001);
    assert_string_equal(parse("redis://[::1]").host, "::1");
}

static void a_login_is_decoded(void **state)
{
    (void)state;
    fw_redis_address_t address = parse("redis://worker:p%40ss%3a%2F@host:1");
    assert_string_equal(address.user, "worker");
    assert_string_equal(address.password, "p@ss:/");
    assert_string_equal(address.host, "host");
    address = parse("redis://:pa:ss@host");
    assert_string_equal(address.user, "");
    assert_string_equal(address.password, "pa:ss");
    address = parse("redis://a:b@c@host/2");
    assert_string_equal(address.password, "b@c");
    assert_int_equal(address.database, 2);
}

static void a_socket_file_may_have_a_login_and_a_database(void **state)
{
    (void)state;
    fw_redis_address_t address = parse("unix:///run/redis@1/redis.sock");
    assert_string_equal(address.path, "/run/redis@1/redis.sock");
    assert_string_equal(address.host, "");
    address = parse("unix://:secret@/run/redis.sock?db=5");
    assert_string_equal(address.path, "/run/redis.sock");
    assert_string_equal(address.password, "secret");
    assert_int_equal(address.database, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_addresses_are_refused_without_repeating_them),
        cmocka_unit_test(a_path_that_no_socket_address_holds_is_refused),
        cmocka_unit_test(a_host_may_have_a_port_and_a_database),
        cmocka_unit_test(a_login_is_decoded),
        cmocka_unit_test(a_socket_file_may_have_a_login_and_a_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
