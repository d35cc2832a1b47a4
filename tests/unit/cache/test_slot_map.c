/* test_slot_map.c - which server of a Redis Cluster holds which key.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/slot_map.h"

static int setup(void **state)
{
    fw_slot_map_t *map = calloc(1, sizeof(*map));
    fw_slot_map_clear(map);
    *state = map;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void slots_that_cannot_be_are_refused(void **state)
{
    fw_slot_map_t *map = *state;
    assert_false(fw_slot_map_add(map, -1, 5, "a", 1));
    assert_false(fw_slot_map_add(map, 6, 5, "a", 1));
    assert_false(fw_slot_map_add(map, 0, FW_SLOTS, "a", 1));
    assert_false(fw_slot_map_add(map, 0, 5, "", 1));
    assert_false(fw_slot_map_add(map, 0, 5, "a", 0));
    assert_false(fw_slot_map_add(map, 0, 5, "a", 65536));
    char host[FW_REDIS_HOST_SIZE_MAX + 2];
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = 0;
    assert_false(fw_slot_map_add(map, 0, 5, host, 1));
    assert_int_equal(map->servers_count, 0);
    assert_null(fw_slot_map_server(map, 3));
}

static void too_many_servers_leave_their_slots_without_one(void **state)
{
    fw_slot_map_t *map = *state;
    for (int i = 0; i < FW_SLOT_SERVERS_MAX; i++) {
        assert_true(fw_slot_map_add(map, i, i, "a", 1 + i));
    }
    assert_false(fw_slot_map_add(map, 5000, 5001, "b", 1));
    assert_null(fw_slot_map_server(map, 5000));
    assert_true(fw_slot_map_add(map, 5000, 5001, "a", 1));
}

static void redirects_that_make_no_sense_are_not_followed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED x 127.0.0.1:6379",
        "MOVED 3999",
        "MOVED 3999 ",
        "MOVED 3999 127.0.0.1",
        "MOVED 3999 127.0.0.1:",
        "MOVED 3999 127.0.0.1:0",
        "MOVED 3999 127.0.0.1:65536",
        "MOVED 3999 127.0.0.1:63x",
        "moved 3999 127.0.0.1:6379",
        "ERR MOVED 3999 127.0.0.1:6379",
    };
    fw_slot_server_t server;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (fw_slot_redirect(texts[i], &server)) {
            fail_msg("followed \"%s\"", texts[i]);
        }
    }
}

static void redirects_are_read(void **state)
{
    (void)state;
    fw_slot_server_t server;
    assert_true(fw_slot_redirect("MOVED 3999 127.0.0.1:6381", &server));
    assert_string_equal(server.host, "127.0.0.1");
    assert_int_equal(server.port, 6381);
    assert_true(fw_slot_redirect("ASK 1 fe80::1:7000", &server));
    assert_string_equal(server.host, "fe80::1");
    assert_int_equal(server.port, 7000);
    assert_true(fw_slot_redirect("MOVED 1 :7000", &server));
    assert_string_equal(server.host, "");
}

/* As a Redis Cluster answers CLUSTER KEYSLOT. */
static void keys_have_the_slots_that_redis_gives_them(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint16_t slot;
    } cases[] = {
        {"", 0},
        {"123456789", 0x31c3},
        {"foo", 12182},
        {"bar", 5061},
        {"foo{hash_tag}", 2515},
        {"hash_tag", 2515},
        {"{user1000}.following", 3443},
        {"{user1000}.followers", 3443},
        {"user1000", 3443},
        {"foo{{bar}}zap", 4015},
        {"foo{bar}{zap}", 5061},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (fw_slot_of(fw_text(cases[i].key)) != cases[i].slot) {
            fail_msg("\"%s\" is in slot %u", cases[i].key, fw_slot_of(fw_text(cases[i].key)));
        }
    }
    /* Nothing between the first braces, or no closing one: the whole key counts. */
    assert_int_not_equal(fw_slot_of(FW_TEXT("foo{}{bar}")), fw_slot_of(FW_TEXT("bar")));
    assert_int_not_equal(fw_slot_of(FW_TEXT("foo{bar")), fw_slot_of(FW_TEXT("bar")));
}

static void the_last_who_claims_a_slot_has_it(void **state)
{
    fw_slot_map_t *map = *state;
    assert_true(fw_slot_map_add(map, 0, FW_SLOTS - 1, "a", 1));
    assert_true(fw_slot_map_add(map, 100, 199, "a", 2));
    assert_int_equal(map->servers_count, 2);
    assert_int_equal(fw_slot_map_server(map, 99)->port, 1);
    assert_int_equal(fw_slot_map_server(map, 100)->port, 2);
    assert_int_equal(fw_slot_map_server(map, 199)->port, 2);
    assert_int_equal(fw_slot_map_server(map, FW_SLOTS - 1)->port, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slots_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_servers_leave_their_slots_without_one, setup,
                                        teardown),
        cmocka_unit_test(redirects_that_make_no_sense_are_not_followed),
        cmocka_unit_test(redirects_are_read),
        cmocka_unit_test(keys_have_the_slots_that_redis_gives_them),
        cmocka_unit_test_setup_teardown(the_last_who_claims_a_slot_has_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
