/* shard_http.c - HTTP on libwebsockets: upgrades that are refused, and POST /v1/events.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "gateway/shard_internal.h"
#include "gateway/shard_rooms.h"
#include "proto/utf8.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    RETRY_AFTER_S = 1,
    SESSIONS_RETRY_AFTER_S = 3,      /* and up to as much again */
    DISCARD_BYTES_MAX = 1024 * 1024, /* of a refused body; a larger one ends the connection */
    PATH_SIZE_MAX = FW_CHANNEL_SIZE_MAX + 256,
};

/* ------ headers */

fw_text_t fw_http_header(struct lws *wsi, enum lws_token_indexes token, char *buffer, size_t size,
                         bool *ret_fits)
{
    int length = lws_hdr_copy(wsi, buffer, (int)size, token);
    if (length < 0) {
        *ret_fits = false;
        buffer[0] = '\0';
        return FW_TEXT_NONE;
    }
    return fw_text(buffer);
}

fw_text_t fw_http_argument(struct lws *wsi, const char *name, char *buffer, size_t size)
{
    for (int i = 0;; i++) {
        char fragment[FW_HEADERS_BYTES_MAX];
        if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) <= 0)
            return FW_TEXT_NONE;
        int length =
            lws_hdr_copy_fragment(wsi, fragment, (int)sizeof fragment, WSI_TOKEN_HTTP_URI_ARGS, i);
        fw_text_t value;
        if (length <= 0 || !fw_route_argument(fw_text(fragment), name, &value))
            continue;
        /* One that does not fit is cut to a size that no check lets pass. */
        size_t copied = value.size < size ? value.size : size - 1;
        memcpy(buffer, value.text, copied);
        buffer[copied] = '\0';
        explicit_bzero(fragment, sizeof fragment);
        return (fw_text_t){buffer, copied};
    }
}

fw_text_t fw_http_path(struct lws *wsi, enum lws_token_indexes token, char *buffer, size_t size)
{
    bool fits = true;
    /* The library splits a path at '&' as if it were an argument. */
    if (lws_hdr_fragment_length(wsi, token, 1) > 0)
        return FW_TEXT_NONE;
    return fw_http_header(wsi, token, buffer, size, &fits);
}

static bool header_is(struct lws *wsi, enum lws_token_indexes token, const char *value)
{
    char buffer[64];
    bool fits = true;
    return strcasecmp(fw_http_header(wsi, token, buffer, sizeof buffer, &fits).text, value) == 0;
}

/* ------ answers */

/* Writes a whole response; the caller closes the connection. */
static void send_response(struct lws *wsi, const char *response, size_t size)
{
    (void)lws_write(wsi, fw_unchanged(response), size, LWS_WRITE_HTTP);
}

static void send_problem(struct lws *wsi, const fw_problem_t *problem)
{
    size_t size = 0;
    char *response = fw_problem_response(problem, &size);
    send_response(wsi, response, size);
    free(response);
}

unsigned fw_http_retry_after_s(fw_shard_t *self)
{
    return SESSIONS_RETRY_AFTER_S +
           (unsigned)fw_random_below(&self->random, SESSIONS_RETRY_AFTER_S + 1);
}

/* Refuses an upgrade and closes. */
static int refuse_upgrade(fw_shard_t *self, struct lws *wsi, fw_refused_t what, unsigned status,
                          const char *detail)
{
    fw_problem_t problem = {.status = status, .detail = detail};
    if (status == 503)
        problem.retry_after_s = fw_http_retry_after_s(self);
    fw_shard_refused(self, what);
    send_problem(wsi, &problem);
    return -1;
}

/* ------ upgrades */

static bool asks_for_upgrade(struct lws *wsi)
{
    char connection[128];
    bool fits = true;
    (void)fw_http_header(wsi, WSI_TOKEN_CONNECTION, connection, sizeof connection, &fits);
    return fits && strcasestr(connection, "upgrade");
}

static bool is_complete(struct lws *wsi)
{
    char key[64];
    bool fits = true;
    size_t size = fw_http_header(wsi, WSI_TOKEN_KEY, key, sizeof key, &fits).size;
    return size == 24 && asks_for_upgrade(wsi) && lws_hdr_total_length(wsi, WSI_TOKEN_HOST) > 0 &&
           lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
}

/* Whoever offers only subprotocols that we do not know is told so with a close code. A browser
 * reads one only when the handshake succeeds, which needs one of those that it offered: so the last
 * of the library's protocols takes that name for the rest of this handshake. */
