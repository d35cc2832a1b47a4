/* jwks.c - see jwks.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/jwks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/jwks_schedule.h"
#include "gateway/keys.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/fetch.h"
#include "runtime/log.h"
#include "runtime/socket.h"

enum {
    POLL_MS_MAX = 1000,
    REASON_SIZE = 256,
    ETAG_SIZE = 192,
};

typedef struct {
    fw_peer_t peer;
    bool behind; /* it has yet to be sent what there is now */
} listener_t;

typedef struct {
    const fw_jwks_args_t *args;
    zsock_t *pipe;
    zsock_t *router;
    fw_jwks_schedule_t schedule;
    listener_t listeners[FW_SHARDS_MAX];
    size_t listeners_count;
    uint8_t *message; /* "k" and the set that is held; NULL = none */
    size_t message_size;
    char etag[ETAG_SIZE]; /* of it; "" = none */
    int64_t began_ms;
    const fw_jwks_metrics_t *metrics;
} jwks_t;

void fw_jwks_metrics_init(fw_jwks_metrics_t *self, fw_metrics_t *registry)
{
    static const char name[] = "freshwire_jwks_fetches_total";
    static const char help[] = "Times that the key set of tokens was fetched.";
    self->fetched_new = fw_metrics_counter(registry, name, help, "result=\"new\"");
    self->fetched_same = fw_metrics_counter(registry, name, help, "result=\"same\"");
    self->fetch_failed = fw_metrics_counter(registry, name, help, "result=\"failed\"");
    self->keys = fw_metrics_gauge(registry, "freshwire_jwks_keys",
                                  "Fetched keys that tokens may be signed with.", "");
    self->fetched_at =
        fw_metrics_gauge(registry, "freshwire_jwks_fetched_timestamp_seconds",
                         "When the key set was last fetched and found good; 0 = never.", "");
}

/* ------ shards */

/* Sends what there is to those who have not got it. One that takes nothing now gets it later. */
static void tell(jwks_t *self)
{
    static const uint8_t none = FW_JWKS_NONE;
    fw_bytes_t message = {&none, 1};
    if (self->message)
        message = (fw_bytes_t){self->message, self->message_size};
    for (size_t i = 0; i < self->listeners_count; i++) {
        listener_t *listener = &self->listeners[i];
        if (listener->behind)
            listener->behind = fw_socket_send_to(self->router, &listener->peer, message) == -EAGAIN;
    }
}

static void tell_all(jwks_t *self)
{
    for (size_t i = 0; i < self->listeners_count; i++)
        self->listeners[i].behind = true;
    tell(self);
}

static void hear(jwks_t *self)
{
    zmq_msg_t frame;
    fw_peer_t peer;
    zmq_msg_init(&frame);
    while (fw_socket_receive_from(self->router, &peer, &frame) == 0) {
        fw_bytes_t bytes = fw_socket_bytes(&frame);
        if (bytes.size == 1 && bytes.data[0] == FW_JWKS_UNKNOWN)
            fw_jwks_schedule_asked(&self->schedule, fw_clock_ms());
        else if (self->listeners_count < FW_SHARDS_MAX)
            self->listeners[self->listeners_count++] = (listener_t){.peer = peer, .behind = true};
    }
    zmq_msg_close(&frame);
}

/* ------ fetching */

static void forget(jwks_t *self)
{
    free(self->message);
    self->message = NULL;
    self->message_size = 0;
    self->etag[0] = '\0';
}

static void hold(jwks_t *self, const fw_fetch_reply_t *reply)
{
    forget(self);
    self->message_size = reply->size + 1;
    self->message = fw_alloc(self->message_size, 1);
    self->message[0] = FW_JWKS_KEYS;
    memcpy(self->message + 1, reply->body, reply->size);
    (void)snprintf(self->etag, sizeof self->etag, "%s", reply->etag);
}

static bool is_held(const jwks_t *self, const fw_fetch_reply_t *reply)
{
    return self->message && self->message_size == reply->size + 1 &&
           memcmp(self->message + 1, reply->body, reply->size) == 0;
}

/* Takes a set that has come, if it is good. */
static int take_set(jwks_t *self, const fw_fetch_reply_t *reply, char *ret_reason)
{
    fw_keys_t *keys = fw_keys_new();
    const char *reason = "";
    size_t skipped = 0;
    int result =
        fw_keys_add_jwks(keys, (fw_bytes_t){reply->body, reply->size}, false, &skipped, &reason);
    size_t count = fw_keys_count(keys);
    fw_keys_destroy(&keys);
    if (result != 0) {
        (void)snprintf(ret_reason, REASON_SIZE, "the answer %s", reason);
        return result;
    }
    bool same = is_held(self, reply);
    fw_counter_add(same ? self->metrics->fetched_same : self->metrics->fetched_new, 1);
    if (same)
        return 0;
    hold(self, reply);
    fw_gauge_set(self->metrics->keys, (int64_t)count);
    fw_log(FW_LOG_INFO, "other keys of tokens were fetched", FW_KV_UINT("keys", count),
           FW_KV_UINT("skipped", skipped));
    tell_all(self);
    return 0;
}

