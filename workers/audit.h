/* audit.h - which purges are looked at again, and when.   SPDX-License-Identifier: MPL-2.0
 * Pure. A purge that is sampled comes up once for each timescale, until it was checked at the last
 * one. Owned by one thread. Bounded by count, bytes and rate: what does not fit is not sampled, and
 * counted. A check that comes later than the next timescale's is counted as missed. */
#pragma once

#include "proto/link_messages.h"
#include "workers/audit_judge.h"

enum {
    FW_AUDIT_SCALES_MAX = 8,
    FW_AUDIT_KEYS_MAX = 8, /* of one purge; of more, as many are drawn */
    FW_AUDIT_TAGS_MAX = 8,
};

typedef struct {
    int64_t scales_ms[FW_AUDIT_SCALES_MAX]; /* after the purge, ascending */
    size_t scales_count;
    uint32_t rate; /* samples a second */
    uint32_t samples_max;
    size_t bytes_max;
    uint64_t slack_us; /* what clocks may differ; see fw_audit_bound_us */
    uint64_t seed;
} fw_audit_limits_t;

typedef struct {
    fw_text_t tag;
    uint64_t stamp; /* that the purge left; 0 = not known */
} fw_audit_tag_t;

/* One sampled purge; borrowed from the schedule until fw_audit_checked. */
typedef struct {
    uint64_t number;
    uint64_t redis_time;
    uint64_t bound_us;
    const fw_text_t *keys; /* "<name space>:c:…" */
    size_t keys_count;
    const fw_audit_tag_t *tags;
    size_t tags_count;
    size_t scale; /* which one is due */
} fw_audit_sample_t;

typedef enum {
    FW_AUDIT_TAKEN,
    FW_AUDIT_EMPTY, /* nothing that can be judged: foreign keys, patterns */
    FW_AUDIT_RATE,  /* more purges than are sampled */
    FW_AUDIT_FULL,  /* no room */
    FW_AUDIT_OFFERS_COUNT
} fw_audit_offer_t;

typedef struct {
    uint64_t checked; /* and judged */
    uint64_t stale;   /* of these */
    uint64_t unjudged;
    uint64_t missed;
} fw_audit_tally_t;

typedef struct fw_audit fw_audit_t;

/* name_space: of the cache; copied. */
fw_audit_t *fw_audit_new(const fw_audit_limits_t *limits, const char *name_space)
    __attribute__((warn_unused_result));
void fw_audit_destroy(fw_audit_t **self_p); /* NULL-safe */

/* A purge was done. What is kept of it is copied. */
fw_audit_offer_t fw_audit_offer(fw_audit_t *self, const fw_purged_t *purged, int64_t now_ms);
/* The next sample that is due, which is being checked from now on; NULL when there is none. */
const fw_audit_sample_t *fw_audit_take(fw_audit_t *self, int64_t now_ms);
/* What its check said. The sample waits for its next timescale, or is gone. */
void fw_audit_checked(fw_audit_t *self, const fw_audit_sample_t *sample, fw_audit_verdict_t verdict,
                      int64_t now_ms);
/* When fw_audit_take has something at the latest; INT64_MAX when nothing waits. */
int64_t fw_audit_next_ms(const fw_audit_t *self);

/* Somebody came across an entry: the last sampled purge of this tag if the entry should not have
 * outlived it, else NULL. It has been checked at the scale before its own. */
const fw_audit_sample_t *fw_audit_suspect(fw_audit_t *self, fw_bytes_t tag, uint64_t start_us);
/* Counts a finding that was come across. */
void fw_audit_came_across(fw_audit_t *self, size_t scale, fw_audit_verdict_t verdict);

fw_audit_tally_t fw_audit_tally(const fw_audit_t *self, size_t scale);
size_t fw_audit_samples(const fw_audit_t *self);
size_t fw_audit_bytes(const fw_audit_t *self);
