/* redis_model.c - a Redis in memory, as far as the cache uses one.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "tests/simulation/cache/redis_model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/entry.h"

static const model_item_t *find(const redis_model_t *self, fw_text_t key)
{
    for (size_t i = 0; i < MODEL_ITEMS_MAX; i++) {
        const model_item_t *item = &self->items[i];
        if (item->key[0] && strlen(item->key) == key.size &&
            memcmp(item->key, key.text, key.size) == 0) {
            /* Expired: as if it were not there. */
            return item->expires_us > self->now_us ? item : NULL;
        }
    }
    return NULL;
}

static model_item_t *make(redis_model_t *self, fw_text_t key)
{
    assert(key.size <= MODEL_KEY_SIZE_MAX);
    redis_model_unlink(self, key);
    for (size_t i = 0; i < MODEL_ITEMS_MAX; i++) {
        model_item_t *item = &self->items[i];
        if (!item->key[0] || item->expires_us <= self->now_us) {
            memset(item, 0, sizeof(*item));
            memcpy(item->key, key.text, key.size);
            return item;
        }
    }
    assert(!"the model is full");
    return NULL;
}

fw_bytes_t redis_model_get(const redis_model_t *self, fw_text_t key)
{
    const model_item_t *item = find(self, key);
    return item && !item->members ? (fw_bytes_t){item->value, item->size} : (fw_bytes_t){NULL, 0};
}

void redis_model_set(redis_model_t *self, fw_text_t key, fw_bytes_t value, int64_t ttl_ms)
{
    assert(value.size <= MODEL_VALUE_SIZE_MAX);
    uint8_t copy[MODEL_VALUE_SIZE_MAX];
    memcpy(copy, value.data, value.size);
    model_item_t *item = make(self, key);
    memcpy(item->value, copy, value.size);
    item->size = value.size;
    item->expires_us = self->now_us + (uint64_t)ttl_ms * 1000;
}

bool redis_model_unlink(redis_model_t *self, fw_text_t key)
{
    bool existed = find(self, key) != NULL;
    for (size_t i = 0; i < MODEL_ITEMS_MAX; i++) {
        model_item_t *item = &self->items[i];
        if (strlen(item->key) == key.size && memcmp(item->key, key.text, key.size) == 0) {
            item->key[0] = 0;
        }
    }
    return existed;
}

void redis_model_set_add(redis_model_t *self, fw_text_t key, unsigned member)
{
    uint32_t members = redis_model_set_members(self, key);
    model_item_t *item = make(self, key);
    item->expires_us = UINT64_MAX;
    item->members = members | UINT32_C(1) << member;
}

uint32_t redis_model_set_members(const redis_model_t *self, fw_text_t key)
{
    const model_item_t *item = find(self, key);
    return item ? item->members : 0;
}

bool redis_model_evict(redis_model_t *self, size_t index)
{
    bool existed = self->items[index].key[0] != 0;
    self->items[index].key[0] = 0;
    return existed;
}

/* Which of two servers of a cluster has the key. */
static unsigned server_of(const char *key)
{
    unsigned sum = 0;
    for (const char *at = key; *at; at++) {
        sum = 31 * sum + (unsigned char)*at;
    }
    return sum / 7 % 2;
}

void redis_model_fail_over(redis_model_t *self, const redis_model_t *older, int server,
                           int64_t skew_us)
{
    redis_model_t lost = *self;
    memset(self->items, 0, sizeof(self->items));
    self->now_us += (uint64_t)skew_us;
    self->scripts = 0;
    size_t count = 0;
    for (int old = 0; old <= 1; old++) {
        for (size_t i = 0; i < MODEL_ITEMS_MAX; i++) {
            const model_item_t *item = old ? &older->items[i] : &lost.items[i];
            bool goes_back = server < 0 || server_of(item->key) == (unsigned)server;
            if (item->key[0] && goes_back == (old == 1)) {
                assert(count < MODEL_ITEMS_MAX);
                self->items[count++] = *item;
            }
        }
    }
}

/* ---- replies */

static void add_value(model_reply_t *reply, fw_bytes_t value)
{
    assert(reply->reply.values_count < MODEL_VALUES_MAX);
    fw_bytes_t *copy = &reply->values[reply->reply.values_count++];
    *copy = (fw_bytes_t){NULL, 0};
    if (value.data) {
        assert(reply->arena_used + value.size <= MODEL_ARENA_SIZE);
        uint8_t *at = reply->arena + reply->arena_used;
        memcpy(at, value.data, value.size);
        reply->arena_used += value.size;
        *copy = (fw_bytes_t){at, value.size};
    }
}

static void add_number(model_reply_t *reply, uint64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    add_value(reply, (fw_bytes_t){(const uint8_t *)text, (size_t)size});
}

