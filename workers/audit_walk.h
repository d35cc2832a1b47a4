/* audit_walk.h - comes across the entries of one Redis, a few at a time.
 * SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its pool. A tag does not know its entries, so the keyspace is walked
 * (SCAN, at a bounded rate, each server of a cluster in turn) and the head of every entry looked
 * at. Nothing is walked while nobody waits for it. */
#pragma once

#include "cache/entry.h"
#include "workers/redis_pool.h"

enum {
    FW_AUDIT_WALK_COUNT = 100,    /* keys that one SCAN looks at */
    FW_AUDIT_WALK_PENDING = 1000, /* heads asked for; the next SCAN waits for them */
};

typedef struct fw_audit_walk fw_audit_walk_t;

/* An entry; key and entry live until it returns. */
typedef void fw_audit_walk_fn(void *context, size_t target, fw_text_t key,
                              const fw_cache_entry_t *entry);

/* keys_per_second: 0 = never. */
fw_audit_walk_t *fw_audit_walk_new(fw_redis_pool_t *pool, size_t target, const char *name_space,
                                   uint32_t keys_per_second, fw_audit_walk_fn *seen, void *context)
    __attribute__((warn_unused_result));
/* After the pool has been destroyed. NULL-safe. */
void fw_audit_walk_destroy(fw_audit_walk_t **self_p);

/* To be called often; wanted: somebody waits for entries. */
void fw_audit_walk_tick(fw_audit_walk_t *self, bool wanted, int64_t now_ms);
/* Entries come across since the last call. */
uint64_t fw_audit_walk_seen(fw_audit_walk_t *self);
