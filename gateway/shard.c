/* shard.c - see shard.h.   SPDX-License-Identifier: MPL-2.0
 * All work of a turn is done in the prepare handle, right before the loop would sleep: broker, then
 * sessions. Callbacks of libwebsockets only change state and mark sessions. */
#include "gateway/shard_auth.h"
#include "gateway/shard_authorise.h"
#include "gateway/shard_internal.h"
#include "gateway/shard_rooms.h"
#include "gateway/shard_sessions.h"
#include "gateway/shard_tls.h"
#include "gateway/shard_watch.h"

#include <malloc.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    SLOW_TICK_MS = 1000,
    TRIM_SESSIONS = 1000, /* come or gone: memory is worth giving back */
    TRIM_QUIET = 100,     /* in a second: no more are coming */
    AUDIT_SECONDS = 30,   /* every channel's position is checked so often */
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

const char *fw_shard_full(const fw_shard_t *self, fw_refused_t *ret_what)
{
    if (fw_shard_refuses(self)) {
        *ret_what = FW_REFUSED_DRAINING;
        return "draining";
    }
    if (self->sessions >= self->sessions_max) {
        *ret_what = FW_REFUSED_SESSIONS;
        return "too many sessions";
    }
    if (fw_hub_full(self->hub) || self->control_bytes > self->config->control_bytes_max) {
        *ret_what = FW_REFUSED_MEMORY;
        return "no memory left for another session";
    }
    return NULL;
}

fw_connection_t *fw_connection_of(struct lws *wsi)
{
    fw_connection_t *connection = lws_get_opaque_user_data(wsi);
    if (!connection) {
        connection = fw_alloc(1, sizeof *connection);
        connection->wsi = wsi;
        connection->fd = -1;
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
    fw_door_gone(self, connection);
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

int fw_shard_called_back(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t size)
{
    fw_shard_t *self = lws_context_user(lws_get_context(wsi));
    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        return fw_shard_tls_attach(self, user);
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

/* ------ sessions */

static fw_gather_t *gather_for(fw_shard_t *self, const fw_session_t *session)
{
    fw_gather_t **gather = &self->gathers[session->encoding][session->batch];
    if (!*gather)
        *gather = fw_gather_new((fw_encoding_t)session->encoding, session->batch);
    return *gather;
}

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
    if (!fw_gather_next(gather_for(self, session), session, limit, &output))
        return;
    int written = lws_write(wsi, fw_unchanged(output.bytes.data), output.bytes.size, LWS_WRITE_RAW);
    if (written < 0) {
        fw_ws_cut(connection);
        fw_ws_end(self, connection, FW_DISCONNECT_LOST);
        return;
    }
    if (session->encoding == FW_ENCODING_SSE)
        fw_sse_written(connection);
    fw_counter_add(self->metrics.writes, 1);
    fw_counter_add(self->metrics.written_bytes, output.bytes.size);
    fw_counter_add(self->metrics.delivered, output.events);
    if (output.grown > 0)
        fw_hub_grew(self->hub, output.grown);
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
    if (session->encoding == FW_ENCODING_SSE)
        fw_sse_farewell(self, session, &close);
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
        fw_watch_enforce(self, session->connection);
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

/* ------ time */

void fw_shard_report(fw_shard_t *self)
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

void fw_shard_report_link(fw_shard_t *self, bool connected)
{
    if (connected)
        fw_condition_set(self->args->linked, true);
    if (connected == self->connected_reported)
        return;
    self->connected_reported = connected;
    fw_gauge_add(self->metrics.uplink_connected, connected ? 1 : -1);
}

/* Only slow sessions have any for long, so that looking once in a while is enough. */
static void count_control(fw_shard_t *self)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < self->sessions; i++)
        bytes += self->all[i]->control_capacity;
    fw_gauge_add(self->metrics.control_bytes, (int64_t)(bytes - self->control_bytes));
    self->control_bytes = bytes;
}

/* What handshakes took is free again, but lies between what sessions keep: half as much as those,
 * after many have come at once. */
static void give_memory_back(fw_shard_t *self)
{
    bool quiet = self->churn - self->churn_before < TRIM_QUIET;
    if (quiet && self->churn >= TRIM_SESSIONS) {
        (void)malloc_trim(0);
        self->churn = 0;
    }
    self->churn_before = self->churn;
}

void fw_shard_ticked(uv_timer_t *timer)
{
    fw_shard_t *self = timer->data;
    int64_t now_ms = fw_clock_ms();
    fw_pulse_beat(self->args->pulse, now_ms);
    fw_wheel_turn(self->wheel, now_ms, timer_fired, self);
    fw_uplink_tick(self->uplink, now_ms);
    fw_shard_rooms_tick(self);
    fw_shard_authorise_tick(self);
    fw_shard_report_link(self, fw_uplink_connected(self->uplink));
    fw_degraded_tick(self, fw_uplink_connected(self->uplink), now_ms);
    fw_accept_resume(self, now_ms);
    fw_door_tick(self, now_ms);
    fw_drain_tick(self, now_ms);
    fw_shard_report(self);
    if (now_ms - self->ticked_ms < SLOW_TICK_MS)
        return;
    self->ticked_ms = now_ms;
    fw_shard_tls_tick(self);
    count_control(self);
    give_memory_back(self);
    fw_age_tick(self, now_ms);
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
            fw_drain_begin(self);
            break;
        case FW_CONTROL_RELOAD:
            fw_shard_reload(self);
            fw_shard_tls_reload(self);
            break;
        }
    }
}

static void idled(uv_idle_t *idle)
{
    (void)idle;
}

/* The prepare handle of the same turn does it. */
void fw_shard_paced(uv_timer_t *timer)
{
    fw_shard_t *self = timer->data;
    self->pacer_ms = 0;
}

static void pace(fw_shard_t *self, int64_t now_ms)
{
    int64_t next_ms = fw_hub_pace(self->hub, now_ms);
    if (next_ms == 0 || (self->pacer_ms != 0 && self->pacer_ms <= next_ms))
        return;
    self->pacer_ms = next_ms;
    uv_update_time(&self->loop);
    (void)uv_timer_start(&self->pacer, fw_shard_paced, (uint64_t)(next_ms - now_ms), 0);
}

void fw_shard_prepared(uv_prepare_t *prepare)
{
    fw_shard_t *self = prepare->data;
    int64_t now_ms = fw_clock_ms();
    fw_shard_auth_turn(self);
    bool more = fw_shard_sessions_turn(self);
    more = fw_shard_authorise_turn(self) || more;
    more = fw_uplink_turn(self->uplink, now_ms) || more;
    if (self->delays)
        pace(self, now_ms);
    flush(self);
    obey(self);
    if (more)
        (void)uv_idle_start(&self->idle, idled);
    else
        (void)uv_idle_stop(&self->idle);
}
