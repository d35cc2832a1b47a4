/* admin_api.c - requests on the admin port that roles answer.   SPDX-License-Identifier: MPL-2.0
 * A request waits with its connection: at most FW_ADMIN_CONNECTIONS_MAX. */
#include "runtime/admin_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

enum { QUERY_BYTES_MAX = 1024 };

static int answer_problem(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                          fw_admin_head_t head, const char *detail)
{
    head.type = "application/problem+json";
    answer->body = fw_admin_problem(head.status, detail, NULL);
    return fw_admin_answer(self, wsi, answer, &head);
}

/* False when the header is longer than anything it could mean. */
static bool copy_header(struct lws *wsi, enum lws_token_indexes token, char *buffer, size_t size,
                        fw_text_t *ret_value)
{
    *ret_value = FW_TEXT_NONE;
    int length = lws_hdr_total_length(wsi, token);
    if (length <= 0)
        return true;
    if ((size_t)length >= size || lws_hdr_copy(wsi, buffer, (int)size, token) != length)
        return false;
    *ret_value = (fw_text_t){buffer, (size_t)length};
    return true;
}

/* The arguments, each ended by a 0. */
static bool copy_query(struct lws *wsi, char buffer[QUERY_BYTES_MAX], fw_text_t *ret_query)
{
    size_t size = 0;
    for (int i = 0;; i++) {
        int left = QUERY_BYTES_MAX - (int)size;
        int count = lws_hdr_copy_fragment(wsi, buffer + size, left, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (count == -1)
            break;
        if (count < 0 || count >= left)
            return false;
        size += (size_t)count + 1;
        buffer[size - 1] = '\0';
    }
    *ret_query = (fw_text_t){buffer, size};
    return true;
}

static bool is_json(fw_text_t type)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    return type.size >= size && strncasecmp(type.text, json, size) == 0 &&
           (type.size == size || type.text[size] == ';' || type.text[size] == ' ');
}

/* Why a request is not even read, 0 when it is; also how large its body is. */
static unsigned judge_head(fw_admin_t *self, struct lws *wsi, bool post, fw_admin_answer_t *answer,
                           const char **ret_detail)
{
    char buffer[1024];
    char number[24];
    fw_text_t value;
    *ret_detail = "the key is too long";
    if (!copy_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, buffer, sizeof buffer, &value))
        return 401;
    unsigned refused = fw_admin_routes_refuses(self->routes, value, ret_detail);
    explicit_bzero(buffer, sizeof buffer);
    if (refused != 0 || !post)
        return refused;
    *ret_detail = "Content-Length is needed";
    if (!copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, number, sizeof number, &value) ||
        value.size == 0 || value.size > 9 || strspn(number, "0123456789") != value.size)
        return 411;
    answer->expected = (size_t)strtoul(number, NULL, 10);
    *ret_detail = "the body may have 65536 bytes";
    if (answer->expected > FW_ADMIN_REQUEST_BYTES_MAX)
        return 413;
    *ret_detail = "Content-Type must be application/json";
    if (!copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, buffer, sizeof buffer, &value) ||
        !is_json(value))
        return 415;
    return 0;
}

static int ask(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer, bool post)
{
    char query[QUERY_BYTES_MAX];
    char path[256];
    fw_admin_request_t request = {.number = ++self->last_number,
                                  .post = post,
                                  .body = {answer->content, answer->content_size}};
    enum lws_token_indexes uri = post ? WSI_TOKEN_POST_URI : WSI_TOKEN_GET_URI;
    size_t place = 0;
    while (place < FW_ADMIN_CONNECTIONS_MAX && self->waiting[place])
        place++;
    if (!copy_header(wsi, uri, path, sizeof path, &request.path) ||
        !copy_query(wsi, query, &request.query))
        return answer_problem(self, wsi, answer, (fw_admin_head_t){.status = 400},
                              "the path or its arguments are too long");
    if (place == FW_ADMIN_CONNECTIONS_MAX ||
        fw_admin_routes_ask(self->routes, (size_t)answer->route, &request) != 0)
        return answer_problem(self, wsi, answer,
                              (fw_admin_head_t){.status = 503, .retry_after_s = 1},
                              "too many requests are waiting");
    answer->number = request.number;
    self->waiting[place] = wsi;
    free(answer->content);
    answer->content = NULL;
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, FW_ADMIN_IDLE_S);
    /* Sending may have used up the wake-up of an answer. */
    fw_admin_routes_receive(self->routes);
    return 0;
}

int fw_admin_api_begin(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer, fw_text_t path)
{
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    const char *detail = NULL;
    answer->route = fw_admin_routes_find(self->routes, path);
    answer->last = true;
    if (!get && !post)
        return answer_problem(self, wsi, answer,
                              (fw_admin_head_t){.status = 405, .allow = "GET, POST"}, NULL);
    unsigned refused = judge_head(self, wsi, post, answer, &detail);
    if (refused != 0) {
        answer->expected = 0;
        return answer_problem(self, wsi, answer, (fw_admin_head_t){.status = refused}, detail);
    }
    if (get || answer->expected == 0)
        return ask(self, wsi, answer, post);
    answer->content = fw_alloc(1, answer->expected);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, FW_ADMIN_IDLE_S);
    return 0;
}

int fw_admin_api_content(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                         const void *bytes, size_t size)
{
    (void)self, (void)wsi;
    /* What is not wanted, or follows the body. */
    if (!answer->content || size > answer->expected - answer->content_size)
        return 0;
    memcpy(answer->content + answer->content_size, bytes, size);
    answer->content_size += size;
    return 0;
}

int fw_admin_api_complete(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer)
{
    if (!answer->content || answer->body || answer->number != 0)
        return 0;
    return ask(self, wsi, answer, true);
}

void fw_admin_api_forget(fw_admin_t *self, struct lws *wsi)
{
    for (size_t i = 0; i < FW_ADMIN_CONNECTIONS_MAX; i++)
        if (self->waiting[i] == wsi)
            self->waiting[i] = NULL;
}

void fw_admin_api_replied(void *admin, const fw_admin_reply_t *reply)
{
    fw_admin_t *self = admin;
    for (size_t i = 0; i < FW_ADMIN_CONNECTIONS_MAX; i++) {
        struct lws *wsi = self->waiting[i];
        fw_admin_answer_t *answer = wsi ? lws_wsi_user(wsi) : NULL;
        if (!answer || answer->number != reply->number)
            continue;
        fw_admin_head_t head = {
            .status = reply->status,
            .type = reply->status >= 400 ? "application/problem+json" : "application/json",
            .retry_after_s = reply->retry_after_s,
        };
        self->waiting[i] = NULL;
        answer->number = 0;
        answer->body = fw_copy_text((const char *)reply->body.data, reply->body.size);
        if (fw_admin_answer(self, wsi, answer, &head) != 0)
            lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
        return;
    }
}
