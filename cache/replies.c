/* replies.c - hiredis' replies as the machines take them.   SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "cache/connection.h"
#include "runtime/alloc.h"

static size_t values_in(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY ? reply->elements : 1;
}

/* Adds what one reply, or one element of it, says. */
static void add(const redisReply *reply, fw_cache_reply_t *ret_reply, fw_bytes_t *values)
{
    if (reply->type == REDIS_REPLY_INTEGER) {
        ret_reply->integer = reply->integer;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        ret_reply->error = reply->str;
    } else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) {
        values[ret_reply->values_count++] =
            (fw_bytes_t){(const uint8_t *)reply->str, (size_t)reply->len};
    } else {
        values[ret_reply->values_count++] = (fw_bytes_t){NULL, 0};
    }
}

void fw_cache_replies_begin(fw_cache_replies_t *self, size_t count)
{
    fw_cache_replies_clear(self);
    if (count > self->capacity) {
        free(self->replies);
        self->replies = fw_alloc(count, sizeof(redisReply *));
        self->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        self->replies[i] = NULL;
    }
    self->count = count;
}

void fw_cache_replies_clear(fw_cache_replies_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->replies[i]) {
            freeReplyObject(self->replies[i]);
        }
    }
    self->count = 0;
}

void fw_cache_replies_free(fw_cache_replies_t *self)
{
    fw_cache_replies_clear(self);
    free(self->replies);
    free(self->values);
    *self = (fw_cache_replies_t){0};
}

void fw_cache_replies_convert(fw_cache_replies_t *self, fw_cache_reply_t *ret_replies)
{
    size_t needed = 0;
    for (size_t i = 0; i < self->count; i++) {
        needed += self->replies[i] ? values_in(self->replies[i]) : 0;
    }
    if (needed > self->values_capacity) {
        free(self->values);
        self->values = fw_alloc(needed, sizeof(self->values[0]));
        self->values_capacity = needed;
    }
    fw_bytes_t *values = self->values;
    for (size_t i = 0; i < self->count; i++) {
        const redisReply *reply = self->replies[i];
        if (!reply) {
            continue;
        }
        ret_replies[i] = (fw_cache_reply_t){.values = values};
        if (reply->type == REDIS_REPLY_ARRAY) {
            for (size_t j = 0; j < reply->elements; j++) {
                add(reply->element[j], &ret_replies[i], values);
            }
        } else {
            add(reply, &ret_replies[i], values);
        }
        values += values_in(reply);
    }
}
