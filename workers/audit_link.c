/* audit_link.c - see audit_link.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/channel.h"
#include "proto/codec.h"
#include "runtime/alloc.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/log.h"
#include "runtime/socket.h"

enum { FRAMES_PER_TURN = 256, REOPEN_BASE_MS = 100, REOPEN_MS_MAX = 2000 };

struct fw_audit_link {
    zloop_t *loop;
    fw_audit_link_config_t config;
    fw_codec_t *codec;
    fw_dial_t *dial; /* NULL when the endpoint is none */
    zsock_t *socket; /* NULL between two of them */
    fw_backoff_t backoff;
    int64_t open_at_ms;
    int64_t heard_ms;
    bool up;
    fw_log_limit_t log_limit;
};

static bool begins_with(fw_bytes_t frame, const char *topic, fw_bytes_t *ret_body)
{
    size_t size = strlen(topic);
    if (frame.size < size || memcmp(frame.data, topic, size) != 0) {
        return false;
    }
    *ret_body = (fw_bytes_t){frame.data + size, frame.size - size};
    return true;
}

static void on_frame(fw_audit_link_t *self, fw_bytes_t frame)
{
    fw_bytes_t body;
    fw_beacon_t beacon;
    fw_purged_t purged;
    fw_refusal_t refusal;
    int result = -EBADMSG;
    if (begins_with(frame, FW_TOPIC_BEACON, &body)) {
        result = fw_codec_decode_beacon(self->codec, body, &beacon, &refusal);
    } else if (begins_with(frame, FW_TOPIC_AUDIT, &body)) {
        result = fw_codec_decode_purged(self->codec, body, &purged, &refusal);
        if (result == 0) {
            self->config.on_purged(self->config.context, &purged);
        }
    }
    if (result != 0) {
        self->config.on_refused(self->config.context);
        return;
    }
    self->heard_ms = fw_clock_ms();
    if (!self->up) {
        self->up = true;
        fw_backoff_reset(&self->backoff);
        fw_dial_answered(self->dial);
        fw_log(FW_LOG_INFO, "the auditor hears the broker");
    }
}

static int on_readable(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    (void)reader;
    fw_audit_link_t *self = arg;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        int result = fw_socket_receive(self->socket, &frame);
        if (result == -EBADMSG) {
            self->config.on_refused(self->config.context);
        } else if (result == 0) {
            on_frame(self, fw_socket_bytes(&frame));
        } else {
            break;
        }
    }
    zmq_msg_close(&frame);
    return 0;
}

static void close_socket(fw_audit_link_t *self)
{
    if (self->socket) {
        zloop_reader_end(self->loop, self->socket);
        zsock_destroy(&self->socket);
    }
    self->up = false;
}

static void open_socket(fw_audit_link_t *self, int64_t now_ms)
{
    static const char *const topics[] = {FW_TOPIC_AUDIT, FW_TOPIC_BEACON};
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_SUB_CONNECT);
    const char *endpoint = NULL;
    int result = self->dial ? fw_dial_next(self->dial, now_ms, &endpoint) : -EINVAL;
    if (result == 0) {
        settings.security = self->config.security;
        settings.server_key = fw_dial_server_key(self->dial);
        result = fw_socket_open(&settings, endpoint, &self->socket);
    }
    if (result != 0) {
        bool asking = result == -EINPROGRESS;
        uint64_t suppressed = 0;
        self->open_at_ms =
            now_ms + (asking ? FW_RESOLVE_POLL_MS : fw_backoff_next_ms(&self->backoff));
        if (!asking && fw_log_limited(&self->log_limit, now_ms, &suppressed)) {
            fw_log(FW_LOG_ERROR, "the auditor cannot open the event link, retrying",
                   FW_KV_ERROR(result), FW_KV_UINT("suppressed", suppressed));
        }
        return;
    }
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
        (void)zmq_setsockopt(zsock_resolve(self->socket), ZMQ_SUBSCRIBE, topics[i],
                             strlen(topics[i]));
    }
    self->heard_ms = now_ms;
    result = zloop_reader(self->loop, self->socket, on_readable, self);
    assert(result == 0);
    zloop_reader_set_tolerant(self->loop, self->socket);
}

void fw_audit_link_tick(fw_audit_link_t *self, int64_t now_ms)
{
    if (!self->socket) {
        if (now_ms >= self->open_at_ms) {
            open_socket(self, now_ms);
        }
    } else if (now_ms - self->heard_ms >= FW_AUDIT_LINK_SILENCE_MS) {
        if (self->up) {
            fw_log(FW_LOG_WARN, "the auditor does not hear the broker, opening another socket");
        }
        close_socket(self);
        self->open_at_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    }
}

bool fw_audit_link_up(const fw_audit_link_t *self)
{
    return self->up;
}

fw_audit_link_t *fw_audit_link_new(zloop_t *loop, const fw_audit_link_config_t *config)
{
    fw_audit_link_t *self = fw_alloc(1, sizeof(*self));
    self->loop = loop;
    self->config = *config;
    self->codec = fw_codec_new();
    self->backoff = fw_backoff_make(0, REOPEN_BASE_MS, REOPEN_MS_MAX, config->seed);
    int result = fw_dial_new(config->endpoint, &self->dial);
    if (result != 0) {
        fw_log(FW_LOG_ERROR, "the broker's endpoint is none", FW_KV_ERROR(result));
    }
    return self;
}

void fw_audit_link_destroy(fw_audit_link_t **self_p)
{
    fw_audit_link_t *self = *self_p;
    if (!self) {
        return;
    }
    close_socket(self);
    fw_dial_destroy(&self->dial);
    fw_codec_destroy(&self->codec);
    free(self);
    *self_p = NULL;
}
