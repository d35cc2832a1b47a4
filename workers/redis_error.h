/* redis_error.h - what an error of Redis means for a purge.   SPDX-License-Identifier: MPL-2.0
 * Pure. */
#pragma once

#include "proto/bytes.h"

typedef enum {
    FW_REDIS_LOST,     /* no reply: the connection ended or stayed silent */
    FW_REDIS_LOADING,  /* the server reads its data file */
    FW_REDIS_READONLY, /* a replica: the primary is elsewhere now */
    FW_REDIS_OOM,      /* no memory for a write */
    FW_REDIS_NOSCRIPT, /* the server forgot our script */
    FW_REDIS_BUSY,     /* cannot now: a long script, a failed save, a cluster that moves slots */
    FW_REDIS_MOVED,    /* another server of the cluster holds the key */
    FW_REDIS_ASK,      /* the key is on its way to another server of the cluster */
    FW_REDIS_AUTH,     /* the password is missing or wrong */
    FW_REDIS_NOPERM,   /* the user may not do this to this key */
    FW_REDIS_TYPE,     /* the key holds another kind of value */
    FW_REDIS_PROTOCOL, /* an answer of another shape than asked for */
    FW_REDIS_OTHER,
    FW_REDIS_ERRORS_COUNT
} fw_redis_error_t;

/* Classifies the text of an error reply; also an error that a script passes on (Redis 6 wraps it).
 */
fw_redis_error_t fw_redis_error_of(fw_text_t text);

/* A word for metrics and logs: "lost", "loading", … */
const char *fw_redis_error_name(fw_redis_error_t error);

/* May the same command succeed later or elsewhere? Only what the key itself forbids may not:
 * whatever else went wrong, giving the purge up would leave old copies. */
bool fw_redis_error_retryable(fw_redis_error_t error);