/* 0 when the set that is held is good still, or another one has taken its place. */
static int take_reply(jwks_t *self, const fw_fetch_reply_t *reply, char *ret_reason)
{
    if (reply->status == 304 && self->message) {
        fw_counter_add(self->metrics->fetched_same, 1);
        return 0;
    }
    if (reply->status == 200)
        return take_set(self, reply, ret_reason);
    (void)snprintf(ret_reason, REASON_SIZE, "the answer has the status %d", reply->status);
    return -EPROTO;
}

static void fetch(jwks_t *self)
{
    const fw_tokens_config_t *config = self->args->config;
    char condition[ETAG_SIZE + 32];
    const char *headers[2] = {"Accept: application/json", condition};
    (void)snprintf(condition, sizeof condition, "If-None-Match: %s", self->etag);
    fw_fetch_request_t request = {
        .url = config->jwks_url,
        .method = "GET",
        .headers = headers,
        .headers_count = *self->etag ? 2 : 1,
        .reply_bytes_max = FW_KEY_SET_SIZE_MAX,
        .timeout_ms = config->jwks_timeout_ms,
        .ca_file = *config->jwks_ca_file ? config->jwks_ca_file : NULL,
    };
    fw_fetch_reply_t reply = {.body = NULL};
    char reason[REASON_SIZE] = "";
    int result = fw_fetch(&request, &reply, reason, sizeof reason);
    if (result == 0)
        result = take_reply(self, &reply, reason);
    int64_t now_ms = fw_clock_ms();
    if (result == 0) {
        fw_gauge_set(self->metrics->fetched_at, fw_clock_wall_ms() / 1000);
        fw_jwks_schedule_fetched(&self->schedule, now_ms, reply.max_age_s);
    } else {
        fw_counter_add(self->metrics->fetch_failed, 1);
        fw_jwks_schedule_failed(&self->schedule, now_ms);
        fw_log(FW_LOG_WARN, "the keys of tokens could not be fetched, retrying",
               FW_KV_TEXT("reason", reason), FW_KV_INT("retry_ms", self->schedule.due_ms - now_ms));
    }
    fw_fetch_reply_clear(&reply);
}

/* ------ the actor */

static void work(jwks_t *self)
{
    int64_t now_ms = fw_clock_ms();
    if (fw_jwks_schedule_is_due(&self->schedule, now_ms))
        fetch(self);
    if (fw_jwks_schedule_lapses(&self->schedule, fw_clock_ms())) {
        fw_log(FW_LOG_ERROR, "the keys of tokens are too old to be believed: tokens of them are "
                             "refused until they can be fetched");
        forget(self);
        fw_gauge_set(self->metrics->keys, 0);
        tell_all(self);
    }
    tell(self);
    bool patient = fw_clock_ms() - self->began_ms < FW_JWKS_PATIENCE_MS;
    if (self->message || !patient)
        fw_condition_set(self->args->ready, true);
}

static long wait_ms(const jwks_t *self)
{
    int64_t left_ms = fw_jwks_schedule_next_ms(&self->schedule) - fw_clock_ms();
    if (left_ms < 0)
        return 0;
    return left_ms > POLL_MS_MAX ? POLL_MS_MAX : (long)left_ms;
}

static void serve(jwks_t *self)
{
    zmq_pollitem_t items[2] = {
        {.socket = zsock_resolve(self->pipe), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(self->router), .events = ZMQ_POLLIN},
    };
    for (;;) {
        (void)zmq_poll(items, 2, wait_ms(self));
        fw_control_t control = fw_actor_receive(self->pipe);
        while (control != 0 && control != FW_CONTROL_STOP)
            control = fw_actor_receive(self->pipe);
        if (control == FW_CONTROL_STOP)
            return;
        hear(self);
        work(self);
    }
}

void fw_jwks_run(zsock_t *pipe, void *args)
{
    jwks_t *self = fw_alloc(1, sizeof *self);
    uint64_t seed;
    self->args = args;
    self->pipe = pipe;
    self->began_ms = fw_clock_ms();
    fw_random_bytes(&seed, sizeof seed);
    const fw_tokens_config_t *config = self->args->config;
    const fw_jwks_times_t times = {config->jwks_refresh_ms, config->jwks_cooldown_ms,
                                   config->jwks_keep_ms};
    self->schedule = fw_jwks_schedule(&times, seed, self->began_ms);
    self->metrics = &self->args->metrics;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    int result = fw_socket_open(&settings, self->args->endpoint, &self->router);
    fw_actor_ready(pipe, result);
    if (result == 0)
        serve(self);
    fw_gauge_set(self->metrics->keys, 0);
    forget(self);
    zsock_destroy(&self->router);
    free(self);
}
