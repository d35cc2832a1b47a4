/* shard.c - see shard.h.   SPDX-License-Identifier: MPL-2.0
 * All work of a turn is done in the prepare handle, right before the loop would sleep: broker, then
 * sessions. Callbacks of libwebsockets only change state and mark sessions. */
#include "gateway/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    PLUGS = 8, /* see plug_descriptors */
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100, /* without descriptors a listening socket stays readable for ever */
    SLOW_TICK_MS = 1000,
    AUDIT_SECONDS = 30,  /* every channel's position is checked so often */
    HTTP_TIMEOUT_S = 10, /* for a request's headers, and between pieces of its body */
    HTTP_IDLE_S = 30,    /* between requests */
};

int64_t fw_shard_wall_s(void)
{
    return fw_clock_wall_ms() / 1000;
}

void fw_shard_refused(const fw_shard_t *self, fw_refused_t what)
{
    fw_counter_add(self->metrics.refused[what], 1);
}

bool fw_shard_refuses(const fw_shard_t *self)
{
    return self->drain_began_ms > 0 &&
           fw_clock_ms() - self->drain_began_ms >= self->config->drain_delay_ms;
}

fw_connection_t *fw_connection_of(struct lws *wsi)
{
    fw_connection_t *connection = lws_get_opaque_user_data(wsi);
    if (!connection) {
        connection = fw_alloc(1, sizeof *connection);
        connection->wsi = wsi;
        lws_set_opaque_user_data(wsi, connection);
    }
    return connection;
}

static void forget_connection(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = lws_get_opaque_user_data(wsi);
    /* What the library could not read it has refused by itself, without asking us. */
    if (!connection || !connection->asked)
        fw_shard_refused(self, FW_REFUSED_NO_REQUEST);
    if (!connection)
        return;
    fw_ws_end(self, connection, FW_DISCONNECT_LOST);
    fw_session_destroy(&connection->session);
    fw_http_closed(self, connection);
    if (connection->websocket)
        self->websockets--;
    free(connection->room);
    free(connection->assembly);
    free(connection);
    lws_set_opaque_user_data(wsi, NULL);
}

/* ------ libwebsockets */

static int request(fw_shard_t *self, struct lws *wsi, const char *path, size_t size)
{
    return fw_http_request(self, wsi, (fw_text_t){path, size});
}

