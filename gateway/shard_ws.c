/* shard_ws.c - sessions on libwebsockets: from the upgrade to the close.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/shard_auth.h"
#include "gateway/shard_authorise.h"
#include "gateway/shard_rooms.h"
#include "gateway/shard_sessions.h"
#include "proto/utf8.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum { MESSAGE_CAPACITY_MIN = 512, WRITES_PER_CALLBACK = 8 };

/* ------ opening */

struct fw_arrival {
    fw_opening_t opening; /* borrows from the texts */
    char token[FW_TOKEN_BUFFER_SIZE];
    char origin[FW_ORIGIN_SIZE_MAX + 2];
    char offered[128];
    char first[FW_SUBPROTOCOL_SIZE_MAX + 1];
    char path[FW_CHANNEL_SIZE_MAX + 256];
};

/* Headers are gone once the session is established: what is needed of them is copied. */
fw_opening_t *fw_ws_arrive(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    bool fits = true;
    fw_arrival_t *arrival = fw_alloc(1, sizeof *arrival);
    fw_opening_t *opening = &arrival->opening;
    fw_request_of(connection)->arrival = arrival;
    fw_text_t path = fw_http_path(wsi, WSI_TOKEN_GET_URI, arrival->path, sizeof arrival->path);
    opening->route = fw_route_parse(fw_text(self->config->prefix), path);
    opening->subprotocol = fw_route_subprotocol(
        fw_http_header(wsi, WSI_TOKEN_PROTOCOL, arrival->offered, sizeof arrival->offered, &fits),
        arrival->first);
    fw_shard_find_token(self, wsi, arrival->token, opening);
    opening->origin = fw_http_argument(wsi, "origin", arrival->origin, sizeof arrival->origin);
    connection->endpoint = (uint8_t)opening->route.endpoint;
    if (opening->route.room.size > 0)
        connection->room = fw_copy_text(opening->route.room.text, opening->route.room.size);
    return opening;
}

int fw_ws_prepare(fw_shard_t *self, struct lws *wsi)
{
    (void)fw_ws_arrive(self, wsi);
    return 0;
}

void fw_ws_forget_arrival(fw_connection_t *connection)
{
    fw_request_t *request = connection->request;
    if (!request || !request->arrival)
        return;
    explicit_bzero(request->arrival, sizeof *request->arrival); /* it holds a token */
    free(request->arrival);
    request->arrival = NULL;
}

static void add_session(fw_shard_t *self, fw_session_t *session)
{
    if (self->sessions == self->all_capacity) {
        self->all_capacity = self->all_capacity ? self->all_capacity * 2 : 64;
        self->all = fw_realloc(self->all, self->all_capacity, sizeof(fw_session_t *));
    }
    session->number = self->sessions;
    self->all[self->sessions++] = session;
    self->churn++;
}

static void remove_session(fw_shard_t *self, fw_session_t *session)
{
    fw_session_t *last = self->all[--self->sessions];
    self->churn++;
    last->number = session->number;
    self->all[last->number] = last;
}

fw_session_t *fw_ws_enter(fw_shard_t *self, fw_connection_t *connection)
{
    connection->session = fw_session_new(connection, fw_random_next(&self->random));
    connection->websocket = true;
    self->websockets++;
    connection->session->opened_s = (uint32_t)(fw_clock_ms() / 1000);
    add_session(self, connection->session);
    return connection->session;
}

