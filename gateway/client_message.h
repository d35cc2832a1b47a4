/* client_message.h - one message of a browser, parsed and checked.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Size, depth and every field are bounded before anything is believed. */
#pragma once

#include "proto/bytes.h"
#include "proto/position.h"

enum {
    FW_CLIENT_DEPTH_MAX = 8,
};

typedef enum {
    FW_CLIENT_HELLO,
    FW_CLIENT_SUBSCRIBE,
    FW_CLIENT_UNSUBSCRIBE,
    FW_CLIENT_PING,
    FW_CLIENT_PONG,
    FW_CLIENT_REFRESH,
    FW_CLIENT_PUBLISH,
} fw_client_kind_t;

typedef enum {
    FW_CLIENT_UNSAID,
    FW_CLIENT_NO,
    FW_CLIENT_YES,
} fw_client_wish_t;

typedef struct {
    fw_text_t channel; /* not checked to be one */
    bool positioned;   /* position was given */
    fw_position_t position;
    fw_client_wish_t presence; /* wants to know who is there */
} fw_client_subscription_t;

typedef struct {
    fw_client_kind_t kind;
    fw_text_t request_id;                    /* empty when there is none */
    fw_text_t token;                         /* hello, refresh; empty when there is none */
    fw_text_t origin;                        /* hello; empty when there is none */
    bool batch;                              /* hello */
    fw_client_subscription_t *subscriptions; /* hello: any number; subscribe, unsubscribe: one */
    size_t subscriptions_count;
    fw_text_t event; /* publish: the type of the event */
    fw_bytes_t data; /* publish: one JSON value */
    bool keep;       /* publish */
    char *data_text; /* owned; what data is */
    void *document;  /* what the texts borrow from */
} fw_client_message_t;

/* Parses UTF-8 text. 0: the caller clears the message. -EBADMSG: not a JSON object, or too deep.
 * -EPROTO: not a message of ours. -E2BIG: more than subscriptions_max subscriptions. Then
 * *ret_reason is a static text for the client, and the message still holds the request_id, if there
 * was one, and must be cleared too. */
int fw_client_message_parse(fw_bytes_t text, size_t subscriptions_max,
                            fw_client_message_t *ret_message, const char **ret_reason)
    __attribute__((warn_unused_result));
/* Also overwrites the token. */
void fw_client_message_clear(fw_client_message_t *self);
