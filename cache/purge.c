/* purge.c - one purge: raise stamps, remove entries, ask for the time.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cache/purge.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/batch.h"
#include "runtime/alloc.h"

struct fw_cache_purge {
    bool ended;
    fw_cache_batch_t batch;
    fw_cache_purged_t outcome;
    char stamp_ttl_ms_text[24];
    fw_text_t *keys; /* stamps first, then entries */
    char names[];    /* what keys point to */
};

static bool is_name(fw_text_t name, size_t size_max)
{
    return name.size > 0 && name.size <= size_max && !memchr(name.text, 0, name.size);
}

static bool is_registered(const fw_cache_rules_t *rules, fw_text_t prefix)
{
    for (size_t i = 0; i < rules->prefixes_count; i++) {
        if (fw_text_equal(rules->prefixes[i], prefix)) {
            return true;
        }
    }
    return false;
}

/* Adds the sizes of names to *size. False when one of them is none. */
static bool measure(const fw_text_t *names, size_t count, size_t size_max, size_t *size)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_name(names[i], size_max)) {
            return false;
        }
        *size += names[i].size;
    }
    return true;
}

static int check(const fw_cache_rules_t *rules, const fw_cache_purge_request_t *request,
                 size_t *ret_count, size_t *ret_size)
{
    size_t counts[] = {request->tags_count, request->prefixes_count, request->keys_count};
    size_t count = request->everything;
    for (size_t i = 0; i < 3; i++) {
        if (counts[i] > FW_CACHE_PURGE_ITEMS_MAX) {
            return -E2BIG;
        }
        count += counts[i];
    }
    if (count > FW_CACHE_PURGE_ITEMS_MAX) {
        return -E2BIG;
    }
    /* One more byte each for the star of a prefix. */
    size_t size = count * (rules->name.size + FW_CACHE_NAME_OVERHEAD + 1);
    bool valid =
        count > 0 && measure(request->tags, request->tags_count, FW_CACHE_TAG_SIZE_MAX, &size) &&
        measure(request->prefixes, request->prefixes_count, FW_CACHE_TAG_SIZE_MAX - 1, &size) &&
        measure(request->keys, request->keys_count, FW_CACHE_KEY_SIZE_MAX, &size);
    for (size_t i = 0; valid && i < request->prefixes_count; i++) {
        valid = is_registered(rules, request->prefixes[i]);
    }
    *ret_count = count;
    *ret_size = size;
    return valid ? 0 : -EINVAL;
}

/* Commands for keys first to end, at most limit of them each, or in a cluster one. */
static void add_commands(fw_cache_purge_t *self, fw_cache_command_kind_t kind, size_t first,
                         size_t end, size_t limit, fw_bytes_t argument)
{
    for (size_t at = first; at < end; at += limit) {
        size_t count = end - at < limit ? end - at : limit;
        fw_cache_command_t *command =
            fw_cache_batch_add(&self->batch, kind, self->keys + at, count);
        if (kind == FW_CACHE_COMMAND_BUMP) {
            command->arguments[0] = argument;
            command->arguments_count = 1;
        }
    }
}