static void set_number(redis_model_t *self, fw_text_t key, uint64_t number, fw_bytes_t ttl)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    redis_model_set(self, key, (fw_bytes_t){(const uint8_t *)text, (size_t)size},
                    (int64_t)fw_cache_stamp_parse(ttl));
}

/* The first 20 bytes. */
static fw_bytes_t header_of(const redis_model_t *self, fw_text_t key)
{
    fw_bytes_t value = redis_model_get(self, key);
    if (value.size > FW_CACHE_HEADER_SIZE) {
        value.size = FW_CACHE_HEADER_SIZE;
    }
    return value;
}

/* ---- the scripts */

static void acquire(redis_model_t *self, const fw_cache_command_t *command, model_reply_t *reply)
{
    fw_bytes_t header = header_of(self, command->keys[0]);
    bool granted = header.size == 0 || fw_bytes_equal(header, command->arguments[0]);
    if (granted) {
        redis_model_set(self, command->keys[0], command->arguments[1],
                        (int64_t)fw_cache_stamp_parse(command->arguments[2]));
    }
    reply->reply.integer = granted;
    add_number(reply, self->now_us);
}

static void capture(redis_model_t *self, const fw_cache_command_t *command, model_reply_t *reply)
{
    for (size_t i = 0; i < command->keys_count; i++) {
        fw_bytes_t stamp = redis_model_get(self, command->keys[i]);
        bool valid = stamp.size > 0 && stamp.size <= 16 && stamp.data[0] != '0' &&
                     fw_cache_stamp_parse(stamp) > 0;
        if (!valid) {
            set_number(self, command->keys[i], self->now_us, command->arguments[0]);
            stamp = redis_model_get(self, command->keys[i]);
        }
        add_value(reply, stamp);
    }
}

static void bump(redis_model_t *self, const fw_cache_command_t *command, model_reply_t *reply)
{
    for (size_t i = 0; i < command->keys_count; i++) {
        uint64_t old = fw_cache_stamp_parse(redis_model_get(self, command->keys[i]));
        uint64_t stamp = self->now_us;
        if (old >= stamp && old < UINT64_C(1) << 53) {
            stamp = old + 1;
        }
        set_number(self, command->keys[i], stamp, command->arguments[0]);
        add_number(reply, stamp);
    }
}

static void store(redis_model_t *self, const fw_cache_command_t *command, model_reply_t *reply)
{
    reply->reply.integer = fw_bytes_equal(header_of(self, command->keys[0]), command->arguments[0]);
    if (reply->reply.integer) {
        redis_model_set(self, command->keys[0], command->arguments[1],
                        (int64_t)fw_cache_stamp_parse(command->arguments[2]));
    }
}

void redis_model_run(redis_model_t *self, const fw_cache_command_t *command,
                     model_reply_t *ret_reply)
{
    *ret_reply = (model_reply_t){.reply = {.values = ret_reply->values}};
    if (fw_cache_command_script(command->kind).size > 0) {
        if (!(self->scripts >> command->kind & 1) && !command->with_source) {
            ret_reply->reply.error = "NOSCRIPT No matching script. Please use EVAL.";
            return;
        }
        self->scripts |= UINT32_C(1) << command->kind;
    }
    switch (command->kind) {
    case FW_CACHE_COMMAND_READ:
        for (size_t i = 0; i < command->keys_count; i++) {
            add_value(ret_reply, redis_model_get(self, command->keys[i]));
        }
        break;
    case FW_CACHE_COMMAND_ACQUIRE:
        acquire(self, command, ret_reply);
        break;
    case FW_CACHE_COMMAND_CAPTURE:
        capture(self, command, ret_reply);
        break;
    case FW_CACHE_COMMAND_STORE:
        store(self, command, ret_reply);
        break;
    case FW_CACHE_COMMAND_RELEASE:
        ret_reply->reply.integer =
            fw_bytes_equal(header_of(self, command->keys[0]), command->arguments[0]);
        if (ret_reply->reply.integer) {
            redis_model_unlink(self, command->keys[0]);
        }
        break;
    case FW_CACHE_COMMAND_BUMP:
        bump(self, command, ret_reply);
        break;
    case FW_CACHE_COMMAND_UNLINK:
        for (size_t i = 0; i < command->keys_count; i++) {
            ret_reply->reply.integer += redis_model_unlink(self, command->keys[i]);
        }
        break;
    case FW_CACHE_COMMAND_TIME:
        add_number(ret_reply, self->now_us / 1000000);
        add_number(ret_reply, self->now_us % 1000000);
        break;
    case FW_CACHE_COMMAND_KINDS:
        assert(!"no command");
        break;
    }
}
