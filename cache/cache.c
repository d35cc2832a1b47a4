/* cache.c - read through Redis, and never serve what was invalidated.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cache/cache.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"

struct fw_cache {
    fw_cache_rules_t rules;
    fw_cache_transport_t transport;
    fw_cache_stats_t stats;
    fw_cache_reply_t *replies;
    size_t replies_capacity;
    char last_failure[FW_CACHE_FAILURE_SIZE];
};

int fw_cache_new(const fw_cache_rules_t *rules, fw_cache_transport_t transport,
                 fw_cache_t **ret_cache)
{
    int result = fw_cache_rules_check(rules);
    if (result < 0) {
        transport.destroy(transport.context);
        return result;
    }
    fw_cache_t *self = fw_alloc(1, sizeof(*self));
    self->rules = *rules;
    self->transport = transport;
    *ret_cache = self;
    return 0;
}

void fw_cache_destroy(fw_cache_t **self_p)
{
    fw_cache_t *self = *self_p;
    if (self) {
        self->transport.destroy(self->transport.context);
        free(self->replies);
        free(self);
        *self_p = NULL;
    }
}

static void note_failure(fw_cache_t *self, const char *reason)
{
    self->stats.failures++;
    (void)snprintf(self->last_failure, sizeof(self->last_failure), "%s",
                   reason ? reason : "no answer");
}

/* One round trip. The replies, or NULL when there are none. */
static const fw_cache_reply_t *exchange(fw_cache_t *self, const fw_cache_command_t *commands,
                                        size_t count)
{
    if (count > self->replies_capacity) {
        free(self->replies);
        self->replies = fw_alloc(count, sizeof(self->replies[0]));
        self->replies_capacity = count;
    }
    const char *reason = NULL;
    int result =
        self->transport.exchange(self->transport.context, commands, count, self->replies, &reason);
    if (result < 0) {
        note_failure(self, reason);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const char *error = self->replies[i].error;
        if (error && strncmp(error, "NOSCRIPT", strlen("NOSCRIPT")) != 0) {
            note_failure(self, error);
            break;
        }
    }
    return self->replies;
}

/* Goes on until there is something for the caller to do. */
static void drive(fw_cache_t *self, fw_cache_read_t *read)
{
    fw_cache_step_t step = fw_cache_read_step(read);
    while (step == FW_CACHE_STEP_SEND || step == FW_CACHE_STEP_PAUSE) {
        if (step == FW_CACHE_STEP_SEND) {
            size_t count = 0;
            const fw_cache_command_t *commands = fw_cache_read_commands(read, &count);
            fw_cache_read_replies(read, exchange(self, commands, count), fw_clock_ms());
        } else {
            (void)poll(NULL, 0, (int)fw_cache_read_pause_ms(read));
            fw_cache_read_paused(read);
        }
        step = fw_cache_read_step(read);
    }
}

int fw_cache_get(fw_cache_t *self, const fw_cache_request_t *request, fw_cache_read_t **ret_read)
{
    uint8_t nonce[FW_CACHE_NONCE_SIZE];
    fw_random_bytes(nonce, sizeof(nonce));
    fw_cache_read_t *read = NULL;
    int result = fw_cache_read_new(&self->rules, request, nonce, fw_clock_ms(), &read);
    if (result < 0) {
        return result;
    }
    drive(self, read);
    switch (fw_cache_read_outcome(read)->status) {
    case FW_CACHE_HIT:
        self->stats.hits++;
        break;
    case FW_CACHE_MISS:
        self->stats.misses++;
        break;
    case FW_CACHE_BYPASS:
        self->stats.bypassed++;
        break;
    case FW_CACHE_STALE_REJECTED:
        self->stats.stale_rejected++;
        break;
    }
    *ret_read = read;
    return 0;
}

bool fw_cache_fill(fw_cache_t *self, fw_cache_read_t *read, fw_bytes_t payload)
{
    if (fw_cache_read_step(read) != FW_CACHE_STEP_LOAD) {
        return false; /* A hit, or filled before. */
    }
    fw_cache_read_loaded(read, payload);
    drive(self, read);
    bool stored = fw_cache_read_outcome(read)->stored;
    self->stats.stored += stored;
    self->stats.not_stored += !stored;
    return stored;
}

void fw_cache_end(fw_cache_t *self, fw_cache_read_t **read_p)
{
    fw_cache_read_t *read = *read_p;
    if (read && fw_cache_read_step(read) == FW_CACHE_STEP_LOAD) {
        fw_cache_read_failed(read);
        drive(self, read);
        self->stats.not_stored++;
    }
    fw_cache_read_destroy(read_p);
}

int fw_cache_invalidate(fw_cache_t *self, const fw_cache_purge_request_t *request,
                        fw_cache_purged_t *ret_purged)
{
    fw_cache_purge_t *purge = NULL;
    int result = fw_cache_purge_new(&self->rules, request, &purge);
    if (result < 0) {
        return result;
    }
    while (fw_cache_purge_step(purge) == FW_CACHE_STEP_SEND) {
        size_t count = 0;
        const fw_cache_command_t *commands = fw_cache_purge_commands(purge, &count);
        fw_cache_purge_replies(purge, exchange(self, commands, count));
    }
    *ret_purged = *fw_cache_purge_outcome(purge);
    if (!ret_purged->done && strcmp(ret_purged->failure, "no answer") == 0) {
        (void)snprintf(ret_purged->failure, sizeof(ret_purged->failure), "%s", self->last_failure);
    }
    fw_cache_purge_destroy(&purge);
    return ret_purged->done ? 0 : -EIO;
}

fw_cache_stats_t fw_cache_stats(const fw_cache_t *self)
{
    return self->stats;
}

const char *fw_cache_last_failure(const fw_cache_t *self)
{
    return self->last_failure;
}
