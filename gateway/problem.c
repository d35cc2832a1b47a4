/* problem.c - see problem.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/problem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json_text.h"
#include "runtime/alloc.h"

enum { HEAD_SIZE_MAX = 384 };

typedef struct {
    unsigned status;
    const char *title;
} title_t;

const char *fw_problem_title(unsigned status)
{
    static const title_t titles[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static void literal(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

static void member(fw_json_t *json, const char *key, const char *value)
{
    literal(json, ",\"");
    literal(json, key);
    literal(json, "\":");
    fw_json_string(json, fw_text(value));
}

/* Headers that belong to one status only. */
static void add_headers(char *head, size_t size, const fw_problem_t *problem)
{
    size_t used = strlen(head);
    if (problem->retry_after_s > 0)
        (void)snprintf(head + used, size - used, "Retry-After: %u\r\n", problem->retry_after_s);
    used = strlen(head);
    if (problem->status == 401)
        (void)snprintf(head + used, size - used, "WWW-Authenticate: Bearer\r\n");
    else if (problem->status == 405)
        (void)snprintf(head + used, size - used, "Allow: %s\r\n",
                       problem->allow ? problem->allow : "POST");
    else if (problem->status == 426)
        (void)snprintf(head + used, size - used, "Upgrade: websocket\r\n");
}

static char *join(const char *head, const char *body, size_t body_size, size_t *ret_size)
{
    size_t head_size = strlen(head);
    size_t size = head_size + body_size;
    char *response = fw_alloc(1, size + 1);
    (void)snprintf(response, size + 1, "%s%s", head, body);
    *ret_size = size;
    return response;
}

static char *respond(const char *content_type, const fw_problem_t *problem, const char *body,
                     size_t body_size, size_t *ret_size)
{
    char head[HEAD_SIZE_MAX];
    int size =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u %s\r\n"
                 "Content-Type: %s\r\n"
                 "Content-Length: %zu\r\n"
                 "Cache-Control: no-store\r\n"
                 "Connection: close\r\n",
                 problem->status, fw_problem_title(problem->status), content_type, body_size);
    assert(size > 0 && (size_t)size < sizeof head);
    add_headers(head, sizeof head - 2, problem);
    size_t used = strlen(head);
    (void)snprintf(head + used, sizeof head - used, "\r\n");
    return join(head, body, body_size, ret_size);
}

static void render_problem(fw_json_t *json, const fw_problem_t *problem)
{
    literal(json, "{\"type\":\"about:blank\",\"title\":");
    fw_json_string(json, fw_text(fw_problem_title(problem->status)));
    literal(json, ",\"status\":");
    fw_json_number(json, problem->status);
    if (problem->refusal) {
        member(json, "detail", problem->refusal->reason);
        member(json, "field", problem->refusal->field);
        if (problem->refusal->limit > 0 || problem->refusal->value > 0) {
            literal(json, ",\"limit\":");
            fw_json_number(json, (int64_t)problem->refusal->limit);
            literal(json, ",\"value\":");
            fw_json_number(json, (int64_t)problem->refusal->value);
        }
    } else if (problem->detail) {
        member(json, "detail", problem->detail);
    }
    literal(json, "}");
}

char *fw_problem_response(const fw_problem_t *problem, size_t *ret_size)
{
    fw_json_t measure = {.buffer = NULL};
    render_problem(&measure, problem);
    char *body = fw_alloc(1, measure.needed + 1);
    fw_json_t json = {.buffer = body, .size = measure.needed};
    render_problem(&json, problem);
    char *response = respond("application/problem+json", problem, body, json.needed, ret_size);
    free(body);
    return response;
}

static void render_published(fw_json_t *json, const fw_publish_ack_t *ack)
{
    literal(json, "{\"id\":");
    fw_json_string(json, ack->id);
    literal(json, ",\"positions\":[");
    for (size_t i = 0; i < ack->positions_count; i++) {
        char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
        size_t size = fw_epoch_format(ack->positions[i].position.epoch, epoch);
        literal(json, i > 0 ? ",{\"channel\":" : "{\"channel\":");
        fw_json_string(json, ack->positions[i].channel);
        literal(json, ",\"epoch\":");
        fw_json_string(json, (fw_text_t){epoch, size});
        literal(json, ",\"offset\":");
        fw_json_quoted_number(json, ack->positions[i].position.offset);
        literal(json, "}");
    }
    literal(json, "],\"duplicate\":");
    literal(json, ack->status == FW_PUBLISH_DUPLICATE ? "true" : "false");
    literal(json, ",\"unconfirmed\":");
    literal(json, ack->unconfirmed ? "true" : "false");
    literal(json, ",\"fresh\":");
    fw_json_quoted_number(json, ack->fresh);
    literal(json, "}");
}

char *fw_published_response(const fw_publish_ack_t *ack, size_t *ret_size)
{
    const fw_problem_t good = {.status = 200};
    fw_json_t measure = {.buffer = NULL};
    render_published(&measure, ack);
    char *body = fw_alloc(1, measure.needed + 1);
    fw_json_t json = {.buffer = body, .size = measure.needed};
    render_published(&json, ack);
    char *response = respond("application/json", &good, body, json.needed, ret_size);
    free(body);
    return response;
}