int fw_ws_open(fw_shard_t *self, struct lws *wsi, bool over_h2)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    /* RAW writes would corrupt a stream that has no socket of its own. */
    fw_arrival_t *arrival = fw_request_of(connection)->arrival;
    if (over_h2 || lws_get_network_wsi(wsi) != wsi || !arrival)
        return -1;
    int64_t now_ms = fw_clock_ms();
    fw_session_t *session = fw_ws_enter(self, connection);
    fw_close_t refused = fw_door_enter(self, connection);
    if (refused.code == FW_CLOSE_NONE)
        refused = fw_dialogue_open(&self->dialogue, session, &arrival->opening, now_ms,
                                   fw_shard_wall_s());
    if (refused.code == FW_CLOSE_NONE)
        refused = fw_door_known(self, connection);
    fw_http_closed(self, connection);
    if (refused.code != FW_CLOSE_NONE) {
        fw_counter_add(self->metrics.opened_refused, 1);
        fw_shard_close(self, connection, refused);
        return 0;
    }
    fw_counter_add(self->metrics.opened_open, 1);
    fw_ws_schedule(self, session,
                   session->state == FW_SESSION_GREETING ? FW_PHASE_HELLO : FW_PHASE_PING, now_ms);
    return 0;
}

/* ------ receiving */

/* The message under way, with room for so many more bytes; NULL when it would be too big. */
static fw_assembly_t *assemble(const fw_shard_t *self, fw_connection_t *connection, size_t size)
{
    fw_assembly_t *assembly = connection->assembly;
    size_t used = assembly ? assembly->size : 0;
    if (size > self->config->message_bytes_max - used)
        return NULL;
    if (assembly && used + size <= assembly->capacity)
        return assembly;
    size_t capacity = used + size < MESSAGE_CAPACITY_MIN ? MESSAGE_CAPACITY_MIN : (used + size) * 2;
    bool begins = !assembly;
    assembly = fw_realloc(assembly, 1, sizeof *assembly + capacity);
    if (begins)
        *assembly = (fw_assembly_t){.size = 0};
    assembly->capacity = (uint32_t)capacity;
    connection->assembly = assembly;
    return assembly;
}

/* Adds a piece; says why not. */
static fw_close_t append(const fw_shard_t *self, fw_connection_t *connection, const uint8_t *data,
                         size_t size, bool last)
{
    fw_assembly_t *assembly = assemble(self, connection, size);
    if (!assembly)
        return (fw_close_t){FW_CLOSE_TOO_BIG, "message is too big"};
    if (size == 0 && !last && ++assembly->empty_fragments > FW_EMPTY_FRAGMENTS_MAX)
        return (fw_close_t){FW_CLOSE_BAD_REQUEST, "too many empty fragments"};
    if (size > 0)
        memcpy(assembly->bytes + assembly->size, data, size);
    assembly->size += (uint32_t)size;
    return FW_CLOSE_NOT;
}

static void forget_message(fw_connection_t *connection)
{
    fw_assembly_t *assembly = connection->assembly;
    if (assembly)
        explicit_bzero(assembly->bytes, assembly->size); /* it may hold a token */
    free(assembly);
    connection->assembly = NULL;
}

bool fw_ws_obey(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text)
{
    fw_session_t *session = connection->session;
    fw_route_t route = {(fw_endpoint_t)connection->endpoint, fw_text(connection->room), false};
    int64_t now_ms = fw_clock_ms();
    bool greeting = session->state == FW_SESSION_GREETING;
    fw_close_t outcome =
        fw_dialogue_message(&self->dialogue, session, &route, text, now_ms, fw_shard_wall_s());
    if (outcome.code == FW_CLOSE_LATER)
        return true;
    if (outcome.code == FW_CLOSE_NONE)
        outcome = fw_door_known(self, connection);
    if (outcome.code != FW_CLOSE_NONE)
        fw_shard_close(self, connection, outcome);
    else if (greeting && session->state != FW_SESSION_GREETING)
        fw_ws_schedule(self, session, FW_PHASE_PING, now_ms);
    else
        fw_shard_token_renewed(self, session, now_ms);
    if (session->greets && session->state != FW_SESSION_GREETING) {
        free(connection->room); /* nothing asks for it a second time */
        connection->room = NULL;
    }
    return false;
}

static void take_message(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text)
{
    fw_counter_add(self->metrics.messages, 1);
    if (connection->session->encoding == FW_ENCODING_JSON && !fw_utf8_valid(text))
        fw_shard_close(self, connection, (fw_close_t){FW_CLOSE_BAD_TEXT, "not UTF-8"});
    else if (!fw_shard_authorise_keeps(self, connection, text) &&
             fw_ws_obey(self, connection, text))
        fw_shard_authorise_park(self, connection, text);
}

