/* audit_check.c - see audit_check.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/rules.h"
#include "runtime/alloc.h"

enum { NUMBER_SIZE = 24, NONCE_TEXT_SIZE = 2 * FW_CACHE_NONCE_SIZE + 1 };

typedef enum { STEP_STAMP, STEP_HEAD, STEP_STAMPS, STEP_VALUE } step_t;

/* One name at one target. */
typedef struct {
    fw_audit_check_t *check;
    size_t target;
    char *key; /* in Redis */
    size_t key_size;
    step_t step;
    unsigned attempts;
    fw_audit_verdict_t verdict;
    bool lost;          /* some answer of this step did not come */
    uint64_t was_stamp; /* of a tag */
    uint64_t stamp;     /* found */
    size_t awaited;     /* answers of this step */
    uint8_t *head;      /* what entry borrows from */
    fw_cache_entry_t *entry;
    uint64_t *current; /* of the entry's stamps */
    char nonce[NONCE_TEXT_SIZE];
} probe_t;

struct fw_audit_check {
    fw_audit_place_t place;
    fw_audit_check_fn *done;
    void *context;
    uint64_t bound_us;
    probe_t *probes;
    size_t probes_count;
    size_t running; /* probes, and one while they are begun */
};

static void look_at_head(probe_t *probe);

/* ---- probes */

static fw_redis_pool_t *pool_of(const probe_t *probe)
{
    return probe->check->place.pools[probe->target];
}

static void release(fw_audit_check_t *self)
{
    assert(self->running > 0);
    if (--self->running == 0) {
        self->done(self->context, self);
    }
}

static void end(probe_t *probe, fw_audit_verdict_t verdict)
{
    probe->verdict = verdict;
    release(probe->check);
}

/* Sends one command of the step. One that cannot be sent counts as lost. */
static void ask(probe_t *probe, fw_text_t key, int argc, const fw_text_t *arguments,
                fw_redis_reply_fn *reply_fn, size_t index)
{
    const char *argv[4];
    size_t sizes[4];
    for (int i = 0; i < argc; i++) {
        argv[i] = arguments[i].text;
        sizes[i] = arguments[i].size;
    }
    probe->awaited++;
    if (fw_redis_pool_call(pool_of(probe), key, argc, argv, sizes, reply_fn, probe, index) != 0) {
        reply_fn(probe, index, NULL);
    }
}

static fw_text_t key_of(const probe_t *probe)
{
    return (fw_text_t){probe->key, probe->key_size};
}

/* What a string is; anything else is empty. *ret_answered: it was an answer, not an error. */
static fw_bytes_t bytes_of(const redisReply *reply, bool *ret_answered)
{
    *ret_answered = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL);
    if (!*ret_answered || reply->type == REDIS_REPLY_NIL) {
        return (fw_bytes_t){NULL, 0};
    }
    return (fw_bytes_t){(const uint8_t *)reply->str, (size_t)reply->len};
}

/* A key of another type is nothing that a reader could be served. */
static bool is_other_type(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0;
}

/* ---- a tag */

static void on_stamp(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    probe_t *probe = context;
    bool answered;
    fw_bytes_t text = bytes_of(reply, &answered);
    if (!answered) {
        end(probe, is_other_type(reply) ? FW_AUDIT_CLEAN : FW_AUDIT_UNJUDGED);
        return;
    }
    probe->stamp = fw_cache_stamp_parse(text);
    end(probe, fw_audit_judge_stamp(probe->was_stamp, text));
}

static void look_at_stamp(probe_t *probe)
{
    const fw_text_t get[] = {FW_TEXT("GET"), key_of(probe)};
    ask(probe, key_of(probe), 2, get, on_stamp, 0);
}

/* ---- an entry: its head, its stamps, its value */

/* It is another one by now: once more, a few times. */
static void again(probe_t *probe)
{
    if (++probe->attempts == FW_AUDIT_ATTEMPTS_MAX) {
        end(probe, FW_AUDIT_UNJUDGED);
    } else {
        look_at_head(probe);
    }
}

