/* purge_plan.c - many jobs as few pipelined commands.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "cache/slot_map.h"
#include "runtime/alloc.h"

enum {
    SLOTS = 2 * FW_PURGE_ITEMS_MAX, /* a power of two; at most half of them are ever used */
    ERROR_TEXT_SIZE = 160,
};

_Static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are found with a mask");

typedef enum { ITEM_WAITING, ITEM_PURGED, ITEM_FAILED } item_state_t;

/* One key or one tag, whoever asked for it. */
typedef struct {
    fw_text_t name;
    uint64_t stamp; /* tags: the new one, 0 = unknown */
    uint32_t slot;  /* where it stands in the table */
    uint32_t job;   /* index of the first job that named it */
    fw_redis_error_t error;
    item_state_t state;
    uint16_t hash_slot; /* of the cluster; 0 when that does not matter */
    uint8_t attempts;
    bool is_tag;
    bool alone;  /* in a command of its own: in company it was refused */
    bool script; /* the script must be sent along */
    bool drop;   /* remove the stamp: there is no memory for a new one */
    bool asking; /* the server is about to get the slot */
} item_t;

typedef struct {
    fw_purge_job_t *job; /* NULL when taken */
    uint32_t first;      /* of its items, in job_items */
    uint32_t count;
} job_t;

/* What stands behind a command: items order[first] to order[first + its names]. */
typedef struct {
    fw_purge_command_t command;
    uint32_t first;
    bool replied;
} command_t;

struct fw_purge_plan {
    uint64_t seed;
    bool by_slot;
    job_t *jobs;
    size_t jobs_count, jobs_capacity;
    size_t taken; /* jobs before this one have been taken */
    size_t open;  /* jobs not taken yet */
    item_t *items;
    size_t items_count, items_capacity;
    uint32_t *job_items; /* for each job the indexes of its items */
    size_t job_items_count, job_items_capacity;
    command_t *commands; /* of this round */
    size_t commands_count, commands_capacity;
    size_t replies;   /* still awaited */
    uint32_t *order;  /* items in the order of the commands */
    fw_text_t *names; /* their names, for the commands to point to */
    size_t order_capacity;
    uint64_t time_us; /* of this round, 0 = none */
    fw_redis_error_t time_error;
    char error_texts[FW_REDIS_ERRORS_COUNT][ERROR_TEXT_SIZE]; /* the last of each kind */
    uint32_t slots[SLOTS];                                    /* index of an item + 1; 0 = free */
};

fw_purge_plan_t *fw_purge_plan_new(uint64_t seed, bool by_slot)
{
    fw_purge_plan_t *self = fw_alloc(1, sizeof(*self));
    self->seed = seed;
    self->by_slot = by_slot;
    return self;
}

void fw_purge_plan_destroy(fw_purge_plan_t **self_p)
{
    fw_purge_plan_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->jobs_count; i++) {
        fw_purge_job_destroy(&self->jobs[i].job);
    }
    free(self->jobs);
    free(self->items);
    free(self->job_items);
    free(self->commands);
    free(self->order);
    free(self->names);
    free(self);
    *self_p = NULL;
}

/* Makes room for needed elements of the given size; grows by doubling. */
static void *grow(void *old, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) {
        return old;
    }
    size_t larger = *capacity ? 2 * *capacity : 64;
    *capacity = larger < needed ? needed : larger;
    return fw_realloc(old, *capacity, size);
}

/* ---- adding jobs */

