/* arguments.c - the flags of one command, taken out of the command line.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/arguments.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

enum { NAME_SIZE_MAX = 32, NEAR_DISTANCE = 2 };

typedef struct {
    const char **values;
    size_t count;
} taken_t;

struct fw_arguments {
    const fw_argument_t *table;
    size_t count;
    taken_t *taken; /* one per row of the table */
};

/* The row that argv names, without what follows "="; count when there is none. */
static size_t find_row(const fw_argument_t *table, size_t count, const char *argument)
{
    if (strncmp(argument, "--", 2) != 0)
        return count;
    const char *name = argument + 2;
    size_t size = strcspn(name, "=");
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0)
            return i;
    return count;
}

static int fail(char ret_error[FW_ARGUMENT_ERROR_SIZE], const fw_argument_t *row, const char *what)
{
    (void)snprintf(ret_error, FW_ARGUMENT_ERROR_SIZE, "--%s %s", row->name, what);
    return -EINVAL;
}

static void keep(taken_t *taken, const char *value)
{
    taken->values = fw_realloc(taken->values, taken->count + 1, sizeof *taken->values);
    taken->values[taken->count++] = value;
}

/* Reads one argument of the table at argv[0]; *ret_used is how many it took. */
static int take_one(const fw_argument_t *row, taken_t *taken, int argc, char **argv, int *ret_used,
                    char ret_error[FW_ARGUMENT_ERROR_SIZE])
{
    const char *equals = strchr(argv[0], '=');
    *ret_used = 1;
    if (row->kind != FW_ARGUMENT_LIST && taken->count > 0)
        return fail(ret_error, row, "is given twice");
    if (taken->count >= FW_ARGUMENT_VALUES_MAX)
        return fail(ret_error, row, "is given too often");
    if (row->kind == FW_ARGUMENT_FLAG) {
        if (equals)
            return fail(ret_error, row, "takes no value");
        keep(taken, "");
        return 0;
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value) {
        /* The next flag is not taken for a value; "--name=--value" says that it is one. */
        if (argc < 2 || strncmp(argv[1], "--", 2) == 0)
            return fail(ret_error, row, "needs a value");
        value = argv[1];
        *ret_used = 2;
    }
    keep(taken, value);
    return 0;
}

int fw_arguments_take(const fw_argument_t *table, size_t count, int *argc, char **argv,
                      fw_arguments_t **ret_arguments, char ret_error[FW_ARGUMENT_ERROR_SIZE])
{
    fw_arguments_t *self = fw_alloc(1, sizeof *self);
    self->table = table;
    self->count = count;
    self->taken = fw_alloc(count ? count : 1, sizeof *self->taken);
    int next = *argc > 0 ? 1 : 0;
    int kept = next;
    bool only_words = false;
    while (next < *argc) {
        size_t row = only_words ? count : find_row(table, count, argv[next]);
        only_words |= strcmp(argv[next], "--") == 0;
        if (row == count) {
            argv[kept++] = argv[next++];
            continue;
        }
        int used = 0;
        int result =
            take_one(&table[row], &self->taken[row], *argc - next, argv + next, &used, ret_error);
        if (result != 0) {
            fw_arguments_destroy(&self);
            return result;
        }
        next += used;
    }
    if (kept < *argc)
        argv[kept] = NULL;
    *argc = kept;
    *ret_arguments = self;
    return 0;
}

void fw_arguments_destroy(fw_arguments_t **self_p)
{
    fw_arguments_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free(self->taken[i].values);
    free(self->taken);
    free(self);
    *self_p = NULL;
}

static const taken_t *find_taken(const fw_arguments_t *self, const char *name,
                                 fw_argument_kind_t kind)
{
    size_t row = 0;
    while (row < self->count && strcmp(self->table[row].name, name) != 0)
        row++;
    assert(row < self->count);
    assert(self->table[row].kind == kind);
    (void)kind;
    return &self->taken[row];
}

const char *fw_arguments_text(const fw_arguments_t *self, const char *name)
{
    const taken_t *taken = find_taken(self, name, FW_ARGUMENT_TEXT);
    return taken->count ? taken->values[0] : NULL;
}

size_t fw_arguments_list(const fw_arguments_t *self, const char *name,
                         const char *const **ret_values)
{
    const taken_t *taken = find_taken(self, name, FW_ARGUMENT_LIST);
    *ret_values = taken->values;
    return taken->count;
}

bool fw_arguments_flag(const fw_arguments_t *self, const char *name)
{
    return find_taken(self, name, FW_ARGUMENT_FLAG)->count > 0;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Levenshtein's distance between names of at most NAME_SIZE_MAX bytes. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[NAME_SIZE_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_size];
}

const char *fw_arguments_nearest(const fw_argument_t *table, size_t count, const char *flag)
{
    const char *name = flag + strspn(flag, "-");
    size_t size = strcspn(name, "=:");
    const char *best = NULL;
    size_t best_distance = NEAR_DISTANCE + 1;
    for (size_t i = 0; size <= NAME_SIZE_MAX && i < count; i++) {
        size_t candidate_size = strlen(table[i].name);
        assert(candidate_size <= NAME_SIZE_MAX);
        size_t candidate = distance(name, size, table[i].name, candidate_size);
        if (candidate < best_distance && candidate < size) {
            best = table[i].name;
            best_distance = candidate;
        }
    }
    return best;
}
