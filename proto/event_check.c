/* event_check.c - the rules that every event keeps, wherever it came from.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/channel.h"
#include "proto/codec_internal.h"
#include "proto/json_check.h"
#include "proto/utf8.h"
#include "proto/wire_check.h"

enum { PATTERN_LITERAL_SIZE_MIN = 3 };

#define TS_MAX ((INT64_C(1) << 53) - 1) /* what a browser keeps of a number */

static int refuse(int result, fw_refusal_t *ret_refusal, uint64_t limit, uint64_t value,
                  const char *reason, const char *field, ...) __attribute__((format(printf, 6, 7)));

static int refuse(int result, fw_refusal_t *ret_refusal, uint64_t limit, uint64_t value,
                  const char *reason, const char *field, ...)
{
    va_list arguments;
    *ret_refusal = (fw_refusal_t){.limit = limit, .value = value};
    va_start(arguments, field);
    (void)vsnprintf(ret_refusal->field, sizeof ret_refusal->field, field, arguments);
    va_end(arguments);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return result;
}

static fw_bytes_t as_bytes(fw_text_t text)
{
    return (fw_bytes_t){(const uint8_t *)text.text, text.size};
}

static int check_name(const char *field, fw_text_t text, size_t size_max, fw_refusal_t *ret_refusal)
{
    if (text.size > size_max)
        return refuse(-EMSGSIZE, ret_refusal, size_max, text.size, "is too long", "%s", field);
    if (!fw_utf8_printable(as_bytes(text)))
        return refuse(-EPROTO, ret_refusal, 0, 0, "is not UTF-8 text without control characters",
                      "%s", field);
    return 0;
}

static bool is_type_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':' || c == '/';
}

static int check_type(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    fw_text_t type = event->type;
    if (type.size == 0)
        return refuse(-EPROTO, ret_refusal, 0, 0, "is missing", "type");
    if (type.size > FW_EVENT_TYPE_SIZE_MAX)
        return refuse(-EMSGSIZE, ret_refusal, FW_EVENT_TYPE_SIZE_MAX, type.size, "is too long",
                      "type");
    for (size_t i = 0; i < type.size; i++) {
        if (!is_type_character(type.text[i]))
            return refuse(-EPROTO, ret_refusal, 0, 0,
                          "may hold letters, digits, '_', '-', '.', ':' and '/' only", "type");
    }
    if (type.size >= 3 && memcmp(type.text, "fw.", 3) == 0)
        return refuse(-EPROTO, ret_refusal, 0, 0, "begins with \"fw.\", which is reserved", "type");
    return 0;
}

/* Typed data that no decoder has seen. */
static int check_typed_bytes(const fw_payload_t *data, fw_refusal_t *ret_refusal)
{
    const fw_typed_payload_t *typed = fw_typed_payload_of_type(data->type);
    fw_refusal_t inner;
    if (!typed)
        return refuse(-EPROTO, ret_refusal, 0, 0, "is not a typed payload", "data");
    int result = fw_wire_check(typed->descriptor, data->bytes, &inner);
    if (result == 0)
        return 0;
    bool whole = strcmp(inner.field, "message") == 0;
    return refuse(result == -EMSGSIZE ? result : -EPROTO, ret_refusal, inner.limit, inner.value,
                  inner.reason, "data.%s%s%s", typed->type, whole ? "" : ".",
                  whole ? "" : inner.field);
}

static int check_data(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    const fw_payload_t *data = &event->data;
    if (data->bytes.size > FW_PAYLOAD_SIZE_MAX)
        return refuse(-EMSGSIZE, ret_refusal, FW_PAYLOAD_SIZE_MAX, data->bytes.size, "is too large",
                      "data");
    switch (data->kind) {
    case FW_PAYLOAD_NONE:
    case FW_PAYLOAD_BINARY:
        return 0;
    case FW_PAYLOAD_JSON:
        if (!fw_json_valid(data->bytes))
            return refuse(-EPROTO, ret_refusal, 0, 0, "is not one JSON value", "data");
        return 0;
    case FW_PAYLOAD_TYPED:
        if (!fw_text_equal(event->type, data->type))
            return refuse(-EPROTO, ret_refusal, 0, 0, "does not match the typed data", "type");
        return data->message ? 0 : check_typed_bytes(data, ret_refusal);
    }
    return 0;
}

static int check_audience(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    if (event->audience_count > FW_AUDIENCE_MAX)
        return refuse(-EMSGSIZE, ret_refusal, FW_AUDIENCE_MAX, event->audience_count,
                      "has too many channels", "audience");
    for (size_t i = 0; i < event->audience_count; i++) {
        static const char reason[] = "is not \"broadcast\", \"user:<id>\" or \"room:<id>\"";
        if (fw_channel_kind(event->audience[i]) == FW_CHANNEL_INVALID)
            return refuse(-EPROTO, ret_refusal, 0, 0, reason, "audience[%zu]", i);
        for (size_t k = 0; k < i; k++)
            if (fw_text_equal(event->audience[i], event->audience[k]))
                return refuse(-EPROTO, ret_refusal, 0, 0, "is given twice", "audience[%zu]", i);
    }
    return 0;
}

