/* config.h - one option table; YAML file < environment < flags.   SPDX-License-Identifier: MPL-2.0
 * The table names, types, bounds, documents and defaults every option; it is also what "config doc"
 * prints. A value that is not allowed is refused with its origin (file:line, variable or flag), the
 * limit and the value; an unknown name with the nearest known one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    FW_OPTION_TEXT,
    FW_OPTION_SECRET,   /* text, masked when printed; NAME_FILE reads it from a file */
    FW_OPTION_LIST,     /* texts: a YAML sequence, or comma-separated */
    FW_OPTION_SECRETS,  /* a list, masked; NAME_FILE holds one a line */
    FW_OPTION_NUMBER,   /* integer */
    FW_OPTION_BOOL,     /* true, false */
    FW_OPTION_DURATION, /* "200ms", "5s", "10m", "1h"; milliseconds */
    FW_OPTION_BYTES,    /* "64KiB", "1MiB", "100"; bytes */
    FW_OPTION_CHOICE,   /* one of choices, separated by '|' */
} fw_option_kind_t;

typedef struct {
    const char *path; /* "gateway.listen"; the environment name is FRESHWIRE_GATEWAY_LISTEN, the
                         flag --gateway-listen */
    fw_option_kind_t kind;
    const char *fallback; /* default, as text; NULL = empty or 0, if that is allowed */
    int64_t min, max;     /* numbers, durations, bytes: allowed range; both 0 = any */
    const char *choices;
    const char *help; /* one sentence for the documentation */
} fw_option_t;

typedef struct fw_config fw_config_t;

typedef struct {
    char text[512]; /* "freshwire.yaml:12: gateway.lisen: unknown option; did you mean
                       gateway.listen?" */
} fw_config_error_t;

/* Reads all layers. file may be NULL; environment is a NULL-ended "NAME=value" array (environ) or
 * NULL; flags are
 * "--name=value", "--name value", "--bool-name" and "--no-bool-name", of which *argc/argv keeps
 * what is not a known flag (positional arguments; everything after "--"). An unknown "--flag", or
 * an unknown FRESHWIRE_ name, is an error. The table must outlive the result. 0, or -EINVAL /
 * -ENOENT / -EACCES … with ret_error. */
int fw_config_load(const fw_option_t *table, size_t count, const char *file,
                   char *const *environment, int *argc, char **argv, fw_config_t **ret_config,
                   fw_config_error_t *ret_error) __attribute__((warn_unused_result));
void fw_config_destroy(fw_config_t **self_p);

/* Values; the path must be in the table with that kind (assert). Texts are borrowed from the
 * config. */
const char *fw_config_text(const fw_config_t *self,
                           const char *path); /* TEXT, SECRET, CHOICE; "" when empty */
int64_t fw_config_number(const fw_config_t *self,
                         const char *path); /* NUMBER, DURATION (ms), BYTES */
bool fw_config_bool(const fw_config_t *self, const char *path);
size_t fw_config_list(const fw_config_t *self, const char *path,
                      const char *const **ret_texts); /* LIST, SECRETS */
/* Where a value came from: "default", "freshwire.yaml:12", "FRESHWIRE_X", "--x". */
const char *fw_config_origin(const fw_config_t *self, const char *path);

/* Every value as YAML with its origin as a comment; secrets are masked. */
void fw_config_print(const fw_config_t *self, FILE *out);
/* The table as Markdown, grouped by the part before the first dot. */
void fw_config_document(const fw_option_t *table, size_t count, FILE *out);
