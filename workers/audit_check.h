/* audit_check.h - one look at what a purge should have ended.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its pools. Reads only, at every target: a tag's stamp; of a key the head
 * of its entry, the stamps that this holds, and then the whole value, so that what is called stale
 * was there before and after its stamps were. */
#pragma once

#include "workers/audit.h"
#include "workers/redis_pool.h"

enum { FW_AUDIT_ATTEMPTS_MAX = 3 }; /* at an entry that changes while it is looked at */

typedef struct {
    fw_redis_pool_t *const *pools; /* of the targets; outlive every check */
    size_t pools_count;
    const char *name_space;
} fw_audit_place_t;

/* Something that a reader would be served. The texts live as long as the check. */
typedef struct {
    size_t target;
    const char *key; /* in Redis: of the entry, or of the stamp */
    bool is_stamp;
    uint64_t start_us;  /* of the entry */
    const char *nonce;  /* of the entry, 32 hexadecimal digits */
    uint64_t stamp;     /* of the tag, now */
    uint64_t was_stamp; /* that the purge left */
} fw_audit_finding_t;

typedef struct fw_audit_check fw_audit_check_t;

/* Tells that it is over; then it can be destroyed. Perhaps from within fw_audit_check_begin. */
typedef void fw_audit_check_fn(void *context, fw_audit_check_t *check);

/* What it needs of the sample is copied. */
fw_audit_check_t *fw_audit_check_new(const fw_audit_place_t *place, const fw_audit_sample_t *sample,
                                     fw_audit_check_fn *done, void *context)
    __attribute__((warn_unused_result));
/* The same for one entry at one target, which was come across; key: of Redis. */
fw_audit_check_t *fw_audit_check_of_key(const fw_audit_place_t *place, size_t target, fw_text_t key,
                                        const fw_audit_sample_t *sample, fw_audit_check_fn *done,
                                        void *context) __attribute__((warn_unused_result));
void fw_audit_check_destroy(fw_audit_check_t **self_p); /* NULL-safe; not while it runs */

void fw_audit_check_begin(fw_audit_check_t *self);

/* STALE when anything is; else UNJUDGED when anything could not be looked at. */
fw_audit_verdict_t fw_audit_check_verdict(const fw_audit_check_t *self);
size_t fw_audit_check_findings(const fw_audit_check_t *self);
fw_audit_finding_t fw_audit_check_finding(const fw_audit_check_t *self, size_t index);
