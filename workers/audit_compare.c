/* audit_compare.c - see audit_compare.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_compare.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wildcard.h"
#include "runtime/actor.h"
#include "runtime/alloc.h"
#include "runtime/fetch.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/rule.h"

static const char option[] = "audit.url";
static const char *const words[] = {"url", NULL};

enum {
    ENDPOINT_SIZE = 64,
    ROUNDS = 2, /* something may change between two readings: then once more */
    REASON_SIZE = 200,
    TURN_MS = 50,
};

struct fw_audit_compare {
    zloop_t *loop;
    fw_audit_compared_fn *compared;
    void *context;
    zsock_t *socket; /* to the actor: id and URL, back: id and result */
    char endpoint[ENDPOINT_SIZE];
    size_t pending;
    fw_actor_t *actor;
};

typedef struct {
    uint64_t id;
    char url[FW_COMPARE_URL_SIZE_MAX + 1];
} question_t;

typedef struct {
    uint64_t id;
    fw_compared_t compared;
} answer_t;

/* ---- pure: addresses */

static bool add(char *url, size_t *size, const char *text, size_t text_size)
{
    if (*size + text_size > FW_COMPARE_URL_SIZE_MAX) {
        return false;
    }
    memcpy(url + *size, text, text_size);
    *size += text_size;
    url[*size] = 0;
    return true;
}

static bool add_name(char *url, size_t *size, fw_text_t name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < name.size; i++) {
        char code[4];
        bool is_plain = name.text[i] && strchr(plain, name.text[i]);
        (void)snprintf(code, sizeof(code), "%%%02X", (unsigned)(unsigned char)name.text[i]);
        if (!add(url, size, is_plain ? &name.text[i] : code, is_plain ? 1 : 3)) {
            return false;
        }
    }
    return true;
}

static bool expand(const char *from, fw_text_t name, char *url)
{
    static const char mark[] = "{name}";
    size_t size = 0;
    const char *at;
    url[0] = 0;
    while ((at = strstr(from, mark))) {
        if (!add(url, &size, from, (size_t)(at - from)) || !add_name(url, &size, name)) {
            return false;
        }
        from = at + strlen(mark);
    }
    return add(url, &size, from, strlen(from));
}

int fw_audit_url(const char *const *rules, size_t rules_count, fw_text_t name,
                 char ret_url[FW_COMPARE_URL_SIZE_MAX + 1])
{
    int result = -ENOENT;
    for (size_t i = 0; i < rules_count && result == -ENOENT; i++) {
        fw_rule_t rule;
        fw_config_error_t error;
        if (fw_rule_parse(option, rules[i], words, &rule, &error) != 0) {
            continue;
        }
        const char *url = fw_rule_value(&rule, "url");
        if (url && fw_wildcard_match(fw_text(rule.head), name)) {
            result = expand(url, name, ret_url) ? 0 : -EMSGSIZE;
        }
        fw_rule_clear(&rule);
    }
    return result;
}

