/* shard_names.h - names of the shards in log and health.   SPDX-License-Identifier: MPL-2.0
 * Literals, because the health registry borrows them and outlives the gateway. */
#pragma once

enum { FW_SHARDS_MAX = 32 };

typedef struct {
    const char *actor;
    const char *condition;
} fw_shard_name_t;

extern const fw_shard_name_t fw_shard_names[FW_SHARDS_MAX];
