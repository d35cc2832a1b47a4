/* read.c - one read: serve from the cache, or load and fill it.   SPDX-License-Identifier: MPL-2.0
 */
#include "cache/read.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/batch.h"
#include "cache/payload.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum {
    PAUSE_MS_FIRST = 10,
    PAUSE_MS_MAX = 50,
    /* Above the largest payload: an entry's header, its stamps, its flags. */
    VALUE_OVERHEAD_MAX = 64 + FW_CACHE_STAMPS_MAX * (FW_CACHE_TAG_SIZE_MAX + 16),
    NUMBER_SIZE = 24,
};

typedef enum {
    PHASE_LOOK,      /* the entry and the stamps are being read */
    PHASE_TAKE,      /* the lease is being taken, the stamps captured */
    PHASE_WAIT,      /* somebody else is filling */
    PHASE_GIVE_BACK, /* the lease is being released */
    PHASE_LOAD,
    PHASE_STORE,
    PHASE_DONE,
} phase_t;

struct fw_cache_read {
    phase_t phase;
    fw_cache_rules_t rules;
    int64_t ttl_ms;
    uint64_t fresh_us;
    bool bypass;
    bool no_store;
    bool leased; /* the right to store is (as far as we know) ours */
    bool loaded; /* the caller has its value */
    int64_t deadline_ms;
    int64_t pause_ms;
    fw_random_t random;
    fw_cache_outcome_t outcome;
    fw_text_t keys[1 + FW_CACHE_STAMPS_MAX]; /* of the entry, of the stamps */
    fw_cache_stamp_t stamps[FW_CACHE_STAMPS_MAX];
    size_t stamps_count;
    fw_cache_value_kind_t seen_kind;
    uint8_t header[FW_CACHE_HEADER_SIZE]; /* of the value that was seen */
    size_t header_size;
    uint8_t *seen; /* the value, when it may be an entry */
    size_t seen_size;
    fw_cache_entry_t entry; /* decoded from seen */
    uint8_t lease[FW_CACHE_LEASE_SIZE];
    uint64_t start_us;
    uint64_t oldest_us;      /* start of the oldest value that the load is made of; 0 = none */
    fw_cache_reason_t unfit; /* why the load must not be stored, for the sake of those values */
    uint8_t *encoded;
    fw_cache_batch_t batch;
    char lease_ms_text[NUMBER_SIZE];
    char stamp_ttl_ms_text[NUMBER_SIZE];
    char ttl_ms_text[NUMBER_SIZE];
    char names[]; /* what keys point to */
};

static fw_bytes_t write_number(char buffer[NUMBER_SIZE], int64_t number)
{
    int size = snprintf(buffer, NUMBER_SIZE, "%lld", (long long)number);
    return (fw_bytes_t){(const uint8_t *)buffer, (size_t)size};
}

static uint64_t microseconds(int64_t ms)
{
    return (uint64_t)ms * 1000;
}

/* ---- what is sent */

/* One command for all keys, or in a cluster one for each. */
static void add_for_keys(fw_cache_read_t *self, fw_cache_command_kind_t kind, const fw_text_t *keys,
                         size_t count, fw_bytes_t argument)
{
    size_t step = self->rules.cluster ? 1 : count;
    for (size_t i = 0; i < count; i += step) {
        fw_cache_command_t *command = fw_cache_batch_add(&self->batch, kind, keys + i, step);
        if (argument.data) {
            command->arguments[0] = argument;
            command->arguments_count = 1;
        }
    }
}

static void look(fw_cache_read_t *self)
{
    self->phase = PHASE_LOOK;
    free(self->seen);
    self->seen = NULL;
    self->seen_kind = FW_CACHE_VALUE_UNKNOWN;
    self->header_size = 0;
    for (size_t i = 0; i < self->stamps_count; i++) {
        self->stamps[i].stamp = 0;
    }
    fw_cache_batch_clear(&self->batch);
    add_for_keys(self, FW_CACHE_COMMAND_READ, self->keys, 1 + self->stamps_count,
                 (fw_bytes_t){NULL, 0});
}

