/* audit_walk.c - see audit_walk.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_walk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "workers/purge_job.h"

enum { CURSOR_SIZE = 24, PATTERN_SIZE = FW_PURGE_NAME_SPACE_SIZE_MAX + 8, SECOND_MS = 1000 };

struct fw_audit_walk {
    fw_redis_pool_t *pool;
    size_t target;
    uint32_t keys_per_second;
    fw_audit_walk_fn *seen;
    void *context;
    char pattern[PATTERN_SIZE];
    char cursor[CURSOR_SIZE];
    size_t server;
    uint64_t generation; /* of the pool, that server is an index of */
    bool scanning;
    size_t pending; /* heads asked for */
    int64_t next_ms;
    uint64_t entries;
};

/* A head that was asked for. */
typedef struct {
    fw_audit_walk_t *walk;
    size_t key_size;
    char key[];
} head_t;

static void on_head(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    head_t *head = context;
    fw_audit_walk_t *self = head->walk;
    fw_cache_entry_t entry;
    self->pending--;
    if (reply && reply->type == REDIS_REPLY_STRING) {
        fw_bytes_t bytes = {(const uint8_t *)reply->str, (size_t)reply->len};
        if (fw_cache_entry_peek(bytes, &entry) == 0) {
            self->entries++;
            self->seen(self->context, self->target, (fw_text_t){head->key, head->key_size}, &entry);
        }
    }
    free(head);
}

static void ask_head(fw_audit_walk_t *self, const char *key, size_t size)
{
    char last[CURSOR_SIZE];
    (void)snprintf(last, sizeof(last), "%d", FW_CACHE_PEEK_SIZE - 1);
    head_t *head = fw_alloc(1, sizeof(*head) + size + 1);
    head->walk = self;
    head->key_size = size;
    memcpy(head->key, key, size);
    const char *argv[] = {"GETRANGE", head->key, "0", last};
    const size_t sizes[] = {8, size, 1, strlen(last)};
    self->pending++;
    if (fw_redis_pool_call(self->pool, (fw_text_t){head->key, size}, 4, argv, sizes, on_head, head,
                           0) != 0) {
        on_head(head, 0, NULL);
    }
}

static void next_server(fw_audit_walk_t *self)
{
    (void)snprintf(self->cursor, sizeof(self->cursor), "0");
    self->server++;
}

static void on_scan(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    fw_audit_walk_t *self = context;
    self->scanning = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[0]->len >= CURSOR_SIZE ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        next_server(self);
        return;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        if (keys->element[i]->type == REDIS_REPLY_STRING) {
            ask_head(self, keys->element[i]->str, (size_t)keys->element[i]->len);
        }
    }
    (void)snprintf(self->cursor, sizeof(self->cursor), "%s", reply->element[0]->str);
    if (strcmp(self->cursor, "0") == 0) {
        next_server(self);
    }
}

static void scan(fw_audit_walk_t *self)
{
    char count[CURSOR_SIZE];
    (void)snprintf(count, sizeof(count), "%d", FW_AUDIT_WALK_COUNT);
    if (self->generation != fw_redis_pool_generation(self->pool) ||
        self->server >= fw_redis_pool_servers(self->pool)) {
        self->generation = fw_redis_pool_generation(self->pool);
        self->server = 0;
        (void)snprintf(self->cursor, sizeof(self->cursor), "0");
    }
    const char *argv[] = {"SCAN", self->cursor, "MATCH", self->pattern, "COUNT", count};
    const size_t sizes[] = {4, strlen(self->cursor), 5, strlen(self->pattern), 5, strlen(count)};
    self->scanning = true;
    if (fw_redis_pool_call_server(self->pool, self->server, 6, argv, sizes, on_scan, self, 0) !=
        0) {
        on_scan(self, 0, NULL);
    }
}

void fw_audit_walk_tick(fw_audit_walk_t *self, bool wanted, int64_t now_ms)
{
    if (!wanted || self->keys_per_second == 0 || self->scanning || now_ms < self->next_ms ||
        self->pending > FW_AUDIT_WALK_PENDING || !fw_redis_pool_ready(self->pool)) {
        return;
    }
    self->next_ms = now_ms + FW_AUDIT_WALK_COUNT * (int64_t)SECOND_MS / self->keys_per_second;
    scan(self);
}

fw_audit_walk_t *fw_audit_walk_new(fw_redis_pool_t *pool, size_t target, const char *name_space,
                                   uint32_t keys_per_second, fw_audit_walk_fn *seen, void *context)
{
    fw_audit_walk_t *self = fw_alloc(1, sizeof(*self));
    self->pool = pool;
    self->target = target;
    self->keys_per_second = keys_per_second;
    self->seen = seen;
    self->context = context;
    (void)snprintf(self->pattern, sizeof(self->pattern), "%s:c:*", name_space);
    (void)snprintf(self->cursor, sizeof(self->cursor), "0");
    return self;
}

void fw_audit_walk_destroy(fw_audit_walk_t **self_p)
{
    fw_audit_walk_t *self = *self_p;
    if (self) {
        assert(self->pending == 0 && !self->scanning);
        free(self);
        *self_p = NULL;
    }
}

uint64_t fw_audit_walk_seen(fw_audit_walk_t *self)
{
    uint64_t entries = self->entries;
    self->entries = 0;
    return entries;
}
