/* admin_request.c - see admin_request.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/admin_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/json.h"

/* Both ends are one process: alignment and order of bytes are the same. */
typedef struct {
    uint64_t number;
    uint32_t path_size;
    uint32_t query_size;
    uint32_t body_size;
    bool post;
} request_head_t;

typedef struct {
    uint64_t number;
    uint32_t status;
    uint32_t retry_after_s;
    uint32_t body_size;
} reply_head_t;

static uint8_t *append(uint8_t *to, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(to, bytes, size);
    return to + size;
}

uint8_t *fw_admin_request_pack(const fw_admin_request_t *request, size_t *ret_size)
{
    request_head_t head;
    memset(&head, 0, sizeof head); /* the gaps, too */
    head.number = request->number;
    head.path_size = (uint32_t)request->path.size;
    head.query_size = (uint32_t)request->query.size;
    head.body_size = (uint32_t)request->body.size;
    head.post = request->post;
    *ret_size = sizeof head + request->path.size + request->query.size + request->body.size;
    uint8_t *frame = fw_alloc(1, *ret_size);
    uint8_t *at = append(frame, &head, sizeof head);
    at = append(at, request->path.text, request->path.size);
    at = append(at, request->query.text, request->query.size);
    (void)append(at, request->body.data, request->body.size);
    return frame;
}

int fw_admin_request_unpack(fw_bytes_t frame, fw_admin_request_t *ret_request)
{
    request_head_t head;
    if (frame.size < sizeof head)
        return -EBADMSG;
    memcpy(&head, frame.data, sizeof head);
    if (frame.size != sizeof head + (size_t)head.path_size + head.query_size + head.body_size)
        return -EBADMSG;
    const uint8_t *at = frame.data + sizeof head;
    *ret_request = (fw_admin_request_t){
        .number = head.number,
        .post = head.post,
        .path = {(const char *)at, head.path_size},
        .query = {(const char *)at + head.path_size, head.query_size},
        .body = {at + head.path_size + head.query_size, head.body_size},
    };
    return 0;
}

uint8_t *fw_admin_reply_pack(const fw_admin_reply_t *reply, size_t *ret_size)
{
    reply_head_t head;
    memset(&head, 0, sizeof head);
    head.number = reply->number;
    head.status = reply->status;
    head.retry_after_s = reply->retry_after_s;
    head.body_size = (uint32_t)reply->body.size;
    *ret_size = sizeof head + reply->body.size;
    uint8_t *frame = fw_alloc(1, *ret_size);
    (void)append(append(frame, &head, sizeof head), reply->body.data, reply->body.size);
    return frame;
}

int fw_admin_reply_unpack(fw_bytes_t frame, fw_admin_reply_t *ret_reply)
{
    reply_head_t head;
    if (frame.size < sizeof head)
        return -EBADMSG;
    memcpy(&head, frame.data, sizeof head);
    if (frame.size != sizeof head + (size_t)head.body_size)
        return -EBADMSG;
    *ret_reply = (fw_admin_reply_t){
        head.number, head.status, head.retry_after_s, {frame.data + sizeof head, head.body_size}};
    return 0;
}

int fw_admin_argument(fw_text_t query, const char *name, fw_text_t *ret_value)
{
    size_t size = strlen(name);
    const char *end = query.text + query.size;
    bool found = false;
    for (const char *at = query.text; at < end;) {
        const char *stop = memchr(at, '\0', (size_t)(end - at));
        if (!stop)
            stop = end;
        if ((size_t)(stop - at) > size && memcmp(at, name, size) == 0 && at[size] == '=') {
            if (found)
                return -EEXIST;
            found = true;
            *ret_value = (fw_text_t){at + size + 1, (size_t)(stop - at) - size - 1};
        }
        at = stop + 1;
    }
    return found ? 0 : -ENOENT;
}

const char *fw_admin_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static size_t put_text(char *to, const char *text)
{
    char piece[FW_JSON_PIECE_MAX];
    size_t size = 0;
    size_t count;
    while ((count = fw_json_escape(&text, piece)) > 0) {
        if (to)
            memcpy(to + size, piece, count);
        size += count;
    }
    return size;
}

char *fw_admin_problem(unsigned status, const char *detail, const char *field)
{
    char head[128];
    int head_size =
        snprintf(head, sizeof head, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u",
                 fw_admin_title(status), status);
    const char *keys[] = {",\"detail\":\"", ",\"field\":\""};
    const char *texts[] = {detail, field};
    size_t size = (size_t)head_size;
    for (size_t i = 0; i < 2; i++)
        if (texts[i])
            size += strlen(keys[i]) + put_text(NULL, texts[i]) + 1;
    char *body = fw_alloc(1, size + sizeof "}\n");
    char *at = (char *)append((uint8_t *)body, head, (size_t)head_size);
    for (size_t i = 0; i < 2; i++) {
        if (!texts[i])
            continue;
        at = (char *)append((uint8_t *)at, keys[i], strlen(keys[i]));
        at += put_text(at, texts[i]);
        *at++ = '"';
    }
    memcpy(at, "}\n", sizeof "}\n");
    return body;
}
