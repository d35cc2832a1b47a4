/* admin.c - the admin port: /healthz, /readyz and /metrics.   SPDX-License-Identifier: MPL-2.0
 * One actor with a libwebsockets context on its default poll loop, which is fine for a few
 * connections. The listening socket is ours, so that a bind that fails has its errno and the number
 * of connections its limit. */
#include "runtime/admin_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/listen.h"
#include "runtime/log.h"
#include "runtime/log_route.h"

enum {
    BACKLOG = 64,
    HEADER_BYTES_MAX = 4096, /* of one request; more closes the connection */
    CHUNK = 16 * 1024,       /* of a body, in one write */
    TICK_US = 1000000,
};

static const struct {
    unsigned code;
    const char *labels;
} statuses[FW_ADMIN_STATUSES] = {
    {200, "status=\"200\""}, {400, "status=\"400\""}, {401, "status=\"401\""},
    {403, "status=\"403\""}, {404, "status=\"404\""}, {405, "status=\"405\""},
    {411, "status=\"411\""}, {413, "status=\"413\""}, {415, "status=\"415\""},
    {422, "status=\"422\""}, {429, "status=\"429\""}, {503, "status=\"503\""},
    {504, "status=\"504\""}, {0, "status=\"other\""},
};

static void free_answer(fw_admin_answer_t *answer)
{
    if (!answer)
        return;
    free(answer->body);
    free(answer->content);
    *answer = (fw_admin_answer_t){.body = NULL};
}

/* What to say to a path. The body is the caller's to free. */
static unsigned choose_answer(fw_admin_t *self, const char *path, char **ret_body,
                              const char **ret_type)
{
    int64_t now_ms = fw_clock_ms();
    *ret_type = "application/json";
    if (strcmp(path, "/metrics") == 0) {
        size_t size;
        *ret_type = "text/plain; version=0.0.4; charset=utf-8";
        *ret_body = fw_metrics_render(self->metrics, &size);
        return 200;
    }
    bool live = strcmp(path, "/healthz") == 0 || strcmp(path, "/livez") == 0;
    if (live || strcmp(path, "/readyz") == 0) {
        *ret_body = fw_health_render(self->health, now_ms);
        bool good =
            live ? fw_health_live(self->health, now_ms) : fw_health_ready(self->health, now_ms);
        return good ? 200 : 503;
    }
    *ret_type = "text/plain; charset=utf-8";
    *ret_body = fw_copy_text("not found\n", strlen("not found\n"));
    return 404;
}

static int add_header(struct lws *wsi, const char *name, const char *value,
                      unsigned char **cursor_p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), cursor_p,
                                       end);
}

static int write_head(struct lws *wsi, const fw_admin_head_t *head, size_t size, bool last)
{
    unsigned char buffer[LWS_PRE + 1024];
    unsigned char *begin = buffer + LWS_PRE;
    unsigned char *cursor = begin;
    unsigned char *end = buffer + sizeof buffer - 1;
    char seconds[16];
    (void)snprintf(seconds, sizeof seconds, "%u", head->retry_after_s);
    if (lws_add_http_common_headers(wsi, head->status, head->type, size, &cursor, end) ||
        add_header(wsi, "cache-control:", "no-store", &cursor, end) ||
        add_header(wsi, "x-content-type-options:", "nosniff", &cursor, end))
        return -1;
    if (head->status == 401 && add_header(wsi, "www-authenticate:", "Bearer", &cursor, end))
        return -1;
    if (head->retry_after_s > 0 && add_header(wsi, "retry-after:", seconds, &cursor, end))
        return -1;
    if (head->allow && add_header(wsi, "allow:", head->allow, &cursor, end))
        return -1;
    if (last && add_header(wsi, "connection:", "close", &cursor, end))
        return -1;
    return lws_finalize_write_http_header(wsi, begin, &cursor, end);
}

static void count(fw_admin_t *self, unsigned status)
{
    size_t i = 0;
    while (i < FW_ADMIN_STATUSES - 1 && statuses[i].code != status)
        i++;
    fw_counter_add(self->answered[i], 1);
}

int fw_admin_answer(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                    const fw_admin_head_t *head)
{
    answer->size = strlen(answer->body);
    answer->sent = head->head ? answer->size : 0;
    count(self, head->status);
    if (write_head(wsi, head, answer->size, answer->last) != 0)
        return -1;
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, FW_ADMIN_IDLE_S);
    lws_callback_on_writable(wsi);
    return 0;
}

