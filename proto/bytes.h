/* bytes.h - borrowed views of bytes and text.   SPDX-License-Identifier: MPL-2.0
 * A view never owns what it points to; each function that returns one says how long it lives. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *data;
    size_t size;
} fw_bytes_t;

/* UTF-8 text. text[size] is always 0 and there is no other 0 inside: it is a C string as well. */
typedef struct {
    const char *text;
    size_t size;
} fw_text_t;

#define FW_TEXT(literal) ((fw_text_t){(literal), sizeof(literal) - 1})
#define FW_TEXT_NONE ((fw_text_t){"", 0})

static inline fw_text_t fw_text(const char *string)
{
    return string ? (fw_text_t){string, strlen(string)} : FW_TEXT_NONE;
}

static inline bool fw_text_equal(fw_text_t a, fw_text_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.text, b.text, a.size) == 0);
}

static inline bool fw_bytes_equal(fw_bytes_t a, fw_bytes_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
