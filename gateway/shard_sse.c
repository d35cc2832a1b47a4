/* shard_sse.c - sessions of server-sent events on libwebsockets.   SPDX-License-Identifier: MPL-2.0
 * A response without an end: no length and no chunks, so that the bytes of an event are the same
 * for every session; it ends with the connection. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "gateway/shard_internal.h"
#include "gateway/sse.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    PADDING_UNIT = 1024,
    PADDING_UNITS_MAX = 16, /* beyond: so many */
    ORIGIN_SIZE_MAX = 512,
    WAIT_CODES = 4200, /* close codes, see close_code.h */
    FINAL_CODES = 4400,
};

/* What the URL asks for. */
typedef struct {
    fw_text_t channels[FW_SSE_CHANNELS_MAX + 1]; /* copied; the last place shows that it was one too
                                                  * many */
    size_t channels_count;
    char id[FW_SSE_ID_SIZE_MAX + 2];
    fw_opening_t *opening; /* of the connection */
    size_t padding;        /* bytes after each piece, for proxies that hold back what is short */
} stream_t;

/* ------ the request */

static void read_argument(stream_t *stream, fw_text_t argument)
{
    fw_text_t value;
    if (fw_route_argument(argument, "channel", &value)) {
        if (stream->channels_count <= FW_SSE_CHANNELS_MAX)
            stream->channels[stream->channels_count++] =
                (fw_text_t){fw_copy_text(value.text, value.size), value.size};
    } else if (fw_route_argument(argument, "event", &value)) {
        stream->opening->unnamed = fw_text_equal(value, FW_TEXT("message"));
    } else if (fw_route_argument(argument, "padding", &value)) {
        uint64_t bytes = 0;
        if (fw_offset_parse(value, &bytes) == 0)
            stream->padding = bytes < PADDING_UNITS_MAX * PADDING_UNIT
                                  ? (size_t)bytes
                                  : (size_t)PADDING_UNITS_MAX * PADDING_UNIT;
    }
}

static void read_arguments(stream_t *stream, struct lws *wsi)
{
    char fragment[FW_HEADERS_BYTES_MAX];
    for (int i = 0; lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) > 0; i++) {
        int size =
            lws_hdr_copy_fragment(wsi, fragment, (int)sizeof fragment, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (size > 0)
            read_argument(stream, (fw_text_t){fragment, strlen(fragment)});
    }
    explicit_bzero(fragment, sizeof fragment); /* it may have held a token */
}

/* The header of a browser that comes back by itself, or the argument of a program that has kept it.
 */
static void read_id(stream_t *stream, struct lws *wsi)
{
    static const char name[] = "last-event-id:";
    fw_opening_t *opening = stream->opening;
    int size = lws_hdr_custom_length(wsi, name, sizeof name - 1);
    if (size > 0) {
        opening->resumes = true;
        /* One that does not fit is none of ours. */
        if (lws_hdr_custom_copy(wsi, stream->id, (int)sizeof stream->id, name, sizeof name - 1) < 0)
            stream->id[0] = '\0';
        opening->last_id = fw_text(stream->id);
        return;
    }
    opening->last_id = fw_http_argument(wsi, "last_event_id", stream->id, sizeof stream->id);
    opening->resumes = opening->last_id.size > 0;
}

static void clear(stream_t *stream)
{
    union {
        const char *text;
        char *owned;
    } view;
    for (size_t i = 0; i < stream->channels_count; i++) {
        view.text = stream->channels[i].text;
        free(view.owned);
    }
    free(stream);
}

/* ------ the answer */

/* What a close code is before the stream has begun. */
static unsigned status_of(int code)
{
    if (code < FW_CLOSE_TOKEN_EXPIRED)
        return 503;
    if (code < WAIT_CODES)
        return 401;
    if (code < FINAL_CODES)
        return code == FW_CLOSE_TOO_MANY ? 429 : 503;
    return code == FW_CLOSE_FORBIDDEN ? 403 : 400;
}

static int refuse(fw_shard_t *self, struct lws *wsi, fw_refused_t what, unsigned status,
                  const char *detail)
{
    fw_problem_t problem = {.status = status, .detail = detail, .allow = "GET"};
    if (status == 503)
        problem.retry_after_s = fw_http_retry_after_s(self);
    fw_shard_refused(self, what);
    return fw_http_refuse(wsi, &problem);
}

/* 0, or what the callback returns. */
static int judge(fw_shard_t *self, struct lws *wsi, char origin[ORIGIN_SIZE_MAX], bool *ret_good)
{
    bool fits = true;
    fw_refused_t why;
    *ret_good = false;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return refuse(self, wsi, FW_REFUSED_STREAM, 405, "use GET");
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
        lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return refuse(self, wsi, FW_REFUSED_STREAM, 400, "a request for events has no body");
    fw_text_t from = fw_http_header(wsi, WSI_TOKEN_ORIGIN, origin, ORIGIN_SIZE_MAX, &fits);
    if (!fits || !fw_route_origin_allowed(self->config->origins, self->config->origins_count, from))
        return refuse(self, wsi, FW_REFUSED_ORIGIN, 403, "this Origin is not allowed");
    const char *full = fw_shard_full(self, &why);
    if (full)
        return refuse(self, wsi, why, 503, full);
    *ret_good = true;
    return 0;
}

static uint32_t spread_ms(fw_shard_t *self)
{
    uint32_t window_ms = self->config->reconnect_window_ms;
    return window_ms / 4 + (uint32_t)fw_random_below(&self->random, (uint64_t)window_ms + 1);
}