/* Returns what the libwebsockets callback has to return: not 0 closes the connection. */
static int begin_answer(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                        const char *path)
{
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    /* A request with a body is not read on, and so the connection cannot be used again. */
    bool has_body = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
                    lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
    fw_admin_head_t head = {.status = 405, .type = "text/plain; charset=utf-8"};
    free_answer(answer);
    lws_set_opaque_user_data(wsi, self); /* a mark: this connection has asked something */
    if (fw_admin_routes_find(self->routes, fw_text(path)) >= 0)
        return fw_admin_api_begin(self, wsi, answer, fw_text(path));
    head.head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (get || head.head) {
        head.status = choose_answer(self, path, &answer->body, &head.type);
    } else {
        head.allow = "GET, HEAD";
        answer->body = fw_copy_text("only GET and HEAD\n", strlen("only GET and HEAD\n"));
    }
    answer->last = has_body || head.status == 405;
    return fw_admin_answer(self, wsi, answer, &head);
}

static int go_on_answering(struct lws *wsi, fw_admin_answer_t *answer)
{
    if (!answer->body)
        return 0;
    size_t size = answer->size - answer->sent;
    if (size > CHUNK)
        size = CHUNK;
    if (size > 0) {
        unsigned char buffer[LWS_PRE + CHUNK];
        bool final = answer->sent + size == answer->size;
        memcpy(buffer + LWS_PRE, answer->body + answer->sent, size);
        if (lws_write(wsi, buffer + LWS_PRE, size, final ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
            (int)size)
            return -1;
        answer->sent += size;
        lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, FW_ADMIN_IDLE_S);
    }
    /* What libwebsockets still holds would be lost if the connection were closed now. */
    if (answer->sent < answer->size || lws_partial_buffered(wsi)) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    bool last = answer->last;
    free_answer(answer);
    return last || lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* Takes every connection that waits; those above the limit are closed. */
static void accept_all(fw_admin_t *self)
{
    for (unsigned i = 0; i < BACKLOG; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (self->connections >= FW_ADMIN_CONNECTIONS_MAX) {
            fw_counter_add(self->refused, 1);
            (void)close(fd);
            continue;
        }
        /* Closes the descriptor itself when it fails. */
        if (lws_adopt_socket_vhost(self->vhost, fd))
            self->connections++;
    }
}

static void read_controls(fw_admin_t *self)
{
    fw_control_t control;
    while (!self->stopping && (control = fw_actor_receive(self->pipe)) != 0)
        if (control == FW_CONTROL_STOP)
            self->stopping = true;
}

static void beat(lws_sorted_usec_list_t *tick)
{
    fw_admin_t *self = lws_container_of(tick, fw_admin_t, tick);
    fw_pulse_beat(self->pulse, fw_clock_ms());
    read_controls(self);
    fw_admin_routes_receive(self->routes);
    lws_sul_schedule(self->context, 0, &self->tick, beat, TICK_US);
}

static bool is_connection(const fw_admin_t *self, const struct lws *wsi)
{
    for (size_t i = 0; i < FW_ADMIN_ROUTES_MAX; i++)
        if (wsi == self->route_wsis[i])
            return false;
    return wsi != self->listener_wsi && wsi != self->pipe_wsi;
}

static int serve_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t size)
{
    fw_admin_t *self = lws_context_user(lws_get_context(wsi));
    fw_admin_answer_t *answer = user;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return begin_answer(self, wsi, answer, in);
    case LWS_CALLBACK_HTTP_BODY:
        return fw_admin_api_content(self, wsi, answer, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return fw_admin_api_complete(self, wsi, answer);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return go_on_answering(wsi, answer);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return -1; /* neither WebSocket nor HTTP/2 is spoken here */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        fw_admin_api_forget(self, wsi);
        free_answer(answer);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        fw_admin_api_forget(self, wsi);
        if (is_connection(self, wsi) && self->connections > 0) {
            self->connections--;
            if (!lws_get_opaque_user_data(wsi))
                fw_counter_add(self->unanswered, 1);
        }
        return 0;
    default:
        return 0;
    }
}

/* The descriptors that are not connections. */
static int serve_raw(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t size)
{
    (void)user;
    (void)in;
    (void)size;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    fw_admin_t *self = lws_context_user(lws_get_context(wsi));
    if (wsi == self->listener_wsi)
        accept_all(self);
    else if (wsi == self->pipe_wsi)
        read_controls(self);
    else
        fw_admin_routes_receive(self->routes);
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = serve_http, .per_session_data_size = sizeof(fw_admin_answer_t)},
    {.name = "raw", .callback = serve_raw},
    {0},
};

static struct lws *adopt(fw_admin_t *self, int fd)
{
    return lws_adopt_descriptor_vhost(self->vhost, LWS_ADOPT_RAW_FILE_DESC,
                                      (lws_sock_file_fd_type){.filefd = fd}, "raw", NULL);
}

