/* grants.c - see grants.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/grants.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/event.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

typedef struct waiter {
    struct waiter *prev, *next;
    void *who;
} waiter_t;

typedef struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* in one of the three lists, or none */
    fw_wheel_node_t timer;
    uint64_t number; /* of the question under way; 0 = none is */
    waiter_t *waiters;
    fw_grant_t grant; /* LATER: never answered yet */
    uint32_t user_size;
    uint32_t key_size;
    bool queued; /* not put yet: in questions */
    char key[];  /* action, user, 0, channel */
} entry_t;

struct fw_grants {
    fw_grants_limits_t limits;
    fw_grants_output_t output;
    fw_grants_counts_t counts;
    entry_t *entries;
    entry_t *questions; /* to be put, in their order */
    entry_t *asked;     /* put */
    entry_t *refusals;  /* answered by anything but YES, the oldest first */
    fw_wheel_t *wheel;
    uint64_t number;
    int64_t now_ms;
};

fw_grants_t *fw_grants_new(const fw_grants_limits_t *limits, const fw_grants_output_t *output,
                           int64_t now_ms)
{
    fw_grants_t *self = fw_alloc(1, sizeof *self);
    self->limits = *limits;
    self->output = *output;
    self->wheel = fw_wheel_new(now_ms);
    return self;
}

static void drop_waiters(entry_t *entry)
{
    waiter_t *waiter, *next;
    DL_FOREACH_SAFE(entry->waiters, waiter, next)
    {
        DL_DELETE(entry->waiters, waiter);
        free(waiter);
    }
}

static bool is_refusal(const entry_t *entry)
{
    return entry->number == 0 && entry->grant != FW_GRANT_YES && entry->grant != FW_GRANT_LATER;
}

/* Of the list that its state puts it into. */
static void unlist(fw_grants_t *self, entry_t *entry)
{
    if (entry->queued)
        DL_DELETE(self->questions, entry);
    else if (entry->number != 0)
        DL_DELETE(self->asked, entry);
    else if (is_refusal(entry))
        DL_DELETE(self->refusals, entry);
    entry->queued = false;
}

static void drop(fw_grants_t *self, entry_t *entry)
{
    unlist(self, entry);
    if (entry->number != 0)
        self->counts.asking--;
    HASH_DELETE(hh, self->entries, entry);
    fw_wheel_stop(&entry->timer);
    drop_waiters(entry);
    free(entry);
    self->counts.entries--;
}

void fw_grants_destroy(fw_grants_t **self_p)
{
    fw_grants_t *self = *self_p;
    if (!self)
        return;
    entry_t *entry, *next;
    HASH_ITER(hh, self->entries, entry, next)
    {
        drop(self, entry);
    }
    fw_wheel_destroy(&self->wheel);
    free(self);
    *self_p = NULL;
}

const fw_grants_counts_t *fw_grants_counts(const fw_grants_t *self)
{
    return &self->counts;
}

static size_t make_key(char key[], fw_text_t user, fw_text_t channel, fw_action_t action)
{
    key[0] = (char)action;
    memcpy(key + 1, user.text, user.size);
    key[1 + user.size] = '\0';
    memcpy(key + 2 + user.size, channel.text, channel.size);
    key[2 + user.size + channel.size] = '\0';
    return 2 + user.size + channel.size;
}

static fw_grant_question_t question_of(const entry_t *entry)
{
    size_t begin = 2 + (size_t)entry->user_size;
    return (fw_grant_question_t){
        .number = entry->number,
        .user = {entry->key + 1, entry->user_size},
        .channel = {entry->key + begin, entry->key_size - begin},
        .action = (fw_action_t)entry->key[0],
    };
}

static bool put(fw_grants_t *self, entry_t *entry)
{
    if (self->counts.asking >= self->limits.asking_max)
        return false;
    unlist(self, entry);
    fw_wheel_stop(&entry->timer);
    entry->number = ++self->number;
    entry->queued = true;
    DL_APPEND(self->questions, entry);
    self->counts.asking++;
    return true;
}

static entry_t *add(fw_grants_t *self, const char *key, size_t key_size, size_t user_size)
{
    if (self->counts.asking >= self->limits.asking_max)
        return NULL;
    if (self->counts.entries >= self->limits.entries_max && self->refusals)
        drop(self, self->refusals);
    if (self->counts.entries >= self->limits.entries_max)
        return NULL;
    entry_t *entry = fw_alloc(1, sizeof *entry + key_size + 1);
    memcpy(entry->key, key, key_size);
    entry->key_size = (uint32_t)key_size;
    entry->user_size = (uint32_t)user_size;
    entry->grant = FW_GRANT_LATER;
    HASH_ADD_KEYPTR(hh, self->entries, entry->key, entry->key_size, entry);
    self->counts.entries++;
    bool asked = put(self, entry);
    assert(asked);
    (void)asked;
    return entry;
}