int fw_cache_purge_new(const fw_cache_rules_t *rules, const fw_cache_purge_request_t *request,
                       fw_cache_purge_t **ret_purge)
{
    size_t count = 0;
    size_t size = 0;
    int result = check(rules, request, &count, &size);
    if (result < 0) {
        return result;
    }
    fw_cache_purge_t *self = fw_alloc(1, sizeof(*self) + size);
    self->keys = fw_alloc(count, sizeof(self->keys[0]));
    char *at = self->names;
    size_t next = 0;
    if (request->everything) {
        at = fw_cache_stamp_key_write(rules->name, FW_TEXT_NONE, at, &self->keys[next++]);
    }
    for (size_t i = 0; i < request->tags_count; i++) {
        at = fw_cache_stamp_key_write(rules->name, request->tags[i], at, &self->keys[next++]);
    }
    for (size_t i = 0; i < request->prefixes_count; i++) {
        fw_text_t *key = &self->keys[next++];
        at = fw_cache_stamp_key_write(rules->name, request->prefixes[i], at, key);
        memcpy(at - 1, "*", 2);
        at++;
        key->size++;
    }
    size_t stamps = next;
    for (size_t i = 0; i < request->keys_count; i++) {
        at = fw_cache_entry_key_write(rules->name, request->keys[i], at, &self->keys[next++]);
    }
    assert(next == count);
    assert((size_t)(at - self->names) <= size);
    int written = snprintf(self->stamp_ttl_ms_text, sizeof(self->stamp_ttl_ms_text), "%lld",
                           (long long)rules->stamp_ttl_ms);
    fw_bytes_t ttl = {(const uint8_t *)self->stamp_ttl_ms_text, (size_t)written};
    add_commands(self, FW_CACHE_COMMAND_BUMP, 0, stamps,
                 rules->cluster ? 1 : FW_CACHE_TAGS_PER_COMMAND, ttl);
    add_commands(self, FW_CACHE_COMMAND_UNLINK, stamps, count,
                 rules->cluster ? 1 : FW_CACHE_KEYS_PER_COMMAND, ttl);
    fw_cache_batch_add(&self->batch, FW_CACHE_COMMAND_TIME, NULL, 0)->route = self->keys[0];
    *ret_purge = self;
    return 0;
}

void fw_cache_purge_destroy(fw_cache_purge_t **self_p)
{
    fw_cache_purge_t *self = *self_p;
    if (self) {
        fw_cache_batch_free(&self->batch);
        free(self->keys);
        free(self);
        *self_p = NULL;
    }
}

fw_cache_step_t fw_cache_purge_step(const fw_cache_purge_t *self)
{
    return self->ended ? FW_CACHE_STEP_DONE : FW_CACHE_STEP_SEND;
}

const fw_cache_command_t *fw_cache_purge_commands(const fw_cache_purge_t *self, size_t *ret_count)
{
    return fw_cache_batch_pending(&self->batch, ret_count);
}

static void reached(fw_cache_purge_t *self, uint64_t time_us)
{
    if (time_us > self->outcome.fresh_us) {
        self->outcome.fresh_us = time_us;
    }
}

static void take_answer(void *context, size_t index, const fw_cache_reply_t *reply)
{
    fw_cache_purge_t *self = context;
    fw_cache_command_kind_t kind = self->batch.commands[index].kind;
    if (kind == FW_CACHE_COMMAND_TIME) {
        reached(self, fw_cache_stamp_parse(reply->values[0]) * 1000000 +
                          fw_cache_stamp_parse(reply->values[1]));
    } else if (kind == FW_CACHE_COMMAND_BUMP) {
        /* A stamp ahead of the clock (which was set back) counts as well: whoever knows of this
         * purge must not be served what began to be filled before it. */
        for (size_t i = 0; i < reply->values_count; i++) {
            reached(self, fw_cache_stamp_parse(reply->values[i]));
        }
    } else {
        self->outcome.keys_removed += (size_t)reply->integer;
    }
}

void fw_cache_purge_replies(fw_cache_purge_t *self, const fw_cache_reply_t *replies)
{
    assert(!self->ended);
    if (replies && !fw_cache_batch_replies(&self->batch, replies, take_answer, self)) {
        return;
    }
    self->ended = true;
    self->outcome.done = replies && !self->batch.failed && self->outcome.fresh_us > 0;
    if (!self->outcome.done) {
        const char *failure = self->batch.failed ? self->batch.failure : "no answer";
        (void)snprintf(self->outcome.failure, sizeof(self->outcome.failure), "%s", failure);
    }
}

const fw_cache_purged_t *fw_cache_purge_outcome(const fw_cache_purge_t *self)
{
    return &self->outcome;
}
