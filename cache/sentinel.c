/* sentinel.c - see sentinel.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cache/sentinel.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 26379, PORT_MAX = 65535 };

bool fw_cache_next_server(const char **list, int default_port, fw_slot_server_t *ret_server)
{
    const char *start = *list + strspn(*list, ", ");
    size_t size = strcspn(start, ", ");
    *list = start + size;
    const char *host_end = start + size;
    int port = default_port;
    const char *colon = memrchr(start, ':', size);
    const char *bracket = memchr(start, ']', size);
    if (colon && (!bracket || colon > bracket)) {
        char *end = NULL;
        long number = strtol(colon + 1, &end, 10);
        port = end == start + size && end > colon + 1 && number <= PORT_MAX ? (int)number : 0;
        host_end = colon;
    }
    if (bracket && *start == '[') {
        start++;
        host_end = bracket;
    }
    size_t host_size = (size_t)(host_end - start);
    if (host_size == 0 || host_size > FW_REDIS_HOST_SIZE_MAX || port < 1) {
        return false;
    }
    *ret_server = (fw_slot_server_t){.port = port};
    memcpy(ret_server->host, start, host_size);
    return true;
}

/* Does the reply name a server? */
static bool take_reply(const redisReply *reply, fw_slot_server_t *ret_primary)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING ||
        reply->element[0]->len > FW_REDIS_HOST_SIZE_MAX) {
        return false;
    }
    char *end = NULL;
    long port = strtol(reply->element[1]->str, &end, 10);
    if (*end || port < 1 || port > PORT_MAX) {
        return false;
    }
    *ret_primary = (fw_slot_server_t){.port = (int)port};
    memcpy(ret_primary->host, reply->element[0]->str, (size_t)reply->element[0]->len);
    return true;
}

static bool ask(const fw_slot_server_t *sentinel, const char *name, struct timeval timeout,
                fw_slot_server_t *ret_primary, char *ret_reason, size_t reason_size)
{
    redisContext *redis = redisConnectWithTimeout(sentinel->host, sentinel->port, timeout);
    bool found = false;
    if (!redis || redis->err) {
        (void)snprintf(ret_reason, reason_size, "Sentinel %s:%d: %s", sentinel->host,
                       sentinel->port, redis ? redis->errstr : "no memory");
    } else {
        (void)redisSetTimeout(redis, timeout);
        redisReply *reply = redisCommand(redis, "SENTINEL get-master-addr-by-name %s", name);
        found = reply && take_reply(reply, ret_primary);
        if (!found) {
            (void)snprintf(ret_reason, reason_size, "Sentinel %s:%d does not know a primary %s",
                           sentinel->host, sentinel->port, name);
        }
        freeReplyObject(reply);
    }
    if (redis) {
        redisFree(redis);
    }
    return found;
}

int fw_cache_sentinel_ask(const char *sentinels, const char *name, struct timeval timeout,
                          fw_slot_server_t *ret_primary, char *ret_reason, size_t reason_size)
{
    (void)snprintf(ret_reason, reason_size, "no Sentinel in \"%s\"", sentinels);
    const char *rest = sentinels;
    while (*(rest += strspn(rest, ", "))) {
        fw_slot_server_t sentinel;
        if (fw_cache_next_server(&rest, PORT, &sentinel) &&
            ask(&sentinel, name, timeout, ret_primary, ret_reason, reason_size)) {
            return 0;
        }
    }
    return -ENOENT;
}