/* The item of a name, made when no job named it before. */
static uint32_t item_of(fw_purge_plan_t *self, fw_text_t name, bool is_tag,
                        const fw_purge_job_t *job)
{
    uint64_t hash = XXH3_64bits_withSeed(name.text, name.size, self->seed + is_tag);
    uint32_t slot = (uint32_t)(hash & (SLOTS - 1));
    while (self->slots[slot]) {
        uint32_t index = self->slots[slot] - 1;
        if (self->items[index].is_tag == is_tag && fw_text_equal(self->items[index].name, name)) {
            self->items[index].asking |= job->asking;
            self->items[index].alone |= job->alone;
            return index;
        }
        slot = (slot + 1) & (SLOTS - 1);
    }
    self->items = grow(self->items, &self->items_capacity, self->items_count + 1, sizeof(item_t));
    uint32_t index = (uint32_t)self->items_count++;
    self->items[index] = (item_t){.name = name,
                                  .slot = slot,
                                  .job = (uint32_t)self->jobs_count,
                                  .hash_slot = self->by_slot ? fw_slot_of(name) : 0,
                                  .is_tag = is_tag,
                                  .alone = job->alone,
                                  .asking = job->asking};
    self->slots[slot] = index + 1;
    return index;
}

/* Forgets everything, so that the plan can be filled again. */
static void clear(fw_purge_plan_t *self)
{
    for (size_t i = 0; i < self->items_count; i++) {
        self->slots[self->items[i].slot] = 0;
    }
    self->items_count = 0;
    self->job_items_count = 0;
    self->jobs_count = 0;
    self->taken = 0;
    self->commands_count = 0;
}

int fw_purge_plan_add(fw_purge_plan_t *self, fw_purge_job_t **job_p)
{
    fw_purge_job_t *job = *job_p;
    size_t count = fw_purge_job_items(job);
    if (self->open == 0) {
        clear(self);
    }
    assert(self->commands_count == 0);
    if (self->items_count + count > FW_PURGE_ITEMS_MAX) {
        return -ENOSPC;
    }
    self->jobs = grow(self->jobs, &self->jobs_capacity, self->jobs_count + 1, sizeof(job_t));
    self->job_items = grow(self->job_items, &self->job_items_capacity,
                           self->job_items_count + count, sizeof(uint32_t));
    uint32_t first = (uint32_t)self->job_items_count;
    for (size_t i = 0; i < job->keys_count; i++) {
        self->job_items[self->job_items_count++] = item_of(self, job->keys[i], false, job);
    }
    for (size_t i = 0; i < job->tags_count; i++) {
        self->job_items[self->job_items_count++] = item_of(self, job->stamp_keys[i], true, job);
    }
    self->jobs[self->jobs_count++] = (job_t){job, first, (uint32_t)count};
    self->open++;
    *job_p = NULL;
    return 0;
}

size_t fw_purge_plan_jobs(const fw_purge_plan_t *self)
{
    return self->open;
}

/* ---- rounds */

static fw_purge_command_kind_t kind_of(const item_t *item)
{
    if (!item->is_tag) {
        return FW_PURGE_UNLINK;
    }
    if (item->drop) {
        return FW_PURGE_DROP;
    }
    return item->script ? FW_PURGE_BUMP_EVAL : FW_PURGE_BUMP;
}

static void add_command(fw_purge_plan_t *self, fw_purge_command_kind_t kind, size_t first,
                        size_t count)
{
    self->commands =
        grow(self->commands, &self->commands_capacity, self->commands_count + 1, sizeof(command_t));
    self->commands[self->commands_count++] = (command_t){
        .command = {.kind = kind,
                    .names = self->names + first,
                    .names_count = count,
                    .asking = count > 0 && self->items[self->order[first]].asking},
        .first = (uint32_t)first,
    };
}

/* Orders items so that those which may share a command are neighbours. */
static int compare_items(const void *left, const void *right, void *context)
{
    const fw_purge_plan_t *self = context;
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    const item_t *first = &self->items[a];
    const item_t *second = &self->items[b];
    if (first->asking != second->asking) {
        return first->asking - second->asking;
    }
    if (first->alone != second->alone) {
        return first->alone - second->alone;
    }
    if (first->hash_slot != second->hash_slot) {
        return first->hash_slot - second->hash_slot;
    }
    return a < b ? -1 : a > b; /* The order of their requests, as a stable sort would keep it. */
}

/* Must a command end between these two neighbours? */
static bool parts(const item_t *left, const item_t *right)
{
    return left->alone || right->alone || left->asking != right->asking ||
           left->hash_slot != right->hash_slot;
}

/* Appends the commands of one kind for all waiting items, from place at in the order. Returns the
 * next place. */
