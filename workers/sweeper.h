/* sweeper.h - runs pattern sweeps on a Redis link.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. The link is its own, so that purges never wait behind a SCAN; it
 * is made only when there is something to sweep. */
#pragma once

#include "workers/redis_link.h"
#include "workers/sweep.h"
#include "workers/worker_metrics.h"

typedef struct fw_sweeper fw_sweeper_t;

typedef struct {
    fw_redis_link_config_t link; /* address, timeout, name and seed */
    fw_sweep_limits_t limits;
    bool one_by_one;         /* a key per command: of a cluster keys of different slots */
    const fw_text_t *spared; /* keys that are never removed; borrowed */
    size_t spared_count;
    const fw_worker_metrics_t *metrics; /* borrowed */
    /* Redis will never remove this key, or, without a key, run this sweep. */
    void (*on_refused)(void *context, fw_bytes_t key, const char *reason);
    void *context;
} fw_sweeper_config_t;

fw_sweeper_t *fw_sweeper_new(zloop_t *loop, const fw_sweeper_config_t *config)
    __attribute__((warn_unused_result));
void fw_sweeper_destroy(fw_sweeper_t **self_p); /* NULL-safe; patterns that wait are forgotten */

/* As fw_sweep_request. */
int fw_sweeper_request(fw_sweeper_t *self, fw_text_t pattern) __attribute__((warn_unused_result));
size_t fw_sweeper_pending(const fw_sweeper_t *self);
/* To be called at least every 100 ms. */
void fw_sweeper_tick(fw_sweeper_t *self, int64_t now_ms);
