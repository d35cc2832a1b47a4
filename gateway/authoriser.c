/* authoriser.c - see authoriser.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/authoriser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/json_scan.h"
#include "proto/json_text.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/fetch.h"
#include "runtime/log.h"
#include "runtime/socket.h"

enum { DEPTH_MAX = 16, WAIT_MS = 1000, HEADERS = 3 };

typedef struct {
    const fw_authoriser_args_t *args;
    zsock_t *shard;
    char *authorization; /* NULL = none */
    fw_log_limit_t logged;
} authoriser_t;

char *fw_authorise_body(const fw_grant_question_t *question)
{
    static const char *const actions[FW_ACTIONS] = {
        [FW_ACTION_LISTEN] = "subscribe",
        [FW_ACTION_PUBLISH] = "publish",
        [FW_ACTION_PRESENCE] = "presence",
    };
    size_t size = 64 + 6 * (question->user.size + question->channel.size);
    char *text = fw_alloc(1, size + 1);
    fw_json_t json = {.buffer = text, .size = size};
    fw_json_raw(&json, "{\"user_id\":", 11);
    fw_json_string(&json, question->user);
    fw_json_raw(&json, ",\"channel\":", 11);
    fw_json_string(&json, question->channel);
    fw_json_raw(&json, ",\"action\":", 10);
    fw_json_string(&json, fw_text(actions[question->action]));
    fw_json_raw(&json, "}", 1);
    assert(json.needed <= size);
    text[json.needed] = '\0';
    return text;
}

fw_grant_t fw_authorise_judge(int status, fw_bytes_t body, int64_t *ret_ttl_ms)
{
    fw_grant_t grant = FW_GRANT_UNKNOWN;
    json_t *json = NULL;
    *ret_ttl_ms = FW_AUTHORISE_DENY_TTL_MS;
    if (status != 200 && status != 403)
        return FW_GRANT_UNKNOWN;
    if (body.size > 0 && fw_json_depth(body) <= DEPTH_MAX)
        json = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *allow = json_object_get(json, "allow");
    const json_t *ttl = json_object_get(json, "ttl_seconds");
    if (status == 403)
        grant = FW_GRANT_NO;
    else if (json_is_boolean(allow))
        grant = json_is_true(allow) ? FW_GRANT_YES : FW_GRANT_NO;
    if (grant == FW_GRANT_YES)
        *ret_ttl_ms = FW_AUTHORISE_TTL_MS;
    if (json_is_integer(ttl) && json_integer_value(ttl) >= 0)
        *ret_ttl_ms = json_integer_value(ttl) > FW_GRANT_TTL_MS_MAX / 1000
                          ? FW_GRANT_TTL_MS_MAX
                          : json_integer_value(ttl) * 1000;
    json_decref(json);
    return grant;
}

static void fetch(authoriser_t *self, fw_bytes_t body, fw_grant_answer_t *answer)
{
    const fw_authorise_config_t *config = &self->args->config;
    const char *headers[HEADERS] = {"Content-Type: application/json", "Accept: application/json",
                                    self->authorization};
    char reason[256] = "";
    fw_fetch_reply_t reply;
    fw_fetch_request_t request = {
        .url = config->url,
        .headers = headers,
        .headers_count = self->authorization ? HEADERS : HEADERS - 1,
        .body = body,
        .reply_bytes_max = FW_AUTHORISE_REPLY_BYTES_MAX,
        .timeout_ms = config->timeout_ms,
        .ca_file = *config->ca_file ? config->ca_file : NULL,
    };
    int64_t began_us = fw_clock_us();
    int result = fw_fetch(&request, &reply, reason, sizeof reason);
    answer->grant = FW_GRANT_UNKNOWN;
    if (result == 0) {
        answer->status = reply.status;
        answer->grant =
            fw_authorise_judge(reply.status, (fw_bytes_t){reply.body, reply.size}, &answer->ttl_ms);
        (void)snprintf(reason, sizeof reason, "its answer is none");
    }
    answer->took_us = fw_clock_us() - began_us;
    fw_fetch_reply_clear(&reply);
    uint64_t suppressed = 0;
    if (answer->grant == FW_GRANT_UNKNOWN &&
        fw_log_limited(&self->logged, fw_clock_ms(), &suppressed))
        fw_log(FW_LOG_WARN, "the backend does not say whether a room is allowed: it is not",
               FW_KV_TEXT("reason", reason), FW_KV_INT("status", answer->status),
               FW_KV_UINT("suppressed", suppressed));
}

/* False when the shard cannot be told any more. */
static bool tell(authoriser_t *self, const fw_grant_answer_t *answer)
{
    return fw_socket_send(self->shard, (fw_bytes_t){(const uint8_t *)answer, sizeof *answer}) == 0;
}

static void serve_one(authoriser_t *self, fw_bytes_t question)
{
    fw_grant_answer_t answer;
    memset(&answer, 0, sizeof answer);            /* the gaps, too */
    assert(question.size > sizeof answer.number); /* of the shard */
    memcpy(&answer.number, question.data, sizeof answer.number);
    fetch(self,
          (fw_bytes_t){question.data + sizeof answer.number, question.size - sizeof answer.number},
          &answer);
    if (!tell(self, &answer))
        fw_log(FW_LOG_WARN, "an answer of the backend is lost, ignoring");
}

static void serve(authoriser_t *self, zsock_t *pipe)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (bool stopping = false; !stopping;) {
        zmq_pollitem_t items[] = {
            {.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN},
            {.socket = zsock_resolve(self->shard), .events = ZMQ_POLLIN},
        };
        (void)zmq_poll(items, 2, WAIT_MS);
        fw_control_t control;
        while (!stopping && (control = fw_actor_receive(pipe)) != 0)
            stopping = control == FW_CONTROL_STOP;
        if (!stopping && fw_socket_receive(self->shard, &frame) == 0)
            serve_one(self, fw_socket_bytes(&frame));
    }
    (void)zmq_msg_close(&frame);
}

void fw_authoriser_run(zsock_t *pipe, void *args)
{
    authoriser_t *self = fw_alloc(1, sizeof *self);
    self->args = args;
    const char *key = self->args->config.key;
    if (*key) {
        size_t size = strlen("Authorization: Bearer ") + strlen(key) + 1;
        self->authorization = fw_alloc(1, size);
        (void)snprintf(self->authorization, size, "Authorization: Bearer %s", key);
    }
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    int result = fw_socket_open(&settings, self->args->endpoint, &self->shard);
    if (result == 0) {
        fw_grant_answer_t idle;
        memset(&idle, 0, sizeof idle);
        result = tell(self, &idle) ? 0 : -EAGAIN;
    }
    fw_actor_ready(pipe, result);
    if (result == 0)
        serve(self, pipe);
    zsock_destroy(&self->shard);
    free(self->authorization);
    free(self);
}