static size_t add_commands(fw_purge_plan_t *self, fw_purge_command_kind_t kind, size_t at)
{
    size_t limit = kind == FW_PURGE_UNLINK ? FW_PURGE_KEYS_PER_COMMAND : FW_PURGE_TAGS_PER_COMMAND;
    size_t end = at;
    bool in_order = true;
    for (size_t i = 0; i < self->items_count; i++) {
        if (self->items[i].state == ITEM_WAITING && kind_of(&self->items[i]) == kind) {
            in_order &= !self->by_slot && !self->items[i].alone;
            self->order[end++] = (uint32_t)i;
        }
    }
    if (!in_order) {
        qsort_r(self->order + at, end - at, sizeof(uint32_t), compare_items, self);
    }
    size_t first = at; /* of the command that is being filled */
    for (size_t i = at; i < end; i++) {
        const item_t *item = &self->items[self->order[i]];
        self->names[i] = item->name;
        bool last = i + 1 == end || i + 1 - first == limit;
        if (last || parts(item, &self->items[self->order[i + 1]])) {
            add_command(self, kind, first, i + 1 - first);
            first = i + 1;
        }
    }
    return end;
}

bool fw_purge_plan_begin(fw_purge_plan_t *self)
{
    assert(self->replies == 0);
    self->commands_count = 0;
    bool open = false;
    for (size_t i = self->taken; i < self->jobs_count; i++) {
        open |= self->jobs[i].job && self->jobs[i].job->status == FW_PURGE_OPEN;
    }
    if (!open) {
        return false;
    }
    size_t capacity = self->order_capacity;
    self->order = grow(self->order, &capacity, self->items_count, sizeof(uint32_t));
    self->names = grow(self->names, &self->order_capacity, self->items_count, sizeof(fw_text_t));
    size_t at = add_commands(self, FW_PURGE_UNLINK, 0);
    at = add_commands(self, FW_PURGE_DROP, at);
    at = add_commands(self, FW_PURGE_BUMP, at);
    at = add_commands(self, FW_PURGE_BUMP_EVAL, at);
    /* Last: its time is after everything that this round purged. */
    add_command(self, FW_PURGE_TIME, at, 0);
    self->replies = self->commands_count;
    self->time_us = 0;
    self->time_error = FW_REDIS_LOST;
    return true;
}

size_t fw_purge_plan_commands(const fw_purge_plan_t *self)
{
    return self->commands_count;
}

const fw_purge_command_t *fw_purge_plan_command(const fw_purge_plan_t *self, size_t index)
{
    assert(index < self->commands_count);
    return &self->commands[index].command;
}

/* ---- replies */

static void purged(fw_purge_plan_t *self, const command_t *command, const fw_purge_reply_t *reply)
{
    fw_purge_command_kind_t kind = command->command.kind;
    if (kind == FW_PURGE_UNLINK) {
        /* Which of the keys existed is not known, so the first job is credited. */
        const item_t *first = &self->items[self->order[command->first]];
        self->jobs[first->job].job->keys_removed += (uint32_t)reply->number;
    }
    bool bumped = kind == FW_PURGE_BUMP || kind == FW_PURGE_BUMP_EVAL;
    for (size_t i = 0; i < command->command.names_count; i++) {
        item_t *item = &self->items[self->order[command->first + i]];
        item->state = ITEM_PURGED;
        item->stamp = bumped ? reply->stamps[i] : 0;
    }
}

/* Decides for one item of a failed command whether another round can help. */
static void refused(item_t *item, fw_redis_error_t error, bool in_company)
{
    item->attempts++;
    item->error = error;
    bool again = item->attempts < FW_PURGE_ATTEMPTS_MAX;
    if (again && error == FW_REDIS_NOSCRIPT && !item->script) {
        item->script = true;
    } else if (again && error == FW_REDIS_OOM && item->is_tag && !item->drop) {
        item->drop = true;
    } else if (again && !fw_redis_error_retryable(error) && in_company) {
        item->alone = true;
    } else {
        item->state = ITEM_FAILED;
    }
}

