/* json_scan.c - see json_scan.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/json_scan.h"

/* The place behind a string that begins at begin. */
static size_t behind_string(fw_bytes_t text, size_t begin)
{
    size_t i = begin + 1;
    while (i < text.size && text.data[i] != '"')
        i += text.data[i] == '\\' ? 2 : 1;
    return i < text.size ? i + 1 : text.size;
}

unsigned fw_json_depth(fw_bytes_t text)
{
    unsigned depth = 0;
    unsigned deepest = 0;
    size_t i = 0;
    while (i < text.size) {
        uint8_t c = text.data[i];
        if (c == '"') {
            i = behind_string(text, i);
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
            if (depth > deepest)
                deepest = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
        i++;
    }
    return deepest;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t behind_space(fw_bytes_t text, size_t i)
{
    while (i < text.size && is_space(text.data[i]))
        i++;
    return i;
}

static size_t behind_value(fw_bytes_t text, size_t i)
{
    unsigned depth = 0;
    while (i < text.size) {
        uint8_t c = text.data[i];
        if (c == '"') {
            i = behind_string(text, i);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        if (depth == 0 && (c == ',' || c == '}'))
            break;
        if (c == '}' || c == ']')
            depth--;
        i++;
    }
    return i;
}

bool fw_json_member(fw_bytes_t object, const char *key, fw_bytes_t *ret_value)
{
    size_t key_size = strlen(key);
    size_t i = behind_space(object, 0);
    if (i >= object.size || object.data[i] != '{')
        return false;
    i = behind_space(object, i + 1);
    while (i < object.size && object.data[i] == '"') {
        size_t name = i + 1;
        i = behind_string(object, i);
        size_t name_size = i - 1 - name;
        i = behind_space(object, i);     /* the colon */
        i = behind_space(object, i + 1); /* the value */
        size_t value = i;
        i = behind_value(object, i);
        size_t end = i <= object.size ? i : object.size;
        while (end > value && is_space(object.data[end - 1]))
            end--;
        if (name_size == key_size && memcmp(object.data + name, key, key_size) == 0) {
            *ret_value = (fw_bytes_t){object.data + value, end - value};
            return true;
        }
        i = behind_space(object, i + 1); /* behind the comma */
    }
    return false;
}
