/* test_proxy_protocol.c - the header that a load balancer puts before a connection.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <errno.h>

#include "gateway/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 "\xcb\x00\x71\x05\xc0\x00\x02\x01\x30\x39\x01\xbb"
#define V2_IPV4 SIGNATURE "\x21\x11\x00\x0c" IPV4

static int decoded(fw_proxy_protocol_t version, const char *bytes, size_t size, char *ret_text)
{
    fw_address_t address = {{0}};
    size_t more = 0;
    int result = fw_proxy_protocol_decode(version, (const uint8_t *)bytes, size, &address, &more);
    assert_int_equal(result == -EAGAIN, more > 0);
    if (result == 0)
        fw_address_print(&address, ret_text);
    return result;
}

static void refused(fw_proxy_protocol_t version, const char *bytes, size_t size)
{
    char text[FW_ADDRESS_TEXT_SIZE];
    assert_int_equal(decoded(version, bytes, size, text), -EBADMSG);
}

/* Reads a header as it may be read, with what follows behind it; says how much was taken. */
static size_t read_header(fw_proxy_protocol_t version, const char *bytes, size_t size,
                          char *ret_text)
{
    fw_address_t address;
    size_t more = 0, have = 0;
    int result;
    while ((result = fw_proxy_protocol_decode(version, (const uint8_t *)bytes, have, &address,
                                              &more)) == -EAGAIN) {
        assert_true(more > 0 && have + more <= FW_PROXY_HEADER_SIZE_MAX);
        assert_true(have + more <= size);
        have += more;
    }
    assert_int_equal(result, 0);
    fw_address_print(&address, ret_text);
    return have;
}

static void what_is_no_header_is_refused_at_once(void **state)
{
    (void)state;
    refused(FW_PROXY_V2, "GET / HTTP/1.1\r\n", 16);
    refused(FW_PROXY_V2, "G", 1);
    refused(FW_PROXY_V2, "\x16\x03\x01", 3); /* TLS without it */
    refused(FW_PROXY_V2, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 32);
    refused(FW_PROXY_V1, "GET", 3);
    refused(FW_PROXY_V1, SIGNATURE, 12);
    refused(FW_PROXY_OFF, V2_IPV4, sizeof V2_IPV4 - 1);
}

static void version_2_is_checked_field_by_field(void **state)
{
    (void)state;
    refused(FW_PROXY_V2, SIGNATURE "\x31\x11\x00\x0c" IPV4, 28); /* version 3 */
    refused(FW_PROXY_V2, SIGNATURE "\x22\x11\x00\x0c" IPV4, 28); /* neither LOCAL nor PROXY */
    refused(FW_PROXY_V2, SIGNATURE "\x21\x12\x00\x0c" IPV4, 28); /* datagrams */
    refused(FW_PROXY_V2, SIGNATURE "\x21\x31\x00\x0c" IPV4, 28); /* a local socket */
    refused(FW_PROXY_V2, SIGNATURE "\x21\x11\x00\x0b" IPV4, 27); /* shorter than an address */
    refused(FW_PROXY_V2, SIGNATURE "\x21\x21\x00\x0c" IPV4, 28); /* IPv6 in 12 bytes */
    refused(FW_PROXY_V2, SIGNATURE "\x21\x11\x04\x01" IPV4, 28); /* more than fits */
    refused(FW_PROXY_V2, V2_IPV4 "x", sizeof V2_IPV4);           /* more than was allowed */
}

static void version_2_gives_the_client(void **state)
{
    (void)state;
    char text[FW_ADDRESS_TEXT_SIZE];
    static const char ipv6[] = SIGNATURE
        "\x21\x21\x00\x24"
        "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08"
        "\x30\x39\x01\xbbGET /";
    static const char extras[] = SIGNATURE "\x21\x11\x00\x0f" IPV4 "\x04\x00\x00GET";
    static const char health[] = SIGNATURE "\x20\x00\x00\x00GET";
    static const char unspecified[] = SIGNATURE "\x21\x00\x00\x03xyzGET";
    assert_int_equal(read_header(FW_PROXY_V2, V2_IPV4 "GET /", 33, text), 28);
    assert_string_equal(text, "203.0.113.5");
    assert_int_equal(read_header(FW_PROXY_V2, ipv6, sizeof ipv6, text), 52);
    assert_string_equal(text, "2001:db8::7");
    assert_int_equal(read_header(FW_PROXY_V2, extras, sizeof extras, text), 31);
    assert_string_equal(text, "203.0.113.5");
    assert_int_equal(read_header(FW_PROXY_V2, health, sizeof health, text), 16);
    assert_string_equal(text, "::");
    assert_int_equal(read_header(FW_PROXY_V2, unspecified, sizeof unspecified, text), 19);
    assert_string_equal(text, "::");
}

static void version_1_is_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *client;
    } good[] = {
        {"PROXY TCP4 203.0.113.5 192.0.2.1 12345 443\r\n", "203.0.113.5"},
        {"PROXY TCP6 2001:db8::7 2001:db8::8 1 65535\r\n", "2001:db8::7"},
        {"PROXY UNKNOWN\r\n", "::"},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "::"},
        {"PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n", "1.1.1.1"},
    };
    char text[FW_ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char stream[256];
        (void)snprintf(stream, sizeof stream, "%sGET /", good[i].line);
        size_t taken = read_header(FW_PROXY_V1, stream, strlen(stream), text);
        assert_int_equal(taken, strlen(good[i].line));
        assert_string_equal(text, good[i].client);
    }
    static const char *const bad[] = {
        "PROXY TCP4 203.0.113.5 192.0.2.1 12345\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 12345 443 7\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 12345 65536\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 012 443\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1  443\r\n",
        "PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n",
        "PROXY TCP6 203.0.113.5 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.5:1 192.0.2.1 1 2\r\n",
        "PROXY TCP6 [2001:db8::7] 2001:db8::8 1 2\r\n",
        "PROXY UDP4 203.0.113.5 192.0.2.1 1 2\r\n",
        "PROXY  TCP4 203.0.113.5 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.5 192.0.2.1 1 2\n",
        "PROXY \r\n........\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(FW_PROXY_V1, bad[i], strlen(bad[i]));
    char endless[128];
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "PROXY ", 6);
    refused(FW_PROXY_V1, endless, 107);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_header_is_refused_at_once),
        cmocka_unit_test(version_2_is_checked_field_by_field),
        cmocka_unit_test(version_2_gives_the_client),
        cmocka_unit_test(version_1_is_a_line),
    };
    return cmocka_run_group_tests_name("the PROXY header", tests, NULL, NULL);
}
