/* admin_routes.h - paths of the admin port that a role answers.   SPDX-License-Identifier: MPL-2.0
 * For the admin actor only. A role binds a ROUTER to the endpoint of its route; requests and
 * replies are frames of admin_request.h. Whoever asks must have one of the keys. */
#pragma once

#include <czmq.h>

#include "runtime/admin.h"
#include "runtime/admin_request.h"

typedef struct fw_admin_routes fw_admin_routes_t;

/* A reply has come; body is the caller's again after the call. */
typedef void fw_admin_replied_fn(void *context, const fw_admin_reply_t *reply);

/* options are borrowed. 0 or a negative errno. */
int fw_admin_routes_new(const fw_admin_options_t *options, fw_admin_replied_fn *replied,
                        void *context, fw_admin_routes_t **ret_routes)
    __attribute__((warn_unused_result));
void fw_admin_routes_destroy(fw_admin_routes_t **self_p);

size_t fw_admin_routes_count(const fw_admin_routes_t *self);
/* To be watched: readable means that fw_admin_routes_receive should be called. */
int fw_admin_routes_fd(const fw_admin_routes_t *self, size_t route);

/* Which route serves a path; -1 = none. */
int fw_admin_routes_find(const fw_admin_routes_t *self, fw_text_t path);
/* Why a request with this Authorization header is not served: a status, 0 when it is. */
unsigned fw_admin_routes_refuses(const fw_admin_routes_t *self, fw_text_t authorization,
                                 const char **ret_detail);
/* Passes a request on; -EAGAIN when the role does not take it now. */
int fw_admin_routes_ask(fw_admin_routes_t *self, size_t route, const fw_admin_request_t *request)
    __attribute__((warn_unused_result));
/* Takes every reply that has come. */
void fw_admin_routes_receive(fw_admin_routes_t *self);
