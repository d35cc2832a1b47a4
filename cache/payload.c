/* payload.c - is this exactly one MessagePack value?   SPDX-License-Identifier: MPL-2.0 */
#include "cache/payload.h"

enum { NIL = 0xc0, UNUSED = 0xc1 };

/* The first byte of a value: how many bytes of its size or value follow, and what they count. */
typedef struct {
    uint8_t width;  /* bytes of the number that follows */
    uint8_t fixed;  /* bytes that follow it in any case */
    uint8_t bytes;  /* the number counts so many bytes each */
    uint8_t values; /* the number counts so many values each */
} shape_t;

/* 0xc0 to 0xdf; the other first bytes hold their count or their value themselves. */
static const shape_t shapes[32] = {
    {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, /* nil, unused, false, true */
    {1, 0, 1, 0}, {2, 0, 1, 0}, {4, 0, 1, 0},               /* bin */
    {1, 1, 1, 0}, {2, 1, 1, 0}, {4, 1, 1, 0},               /* ext: a type besides */
    {0, 4, 0, 0}, {0, 8, 0, 0},                             /* float */
    {0, 1, 0, 0}, {0, 2, 0, 0}, {0, 4, 0, 0}, {0, 8, 0, 0}, /* uint */
    {0, 1, 0, 0}, {0, 2, 0, 0}, {0, 4, 0, 0}, {0, 8, 0, 0}, /* int */
    {0, 2, 0, 0}, {0, 3, 0, 0}, {0, 5, 0, 0}, {0, 9, 0, 0}, {0, 17, 0, 0}, /* fixext */
    {1, 0, 1, 0}, {2, 0, 1, 0}, {4, 0, 1, 0},                              /* str */
    {2, 0, 0, 1}, {4, 0, 0, 1}, {2, 0, 0, 2}, {4, 0, 0, 2},                /* array, map */
};

/* Steps over one value without what is inside it. Adds to *values how many those are. */
static bool step_over(fw_bytes_t *left, uint64_t *values)
{
    uint8_t first = left->data[0];
    uint64_t skip = 1;
    if (first == UNUSED) {
        return false;
    }
    if (first >= 0xc0 && first <= 0xdf) {
        const shape_t *shape = &shapes[first - 0xc0];
        uint64_t number = 0;
        if (left->size < 1u + shape->width) {
            return false;
        }
        for (size_t i = 1; i <= shape->width; i++) {
            number = number << 8 | left->data[i];
        }
        skip += shape->width + shape->fixed + number * shape->bytes;
        *values += number * shape->values;
    } else if (first >= 0xa0 && first <= 0xbf) {
        skip += first & 0x1f;
    } else if (first >= 0x90 && first <= 0x9f) {
        *values += first & 0x0f;
    } else if (first >= 0x80 && first <= 0x8f) {
        *values += UINT64_C(2) * (first & 0x0f);
    }
    if (skip > left->size) {
        return false;
    }
    left->data += skip;
    left->size -= skip;
    return true;
}

bool fw_cache_payload_is_value(fw_bytes_t payload)
{
    uint64_t values = 1;
    while (values > 0) {
        /* Each value has a byte at least: what claims more than is there need not be walked. */
        if (values > payload.size || !step_over(&payload, &values)) {
            return false;
        }
        values--;
    }
    return payload.size == 0;
}

bool fw_cache_payload_is_nothing(fw_bytes_t payload)
{
    return payload.size == 1 && payload.data[0] == NIL;
}
