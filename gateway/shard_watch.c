/* shard_watch.c - see shard_watch.h.   SPDX-License-Identifier: MPL-2.0
 * The look is called inside of the library's read: so it only notes what is wrong, and the session
 * is closed later in the same turn. */
#include "gateway/shard_watch.h"

#include <sys/socket.h>

#include "gateway/shard_internal.h"
#include "runtime/clock.h"
#include "runtime/inlet.h"

/* How many bytes of these belong to the head of the request. */
static size_t pass_head(fw_connection_t *connection, const uint8_t *bytes, size_t size)
{
    static const uint8_t end[4] = {'\r', '\n', '\r', '\n'};
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == end[connection->head_matched])
            connection->head_matched++;
        else
            connection->head_matched = bytes[i] == '\r' ? 1 : 0;
        if (connection->head_matched == sizeof end) {
            connection->head_read = true;
            return i + 1;
        }
    }
    return size;
}

static void note(fw_shard_t *self, fw_connection_t *connection, fw_close_t close)
{
    connection->broken = close;
    if (connection->session)
        fw_hub_mark(self->hub, connection->session);
}

static void pinged(void *context, fw_bytes_t payload)
{
    fw_connection_t *connection = context;
    fw_shard_t *self = lws_context_user(lws_get_context(connection->wsi));
    fw_session_t *session = connection->session;
    if (!session || session->state == FW_SESSION_CLOSING)
        return;
    session->heard = true;
    fw_session_say_ws_pong(session, payload);
    fw_hub_mark(self->hub, session);
}

static size_t look(void *context, uint8_t *bytes, size_t size)
{
    fw_connection_t *connection = context;
    fw_shard_t *self = lws_context_user(lws_get_context(connection->wsi));
    size_t head = 0;
    size_t good = 0;
    connection->watched = true;
    if (!connection->head_read)
        head = pass_head(connection, bytes, size);
    if (connection->broken.code == FW_CLOSE_NONE) {
        /* What is no WebSocket (yet) is only looked at. */
        fw_frame_rules_t rules = {self->config->message_bytes_max,
                                  connection->websocket ? pinged : NULL, connection};
        fw_close_t close = fw_frame_check(&connection->check, &rules, fw_clock_ms(), bytes + head,
                                          size - head, &good);
        if (close.code != FW_CLOSE_NONE)
            note(self, connection, close);
    }
    return connection->websocket ? head + good : size;
}

void fw_watch_open(void)
{
    fw_inlet_open(look);
}

fw_close_t fw_watch_begin(fw_shard_t *self, fw_connection_t *connection)
{
    if (!connection->watched && !self->door.blind) {
        self->door.blind = true;
        fw_log(FW_LOG_WARN, "nothing is seen of what clients send, their frames are not checked; "
                            "libwebsockets does not read with recv or SSL_read, ignoring");
    }
    if (connection->watched && !connection->head_read)
        connection->broken = (fw_close_t){FW_CLOSE_PROTOCOL, "the handshake does not end"};
    if (connection->broken.code != FW_CLOSE_NONE)
        fw_shard_refused(self, FW_REFUSED_FRAME);
    return connection->broken;
}

void fw_watch_enforce(fw_shard_t *self, fw_connection_t *connection)
{
    fw_session_t *session = connection->session;
    if (connection->broken.code == FW_CLOSE_NONE || session->state == FW_SESSION_CLOSING)
        return;
    fw_shard_refused(self, FW_REFUSED_FRAME);
    fw_shard_close(self, connection, connection->broken);
    /* Nothing it says will be read: so it need not answer before the connection ends. */
    if (connection->close_sent && !lws_partial_buffered(connection->wsi))
        (void)shutdown(connection->fd, SHUT_WR);
}
