/* config_yaml.c - the configuration file.   SPDX-License-Identifier: MPL-2.0
 * Read from libyaml's events, so that depth and aliases are refused before anything is built from
 * them. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "runtime/alloc.h"
#include "runtime/config_internal.h"

/* A key that was read, by its whole path. */
typedef struct {
    char *path;
    size_t line;
} seen_t;

typedef struct {
    fw_config_t *config;
    const char *name; /* of the file */
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    unsigned depth;                        /* open mappings */
    char path[FW_CONFIG_NAME_MAX];         /* of the current key, "" at the top */
    char origin[FW_CONFIG_SHOWN_MAX + 24]; /* "name:line" of the current key */
    size_t key_line;                       /* the same line */
    seen_t *seen; /* unknown keys are refused, so this is bounded by the table */
    size_t seen_count;
    fw_config_error_t *error; /* filled at the first failure */
} reader_t;

/* Line of the current event, or of the parser's problem. */
static int fail_at(reader_t *self, size_t line, const char *what)
{
    char name[FW_CONFIG_SHOWN_MAX];
    fw_config_show(self->name, name);
    if (self->path[0])
        return fw_config_fail(self->error, -EINVAL, "%s:%zu: %s: %s", name, line + 1, self->path,
                              what);
    return fw_config_fail(self->error, -EINVAL, "%s:%zu: %s", name, line + 1, what);
}

static int fail_here(reader_t *self, const char *what)
{
    return fail_at(self, self->event.start_mark.line, what);
}

static int fail_parse(reader_t *self)
{
    const yaml_parser_t *parser = &self->parser;
    /* A bad byte has no line, only an offset. */
    size_t line = parser->problem_mark.line;
    if (parser->error == YAML_READER_ERROR)
        line = parser->mark.line;
    self->path[0] = 0;
    return fail_at(self, line, parser->problem ? parser->problem : "not YAML");
}

/* Moves to the next event. Aliases, anchors and tags would let a file mean something else than it
 * shows. */
