/* event_id.c - ids for events whose publisher gave none.   SPDX-License-Identifier: MPL-2.0 */
#include "clients/c/event_id.h"

#include "runtime/random.h"

fw_text_t fw_event_id_random(char buffer[FW_EVENT_ID_RANDOM_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    fw_random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    size_t size = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            buffer[size++] = '-';
        buffer[size++] = digits[bytes[i] >> 4];
        buffer[size++] = digits[bytes[i] & 0x0f];
    }
    buffer[size] = '\0';
    return (fw_text_t){buffer, size};
}
