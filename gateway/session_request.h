/* session_request.h - what the admin API asks about sessions, read.   SPDX-License-Identifier:
 * MPL-2.0
 * Pure. */
#pragma once

#include "proto/session_messages.h"
#include "runtime/admin_request.h"

enum {
    FW_SESSION_LIST_MAX = 1000,
    FW_SESSION_LIST_DEFAULT = 100,
    FW_SESSION_CODE_DEFAULT = 4403, /* of a disconnect: final */
};

/* What GET /v1/sessions asks. */
typedef struct {
    fw_text_t user_id; /* empty = anybody */
    uint64_t after;    /* session ids greater than this */
    uint32_t limit;
} fw_session_query_t;

typedef struct {
    fw_session_command_t command; /* borrows from what is behind it */
    fw_text_t *patterns;
    void *json;
} fw_session_request_t;

/* The command of a POST to such a path. 0; -ENOENT: there is no such path; -EBADMSG: not JSON;
 * -EPROTO: it makes no sense. With -EBADMSG and -EPROTO ret_refusal says why. */
int fw_session_request_parse(fw_text_t path, fw_bytes_t body, fw_session_request_t *ret_request,
                             fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
void fw_session_request_clear(fw_session_request_t *self);

/* The arguments of a GET. 0, or -EPROTO with ret_refusal. */
int fw_session_query_parse(fw_text_t arguments, fw_session_query_t *ret_query,
                           fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
