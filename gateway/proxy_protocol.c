/* proxy_protocol.c - see proxy_protocol.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/proxy_protocol.h"

#include <errno.h>
#include <string.h>

enum {
    V2_HEAD_SIZE = 16,
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_UNSPECIFIED = 0x00,
    V2_STREAM_IPV4 = 0x11,
    V2_STREAM_IPV6 = 0x21,
    V2_IPV4_SIZE = 12,
    V2_IPV6_SIZE = 36,
    V1_SIZE_MIN = 15, /* "PROXY UNKNOWN\r\n" */
    V1_SIZE_MAX = 107,
    V1_WORDS = 6,
};

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                      '\n', 'Q',  'U',  'I',  'T',  '\n'};

static int want(size_t more, size_t *ret_more)
{
    *ret_more = more;
    return -EAGAIN;
}

static int decode_v2(const uint8_t *bytes, size_t size, fw_address_t *ret_address, size_t *ret_more)
{
    size_t known = size < sizeof signature ? size : sizeof signature;
    if (memcmp(bytes, signature, known) != 0)
        return -EBADMSG;
    if (size < V2_HEAD_SIZE)
        return want(V2_HEAD_SIZE - size, ret_more);
    size_t rest = (size_t)bytes[14] << 8 | bytes[15];
    const uint8_t *body = bytes + V2_HEAD_SIZE;
    if (rest > FW_PROXY_HEADER_SIZE_MAX - V2_HEAD_SIZE ||
        (bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY))
        return -EBADMSG;
    bool local = bytes[12] == V2_LOCAL || bytes[13] == V2_UNSPECIFIED;
    size_t needed = local                         ? 0
                    : bytes[13] == V2_STREAM_IPV4 ? (size_t)V2_IPV4_SIZE
                                                  : (size_t)V2_IPV6_SIZE;
    if (!local && bytes[13] != V2_STREAM_IPV4 && bytes[13] != V2_STREAM_IPV6)
        return -EBADMSG;
    if (rest < needed || size > V2_HEAD_SIZE + rest)
        return -EBADMSG;
    if (size < V2_HEAD_SIZE + rest)
        return want(V2_HEAD_SIZE + rest - size, ret_more);
    *ret_address = (fw_address_t){{0}};
    if (!local && bytes[13] == V2_STREAM_IPV4)
        *ret_address = fw_address_ipv4(body);
    else if (!local)
        memcpy(ret_address->bytes, body, sizeof ret_address->bytes);
    return 0;
}

/* Splits at single blanks; the number of words, V1_WORDS + 1 when there are more. */
static size_t split(fw_text_t line, fw_text_t words[V1_WORDS])
{
    size_t count = 0;
    while (count < V1_WORDS) {
        const char *blank = line.size > 0 ? memchr(line.text, ' ', line.size) : NULL;
        size_t size = blank ? (size_t)(blank - line.text) : line.size;
        words[count++] = (fw_text_t){line.text, size};
        if (!blank)
            return count;
        line = (fw_text_t){blank + 1, line.size - size - 1};
    }
    return V1_WORDS + 1;
}

static bool is_port(fw_text_t text)
{
    unsigned long port = 0;
    if (text.size == 0 || text.size > 5 || (text.text[0] == '0' && text.size > 1))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text.text[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* A bare address of the family that was announced. */
static bool is_address(fw_text_t text, bool ipv6, fw_address_t *ret_address)
{
    bool colon = text.size > 0 && memchr(text.text, ':', text.size);
    bool bracket = text.size > 0 && text.text[0] == '[';
    return colon == ipv6 && !bracket && fw_address_parse(text, ret_address) == 0;
}

static int decode_line(fw_text_t line, fw_address_t *ret_address)
{
    fw_text_t words[V1_WORDS];
    size_t count = split(line, words);
    fw_address_t target;
    if (count < 2 || !fw_text_equal(words[0], FW_TEXT("PROXY")))
        return -EBADMSG;
    if (fw_text_equal(words[1], FW_TEXT("UNKNOWN"))) {
        *ret_address = (fw_address_t){{0}};
        return 0;
    }
    bool ipv6 = fw_text_equal(words[1], FW_TEXT("TCP6"));
    if (count != V1_WORDS || (!ipv6 && !fw_text_equal(words[1], FW_TEXT("TCP4"))))
        return -EBADMSG;
    bool good = is_address(words[2], ipv6, ret_address) && is_address(words[3], ipv6, &target) &&
                is_port(words[4]) && is_port(words[5]);
    return good ? 0 : -EBADMSG;
}

static int decode_v1(const uint8_t *bytes, size_t size, fw_address_t *ret_address, size_t *ret_more)
{
    static const char begin[] = "PROXY ";
    size_t known = size < sizeof begin - 1 ? size : sizeof begin - 1;
    if (memcmp(bytes, begin, known) != 0)
        return -EBADMSG;
    if (size < V1_SIZE_MIN)
        return want(V1_SIZE_MIN - size, ret_more);
    const uint8_t *end = memchr(bytes, '\n', size);
    if (!end)
        return size < V1_SIZE_MAX ? want(1, ret_more) : -EBADMSG;
    size_t line = (size_t)(end - bytes);
    /* It must end where what was read ends. */
    if (line + 1 != size || line < 1 || bytes[line - 1] != '\r' || size > V1_SIZE_MAX)
        return -EBADMSG;
    return decode_line((fw_text_t){(const char *)bytes, line - 1}, ret_address);
}

int fw_proxy_protocol_decode(fw_proxy_protocol_t version, const uint8_t *bytes, size_t size,
                             fw_address_t *ret_address, size_t *ret_more)
{
    *ret_more = 0;
    switch (version) {
    case FW_PROXY_OFF:
        break;
    case FW_PROXY_V1:
        return decode_v1(bytes, size, ret_address, ret_more);
    case FW_PROXY_V2:
        return decode_v2(bytes, size, ret_address, ret_more);
    }
    return -EBADMSG;
}
