/* read_world.h - reads, one round trip at a time, of a Redis in memory.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include "cache/read.h"
#include "tests/simulation/cache/redis_model.h"

typedef struct {
    redis_model_t redis;
    fw_cache_rules_t rules;
    int64_t now_ms;
    uint8_t nonce;
    size_t commands; /* sent in all */
} world_t;

extern const fw_bytes_t world_value; /* what every load returns */

int world_setup(void **state);
int world_teardown(void **state);

/* A request for the key "projects:7" with two tags. */
fw_cache_request_t world_request(void);
fw_cache_read_t *world_begin(world_t *world, const fw_cache_request_t *asked);
void world_send(world_t *world, fw_cache_read_t *read); /* one round trip */
fw_cache_step_t world_go_on(world_t *world, fw_cache_read_t *read);
/* A whole read: its status, and whether it stored. */
fw_cache_status_t world_read_whole(world_t *world, const fw_cache_request_t *asked,
                                   bool *ret_stored);
void world_fill(world_t *world);
void world_put(world_t *world, const char *key, const void *data, size_t size);
fw_bytes_t world_get(world_t *world, const char *key);
