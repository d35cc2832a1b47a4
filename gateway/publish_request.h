/* publish_request.h - the body of POST /v1/events as an event.   SPDX-License-Identifier: MPL-2.0
 * Pure. Unknown members are refused, so that a misspelt "invalidate" is not a stale screen. */
#pragma once

#include "proto/codec.h"

enum { FW_PUBLISH_DEPTH_MAX = 64 };

typedef struct {
    fw_event_t event; /* borrows from the request and from the body */
    void *document;
    fw_text_t *texts; /* all lists of the event */
} fw_publish_request_t;

/* body: UTF-8 is checked here. idempotency_key: of the header, or empty. 0: clear it after use; the
 * body must live as long. -EBADMSG: not JSON. -EPROTO or -EMSGSIZE: not an event that can be
 * published. Then ret_refusal says what is wrong, and there is nothing to clear. */
int fw_publish_request_parse(fw_bytes_t body, fw_text_t idempotency_key,
                             fw_publish_request_t *ret_request, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));
void fw_publish_request_clear(fw_publish_request_t *self);
