/* test_redis_url.c - which Redis to purge, of whatever topology.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "workers/redis_url.h"

static fw_redis_url_t urls[FW_REDIS_TARGETS_MAX];

static size_t parse(const char *text)
{
    size_t count = 0;
    const char *reason = NULL;
    if (fw_redis_urls_parse(text, urls, &count, &reason) != 0) {
        assert_non_null(reason);
        /* It may hold a password. */
        assert_null(strstr(reason, "secret"));
        return 0;
    }
    return count;
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "  ",
        "http://a",
        "sentinel://",
        "sentinel://a",
        "sentinel://a/",
        "sentinel://a,/main",
        "sentinel://a:x/main",
        "sentinel://a/main/x",
        "sentinel://a/main/99999",
        "sentinel://secret@a/main",
        "sentinel:///main",
        "cluster://",
        "cluster://a/1",
        "cluster://a,b:0",
        "cluster://1,2,3,4,5,6,7,8,9",
        "redis://a redis://b redis://c redis://d redis://e",
        "redis://a http://b",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (parse(texts[i]) != 0) {
            fail_msg("\"%s\" is taken", texts[i]);
        }
    }
    char name[200];
    memset(name, 'n', sizeof(name));
    memcpy(name, "sentinel://a/", 13);
    name[13 + FW_REDIS_MASTER_SIZE_MAX + 1] = 0;
    assert_int_equal(parse(name), 0);
    name[13 + FW_REDIS_MASTER_SIZE_MAX] = 0;
    assert_int_equal(parse(name), 1);
}

static void one_server_is_as_before(void **state)
{
    (void)state;
    assert_int_equal(parse("redis://:secret@cache:7000/3"), 1);
    assert_int_equal(urls[0].topology, FW_REDIS_SINGLE);
    assert_string_equal(urls[0].seeds[0].host, "cache");
    assert_int_equal(urls[0].seeds[0].database, 3);
    assert_string_equal(urls[0].seeds[0].password, "secret");
}

static void sentinels_are_asked_without_the_servers_login(void **state)
{
    (void)state;
    assert_int_equal(parse("redis+sentinel://u:p%40ss@s1,s2:7,[::1]/main/2"), 1);
    const fw_redis_url_t *url = &urls[0];
    assert_int_equal(url->topology, FW_REDIS_SENTINEL);
    assert_int_equal(url->seeds_count, 3);
    assert_string_equal(url->seeds[0].host, "s1");
    assert_int_equal(url->seeds[0].port, FW_REDIS_SENTINEL_PORT);
    assert_int_equal(url->seeds[1].port, 7);
    assert_string_equal(url->seeds[2].host, "::1");
    assert_int_equal(url->seeds[2].port, FW_REDIS_SENTINEL_PORT);
    assert_string_equal(url->seeds[0].password, "");
    assert_string_equal(url->master, "main");
    fw_redis_address_t server;
    assert_true(fw_redis_url_server(url, "10.0.0.1", 6380, &server));
    assert_string_equal(server.user, "u");
    assert_string_equal(server.password, "p@ss");
    assert_int_equal(server.database, 2);
    assert_int_equal(server.port, 6380);
    assert_false(fw_redis_url_server(url, "", 6380, &server));
    assert_false(fw_redis_url_server(url, "a", 0, &server));
}

static void servers_of_a_cluster_share_the_login(void **state)
{
    (void)state;
    assert_int_equal(parse("cluster://:secret@c1,c2:7001/"), 1);
    assert_int_equal(urls[0].topology, FW_REDIS_CLUSTER);
    assert_int_equal(urls[0].seeds[0].port, FW_REDIS_PORT);
    assert_string_equal(urls[0].seeds[1].password, "secret");
    assert_string_equal(urls[0].password, "secret");
}

static void several_are_separated_by_spaces(void **state)
{
    (void)state;
    assert_int_equal(parse(" redis://a\tcluster://b,c\n sentinel://d/main "), 3);
    assert_int_equal(urls[0].topology, FW_REDIS_SINGLE);
    assert_int_equal(urls[1].topology, FW_REDIS_CLUSTER);
    assert_int_equal(urls[2].topology, FW_REDIS_SENTINEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(one_server_is_as_before),
        cmocka_unit_test(sentinels_are_asked_without_the_servers_login),
        cmocka_unit_test(servers_of_a_cluster_share_the_login),
        cmocka_unit_test(several_are_separated_by_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
