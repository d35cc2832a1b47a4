/* sentinel.c - asks Sentinels which server is the primary.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"

typedef struct {
    fw_sentinel_t *owner;
    fw_redis_link_t *link;
    bool asked;          /* an answer is on its way */
    int64_t ask_at_ms;   /* the next time */
    int64_t answered_ms; /* 0 = never */
    long long epoch;     /* of the configuration that it knows */
    fw_slot_server_t primary;
} asked_t;

struct fw_sentinel {
    const fw_redis_url_t *url;
    asked_t sentinels[FW_REDIS_SEEDS_MAX];
    fw_log_limit_t log_limit;
};

static void log_refusal(fw_sentinel_t *self, const char *detail)
{
    uint64_t suppressed = 0;
    if (fw_log_limited(&self->log_limit, fw_clock_ms(), &suppressed)) {
        fw_log(FW_LOG_WARN, "a sentinel does not name the primary, asking again",
               FW_KV_TEXT("name", self->url->master), FW_KV_TEXT("detail", detail),
               FW_KV_UINT("suppressed", suppressed));
    }
}

/* The value of a field in a list of names and values; "" when it is not there. */
static const char *field(const redisReply *list, const char *name)
{
    for (size_t i = 0; i + 1 < list->elements; i += 2) {
        const redisReply *key = list->element[i];
        const redisReply *value = list->element[i + 1];
        if (key->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
            strcmp(key->str, name) == 0) {
            return value->str;
        }
    }
    return "";
}

static void on_reply(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    asked_t *sentinel = context;
    sentinel->asked = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        log_refusal(sentinel->owner,
                    reply && reply->type == REDIS_REPLY_ERROR ? reply->str : "no answer");
        return;
    }
    const char *host = field(reply, "ip");
    long port = strtol(field(reply, "port"), NULL, 10);
    fw_redis_address_t address;
    if (!fw_redis_url_server(sentinel->owner->url, host, (int)port, &address)) {
        log_refusal(sentinel->owner, "no address");
        return;
    }
    memcpy(sentinel->primary.host, address.host, sizeof(address.host));
    sentinel->primary.port = address.port;
    sentinel->epoch = strtoll(field(reply, "config-epoch"), NULL, 10);
    sentinel->answered_ms = fw_clock_ms();
}

static void ask(asked_t *sentinel)
{
    const char *name = sentinel->owner->url->master;
    const char *argv[] = {"SENTINEL", "MASTER", name};
    const size_t sizes[] = {8, 6, strlen(name)};
    sentinel->asked =
        fw_redis_link_command(sentinel->link, 3, argv, sizes, on_reply, sentinel, 0) == 0;
    fw_redis_link_flush(sentinel->link);
}

void fw_sentinel_tick(fw_sentinel_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->url->seeds_count; i++) {
        asked_t *sentinel = &self->sentinels[i];
        fw_redis_link_tick(sentinel->link, now_ms);
        if (!sentinel->asked && now_ms >= sentinel->ask_at_ms &&
            fw_redis_link_state(sentinel->link) == FW_REDIS_LINK_CONNECTED) {
            sentinel->ask_at_ms = now_ms + FW_SENTINEL_ASK_MS;
            ask(sentinel);
        }
    }
}

const fw_slot_server_t *fw_sentinel_primary(const fw_sentinel_t *self, int64_t now_ms)
{
    const asked_t *best = NULL;
    for (size_t i = 0; i < self->url->seeds_count; i++) {
        const asked_t *sentinel = &self->sentinels[i];
        if (sentinel->answered_ms > 0 && now_ms - sentinel->answered_ms < FW_SENTINEL_TRUST_MS &&
            (!best || sentinel->epoch > best->epoch)) {
            best = sentinel;
        }
    }
    return best ? &best->primary : NULL;
}

static void on_state(void *context, fw_redis_link_state_t state)
{
    (void)context;
    (void)state; /* The next tick looks at it. */
}

fw_sentinel_t *fw_sentinel_new(zloop_t *loop, const fw_redis_url_t *url,
                               const fw_redis_link_config_t *link)
{
    fw_sentinel_t *self = fw_alloc(1, sizeof(*self));
    self->url = url;
    for (size_t i = 0; i < url->seeds_count; i++) {
        fw_redis_link_config_t config = *link;
        config.address = url->seeds[i];
        config.script = FW_TEXT_NONE;
        config.on_state = on_state;
        config.seed += i;
        self->sentinels[i].owner = self;
        self->sentinels[i].link = fw_redis_link_new(loop, &config);
    }
    return self;
}

void fw_sentinel_destroy(fw_sentinel_t **self_p)
{
    fw_sentinel_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->url->seeds_count; i++) {
        fw_redis_link_destroy(&self->sentinels[i].link);
    }
    free(self);
    *self_p = NULL;
}