static bool choose_subprotocol(fw_shard_t *self, struct lws *wsi)
{
    char offered[128];
    bool fits = true;
    fw_text_t list = fw_http_header(wsi, WSI_TOKEN_PROTOCOL, offered, sizeof offered, &fits);
    fw_subprotocol_t chosen = fw_route_subprotocol(list, self->unknown);
    if (chosen != FW_SUBPROTOCOL_UNKNOWN)
        self->unknown[0] = '\0';
    return fits && chosen != FW_SUBPROTOCOL_BAD;
}

int fw_http_upgrade(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    if (connection->asked)
        return -1;
    connection->asked = true;
    fw_door_asked(self, wsi);
    /* After an Upgrade header that it does not know the library has answered and dropped all
     * headers, and calls this all the same, with a dangling pointer (CVE-2025-11677): without the
     * header there is nothing to do but leave. */
    if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0)
        return -1;
    char path[PATH_SIZE_MAX];
    char origin[512];
    bool fits = true;
    fw_route_t route = fw_route_parse(fw_text(self->config->prefix),
                                      fw_http_path(wsi, WSI_TOKEN_GET_URI, path, sizeof path));
    if (!header_is(wsi, WSI_TOKEN_UPGRADE, "websocket"))
        return refuse_upgrade(self, wsi, FW_REFUSED_HANDSHAKE, 426,
                              "only websocket is spoken here");
    fw_refused_t why;
    const char *full = fw_shard_full(self, &why);
    if (full)
        return refuse_upgrade(self, wsi, why, 503, full);
    if (!is_complete(wsi) || !choose_subprotocol(self, wsi))
        return refuse_upgrade(self, wsi, FW_REFUSED_HANDSHAKE, 400, "not a WebSocket handshake");
    if (!header_is(wsi, WSI_TOKEN_VERSION, "13"))
        return refuse_upgrade(self, wsi, FW_REFUSED_HANDSHAKE, 426,
                              "WebSocket version 13 is needed");
    if (route.endpoint == FW_ENDPOINT_NONE || route.endpoint == FW_ENDPOINT_EVENTS || route.stream)
        return refuse_upgrade(self, wsi, FW_REFUSED_PATH, 404, "no such endpoint");
    fw_text_t from = fw_http_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin, &fits);
    if (!fits || !fw_route_origin_allowed(self->config->origins, self->config->origins_count, from))
        return refuse_upgrade(self, wsi, FW_REFUSED_ORIGIN, 403, "this Origin is not allowed");
    return 0;
}

/* ------ publishing */

static void unlink_post(fw_shard_t *self, fw_post_t *post)
{
    if (post->state != FW_POST_WAITING)
        return;
    if (post->previous)
        post->previous->next = post->next;
    else
        self->posts = post->next;
    if (post->next)
        post->next->previous = post->previous;
}

static void destroy_post(fw_shard_t *self, fw_post_t *post)
{
    unlink_post(self, post);
    if (post->connection)
        post->connection->request->post = NULL;
    self->posts_count--;
    free(post->id);
    free(post->body);
    free(post->response);
    free(post);
}

fw_request_t *fw_request_of(fw_connection_t *connection)
{
    if (!connection->request)
        connection->request = fw_alloc(1, sizeof *connection->request);
    return connection->request;
}

void fw_http_closed(fw_shard_t *self, fw_connection_t *connection)
{
    fw_request_t *request = connection->request;
    if (!request)
        return;
    if (request->post)
        destroy_post(self, request->post);
    fw_ws_forget_arrival(connection);
    free(request->farewell);
    free(request->reason);
    free(request);
    connection->request = NULL;
}

/* Answers the request whose body has been read. */
static int refuse_publish(fw_shard_t *self, struct lws *wsi, const fw_problem_t *problem)
{
    fw_counter_add(fw_gateway_metrics_publish(&self->metrics, problem->status), 1);
    send_problem(wsi, problem);
    return -1;
}

static bool has_publish_key(const fw_shard_t *self, struct lws *wsi)
{
    char authorization[1024];
    bool fits = true;
    bool found = false;
    fw_text_t key = fw_route_bearer(fw_http_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization,
                                                   sizeof authorization, &fits));
    /* All are compared, so that the time does not tell which one was nearly right. */
    for (size_t i = 0; i < self->config->publish_keys_count; i++) {
        fw_text_t allowed = fw_text(self->config->publish_keys[i]);
        found = (allowed.size > 0 && fw_auth_equal(key, allowed)) || found;
    }
    explicit_bzero(authorization, sizeof authorization);
    return found;
}