static void take(fw_cache_read_t *self)
{
    self->phase = PHASE_TAKE;
    self->start_us = 0;
    for (size_t i = 0; i < self->stamps_count; i++) {
        self->stamps[i].stamp = 0;
    }
    fw_cache_batch_clear(&self->batch);
    fw_cache_command_t *acquire =
        fw_cache_batch_add(&self->batch, FW_CACHE_COMMAND_ACQUIRE, self->keys, 1);
    acquire->arguments[0] = (fw_bytes_t){self->header, self->header_size};
    acquire->arguments[1] = (fw_bytes_t){self->lease, sizeof(self->lease)};
    acquire->arguments[2] = write_number(self->lease_ms_text, self->rules.lease_ms);
    acquire->arguments_count = 3;
    add_for_keys(self, FW_CACHE_COMMAND_CAPTURE, self->keys + 1, self->stamps_count,
                 write_number(self->stamp_ttl_ms_text, self->rules.stamp_ttl_ms));
}

static void give_back(fw_cache_read_t *self, fw_cache_reason_t reason)
{
    self->phase = PHASE_GIVE_BACK;
    self->leased = false;
    self->outcome.reason = reason;
    fw_cache_batch_clear(&self->batch);
    fw_cache_command_t *release =
        fw_cache_batch_add(&self->batch, FW_CACHE_COMMAND_RELEASE, self->keys, 1);
    release->arguments[0] = (fw_bytes_t){self->lease, sizeof(self->lease)};
    release->arguments_count = 1;
}

static void store(fw_cache_read_t *self, fw_bytes_t value, int64_t ttl_ms)
{
    self->phase = PHASE_STORE;
    fw_cache_batch_clear(&self->batch);
    fw_cache_command_t *command =
        fw_cache_batch_add(&self->batch, FW_CACHE_COMMAND_STORE, self->keys, 1);
    command->arguments[0] = (fw_bytes_t){self->lease, sizeof(self->lease)};
    command->arguments[1] = value;
    command->arguments[2] = write_number(self->ttl_ms_text, ttl_ms);
    command->arguments_count = 3;
}

/* ---- what is decided */

static void load_only(fw_cache_read_t *self, fw_cache_reason_t reason)
{
    self->phase = PHASE_LOAD;
    self->outcome.reason = reason;
}

static void wait_or_load(fw_cache_read_t *self, int64_t now_ms)
{
    /* Who bypasses would not be served what the other one stores. */
    if (self->bypass || now_ms >= self->deadline_ms) {
        load_only(self, FW_CACHE_BUSY);
        return;
    }
    self->phase = PHASE_WAIT;
    int64_t longer = 2 * self->pause_ms;
    self->pause_ms = longer < PAUSE_MS_MAX ? longer : PAUSE_MS_MAX;
}

/* Serves the entry that was seen. False when it may not be served; then the status says why. */
static bool serve(fw_cache_read_t *self)
{
    fw_bytes_t seen = {self->seen, self->seen_size};
    fw_cache_entry_clear(&self->entry);
    if (fw_cache_entry_decode(seen, self->rules.payload_size_max, &self->entry) != 0) {
        return false;
    }
    /* A load may lag behind by the hold-off, so what began to be filled within it may be old. */
    const fw_cache_token_t token = {
        .time_us = self->fresh_us,
        .margin_us = microseconds(self->rules.margin_ms + self->rules.hold_off_ms),
    };
    fw_cache_verdict_t verdict =
        fw_cache_entry_fresh(&self->entry, self->stamps, self->stamps_count, &token);
    if (verdict == FW_CACHE_TOO_OLD) {
        self->outcome.status = FW_CACHE_STALE_REJECTED;
    }
    if (verdict != FW_CACHE_FRESH || !fw_cache_payload_is_value(self->entry.payload)) {
        return false;
    }
    self->outcome.status = FW_CACHE_HIT;
    self->outcome.payload = self->entry.payload;
    self->outcome.start_us = self->entry.start_us;
    self->phase = PHASE_DONE;
    return true;
}

static void looked(fw_cache_read_t *self, int64_t now_ms)
{
    if (self->batch.failed) {
        load_only(self, FW_CACHE_NO_ANSWER);
        return;
    }
    if (!self->bypass && self->seen && serve(self)) {
        return;
    }
    if (self->no_store) {
        load_only(self, FW_CACHE_NOT_WANTED);
    } else if (self->seen_kind == FW_CACHE_VALUE_LEASE) {
        wait_or_load(self, now_ms);
    } else {
        take(self);
    }
}