/* Other sites may read the stream when their Origin is in the list, then with cookies; without a
 * list any may, but without cookies. */
static int format_head(fw_shard_t *self, const char *origin, char head[FW_SSE_HEAD_SIZE_MAX])
{
    char allow[ORIGIN_SIZE_MAX + 128] = "";
    if (origin[0] && self->config->origins_count == 0)
        (void)snprintf(allow, sizeof allow, "Access-Control-Allow-Origin: *\r\n");
    else if (origin[0])
        (void)snprintf(allow, sizeof allow,
                       "Access-Control-Allow-Origin: %s\r\n"
                       "Access-Control-Allow-Credentials: true\r\n"
                       "Vary: Origin\r\n",
                       origin);
    return snprintf(head, FW_SSE_HEAD_SIZE_MAX,
                    "HTTP/1.1 200 OK\r\n"
                    "Content-Type: text/event-stream\r\n"
                    "Cache-Control: no-store, no-transform\r\n"
                    "X-Accel-Buffering: no\r\n"
                    "X-Content-Type-Options: nosniff\r\n"
                    "%s"
                    "Connection: close\r\n\r\n"
                    "retry: %u\n\n",
                    allow, spread_ms(self));
}

static int begin(fw_shard_t *self, struct lws *wsi, const stream_t *stream, const char *origin)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    char head[FW_SSE_HEAD_SIZE_MAX];
    int64_t now_ms = fw_clock_ms();
    fw_session_t *session = fw_ws_enter(self, connection);
    fw_close_t refused = fw_door_enter(self, connection);
    if (refused.code == FW_CLOSE_NONE)
        refused =
            fw_dialogue_open(&self->dialogue, session, stream->opening, now_ms, fw_shard_wall_s());
    if (refused.code == FW_CLOSE_NONE)
        refused = fw_door_known(self, connection);
    free(connection->room); /* nothing asks for it a second time */
    connection->room = NULL;
    if (refused.code != FW_CLOSE_NONE) {
        fw_counter_add(self->metrics.opened_refused, 1);
        fw_ws_end(self, connection, (int)refused.code);
        return refuse(self, wsi, FW_REFUSED_STREAM, status_of((int)refused.code), refused.reason);
    }
    fw_counter_add(self->metrics.opened_open, 1);
    connection->padding = (uint8_t)((stream->padding + PADDING_UNIT - 1) / PADDING_UNIT);
    int size = format_head(self, origin, head);
    /* The headers of the request are not needed any more, and neither is a time-out. */
    lws_http_mark_sse(wsi);
    if (lws_write(wsi, (unsigned char *)head, (size_t)size, LWS_WRITE_HTTP) < 0)
        return -1;
    fw_ws_schedule(self, session, FW_PHASE_PING, now_ms);
    return 0;
}

int fw_sse_request(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    char origin[ORIGIN_SIZE_MAX];
    bool good;
    int result = judge(self, wsi, origin, &good);
    if (!good)
        return result;
    stream_t *stream = fw_alloc(1, sizeof *stream);
    stream->opening = fw_ws_arrive(self, wsi);
    stream->opening->subprotocol = FW_SUBPROTOCOL_NONE;
    read_arguments(stream, wsi);
    read_id(stream, wsi);
    stream->opening->channels = stream->channels;
    stream->opening->channels_count = stream->channels_count;
    result = begin(self, wsi, stream, origin);
    clear(stream);
    fw_ws_forget_arrival(connection);
    return result;
}

/* ------ the stream */

int fw_sse_writable(fw_shard_t *self, struct lws *wsi)
{
    fw_connection_t *connection = fw_connection_of(wsi);
    connection->session->heard = true; /* something was taken */
    int result = fw_ws_writable(self, wsi);
    bool over = connection->session->state == FW_SESSION_CLOSING && !lws_partial_buffered(wsi);
    return over ? -1 : result;
}

void fw_sse_written(fw_connection_t *connection)
{
    char padding[PADDING_UNITS_MAX * PADDING_UNIT];
    size_t size = (size_t)connection->padding * PADDING_UNIT;
    if (size == 0 || lws_partial_buffered(connection->wsi))
        return;
    memset(padding, ' ', size);
    padding[0] = ':';
    memcpy(padding + size - 2, "\n\n", 2);
    if (lws_write(connection->wsi, (unsigned char *)padding, size, LWS_WRITE_RAW) < 0)
        fw_ws_cut(connection);
}

void fw_sse_beat(fw_shard_t *self, fw_session_t *session, int64_t now_ms)
{
    fw_connection_t *connection = session->connection;
    if (session->behind && !session->heard) {
        fw_shard_close(self, connection, (fw_close_t){FW_CLOSE_SLOW, "reads too slowly"});
        return;
    }
    session->heard = false;
    if (!session->behind) {
        fw_session_say_ping(session);
        fw_hub_mark(self->hub, session);
    }
    fw_ws_schedule(self, session, FW_PHASE_PING, now_ms);
}

void fw_sse_farewell(fw_shard_t *self, fw_session_t *session, const fw_close_t *close)
{
    bool comes_back = close->code < FW_CLOSE_TOKEN_EXPIRED ||
                      ((int)close->code >= WAIT_CODES && (int)close->code < FINAL_CODES);
    if (comes_back)
        fw_session_say_retry(session, spread_ms(self));
    fw_session_say_close(session, close);
}

void fw_sse_close(fw_connection_t *connection)
{
    if (!lws_partial_buffered(connection->wsi))
        lws_callback_on_writable(connection->wsi);
}
