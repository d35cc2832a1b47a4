/* log.c - one line per event, to stderr, one write(2) each.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "runtime/clock.h"
#include "runtime/json.h"
#include "runtime/log_route.h"

enum {
    LINE_SIZE_MAX = PIPE_BUF, /* a write of this size to a pipe is never mixed with another one */
    LINE_RESERVE = 64, /* room for the quote, the colour's end, the marker and the line's end */
    LIMIT_LINES = 10,
    LIMIT_WINDOW_MS = 10000,
};

typedef struct {
    char bytes[LINE_SIZE_MAX];
    size_t size;
    bool truncated; /* something did not fit; nothing more is added but what closes the line */
} line_t;

/* Set before the first actor starts, but for the level, which RELOAD may change. */
static atomic_int current_level = FW_LOG_INFO;
static atomic_bool as_text;
static atomic_bool in_colour;

static _Thread_local const char *actor_name = "main";

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void fw_log_setup(fw_log_level_t level, fw_log_format_t format)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    const char *no_colour = getenv("NO_COLOR");
    atomic_store(&as_text, format == FW_LOG_TEXT || (format == FW_LOG_AUTO && terminal));
    atomic_store(&in_colour, terminal && !(no_colour && *no_colour));
    fw_log_set_level(level);
    fw_log_route_czmq();
    fw_log_route_websockets();
}

void fw_log_set_level(fw_log_level_t level)
{
    atomic_store(&current_level, (int)level);
}

