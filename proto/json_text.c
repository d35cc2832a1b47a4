/* json_text.c - see json_text.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/json_text.h"

void fw_json_raw(fw_json_t *self, const void *bytes, size_t size)
{
    if (size > 0 && self->needed + size <= self->size)
        memcpy(self->buffer + self->needed, bytes, size);
    self->needed += size;
}

static void escape(fw_json_t *self, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char pairs[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof pairs; i += 2) {
        if ((unsigned char)pairs[i] == c) {
            char text[2] = {'\\', pairs[i + 1]};
            fw_json_raw(self, text, sizeof text);
            return;
        }
    }
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    fw_json_raw(self, text, sizeof text);
}

void fw_json_string(fw_json_t *self, fw_text_t text)
{
    size_t begin = 0;
    fw_json_raw(self, "\"", 1);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        fw_json_raw(self, text.text + begin, i - begin);
        escape(self, c);
        begin = i + 1;
    }
    fw_json_raw(self, text.text + begin, text.size - begin);
    fw_json_raw(self, "\"", 1);
}

void fw_json_base64(fw_json_t *self, fw_bytes_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fw_json_raw(self, "\"", 1);
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63], '=', '='};
        if (left > 1)
            text[2] = digits[group >> 6 & 63];
        if (left > 2)
            text[3] = digits[group & 63];
        fw_json_raw(self, text, sizeof text);
    }
    fw_json_raw(self, "\"", 1);
}

enum { DIGITS_MAX = 20 };

/* snprintf costs thirty times as much, and every event carries four numbers. Written from the end;
 * returns where the text begins. */
static char *write_digits(char *end, uint64_t number)
{
    do
        *--end = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return end;
}

void fw_json_number(fw_json_t *self, int64_t number)
{
    char text[1 + DIGITS_MAX];
    char *end = text + sizeof text;
    /* The smallest number has no positive twin; as an unsigned one it has. */
    char *at = write_digits(end, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
    if (number < 0)
        *--at = '-';
    fw_json_raw(self, at, (size_t)(end - at));
}

void fw_json_quoted_number(fw_json_t *self, uint64_t number)
{
    char text[2 + DIGITS_MAX];
    char *end = text + sizeof text;
    *(end - 1) = '"';
    char *at = write_digits(end - 1, number);
    *--at = '"';
    fw_json_raw(self, at, (size_t)(end - at));
}