static int next(reader_t *self)
{
    if (self->has_event)
        yaml_event_delete(&self->event);
    self->has_event = yaml_parser_parse(&self->parser, &self->event) == 1;
    if (!self->has_event)
        return fail_parse(self);
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    switch (self->event.type) {
    case YAML_ALIAS_EVENT:
        return fail_here(self, "aliases are not allowed");
    case YAML_SCALAR_EVENT:
        anchor = self->event.data.scalar.anchor;
        tag = self->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = self->event.data.sequence_start.anchor;
        tag = self->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = self->event.data.mapping_start.anchor;
        tag = self->event.data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return fail_here(self, "anchors are not allowed");
    if (tag)
        return fail_here(self, "tags are not allowed");
    return 0;
}

/* "", "~" and "null" without quotes: the value is left as it is. */
static bool is_null(const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)event->data.scalar.value;
    return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* True when some option's path begins with the path and a dot. */
static bool is_section(const fw_config_t *config, const char *path)
{
    size_t size = strlen(path);
    for (size_t i = 0; i < config->count; i++)
        if (strncmp(config->table[i].path, path, size) == 0 && config->table[i].path[size] == '.')
            return true;
    return false;
}

/* The option whose "_file" twin the path is, or -1. */
static int find_file_twin(const fw_config_t *config, const char *path)
{
    static const char end[] = "_file";
    size_t size = strlen(path);
    if (size <= strlen(end) || strcmp(path + size - strlen(end), end) != 0)
        return -1;
    char option_path[FW_CONFIG_NAME_MAX];
    memcpy(option_path, path, size - strlen(end));
    option_path[size - strlen(end)] = 0;
    int option = fw_config_find(config->table, config->count, option_path);
    return option >= 0 && fw_config_is_secret(&config->table[option]) ? option : -1;
}

static int fail_unknown(reader_t *self)
{
    fw_config_nearest_t nearest = {.best = ""};
    for (size_t i = 0; i < self->config->count; i++) {
        const char *path = self->config->table[i].path;
        fw_config_consider(&nearest, self->path, path);
        for (const char *dot = path; (dot = strchr(dot, '.')); dot++) {
            char section[FW_CONFIG_NAME_MAX];
            memcpy(section, path, (size_t)(dot - path));
            section[dot - path] = 0;
            fw_config_consider(&nearest, self->path, section);
        }
    }
    if (!nearest.best[0])
        return fail_at(self, self->key_line, "unknown option");
    char what[FW_CONFIG_NAME_MAX + 48];
    (void)snprintf(what, sizeof what, "unknown option; did you mean %s?", nearest.best);
    return fail_at(self, self->key_line, what);
}

static int refuse_twice(reader_t *self)
{
    for (size_t i = 0; i < self->seen_count; i++) {
        if (strcmp(self->seen[i].path, self->path) != 0)
            continue;
        char what[64];
        (void)snprintf(what, sizeof what, "is given twice; first in line %zu",
                       self->seen[i].line + 1);
        return fail_here(self, what);
    }
    self->seen = fw_realloc(self->seen, self->seen_count + 1, sizeof *self->seen);
    self->seen[self->seen_count++] = (seen_t){.path = fw_copy_text(self->path, strlen(self->path)),
                                              .line = self->event.start_mark.line};
    return 0;
}

/* Appends the key in the current event to the path. */
static int enter_key(reader_t *self)
{
    if (self->event.type != YAML_SCALAR_EVENT)
        return fail_here(self, "a key must be a text");
    const char *text = (const char *)self->event.data.scalar.value;
    if (strlen(text) != self->event.data.scalar.length)
        return fail_here(self, "a key must be free of zero bytes");
    char key[FW_CONFIG_SHOWN_MAX];
    fw_config_show(text, key);
    size_t used = strlen(self->path);
    int size = snprintf(self->path + used, sizeof self->path - used, "%s%s", used ? "." : "", key);
    if (size < 0 || (size_t)size >= sizeof self->path - used)
        return fail_here(self, "the name is too long");
    self->key_line = self->event.start_mark.line;
    char name[FW_CONFIG_SHOWN_MAX];
    fw_config_show(self->name, name);
    (void)snprintf(self->origin, sizeof self->origin, "%s:%zu", name, self->key_line + 1);
    return refuse_twice(self);
}

/* From the start of a sequence to its end. */
static int read_sequence(reader_t *self, size_t option)
{
    char **items = fw_alloc(FW_CONFIG_LIST_MAX, sizeof *items);
    size_t count = 0;
    int result;
    while ((result = next(self)) == 0 && self->event.type != YAML_SEQUENCE_END_EVENT) {
        const char *text = (const char *)self->event.data.scalar.value;
        if (self->event.type != YAML_SCALAR_EVENT || is_null(&self->event))
            result = fail_here(self, "an item of the list must be a text");
        else if (strlen(text) != self->event.data.scalar.length)
            result = fail_here(self, "an item must be free of zero bytes");
        else if (count == FW_CONFIG_LIST_MAX)
            result = fail_here(self, "a list has at most 1024 items");
        if (result != 0)
            break;
        items[count++] = fw_copy_text(text, self->event.data.scalar.length);
    }
    fw_config_place_t place = {.layer = FW_LAYER_FILE, .origin = self->origin};
    if (result == 0)
        result = fw_config_set_items(self->config, option, place, (const char *const *)items, count,
                                     self->error);
    for (size_t i = 0; i < count; i++)
        free(items[i]);
    free(items);
    return result;
}

static int read_option(reader_t *self, size_t option, bool from_file)
{
    fw_config_place_t place = {.layer = FW_LAYER_FILE, .origin = self->origin};
    if (is_null(&self->event))
        return 0;
    if (self->event.type == YAML_SEQUENCE_START_EVENT && !from_file)
        return read_sequence(self, option);
    if (self->event.type != YAML_SCALAR_EVENT)
        return fail_here(self, "must be a value, not a section");
    const char *text = (const char *)self->event.data.scalar.value;
    size_t size = self->event.data.scalar.length;
    if (!from_file)
        return fw_config_set(self->config, option, place, text, size, self->error);
    if (strlen(text) != size)
        return fail_here(self, "must be free of zero bytes");
    return fw_config_set_from_file(self->config, option, place, text, self->error);
}

static int read_mapping(reader_t *self);

/* The value of the key in path; the current event is its first. */
static int read_value(reader_t *self)
{
    const fw_config_t *config = self->config;
    int option = fw_config_find(config->table, config->count, self->path);
    if (option >= 0)
        return read_option(self, (size_t)option, false);
    int twin = find_file_twin(config, self->path);
    if (twin >= 0)
        return read_option(self, (size_t)twin, true);
    if (!is_section(config, self->path))
        return fail_unknown(self);
    if (is_null(&self->event))
        return 0;
    if (self->event.type != YAML_MAPPING_START_EVENT)
        return fail_here(self, "is a section and has no value of its own");
    return read_mapping(self);
}

/* From the start of a mapping to its end. Its depth is bounded by the number of dots in the longest
 * option. */
static int read_mapping(reader_t *self)
{
    if (++self->depth > FW_CONFIG_DEPTH_MAX)
        return fail_here(self, "sections are nested too deeply");
    size_t used = strlen(self->path);
    int result;
    while ((result = next(self)) == 0 && self->event.type != YAML_MAPPING_END_EVENT) {
        result = enter_key(self);
        if (result == 0)
            result = next(self);
        if (result == 0)
            result = read_value(self);
        if (result != 0)
            return result;
        self->path[used] = 0;
    }
    self->depth--;
    return result;
}

/* Nothing, or one document that is a mapping. */
static int read_stream(reader_t *self)
{
    int result = next(self);
    if (result == 0)
        result = next(self);
    if (result != 0 || self->event.type == YAML_STREAM_END_EVENT)
        return result;
    assert(self->event.type == YAML_DOCUMENT_START_EVENT);
    result = next(self);
    if (result != 0)
        return result;
    if (self->event.type == YAML_MAPPING_START_EVENT)
        result = read_mapping(self);
    else if (!is_null(&self->event))
        result = fail_here(self, "the file must be a mapping of options");
    if (result == 0)
        result = next(self);
    if (result == 0)
        result = next(self);
    if (result == 0 && self->event.type != YAML_STREAM_END_EVENT)
        result = fail_here(self, "the file must hold one document");
    return result;
}

int fw_config_read_yaml(fw_config_t *self, const char *name, const char *bytes, size_t size,
                        fw_config_error_t *ret_error)
{
    reader_t reader = {.config = self, .name = name, .error = ret_error};
    if (yaml_parser_initialize(&reader.parser) != 1)
        abort(); /* out of memory, as in fw_alloc */
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, size);
    int result = read_stream(&reader);
    if (reader.has_event)
        yaml_event_delete(&reader.event);
    for (size_t i = 0; i < reader.seen_count; i++)
        free(reader.seen[i].path);
    free(reader.seen);
    yaml_parser_delete(&reader.parser);
    return result;
}
