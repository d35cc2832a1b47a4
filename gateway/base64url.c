/* base64url.c - see base64url.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/base64url.h"

#include <errno.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

int fw_base64url_decode(fw_text_t text, uint8_t *buffer, size_t size, size_t *ret_size)
{
    uint32_t bits = 0;
    int held = 0;
    size_t written = 0;
    if (text.size % 4 == 1)
        return -EINVAL;
    if (text.size / 4 * 3 + (text.size % 4 > 0 ? text.size % 4 - 1 : 0) > size)
        return -EMSGSIZE;
    for (size_t i = 0; i < text.size; i++) {
        int value = value_of(text.text[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buffer[written++] = (uint8_t)(bits >> held);
        }
    }
    /* What is left over of the last letter says nothing, so it must be nothing. */
    if ((bits & ((1U << held) - 1)) != 0)
        return -EINVAL;
    *ret_size = written;
    return 0;
}