static void took(fw_cache_read_t *self, int64_t now_ms)
{
    bool complete = !self->batch.failed && self->start_us > 0;
    for (size_t i = 0; i < self->stamps_count; i++) {
        complete = complete && self->stamps[i].stamp > 0;
    }
    if (self->leased && !complete) {
        /* Others must not wait for a fill that will not come. */
        give_back(self, FW_CACHE_NO_ANSWER);
    } else if (self->leased) {
        load_only(self, FW_CACHE_STORED_OR_HIT);
    } else if (self->batch.failed) {
        load_only(self, FW_CACHE_NO_ANSWER);
    } else {
        wait_or_load(self, now_ms);
    }
}

/* May the load have missed a purge that was made before it? */
static bool is_too_recent(const fw_cache_read_t *self)
{
    uint64_t lag_us = microseconds(self->rules.hold_off_ms);
    if (lag_us == 0) {
        return false;
    }
    lag_us += microseconds(self->rules.margin_ms);
    uint64_t newest = self->fresh_us;
    for (size_t i = 0; i < self->stamps_count; i++) {
        newest = self->stamps[i].stamp > newest ? self->stamps[i].stamp : newest;
    }
    return self->start_us <= newest || self->start_us - newest <= lag_us;
}

/* ---- answers */

static void look_reply(fw_cache_read_t *self, const fw_cache_command_t *command,
                       const fw_cache_reply_t *reply)
{
    size_t first = (size_t)(command->keys - self->keys);
    for (size_t i = 0; i < reply->values_count; i++) {
        fw_bytes_t value = reply->values[i];
        if (first + i > 0) {
            self->stamps[first + i - 1].stamp = fw_cache_stamp_parse(value);
            continue;
        }
        size_t header_size = value.size < FW_CACHE_HEADER_SIZE ? value.size : FW_CACHE_HEADER_SIZE;
        if (header_size > 0) {
            memcpy(self->header, value.data, header_size);
        }
        self->header_size = header_size;
        self->seen_kind = fw_cache_value_kind(value);
        if (self->seen_kind == FW_CACHE_VALUE_ENTRY &&
            value.size <= self->rules.payload_size_max + VALUE_OVERHEAD_MAX) {
            self->seen = fw_alloc(value.size, 1);
            memcpy(self->seen, value.data, value.size);
            self->seen_size = value.size;
        }
    }
}

static void take_reply(fw_cache_read_t *self, const fw_cache_command_t *command,
                       const fw_cache_reply_t *reply)
{
    if (command->kind == FW_CACHE_COMMAND_ACQUIRE) {
        self->leased = reply->integer == 1;
        self->start_us = fw_cache_stamp_parse(reply->values[0]);
        return;
    }
    size_t first = (size_t)(command->keys - (self->keys + 1));
    for (size_t i = 0; i < reply->values_count; i++) {
        self->stamps[first + i].stamp = fw_cache_stamp_parse(reply->values[i]);
    }
}

static void take_answer(void *context, size_t index, const fw_cache_reply_t *reply)
{
    fw_cache_read_t *self = context;
    const fw_cache_command_t *command = &self->batch.commands[index];
    switch (self->phase) {
    case PHASE_LOOK:
        look_reply(self, command, reply);
        break;
    case PHASE_TAKE:
        take_reply(self, command, reply);
        break;
    case PHASE_STORE:
        self->outcome.stored = reply->integer == 1;
        break;
    case PHASE_GIVE_BACK:
    case PHASE_WAIT:
    case PHASE_LOAD:
    case PHASE_DONE:
        break;
    }
}

void fw_cache_read_replies(fw_cache_read_t *self, const fw_cache_reply_t *replies, int64_t now_ms)
{
    assert(fw_cache_read_step(self) == FW_CACHE_STEP_SEND);
    if (!replies) {
        self->batch.failed = true;
    } else if (!fw_cache_batch_replies(&self->batch, replies, take_answer, self)) {
        return;
    }
    switch (self->phase) {
    case PHASE_LOOK:
        looked(self, now_ms);
        break;
    case PHASE_TAKE:
        /* What a lost connection leaves undone, the time to live of the lease does. */
        self->leased = self->leased && replies;
        took(self, now_ms);
        break;
    case PHASE_STORE:
        self->phase = PHASE_DONE;
        if (!self->outcome.stored) {
            self->outcome.reason = self->batch.failed ? FW_CACHE_NO_ANSWER : FW_CACHE_PURGED;
        }
        break;
    case PHASE_GIVE_BACK:
        self->phase = self->loaded ? PHASE_DONE : PHASE_LOAD;
        break;
    case PHASE_WAIT:
    case PHASE_LOAD:
    case PHASE_DONE:
        break;
    }
}