static int check_texts(const char *field, const fw_text_t *texts, size_t count, size_t count_max,
                       size_t size_max, fw_refusal_t *ret_refusal)
{
    if (count > count_max)
        return refuse(-EMSGSIZE, ret_refusal, count_max, count, "has too many entries", "%s",
                      field);
    for (size_t i = 0; i < count; i++) {
        if (texts[i].size == 0)
            return refuse(-EPROTO, ret_refusal, 0, 0, "is empty", "%s[%zu]", field, i);
        if (texts[i].size > size_max)
            return refuse(-EMSGSIZE, ret_refusal, size_max, texts[i].size, "is too long", "%s[%zu]",
                          field, i);
        if (memchr(texts[i].text, 0, texts[i].size))
            return refuse(-EPROTO, ret_refusal, 0, 0, "holds a zero byte", "%s[%zu]", field, i);
        if (!fw_utf8_valid(as_bytes(texts[i])))
            return refuse(-EPROTO, ret_refusal, 0, 0, "is not UTF-8 text", "%s[%zu]", field, i);
    }
    return 0;
}

/* A sweep costs time for every key of the keyspace; one that begins with a wildcard is nearly
 * always a mistake. */
static int check_patterns(const fw_invalidate_t *invalidate, fw_refusal_t *ret_refusal)
{
    for (size_t i = 0; i < invalidate->patterns_count; i++) {
        size_t literal = strcspn(invalidate->patterns[i].text, "*?[\\");
        if (literal < PATTERN_LITERAL_SIZE_MIN)
            return refuse(-EPROTO, ret_refusal, PATTERN_LITERAL_SIZE_MIN, literal,
                          "begins with too few literal characters", "invalidate.patterns[%zu]", i);
    }
    return 0;
}

static int check_invalidate(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    const fw_invalidate_t *invalidate = &event->invalidate;
    int result = check_texts("invalidate.keys", invalidate->keys, invalidate->keys_count,
                             FW_INVALIDATE_KEYS_MAX, FW_KEY_SIZE_MAX, ret_refusal);
    if (result == 0)
        result = check_texts("invalidate.tags", invalidate->tags, invalidate->tags_count,
                             FW_INVALIDATE_TAGS_MAX, FW_TAG_SIZE_MAX, ret_refusal);
    if (result == 0) {
        result =
            check_texts("invalidate.patterns", invalidate->patterns, invalidate->patterns_count,
                        FW_INVALIDATE_PATTERNS_MAX, FW_KEY_SIZE_MAX, ret_refusal);
    }
    if (result == 0)
        result = check_patterns(invalidate, ret_refusal);
    if (result == 0 && event->audience_count == 0 && invalidate->keys_count == 0 &&
        invalidate->tags_count == 0 && invalidate->patterns_count == 0)
        result = refuse(-EPROTO, ret_refusal, 0, 0,
                        "is empty, and so is invalidate: the event would reach nobody", "audience");
    return result;
}

static int check_names(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    const struct {
        const char *field;
        fw_text_t text;
        size_t size_max;
    } names[] = {
        {"id", event->id, FW_EVENT_ID_SIZE_MAX},
        {"origin", event->origin, FW_ORIGIN_SIZE_MAX},
        {"user_id", event->user_id, FW_USER_ID_SIZE_MAX},
        {"exclude.origin", event->exclude.origin, FW_ORIGIN_SIZE_MAX},
        {"exclude.user_id", event->exclude.user_id, FW_USER_ID_SIZE_MAX},
        {"traceparent", event->traceparent, FW_TRACEPARENT_SIZE_MAX},
    };
    int result = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && result == 0; i++)
        result = check_name(names[i].field, names[i].text, names[i].size_max, ret_refusal);
    return result;
}

static int check_time(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    if (event->ts >= 0 && event->ts <= TS_MAX)
        return 0;
    return refuse(-EPROTO, ret_refusal, (uint64_t)TS_MAX, (uint64_t)event->ts,
                  "is not a time in milliseconds", "ts");
}

int fw_event_check(const fw_event_t *event, fw_refusal_t *ret_refusal)
{
    int result = check_type(event, ret_refusal);
    if (result == 0)
        result = check_names(event, ret_refusal);
    if (result == 0)
        result = check_time(event, ret_refusal);
    if (result == 0)
        result = check_audience(event, ret_refusal);
    if (result == 0)
        result = check_invalidate(event, ret_refusal);
    if (result == 0)
        result = check_data(event, ret_refusal);
    return result;
}