static void on_value(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    probe_t *probe = context;
    bool answered;
    fw_bytes_t value = bytes_of(reply, &answered);
    if (!answered) {
        end(probe, is_other_type(reply) ? FW_AUDIT_CLEAN : FW_AUDIT_UNJUDGED);
        return;
    }
    fw_audit_verdict_t verdict = fw_audit_judge_value(probe->entry, value);
    if (verdict == FW_AUDIT_UNJUDGED) {
        again(probe);
        return;
    }
    for (size_t i = 0; i < FW_CACHE_NONCE_SIZE; i++) {
        (void)snprintf(probe->nonce + 2 * i, 3, "%02x", probe->entry->nonce[i]);
    }
    end(probe, verdict);
}

static void on_entry_stamp(void *context, size_t index, const redisReply *reply)
{
    probe_t *probe = context;
    bool answered;
    fw_bytes_t text = bytes_of(reply, &answered);
    probe->current[index] = fw_cache_stamp_parse(text);
    probe->lost |= !answered && !is_other_type(reply);
    if (--probe->awaited > 0) {
        return;
    }
    if (probe->lost) {
        end(probe, FW_AUDIT_UNJUDGED);
    } else if (!fw_audit_stamps_fit(probe->entry, probe->current)) {
        end(probe, FW_AUDIT_CLEAN);
    } else {
        const fw_text_t get[] = {FW_TEXT("GET"), key_of(probe)};
        probe->step = STEP_VALUE;
        ask(probe, key_of(probe), 2, get, on_value, 0);
    }
}

static void look_at_stamps(probe_t *probe)
{
    const fw_audit_place_t *place = &probe->check->place;
    fw_text_t name_space = fw_text(place->name_space);
    size_t count = probe->entry->stamps_count;
    probe->step = STEP_STAMPS;
    probe->lost = false;
    probe->awaited = 1; /* Nothing is over before all have been asked for. */
    for (size_t i = 0; i < count; i++) {
        char name[FW_PURGE_NAME_SPACE_SIZE_MAX + FW_CACHE_NAME_OVERHEAD + FW_CACHE_TAG_SIZE_MAX];
        fw_bytes_t tag = probe->entry->stamps[i].tag;
        fw_text_t key;
        fw_cache_stamp_key_write(name_space, (fw_text_t){(const char *)tag.data, tag.size}, name,
                                 &key);
        const fw_text_t get[] = {FW_TEXT("GET"), key};
        if (i + 1 == count) {
            probe->awaited--;
        }
        ask(probe, key, 2, get, on_entry_stamp, i);
    }
}

static void on_head(void *context, size_t index, const redisReply *reply)
{
    (void)index;
    probe_t *probe = context;
    bool answered;
    fw_bytes_t head = bytes_of(reply, &answered);
    if (!answered) {
        end(probe, is_other_type(reply) ? FW_AUDIT_CLEAN : FW_AUDIT_UNJUDGED);
        return;
    }
    free(probe->head);
    probe->head = fw_alloc(head.size + 1, 1);
    if (head.size > 0) {
        memcpy(probe->head, head.data, head.size);
    }
    if (!fw_audit_suspects((fw_bytes_t){probe->head, head.size}, probe->check->bound_us,
                           probe->entry)) {
        end(probe, FW_AUDIT_CLEAN);
        return;
    }
    look_at_stamps(probe);
}

static void look_at_head(probe_t *probe)
{
    char last[NUMBER_SIZE];
    (void)snprintf(last, sizeof(last), "%d", FW_CACHE_PEEK_SIZE - 1);
    const fw_text_t range[] = {FW_TEXT("GETRANGE"), key_of(probe), FW_TEXT("0"), fw_text(last)};
    probe->step = STEP_HEAD;
    ask(probe, key_of(probe), 4, range, on_head, 0);
}

/* ---- life */

static probe_t *add_probe(fw_audit_check_t *self, size_t target, step_t step, size_t key_size)
{
    probe_t *probe = &self->probes[self->probes_count++];
    *probe = (probe_t){.check = self, .target = target, .step = step, .key_size = key_size};
    probe->key = fw_alloc(key_size + 1, 1);
    if (step == STEP_HEAD) {
        probe->entry = fw_alloc(1, sizeof(*probe->entry));
        probe->current = fw_alloc(FW_CACHE_STAMPS_MAX, sizeof(*probe->current));
    }
    return probe;
}

static void add_key(fw_audit_check_t *self, size_t target, fw_text_t key)
{
    probe_t *probe = add_probe(self, target, STEP_HEAD, key.size);
    memcpy(probe->key, key.text, key.size);
}