static int called_back(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t size)
{
    fw_shard_t *self = lws_context_user(lws_get_context(wsi));
    switch ((int)reason) {
    case LWS_CALLBACK_WSI_CREATE:
        self->connections++;
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        self->connections--;
        forget_connection(self, wsi);
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return fw_http_upgrade(self, wsi);
    case LWS_CALLBACK_HTTP:
        return request(self, wsi, in, size);
    case LWS_CALLBACK_HTTP_BODY:
        return fw_http_body(self, wsi, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return fw_http_body_complete(self, wsi);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return fw_http_writable(self, wsi);
    case LWS_CALLBACK_CLOSED_HTTP:
        fw_http_closed(self, fw_connection_of(wsi));
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return fw_ws_prepare(self, wsi);
    case LWS_CALLBACK_ESTABLISHED:
        return fw_ws_open(self, wsi, size != 0);
    case LWS_CALLBACK_RECEIVE:
        return fw_ws_receive(self, wsi, in, size);
    case LWS_CALLBACK_RECEIVE_PONG:
        fw_ws_heard(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return fw_ws_writable(self, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return fw_ws_peer_closes(self, wsi);
    case LWS_CALLBACK_CLOSED:
        fw_ws_end(self, fw_connection_of(wsi), FW_DISCONNECT_LOST);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
}

static void name_protocols(fw_shard_t *self)
{
    const char *names[FW_SUBPROTOCOLS] = {"", FW_SUBPROTOCOL_JSON, self->unknown};
    for (size_t i = 0; i < FW_SUBPROTOCOLS; i++) {
        self->protocols[i] = (struct lws_protocols){
            .name = names[i],
            .callback = called_back,
            .rx_buffer_size = 256,
            .tx_packet_size = FW_GATHER_BYTES_MAX,
        };
    }
}

/* Every value here was chosen for a measured reason: docs/decisions, research on the gateway's I/O.
 */
static int create_context(fw_shard_t *self)
{
    /* Zeros in a vhost's policy switch the library's own pings off: its timers are one sorted list.
     */
    static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0};
    void *loops[1] = {&self->loop};
    name_protocols(self);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = self->protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN,
        .foreign_loops = loops,
        .pt_serv_buf_size = 8192,
        .max_http_header_data = FW_HEADERS_BYTES_MAX,
        .retry_and_idle_policy = &no_pings,
        .timeout_secs = HTTP_TIMEOUT_S,
        .timeout_secs_ah_idle = HTTP_TIMEOUT_S,
        .keepalive_timeout = HTTP_IDLE_S,
        .alpn = "http/1.1",
        .user = self,
        .uid = -1,
        .gid = -1,
    };
    self->lws = lws_create_context(&info);
    if (!self->lws)
        return -EIO;
    self->vhost = lws_get_vhost_by_name(self->lws, "default");
    return self->vhost ? 0 : -EIO;
}

/* ------ accepting */

static void adopt(fw_shard_t *self, int fd)
{
    static const int on = 1;
    if (self->connections >= self->sessions_max + FW_CONNECTIONS_SPARE) {
        fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* On failure the library closes the descriptor. */
    (void)lws_adopt_socket_vhost(self->vhost, fd);
}

static void accept_ready(uv_poll_t *poll, int status, int events)
{
    fw_shard_t *self = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(self->args->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            adopt(self, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
            (void)uv_poll_stop(&self->listener);
            self->accept_again_ms = fw_clock_ms() + ACCEPT_PAUSE_MS;
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void resume_accepting(fw_shard_t *self, int64_t now_ms)
{
    if (self->accept_again_ms == 0 || now_ms < self->accept_again_ms)
        return;
    self->accept_again_ms = 0;
    (void)uv_poll_start(&self->listener, UV_READABLE, accept_ready);
}

/* ------ sessions */

void fw_shard_write(fw_shard_t *self, fw_session_t *session)
{
    fw_connection_t *connection = session->connection;
    struct lws *wsi = connection->wsi;
    if (lws_partial_buffered(wsi)) {
        session->behind = true;
        return; /* the library calls when it is through */
    }
    fw_output_t output;
    size_t limit = session->behind ? FW_GATHER_BEHIND_BYTES : FW_GATHER_BYTES_MAX;
    if (!fw_gather_next(self->gathers[session->batch], session, limit, &output))
        return;
    int written = lws_write(wsi, fw_unchanged(output.bytes.data), output.bytes.size, LWS_WRITE_RAW);
    if (written < 0) {
        fw_ws_cut(connection);
        fw_ws_end(self, connection, FW_DISCONNECT_LOST);
        return;
    }
    fw_counter_add(self->metrics.writes, 1);
    fw_counter_add(self->metrics.written_bytes, output.bytes.size);
    fw_counter_add(self->metrics.delivered, output.events);
    if (output.lapped > 0)
        fw_counter_add(self->metrics.resets[FW_RESET_LAPPED], output.lapped);
    if (output.oldest_us > 0)
        fw_histogram_observe_us(self->metrics.delivery, fw_clock_us() - output.oldest_us);
    if (lws_partial_buffered(wsi))
        session->behind = true;
    else if (output.more)
        fw_hub_mark(self->hub, session);
}

void fw_shard_close(fw_shard_t *self, fw_connection_t *connection, fw_close_t close)
{
    fw_session_t *session = connection->session;
    if (!session || session->state == FW_SESSION_CLOSING)
        return;
    if (session->control_size > 0)
        fw_shard_write(self, session);
    if (session->state == FW_SESSION_CLOSING)
        return; /* the write found it gone */
    connection->close_code = (uint16_t)close.code;
    connection->close_reason = close.reason;
    fw_ws_end(self, connection, (int)close.code);
    fw_ws_schedule(self, session, FW_PHASE_CLOSING, fw_clock_ms());
    fw_ws_send_close(connection);
}

static void flush(fw_shard_t *self)
{
    fw_session_t *session;
    if (fw_hub_marked(self->hub) == 0)
        return;
    while ((session = fw_hub_next_marked(self->hub)) != NULL) {
        fw_shard_write(self, session);
        if (session->overfull)
            fw_shard_close(self, session->connection,
                           (fw_close_t){FW_CLOSE_SLOW, "too many messages are waiting"});
    }
}

static void timer_fired(void *context, fw_wheel_node_t *node)
{
    fw_session_t *session = lws_container_of(node, fw_session_t, timer);
    fw_ws_timer(context, session, fw_clock_ms());
}

/* ------ draining */

static fw_close_t drain_close(void)
{
    return (fw_close_t){FW_CLOSE_DRAINING, "draining"};
}

static void close_some(fw_shard_t *self, uint32_t count)
{
    while (count-- > 0 && self->sessions > 0) {
        fw_session_t *session = self->all[self->sessions - 1];
        fw_session_say_drain(session, self->config->reconnect_window_ms);
        fw_shard_close(self, session->connection, drain_close());
    }
}

/* Closes as many sessions as are due, so that all are closed evenly over the window. */
static void drain(fw_shard_t *self, int64_t now_ms)
{
    if (self->drain_began_ms == 0 || self->drained)
        return;
    int64_t into_ms = now_ms - self->drain_began_ms - self->config->drain_delay_ms;
    if (self->aborted)
        into_ms = self->config->drain_window_ms;
    if (into_ms >= 0) {
        int64_t left_ms = self->config->drain_window_ms - into_ms;
        int64_t turns = left_ms > 0 ? left_ms / FW_WHEEL_TICK_MS + 1 : 1;
        close_some(self, (uint32_t)((self->sessions + turns - 1) / turns));
    }
    if (into_ms < 0 || self->sessions > 0)
        return;
    if (self->emptied_ms == 0)
        self->emptied_ms = now_ms;
    bool quiet = self->websockets == 0 && self->posts_count == 0;
    if (quiet || now_ms - self->emptied_ms >= FW_FAREWELL_MS) {
        const uint64_t one = 1;
        self->drained = true;
        ssize_t written = write(self->args->drained_fd, &one, sizeof one);
        assert(written == sizeof one);
        (void)written;
    }
}

static void begin_drain(fw_shard_t *self)
{
    if (self->drain_began_ms == 0)
        self->drain_began_ms = fw_clock_ms();
}

static void aborted(uv_poll_t *poll, int status, int events)
{
    fw_shard_t *self = poll->data;
    (void)status;
    (void)events;
    (void)uv_poll_stop(poll);
    self->aborted = true;
    close_some(self, UINT32_MAX);
}

/* ------ time */

static void report(fw_shard_t *self)
{
    fw_gateway_metrics_t *metrics = &self->metrics;
    const fw_hub_counts_t *counts = fw_hub_counts(self->hub);
    fw_hub_counts_t *old = &self->reported;
    fw_gauge_add(metrics->subscriptions, (int64_t)(counts->subscriptions - old->subscriptions));
    fw_gauge_add(metrics->channels, (int64_t)(counts->channels - old->channels));
    fw_gauge_add(metrics->ring_bytes, (int64_t)(counts->rings_bytes - old->rings_bytes));
    for (int i = FW_RESET_HISTORY; i < FW_RESETS; i++)
        fw_counter_add(metrics->resets[i], counts->resets[i] - old->resets[i]);
    fw_counter_add(metrics->replays_complete, counts->replays_complete - old->replays_complete);
    fw_counter_add(metrics->replays_reset, counts->replays_reset - old->replays_reset);
    *old = *counts;
    fw_counter_add(metrics->refused[FW_REFUSED_MESSAGE], self->refused - self->refused_reported);
    self->refused_reported = self->refused;
    fw_gauge_add(metrics->sessions, (int64_t)self->sessions - (int64_t)self->sessions_reported);
    self->sessions_reported = self->sessions;
    fw_gauge_add(metrics->connections,
                 (int64_t)self->connections - (int64_t)self->connections_reported);
    self->connections_reported = self->connections;
}

static void report_link(fw_shard_t *self, bool connected)
{
    fw_condition_set(self->args->linked, connected);
    if (connected == self->connected_reported)
        return;
    self->connected_reported = connected;
    fw_gauge_add(self->metrics.uplink_connected, connected ? 1 : -1);
}

static void ticked(uv_timer_t *timer)
{
    fw_shard_t *self = timer->data;
    int64_t now_ms = fw_clock_ms();
    fw_pulse_beat(self->args->pulse, now_ms);
    fw_wheel_turn(self->wheel, now_ms, timer_fired, self);
    fw_uplink_tick(self->uplink, now_ms);
    report_link(self, fw_uplink_connected(self->uplink));
    resume_accepting(self, now_ms);
    drain(self, now_ms);
    report(self);
    if (now_ms - self->ticked_ms < SLOW_TICK_MS)
        return;
    self->ticked_ms = now_ms;
    fw_hub_tick(self->hub, now_ms);
    fw_hub_audit(self->hub, AUDIT_SECONDS);
}

static void obey(fw_shard_t *self)
{
    fw_control_t control;
    while ((control = fw_actor_receive(self->pipe)) != 0) {
        switch (control) {
        case FW_CONTROL_STOP:
            self->stopping = true;
            uv_stop(&self->loop);
            return;
        case FW_CONTROL_DRAIN:
            begin_drain(self);
            break;
        case FW_CONTROL_RELOAD:
            break; /* nothing of a shard can change while it runs */
        }
    }
}

static void idled(uv_idle_t *idle)
{
    (void)idle;
}

static void prepared(uv_prepare_t *prepare)
{
    fw_shard_t *self = prepare->data;
    bool more = fw_uplink_turn(self->uplink, fw_clock_ms());
    flush(self);
    obey(self);
    if (more)
        (void)uv_idle_start(&self->idle, idled);
    else
        (void)uv_idle_stop(&self->idle);
}

/* ------ life */

static int start_handles(fw_shard_t *self)
{
    int result = uv_poll_init(&self->loop, &self->listener, self->args->listen_fd);
    if (result == 0)
        result = uv_poll_init(&self->loop, &self->abort, self->args->abort_fd);
    if (result == 0)
        result = uv_timer_init(&self->loop, &self->ticker);
    if (result == 0)
        result = uv_prepare_init(&self->loop, &self->prepare);
    if (result == 0)
        result = uv_idle_init(&self->loop, &self->idle);
    if (result == 0)
        result = fw_wakeup_new(&self->loop, self->pipe, &self->pipe_wakeup);
    if (result != 0)
        return result;
    self->listener.data = self;
    self->abort.data = self;
    self->ticker.data = self;
    self->prepare.data = self;
    result = uv_poll_start(&self->listener, UV_READABLE, accept_ready);
    if (result == 0)
        result = uv_poll_start(&self->abort, UV_READABLE, aborted);
    if (result == 0)
        result = uv_timer_start(&self->ticker, ticked, FW_WHEEL_TICK_MS, FW_WHEEL_TICK_MS);
    if (result == 0)
        result = uv_prepare_start(&self->prepare, prepared);
    return result;
}

static int start_uplink(fw_shard_t *self, int64_t now_ms)
{
    fw_uplink_options_t options = {
        .events_endpoint = self->config->events_endpoint,
        .control_endpoint = self->config->control_endpoint,
        .publish_endpoint = self->config->publish_endpoint,
        .security = self->config->security,
        .loop = &self->loop,
        .hub = self->hub,
        .metrics = &self->metrics,
        .published = fw_http_published,
        .published_context = self,
    };
    return fw_uplink_new(&options, now_ms, &self->uplink);
}

static void build(fw_shard_t *self, int64_t now_ms)
{
    const fw_gateway_config_t *config = self->config;
    fw_hub_limits_t limits = {
        .ring = {config->ring_events_max, config->ring_bytes_max},
        .rings_bytes_max = config->rings_bytes_max,
        .linger_ms = config->linger_ms,
        .ping_ms = (uint32_t)config->ping_ms,
        .reconnect_window_ms = config->reconnect_window_ms,
    };
    fw_auth_key_t key = {
        .id = FW_TEXT_NONE,
        .algorithm = FW_AUTH_HS256,
        .secret = {(const uint8_t *)config->jwt_secret, strlen(config->jwt_secret)},
    };
    fw_gateway_metrics_init(&self->metrics, self->args->metrics);
    fw_random_bytes(&self->random, sizeof self->random);
    self->sessions_max = self->args->sessions_max;
    self->hub = fw_hub_new(&limits);
    self->auth = fw_auth_new(&key, key.secret.size > 0 ? 1 : 0);
    self->wheel = fw_wheel_new(now_ms);
    self->gathers[false] = fw_gather_new(false);
    self->gathers[true] = fw_gather_new(true);
    self->dialogue = (fw_dialogue_t){
        .hub = self->hub,
        .auth = self->auth,
        .refused = &self->refused,
        .anonymous = config->anonymous,
        .channels_max = config->channels_per_session_max,
        .resume_max = config->channels_per_session_max,
    };
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* The library (4.1.6) closes its event pipe twice, the second time in a later turn of the loop. The
 * lowest free numbers are taken meanwhile, so that it does not hit a descriptor of another thread.
 */
static void plug_descriptors(const fw_shard_t *self, int plugs[PLUGS])
{
    for (int i = 0; i < PLUGS; i++)
        plugs[i] = fcntl(self->args->listen_fd, F_DUPFD_CLOEXEC, 0);
}

/* Closes the copies, but not the number that the library closed: it may be somebody's by now. */
static void unplug_descriptors(const fw_shard_t *self, const int plugs[PLUGS])
{
    struct stat ours, now;
    if (fstat(self->args->listen_fd, &ours) != 0)
        return;
    for (int i = 0; i < PLUGS; i++) {
        if (plugs[i] >= 0 && fstat(plugs[i], &now) == 0 && now.st_dev == ours.st_dev &&
            now.st_ino == ours.st_ino)
            (void)close(plugs[i]);
    }
}

/* Own handles first; the library's close in the turns that follow. */
static void tear_down(fw_shard_t *self)
{
    fw_wakeup_destroy(&self->pipe_wakeup);
    close_handle((uv_handle_t *)&self->listener);
    close_handle((uv_handle_t *)&self->abort);
    close_handle((uv_handle_t *)&self->ticker);
    close_handle((uv_handle_t *)&self->prepare);
    close_handle((uv_handle_t *)&self->idle);
    fw_uplink_destroy(&self->uplink);
    int plugs[PLUGS];
    if (self->lws)
        lws_context_destroy(self->lws);
    plug_descriptors(self, plugs);
    (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    unplug_descriptors(self, plugs);
    /* On a loop of ours the first call only begins; now that every handle is closed, the second one
     * ends it. */
    if (self->lws)
        lws_context_destroy(self->lws);
    int result = uv_loop_close(&self->loop);
    assert(result == 0);
    (void)result;
    if (self->hub) {
        report(self);
        report_link(self, false);
        fw_gauge_add(self->metrics.subscriptions, -(int64_t)self->reported.subscriptions);
        fw_gauge_add(self->metrics.channels, -(int64_t)self->reported.channels);
        fw_gauge_add(self->metrics.ring_bytes, -(int64_t)self->reported.rings_bytes);
    }
    fw_hub_destroy(&self->hub);
    fw_auth_destroy(&self->auth);
    fw_wheel_destroy(&self->wheel);
    fw_gather_destroy(&self->gathers[false]);
    fw_gather_destroy(&self->gathers[true]);
    free(self->all);
}

void fw_shard_run(zsock_t *pipe, void *args)
{
    fw_shard_t *self = fw_alloc(1, sizeof *self);
    int64_t now_ms = fw_clock_ms();
    self->args = args;
    self->config = self->args->config;
    self->pipe = pipe;
    int result = uv_loop_init(&self->loop);
    if (result != 0) {
        fw_actor_ready(pipe, result);
        free(self);
        return;
    }
    build(self, now_ms);
    result = create_context(self);
    if (result == 0)
        result = start_uplink(self, now_ms);
    if (result == 0)
        result = start_handles(self);
    fw_actor_ready(pipe, result);
    while (result == 0 && !self->stopping)
        (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    fw_pulse_end(self->args->pulse);
    tear_down(self);
    free(self);
}
