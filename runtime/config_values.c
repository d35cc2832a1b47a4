/* config_values.c - from text to a typed value within its limits, or a clear refusal.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"

typedef struct {
    const char *name;
    int64_t factor;
} unit_t;

/* Largest first, for printing. */
static const unit_t duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const unit_t byte_units[] = {
    {"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10}, {"", 1}};
static const unit_t number_units[] = {{"", 1}};

static const unit_t *units_of(fw_option_kind_t kind, size_t *ret_count)
{
    if (kind == FW_OPTION_DURATION) {
        *ret_count = sizeof duration_units / sizeof *duration_units;
        return duration_units;
    }
    if (kind == FW_OPTION_BYTES) {
        *ret_count = sizeof byte_units / sizeof *byte_units;
        return byte_units;
    }
    *ret_count = 1;
    return number_units;
}

void fw_config_format(fw_option_kind_t kind, int64_t number, char ret_text[FW_CONFIG_NUMBER_MAX])
{
    size_t count;
    const unit_t *units = units_of(kind, &count);
    size_t i = 0;
    while (i + 1 < count && (number == 0 || number % units[i].factor != 0))
        i++;
    (void)snprintf(ret_text, FW_CONFIG_NUMBER_MAX, "%" PRId64 "%s", number / units[i].factor,
                   units[i].name);
}

bool fw_config_is_secret(const fw_option_t *option)
{
    return option->kind == FW_OPTION_SECRET || option->kind == FW_OPTION_SECRETS;
}

static const char *expected(fw_option_kind_t kind)
{
    switch (kind) {
    case FW_OPTION_NUMBER:
        return "a whole number";
    case FW_OPTION_BOOL:
        return "true or false";
    case FW_OPTION_DURATION:
        return "a duration such as 200ms, 5s, 10m or 1h";
    case FW_OPTION_BYTES:
        return "a size such as 100, 64KiB, 1MiB or 1GiB";
    case FW_OPTION_TEXT:
    case FW_OPTION_SECRET:
    case FW_OPTION_CHOICE:
        return "one text";
    case FW_OPTION_LIST:
    case FW_OPTION_SECRETS:
        return "a list of texts";
    }
    abort();
}

/* Where and what, as every message begins. A secret's value is never part of a message. */
static int refuse(const fw_option_t *option, fw_config_place_t place, const char *what,
                  const char *value, fw_config_error_t *ret_error)
{
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_show(value, shown);
    if (fw_config_is_secret(option))
        return fw_config_fail(ret_error, -EINVAL, "%s: %s: must be %s", place.origin, option->path,
                              what);
    return fw_config_fail(ret_error, -EINVAL, "%s: %s: must be %s, not \"%s\"", place.origin,
                          option->path, what, shown);
}

/* Digits with an optional minus and a unit. */
int fw_config_parse_number(fw_option_kind_t kind, const char *text, int64_t *ret_number)
{
    size_t count;
    const unit_t *units = units_of(kind, &count);
    bool negative = kind == FW_OPTION_NUMBER && *text == '-';
    const char *cursor = text + negative;
    if (*cursor < '0' || *cursor > '9')
        return -EINVAL;
    int64_t number = 0;
    bool overflow = false;
    for (; *cursor >= '0' && *cursor <= '9'; cursor++) {
        overflow |= __builtin_mul_overflow(number, 10, &number);
        overflow |= __builtin_sub_overflow(number, *cursor - '0', &number);
    }
    const unit_t *unit = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(cursor, units[i].name) == 0)
            unit = &units[i];
    /* Zero is the same in every unit. */
    if (!unit && *cursor == 0 && number == 0 && !overflow)
        unit = &units[count - 1];
    if (!unit)
        return -EINVAL;
    /* Counted below zero, because the smallest number has no positive twin. */
    overflow |= __builtin_mul_overflow(number, unit->factor, &number);
    overflow |= !negative && __builtin_sub_overflow(0, number, &number);
    if (overflow)
        return -ERANGE;
    *ret_number = number;
    return 0;
}

static int check_range(const fw_option_t *option, fw_config_place_t place, const char *text,
                       int64_t number, fw_config_error_t *ret_error)
{
    bool any = option->min == 0 && option->max == 0;
    if (any || (number >= option->min && number <= option->max))
        return 0;
    char limit[FW_CONFIG_NUMBER_MAX];
    char what[FW_CONFIG_NUMBER_MAX + 16];
    bool low = number < option->min;
    fw_config_format(option->kind, low ? option->min : option->max, limit);
    (void)snprintf(what, sizeof what, "%s %s", low ? "at least" : "at most", limit);
    return refuse(option, place, what, text, ret_error);
}

static int set_number(const fw_option_t *option, fw_config_place_t place, const char *text,
                      fw_config_value_t *value, fw_config_error_t *ret_error)
{
    int64_t number = 0;
    int result = fw_config_parse_number(option->kind, text, &number);
    if (result == -EINVAL)
        return refuse(option, place, expected(option->kind), text, ret_error);
    if (result == -ERANGE)
        return refuse(option, place, "a number of 63 bits", text, ret_error);
    result = check_range(option, place, text, number, ret_error);
    if (result == 0)
        value->number = number;
    return result;
}

static int set_bool(const fw_option_t *option, fw_config_place_t place, const char *text,
                    fw_config_value_t *value, fw_config_error_t *ret_error)
{
    bool truth = strcmp(text, "true") == 0;
    if (!truth && strcmp(text, "false") != 0)
        return refuse(option, place, expected(option->kind), text, ret_error);
    value->number = truth;
    return 0;
}

/* choices is "a|b|c"; an empty text is none of them unless it stands there. */
static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);
    for (const char *cursor = choices;; cursor++) {
        size_t choice = strcspn(cursor, "|");
        if (choice == size && memcmp(cursor, text, size) == 0)
            return true;
        cursor += choice;
        if (!*cursor)
            return false;
    }
}

