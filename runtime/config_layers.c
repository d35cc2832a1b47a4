/* config_layers.c - environment and flags.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"

/* What a variable or flag name stands for. */
typedef struct {
    int option;     /* -1: unknown */
    bool from_file; /* the value names a file that holds the secret */
    bool negated;   /* --no-name */
} meaning_t;

typedef void name_fn(const char *path, char ret_name[FW_CONFIG_NAME_MAX]);

static bool matches(const char *name, const char *prefix, const char *suffix)
{
    size_t size = strlen(prefix);
    return strncmp(name, prefix, size) == 0 && strcmp(name + size, suffix) == 0;
}

static meaning_t find_variable(const fw_config_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        char known[FW_CONFIG_NAME_MAX];
        fw_config_variable(self->table[i].path, known);
        if (strcmp(name, known) == 0)
            return (meaning_t){.option = (int)i};
        if (fw_config_is_secret(&self->table[i]) && matches(name, known, "_FILE"))
            return (meaning_t){.option = (int)i, .from_file = true};
    }
    return (meaning_t){.option = -1};
}

static meaning_t find_flag(const fw_config_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        char known[FW_CONFIG_NAME_MAX];
        fw_config_flag(self->table[i].path, known);
        if (strcmp(name, known) == 0)
            return (meaning_t){.option = (int)i};
        if (fw_config_is_secret(&self->table[i]) && matches(name, known, "-file"))
            return (meaning_t){.option = (int)i, .from_file = true};
        if (self->table[i].kind == FW_OPTION_BOOL && matches(name, "--no-", known + 2))
            return (meaning_t){.option = (int)i, .negated = true};
    }
    return (meaning_t){.option = -1};
}

static int fail_unknown(const fw_config_t *self, name_fn *name_of, const char *name,
                        const char *what, fw_config_error_t *ret_error)
{
    fw_config_nearest_t nearest = {.best = ""};
    for (size_t i = 0; i < self->count; i++) {
        char known[FW_CONFIG_NAME_MAX];
        name_of(self->table[i].path, known);
        fw_config_consider(&nearest, name, known);
    }
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_show(name, shown);
    if (!nearest.best[0])
        return fw_config_fail(ret_error, -EINVAL, "%s: unknown %s", shown, what);
    return fw_config_fail(ret_error, -EINVAL, "%s: unknown %s; did you mean %s?", shown, what,
                          nearest.best);
}

/* Kubernetes and Docker put variables for each service into every container, and a service
 * "freshwire-broker" makes FRESHWIRE_BROKER_SERVICE_HOST, FRESHWIRE_BROKER_PORT=tcp://…,
 * FRESHWIRE_BROKER_PORT_7001_TCP_ADDR and so on. */
static bool is_service_link(const char *name, const char *value)
{
    if (strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT"))
        return true;
    const char *port = strstr(name, "_PORT");
    if (!port)
        return false;
    port += strlen("_PORT");
    if (*port == 0)
        return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
    if (*port != '_' || !isdigit((unsigned char)port[1]))
        return false;
    port += 1 + strspn(port + 1, "0123456789");
    return strncmp(port, "_TCP", 4) == 0 || strncmp(port, "_UDP", 4) == 0;
}

static int set(fw_config_t *self, meaning_t meaning, fw_config_place_t place, const char *value,
               fw_config_error_t *ret_error)
{
    size_t option = (size_t)meaning.option;
    if (meaning.from_file)
        return fw_config_set_from_file(self, option, place, value, ret_error);
    return fw_config_set(self, option, place, value, strlen(value), ret_error);
}

static int read_variable(fw_config_t *self, const char *entry, fw_config_error_t *ret_error)
{
    const char *equals = strchr(entry, '=');
    /* Empty is the same as unset: that is how a template leaves a value out. */
    if (strncmp(entry, "FRESHWIRE_", strlen("FRESHWIRE_")) != 0 || !equals || !equals[1])
        return 0;
    char *name = fw_copy_text(entry, (size_t)(equals - entry));
    meaning_t meaning = find_variable(self, name);
    int result = 0;
    fw_config_place_t place = {FW_LAYER_ENVIRONMENT, name};
    if (meaning.option >= 0)
        result = set(self, meaning, place, equals + 1, ret_error);
    else if (!is_service_link(name, equals + 1))
        result = fail_unknown(self, fw_config_variable, name, "variable", ret_error);
    free(name);
    return result;
}

int fw_config_read_environment(fw_config_t *self, char *const *environment,
                               fw_config_error_t *ret_error)
{
    int result = 0;
    for (char *const *entry = environment; result == 0 && *entry; entry++)
        result = read_variable(self, *entry, ret_error);
    return result;
}

/* Reads the flag in argv[0], perhaps with its value in argv[1]. *ret_used is how many arguments it
 * took. */
static int read_flag(fw_config_t *self, int argc, char *const *argv, int *ret_used,
                     fw_config_error_t *ret_error)
{
    const char *equals = strchrnul(argv[0], '=');
    char *name = fw_copy_text(argv[0], (size_t)(equals - argv[0]));
    char shown[FW_CONFIG_SHOWN_MAX];
    fw_config_show(name, shown);
    meaning_t meaning = find_flag(self, name);
    bool is_bool = meaning.option >= 0 && self->table[meaning.option].kind == FW_OPTION_BOOL;
    const char *value = *equals ? equals + 1 : NULL;
    int result = 0;
    *ret_used = 1;
    if (meaning.option < 0) {
        result = fail_unknown(self, fw_config_flag, name, "flag", ret_error);
    } else if (meaning.negated && value) {
        result = fw_config_fail(ret_error, -EINVAL, "%s: takes no value", shown);
    } else if (!value && is_bool) {
        value = meaning.negated ? "false" : "true";
    } else if (!value) {
        /* The next flag is not taken for a value; "--name=--value" says that it is one. */
        if (argc < 2 || strncmp(argv[1], "--", 2) == 0)
            result = fw_config_fail(ret_error, -EINVAL, "%s: needs a value", shown);
        else
            value = argv[1];
        *ret_used = 2;
    }
    if (result == 0) {
        assert(value);
        result = set(self, meaning, (fw_config_place_t){FW_LAYER_FLAGS, name}, value, ret_error);
    }
    free(name);
    return result;
}

int fw_config_read_flags(fw_config_t *self, int *argc, char **argv, fw_config_error_t *ret_error)
{
    int kept = 0;
    int next = 0;
    /* The first argument is the program's name. */
    if (*argc > 0)
        argv[kept++] = argv[next++];
    while (next < *argc && strcmp(argv[next], "--") != 0) {
        if (strncmp(argv[next], "--", 2) != 0) {
            argv[kept++] = argv[next++];
            continue;
        }
        int used = 0;
        int result = read_flag(self, *argc - next, argv + next, &used, ret_error);
        if (result != 0)
            return result;
        next += used;
    }
    if (next < *argc)
        next++;
    while (next < *argc)
        argv[kept++] = argv[next++];
    if (kept < *argc)
        argv[kept] = NULL;
    *argc = kept;
    return 0;
}
