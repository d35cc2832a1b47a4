/* session_request.c - see session_request.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/session_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/json_scan.h"
#include "runtime/alloc.h"

enum { DEPTH_MAX = 4 };

static const char *const claim_names[FW_ROOM_CLAIMS] = {"rooms", "publish", "presence"};

/* The members that each command knows, ended by NULL. */
static const struct {
    const char *path;
    fw_session_action_t action;
    const char *members[8];
} commands[] = {
    {"/v1/sessions/disconnect",
     FW_SESSIONS_DISCONNECT,
     {"user_id", "session_id", "code", "reason"}},
    {"/v1/sessions/unsubscribe", FW_SESSIONS_UNSUBSCRIBE, {"user_id", "channel"}},
    {"/v1/sessions/refresh", FW_SESSIONS_REFRESH, {"user_id", "rooms", "publish", "presence"}},
};

static int refuse(int result, fw_refusal_t *ret_refusal, const char *field, const char *reason)
{
    *ret_refusal = (fw_refusal_t){.limit = 0};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%.60s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return result;
}

static int check_members(json_t *object, const char *const *known, fw_refusal_t *ret_refusal)
{
    const char *key;
    const json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return refuse(-EPROTO, ret_refusal, key, "is not a known member");
    }
    return 0;
}

static int get_text(const json_t *object, const char *key, fw_text_t *ret_text,
                    fw_refusal_t *ret_refusal)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return refuse(-EPROTO, ret_refusal, key, "must be a text");
    *ret_text = (fw_text_t){json_string_value(value), json_string_length(value)};
    /* What goes on as a text that a 0 ends must not hold one. */
    if (memchr(ret_text->text, '\0', ret_text->size))
        return refuse(-EPROTO, ret_refusal, key, "holds a character that may not be in it");
    return 0;
}

static int get_number(const json_t *object, const char *key, int64_t most, int64_t *ret_number,
                      fw_refusal_t *ret_refusal)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > most)
        return refuse(-EPROTO, ret_refusal, key, "must be a whole number that is not too large");
    *ret_number = json_integer_value(value);
    return 0;
}

/* A list of texts; it takes its place in *patterns_p, which moves behind it. */
static int get_patterns(const json_t *object, const char *key, fw_text_t **patterns_p,
                        fw_room_patterns_t *ret_patterns, fw_refusal_t *ret_refusal)
{
    const json_t *list = json_object_get(object, key);
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return refuse(-EPROTO, ret_refusal, key, "must be a list of texts");
    if (json_array_size(list) > FW_ROOM_PATTERNS_MAX)
        return refuse(-EPROTO, ret_refusal, key, "has too many patterns, 256 are allowed");
    *ret_patterns = (fw_room_patterns_t){true, *patterns_p, json_array_size(list)};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
            return refuse(-EPROTO, ret_refusal, key, "must be a list of texts");
        *(*patterns_p)++ = (fw_text_t){json_string_value(value), json_string_length(value)};
    }
    return 0;
}

static int fill(fw_session_request_t *self, fw_refusal_t *ret_refusal)
{
    const json_t *json = self->json;
    fw_session_command_t *command = &self->command;
    fw_text_t *patterns = self->patterns;
    int64_t code = FW_SESSION_CODE_DEFAULT;
    int result = get_text(json, "user_id", &command->user_id, ret_refusal);
    if (result == 0)
        result = get_text(json, "session_id", &command->session_id, ret_refusal);
    if (result == 0)
        result = get_text(json, "reason", &command->reason, ret_refusal);
    if (result == 0)
        result = get_text(json, "channel", &command->channel, ret_refusal);
    if (result == 0)
        result = get_number(json, "code", 4999, &code, ret_refusal);
    for (size_t i = 0; result == 0 && i < FW_ROOM_CLAIMS; i++)
        result = get_patterns(json, claim_names[i], &patterns, &command->claims[i], ret_refusal);
    command->code = command->action == FW_SESSIONS_DISCONNECT ? (uint32_t)code : 0;
    return result != 0 ? result : fw_session_command_check(command, ret_refusal);
}

int fw_session_request_parse(fw_text_t path, fw_bytes_t body, fw_session_request_t *ret_request,
                             fw_refusal_t *ret_refusal)
{
    size_t i = 0;
    json_error_t error;
    while (i < sizeof commands / sizeof *commands &&
           !fw_text_equal(path, fw_text(commands[i].path)))
        i++;
    if (i == sizeof commands / sizeof *commands)
        return -ENOENT;
    if (fw_json_depth(body) > DEPTH_MAX)
        return refuse(-EBADMSG, ret_refusal, "body", "is nested too deeply");
    json_t *json = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        json_decref(json);
        return refuse(-EBADMSG, ret_refusal, "body", "is not a JSON object");
    }
    fw_session_request_t request = {
        .command = {.action = commands[i].action, .channel = FW_TEXT_NONE},
        .patterns = fw_alloc(FW_ROOM_CLAIMS * FW_ROOM_PATTERNS_MAX, sizeof(fw_text_t)),
        .json = json,
    };
    request.command.user_id = request.command.session_id = request.command.reason = FW_TEXT_NONE;
    int result = check_members(json, commands[i].members, ret_refusal);
    if (result == 0)
        result = fill(&request, ret_refusal);
    if (result == 0)
        *ret_request = request;
    else
        fw_session_request_clear(&request);
    return result;
}

void fw_session_request_clear(fw_session_request_t *self)
{
    json_decref(self->json);
    free(self->patterns);
    *self = (fw_session_request_t){.json = NULL};
}

/* An argument that may be there once. */
static int get_argument(fw_text_t arguments, const char *name, fw_text_t *ret_value,
                        fw_refusal_t *ret_refusal)
{
    *ret_value = FW_TEXT_NONE;
    if (fw_admin_argument(arguments, name, ret_value) == -EEXIST)
        return refuse(-EPROTO, ret_refusal, name, "is given twice");
    return 0;
}

static bool number_of(fw_text_t text, int base, size_t digits_max, uint64_t *ret_number)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t number = 0;
    if (text.size == 0 || text.size > digits_max)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(digits, text.text[i], (size_t)base);
        if (!digit)
            return false;
        number = number * (uint64_t)base + (uint64_t)(digit - digits);
    }
    *ret_number = number;
    return true;
}

int fw_session_query_parse(fw_text_t arguments, fw_session_query_t *ret_query,
                           fw_refusal_t *ret_refusal)
{
    fw_session_query_t query = {.limit = FW_SESSION_LIST_DEFAULT};
    fw_text_t limit;
    fw_text_t after;
    uint64_t number = query.limit;
    int result = get_argument(arguments, "user_id", &query.user_id, ret_refusal);
    if (result == 0)
        result = get_argument(arguments, "limit", &limit, ret_refusal);
    if (result == 0)
        result = get_argument(arguments, "after", &after, ret_refusal);
    if (result != 0)
        return result;
    if (query.user_id.size > FW_USER_ID_SIZE_MAX)
        return refuse(-EPROTO, ret_refusal, "user_id", "is too long");
    if (limit.size > 0 &&
        (!number_of(limit, 10, 6, &number) || number == 0 || number > FW_SESSION_LIST_MAX))
        return refuse(-EPROTO, ret_refusal, "limit", "must be a number from 1 to 1000");
    if (after.size > 0 && !number_of(after, 16, FW_SESSION_ID_DIGITS, &query.after))
        return refuse(-EPROTO, ret_refusal, "after", "is not the id of a session");
    query.limit = (uint32_t)number;
    *ret_query = query;
    return 0;
}
