/* config.c - one option table; YAML file < environment < flags.   SPDX-License-Identifier: MPL-2.0
 */
#include "runtime/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"
#include "runtime/json.h"

int fw_config_fail(fw_config_error_t *ret_error, int result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(ret_error->text, sizeof ret_error->text, format, arguments);
    va_end(arguments);
    return result;
}

int fw_config_find(const fw_option_t *table, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].path, path) == 0)
            return (int)i;
    return -1;
}

/* The table is written by us: what is wrong in it is a mistake in the program. */
static void check_table(const fw_option_t *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const fw_option_t *option = &table[i];
        /* Room for "FRESHWIRE_" before and "_FILE" behind. */
        assert(strlen(option->path) > 0 && strlen(option->path) + 20 < FW_CONFIG_NAME_MAX);
        assert(option->path[strspn(option->path, "abcdefghijklmnopqrstuvwxyz0123456789_.")] == 0);
        assert(option->help);
        assert(option->min <= option->max);
        assert((option->kind == FW_OPTION_CHOICE) == (option->choices != NULL));
        /* Without a default the value is 0 or empty, and that must be allowed. */
        assert(option->fallback || option->kind != FW_OPTION_CHOICE);
        assert(option->fallback || (option->min <= 0 && option->max >= 0));
        char variable[FW_CONFIG_NAME_MAX];
        fw_config_variable(option->path, variable);
        for (size_t j = 0; j < i; j++) {
            char other[FW_CONFIG_NAME_MAX];
            fw_config_variable(table[j].path, other);
            assert(strcmp(variable, other) != 0);
        }
    }
}

fw_config_t *fw_config_make(const fw_option_t *table, size_t count)
{
    check_table(table, count);
    fw_config_t *self = fw_alloc(1, sizeof *self);
    self->table = table;
    self->count = count;
    self->values = fw_alloc(count, sizeof *self->values);
    for (size_t i = 0; i < count; i++) {
        fw_config_value_t *value = &self->values[i];
        value->text = fw_copy_text("", 0);
        value->origin = fw_copy_text("default", strlen("default"));
        if (!table[i].fallback)
            continue;
        fw_config_error_t error = {.text = ""};
        fw_config_place_t place = {.layer = FW_LAYER_DEFAULT, .origin = "default"};
        int result =
            fw_config_set(self, i, place, table[i].fallback, strlen(table[i].fallback), &error);
        assert(result == 0 && "a default must be within its own limits");
        (void)result;
    }
    return self;
}

void fw_config_destroy(fw_config_t **self_p)
{
    fw_config_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++) {
        fw_config_value_t *value = &self->values[i];
        for (size_t j = 0; j < value->item_count; j++)
            free(value->items[j]);
        free(value->items);
        free(value->text);
        free(value->origin);
    }
    free(self->values);
    free(self);
    *self_p = NULL;
}

static int read_file_layer(fw_config_t *self, const char *file, fw_config_error_t *ret_error)
{
    char *bytes = NULL;
    size_t size = 0;
    int result = fw_config_read_file(file, FW_CONFIG_FILE_BYTES_MAX, &bytes, &size);
    if (result != 0) {
        char shown[FW_CONFIG_SHOWN_MAX];
        fw_config_show(file, shown);
        return fw_config_fail(ret_error, result, "%s: %s", shown, strerror(-result));
    }
    assert(bytes);
    result = fw_config_read_yaml(self, file, bytes, size, ret_error);
    /* It may have held secrets. */
    explicit_bzero(bytes, size);
    free(bytes);
    return result;
}

int fw_config_load(const fw_option_t *table, size_t count, const char *file,
                   char *const *environment, int *argc, char **argv, fw_config_t **ret_config,
                   fw_config_error_t *ret_error)
{
    fw_config_t *self = fw_config_make(table, count);
    int result = 0;
    if (file)
        result = read_file_layer(self, file, ret_error);
    if (result == 0 && environment)
        result = fw_config_read_environment(self, environment, ret_error);
    if (result == 0 && argc)
        result = fw_config_read_flags(self, argc, argv, ret_error);
    if (result != 0) {
        fw_config_destroy(&self);
        return result;
    }
    *ret_config = self;
    return 0;
}

