/* zap.c - see zap.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/zap.h"

#include <errno.h>
#include <stdlib.h>

#include <czmq.h>

#include "runtime/actor.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/context.h"
#include "runtime/link_metrics.h"
#include "runtime/log.h"
#include "runtime/zap_request.h"

enum {
    QUESTIONS_A_TURN_MAX = 256,
    POLL_MS_MAX = 1000,                /* the pulse must beat */
    PARTS_MAX = 2 + FW_ZAP_FRAMES_MAX, /* the asker's name, an empty frame, the request */
};

static const char endpoint[] = "inproc://zeromq.zap.01";

struct fw_zap {
    fw_actor_t *actor;
    const fw_security_t *security;
    fw_metrics_t *metrics;
    fw_health_t *health;
};

typedef struct {
    const fw_security_t *security;
    void *socket; /* ROUTER: unlike a REP it may leave what makes no sense unanswered */
    uint64_t generation;
    fw_keyring_t *keyring;
    fw_link_metrics_t metrics;
    fw_log_limit_t logged;
} handler_t;

static void refresh(handler_t *self)
{
    uint64_t generation = fw_security_generation(self->security);
    if (self->generation == generation)
        return;
    fw_keyring_destroy(&self->keyring);
    self->keyring = fw_security_keyring(self->security);
    self->generation = generation;
}

static void send_part(handler_t *self, const void *bytes, size_t size, int flags)
{
    /* It fails only when the asker has gone, and then for every part alike. */
    (void)zmq_send(self->socket, bytes, size, flags | ZMQ_DONTWAIT);
}

static void answer(handler_t *self, zmq_msg_t *asker, fw_bytes_t request_id,
                   const fw_zap_answer_t *with)
{
    send_part(self, zmq_msg_data(asker), zmq_msg_size(asker), ZMQ_SNDMORE);
    send_part(self, "", 0, ZMQ_SNDMORE);
    send_part(self, "1.0", 3, ZMQ_SNDMORE);
    send_part(self, request_id.size ? (const void *)request_id.data : "", request_id.size,
              ZMQ_SNDMORE);
    send_part(self, with->status, strlen(with->status), ZMQ_SNDMORE);
    send_part(self, with->text, strlen(with->text), ZMQ_SNDMORE);
    send_part(self, with->user_id, strlen(with->user_id), ZMQ_SNDMORE);
    send_part(self, "", 0, 0);
}

static void log_refused(handler_t *self, const fw_zap_request_t *request, fw_verdict_t verdict,
                        const fw_holder_t *holder)
{
    static const char *const advice[FW_VERDICTS] = {
        [FW_VERDICT_UNKNOWN_KEY] = "if it should come in, add its public key to security.peers and "
                                   "send SIGHUP",
        [FW_VERDICT_WRONG_ROLE] = "if it should come in here, change its role in security.peers "
                                  "and send SIGHUP",
    };
    uint64_t suppressed = 0;
    char key[FW_KEY_SHOWN + 1] = "";
    if (!fw_log_limited(&self->logged, fw_clock_ms(), &suppressed))
        return;
    memcpy(key, request->key, FW_KEY_SHOWN);
    fw_log(FW_LOG_WARN, "connection refused", FW_KV_TEXT("door", fw_domain_name(request->domain)),
           FW_KV_TEXT("reason", fw_verdict_name(verdict)), FW_KV_TEXT("key", key),
           FW_KV_TEXT("peer", holder ? holder->name : ""), FW_KV_TEXT("address", request->address),
           FW_KV_TEXT("advice", advice[verdict]), FW_KV_UINT("suppressed", suppressed));
}

static fw_zap_answer_t decide(handler_t *self, const fw_zap_request_t *request)
{
    const fw_holder_t *holder = NULL;
    fw_verdict_t verdict =
        fw_keyring_judge(self->keyring, request->domain, fw_text(request->key), &holder);
    if (verdict == FW_VERDICT_ADMITTED) {
        fw_counter_add(self->metrics.accepted[request->domain], 1);
        fw_log(FW_LOG_DEBUG, "connection accepted",
               FW_KV_TEXT("door", fw_domain_name(request->domain)),
               FW_KV_TEXT("peer", holder->name), FW_KV_TEXT("address", request->address));
    } else {
        fw_counter_add(self->metrics.refused[request->domain][verdict], 1);
        log_refused(self, request, verdict, holder);
    }
    return fw_zap_answer(request, verdict);
}

