/* admin_request.h - what the admin port and a role tell each other.   SPDX-License-Identifier:
 * MPL-2.0
 * Pure. One frame each way over inproc, between two threads of one process: bytes, no pointers. */
#pragma once

#include "proto/bytes.h"

typedef struct {
    uint64_t number; /* to be answered with */
    bool post;       /* else GET */
    fw_text_t path;
    fw_text_t query; /* arguments as name=value, decoded, each ended by a 0 */
    fw_bytes_t body;
} fw_admin_request_t;

typedef struct {
    uint64_t number;
    unsigned status;
    unsigned retry_after_s; /* 0 = not said */
    fw_bytes_t body;        /* JSON: problem+json from status 400 on */
} fw_admin_reply_t;

/* The caller frees what they return. */
uint8_t *fw_admin_request_pack(const fw_admin_request_t *request, size_t *ret_size)
    __attribute__((warn_unused_result));
uint8_t *fw_admin_reply_pack(const fw_admin_reply_t *reply, size_t *ret_size)
    __attribute__((warn_unused_result));
/* They borrow from the frame. -EBADMSG when it is none. */
int fw_admin_request_unpack(fw_bytes_t frame, fw_admin_request_t *ret_request)
    __attribute__((warn_unused_result));
int fw_admin_reply_unpack(fw_bytes_t frame, fw_admin_reply_t *ret_reply)
    __attribute__((warn_unused_result));

/* An argument of the query; -ENOENT when there is none, -EEXIST when there are several. */
int fw_admin_argument(fw_text_t query, const char *name, fw_text_t *ret_value)
    __attribute__((warn_unused_result));

/* The reason phrase of a status; "Error" for one that is not used here. */
const char *fw_admin_title(unsigned status);
/* A body of problem+json; detail and field may be NULL. The caller frees it. */
char *fw_admin_problem(unsigned status, const char *detail, const char *field)
    __attribute__((warn_unused_result));
