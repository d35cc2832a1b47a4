/* redis_model.h - a Redis in memory, as far as the cache uses one.   SPDX-License-Identifier:
 * MPL-2.0 One command is one step; time is a number that the world moves. The scripts are written
 * again here, as what cache/lua says they do; integration.cache_model compares the two. */
#pragma once

#include "cache/command.h"

enum {
    MODEL_ITEMS_MAX = 64,
    MODEL_KEY_SIZE_MAX = 63,
    MODEL_VALUE_SIZE_MAX = 255,
    MODEL_VALUES_MAX = 12, /* of one reply */
    MODEL_ARENA_SIZE = 1024,
};

typedef struct {
    char key[MODEL_KEY_SIZE_MAX + 1]; /* "" = free */
    uint8_t value[MODEL_VALUE_SIZE_MAX];
    size_t size;
    uint32_t members; /* a set of small numbers instead of a value; 0 = it is a value */
    uint64_t expires_us;
} model_item_t;

/* A plain value: a copy is a snapshot. */
typedef struct {
    uint64_t now_us;
    model_item_t items[MODEL_ITEMS_MAX];
    uint32_t scripts; /* bit set of fw_cache_command_kind_t that it knows */
} redis_model_t;

typedef struct {
    fw_cache_reply_t reply; /* points into the rest */
    fw_bytes_t values[MODEL_VALUES_MAX];
    uint8_t arena[MODEL_ARENA_SIZE];
    size_t arena_used;
} model_reply_t;

/* Runs one command of a machine. */
void redis_model_run(redis_model_t *self, const fw_cache_command_t *command,
                     model_reply_t *ret_reply);

/* Single commands, for algorithms of other people. GET borrows until the next change; data NULL =
 * nil. */
fw_bytes_t redis_model_get(const redis_model_t *self, fw_text_t key);
void redis_model_set(redis_model_t *self, fw_text_t key, fw_bytes_t value, int64_t ttl_ms);
bool redis_model_unlink(redis_model_t *self, fw_text_t key);
void redis_model_set_add(redis_model_t *self, fw_text_t key, unsigned member); /* 0..31 */
uint32_t redis_model_set_members(const redis_model_t *self, fw_text_t key);

/* Removes item number index if there is one: eviction. */
bool redis_model_evict(redis_model_t *self, size_t index);
/* Takes over the data of an older copy: what was written since is lost, and so are the scripts. The
 * clock of the new server differs by skew_us. server: 0 or 1, only the keys that this one of two
 * servers has; -1 = all. */
void redis_model_fail_over(redis_model_t *self, const redis_model_t *older, int server,
                           int64_t skew_us);
