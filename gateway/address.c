/* address.c - see address.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { IPV4_BITS = 96, CLIENT_BITS = 64, BITS = 128, TEXT_MAX = FW_ADDRESS_TEXT_SIZE };

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

fw_address_t fw_address_ipv4(const uint8_t bytes[4])
{
    fw_address_t address;
    memcpy(address.bytes, mapped, sizeof mapped);
    memcpy(address.bytes + sizeof mapped, bytes, 4);
    return address;
}

static bool is_ipv4(const fw_address_t *self)
{
    return memcmp(self->bytes, mapped, sizeof mapped) == 0;
}

fw_address_t fw_address_of(const struct sockaddr *address)
{
    fw_address_t result = {{0}};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        uint8_t bytes[4];
        memcpy(bytes, &ipv4.sin_addr, sizeof bytes);
        result = fw_address_ipv4(bytes);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof ipv6);
        memcpy(result.bytes, &ipv6.sin6_addr, sizeof result.bytes);
    }
    return result;
}

/* Without brackets and port. */
static fw_text_t bare(fw_text_t text)
{
    const char *end = NULL;
    if (text.size > 0 && text.text[0] == '[') {
        end = memchr(text.text, ']', text.size);
        return end ? (fw_text_t){text.text + 1, (size_t)(end - text.text) - 1} : FW_TEXT_NONE;
    }
    const char *colon = text.size > 0 ? memchr(text.text, ':', text.size) : NULL;
    size_t left = colon ? text.size - (size_t)(colon - text.text) - 1 : 0;
    /* A single colon: IPv4 with a port. */
    if (colon && !memchr(colon + 1, ':', left))
        return (fw_text_t){text.text, (size_t)(colon - text.text)};
    return text;
}

static int parse(fw_text_t text, fw_address_t *ret_address)
{
    char name[TEXT_MAX];
    uint8_t ipv4[4];
    if (text.size == 0 || text.size >= sizeof name || memchr(text.text, '\0', text.size))
        return -EINVAL;
    memcpy(name, text.text, text.size);
    name[text.size] = '\0';
    if (inet_pton(AF_INET, name, ipv4) == 1) {
        *ret_address = fw_address_ipv4(ipv4);
        return 0;
    }
    return inet_pton(AF_INET6, name, ret_address->bytes) == 1 ? 0 : -EINVAL;
}

int fw_address_parse(fw_text_t text, fw_address_t *ret_address)
{
    return parse(bare(text), ret_address);
}

static bool same(const fw_address_t *a, const fw_address_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return bits % 8 == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - bits % 8) == 0;
}

static fw_address_t cut(const fw_address_t *self, unsigned bits)
{
    fw_address_t result = {{0}};
    memcpy(result.bytes, self->bytes, bits / 8);
    if (bits % 8 != 0)
        result.bytes[bits / 8] = (uint8_t)(self->bytes[bits / 8] & (0xff00U >> (bits % 8)));
    return result;
}

static int parse_bits(fw_text_t text, unsigned max, unsigned *ret_bits)
{
    unsigned bits = 0;
    if (text.size == 0 || text.size > 3)
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return -EINVAL;
        bits = bits * 10 + (unsigned)(text.text[i] - '0');
    }
    *ret_bits = bits;
    return bits <= max ? 0 : -EINVAL;
}

int fw_address_range_parse(fw_text_t text, fw_address_range_t *ret_range)
{
    const char *slash = text.size > 0 ? memchr(text.text, '/', text.size) : NULL;
    size_t size = slash ? (size_t)(slash - text.text) : text.size;
    fw_address_t address;
    unsigned bits = BITS;
    if (parse((fw_text_t){text.text, size}, &address) != 0)
        return -EINVAL;
    unsigned before = is_ipv4(&address) && !memchr(text.text, ':', size) ? IPV4_BITS : 0;
    if (slash) {
        fw_text_t length = {slash + 1, text.size - size - 1};
        if (parse_bits(length, BITS - before, &bits) != 0)
            return -EINVAL;
        bits += before;
    }
    fw_address_t first = cut(&address, bits);
    if (memcmp(&first, &address, sizeof first) != 0)
        return -EINVAL;
    *ret_range = (fw_address_range_t){address, (uint8_t)bits};
    return 0;
}

bool fw_address_known(const fw_address_t *self)
{
    static const fw_address_t unknown = {{0}};
    return memcmp(self, &unknown, sizeof unknown) != 0;
}

bool fw_address_in(const fw_address_t *self, const fw_address_range_t *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (same(self, &ranges[i].address, ranges[i].bits))
            return true;
    }
    return false;
}

bool fw_address_private(const fw_address_t *self)
{
    static const char *const texts[] = {"127.0.0.0/8",    "10.0.0.0/8",     "172.16.0.0/12",
                                        "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
                                        "::1/128",        "fc00::/7",       "fe80::/10"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fw_address_range_t range;
        if (fw_address_range_parse(fw_text(texts[i]), &range) == 0 &&
            fw_address_in(self, &range, 1))
            return true;
    }
    return false;
}

fw_address_t fw_address_client(const fw_address_t *self)
{
    return is_ipv4(self) ? *self : cut(self, CLIENT_BITS);
}

void fw_address_print(const fw_address_t *self, char ret_text[FW_ADDRESS_TEXT_SIZE])
{
    ret_text[0] = '\0';
    if (is_ipv4(self))
        (void)inet_ntop(AF_INET, self->bytes + sizeof mapped, ret_text, FW_ADDRESS_TEXT_SIZE);
    else
        (void)inet_ntop(AF_INET6, self->bytes, ret_text, FW_ADDRESS_TEXT_SIZE);
}

static fw_text_t trimmed(fw_text_t text)
{
    while (text.size > 0 && (text.text[0] == ' ' || text.text[0] == '\t')) {
        text.text++;
        text.size--;
    }
    while (text.size > 0 && (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\t'))
        text.size--;
    return text;
}

fw_address_t fw_address_forwarded(const fw_address_t *peer, fw_text_t forwarded_for,
                                  const fw_address_range_t *trusted, size_t count)
{
    fw_address_t said = *peer;
    fw_text_t rest = forwarded_for;
    while (rest.size > 0 && fw_address_in(&said, trusted, count)) {
        const char *comma = memrchr(rest.text, ',', rest.size);
        size_t begin = comma ? (size_t)(comma - rest.text) + 1 : 0;
        fw_address_t next;
        fw_text_t last = trimmed((fw_text_t){rest.text + begin, rest.size - begin});
        if (fw_address_parse(last, &next) != 0)
            break;
        said = next;
        rest.size = comma ? begin - 1 : 0;
    }
    return said;
}
