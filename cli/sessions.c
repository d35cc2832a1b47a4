/* sessions.c - freshwire sessions: the admin API of a gateway, from a terminal.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/address.h"
#include "cli/command.h"
#include "runtime/fetch.h"

enum {
    TIMEOUT_MS = 5000,
    REPLY_BYTES_MAX = 8 * 1024 * 1024,
    QUERY_SIZE_MAX = 1024,
};

/* "http://127.0.0.1:9090" or "127.0.0.1:9090" as the start of a URL. False when it is none. */
static bool base_of(const char *address, char ret_url[FW_URL_SIZE_MAX])
{
    const char *colon = strrchr(address, ':');
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon) < 2 ||
        strlen(colon) > 6)
        return false;
    if (strncmp(address, "http://", 7) == 0)
        address += 7;
    fw_address_url("http", address, (int)strtol(colon + 1, NULL, 10), ret_url);
    return true;
}

static void put_text(json_t *body, const char *member, const char *text)
{
    if (text)
        (void)json_object_set_new(body, member, json_string(text));
}

static void put_list(const fw_call_t *call, json_t *body, const char *flag, const char *member)
{
    const char *const *values;
    size_t count = fw_arguments_list(call->arguments, flag, &values);
    if (count == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        /* "" alone says: none. */
        if (count > 1 || *values[i])
            (void)json_array_append_new(list, json_string(values[i]));
    }
    (void)json_object_set_new(body, member, list);
}

/* What is to be posted; the caller frees it. NULL: the code is no number. */
static char *body_of(const fw_call_t *call)
{
    const char *code = fw_arguments_text(call->arguments, "code");
    json_t *body = json_object();
    put_text(body, "user_id", fw_arguments_text(call->arguments, "user"));
    put_text(body, "session_id", fw_arguments_text(call->arguments, "session"));
    put_text(body, "channel", fw_arguments_text(call->arguments, "channel"));
    put_text(body, "reason", fw_arguments_text(call->arguments, "reason"));
    put_list(call, body, "room", "rooms");
    put_list(call, body, "publish", "publish");
    put_list(call, body, "presence", "presence");
    if (code) {
        char *end;
        long number = strtol(code, &end, 10);
        if (end == code || *end) {
            json_decref(body);
            return NULL;
        }
        (void)json_object_set_new(body, "code", json_integer(number));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* Appends name=value, escaped. False when it does not fit. */
static bool put_argument(char query[QUERY_SIZE_MAX], const char *name, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t used = strlen(query);
    if (!value)
        return true;
    int count = snprintf(query + used, QUERY_SIZE_MAX - used, "%s%s=", used > 0 ? "&" : "?", name);
    used += (size_t)count;
    for (; used + 4 < QUERY_SIZE_MAX && *value; value++) {
        if (strchr(plain, *value))
            count = snprintf(query + used, QUERY_SIZE_MAX - used, "%c", *value);
        else
            count = snprintf(query + used, QUERY_SIZE_MAX - used, "%%%02X", (unsigned char)*value);
        used += (size_t)count;
    }
    return *value == '\0';
}

/* Prints what was answered. */
static fw_exit_t judge(const char *url, const fw_fetch_reply_t *reply)
{
    json_t *json = json_loadb((const char *)reply->body, reply->size, 0, NULL);
    const char *detail = json_string_value(json_object_get(json, "detail"));
    const char *field = json_string_value(json_object_get(json, "field"));
    fw_exit_t result = FW_EXIT_FAILURE;
    if (reply->status == 200 && json) {
        (void)printf("%.*s", (int)reply->size, (const char *)reply->body);
        result = FW_EXIT_OK;
    } else if (reply->status == 401 || reply->status == 403) {
        fw_complain("set admin.keys (FRESHWIRE_ADMIN_KEYS) to what the gateway has",
                    "%s refuses the key: %s", url, detail ? detail : "");
        result = FW_EXIT_AUTH;
    } else if (reply->status == 404) {
        fw_complain("only a process with a gateway answers this", "%s is not there", url);
    } else {
        fw_complain(reply->status == 504 ? "what was asked is safe to ask again" : NULL,
                    "%s: %d %s%s%s", url, reply->status, field ? field : "", field ? " " : "",
                    detail ? detail : "");
        if (reply->status == 503 || reply->status == 504)
            result = FW_EXIT_UNREACHABLE;
        else if (reply->status == 422 || reply->status == 400)
            result = FW_EXIT_USAGE;
    }
    json_decref(json);
    return result;
}

static fw_exit_t ask(const char *url, const char *key, const char *body)
{
    char authorization[1024];
    char reason[256] = "";
    fw_fetch_reply_t reply;
    (void)snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", key);
    const char *headers[] = {authorization, "Content-Type: application/json"};
    fw_fetch_request_t request = {
        .url = url,
        .headers = headers,
        .headers_count = 2,
        .body = {(const uint8_t *)body, body ? strlen(body) : 0},
        .reply_bytes_max = REPLY_BYTES_MAX,
        .timeout_ms = TIMEOUT_MS,
    };
    fw_fetch_prepare();
    int result = fw_fetch(&request, &reply, reason, sizeof reason);
    fw_exit_t outcome = FW_EXIT_UNREACHABLE;
    if (result == 0)
        outcome = judge(url, &reply);
    else
        fw_complain("is this the admin.listen of a gateway?", "%s", reason);
    fw_fetch_reply_clear(&reply);
    explicit_bzero(authorization, sizeof authorization);
    return outcome;
}

fw_exit_t fw_sessions_command(const fw_call_t *call)
{
    const char *given = fw_arguments_text(call->arguments, "admin");
    const char *address = given ? given : fw_config_text(call->config, "admin.listen");
    bool list = strcmp(call->word, "list") == 0;
    const char *const *keys = NULL;
    char base[FW_URL_SIZE_MAX];
    char query[QUERY_SIZE_MAX] = "";
    char url[FW_URL_SIZE_MAX + QUERY_SIZE_MAX + 64];
    char *body = NULL;
    if (!base_of(address, base)) {
        fw_complain("for example: freshwire sessions list --admin 127.0.0.1:9090",
                    "\"%.100s\" is not host:port", address);
        return FW_EXIT_USAGE;
    }
    if (fw_config_list(call->config, "admin.keys", &keys) == 0) {
        fw_complain("set FRESHWIRE_ADMIN_KEYS, or admin.keys in the file", "admin.keys is empty");
        return FW_EXIT_AUTH;
    }
    if (list && (!put_argument(query, "user_id", fw_arguments_text(call->arguments, "user")) ||
                 !put_argument(query, "limit", fw_arguments_text(call->arguments, "limit")) ||
                 !put_argument(query, "after", fw_arguments_text(call->arguments, "after")))) {
        fw_complain(NULL, "an argument is too long");
        return FW_EXIT_USAGE;
    }
    if (!list && !(body = body_of(call))) {
        fw_complain(NULL, "--code is not a number");
        return FW_EXIT_USAGE;
    }
    (void)snprintf(url, sizeof url, "%s/v1/sessions%s%s%s", base, list ? "" : "/",
                   list ? "" : call->word, query);
    fw_exit_t result = ask(url, keys[0], body);
    free(body);
    return result;
}
