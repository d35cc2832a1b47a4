/* subscriptions.c - see subscriptions.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/subscriptions.h"

#include <stdlib.h>
#include <string.h>

#include "proto/channel.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

/* There are as many as descriptors. */
typedef struct {
    UT_hash_handle hh;
    int fd;
    uint32_t topics, foreign;
    int64_t since_ms;
} connection_t;

struct fw_subscriptions {
    connection_t *connections;
    uint32_t topics_max;
};

static bool is_base32(const uint8_t *text, size_t size)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    for (size_t i = 0; i < size; i++)
        if (!text[i] || !strchr(alphabet, text[i]))
            return false;
    return true;
}

fw_topic_kind_t fw_topic_kind(fw_bytes_t topic)
{
    static const char beacon[] = FW_TOPIC_BEACON;
    static const char audit[] = FW_TOPIC_AUDIT;
    if (topic.size == 0)
        return FW_TOPIC_FOREIGN; /* every event there is: no gateway needs that */
    if (topic.data[0] == FW_TOPIC_FENCE_PREFIX[0])
        return topic.size <= FW_FENCE_TOPIC_SIZE_MAX ? FW_TOPIC_FENCE : FW_TOPIC_FOREIGN;
    if (topic.size == sizeof beacon - 1 && memcmp(topic.data, beacon, topic.size) == 0)
        return FW_TOPIC_OURS;
    if (topic.size == sizeof audit - 1 && memcmp(topic.data, audit, topic.size) == 0)
        return FW_TOPIC_OURS;
    bool ours = topic.size == FW_TOPIC_SIZE && strchr("bur", topic.data[0]) &&
                is_base32(topic.data + 1, FW_TOPIC_SIZE - 1);
    return ours ? FW_TOPIC_OURS : FW_TOPIC_FOREIGN;
}

fw_subscriptions_t *fw_subscriptions_new(uint32_t topics_max)
{
    fw_subscriptions_t *self = fw_alloc(1, sizeof *self);
    self->topics_max = topics_max;
    return self;
}

static void forget(fw_subscriptions_t *self, connection_t *connection)
{
    HASH_DELETE(hh, self->connections, connection);
    free(connection);
}

void fw_subscriptions_destroy(fw_subscriptions_t **self_p)
{
    fw_subscriptions_t *self = *self_p;
    if (!self)
        return;
    while (self->connections)
        forget(self, self->connections);
    free(self);
    *self_p = NULL;
}

bool fw_subscriptions_add(fw_subscriptions_t *self, int fd, fw_topic_kind_t kind, int64_t now_ms)
{
    connection_t *connection;
    HASH_FIND_INT(self->connections, &fd, connection);
    if (!connection) {
        connection = fw_alloc(1, sizeof *connection);
        connection->fd = fd;
        connection->since_ms = now_ms;
        HASH_ADD_INT(self->connections, fd, connection);
    }
    if (now_ms - connection->since_ms >= FW_SUBSCRIPTIONS_WINDOW_MS) {
        connection->topics = connection->foreign = 0;
        connection->since_ms = now_ms;
    }
    connection->topics++;
    connection->foreign += kind == FW_TOPIC_FOREIGN;
    if (connection->topics <= self->topics_max && connection->foreign <= FW_FOREIGN_TOPICS_MAX)
        return true;
    forget(self, connection);
    return false;
}