static int refuse_choice(const fw_option_t *option, fw_config_place_t place, const char *text,
                         fw_config_error_t *ret_error)
{
    char *what = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&what, &size);
    if (!out)
        abort(); /* out of memory, as in fw_alloc */
    (void)fputs("one of ", out);
    for (const char *cursor = option->choices; *cursor; cursor++) {
        if (*cursor == '|')
            (void)fputs(", ", out);
        else
            (void)fputc(*cursor, out);
    }
    if (fclose(out) != 0)
        abort();
    int result = refuse(option, place, what, text, ret_error);
    free(what);
    return result;
}

static void replace_text(fw_config_value_t *value, const char *text, size_t size)
{
    free(value->text);
    value->text = fw_copy_text(text, size);
}

static void clear_items(fw_config_value_t *value)
{
    for (size_t i = 0; i < value->item_count; i++)
        free(value->items[i]);
    free(value->items);
    value->items = NULL;
    value->item_count = 0;
}

static void append_item(fw_config_value_t *value, const char *text, size_t size)
{
    value->items = fw_realloc(value->items, value->item_count + 1, sizeof *value->items);
    value->items[value->item_count++] = fw_copy_text(text, size);
}

/* Items between separators, without the blanks around them. Of a line-separated list, empty lines
 * are left out. */
static int set_split(const fw_option_t *option, fw_config_place_t place, const char *text,
                     char separator, fw_config_value_t *value, fw_config_error_t *ret_error)
{
    static const char blanks[] = " \t\r\n";
    clear_items(value);
    if (text[strspn(text, blanks)] == 0)
        return 0;
    for (const char *cursor = text; cursor;) {
        const char *end = strchrnul(cursor, separator);
        const char *next = *end ? end + 1 : NULL;
        cursor += strspn(cursor, separator == '\n' ? " \t\r" : blanks);
        while (end > cursor && strchr(blanks, end[-1]))
            end--;
        if (end > cursor)
            append_item(value, cursor, (size_t)(end - cursor));
        else if (separator == ',')
            return refuse(option, place, "a list without empty items", text, ret_error);
        if (value->item_count > FW_CONFIG_LIST_MAX)
            return refuse(option, place, "a list of at most 1024 items", "more", ret_error);
        cursor = next;
    }
    return 0;
}

/* Each option once per layer. */
static int claim(fw_config_t *self, size_t option, fw_config_place_t place,
                 fw_config_error_t *ret_error)
{
    fw_config_value_t *value = &self->values[option];
    if (place.layer != FW_LAYER_DEFAULT && value->layer == place.layer) {
        return fw_config_fail(ret_error, -EINVAL, "%s: %s: is already set by %s", place.origin,
                              self->table[option].path, value->origin);
    }
    return 0;
}

static void keep_place(fw_config_value_t *value, fw_config_place_t place)
{
    free(value->origin);
    value->origin = fw_copy_text(place.origin, strlen(place.origin));
    value->layer = place.layer;
}

