/* shard_names.c - see shard_names.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_names.h"

const fw_shard_name_t fw_shard_names[FW_SHARDS_MAX] = {
    {"shard-0", "broker link"},     {"shard-1", "broker link 1"},   {"shard-2", "broker link 2"},
    {"shard-3", "broker link 3"},   {"shard-4", "broker link 4"},   {"shard-5", "broker link 5"},
    {"shard-6", "broker link 6"},   {"shard-7", "broker link 7"},   {"shard-8", "broker link 8"},
    {"shard-9", "broker link 9"},   {"shard-10", "broker link 10"}, {"shard-11", "broker link 11"},
    {"shard-12", "broker link 12"}, {"shard-13", "broker link 13"}, {"shard-14", "broker link 14"},
    {"shard-15", "broker link 15"}, {"shard-16", "broker link 16"}, {"shard-17", "broker link 17"},
    {"shard-18", "broker link 18"}, {"shard-19", "broker link 19"}, {"shard-20", "broker link 20"},
    {"shard-21", "broker link 21"}, {"shard-22", "broker link 22"}, {"shard-23", "broker link 23"},
    {"shard-24", "broker link 24"}, {"shard-25", "broker link 25"}, {"shard-26", "broker link 26"},
    {"shard-27", "broker link 27"}, {"shard-28", "broker link 28"}, {"shard-29", "broker link 29"},
    {"shard-30", "broker link 30"}, {"shard-31", "broker link 31"},
};
