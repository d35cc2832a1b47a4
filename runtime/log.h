/* log.h - one line per event, to stderr, one write(2) each.   SPDX-License-Identifier: MPL-2.0
 * JSON lines, or coloured text when stderr is a terminal. Any thread. Never give it a payload or a
 * token. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum { FW_LOG_ERROR, FW_LOG_WARN, FW_LOG_INFO, FW_LOG_DEBUG } fw_log_level_t;
typedef enum { FW_LOG_AUTO, FW_LOG_JSON, FW_LOG_TEXT } fw_log_format_t;

typedef struct {
    const char *key;
    enum { FW_LOG_FIELD_END, FW_LOG_FIELD_TEXT, FW_LOG_FIELD_INT, FW_LOG_FIELD_UINT } kind;
    const char *text;
    int64_t number; /* UINT: the same bits */
} fw_log_field_t;

#define FW_KV_TEXT(k, v) ((fw_log_field_t){.key = (k), .kind = FW_LOG_FIELD_TEXT, .text = (v)})
#define FW_KV_INT(k, v)                                                                            \
    ((fw_log_field_t){.key = (k), .kind = FW_LOG_FIELD_INT, .number = (int64_t)(v)})
#define FW_KV_UINT(k, v)                                                                           \
    ((fw_log_field_t){.key = (k), .kind = FW_LOG_FIELD_UINT, .number = (int64_t)(v)})
#define FW_KV_ERROR(result) FW_KV_TEXT("error", fw_log_error_text(result))

/* fw_log(FW_LOG_INFO, "worker joined", FW_KV_TEXT("worker", name), FW_KV_UINT("capacity", n)); */
#define fw_log(level, message, ...)                                                                \
    fw_log_write((level), (message),                                                               \
                 (const fw_log_field_t[]){__VA_ARGS__ __VA_OPT__(, ){.kind = FW_LOG_FIELD_END}})

/* Process-wide, set before the first actor starts. */
void fw_log_setup(fw_log_level_t level, fw_log_format_t format);
/* May be called at any time (RELOAD). */
void fw_log_set_level(fw_log_level_t level);
bool fw_log_enabled(fw_log_level_t level);
/* The name of this thread in its lines; borrowed for the thread's life. */
void fw_log_set_actor(const char *name);
void fw_log_write(fw_log_level_t level, const char *message, const fw_log_field_t *fields);
/* The meaning of a negative errno, ZeroMQ's own ones included; static text. */
const char *fw_log_error_text(int result);
/* Parses "error", "warn", "info", "debug". 0 or -EINVAL. */
int fw_log_level_parse(const char *text, fw_log_level_t *ret_level)
    __attribute__((warn_unused_result));

/* Bounds what a peer can make us log: one bucket per call site or peer, owned by one thread. */
typedef struct {
    int64_t window_started_ms;
    unsigned allowed; /* lines so far in this window */
    uint64_t suppressed;
} fw_log_limit_t;

/* True at most ten times in ten seconds; *ret_suppressed is how many were held back before this
 * one. */
bool fw_log_limited(fw_log_limit_t *self, int64_t now_ms, uint64_t *ret_suppressed);
