/* cache.h - read through Redis, and never serve what was invalidated.   SPDX-License-Identifier:
 * MPL-2.0 The machines of read.h and purge.h, driven over a blocking transport. One cache for each
 * thread; a forked process makes its own. Entries are shared with freshwire.cache of Python.
 *
 *     fw_cache_read_t *read = NULL;
 *     if (fw_cache_get(cache, &request, &read) == 0) {
 *         const fw_cache_outcome_t *outcome = fw_cache_read_outcome(read);
 *         if (outcome->status == FW_CACHE_HIT) {
 *             answer(outcome->payload);
 *         } else {
 *             fw_bytes_t payload = load();   (only now: what was loaded before may be stale)
 *             fw_cache_fill(cache, read, payload);
 *             answer(payload);
 *         }
 *         fw_cache_end(cache, &read);
 *     }
 *
 * Redis never breaks a caller: when it fails, a read is a miss that is not stored. */
#pragma once

#include "cache/purge.h"
#include "cache/read.h"
#include "cache/transport.h"

typedef struct fw_cache fw_cache_t;

typedef struct {
    uint64_t hits;
    uint64_t misses;
    uint64_t bypassed;
    uint64_t stale_rejected;
    uint64_t stored;
    uint64_t not_stored; /* loaded, but purged meanwhile, too recent, refused, or no answer */
    uint64_t failures;   /* round trips that Redis did not answer, or refused */
} fw_cache_stats_t;

/* Takes the transport, also when it fails. The rules are copied, the texts they point to are not.
 * 0, or -EINVAL as fw_cache_rules_check. */
int fw_cache_new(const fw_cache_rules_t *rules, fw_cache_transport_t transport,
                 fw_cache_t **ret_cache) __attribute__((warn_unused_result));
void fw_cache_destroy(fw_cache_t **self_p); /* NULL-safe; after all reads have ended */

/* Looks; waits for somebody else's load for at most rules.wait_ms. The outcome says HIT, or what to
 * call the read when it is not: then the caller loads. 0, or as fw_cache_read_new. */
int fw_cache_get(fw_cache_t *self, const fw_cache_request_t *request, fw_cache_read_t **ret_read)
    __attribute__((warn_unused_result));
/* Stores what was loaded after fw_cache_get, one MessagePack value. True when it was stored; if not
 * the outcome has the reason, and the caller's value is as good as ever. At most once a read. */
bool fw_cache_fill(fw_cache_t *self, fw_cache_read_t *read, fw_bytes_t payload);
/* Ends a read. One that was to be loaded and was not filled gives its lease back. NULL-safe. */
void fw_cache_end(fw_cache_t *self, fw_cache_read_t **read_p);

/* Purges at once, without telling anybody; publishing an event with the same tags and keys tells
 * browsers, too. Patterns are left to the workers. 0: nobody is served what was stale before, and
 * ret_purged has the freshness token. -EIO: Redis did not do (all of) it, ret_purged says why; try
 * again, twice is harmless. -EINVAL, -E2BIG as fw_cache_purge_new. */
int fw_cache_invalidate(fw_cache_t *self, const fw_cache_purge_request_t *request,
                        fw_cache_purged_t *ret_purged) __attribute__((warn_unused_result));

fw_cache_stats_t fw_cache_stats(const fw_cache_t *self);
/* What Redis said or did when it failed last; empty when it never did. */
const char *fw_cache_last_failure(const fw_cache_t *self);