/* ---- the rest of the driver's calls */

int fw_cache_read_new(const fw_cache_rules_t *rules, const fw_cache_request_t *request,
                      const uint8_t nonce[FW_CACHE_NONCE_SIZE], int64_t now_ms,
                      fw_cache_read_t **ret_read)
{
    char buffer[FW_CACHE_PREFIXES_MAX][FW_CACHE_TAG_SIZE_MAX + 1];
    fw_text_t tags[FW_CACHE_TAGS_MAX];
    size_t count = 0;
    int64_t ttl_ms = request->ttl_ms ? request->ttl_ms : rules->ttl_ms;
    int result = fw_cache_rules_tags(rules, request->key, request->tags, request->tags_count,
                                     buffer, tags, &count);
    if (result == 0 && (ttl_ms <= 0 || ttl_ms > rules->stamp_ttl_ms / 2)) {
        result = -EINVAL;
    }
    if (result < 0) {
        return result;
    }
    size_t size = (2 + count) * (rules->name.size + FW_CACHE_NAME_OVERHEAD) + request->key.size;
    for (size_t i = 0; i < count; i++) {
        size += tags[i].size;
    }
    fw_cache_read_t *self = fw_alloc(1, sizeof(*self) + size);
    self->rules = *rules;
    self->ttl_ms = ttl_ms;
    self->fresh_us = request->fresh_us;
    self->bypass = request->bypass;
    self->no_store = request->no_store;
    self->deadline_ms = now_ms + rules->wait_ms;
    self->pause_ms = PAUSE_MS_FIRST / 2;
    self->outcome.status = self->bypass ? FW_CACHE_BYPASS : FW_CACHE_MISS;
    memcpy(&self->random.state, nonce, sizeof(self->random.state));
    fw_cache_lease_write(nonce, self->lease);
    char *at = fw_cache_entry_key_write(rules->name, request->key, self->names, &self->keys[0]);
    at = fw_cache_stamp_key_write(rules->name, FW_TEXT_NONE, at, &self->keys[1]);
    for (size_t i = 0; i < count; i++) {
        fw_text_t *key = &self->keys[2 + i];
        at = fw_cache_stamp_key_write(rules->name, tags[i], at, key);
        const char *tag = key->text + key->size - tags[i].size;
        self->stamps[1 + i].tag = (fw_bytes_t){(const uint8_t *)tag, tags[i].size};
    }
    assert((size_t)(at - self->names) <= size);
    self->stamps_count = 1 + count;
    look(self);
    *ret_read = self;
    return 0;
}

void fw_cache_read_destroy(fw_cache_read_t **self_p)
{
    fw_cache_read_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_cache_entry_clear(&self->entry);
    fw_cache_batch_free(&self->batch);
    free(self->encoded);
    free(self->seen);
    free(self);
    *self_p = NULL;
}

fw_cache_step_t fw_cache_read_step(const fw_cache_read_t *self)
{
    switch (self->phase) {
    case PHASE_LOOK:
    case PHASE_TAKE:
    case PHASE_GIVE_BACK:
    case PHASE_STORE:
        return FW_CACHE_STEP_SEND;
    case PHASE_WAIT:
        return FW_CACHE_STEP_PAUSE;
    case PHASE_LOAD:
        return FW_CACHE_STEP_LOAD;
    case PHASE_DONE:
        break;
    }
    return FW_CACHE_STEP_DONE;
}

const fw_cache_command_t *fw_cache_read_commands(const fw_cache_read_t *self, size_t *ret_count)
{
    return fw_cache_batch_pending(&self->batch, ret_count);
}

int64_t fw_cache_read_pause_ms(const fw_cache_read_t *self)
{
    /* Jittered, so that those who wait for the same do not all ask at once. */
    fw_random_t random = self->random;
    int64_t half = self->pause_ms / 2;
    return half + (int64_t)fw_random_below(&random, (uint64_t)half + 1);
}

void fw_cache_read_paused(fw_cache_read_t *self)
{
    assert(self->phase == PHASE_WAIT);
    (void)fw_random_next(&self->random);
    self->outcome.status = self->bypass ? FW_CACHE_BYPASS : FW_CACHE_MISS;
    look(self);
}

bool fw_cache_read_may_store(const fw_cache_read_t *self)
{
    return self->leased;
}

static bool has_tag(const fw_cache_read_t *self, const fw_cache_stamp_t *tag)
{
    return bsearch(tag, self->stamps, self->stamps_count, sizeof(self->stamps[0]),
                   fw_cache_stamp_compare) != NULL;
}

