/* authoriser.h - an actor that puts questions to the backend, one at a time.
 * SPDX-License-Identifier: MPL-2.0
 * Several serve one shard: each says that it is idle, gets a question, fetches, answers, which also
 * says that it is idle. Fails closed: what is no clear answer is none.
 *
 * | frame              | from           | holds                             |
 * |--------------------|----------------|-----------------------------------|
 * | fw_grant_answer_t  | the authoriser | number 0 = idle for the first time |
 * | number and JSON    | the shard      | the question, as it is posted     |
 */
#pragma once

#include "gateway/gateway.h"
#include "gateway/grants.h"
#include "runtime/actor.h"

enum {
    FW_AUTHORISE_REPLY_BYTES_MAX = 16 * 1024,
    FW_AUTHORISE_TTL_MS = 60 * 1000,      /* of a yes that does not say */
    FW_AUTHORISE_DENY_TTL_MS = 10 * 1000, /* of a no that does not say */
};

typedef struct {
    uint64_t number;
    int64_t ttl_ms;
    int64_t took_us;
    uint32_t grant; /* fw_grant_t */
    int32_t status; /* of HTTP; 0 = there was none */
} fw_grant_answer_t;

/* Belongs to the shard and outlives the actor. */
typedef struct {
    fw_authorise_config_t config; /* its texts outlive the gateway */
    char endpoint[64];            /* inproc, of the shard */
} fw_authoriser_args_t;

/* The actor's body; args is a fw_authoriser_args_t. */
void fw_authoriser_run(zsock_t *pipe, void *args);

/* Pure: the question as JSON. The caller frees it. */
char *fw_authorise_body(const fw_grant_question_t *question) __attribute__((warn_unused_result));
/* Pure: what an answer means. status of HTTP, body of it. */
fw_grant_t fw_authorise_judge(int status, fw_bytes_t body, int64_t *ret_ttl_ms);