int fw_ws_receive(fw_shard_t *self, struct lws *wsi, const uint8_t *data, size_t size)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_session_t *session = connection->session;
    if (!session || session->state == FW_SESSION_CLOSING)
        return 0; /* on its way out: what it says does not matter any more */
    session->heard = true;
    bool complete = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    fw_close_t refused = FW_CLOSE_NOT;
    bool binary = session->encoding == FW_ENCODING_PROTOBUF;
    if (binary != (lws_frame_is_binary(wsi) != 0))
        refused = (fw_close_t){FW_CLOSE_BINARY, binary ? "text messages are not understood"
                                                       : "binary messages are not understood"};
    else if (complete && !connection->assembly && size <= self->config->message_bytes_max)
        take_message(self, connection, (fw_bytes_t){data, size}); /* the usual case: not copied */
    else
        refused = append(self, connection, data, size, complete);
    fw_assembly_t *assembly = connection->assembly;
    if (complete && assembly && refused.code == FW_CLOSE_NONE)
        take_message(self, connection, (fw_bytes_t){assembly->bytes, assembly->size});
    if (complete || refused.code != FW_CLOSE_NONE)
        forget_message(connection);
    if (refused.code != FW_CLOSE_NONE)
        fw_shard_close(self, connection, refused);
    return 0;
}

void fw_ws_heard(struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    if (connection->session)
        connection->session->heard = true;
}

/* ------ writing and closing */

/* Not lws_set_timeout: the library looks at its timers only after input or output of its own. */
void fw_ws_cut(fw_connection_t *connection)
{
    (void)shutdown(lws_get_socket_fd(connection->wsi), SHUT_RDWR);
}

/* Not lws_close_reason and a negative result: Debian's library is built with _DEBUG, and then
 * closes a connection a second time as a test of libuv, which cuts it off before the close frame
 * has gone. */
void fw_ws_send_close(fw_connection_t *connection)
{
    if (connection->session && connection->session->encoding == FW_ENCODING_SSE) {
        fw_sse_close(connection);
        return;
    }
    if (connection->close_code == FW_CLOSE_NONE || connection->close_sent ||
        lws_partial_buffered(connection->wsi))
        return;
    uint8_t frame[FW_FRAME_CLOSE_SIZE_MAX];
    size_t size = fw_frame_close(connection->close_code, connection->close_reason, frame);
    connection->close_sent = true;
    if (lws_write(connection->wsi, frame, size, LWS_WRITE_RAW) < 0)
        fw_ws_cut(connection);
}

int fw_ws_peer_closes(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_ws_end(self, connection, FW_DISCONNECT_BY_PEER);
    /* It answers ours: done. Else the library sends the answer. */
    return connection->close_sent ? -1 : 0;
}

int fw_ws_writable(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_session_t *session = connection->session;
    fw_ws_send_close(connection);
    if (!session || session->state == FW_SESSION_CLOSING)
        return 0;
    for (int i = 0; i < WRITES_PER_CALLBACK; i++) {
        if (lws_partial_buffered(wsi))
            return 0;
        bool more = session->control_size > 0 || session->first_dirty != 0;
        if (!more || session->state == FW_SESSION_CLOSING)
            break;
        fw_shard_write(self, session);
    }
    if (session->state == FW_SESSION_CLOSING || lws_partial_buffered(wsi))
        return 0;
    if (session->state == FW_SESSION_OPEN && session->first_dirty != 0)
        lws_callback_on_writable(wsi); /* fair to the others: the rest at the next turn */
    else
        session->behind = false;
    return 0;
}