static void add_tag(fw_audit_check_t *self, size_t target, const fw_audit_tag_t *tag)
{
    static const char middle[] = ":t:";
    size_t name_size = strlen(self->place.name_space);
    size_t middle_size = sizeof(middle) - 1;
    probe_t *probe = add_probe(self, target, STEP_STAMP, name_size + middle_size + tag->tag.size);
    memcpy(probe->key, self->place.name_space, name_size);
    memcpy(probe->key + name_size, middle, middle_size);
    memcpy(probe->key + name_size + middle_size, tag->tag.text, tag->tag.size);
    probe->was_stamp = tag->stamp;
}

static fw_audit_check_t *make(const fw_audit_place_t *place, uint64_t bound_us, size_t probes,
                              fw_audit_check_fn *done, void *context)
{
    fw_audit_check_t *self = fw_alloc(1, sizeof(*self));
    self->place = *place;
    self->bound_us = bound_us;
    self->done = done;
    self->context = context;
    self->probes = fw_alloc(probes, sizeof(*self->probes));
    return self;
}

fw_audit_check_t *fw_audit_check_new(const fw_audit_place_t *place, const fw_audit_sample_t *sample,
                                     fw_audit_check_fn *done, void *context)
{
    size_t names = sample->keys_count + sample->tags_count;
    fw_audit_check_t *self =
        make(place, sample->bound_us, names * place->pools_count, done, context);
    for (size_t target = 0; target < place->pools_count; target++) {
        for (size_t i = 0; i < sample->keys_count; i++) {
            add_key(self, target, sample->keys[i]);
        }
        for (size_t i = 0; i < sample->tags_count; i++) {
            add_tag(self, target, &sample->tags[i]);
        }
    }
    return self;
}

fw_audit_check_t *fw_audit_check_of_key(const fw_audit_place_t *place, size_t target, fw_text_t key,
                                        const fw_audit_sample_t *sample, fw_audit_check_fn *done,
                                        void *context)
{
    fw_audit_check_t *self = make(place, sample->bound_us, 1, done, context);
    add_key(self, target, key);
    return self;
}

void fw_audit_check_destroy(fw_audit_check_t **self_p)
{
    fw_audit_check_t *self = *self_p;
    if (!self) {
        return;
    }
    assert(self->running == 0);
    for (size_t i = 0; i < self->probes_count; i++) {
        free(self->probes[i].key);
        free(self->probes[i].head);
        free(self->probes[i].entry);
        free(self->probes[i].current);
    }
    free(self->probes);
    free(self);
    *self_p = NULL;
}

void fw_audit_check_begin(fw_audit_check_t *self)
{
    self->running = self->probes_count + 1;
    for (size_t i = 0; i < self->probes_count; i++) {
        probe_t *probe = &self->probes[i];
        if (probe->step == STEP_STAMP) {
            look_at_stamp(probe);
        } else {
            look_at_head(probe);
        }
    }
    release(self);
}

/* ---- what was found */

fw_audit_verdict_t fw_audit_check_verdict(const fw_audit_check_t *self)
{
    fw_audit_verdict_t verdict = FW_AUDIT_CLEAN;
    for (size_t i = 0; i < self->probes_count; i++) {
        if (self->probes[i].verdict == FW_AUDIT_STALE) {
            return FW_AUDIT_STALE;
        }
        if (self->probes[i].verdict == FW_AUDIT_UNJUDGED) {
            verdict = FW_AUDIT_UNJUDGED;
        }
    }
    return verdict;
}

size_t fw_audit_check_findings(const fw_audit_check_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->probes_count; i++) {
        count += self->probes[i].verdict == FW_AUDIT_STALE;
    }
    return count;
}

fw_audit_finding_t fw_audit_check_finding(const fw_audit_check_t *self, size_t index)
{
    const probe_t *probe = self->probes;
    while (probe->verdict != FW_AUDIT_STALE || index-- > 0) {
        probe++;
        assert(probe < self->probes + self->probes_count);
    }
    return (fw_audit_finding_t){.target = probe->target,
                                .key = probe->key,
                                .is_stamp = probe->step == STEP_STAMP,
                                .start_us = probe->entry ? probe->entry->start_us : 0,
                                .nonce = probe->nonce,
                                .stamp = probe->stamp,
                                .was_stamp = probe->was_stamp};
}
