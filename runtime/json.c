/* json.c - writing text that others may have chosen into JSON.   SPDX-License-Identifier: MPL-2.0
 */
#include "runtime/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Size of the well-formed UTF-8 sequence at bytes (RFC 3629: no overlong form, no surrogate, at
 * most U+10FFFF), or 0. */
static size_t sequence_size(const uint8_t *bytes)
{
    uint8_t first = bytes[0];
    if (first < 0x80)
        return 1;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t size;
    if (first >= 0xc2 && first <= 0xdf) {
        size = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        size = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        size = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    /* The closing 0 of the string is no continuation byte, so this never reads behind it. */
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

static size_t escape_code(uint8_t code, char piece[FW_JSON_PIECE_MAX])
{
    static const char digits[] = "0123456789abcdef";
    static const char begin[4] = {'\\', 'u', '0', '0'};
    memcpy(piece, begin, sizeof begin);
    piece[4] = digits[code >> 4];
    piece[5] = digits[code & 15];
    return 6;
}

static size_t escape_ascii(char character, char piece[FW_JSON_PIECE_MAX])
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = strchr(special, character);
    if (found) {
        piece[0] = '\\';
        piece[1] = letters[found - special];
        return 2;
    }
    if ((uint8_t)character < 0x20 || character == 0x7f)
        return escape_code((uint8_t)character, piece);
    piece[0] = character;
    return 1;
}

size_t fw_json_escape(const char **text_p, char piece[FW_JSON_PIECE_MAX])
{
    const char *text = *text_p;
    if (!*text)
        return 0;
    size_t size = sequence_size((const uint8_t *)text);
    *text_p = text + (size ? size : 1);
    if (size == 0) {
        static const char replacement[3] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */
        memcpy(piece, replacement, sizeof replacement);
        return sizeof replacement;
    }
    if (size == 1)
        return escape_ascii(*text, piece);
    if (size == 2 && (uint8_t)text[0] == 0xc2 && (uint8_t)text[1] < 0xa0)
        return escape_code((uint8_t)text[1], piece);
    memcpy(piece, text, size);
    return size;
}