int fw_config_set(fw_config_t *self, size_t option, fw_config_place_t place, const char *text,
                  size_t size, fw_config_error_t *ret_error)
{
    assert(option < self->count);
    assert(text[size] == 0);
    const fw_option_t *row = &self->table[option];
    fw_config_value_t *value = &self->values[option];
    int result = claim(self, option, place, ret_error);
    if (result != 0)
        return result;
    if (strlen(text) != size)
        return refuse(row, place, "free of zero bytes", text, ret_error);
    switch (row->kind) {
    case FW_OPTION_TEXT:
    case FW_OPTION_SECRET:
        replace_text(value, text, size);
        break;
    case FW_OPTION_CHOICE:
        if (!is_choice(row->choices, text))
            result = refuse_choice(row, place, text, ret_error);
        else
            replace_text(value, text, size);
        break;
    case FW_OPTION_LIST:
    case FW_OPTION_SECRETS:
        result = set_split(row, place, text, ',', value, ret_error);
        break;
    case FW_OPTION_NUMBER:
    case FW_OPTION_DURATION:
    case FW_OPTION_BYTES:
        result = set_number(row, place, text, value, ret_error);
        break;
    case FW_OPTION_BOOL:
        result = set_bool(row, place, text, value, ret_error);
        break;
    }
    if (result == 0)
        keep_place(value, place);
    return result;
}

int fw_config_set_items(fw_config_t *self, size_t option, fw_config_place_t place,
                        const char *const *items, size_t count, fw_config_error_t *ret_error)
{
    assert(option < self->count);
    const fw_option_t *row = &self->table[option];
    fw_config_value_t *value = &self->values[option];
    int result = claim(self, option, place, ret_error);
    if (result != 0)
        return result;
    if (row->kind != FW_OPTION_LIST && row->kind != FW_OPTION_SECRETS)
        return refuse(row, place, expected(row->kind), "a list", ret_error);
    clear_items(value);
    for (size_t i = 0; i < count; i++)
        append_item(value, items[i], strlen(items[i]));
    keep_place(value, place);
    return 0;
}

int fw_config_read_file(const char *file, size_t size_max, char **ret_bytes, size_t *ret_size)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char *bytes = fw_alloc(size_max + 2, 1);
    size_t size = 0;
    int result = 0;
    /* One byte more than allowed tells a file that is too big from one that just fits. */
    while (size <= size_max) {
        ssize_t got = read(fd, bytes + size, size_max + 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = -errno;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    (void)close(fd);
    if (result == 0 && size > size_max)
        result = -EFBIG;
    if (result != 0) {
        free(bytes);
        return result;
    }
    bytes[size] = 0;
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

/* One text, or one item a line, from what a file held. */
static int set_content(fw_config_t *self, size_t option, fw_config_place_t place, char *bytes,
                       size_t size, fw_config_error_t *ret_error)
{
    const fw_option_t *row = &self->table[option];
    /* The line end that an editor or "echo" leaves is no part of a secret. */
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        bytes[--size] = 0;
    if (row->kind == FW_OPTION_SECRET)
        return fw_config_set(self, option, place, bytes, size, ret_error);
    int result = claim(self, option, place, ret_error);
    if (result != 0)
        return result;
    if (strlen(bytes) != size)
        return refuse(row, place, "free of zero bytes", "", ret_error);
    result = set_split(row, place, bytes, '\n', &self->values[option], ret_error);
    if (result == 0)
        keep_place(&self->values[option], place);
    return result;
}

int fw_config_set_from_file(fw_config_t *self, size_t option, fw_config_place_t place,
                            const char *file, fw_config_error_t *ret_error)
{
    assert(fw_config_is_secret(&self->table[option]));
    char *bytes = NULL;
    size_t size = 0;
    int result = fw_config_read_file(file, FW_CONFIG_SECRET_BYTES_MAX, &bytes, &size);
    if (result != 0) {
        char shown[FW_CONFIG_SHOWN_MAX];
        fw_config_show(file, shown);
        return fw_config_fail(ret_error, result, "%s: %s: cannot read \"%s\": %s", place.origin,
                              self->table[option].path, shown, strerror(-result));
    }
    assert(bytes);
    result = set_content(self, option, place, bytes, size, ret_error);
    explicit_bzero(bytes, size);
    free(bytes);
    return result;
}
