/* position.c - see position.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/position.h"

#include <errno.h>

static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";

size_t fw_epoch_format(uint64_t epoch, char ret_text[FW_EPOCH_TEXT_SIZE_MAX + 1])
{
    char reversed[FW_EPOCH_TEXT_SIZE_MAX];
    size_t size = 0;
    epoch &= FW_EPOCH_MAX;
    do {
        reversed[size++] = base32[epoch & 31];
        epoch >>= 5;
    } while (epoch);
    for (size_t i = 0; i < size; i++)
        ret_text[i] = reversed[size - 1 - i];
    ret_text[size] = '\0';
    return size;
}

int fw_epoch_parse(fw_text_t text, uint64_t *ret_epoch)
{
    uint64_t epoch = 0;
    if (text.size == 0 || text.size > FW_EPOCH_TEXT_SIZE_MAX)
        return -EINVAL;
    if (text.size > 1 && text.text[0] == '0')
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(base32, text.text[i], sizeof base32 - 1);
        if (!digit)
            return -EINVAL;
        epoch = epoch << 5 | (uint64_t)(digit - base32);
    }
    *ret_epoch = epoch;
    return 0;
}

int fw_offset_parse(fw_text_t text, uint64_t *ret_offset)
{
    uint64_t offset = 0;
    if (text.size == 0 || text.size > FW_OFFSET_TEXT_SIZE_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++) {
        char digit = text.text[i];
        if (digit < '0' || digit > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(offset, UINT64_C(10), &offset) ||
            __builtin_add_overflow(offset, (uint64_t)(digit - '0'), &offset))
            return -EINVAL;
    }
    *ret_offset = offset;
    return 0;
}
