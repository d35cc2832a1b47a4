/* config_internal.h - what the parts of the configuration share.   SPDX-License-Identifier: MPL-2.0
 * Internal to runtime/ and its tests. Each layer overwrites what the layer before it set; within
 * one layer every option is set at most once. */
#pragma once

#include "runtime/config.h"

enum {
    FW_CONFIG_FILE_BYTES_MAX = 1024 * 1024,
    FW_CONFIG_SECRET_BYTES_MAX = 64 * 1024,
    FW_CONFIG_LIST_MAX = 1024, /* items of one list */
    FW_CONFIG_DEPTH_MAX = 8,   /* sections inside sections */
    FW_CONFIG_NAME_MAX = 96,   /* a path, a variable or a flag, with its closing 0 */
    FW_CONFIG_SHOWN_MAX = 100, /* a foreign text inside a message, with its closing 0 */
    FW_CONFIG_NUMBER_MAX = 32, /* a number with its unit, with its closing 0 */
};

typedef enum {
    FW_LAYER_DEFAULT,
    FW_LAYER_FILE,
    FW_LAYER_ENVIRONMENT,
    FW_LAYER_FLAGS,
} fw_layer_t;

typedef struct {
    fw_layer_t layer;
    char *origin;
    char *text;     /* TEXT, SECRET, CHOICE; never NULL */
    int64_t number; /* NUMBER, DURATION, BYTES; BOOL as 0 or 1 */
    char **items;   /* LIST, SECRETS */
    size_t item_count;
} fw_config_value_t;

struct fw_config {
    const fw_option_t *table;
    size_t count;
    fw_config_value_t *values; /* one per option */
};

/* Where a value is being read: the layer, and the printable name to give in messages and as origin.
 */
typedef struct {
    fw_layer_t layer;
    const char *origin;
} fw_config_place_t;

/* config.c: every option at its default. */
fw_config_t *fw_config_make(const fw_option_t *table, size_t count)
    __attribute__((warn_unused_result));
/* Index of the option, or -1. */
int fw_config_find(const fw_option_t *table, size_t count, const char *path);
/* Writes the message, cut to its size, and returns result. */
int fw_config_fail(fw_config_error_t *ret_error, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

/* config_values.c: set one option from text (lists: comma-separated), from items, or from the
 * content of a file. 0, or a negative errno with ret_error. */
int fw_config_set(fw_config_t *self, size_t option, fw_config_place_t place, const char *text,
                  size_t size, fw_config_error_t *ret_error) __attribute__((warn_unused_result));
int fw_config_set_items(fw_config_t *self, size_t option, fw_config_place_t place,
                        const char *const *items, size_t count, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
int fw_config_set_from_file(fw_config_t *self, size_t option, fw_config_place_t place,
                            const char *file, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
/* A number of a kind, with its unit. 0, -EINVAL, or -ERANGE when it has more than 63 bits. */
int fw_config_parse_number(fw_option_kind_t kind, const char *text, int64_t *ret_number)
    __attribute__((warn_unused_result));
bool fw_config_is_secret(const fw_option_t *option);
/* A number as a user would write it: "5s", "64KiB", "12". */
void fw_config_format(fw_option_kind_t kind, int64_t number, char ret_text[FW_CONFIG_NUMBER_MAX]);

/* config_names.c, pure: the names of an option, and foreign text made fit for a message. */
void fw_config_variable(const char *path, char ret_name[FW_CONFIG_NAME_MAX]);
void fw_config_flag(const char *path, char ret_name[FW_CONFIG_NAME_MAX]);
void fw_config_show(const char *text, char ret_text[FW_CONFIG_SHOWN_MAX]);
/* Edits (insert, delete, replace, swap of neighbours) between two texts; limit + 1 when there are
 * more than limit. */
unsigned fw_config_distance(const char *a, const char *b, unsigned limit);
/* Remembers the name nearest to a wrong one; begin with .best = "". */
typedef struct {
    char best[FW_CONFIG_NAME_MAX];
    unsigned distance;
} fw_config_nearest_t;
void fw_config_consider(fw_config_nearest_t *self, const char *wrong, const char *known);

/* Reads a whole file of at most size_max bytes; the caller frees *ret_bytes, which is closed by a
 * 0. 0, -EFBIG or a negative errno. */
int fw_config_read_file(const char *file, size_t size_max, char **ret_bytes, size_t *ret_size)
    __attribute__((warn_unused_result));

/* The three layers. name stands in messages and origins. */
int fw_config_read_yaml(fw_config_t *self, const char *name, const char *bytes, size_t size,
                        fw_config_error_t *ret_error) __attribute__((warn_unused_result));
int fw_config_read_environment(fw_config_t *self, char *const *environment,
                               fw_config_error_t *ret_error) __attribute__((warn_unused_result));
int fw_config_read_flags(fw_config_t *self, int *argc, char **argv, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
