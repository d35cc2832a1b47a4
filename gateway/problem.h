/* problem.h - HTTP answers of the gateway, as bytes.   SPDX-License-Identifier: MPL-2.0
 * Pure. Errors are application/problem+json (RFC 9457). Each says "Connection: close":
 * libwebsockets 4.1 takes the head of a request that was pipelined behind another for its body, and
 * never leaves that loop again. */
#pragma once

#include "proto/codec.h"

typedef struct {
    unsigned status;
    const char *detail;          /* static text; NULL = none */
    const fw_refusal_t *refusal; /* adds field, limit and value; NULL = none */
    unsigned retry_after_s;      /* 0 = no Retry-After */
    const char *allow;           /* methods, of 405; NULL = POST */
} fw_problem_t;

/* The reason phrase of a status that the gateway uses; "Error" for any other. */
const char *fw_problem_title(unsigned status);

/* A whole response. The caller frees it. */
char *fw_problem_response(const fw_problem_t *problem, size_t *ret_size)
    __attribute__((warn_unused_result));

/* 200 with the positions that an event got. The caller frees it. */
char *fw_published_response(const fw_publish_ack_t *ack, size_t *ret_size)
    __attribute__((warn_unused_result));
