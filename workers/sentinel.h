/* sentinel.h - asks Sentinels which server is the primary.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. All Sentinels of the URL are asked once a second; of what they
 * say the answer with the highest configuration epoch counts, so that one that was cut off does not
 * lead back to a server that has been replaced. */
#pragma once

#include "cache/slot_map.h"
#include "workers/redis_link.h"
#include "workers/redis_url.h"

enum {
    FW_SENTINEL_ASK_MS = 1000,
    FW_SENTINEL_TRUST_MS = 5000, /* older answers do not count */
};

typedef struct fw_sentinel fw_sentinel_t;

/* url outlives it. link: timeout, name, seed, on_error and its context are used. */
fw_sentinel_t *fw_sentinel_new(zloop_t *loop, const fw_redis_url_t *url,
                               const fw_redis_link_config_t *link)
    __attribute__((warn_unused_result));
void fw_sentinel_destroy(fw_sentinel_t **self_p); /* NULL-safe */

/* To be called at least every 100 ms. */
void fw_sentinel_tick(fw_sentinel_t *self, int64_t now_ms);
/* The primary, or NULL when no Sentinel has named one lately. */
const fw_slot_server_t *fw_sentinel_primary(const fw_sentinel_t *self, int64_t now_ms);
