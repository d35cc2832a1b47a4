/* cookie.c - see cookie.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/cookie.h"

#include <errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static fw_text_t trimmed(fw_text_t text)
{
    while (text.size > 0 && is_blank(text.text[0])) {
        text.text++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.text[text.size - 1]))
        text.size--;
    return text;
}

static fw_text_t unquoted(fw_text_t text)
{
    if (text.size < 2 || text.text[0] != '"' || text.text[text.size - 1] != '"')
        return text;
    return (fw_text_t){text.text + 1, text.size - 2};
}

/* What stands before the next mark; *rest moves behind it. */
static fw_text_t split(fw_text_t *rest, char mark)
{
    const char *at = rest->size > 0 ? memchr(rest->text, mark, rest->size) : NULL;
    size_t size = at ? (size_t)(at - rest->text) : rest->size;
    fw_text_t before = {rest->text, size};
    size_t used = at ? size + 1 : size;
    *rest = (fw_text_t){rest->text + used, rest->size - used};
    return before;
}

int fw_cookie_find(fw_text_t header, fw_text_t name, fw_text_t *ret_value)
{
    fw_text_t found = FW_TEXT_NONE;
    while (header.size > 0) {
        fw_text_t value = split(&header, ';');
        if (!fw_text_equal(trimmed(split(&value, '=')), name))
            continue;
        value = unquoted(trimmed(value));
        if (value.size == 0)
            continue;
        if (found.size > 0 && !fw_text_equal(found, value))
            return -EEXIST;
        found = value;
    }
    if (found.size == 0)
        return -ENOENT;
    *ret_value = found;
    return 0;
}
