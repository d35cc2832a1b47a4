/* config_names.c - the names of an option, and the nearest one to a wrong name.
 * SPDX-License-Identifier: MPL-2.0 Pure. */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "runtime/config_internal.h"
#include "runtime/json.h"

void fw_config_variable(const char *path, char ret_name[FW_CONFIG_NAME_MAX])
{
    static const char prefix[] = "FRESHWIRE_";
    size_t size = strlen(path);
    assert(sizeof prefix + size <= FW_CONFIG_NAME_MAX);
    memcpy(ret_name, prefix, sizeof prefix);
    char *cursor = ret_name + sizeof prefix - 1;
    for (size_t i = 0; i < size; i++) {
        *cursor = (char)toupper((unsigned char)path[i]);
        if (*cursor == '.')
            *cursor = '_';
        cursor++;
    }
    *cursor = 0;
}

void fw_config_flag(const char *path, char ret_name[FW_CONFIG_NAME_MAX])
{
    size_t size = strlen(path);
    assert(size + 3 <= FW_CONFIG_NAME_MAX);
    memcpy(ret_name, "--", 2);
    for (size_t i = 0; i < size; i++) {
        ret_name[i + 2] = path[i];
        if (path[i] == '.' || path[i] == '_')
            ret_name[i + 2] = '-';
    }
    ret_name[size + 2] = 0;
}

void fw_config_show(const char *text, char ret_text[FW_CONFIG_SHOWN_MAX])
{
    static const char mark[] = "...";
    char piece[FW_JSON_PIECE_MAX];
    size_t used = 0;
    size_t size;
    while ((size = fw_json_escape(&text, piece)) > 0) {
        if (used + size + sizeof mark > FW_CONFIG_SHOWN_MAX) {
            memcpy(ret_text + used, mark, sizeof mark);
            return;
        }
        memcpy(ret_text + used, piece, size);
        used += size;
    }
    ret_text[used] = 0;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned fw_config_distance(const char *a, const char *b, unsigned limit)
{
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size >= FW_CONFIG_NAME_MAX || b_size >= FW_CONFIG_NAME_MAX)
        return limit + 1;
    /* Rows i - 2, i - 1 and i of the table of distances between prefixes (optimal string
     * alignment). */
    unsigned rows[3][FW_CONFIG_NAME_MAX];
    for (unsigned j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return least(rows[a_size % 3][b_size], limit + 1);
}

void fw_config_consider(fw_config_nearest_t *self, const char *wrong, const char *known)
{
    /* A suggestion that shares little with what was written only confuses. */
    size_t size = strlen(wrong);
    unsigned limit = size <= 4 ? 1 : size <= 8 ? 2 : 3;
    unsigned distance = fw_config_distance(wrong, known, limit);
    if (distance > limit || (self->best[0] && distance >= self->distance))
        return;
    size_t known_size = strlen(known);
    memcpy(self->best, known, known_size + 1);
    self->distance = distance;
}