static bool is_json(struct lws *wsi)
{
    static const char json[] = "application/json";
    char type[128];
    bool fits = true;
    fw_text_t text = fw_http_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof type, &fits);
    size_t size = sizeof json - 1;
    return text.size >= size && strncasecmp(text.text, json, size) == 0 &&
           (text.size == size || text.text[size] == ';' || text.text[size] == ' ');
}

/* -EINVAL when there is no length that can be trusted. */
static int content_length(struct lws *wsi, uint64_t *ret_size)
{
    char length[32];
    bool fits = true;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return -EINVAL;
    fw_text_t text =
        fw_http_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof length, &fits);
    return fits && fw_offset_parse(text, ret_size) == 0 ? 0 : -EINVAL;
}

/* The status of a publish request whose headers are good: 0. */
static fw_problem_t judge(fw_shard_t *self, struct lws *wsi)
{
    uint64_t size = 0;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) <= 0)
        return (fw_problem_t){.status = 405, .detail = "use POST"};
    if (content_length(wsi, &size) != 0)
        return (fw_problem_t){.status = 411, .detail = "Content-Length is needed"};
    if (!has_publish_key(self, wsi))
        return (fw_problem_t){.status = 401, .detail = "a publish key is needed"};
    if (!is_json(wsi))
        return (fw_problem_t){.status = 415, .detail = "Content-Type must be application/json"};
    if (size > FW_POST_BYTES_MAX)
        return (fw_problem_t){.status = 413, .detail = "the event is too large"};
    if (fw_shard_refuses(self) || self->posts_count >= FW_POSTS_MAX ||
        !fw_publisher_connected(fw_uplink_publisher(self->uplink)))
        return (fw_problem_t){
            .status = 503, .detail = "cannot publish now", .retry_after_s = RETRY_AFTER_S};
    return (fw_problem_t){.status = 0};
}

static char *idempotency_key(struct lws *wsi)
{
    static const char name[] = "idempotency-key:";
    char key[FW_EVENT_ID_SIZE_MAX + 2] = "";
    int size = lws_hdr_custom_length(wsi, name, sizeof name - 1);
    if (size <= 0)
        return fw_copy_text("", 0);
    /* One that is too long is cut, but not to a length that is allowed: the event's check refuses
     * it. */
    if ((size_t)size >= sizeof key) {
        memset(key, 'x', sizeof key - 1);
        return fw_copy_text(key, sizeof key - 1);
    }
    if (lws_hdr_custom_copy(wsi, key, (int)sizeof key, name, sizeof name - 1) < 0)
        return fw_copy_text("", 0);
    return fw_copy_text(key, strlen(key));
}

/* Answers a request that is not wanted. While its body is on the way, what closes the connection
 * would also destroy the answer: so a body of a known and moderate size is read first. */
int fw_http_refuse(struct lws *wsi, const fw_problem_t *problem)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    uint64_t size = 0;
    bool has_length = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
    if (!has_length || content_length(wsi, &size) != 0 || size == 0 || size > DISCARD_BYTES_MAX) {
        send_problem(wsi, problem);
        return -1;
    }
    fw_request_t *request = fw_request_of(connection);
    request->farewell = fw_problem_response(problem, &request->farewell_size);
    return 0;
}

static int begin_publish(fw_shard_t *self, struct lws *wsi)
{
    fw_problem_t problem = judge(self, wsi);
    if (problem.status != 0) {
        fw_counter_add(fw_gateway_metrics_publish(&self->metrics, problem.status), 1);
        return fw_http_refuse(wsi, &problem);
    }
    fw_connection_t *connection = fw_connection_of(wsi);
    uint64_t size = 0;
    int result = content_length(wsi, &size);
    assert(result == 0);
    (void)result;
    fw_post_t *post = fw_alloc(1, sizeof *post);
    post->connection = connection;
    post->state = FW_POST_READING;
    post->id = idempotency_key(wsi);
    post->expected = (size_t)size;
    post->body = fw_alloc(post->expected + 1, 1);
    fw_request_of(connection)->post = post;
    self->posts_count++;
    return 0;
}

int fw_http_request(fw_shard_t *self, struct lws *wsi, fw_text_t path)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_route_t route = fw_route_parse(fw_text(self->config->prefix), path);
    /* Every answer closes, so there is no second request on a connection. */
    if (connection->asked)
        return -1;
    connection->asked = true;
    fw_door_asked(self, wsi);
    if (route.endpoint == FW_ENDPOINT_EVENTS)
        return begin_publish(self, wsi);
    if (route.stream)
        return fw_sse_request(self, wsi);
    fw_shard_refused(self, FW_REFUSED_HTTP_PATH);
    fw_problem_t problem = {.status = 404, .detail = "no such endpoint"};
    if (route.endpoint != FW_ENDPOINT_NONE)
        problem = (fw_problem_t){.status = 426, .detail = "this endpoint speaks WebSocket"};
    return fw_http_refuse(wsi, &problem);
}

