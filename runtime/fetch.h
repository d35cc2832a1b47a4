/* fetch.h - one HTTP request, bounded in time and size.   SPDX-License-Identifier: MPL-2.0
 * Blocking, over libcurl: for threads of their own, never for one that serves. http and https only,
 * with certificates checked; no redirects are followed, no proxies of the environment used, and
 * nothing of a URL but its host gets into a reason, since a query may hold a secret. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_FETCH_TIMEOUT_MS_MAX = 60 * 1000,
    FW_FETCH_MAX_AGE_S_MAX = 7 * 24 * 3600,
    FW_FETCH_TEXT_SIZE = 128, /* of a header that is kept */
};

typedef struct {
    const char *url;
    const char *method;         /* NULL = GET, or POST when there is a body */
    const char *const *headers; /* "Name: value" */
    size_t headers_count;
    fw_bytes_t body;
    size_t reply_bytes_max; /* of the body; beyond: -EMSGSIZE */
    int64_t timeout_ms;     /* for all of it, at most FW_FETCH_TIMEOUT_MS_MAX */
    const char *ca_file; /* PEM of issuers to trust instead of the system's; NULL = the system's */
} fw_fetch_request_t;

typedef struct {
    int status;    /* of HTTP */
    uint8_t *body; /* ends with a 0 that size does not count; fw_fetch_reply_clear frees it */
    size_t size;
    char content_type[FW_FETCH_TEXT_SIZE];
    char etag[FW_FETCH_TEXT_SIZE];  /* empty when there is none, or it is longer */
    char cache[FW_FETCH_TEXT_SIZE]; /* the header X-Cache */
    int64_t max_age_s;              /* of Cache-Control, 0 for no-store; -1 = it does not say */
} fw_fetch_reply_t;

/* Before other threads exist: once per process. Later calls are free. */
void fw_fetch_prepare(void);

/* 0 when there was an answer, whatever its status. Otherwise ret_reason (a line for a log) and
 * -EINVAL a URL or a header that cannot be, -ETIMEDOUT, -EMSGSIZE, -EPROTO (no HTTP, a certificate
 * that is not good), -ECONNREFUSED (nobody there). The reply must be cleared in any case. */
int fw_fetch(const fw_fetch_request_t *request, fw_fetch_reply_t *ret_reply, char *ret_reason,
             size_t reason_size) __attribute__((warn_unused_result));
void fw_fetch_reply_clear(fw_fetch_reply_t *self);
