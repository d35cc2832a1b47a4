/* admin_internal.h - what the files of the admin port share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <czmq.h>
#include <libwebsockets.h>

#include "runtime/actor.h"
#include "runtime/admin.h"
#include "runtime/admin_routes.h"

enum {
    FW_ADMIN_CONNECTIONS_MAX = 64, /* more are closed at once */
    FW_ADMIN_IDLE_S = 5,           /* to send a request, between requests, and to take the answer */
    FW_ADMIN_REQUEST_BYTES_MAX = 64 * 1024, /* of a body */
    FW_ADMIN_STATUSES = 14,
};

/* One request being answered; made and freed with libwebsockets' per-connection memory, which
 * begins zeroed. */
typedef struct {
    char *body;
    size_t size;
    size_t sent;
    bool last;        /* the connection ends after this answer */
    uint64_t number;  /* of the request that a role is to answer; 0 = none */
    uint8_t *content; /* of the request, while it comes */
    size_t content_size;
    size_t expected;
    int route;
} fw_admin_answer_t;

struct fw_admin {
    fw_actor_t *actor;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_admin_options_t options;
    int port;
    /* The actor's own. */
    int listener; /* owned by listener_wsi once that is there */
    zsock_t *pipe;
    fw_pulse_t *pulse;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws *listener_wsi;
    struct lws *pipe_wsi;
    struct lws *route_wsis[FW_ADMIN_ROUTES_MAX];
    lws_sorted_usec_list_t tick;
    unsigned connections;
    bool stopping;
    fw_admin_routes_t *routes;
    uint64_t last_number;
    struct lws *waiting[FW_ADMIN_CONNECTIONS_MAX]; /* for the answer of a role */
    fw_counter_t *answered[FW_ADMIN_STATUSES];
    fw_counter_t *refused;
    fw_counter_t *unanswered;
};

typedef struct {
    unsigned status;
    const char *type;
    const char *allow; /* of 405 */
    unsigned retry_after_s;
    bool head; /* the body is not sent */
} fw_admin_head_t;

/* admin.c */
/* Answers with answer->body, which is a text. Returns what the library's callback has to return. */
int fw_admin_answer(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                    const fw_admin_head_t *head);

/* admin_api.c: requests that roles answer. The results as above. */
int fw_admin_api_begin(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                       fw_text_t path);
int fw_admin_api_content(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer,
                         const void *bytes, size_t size);
int fw_admin_api_complete(fw_admin_t *self, struct lws *wsi, fw_admin_answer_t *answer);
/* The connection is gone. */
void fw_admin_api_forget(fw_admin_t *self, struct lws *wsi);
/* A fw_admin_replied_fn. */
void fw_admin_api_replied(void *admin, const fw_admin_reply_t *reply);
