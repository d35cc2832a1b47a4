/* config_document.c - the option table as Markdown.   SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "runtime/config_internal.h"

static const char *kind_name(fw_option_kind_t kind)
{
    static const char *const names[] = {
        [FW_OPTION_TEXT] = "text",         [FW_OPTION_SECRET] = "secret",
        [FW_OPTION_LIST] = "list",         [FW_OPTION_SECRETS] = "list of secrets",
        [FW_OPTION_NUMBER] = "number",     [FW_OPTION_BOOL] = "boolean",
        [FW_OPTION_DURATION] = "duration", [FW_OPTION_BYTES] = "bytes",
        [FW_OPTION_CHOICE] = "choice",
    };
    return names[kind];
}

/* A cell's text: what would end the cell is escaped. */
static void write_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            (void)fputc('\\', out);
        (void)fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static void write_range(FILE *out, const fw_option_t *option)
{
    if (option->kind == FW_OPTION_CHOICE) {
        (void)fputs(": `", out);
        for (const char *cursor = option->choices; *cursor; cursor++) {
            if (*cursor == '|')
                (void)fputs("`, `", out);
            else
                (void)fputc(*cursor, out);
        }
        (void)fputc('`', out);
        return;
    }
    if (option->min == 0 && option->max == 0)
        return;
    char min[FW_CONFIG_NUMBER_MAX];
    char max[FW_CONFIG_NUMBER_MAX];
    fw_config_format(option->kind, option->min, min);
    fw_config_format(option->kind, option->max, max);
    (void)fprintf(out, ", %s to %s", min, max);
}

static void write_row(FILE *out, const fw_option_t *option)
{
    char variable[FW_CONFIG_NAME_MAX];
    char flag[FW_CONFIG_NAME_MAX];
    fw_config_variable(option->path, variable);
    fw_config_flag(option->path, flag);
    bool secret = fw_config_is_secret(option);
    (void)fprintf(out, "| `%s` | %s", option->path, kind_name(option->kind));
    write_range(out, option);
    (void)fputs(" | ", out);
    if (option->fallback && *option->fallback) {
        (void)fputc('`', out);
        write_cell(out, option->fallback);
        (void)fputc('`', out);
    } else {
        (void)fputs("empty", out);
    }
    (void)fprintf(out, " | `%s`", variable);
    if (secret)
        (void)fprintf(out, ", `%s_FILE`", variable);
    (void)fprintf(out, " | `%s`", flag);
    if (secret)
        (void)fprintf(out, ", `%s-file`", flag);
    if (option->kind == FW_OPTION_BOOL)
        (void)fprintf(out, ", `--no-%s`", flag + strlen("--"));
    (void)fputs(" | ", out);
    write_cell(out, option->help);
    (void)fputs(" |\n", out);
}

/* The part of a path before its first dot; all of it when there is none. */
static size_t group_size(const char *path)
{
    return strcspn(path, ".");
}

static bool same_group(const char *a, const char *b)
{
    size_t size = group_size(a);
    return size == group_size(b) && memcmp(a, b, size) == 0;
}

static void write_group(FILE *out, const fw_option_t *table, size_t count, size_t first)
{
    const char *path = table[first].path;
    (void)fprintf(out, "## %.*s\n\n", (int)group_size(path), path);
    (void)fputs("| Option | Value | Default | Environment | Flag | Meaning |\n"
                "|---|---|---|---|---|---|\n",
                out);
    for (size_t i = first; i < count; i++)
        if (same_group(table[i].path, path))
            write_row(out, &table[i]);
}

void fw_config_document(const fw_option_t *table, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = same_group(table[j].path, table[i].path);
        if (seen)
            continue;
        if (i > 0)
            (void)fputc('\n', out);
        write_group(out, table, count, i);
    }
}
