/* publish_request.c - see publish_request.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/publish_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "gateway/json_scan.h"
#include "runtime/alloc.h"

static int refuse(int result, fw_refusal_t *ret_refusal, const char *field, const char *reason)
{
    *ret_refusal = (fw_refusal_t){.limit = 0};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return result;
}

static fw_text_t text_of(const json_t *string)
{
    return (fw_text_t){json_string_value(string), json_string_length(string)};
}

static bool is_known(const char *key, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

static int check_members(json_t *object, const char *const *known, size_t count, const char *prefix,
                         fw_refusal_t *ret_refusal)
{
    const char *key;
    const json_t *value;
    json_object_foreach(object, key, value)
    {
        if (is_known(key, known, count))
            continue;
        char field[96];
        (void)snprintf(field, sizeof field, "%s%.60s", prefix, key);
        return refuse(-EPROTO, ret_refusal, field, "is not a known member");
    }
    return 0;
}

/* An optional text. */
static int get_text(const json_t *object, const char *key, const char *field, fw_text_t *ret_text,
                    fw_refusal_t *ret_refusal)
{
    const json_t *value = json_object_get(object, key);
    *ret_text = FW_TEXT_NONE;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return refuse(-EPROTO, ret_refusal, field, "must be a text");
    *ret_text = text_of(value);
    return 0;
}

/* An optional list of texts, into *texts_p, which moves behind them. */
static int get_texts(const json_t *object, const char *key, const char *field, fw_text_t **texts_p,
                     const fw_text_t **ret_texts, size_t *ret_count, fw_refusal_t *ret_refusal)
{
    const json_t *list = json_object_get(object, key);
    *ret_texts = *texts_p;
    *ret_count = 0;
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return refuse(-EPROTO, ret_refusal, field, "must be a list of texts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        if (!json_is_string(entry))
            return refuse(-EPROTO, ret_refusal, field, "must be a list of texts");
        *(*texts_p)++ = text_of(entry);
    }
    *ret_count = json_array_size(list);
    return 0;
}

/* An optional object. */
static int get_object(const json_t *object, const char *key, json_t **ret_object,
                      fw_refusal_t *ret_refusal)
{
    json_t *value = json_object_get(object, key);
    *ret_object = NULL;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_object(value))
        return refuse(-EPROTO, ret_refusal, key, "must be an object");
    *ret_object = value;
    return 0;
}

static int get_exclude(const json_t *document, fw_event_t *event, fw_refusal_t *ret_refusal)
{
    static const char *const known[] = {"user_id", "origin"};
    json_t *exclude = NULL;
    event->exclude = (fw_exclude_t){FW_TEXT_NONE, FW_TEXT_NONE};
    int result = get_object(document, "exclude", &exclude, ret_refusal);
    if (result != 0 || !exclude)
        return result;
    result = check_members(exclude, known, sizeof known / sizeof *known, "exclude.", ret_refusal);
    if (result == 0)
        result =
            get_text(exclude, "user_id", "exclude.user_id", &event->exclude.user_id, ret_refusal);
    if (result == 0)
        result = get_text(exclude, "origin", "exclude.origin", &event->exclude.origin, ret_refusal);
    return result;
}

static int get_invalidate(const json_t *document, fw_text_t **texts_p, fw_event_t *event,
                          fw_refusal_t *ret_refusal)
{
    static const char *const known[] = {"keys", "tags", "patterns"};
    fw_invalidate_t *invalidate = &event->invalidate;
    json_t *object = NULL;
    int result = get_object(document, "invalidate", &object, ret_refusal);
    if (result != 0 || !object)
        return result;
    result = check_members(object, known, sizeof known / sizeof *known, "invalidate.", ret_refusal);
    if (result == 0)
        result = get_texts(object, "keys", "invalidate.keys", texts_p, &invalidate->keys,
                           &invalidate->keys_count, ret_refusal);
    if (result == 0)
        result = get_texts(object, "tags", "invalidate.tags", texts_p, &invalidate->tags,
                           &invalidate->tags_count, ret_refusal);
    if (result == 0)
        result = get_texts(object, "patterns", "invalidate.patterns", texts_p,
                           &invalidate->patterns, &invalidate->patterns_count, ret_refusal);
    return result;
}

