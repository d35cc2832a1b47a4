/* zap_request.h - ZeroMQ's questions whether a connection may be.   SPDX-License-Identifier:
 * MPL-2.0 Pure. ZAP 1.0 (RFC 27), CURVE only. */
#pragma once

#include "runtime/keyring.h"

enum {
    FW_ZAP_FRAMES_MAX = 7, /* version, request id, domain, address, identity, mechanism, key */
    FW_ZAP_FRAME_SIZE_MAX = 255, /* of each of them */
};

typedef struct {
    fw_bytes_t request_id; /* borrowed from the frames */
    fw_domain_t domain;
    char address[64]; /* of the peer, printable, perhaps cut */
    char key[FW_KEY_SIZE + 1];
} fw_zap_request_t;

/* Reads the frames behind the empty one. 0; or -EBADMSG with *ret_reason, static text: then only
 * request_id is set, which is empty when it could not be read. */
int fw_zap_request_parse(const fw_bytes_t *frames, size_t count, fw_zap_request_t *ret_request,
                         const char **ret_reason) __attribute__((warn_unused_result));

/* What is answered. 300 and not 400 to who is refused: a 400 makes ZeroMQ's side of the peer give
 * the connection up for ever, also when its key is let in a moment later. */
typedef struct {
    const char *status; /* "200", "300", "500" */
    const char *text;
    const char *user_id; /* the key of who is let in, else "" */
} fw_zap_answer_t;

fw_zap_answer_t fw_zap_answer(const fw_zap_request_t *request, fw_verdict_t verdict);
fw_zap_answer_t fw_zap_answer_malformed(void);