/* libwebsockets closes what it was given, and ZeroMQ's descriptor is not ours to close. */
static int watch(fw_admin_t *self, int fd, struct lws **ret_wsi)
{
    int copy = fd < 0 ? -1 : dup(fd);
    if (copy < 0)
        return -errno;
    *ret_wsi = adopt(self, copy);
    return *ret_wsi ? 0 : -ENOMEM;
}

static int open_routes(fw_admin_t *self)
{
    int result = fw_admin_routes_new(&self->options, fw_admin_api_replied, self, &self->routes);
    for (size_t i = 0; result == 0 && i < self->options.routes_count; i++)
        result = watch(self, fw_admin_routes_fd(self->routes, i), &self->route_wsis[i]);
    return result;
}

static int open_context(fw_admin_t *self)
{
    fw_log_route_websockets();
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = self,
        .gid = -1,
        .uid = -1,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .server_string = "freshwire",
        .vhost_name = "admin",
        .max_http_header_data = HEADER_BYTES_MAX,
        .max_http_header_pool = FW_ADMIN_CONNECTIONS_MAX,
        .timeout_secs = FW_ADMIN_IDLE_S,
        .timeout_secs_ah_idle = FW_ADMIN_IDLE_S,
        .keepalive_timeout = FW_ADMIN_IDLE_S,
    };
    self->context = lws_create_context(&info);
    if (!self->context)
        return -ENOMEM;
    self->vhost = lws_create_vhost(self->context, &info);
    if (!self->vhost)
        return -ENOMEM;
    int result = watch(self, zsock_fd(self->pipe), &self->pipe_wsi);
    if (result == 0)
        result = open_routes(self);
    if (result != 0)
        return result;
    self->listener_wsi = adopt(self, self->listener);
    if (!self->listener_wsi)
        return -ENOMEM;
    lws_sul_schedule(self->context, 0, &self->tick, beat, TICK_US);
    return 0;
}

static void run(zsock_t *pipe, void *args)
{
    fw_admin_t *self = args;
    self->pipe = pipe;
    self->pulse = fw_health_pulse(self->health, "admin");
    int result = open_context(self);
    fw_actor_ready(pipe, result);
    /* The wake-up of a control may have been used up by what came before. */
    if (result == 0)
        read_controls(self);
    while (result == 0 && !self->stopping)
        if (lws_service(self->context, 0) < 0)
            break;
    if (self->context)
        lws_context_destroy(self->context);
    fw_admin_routes_destroy(&self->routes);
    if (!self->listener_wsi)
        (void)close(self->listener);
    fw_pulse_end(self->pulse);
}

static void make_metrics(fw_admin_t *self)
{
    for (size_t i = 0; i < FW_ADMIN_STATUSES; i++) {
        self->answered[i] =
            fw_metrics_counter(self->metrics, "freshwire_admin_requests_total",
                               "Requests answered on the admin port.", statuses[i].labels);
    }
    self->refused = fw_metrics_counter(
        self->metrics, "freshwire_admin_connections_refused_total",
        "Connections to the admin port closed because 64 were open already.", "");
    self->unanswered =
        fw_metrics_counter(self->metrics, "freshwire_admin_connections_unanswered_total",
                           "Connections to the admin port that asked nothing understood.", "");
}

int fw_admin_start(const char *listen, fw_metrics_t *metrics, fw_health_t *health,
                   fw_admin_t **ret_admin)
{
    const fw_admin_options_t none = {.routes_count = 0};
    return fw_admin_start_with(listen, &none, metrics, health, ret_admin);
}

int fw_admin_start_with(const char *listen, const fw_admin_options_t *options,
                        fw_metrics_t *metrics, fw_health_t *health, fw_admin_t **ret_admin)
{
    if (options->routes_count > FW_ADMIN_ROUTES_MAX)
        return -EINVAL;
    fw_admin_t *self = fw_alloc(1, sizeof *self);
    self->options = *options;
    self->metrics = metrics;
    self->health = health;
    int result = fw_listen(listen, BACKLOG, &self->listener, &self->port);
    if (result != 0) {
        free(self);
        return result;
    }
    make_metrics(self);
    result = fw_actor_start("admin", run, self, &self->actor);
    if (result != 0) {
        free(self);
        return result;
    }
    *ret_admin = self;
    return 0;
}

void fw_admin_stop(fw_admin_t **self_p)
{
    fw_admin_t *self = *self_p;
    if (!self)
        return;
    fw_actor_stop(&self->actor);
    free(self);
    *self_p = NULL;
}

int fw_admin_port(const fw_admin_t *self)
{
    return self->port;
}
