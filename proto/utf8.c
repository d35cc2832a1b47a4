/* utf8.c - see utf8.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/utf8.h"

/* Length of the well-formed sequence at p (end > p), 0 when there is none. */
static size_t sequence_size(const uint8_t *p, const uint8_t *end)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max, size;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*p < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (*p < rows[i].first_min || *p > rows[i].first_max)
            continue;
        if ((size_t)(end - p) < rows[i].size || p[1] < rows[i].second_min ||
            p[1] > rows[i].second_max)
            return 0;
        for (size_t k = 2; k < rows[i].size; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].size;
    }
    return 0;
}

bool fw_utf8_valid(fw_bytes_t bytes)
{
    if (bytes.size == 0)
        return true; /* data may be NULL */
    const uint8_t *p = bytes.data;
    const uint8_t *end = p + bytes.size;
    while (p < end) {
        uint64_t eight;
        /* Most text is ASCII: eight bytes a step. */
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & UINT64_C(0x8080808080808080))))
            p += 8;
        while (p < end && *p < 0x80)
            p++;
        if (p == end)
            break;
        size_t size = sequence_size(p, end);
        if (!size)
            return false;
        p += size;
    }
    return true;
}

bool fw_utf8_printable(fw_bytes_t bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] < 0x20 || bytes.data[i] == 0x7f)
            return false;
    return fw_utf8_valid(bytes);
}

size_t fw_utf8_copy(char *buffer, size_t size, fw_bytes_t from)
{
    size_t used = 0;
    for (size_t i = 0; i < from.size;) {
        size_t length = sequence_size(from.data + i, from.data + from.size);
        bool replaced = length == 0 || from.data[i] == 0;
        if (replaced)
            length = 1;
        if (length >= size - used)
            break;
        memcpy(buffer + used, replaced ? (const uint8_t *)"?" : from.data + i, length);
        used += length;
        i += length;
    }
    buffer[used] = '\0';
    return used;
}