static void failed(fw_purge_plan_t *self, const command_t *command, fw_redis_error_t error,
                   const char *text)
{
    (void)snprintf(self->error_texts[error], ERROR_TEXT_SIZE, "%s", text ? text : "");
    if (command->command.kind == FW_PURGE_TIME) {
        self->time_error = error;
    }
    size_t count = command->command.names_count;
    for (size_t i = 0; i < count; i++) {
        refused(&self->items[self->order[command->first + i]], error, count > 1);
    }
}

/* Does the answer have the shape that the command asks for? */
static bool fits(const command_t *command, const fw_purge_reply_t *reply)
{
    switch (command->command.kind) {
    case FW_PURGE_UNLINK:
    case FW_PURGE_DROP:
        return reply->number <= command->command.names_count;
    case FW_PURGE_BUMP:
    case FW_PURGE_BUMP_EVAL:
        return reply->stamps_count == command->command.names_count;
    case FW_PURGE_TIME:
        break;
    }
    return reply->number > 0;
}

/* Decides a job that has no waiting items. */
static void decide(fw_purge_plan_t *self, job_t *entry)
{
    fw_purge_job_t *job = entry->job;
    const item_t *worst = NULL; /* a failure that may pass outweighs one that cannot */
    for (size_t i = 0; i < entry->count; i++) {
        const item_t *item = &self->items[self->job_items[entry->first + i]];
        if (item->state == ITEM_WAITING) {
            return;
        }
        if (item->state == ITEM_FAILED && (!worst || fw_redis_error_retryable(item->error))) {
            worst = item;
        }
    }
    if (worst || self->time_us == 0) {
        fw_redis_error_t error = worst ? worst->error : self->time_error;
        char what[32];
        (void)snprintf(what, sizeof(what), "redis %s", fw_redis_error_name(error));
        fw_purge_job_fail(job, fw_redis_error_retryable(error) ? FW_PURGE_FAILED : FW_PURGE_REFUSED,
                          what, self->error_texts[error]);
        job->error = error;
        return;
    }
    for (size_t i = 0; job->tag_at > 0 && i < job->tags_count; i++) {
        const item_t *item = &self->items[self->job_items[entry->first + job->keys_count + i]];
        if (item->stamp > 0) {
            /* Not the item's name: that belongs to the first job that gave it, and may be gone. */
            fw_text_t name = job->stamp_keys[i];
            fw_text_t tag = {name.text + job->tag_at, name.size - job->tag_at};
            job->stamps[job->stamps_count++] = (fw_stamp_t){tag, item->stamp};
        }
    }
    job->redis_time = self->time_us;
    job->status = FW_PURGE_DONE;
}

bool fw_purge_plan_reply(fw_purge_plan_t *self, size_t index, const fw_purge_reply_t *reply)
{
    assert(index < self->commands_count);
    command_t *command = &self->commands[index];
    assert(!command->replied);
    command->replied = true;
    if (reply->failed) {
        failed(self, command, reply->error, reply->text);
    } else if (!fits(command, reply)) {
        failed(self, command, FW_REDIS_PROTOCOL, "an answer of another shape");
    } else if (command->command.kind == FW_PURGE_TIME) {
        self->time_us = reply->number;
    } else {
        purged(self, command, reply);
    }
    if (--self->replies > 0) {
        return false;
    }
    for (size_t i = self->taken; i < self->jobs_count; i++) {
        if (self->jobs[i].job && self->jobs[i].job->status == FW_PURGE_OPEN) {
            decide(self, &self->jobs[i]);
        }
    }
    return true;
}

fw_purge_job_t *fw_purge_plan_take(fw_purge_plan_t *self)
{
    while (self->taken < self->jobs_count && !self->jobs[self->taken].job) {
        self->taken++;
    }
    for (size_t i = self->taken; i < self->jobs_count; i++) {
        fw_purge_job_t *job = self->jobs[i].job;
        if (job && job->status != FW_PURGE_OPEN) {
            self->jobs[i].job = NULL;
            self->open--;
            return job;
        }
    }
    return NULL;
}