/* parts are the asker's name, an empty frame, and the request. */
static void on_question(handler_t *self, zmq_msg_t *parts, size_t count)
{
    fw_bytes_t frames[FW_ZAP_FRAMES_MAX];
    fw_zap_request_t request;
    const char *reason = NULL;
    for (size_t i = 2; i < count; i++)
        frames[i - 2] = (fw_bytes_t){zmq_msg_data(&parts[i]), zmq_msg_size(&parts[i])};
    fw_zap_answer_t with;
    if (fw_zap_request_parse(frames, count - 2, &request, &reason) == 0) {
        with = decide(self, &request);
    } else {
        uint64_t suppressed = 0;
        fw_counter_add(self->metrics.malformed, 1);
        if (fw_log_limited(&self->logged, fw_clock_ms(), &suppressed))
            fw_log(FW_LOG_WARN, "a question of ZeroMQ's makes no sense, refusing",
                   FW_KV_TEXT("detail", reason), FW_KV_UINT("suppressed", suppressed));
        with = fw_zap_answer_malformed();
    }
    answer(self, &parts[0], request.request_id, &with);
}

/* One message; what is beyond PARTS_MAX is dropped, but counted. False when there is none. */
static bool serve_one(handler_t *self)
{
    zmq_msg_t parts[PARTS_MAX];
    size_t count = 0;
    size_t kept = 0;
    bool more = true;
    for (size_t i = 0; i < PARTS_MAX; i++)
        (void)zmq_msg_init(&parts[i]);
    while (more) {
        zmq_msg_t *part = &parts[count < PARTS_MAX ? count : PARTS_MAX - 1];
        if (zmq_msg_recv(part, self->socket, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(part);
        count++;
    }
    kept = count < PARTS_MAX ? count : PARTS_MAX;
    /* An asker that does not even send the empty frame speaks no ZAP, and waits for no answer. */
    if (count == kept && count >= 2 && zmq_msg_size(&parts[1]) == 0)
        on_question(self, parts, count);
    else if (count > 0)
        fw_counter_add(self->metrics.malformed, 1);
    for (size_t i = 0; i < PARTS_MAX; i++)
        (void)zmq_msg_close(&parts[i]);
    return count > 0;
}

static void run(handler_t *self, zsock_t *pipe, fw_pulse_t *pulse)
{
    zmq_pollitem_t items[] = {
        {zsock_resolve(pipe), 0, ZMQ_POLLIN, 0},
        {self->socket, 0, ZMQ_POLLIN, 0},
    };
    while (fw_actor_receive(pipe) != FW_CONTROL_STOP) {
        fw_pulse_beat(pulse, fw_clock_ms());
        (void)zmq_poll(items, sizeof items / sizeof *items, POLL_MS_MAX);
        refresh(self);
        for (int i = 0; i < QUESTIONS_A_TURN_MAX && serve_one(self); i++) {
        }
    }
}

static int open_socket(void **ret_socket)
{
    static const int zero = 0;
    void *socket = zmq_socket(fw_context(), ZMQ_ROUTER);
    if (!socket)
        return -errno;
    if (zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_bind(socket, endpoint) != 0) {
        int result = -errno;
        (void)zmq_close(socket);
        return result;
    }
    *ret_socket = socket;
    return 0;
}

static void zap_actor(zsock_t *pipe, void *args)
{
    fw_zap_t *zap = args;
    handler_t self = {.security = zap->security};
    int result = open_socket(&self.socket);
    if (result != 0) {
        fw_actor_ready(pipe, result);
        return;
    }
    self.metrics = fw_link_metrics_make(zap->metrics);
    refresh(&self);
    fw_pulse_t *pulse = fw_health_pulse(zap->health, "zap");
    fw_actor_ready(pipe, 0);
    run(&self, pipe, pulse);
    fw_pulse_end(pulse);
    fw_keyring_destroy(&self.keyring);
    /* Closing alone would free the name a moment later, when another handler may want it. */
    (void)zmq_unbind(self.socket, endpoint);
    (void)zmq_close(self.socket);
}

int fw_zap_start(const fw_security_t *security, fw_metrics_t *metrics, fw_health_t *health,
                 fw_zap_t **ret_zap)
{
    fw_zap_t *self = fw_alloc(1, sizeof *self);
    self->security = security;
    self->metrics = metrics;
    self->health = health;
    int result = fw_actor_start("zap", zap_actor, self, &self->actor);
    if (result != 0) {
        free(self);
        return result;
    }
    *ret_zap = self;
    return 0;
}

void fw_zap_stop(fw_zap_t **self_p)
{
    if (!*self_p)
        return;
    fw_actor_stop(&(*self_p)->actor);
    free(*self_p);
    *self_p = NULL;
}
