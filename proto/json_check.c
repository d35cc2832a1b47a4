/* json_check.c - see json_check.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/json_check.h"

#include "proto/utf8.h"

typedef struct {
    const uint8_t *at, *end;
    unsigned depth;
    uint64_t objects; /* bit n: level n is an object, not an array */
} scanner_t;

static bool at_end(const scanner_t *scanner)
{
    return scanner->at == scanner->end;
}

static void skip_space(scanner_t *scanner)
{
    while (!at_end(scanner) && (*scanner->at == ' ' || *scanner->at == '\n' ||
                                *scanner->at == '\r' || *scanner->at == '\t'))
        scanner->at++;
}

static bool take(scanner_t *scanner, char expected)
{
    if (at_end(scanner) || *scanner->at != (uint8_t)expected)
        return false;
    scanner->at++;
    return true;
}

static bool take_word(scanner_t *scanner, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(scanner->end - scanner->at) < size || memcmp(scanner->at, word, size) != 0)
        return false;
    scanner->at += size;
    return true;
}

static bool take_digits(scanner_t *scanner)
{
    const uint8_t *begin = scanner->at;
    while (!at_end(scanner) && *scanner->at >= '0' && *scanner->at <= '9')
        scanner->at++;
    return scanner->at > begin;
}

static bool take_number(scanner_t *scanner)
{
    (void)take(scanner, '-');
    if (!take(scanner, '0') && !take_digits(scanner))
        return false;
    if (take(scanner, '.') && !take_digits(scanner))
        return false;
    if (take(scanner, 'e') || take(scanner, 'E')) {
        if (!take(scanner, '+'))
            (void)take(scanner, '-');
        return take_digits(scanner);
    }
    return true;
}

static bool take_escape(scanner_t *scanner)
{
    if (at_end(scanner))
        return false;
    uint8_t c = *scanner->at++;
    if (c != 'u')
        return c && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++) {
        if (at_end(scanner))
            return false;
        uint8_t digit = *scanner->at++;
        if (!(digit >= '0' && digit <= '9') && !(digit >= 'a' && digit <= 'f') &&
            !(digit >= 'A' && digit <= 'F'))
            return false;
    }
    return true;
}

static bool take_string(scanner_t *scanner)
{
    if (!take(scanner, '"'))
        return false;
    while (!at_end(scanner)) {
        uint8_t c = *scanner->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !take_escape(scanner)))
            return false;
    }
    return false;
}

/* A member's name and its colon. */
static bool take_name(scanner_t *scanner)
{
    skip_space(scanner);
    if (!take_string(scanner))
        return false;
    skip_space(scanner);
    return take(scanner, ':');
}

/* A value without parts, or the opening bracket of one with parts. */
static bool take_value_begin(scanner_t *scanner, bool *ret_opened)
{
    *ret_opened = false;
    skip_space(scanner);
    if (at_end(scanner))
        return false;
    switch (*scanner->at) {
    case '{':
    case '[':
        if (scanner->depth == FW_JSON_DEPTH_MAX)
            return false;
        scanner->objects &= ~(UINT64_C(1) << scanner->depth);
        scanner->objects |= (uint64_t)(*scanner->at == '{') << scanner->depth;
        scanner->depth++;
        scanner->at++;
        *ret_opened = true;
        return true;
    case '"':
        return take_string(scanner);
    case 't':
        return take_word(scanner, "true");
    case 'f':
        return take_word(scanner, "false");
    case 'n':
        return take_word(scanner, "null");
    default:
        return take_number(scanner);
    }
}

static bool in_object(const scanner_t *scanner)
{
    return scanner->objects >> (scanner->depth - 1) & 1;
}

/* Closes as many levels as end here. True when a further value must follow, or all is closed. */
static bool close_levels(scanner_t *scanner)
{
    while (scanner->depth > 0) {
        skip_space(scanner);
        if (take(scanner, ','))
            return !in_object(scanner) || take_name(scanner);
        if (!take(scanner, in_object(scanner) ? '}' : ']'))
            return false;
        scanner->depth--;
    }
    return true;
}

bool fw_json_valid(fw_bytes_t text)
{
    scanner_t scanner = {text.data, text.data, 0, 0};
    if (text.size == 0 || !fw_utf8_valid(text))
        return false;
    scanner.end += text.size;
    do {
        bool opened;
        if (!take_value_begin(&scanner, &opened))
            return false;
        if (opened) {
            skip_space(&scanner);
            bool object = in_object(&scanner);
            if (take(&scanner, object ? '}' : ']'))
                scanner.depth--;
            else if (object && !take_name(&scanner))
                return false;
            else
                continue;
        }
        if (!close_levels(&scanner))
            return false;
    } while (scanner.depth > 0);
    skip_space(&scanner);
    return at_end(&scanner);
}
