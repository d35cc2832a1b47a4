/* glob.c - Redis' patterns.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/glob.h"

/* One element of a pattern that stands for one byte. */
typedef struct {
    bool matches;
    size_t size; /* of the element in the pattern */
} element_t;

/* A class "[...]", whose first byte is at *pattern. A class that never ends, ends with the pattern.
 */
static element_t match_class(const char *pattern, size_t size, uint8_t byte)
{
    size_t at = 1;
    bool inverted = at < size && pattern[at] == '^';
    at += inverted ? 1 : 0;
    bool found = false;
    while (at < size && pattern[at] != ']') {
        if (pattern[at] == '\\' && at + 1 < size) {
            at++;
            found |= (uint8_t)pattern[at] == byte;
        } else if (at + 2 < size && pattern[at + 1] == '-') {
            uint8_t first = (uint8_t)pattern[at];
            uint8_t last = (uint8_t)pattern[at + 2];
            found |= first <= last ? byte >= first && byte <= last : byte >= last && byte <= first;
            at += 2;
        } else {
            found |= (uint8_t)pattern[at] == byte;
        }
        at++;
    }
    return (element_t){found != inverted, at < size ? at + 1 : size};
}

static element_t match_element(const char *pattern, size_t size, uint8_t byte)
{
    switch (pattern[0]) {
    case '?':
        return (element_t){true, 1};
    case '[':
        return match_class(pattern, size, byte);
    case '\\':
        /* The last character of a pattern is literal even when it is a backslash. */
        if (size >= 2) {
            return (element_t){(uint8_t)pattern[1] == byte, 2};
        }
        break;
    }
    return (element_t){(uint8_t)pattern[0] == byte, 1};
}

bool fw_glob_match(fw_text_t pattern, fw_bytes_t key)
{
    size_t at = 0;         /* in the pattern */
    size_t key_at = 0;     /* in the key */
    bool has_star = false; /* a star was passed: only the last one ever needs to take more */
    size_t star_next = 0;  /* what follows it in the pattern */
    size_t star_key = 0;   /* where its match ends in the key */
    while (key_at < key.size) {
        if (at < pattern.size && pattern.text[at] == '*') {
            has_star = true;
            star_next = ++at;
            star_key = key_at;
            continue;
        }
        element_t element = {false, 0};
        if (at < pattern.size) {
            element = match_element(pattern.text + at, pattern.size - at, key.data[key_at]);
        }
        if (element.matches) {
            at += element.size;
            key_at++;
        } else if (has_star) {
            at = star_next;
            key_at = ++star_key;
        } else {
            return false;
        }
    }
    while (at < pattern.size && pattern.text[at] == '*') {
        at++;
    }
    return at == pattern.size;
}

size_t fw_glob_prefix(fw_text_t pattern, char *ret_prefix, bool *ret_literal)
{
    size_t at = 0;
    size_t size = 0;
    while (at < pattern.size && !strchr("*?[", pattern.text[at])) {
        if (pattern.text[at] == '\\' && at + 1 < pattern.size) {
            at++;
        }
        if (ret_prefix) {
            ret_prefix[size] = pattern.text[at];
        }
        size++;
        at++;
    }
    if (ret_literal) {
        *ret_literal = at == pattern.size;
    }
    return size;
}

size_t fw_glob_begins_with(const char *prefix, size_t size, char *ret_pattern)
{
    static const char special[] = {'*', '?', '[', ']', '\\', '^', '-'};
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        if (memchr(special, prefix[i], sizeof(special))) {
            ret_pattern[written++] = '\\';
        }
        ret_pattern[written++] = prefix[i];
    }
    ret_pattern[written++] = '*';
    ret_pattern[written] = 0;
    return written;
}
