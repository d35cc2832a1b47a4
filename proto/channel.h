/* channel.h - names of channels and the topics they travel under.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. A channel is "broadcast", "user:<id>" or "room:<id>"; the id is 1..FW_CHANNEL_ID_SIZE_MAX
 * bytes of UTF-8 without control characters. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_CHANNEL_ID_SIZE_MAX = 180,
    FW_CHANNEL_SIZE_MAX = 5 + FW_CHANNEL_ID_SIZE_MAX,
    FW_TOPIC_SIZE = 6, /* class byte + 5 base32 characters: no topic is a prefix of another */
};

#define FW_CHANNEL_BROADCAST "broadcast"
#define FW_TOPIC_BEACON "!hb"
#define FW_TOPIC_AUDIT "!audit"
#define FW_TOPIC_FENCE_PREFIX "~"

typedef enum {
    FW_CHANNEL_INVALID,
    FW_CHANNEL_KIND_BROADCAST,
    FW_CHANNEL_KIND_USER,
    FW_CHANNEL_KIND_ROOM,
} fw_channel_kind_t;

/* The kind of a channel name, FW_CHANNEL_INVALID when it is not one. */
fw_channel_kind_t fw_channel_kind(fw_text_t channel) __attribute__((warn_unused_result));

/* The part after the colon; empty for broadcast. Borrows from channel. */
fw_text_t fw_channel_id(fw_text_t channel);

/* Writes "<prefix>:<id>" for a user or a room, or "broadcast", into ret_name with a closing 0.
 * 0, or -EINVAL when the result would not be a channel name. */
int fw_channel_make(fw_channel_kind_t kind, fw_text_t id, char ret_name[FW_CHANNEL_SIZE_MAX + 1],
                    size_t *ret_size) __attribute__((warn_unused_result));

/* Writes the topic of a channel, "b", "u" or "r" and 25 bits of XXH3 in base32, without a closing
 * 0. */
void fw_channel_topic(fw_text_t channel, char ret_topic[FW_TOPIC_SIZE]);