int fw_cache_read_made_of(fw_cache_read_t *self, const fw_cache_read_t *other)
{
    assert(self->phase == PHASE_LOAD);
    assert(other->phase == PHASE_DONE);
    uint64_t start_us = other->outcome.start_us;
    if (start_us > 0 && (self->oldest_us == 0 || start_us < self->oldest_us)) {
        self->oldest_us = start_us;
    }
    if (other->no_store || other->outcome.reason == FW_CACHE_TOO_RECENT) {
        self->unfit = FW_CACHE_TOO_RECENT;
    }
    for (size_t i = 0; i < other->stamps_count; i++) {
        if (!has_tag(self, &other->stamps[i])) {
            self->unfit = FW_CACHE_NOT_COVERED;
            return -EINVAL;
        }
    }
    return 0;
}

void fw_cache_read_loaded(fw_cache_read_t *self, fw_bytes_t payload)
{
    assert(self->phase == PHASE_LOAD);
    self->loaded = true;
    if (!self->leased) {
        self->phase = PHASE_DONE;
        return;
    }
    if (payload.size > self->rules.payload_size_max) {
        give_back(self, FW_CACHE_TOO_LARGE);
    } else if (!fw_cache_payload_is_value(payload)) {
        give_back(self, FW_CACHE_NO_VALUE);
    } else if (self->unfit != FW_CACHE_STORED_OR_HIT) {
        give_back(self, self->unfit);
    } else if (is_too_recent(self)) {
        give_back(self, FW_CACHE_TOO_RECENT);
    } else {
        bool older = self->oldest_us > 0 && self->oldest_us < self->start_us;
        fw_cache_entry_t entry = {.start_us = older ? self->oldest_us : self->start_us,
                                  .payload = payload};
        memcpy(entry.nonce, self->lease + sizeof(self->lease) - FW_CACHE_NONCE_SIZE,
               FW_CACHE_NONCE_SIZE);
        memcpy(entry.stamps, self->stamps, self->stamps_count * sizeof(self->stamps[0]));
        entry.stamps_count = self->stamps_count;
        size_t size = 0;
        int result = fw_cache_entry_encode(&entry, &self->encoded, &size);
        assert(result == 0); /* Everything that it refuses was refused before. */
        (void)result;
        int64_t ttl_ms = self->ttl_ms;
        if (fw_cache_payload_is_nothing(payload) && ttl_ms > self->rules.nothing_ttl_ms) {
            ttl_ms = self->rules.nothing_ttl_ms;
        }
        store(self, (fw_bytes_t){self->encoded, size}, ttl_ms);
    }
}

void fw_cache_read_failed(fw_cache_read_t *self)
{
    assert(self->phase == PHASE_LOAD);
    self->loaded = true;
    self->outcome.reason = FW_CACHE_LOAD_FAILED;
    if (self->leased) {
        give_back(self, FW_CACHE_LOAD_FAILED);
    } else {
        self->phase = PHASE_DONE;
    }
}

const fw_cache_outcome_t *fw_cache_read_outcome(const fw_cache_read_t *self)
{
    return &self->outcome;
}

const char *fw_cache_status_name(fw_cache_status_t status)
{
    switch (status) {
    case FW_CACHE_HIT:
        return "HIT";
    case FW_CACHE_MISS:
        return "MISS";
    case FW_CACHE_BYPASS:
        return "BYPASS";
    case FW_CACHE_STALE_REJECTED:
        break;
    }
    return "STALE-REJECTED";
}

const char *fw_cache_reason_name(fw_cache_reason_t reason)
{
    static const char *const names[] = {
        [FW_CACHE_STORED_OR_HIT] = "nothing is wrong",
        [FW_CACHE_NO_ANSWER] = "Redis did not answer",
        [FW_CACHE_NOT_WANTED] = "the reader asked not to store",
        [FW_CACHE_BUSY] = "somebody else is filling it",
        [FW_CACHE_PURGED] = "purged while it was loaded",
        [FW_CACHE_TOO_RECENT] = "purged too recently",
        [FW_CACHE_TOO_LARGE] = "too large",
        [FW_CACHE_NO_VALUE] = "not one MessagePack value",
        [FW_CACHE_LOAD_FAILED] = "not loaded",
        [FW_CACHE_NOT_COVERED] = "made of cached values with tags that it lacks",
    };
    return names[reason];
}
