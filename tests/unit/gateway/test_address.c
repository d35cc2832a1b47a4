/* test_address.c - where clients come from, and who may say so.   SPDX-License-Identifier: MPL-2.0
 */
#include "tests/unit/gateway/fixture.h"

#include <arpa/inet.h>
#include <errno.h>

#include "gateway/address.h"

static fw_address_t address(const char *text)
{
    fw_address_t result;
    assert_int_equal(fw_address_parse(fw_text(text), &result), 0);
    return result;
}

static const char *printed(const fw_address_t *self)
{
    static char text[FW_ADDRESS_TEXT_SIZE];
    fw_address_print(self, text);
    return text;
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "unknown",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "a.b.c.d",
        "1.2.3.4 ",
        "[::1",
        "::g",
        "1.2.3.4/8",
        "2001:db8::1::2",
        "_hidden",
        "[]",
        ":80",
        "0123456789012345678901234567890123456789012345678901234567890123456789"};
    fw_address_t result;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fw_address_parse(fw_text(bad[i]), &result), -EINVAL);
    assert_int_equal(fw_address_parse((fw_text_t){"1.2.3.4\0x", 9}, &result), -EINVAL);
}

static void brackets_and_ports_are_taken_off(void **state)
{
    (void)state;
    fw_address_t plain = address("2001:db8::7");
    fw_address_t with_port = address("[2001:db8::7]:443");
    assert_memory_equal(&plain, &with_port, sizeof plain);
    plain = address("192.0.2.1");
    with_port = address("192.0.2.1:5000");
    assert_memory_equal(&plain, &with_port, sizeof plain);
    assert_string_equal(printed(&plain), "192.0.2.1");
    fw_address_t mapped = address("::ffff:192.0.2.1");
    assert_memory_equal(&plain, &mapped, sizeof plain);
}

static void ranges_have_a_length_and_no_other_bits(void **state)
{
    (void)state;
    static const char *const bad[] = {"10.0.0.0/33", "10.0.0.1/8",   "10.0.0.0/",    "10.0.0.0/x",
                                      "/8",          "::1/129",      "fd00::1/8",    "10.0.0.0/8/8",
                                      "10.0.0.0/-1", "10.0.0.0/08x", "10.0.0.0/1000"};
    fw_address_range_t range;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fw_address_range_parse(fw_text(bad[i]), &range), -EINVAL);
    static const struct {
        const char *range, *inside, *outside;
    } good[] = {
        {"10.0.0.0/8", "10.255.1.2", "11.0.0.0"},
        {"192.0.2.128/25", "192.0.2.200", "192.0.2.127"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"0.0.0.0/0", "8.8.8.8", "2001:db8::1"},
        {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"::/0", "8.8.8.8", NULL},
        {"fd00::/8", "fd12::1", "fe12::1"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(fw_address_range_parse(fw_text(good[i].range), &range), 0);
        fw_address_t inside = address(good[i].inside);
        assert_true(fw_address_in(&inside, &range, 1));
        if (good[i].outside) {
            fw_address_t outside = address(good[i].outside);
            assert_false(fw_address_in(&outside, &range, 1));
        }
    }
}

static void sockets_have_addresses(void **state)
{
    (void)state;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_equal(inet_pton(AF_INET, "192.0.2.9", &ipv4.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.9", &ipv6.sin6_addr), 1);
    fw_address_t a = fw_address_of((struct sockaddr *)&ipv4);
    fw_address_t b = fw_address_of((struct sockaddr *)&ipv6);
    fw_address_t none = fw_address_of(&local);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(fw_address_known(&a));
    assert_false(fw_address_known(&none));
}

static void a_client_of_ipv6_is_a_network(void **state)
{
    (void)state;
    fw_address_t a = address("2001:db8:1:2:3:4:5:6");
    fw_address_t b = address("2001:db8:1:2:ffff::1");
    fw_address_t c = address("2001:db8:1:3::1");
    fw_address_t ipv4 = address("192.0.2.9");
    fw_address_t one = fw_address_client(&a);
    fw_address_t two = fw_address_client(&b);
    fw_address_t three = fw_address_client(&c);
    fw_address_t four = fw_address_client(&ipv4);
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_not_equal(&one, &three, sizeof one);
    assert_memory_equal(&four, &ipv4, sizeof four);
}

static void private_addresses_are_known(void **state)
{
    (void)state;
    static const char *const inside[] = {"127.0.0.1",   "10.1.2.3",    "172.31.0.1",
                                         "192.168.9.9", "169.254.1.1", "100.64.0.1",
                                         "::1",         "fd00::1",     "fe80::1"};
    static const char *const outside[] = {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        fw_address_t one = address(inside[i]);
        assert_true(fw_address_private(&one));
    }
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        fw_address_t one = address(outside[i]);
        assert_false(fw_address_private(&one));
    }
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *header, *client;
    } cases[] = {
        {"203.0.113.5", "198.51.100.1", "203.0.113.5"}, /* a stranger may say what he likes */
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"}, /* the left one is made up */
        {"10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
        {"10.0.0.1", "198.51.100.1,10.0.0.2 ,\t10.0.0.3", "198.51.100.1"},
        {"10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"}, /* all of them trusted: the first */
        {"10.0.0.1", "198.51.100.1, junk", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1, junk, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "198.51.100.1,", "10.0.0.1"},
        {"10.0.0.1", ",,,", "10.0.0.1"},
        {"10.0.0.1", "[2001:db8::5]:1234", "2001:db8::5"},
        {"::ffff:10.0.0.1", "198.51.100.1:77", "198.51.100.1"},
    };
    fw_address_range_t trusted[1];
    assert_int_equal(fw_address_range_parse(FW_TEXT("10.0.0.0/8"), trusted), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_address_t peer = address(cases[i].peer);
        fw_address_t client = fw_address_forwarded(&peer, fw_text(cases[i].header), trusted, 1);
        assert_string_equal(printed(&client), cases[i].client);
        client = fw_address_forwarded(&peer, fw_text(cases[i].header), NULL, 0);
        assert_memory_equal(&client, &peer, sizeof peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(brackets_and_ports_are_taken_off),
        cmocka_unit_test(ranges_have_a_length_and_no_other_bits),
        cmocka_unit_test(sockets_have_addresses),
        cmocka_unit_test(a_client_of_ipv6_is_a_network),
        cmocka_unit_test(private_addresses_are_known),
        cmocka_unit_test(only_trusted_proxies_are_believed),
    };
    return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
