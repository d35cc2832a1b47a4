/* shard_parts.h - functions of the shard's files for one another.   SPDX-License-Identifier:
 * MPL-2.0 Part of shard_internal.h, which includes it. */
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include "gateway/connection.h"
#include "gateway/gateway_metrics.h"
#include "gateway/problem.h"
#include "gateway/shard.h"

/* shard.c */
fw_connection_t *fw_connection_of(struct lws *wsi); /* made at the first call */
/* Ends a session with a code; what it was told before goes out first if its socket takes it. */
void fw_shard_close(fw_shard_t *self, fw_connection_t *connection, fw_close_t close);
/* Writes what there is for a session, one piece. */
void fw_shard_write(fw_shard_t *self, fw_session_t *session);
/* Upgrades are refused. */
bool fw_shard_refuses(const fw_shard_t *self);
/* Why there is no room for another session; NULL when there is. */
const char *fw_shard_full(const fw_shard_t *self, fw_refused_t *ret_what);
void fw_shard_refused(const fw_shard_t *self, fw_refused_t what);
int64_t fw_shard_wall_s(void);
/* The library's events, the loop's, and what they add to the gateway's metrics. */
int fw_shard_called_back(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t size);
void fw_shard_ticked(uv_timer_t *timer);
void fw_shard_paced(uv_timer_t *timer);
void fw_shard_prepared(uv_prepare_t *prepare);
void fw_shard_report(fw_shard_t *self);
void fw_shard_report_link(fw_shard_t *self, bool connected);

/* shard_reload.c */
/* Takes the newest policy. */
void fw_shard_reload(fw_shard_t *self);
/* shard_degraded.c */
/* Notices that the links are down for long, or up again, and tells everybody. */
void fw_degraded_tick(fw_shard_t *self, bool connected, int64_t now_ms);
/* shard_age.c */
/* Closes sessions that are too old; once a second. */
void fw_age_tick(fw_shard_t *self, int64_t now_ms);

/* shard_accept.c */
void fw_accept_ready(uv_poll_t *poll, int status, int events);
/* Accepts again after a pause. */
void fw_accept_resume(fw_shard_t *self, int64_t now_ms);

/* shard_drain.c */
void fw_drain_begin(fw_shard_t *self);
/* Closes as many sessions as are due, so that all are closed evenly over the window. */
void fw_drain_tick(fw_shard_t *self, int64_t now_ms);
void fw_drain_aborted(uv_poll_t *poll, int status, int events);

/* shard_ws.c: callbacks of libwebsockets. A negative result closes the connection. */
int fw_ws_prepare(fw_shard_t *self, struct lws *wsi);
int fw_ws_open(fw_shard_t *self, struct lws *wsi, bool over_h2);
int fw_ws_receive(fw_shard_t *self, struct lws *wsi, const uint8_t *data, size_t size);
void fw_ws_heard(struct lws *wsi);
/* Does what a message says; true when it has to wait and be given again. */
bool fw_ws_obey(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text);
int fw_ws_writable(fw_shard_t *self, struct lws *wsi);
/* Sends the pending close frame, if the socket takes it now. */
void fw_ws_send_close(fw_connection_t *connection);
/* Forgets what the handshake brought. */
void fw_ws_forget_arrival(fw_connection_t *connection);
/* Ends the TCP connection; the library notices in the next turn. */
void fw_ws_cut(fw_connection_t *connection);
/* The peer sent a close frame. */
int fw_ws_peer_closes(fw_shard_t *self, struct lws *wsi);
/* The session has ended; how: a close code, or FW_DISCONNECT_… */
void fw_ws_end(fw_shard_t *self, fw_connection_t *connection, int how);
void fw_ws_timer(fw_shard_t *self, fw_session_t *session, int64_t now_ms);
/* Sets the timer for what comes next. */
void fw_ws_schedule(fw_shard_t *self, fw_session_t *session, fw_phase_t phase, int64_t now_ms);

/* What the handshake or request brought; forgotten by fw_ws_forget_arrival. */
fw_opening_t *fw_ws_arrive(fw_shard_t *self, struct lws *wsi);
/* The session of a connection, one more of the shard. */
fw_session_t *fw_ws_enter(fw_shard_t *self, fw_connection_t *connection);

/* shard_sse.c */
/* A request for events; answers it. Returns what the callback returns. */
int fw_sse_request(fw_shard_t *self, struct lws *wsi);
int fw_sse_writable(fw_shard_t *self, struct lws *wsi);
/* A piece was written: pads it, for proxies that hold back what is short. */
void fw_sse_written(fw_connection_t *connection);
/* In place of a ping: a comment, so that nobody on the way takes the stream for dead. */
void fw_sse_beat(fw_shard_t *self, fw_session_t *session, int64_t now_ms);
/* In place of a close frame: says why, and when to come back. */
void fw_sse_farewell(fw_shard_t *self, fw_session_t *session, const fw_close_t *close);
/* Ends the response when everything has gone. */
void fw_sse_close(fw_connection_t *connection);

/* shard_http.c: likewise. */
int fw_http_upgrade(fw_shard_t *self, struct lws *wsi);
int fw_http_request(fw_shard_t *self, struct lws *wsi, fw_text_t path);
int fw_http_body(fw_shard_t *self, struct lws *wsi, const uint8_t *data, size_t size);
int fw_http_body_complete(fw_shard_t *self, struct lws *wsi);
int fw_http_writable(fw_shard_t *self, struct lws *wsi);
void fw_http_closed(fw_shard_t *self, fw_connection_t *connection);
/* Answers a request that is not wanted; returns what the callback returns. */
int fw_http_refuse(struct lws *wsi, const fw_problem_t *problem);
/* Seconds until it may be worth trying again, so that not all come back together. */
unsigned fw_http_retry_after_s(fw_shard_t *self);
/* What the connection keeps of its request; made at the first call. */
fw_request_t *fw_request_of(fw_connection_t *connection);
void fw_http_published(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack);
/* A header, as text in buffer; empty when there is none or it does not fit (then *ret_fits is
 * false). */
fw_text_t fw_http_header(struct lws *wsi, enum lws_token_indexes token, char *buffer, size_t size,
                         bool *ret_fits);
/* An argument of the URL, likewise. */
fw_text_t fw_http_argument(struct lws *wsi, const char *name, char *buffer, size_t size);
/* The path; empty when it cannot be one of ours. */
fw_text_t fw_http_path(struct lws *wsi, enum lws_token_indexes token, char *buffer, size_t size);