bool fw_log_enabled(fw_log_level_t level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void fw_log_set_actor(const char *name)
{
    actor_name = name;
}

int fw_log_level_parse(const char *text, fw_log_level_t *ret_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (fw_log_level_t)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *fw_log_error_text(int result)
{
    return zmq_strerror(result < 0 ? -result : result);
}

/* All of it or nothing; after the first thing that did not fit, nothing. */
static void put(line_t *line, const char *bytes, size_t size)
{
    /* A closing quote may already stand in the reserve. */
    if (line->truncated || line->size + size > LINE_SIZE_MAX - LINE_RESERVE) {
        line->truncated = true;
        return;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void put_text(line_t *line, const char *text)
{
    put(line, text, strlen(text));
}

/* What closes the line; the reserve has room for it. */
static void put_end(line_t *line, const char *text)
{
    size_t size = strlen(text);
    assert(size <= LINE_SIZE_MAX - line->size);
    memcpy(line->bytes + line->size, text, size);
    line->size += size;
}

static void put_escaped(line_t *line, const char *text)
{
    char piece[FW_JSON_PIECE_MAX];
    size_t size;
    while (!line->truncated && (size = fw_json_escape(&text, piece)) > 0)
        put(line, piece, size);
}

static void put_quoted(line_t *line, const char *text)
{
    size_t begin = line->size;
    put_text(line, "\"");
    put_escaped(line, text);
    /* A string that was begun is also closed, with a byte of the reserve when it was cut. */
    if (line->size > begin)
        put_end(line, "\"");
}

static void put_time(line_t *line, bool with_date)
{
    int64_t wall_us = fw_clock_wall_us();
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm parts = {0};
    (void)gmtime_r(&seconds, &parts);
    char text[40] = "";
    if (with_date)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    else
        (void)strftime(text, sizeof text, "%H:%M:%S", &parts);
    put_text(line, text);
    (void)snprintf(text, sizeof text, ".%06" PRId64 "Z", wall_us % 1000000);
    put_text(line, text);
}

static void put_number(line_t *line, const fw_log_field_t *field)
{
    char text[24];
    if (field->kind == FW_LOG_FIELD_INT)
        (void)snprintf(text, sizeof text, "%" PRId64, field->number);
    else
        (void)snprintf(text, sizeof text, "%" PRIu64, (uint64_t)field->number);
    put_text(line, text);
}

static void put_json(line_t *line, fw_log_level_t level, const char *message,
                     const fw_log_field_t *fields)
{
    put_text(line, "{\"ts\":\"");
    put_time(line, true);
    put_text(line, "\",\"level\":\"");
    put_text(line, level_names[level]);
    put_text(line, "\",\"actor\":");
    put_quoted(line, actor_name);
    put_text(line, ",\"msg\":");
    put_quoted(line, message);
    for (const fw_log_field_t *field = fields; field->kind != FW_LOG_FIELD_END; field++) {
        size_t begin = line->size;
        put_text(line, ",");
        put_quoted(line, field->key);
        put_text(line, ":");
        bool key_fits = !line->truncated;
        size_t value_begin = line->size;
        if (field->kind == FW_LOG_FIELD_TEXT)
            put_quoted(line, field->text ? field->text : "");
        else
            put_number(line, field);
        /* Half a field would not be JSON; only a text may be cut. */
        if (!key_fits || line->size == value_begin)
            line->size = begin;
        if (line->truncated)
            break;
    }
    if (line->truncated)
        put_end(line, ",\"truncated\":true");
    put_end(line, "}\n");
}

/* Bare when it cannot be misread, else quoted and escaped. */
static void put_readable(line_t *line, const char *text)
{
    bool bare = *text != 0;
    for (const char *cursor = text; bare && *cursor; cursor++)
        bare = (unsigned char)*cursor > ' ' && (unsigned char)*cursor < 0x7f &&
               !strchr("\"\\=", *cursor);
    if (bare)
        put_text(line, text);
    else
        put_quoted(line, text);
}

static void put_plain(line_t *line, fw_log_level_t level, const char *message,
                      const fw_log_field_t *fields)
{
    static const char *const colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[36m"};
    static const char *const labels[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};
    bool colour = atomic_load_explicit(&in_colour, memory_order_relaxed);
    put_time(line, false);
    put_text(line, " ");
    put_text(line, colour ? colours[level] : "");
    put_text(line, labels[level]);
    put_text(line, colour ? "\033[0m [" : " [");
    put_escaped(line, actor_name);
    put_text(line, "] ");
    put_escaped(line, message);
    for (const fw_log_field_t *field = fields; field->kind != FW_LOG_FIELD_END; field++) {
        put_text(line, colour ? " \033[2m" : " ");
        put_escaped(line, field->key);
        put_text(line, colour ? "=\033[0m" : "=");
        if (field->kind == FW_LOG_FIELD_TEXT)
            put_readable(line, field->text ? field->text : "");
        else
            put_number(line, field);
    }
    if (line->truncated)
        put_end(line, colour ? "\033[0m [truncated]" : " [truncated]");
    put_end(line, "\n");
}

void fw_log_write(fw_log_level_t level, const char *message, const fw_log_field_t *fields)
{
    if (!fw_log_enabled(level))
        return;
    int errno_before = errno;
    line_t line;
    line.size = 0;
    line.truncated = false;
    if (atomic_load_explicit(&as_text, memory_order_relaxed))
        put_plain(&line, level, message, fields);
    else
        put_json(&line, level, message, fields);
    ssize_t written;
    do
        written = write(STDERR_FILENO, line.bytes, line.size);
    while (written < 0 && errno == EINTR);
    /* A log that nobody can read is no reason to stop, and a line of it changes nothing for the
     * caller. */
    errno = errno_before;
}

bool fw_log_limited(fw_log_limit_t *self, int64_t now_ms, uint64_t *ret_suppressed)
{
    if (self->allowed == 0 || now_ms - self->window_started_ms >= LIMIT_WINDOW_MS) {
        self->window_started_ms = now_ms;
        self->allowed = 0;
    }
    if (self->allowed == LIMIT_LINES) {
        self->suppressed++;
        return false;
    }
    self->allowed++;
    *ret_suppressed = self->suppressed;
    self->suppressed = 0;
    return true;
}