static void wait_for(entry_t *entry, void *who)
{
    waiter_t *waiter;
    DL_FOREACH(entry->waiters, waiter)
    {
        if (waiter->who == who)
            return;
    }
    waiter = fw_alloc(1, sizeof *waiter);
    waiter->who = who;
    DL_APPEND(entry->waiters, waiter);
}

fw_grant_t fw_grants_look(fw_grants_t *self, fw_text_t user, fw_text_t channel, fw_action_t action,
                          void *waiter, int64_t now_ms)
{
    char key[FW_USER_ID_SIZE_MAX + FW_CHANNEL_SIZE_MAX + 4];
    entry_t *entry;
    (void)now_ms;
    if (user.size > FW_USER_ID_SIZE_MAX || channel.size > FW_CHANNEL_SIZE_MAX)
        return FW_GRANT_NO;
    size_t size = make_key(key, user, channel, action);
    HASH_FIND(hh, self->entries, key, size, entry);
    if (entry && entry->grant != FW_GRANT_LATER) {
        self->counts.hits++;
        return entry->grant;
    }
    if (!entry)
        entry = add(self, key, size, user.size);
    if (!entry) {
        self->counts.full++;
        return FW_GRANT_UNKNOWN;
    }
    self->counts.misses++;
    wait_for(entry, waiter);
    return FW_GRANT_LATER;
}

static void forget_in(entry_t *list, const void *who)
{
    entry_t *entry;
    DL_FOREACH(list, entry)
    {
        waiter_t *waiter, *next;
        DL_FOREACH_SAFE(entry->waiters, waiter, next)
        {
            if (waiter->who != who)
                continue;
            DL_DELETE(entry->waiters, waiter);
            free(waiter);
        }
    }
}

void fw_grants_forget(fw_grants_t *self, const void *who)
{
    forget_in(self->questions, who);
    forget_in(self->asked, who);
}

bool fw_grants_next(fw_grants_t *self, fw_grant_question_t *ret_question)
{
    entry_t *entry = self->questions;
    if (!entry)
        return false;
    DL_DELETE(self->questions, entry);
    entry->queued = false;
    DL_APPEND(self->asked, entry);
    *ret_question = question_of(entry);
    return true;
}

static entry_t *find_number(const fw_grants_t *self, uint64_t number)
{
    entry_t *entry;
    DL_FOREACH(self->asked, entry)
    {
        if (entry->number == number)
            return entry;
    }
    return NULL;
}

/* Those who wait may ask anew at once, also about this. */
static void wake(fw_grants_t *self, entry_t *entry)
{
    waiter_t *waiters = entry->waiters;
    waiter_t *waiter, *next;
    entry->waiters = NULL;
    DL_FOREACH_SAFE(waiters, waiter, next)
    {
        void *who = waiter->who;
        DL_DELETE(waiters, waiter);
        free(waiter);
        self->output.answered(self->output.context, who);
    }
}

void fw_grants_answer(fw_grants_t *self, uint64_t number, fw_grant_t grant, int64_t ttl_ms,
                      int64_t now_ms)
{
    entry_t *entry = find_number(self, number);
    if (!entry)
        return;
    bool was = entry->grant == FW_GRANT_YES;
    unlist(self, entry);
    entry->number = 0;
    self->counts.asking--;
    if (ttl_ms < 1)
        ttl_ms = 1;
    if (ttl_ms > FW_GRANT_TTL_MS_MAX)
        ttl_ms = FW_GRANT_TTL_MS_MAX;
    if (grant == FW_GRANT_UNKNOWN)
        ttl_ms = was ? FW_GRANT_AGAIN_MS : FW_GRANT_ERROR_MS;
    /* What somebody has is not taken away because the backend is not there. */
    if (!was || grant != FW_GRANT_UNKNOWN)
        entry->grant = grant;
    if (is_refusal(entry))
        DL_APPEND(self->refusals, entry);
    fw_wheel_set(self->wheel, &entry->timer, now_ms + ttl_ms);
    fw_grant_question_t question = question_of(entry);
    if (was && grant == FW_GRANT_NO)
        self->output.withdrawn(self->output.context, &question);
    wake(self, entry);
}

static void fired(void *context, fw_wheel_node_t *node)
{
    fw_grants_t *self = context;
    entry_t *entry = (entry_t *)((char *)node - offsetof(entry_t, timer));
    fw_grant_question_t question = question_of(entry);
    if (entry->grant != FW_GRANT_YES || !self->output.used(self->output.context, &question)) {
        drop(self, entry);
        return;
    }
    if (!put(self, entry))
        fw_wheel_set(self->wheel, &entry->timer, self->now_ms + FW_GRANT_AGAIN_MS);
}

void fw_grants_tick(fw_grants_t *self, int64_t now_ms)
{
    self->now_ms = now_ms;
    fw_wheel_turn(self->wheel, now_ms, fired, self);
}