static const fw_config_value_t *value_of(const fw_config_t *self, const char *path, unsigned kinds)
{
    int option = fw_config_find(self->table, self->count, path);
    assert(option >= 0);
    assert(kinds & (1U << self->table[option].kind));
    (void)kinds;
    return &self->values[option];
}

const char *fw_config_text(const fw_config_t *self, const char *path)
{
    unsigned kinds = 1U << FW_OPTION_TEXT | 1U << FW_OPTION_SECRET | 1U << FW_OPTION_CHOICE;
    return value_of(self, path, kinds)->text;
}

int64_t fw_config_number(const fw_config_t *self, const char *path)
{
    unsigned kinds = 1U << FW_OPTION_NUMBER | 1U << FW_OPTION_DURATION | 1U << FW_OPTION_BYTES;
    return value_of(self, path, kinds)->number;
}

bool fw_config_bool(const fw_config_t *self, const char *path)
{
    return value_of(self, path, 1U << FW_OPTION_BOOL)->number != 0;
}

size_t fw_config_list(const fw_config_t *self, const char *path, const char *const **ret_texts)
{
    const fw_config_value_t *value =
        value_of(self, path, 1U << FW_OPTION_LIST | 1U << FW_OPTION_SECRETS);
    *ret_texts = (const char *const *)value->items;
    return value->item_count;
}

const char *fw_config_origin(const fw_config_t *self, const char *path)
{
    return value_of(self, path, ~0U)->origin;
}

static void print_escaped(FILE *out, const char *text)
{
    char piece[FW_JSON_PIECE_MAX];
    size_t size;
    while ((size = fw_json_escape(&text, piece)) > 0)
        (void)fwrite(piece, 1, size, out);
}

static void print_text(FILE *out, const char *text, bool secret)
{
    (void)fputc('"', out);
    print_escaped(out, secret && *text ? "********" : text);
    (void)fputc('"', out);
}

static void print_value(FILE *out, const fw_option_t *option, const fw_config_value_t *value)
{
    bool secret = fw_config_is_secret(option);
    char number[FW_CONFIG_NUMBER_MAX];
    switch (option->kind) {
    case FW_OPTION_TEXT:
    case FW_OPTION_SECRET:
    case FW_OPTION_CHOICE:
        print_text(out, value->text, secret);
        break;
    case FW_OPTION_LIST:
    case FW_OPTION_SECRETS:
        (void)fputc('[', out);
        for (size_t i = 0; i < value->item_count; i++) {
            (void)fputs(i ? ", " : "", out);
            print_text(out, value->items[i], secret);
        }
        (void)fputc(']', out);
        break;
    case FW_OPTION_NUMBER:
    case FW_OPTION_DURATION:
    case FW_OPTION_BYTES:
        fw_config_format(option->kind, value->number, number);
        (void)fputs(number, out);
        break;
    case FW_OPTION_BOOL:
        (void)fputs(value->number ? "true" : "false", out);
        break;
    }
}

/* Opens the sections of path that before is not in, and returns path's last part. */
static const char *print_sections(FILE *out, const char *before, const char *path,
                                  unsigned *ret_depth)
{
    const char *part = path;
    const char *dot;
    bool shared = true;
    *ret_depth = 0;
    while ((dot = strchr(part, '.'))) {
        size_t size = (size_t)(dot + 1 - path);
        shared = shared && strncmp(before, path, size) == 0;
        if (!shared)
            (void)fprintf(out, "%*s%.*s:\n", (int)*ret_depth * 2, "", (int)(dot - part), part);
        (*ret_depth)++;
        part = dot + 1;
    }
    return part;
}

void fw_config_print(const fw_config_t *self, FILE *out)
{
    const char *before = "";
    for (size_t i = 0; i < self->count; i++) {
        unsigned depth = 0;
        const char *name = print_sections(out, before, self->table[i].path, &depth);
        (void)fprintf(out, "%*s%s: ", (int)depth * 2, "", name);
        print_value(out, &self->table[i], &self->values[i]);
        (void)fputs(" # ", out);
        print_escaped(out, self->values[i].origin);
        (void)fputc('\n', out);
        before = self->table[i].path;
    }
}
