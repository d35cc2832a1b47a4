/* channel.c - see channel.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/channel.h"

#include <errno.h>
#include <xxhash.h>

#include "proto/utf8.h"

static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";

static bool starts_with(fw_text_t text, fw_text_t prefix)
{
    return text.size >= prefix.size && memcmp(text.text, prefix.text, prefix.size) == 0;
}

fw_channel_kind_t fw_channel_kind(fw_text_t channel)
{
    fw_channel_kind_t kind = FW_CHANNEL_INVALID;
    if (fw_text_equal(channel, FW_TEXT(FW_CHANNEL_BROADCAST)))
        return FW_CHANNEL_KIND_BROADCAST;
    if (starts_with(channel, FW_TEXT("user:")))
        kind = FW_CHANNEL_KIND_USER;
    else if (starts_with(channel, FW_TEXT("room:")))
        kind = FW_CHANNEL_KIND_ROOM;
    else
        return FW_CHANNEL_INVALID;
    fw_bytes_t id = {(const uint8_t *)channel.text + 5, channel.size - 5};
    if (id.size == 0 || id.size > FW_CHANNEL_ID_SIZE_MAX || !fw_utf8_printable(id))
        return FW_CHANNEL_INVALID;
    return kind;
}

fw_text_t fw_channel_id(fw_text_t channel)
{
    if (channel.size <= 5 || channel.text[4] != ':')
        return FW_TEXT_NONE;
    return (fw_text_t){channel.text + 5, channel.size - 5};
}

int fw_channel_make(fw_channel_kind_t kind, fw_text_t id, char ret_name[FW_CHANNEL_SIZE_MAX + 1],
                    size_t *ret_size)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = sizeof FW_CHANNEL_BROADCAST - 1;
    if (kind == FW_CHANNEL_KIND_BROADCAST) {
        memcpy(name, FW_CHANNEL_BROADCAST, size);
    } else {
        if (id.size > FW_CHANNEL_ID_SIZE_MAX)
            return -EINVAL;
        memcpy(name, kind == FW_CHANNEL_KIND_USER ? "user:" : "room:", 5);
        if (id.size > 0)
            memcpy(name + 5, id.text, id.size);
        size = 5 + id.size;
    }
    name[size] = '\0';
    if (fw_channel_kind((fw_text_t){name, size}) != kind)
        return -EINVAL;
    memcpy(ret_name, name, size + 1);
    *ret_size = size;
    return 0;
}

void fw_channel_topic(fw_text_t channel, char ret_topic[FW_TOPIC_SIZE])
{
    uint64_t hash = XXH3_64bits(channel.text, channel.size);
    ret_topic[0] = channel.text[0];
    for (int i = 1; i < FW_TOPIC_SIZE; i++) {
        ret_topic[i] = base32[hash & 31];
        hash >>= 5;
    }
}