int fw_http_body(fw_shard_t *self, struct lws *wsi, const uint8_t *data, size_t size)
{
    fw_request_t *request = fw_request_of(fw_connection_of(wsi));
    fw_post_t *post = request->post;
    (void)self;
    if (request->farewell)
        return 0; /* the library reads as much as was announced, which is little */
    if (!post || post->state != FW_POST_READING || size > post->expected - post->size)
        return -1;
    if (size > 0)
        memcpy(post->body + post->size, data, size);
    post->size += size;
    return 0;
}

static fw_problem_t problem_of(int result, const fw_refusal_t *refusal)
{
    if (result == -EAGAIN) {
        return (fw_problem_t){.status = 503,
                              .detail = "too many events wait for their acknowledgement",
                              .retry_after_s = RETRY_AFTER_S};
    }
    if (result == -EBADMSG)
        return (fw_problem_t){.status = 400, .detail = "the body is not a JSON object"};
    return (fw_problem_t){.status = 422, .refusal = refusal};
}

int fw_http_body_complete(fw_shard_t *self, struct lws *wsi)
{
    fw_request_t *kept = fw_request_of(fw_connection_of(wsi));
    fw_door_settled(self, fw_connection_of(wsi));
    fw_post_t *post = kept->post;
    if (kept->farewell) {
        send_response(wsi, kept->farewell, kept->farewell_size);
        return -1;
    }
    /* What is sent while an answer is awaited would be taken for a second body. */
    if (!post || post->state != FW_POST_READING)
        return -1;
    fw_publish_request_t request;
    fw_refusal_t refusal;
    fw_bytes_t body = {post->body, post->size};
    int result = fw_publish_request_parse(body, fw_text(post->id), &request, &refusal);
    if (result == 0) {
        result = fw_publisher_send(fw_uplink_publisher(self->uplink), &request.event, FW_ACK_PURGED,
                                   fw_clock_ms(), &post->request_id, &refusal);
        fw_publish_request_clear(&request);
    }
    if (result != 0) {
        fw_problem_t problem = problem_of(result, &refusal);
        return refuse_publish(self, wsi, &problem);
    }
    post->state = FW_POST_WAITING;
    post->next = self->posts;
    if (post->next)
        post->next->previous = post;
    self->posts = post;
    free(post->body);
    post->body = NULL;
    return 0;
}

/* What the end of an event means for the client that published it. */
static fw_problem_t problem_of_end(int error, const fw_publish_ack_t *ack)
{
    if (error == -ETIMEDOUT)
        return (fw_problem_t){
            .status = 504, .detail = "no acknowledgement in time; send it again with the same id"};
    if (error != 0 || !ack || ack->status == FW_PUBLISH_RETRY) {
        return (fw_problem_t){.status = 503,
                              .detail = "not published; send it again with the same id",
                              .retry_after_s = RETRY_AFTER_S};
    }
    if (ack->status == FW_PUBLISH_OVERLOAD)
        return (fw_problem_t){
            .status = 429, .detail = "too many events", .retry_after_s = RETRY_AFTER_S};
    if (ack->status == FW_PUBLISH_REJECTED)
        return (fw_problem_t){.status = 422, .refusal = &ack->refusal};
    return (fw_problem_t){.status = 200};
}

void fw_http_published(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    fw_shard_t *self = context;
    fw_post_t *post = self->posts;
    while (post && post->request_id != request_id)
        post = post->next;
    if (!post) {
        /* The client has gone, or it is an event of a browser. */
        fw_shard_rooms_published(self, request_id, error, ack);
        return;
    }
    fw_problem_t problem = problem_of_end(error, ack);
    fw_counter_add(fw_gateway_metrics_publish(&self->metrics, problem.status), 1);
    post->response = problem.status == 200 ? fw_published_response(ack, &post->response_size)
                                           : fw_problem_response(&problem, &post->response_size);
    unlink_post(self, post);
    post->state = FW_POST_ANSWERED;
    lws_callback_on_writable(post->connection->wsi);
}

int fw_http_writable(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    if (connection->session)
        return fw_sse_writable(self, wsi);
    fw_post_t *post = fw_request_of(connection)->post;
    if (!post || post->state != FW_POST_ANSWERED)
        return 0;
    send_response(wsi, post->response, post->response_size);
    destroy_post(self, post);
    return -1;
}
