/* frame.c - see frame.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/frame.h"

#include <string.h>

enum {
    FINAL = 0x80,
    SIZE_16 = 126, /* the size follows in two bytes */
    SIZE_64 = 127, /* the size follows in eight bytes */
    REASON_SIZE_MAX = 123,
};

size_t fw_frame_head_size(size_t payload_size)
{
    if (payload_size < SIZE_16)
        return 2;
    return payload_size <= UINT16_MAX ? 4 : 10;
}

size_t fw_frame_head(fw_frame_kind_t kind, size_t payload_size,
                     uint8_t ret_head[FW_FRAME_HEAD_SIZE_MAX])
{
    size_t size = fw_frame_head_size(payload_size);
    ret_head[0] = (uint8_t)(FINAL | (int)kind);
    if (size == 2) {
        ret_head[1] = (uint8_t)payload_size;
        return size;
    }
    ret_head[1] = size == 4 ? SIZE_16 : SIZE_64;
    for (size_t i = 2; i < size; i++)
        ret_head[i] = (uint8_t)(payload_size >> 8 * (size - 1 - i));
    return size;
}

fw_bytes_t fw_frame_payload(fw_bytes_t frame)
{
    size_t head = frame.size < 2 ? frame.size : 2;
    if (head == 2 && frame.data[1] >= SIZE_16)
        head = frame.data[1] == SIZE_16 ? 4 : 10;
    return (fw_bytes_t){frame.data + head, frame.size - head};
}

size_t fw_frame_close(unsigned code, const char *reason, uint8_t ret_frame[FW_FRAME_CLOSE_SIZE_MAX])
{
    size_t size = strnlen(reason, REASON_SIZE_MAX);
    size_t head = fw_frame_head(FW_FRAME_CLOSE, 2 + size, ret_frame);
    ret_frame[head] = (uint8_t)(code >> 8);
    ret_frame[head + 1] = (uint8_t)code;
    memcpy(ret_frame + head + 2, reason, size);
    return head + 2 + size;
}