void fw_ws_end(fw_shard_t *self, fw_connection_t *connection, int how)
{
    fw_session_t *session = connection->session;
    if (!session)
        return;
    fw_wheel_stop(&session->timer);
    if (session->state == FW_SESSION_CLOSING)
        return;
    session->state = FW_SESSION_CLOSING;
    session->phase = FW_PHASE_NONE;
    fw_counter_add(fw_gateway_metrics_disconnect(&self->metrics, how), 1);
    fw_shard_rooms_part(self, session);
    fw_shard_sessions_part(self, session);
    fw_shard_authorise_part(self, session);
    fw_hub_part(self->hub, session, fw_clock_ms());
    fw_door_leave(self, connection);
    remove_session(self, session);
    forget_message(connection);
}

/* ------ time */

static int64_t jittered(fw_shard_t *self, int64_t ms)
{
    return ms / 2 + (int64_t)fw_random_below(&self->random, (uint64_t)(ms / 2) + 1);
}

void fw_ws_schedule(fw_shard_t *self, fw_session_t *session, fw_phase_t phase, int64_t now_ms)
{
    const fw_gateway_config_t *config = self->config;
    int64_t deadline_ms = now_ms;
    bool first = session->phase != FW_PHASE_PONG;
    session->phase = (uint8_t)phase;
    switch (phase) {
    case FW_PHASE_NONE:
        fw_wheel_stop(&session->timer);
        return;
    case FW_PHASE_HELLO:
        deadline_ms += config->hello_ms;
        break;
    case FW_PHASE_PING:
        /* Sessions that came together do not ping together. */
        deadline_ms +=
            first ? jittered(self, config->ping_ms)
                  : (config->ping_ms > config->pong_ms ? config->ping_ms - config->pong_ms : 1);
        break;
    case FW_PHASE_PONG:
        deadline_ms += config->pong_ms;
        break;
    case FW_PHASE_CLOSING:
        deadline_ms += FW_CLOSING_MS;
        break;
    }
    int64_t due_ms = fw_shard_token_due_ms(self, session, now_ms);
    if (phase != FW_PHASE_CLOSING && due_ms < deadline_ms)
        deadline_ms = due_ms;
    fw_wheel_set(self->wheel, &session->timer, deadline_ms);
}

static void send_ping(fw_shard_t *self, fw_connection_t *connection, int64_t now_ms)
{
    fw_session_t *session = connection->session;
    if (session->encoding == FW_ENCODING_SSE) {
        fw_sse_beat(self, session, now_ms);
        return;
    }
    /* A message that is sent in drops would hold its memory for ever. */
    fw_assembly_t *assembly = connection->assembly;
    if (assembly && assembly->old) {
        fw_shard_close(self, connection,
                       (fw_close_t){FW_CLOSE_BAD_REQUEST, "message was not finished"});
        return;
    }
    if (assembly)
        assembly->old = true;
    session->heard = false;
    fw_session_say_ping(session);
    fw_hub_mark(self->hub, session);
    fw_ws_schedule(self, session, FW_PHASE_PONG, now_ms);
}

void fw_ws_timer(fw_shard_t *self, fw_session_t *session, int64_t now_ms)
{
    fw_connection_t *connection = session->connection;
    fw_phase_t phase = (fw_phase_t)session->phase;
    if (phase != FW_PHASE_CLOSING && fw_shard_token_timer(self, session, now_ms))
        return;
    switch (phase) {
    case FW_PHASE_NONE:
        break;
    case FW_PHASE_HELLO:
        fw_shard_close(self, connection, fw_dialogue_late(session));
        break;
    case FW_PHASE_PING:
        send_ping(self, connection, now_ms);
        break;
    case FW_PHASE_PONG:
        if (session->heard)
            fw_ws_schedule(self, session, FW_PHASE_PING, now_ms);
        else if (session->behind)
            fw_shard_close(self, connection, (fw_close_t){FW_CLOSE_SLOW, "reads too slowly"});
        else
            fw_shard_close(self, connection, (fw_close_t){FW_CLOSE_NO_PONG, "no pong"});
        break;
    case FW_PHASE_CLOSING:
        fw_ws_cut(connection);
        break;
    }
}
