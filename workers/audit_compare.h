/* audit_compare.h - asks the service itself whether what looks stale is.
 * SPDX-License-Identifier: MPL-2.0
 * An actor with a thread of its own, since it waits for HTTP. A rule says where something can be
 * read: "projects:* url=https://api.internal/projects/{name}". It is read twice, as a client
 * without a token and once past the cache; when both answers are the same, nobody is served
 * anything old. */
#pragma once

#include <czmq.h>
#include <stdbool.h>

#include "proto/bytes.h"
#include "runtime/config.h"

enum {
    FW_COMPARE_PENDING_MAX = 64, /* questions; more are not asked */
    FW_COMPARE_URL_SIZE_MAX = 2000,
    FW_COMPARE_BYTES_MAX = 1024 * 1024, /* of an answer */
    FW_COMPARE_TIMEOUT_MS = 2000,
};

typedef enum {
    FW_COMPARED_SAME,
    FW_COMPARED_DIFFERENT,
    FW_COMPARED_FAILED, /* no answer, or one that says nothing */
    FW_COMPARED_COUNT
} fw_compared_t;

/* Pure. The address that the first matching rule gives for a name: {name} stands for it, all but
 * letters, digits and -._~ percent-encoded. 0, -ENOENT when no rule matches, -EMSGSIZE. */
int fw_audit_url(const char *const *rules, size_t rules_count, fw_text_t name,
                 char ret_url[FW_COMPARE_URL_SIZE_MAX + 1]) __attribute__((warn_unused_result));
/* Pure. 0, or -EINVAL with ret_error for a rule that is none. */
int fw_audit_url_check(const char *const *rules, size_t rules_count, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));

typedef struct fw_audit_compare fw_audit_compare_t;

/* The answer to the question with this id. */
typedef void fw_audit_compared_fn(void *context, uint64_t id, fw_compared_t compared);

/* Starts the actor; answers come on the loop. 0 or a negative errno. */
int fw_audit_compare_new(zloop_t *loop, fw_audit_compared_fn *compared, void *context,
                         fw_audit_compare_t **ret_compare) __attribute__((warn_unused_result));
/* Questions that are not answered by now never are. Waits for the one that is being asked.
 * NULL-safe
 */
void fw_audit_compare_destroy(fw_audit_compare_t **self_p);

/* 0: there will be an answer; -EAGAIN when too many wait. */
int fw_audit_compare_ask(fw_audit_compare_t *self, uint64_t id, const char *url)
    __attribute__((warn_unused_result));