static int get_ts(const json_t *document, fw_event_t *event, fw_refusal_t *ret_refusal)
{
    const json_t *ts = json_object_get(document, "ts");
    if (!ts || json_is_null(ts))
        return 0;
    if (!json_is_integer(ts))
        return refuse(-EPROTO, ret_refusal, "ts", "must be a whole number of milliseconds");
    event->ts = json_integer_value(ts);
    return 0;
}

static int get_id(const json_t *document, fw_text_t idempotency_key, fw_event_t *event,
                  fw_refusal_t *ret_refusal)
{
    int result = get_text(document, "id", "id", &event->id, ret_refusal);
    if (result != 0 || idempotency_key.size == 0)
        return result;
    if (event->id.size > 0 && !fw_text_equal(event->id, idempotency_key))
        return refuse(-EPROTO, ret_refusal, "id", "is not the Idempotency-Key");
    event->id = idempotency_key;
    return 0;
}

static void get_data(fw_bytes_t body, fw_event_t *event)
{
    fw_bytes_t data;
    event->data = (fw_payload_t){.kind = FW_PAYLOAD_NONE, .type = FW_TEXT_NONE};
    if (fw_json_member(body, "data", &data))
        event->data = (fw_payload_t){.kind = FW_PAYLOAD_JSON, .bytes = data, .type = FW_TEXT_NONE};
}

/* How many texts all lists can hold at most. */
static size_t texts_count(const json_t *document)
{
    const json_t *invalidate = json_object_get(document, "invalidate");
    return json_array_size(json_object_get(document, "audience")) +
           json_array_size(json_object_get(invalidate, "keys")) +
           json_array_size(json_object_get(invalidate, "tags")) +
           json_array_size(json_object_get(invalidate, "patterns"));
}

static int get_event(json_t *document, fw_bytes_t body, fw_text_t idempotency_key, fw_text_t *texts,
                     fw_event_t *event, fw_refusal_t *ret_refusal)
{
    static const char *const known[] = {"type", "data",   "audience", "exclude", "invalidate",
                                        "id",   "origin", "user_id",  "ts"};
    *event = (fw_event_t){.traceparent = FW_TEXT_NONE};
    int result = check_members(document, known, sizeof known / sizeof *known, "", ret_refusal);
    if (result == 0)
        result = get_text(document, "type", "type", &event->type, ret_refusal);
    if (result == 0)
        result = get_texts(document, "audience", "audience", &texts, &event->audience,
                           &event->audience_count, ret_refusal);
    if (result == 0)
        result = get_exclude(document, event, ret_refusal);
    if (result == 0)
        result = get_invalidate(document, &texts, event, ret_refusal);
    if (result == 0)
        result = get_text(document, "origin", "origin", &event->origin, ret_refusal);
    if (result == 0)
        result = get_text(document, "user_id", "user_id", &event->user_id, ret_refusal);
    if (result == 0)
        result = get_ts(document, event, ret_refusal);
    if (result == 0)
        result = get_id(document, idempotency_key, event, ret_refusal);
    if (result == 0)
        get_data(body, event);
    return result == 0 ? fw_event_check(event, ret_refusal) : result;
}

int fw_publish_request_parse(fw_bytes_t body, fw_text_t idempotency_key,
                             fw_publish_request_t *ret_request, fw_refusal_t *ret_refusal)
{
    if (fw_json_depth(body) > FW_PUBLISH_DEPTH_MAX)
        return refuse(-EBADMSG, ret_refusal, "", "is nested too deeply");
    json_error_t error;
    json_t *document =
        json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(document)) {
        json_decref(document);
        return refuse(-EBADMSG, ret_refusal, "", "is not a JSON object");
    }
    *ret_request = (fw_publish_request_t){.document = document};
    ret_request->texts = fw_alloc(texts_count(document) + 1, sizeof(fw_text_t));
    int result = get_event(document, body, idempotency_key, ret_request->texts, &ret_request->event,
                           ret_refusal);
    if (result != 0)
        fw_publish_request_clear(ret_request);
    return result;
}

void fw_publish_request_clear(fw_publish_request_t *self)
{
    free(self->texts);
    json_decref(self->document);
    *self = (fw_publish_request_t){.document = NULL};
}
