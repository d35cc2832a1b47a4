/* arguments.h - the flags of one command, taken out of the command line.   SPDX-License-Identifier:
 * MPL-2.0 Pure. Options of the configuration (cli/options.h) are left where they are; these are the
 * others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    FW_ARGUMENT_TEXT, /* --name VALUE, once */
    FW_ARGUMENT_LIST, /* --name VALUE, any number of times */
    FW_ARGUMENT_FLAG, /* --name */
} fw_argument_kind_t;

typedef struct {
    const char *name; /* without the dashes */
    fw_argument_kind_t kind;
    const char *value; /* what the usage text calls the value; NULL for FLAG */
    const char *help;
} fw_argument_t;

enum {
    FW_ARGUMENT_VALUES_MAX = 4096, /* of one LIST */
    FW_ARGUMENT_ERROR_SIZE = 256,
};

typedef struct fw_arguments fw_arguments_t;

/* Takes "--name=value", "--name value" and "--name" of the table out of argv (from argv[1], up to
 * "--") and leaves the rest in order. Values are borrowed from argv. 0, or -EINVAL with ret_error
 * (a value is missing, or given twice). */
int fw_arguments_take(const fw_argument_t *table, size_t count, int *argc, char **argv,
                      fw_arguments_t **ret_arguments, char ret_error[FW_ARGUMENT_ERROR_SIZE])
    __attribute__((warn_unused_result));
void fw_arguments_destroy(fw_arguments_t **self_p);

/* Names must be in the table with that kind (assert). */
const char *fw_arguments_text(const fw_arguments_t *self,
                              const char *name); /* NULL when not given */
size_t fw_arguments_list(const fw_arguments_t *self, const char *name,
                         const char *const **ret_values);
bool fw_arguments_flag(const fw_arguments_t *self, const char *name);

/* The name nearest to a mistyped flag ("--chanel", also with "=value" or ": message" behind it), or
 * NULL when none is near. */
const char *fw_arguments_nearest(const fw_argument_t *table, size_t count, const char *flag);
