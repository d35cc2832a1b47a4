/* command.h - what a subcommand of the freshwire binary is.   SPDX-License-Identifier: MPL-2.0
 * One table (commands.c) names, documents and dispatches them all. */
#pragma once

#include "cli/arguments.h"
#include "runtime/config.h"

/* What scripts may rely on. */
typedef enum {
    FW_EXIT_OK = 0,
    FW_EXIT_FAILURE = 1,
    FW_EXIT_USAGE = 2,       /* the command line is wrong */
    FW_EXIT_CONFIG = 3,      /* the configuration is wrong */
    FW_EXIT_AUTH = 4,        /* a key or secret is missing or was refused */
    FW_EXIT_UNREACHABLE = 5, /* nobody answers */
} fw_exit_t;

typedef struct fw_command fw_command_t;

/* What a command is given. */
typedef struct {
    const fw_command_t *command;
    const fw_config_t *config; /* NULL when the command needs none */
    const fw_arguments_t *arguments;
    const char *word; /* the positional argument, or "" */
    const char *file; /* the configuration file that was read, or NULL */
    int argc; /* the command line behind the command's name, for a reload; argv[0] is the program */
    char *const *argv;
} fw_call_t;

typedef fw_exit_t fw_command_fn(const fw_call_t *call);

struct fw_command {
    const char *name;
    const char *summary; /* one line */
    const char *word;  /* what the usage text calls the positional argument; NULL = there is none */
    const char *words; /* "check|print|doc": it must be one of these; NULL = optional and free */
    const fw_argument_t *arguments;
    size_t arguments_count;
    const char *details;  /* below the flags; may be NULL */
    const char *examples; /* indented lines; may be NULL */
    bool unconfigured;    /* works without a valid configuration */
    fw_command_fn *run;
};

/* All commands, in the order of the help. */
const fw_command_t *fw_commands(size_t *ret_count);
/* NULL when there is none such. */
const fw_command_t *fw_command_find(const char *name);

fw_command_fn fw_broker_command;
fw_command_fn fw_worker_command;
fw_command_fn fw_gateway_command;
fw_command_fn fw_all_command;
fw_command_fn fw_publish_command;
fw_command_fn fw_tail_command;
fw_command_fn fw_audit_command;
fw_command_fn fw_token_command;
fw_command_fn fw_keys_command;
fw_command_fn fw_dead_letters_command;
fw_command_fn fw_reload_command;
fw_command_fn fw_sessions_command;
fw_command_fn fw_config_command;
fw_command_fn fw_healthcheck_command;
fw_command_fn fw_version_command;
fw_command_fn fw_help_command;

/* Writes "freshwire: <message>" to stderr, and the hint on a line of its own unless it is NULL. */
void fw_complain(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));
