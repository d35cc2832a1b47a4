/* audit_judge.h - would a reader be served what a purge should have ended?
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Judges by the cache library's own rules, as a reader without a token sees it. */
#pragma once

#include "cache/entry.h"

typedef enum {
    FW_AUDIT_CLEAN,
    FW_AUDIT_STALE,    /* a reader would be served it */
    FW_AUDIT_UNJUDGED, /* nobody can tell: no answer, or it changed while it was looked at */
} fw_audit_verdict_t;

/* The latest that a fill may have begun to be older than the commit that the event told of: the
 * broker had the event took_us before redis_time, and clocks may differ by slack_us. */
uint64_t fw_audit_bound_us(uint64_t redis_time, uint64_t took_us, uint64_t slack_us);

/* A tag's stamp in Redis, beside the one that the purge left. A missing one serves nobody, a
 * smaller one serves what was purged. */
fw_audit_verdict_t fw_audit_judge_stamp(uint64_t purged, fw_bytes_t current);

/* Do these first bytes of a value begin an entry whose fill began at or before bound_us? Then its
 * head is in *ret_entry, which borrows from them. */
bool fw_audit_suspects(fw_bytes_t head, uint64_t bound_us, fw_cache_entry_t *ret_entry);

/* Does an entry still hold all of its stamps? current: of entry->stamps, in that order. */
bool fw_audit_stamps_fit(const fw_cache_entry_t *entry, const uint64_t *current);

/* Is the whole value the entry whose head was looked at (by its nonce), and one that a reader can
 * read? CLEAN: a reader would miss. UNJUDGED: it is another one by now. */
fw_audit_verdict_t fw_audit_judge_value(const fw_cache_entry_t *head, fw_bytes_t value);

/* The share of checks that found nothing stale; 1 when there were none. */
double fw_audit_consistency(uint64_t checked, uint64_t stale);
/* What that share is at least, with 95 % confidence: by the rule of three while nothing stale was
 * found, else by Wilson's interval. 0 without checks. */
double fw_audit_consistency_bound(uint64_t checked, uint64_t stale);
