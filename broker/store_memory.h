/* store_memory.h - the engine that keeps events in this process.   SPDX-License-Identifier: MPL-2.0
 * Per channel a ring of the newest events, bounded by count, bytes and age; over all channels
 * bounded by bytes (the channel written longest ago gives first). A restart is a new seed, so every
 * epoch is new.
 *
 * Epochs without remembering every name: a channel that is not kept has the epoch of its bucket,
 * one of 65,536, which changes whenever a channel of that bucket is forgotten. So an idle
 * subscriber of a channel that never had an event keeps its place, and one whose channel was
 * forgotten is told to reset. */
#pragma once

#include "broker/policies.h"
#include "broker/store.h"

typedef struct {
    const fw_policies_t *policies; /* how much of each channel is kept; outlives the store */
    size_t bytes_max;              /* of all channels */
    int64_t
        idle_us_max; /* a channel without events and without new ones for so long is forgotten */
    uint32_t channels_max; /* beyond it the channel written longest ago is forgotten */
    uint64_t seed;         /* random, new at every start */
} fw_store_memory_options_t;

fw_store_t *fw_store_memory_new(const fw_store_memory_options_t *options,
                                const fw_store_answers_t *answers)
    __attribute__((warn_unused_result));