int fw_audit_url_check(const char *const *rules, size_t rules_count, fw_config_error_t *ret_error)
{
    for (size_t i = 0; i < rules_count; i++) {
        fw_rule_t rule;
        int result = fw_rule_parse(option, rules[i], words, &rule, ret_error);
        if (result != 0) {
            return result;
        }
        const char *url = fw_rule_value(&rule, "url");
        bool good = *rule.head && url &&
                    (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
        fw_rule_clear(&rule);
        if (!good) {
            (void)snprintf(ret_error->text, sizeof(ret_error->text),
                           "%s: must be a pattern and url=http://… or url=https://…", option);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- the actor */

static bool read_url(const char *url, bool bypass, fw_fetch_reply_t *ret_reply)
{
    static const char *const headers[] = {"X-Freshwire-Fresh: bypass"};
    char reason[REASON_SIZE];
    const fw_fetch_request_t request = {
        .url = url,
        .headers = headers,
        .headers_count = bypass ? 1 : 0,
        .reply_bytes_max = FW_COMPARE_BYTES_MAX,
        .timeout_ms = FW_COMPARE_TIMEOUT_MS,
    };
    int result = fw_fetch(&request, ret_reply, reason, sizeof(reason));
    if (result != 0) {
        fw_log(FW_LOG_WARN, "the auditor cannot read the service", FW_KV_TEXT("reason", reason));
    } else if (ret_reply->status >= 300) {
        fw_log(FW_LOG_WARN, "the service does not let the auditor read",
               FW_KV_INT("status", ret_reply->status));
    }
    return result == 0 && ret_reply->status >= 200 && ret_reply->status < 300;
}

static fw_compared_t compare(const char *url)
{
    fw_compared_t compared = FW_COMPARED_DIFFERENT;
    for (int round = 0; round < ROUNDS && compared == FW_COMPARED_DIFFERENT; round++) {
        fw_fetch_reply_t served = {.body = NULL};
        fw_fetch_reply_t loaded = {.body = NULL};
        if (!read_url(url, false, &served) || !read_url(url, true, &loaded)) {
            compared = FW_COMPARED_FAILED;
        } else if (served.size == loaded.size &&
                   (served.size == 0 || memcmp(served.body, loaded.body, served.size) == 0)) {
            compared = FW_COMPARED_SAME;
        }
        fw_fetch_reply_clear(&served);
        fw_fetch_reply_clear(&loaded);
    }
    return compared;
}

static void run(zsock_t *pipe, void *args)
{
    const fw_audit_compare_t *own = args;
    zsock_t *socket = zsock_new(ZMQ_PAIR);
    int result = socket && zmq_connect(zsock_resolve(socket), own->endpoint) == 0 ? 0 : -EMFILE;
    fw_actor_ready(pipe, result);
    while (result == 0 && fw_actor_receive(pipe) != FW_CONTROL_STOP) {
        question_t question;
        zmq_pollitem_t items[] = {{.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN},
                                  {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN}};
        (void)zmq_poll(items, 2, TURN_MS);
        int size = zmq_recv(zsock_resolve(socket), &question, sizeof(question), ZMQ_DONTWAIT);
        if (size != (int)sizeof(question)) {
            continue;
        }
        const answer_t answer = {question.id, compare(question.url)};
        (void)zmq_send(zsock_resolve(socket), &answer, sizeof(answer), ZMQ_DONTWAIT);
    }
    zsock_destroy(&socket);
}

/* ---- the auditor's side */

static int on_answer(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    fw_audit_compare_t *self = arg;
    answer_t answer;
    while (zmq_recv(zsock_resolve(reader), &answer, sizeof(answer), ZMQ_DONTWAIT) ==
           (int)sizeof(answer)) {
        self->pending--;
        self->compared(self->context, answer.id, answer.compared);
    }
    return 0;
}

int fw_audit_compare_new(zloop_t *loop, fw_audit_compared_fn *compared, void *context,
                         fw_audit_compare_t **ret_compare)
{
    fw_audit_compare_t *self = fw_alloc(1, sizeof(*self));
    uint64_t name;
    fw_random_bytes(&name, sizeof(name));
    fw_fetch_prepare();
    self->loop = loop;
    self->compared = compared;
    self->context = context;
    (void)snprintf(self->endpoint, sizeof(self->endpoint), "inproc://freshwire-compare-%016" PRIx64,
                   name);
    self->socket = zsock_new(ZMQ_PAIR);
    int result =
        self->socket && zmq_bind(zsock_resolve(self->socket), self->endpoint) == 0 ? 0 : -EMFILE;
    if (result == 0) {
        zsock_set_linger(self->socket, 0);
        result = fw_actor_start("comparer", run, self, &self->actor);
    }
    if (result == 0) {
        result = zloop_reader(loop, self->socket, on_answer, self);
        assert(result == 0);
        *ret_compare = self;
    } else {
        zsock_destroy(&self->socket);
        free(self);
    }
    return result;
}

void fw_audit_compare_destroy(fw_audit_compare_t **self_p)
{
    fw_audit_compare_t *self = *self_p;
    if (!self) {
        return;
    }
    zloop_reader_end(self->loop, self->socket);
    fw_actor_stop(&self->actor);
    zsock_destroy(&self->socket);
    free(self);
    *self_p = NULL;
}

int fw_audit_compare_ask(fw_audit_compare_t *self, uint64_t id, const char *url)
{
    question_t question = {.id = id};
    if (self->pending >= FW_COMPARE_PENDING_MAX) {
        return -EAGAIN;
    }
    (void)snprintf(question.url, sizeof(question.url), "%s", url);
    if (zmq_send(zsock_resolve(self->socket), &question, sizeof(question), ZMQ_DONTWAIT) < 0) {
        return -EAGAIN;
    }
    self->pending++;
    return 0;
}
