/* sync.c - see sync.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/codec.h"
#include "runtime/alloc.h"

typedef enum { IDLE, FORWARD, BACKWARD } replaying_t;

/* Entries that are not in the ring yet, in the order in which they came. */
typedef struct {
    fw_entry_t **entries;
    uint32_t count;
    uint32_t capacity;
    size_t bytes;
} run_t;

struct fw_repair {
    run_t held;            /* live events that wait for a position or a replay */
    uint64_t *held_epochs; /* of each */
    run_t older;           /* replayed, to be put before the ring */
    uint64_t wanted;       /* the oldest place that somebody wants to go on from */
    bool wants_older;
    bool needs_position;
    bool position_asked;
    bool needs_forward;
    replaying_t replaying;
    uint32_t
        foreign_answer; /* held events of another epoch are kept until this request is answered */
    uint64_t position_request;
    int64_t position_asked_ms;
    uint64_t position_least; /* visible when it was asked: no true answer is below */
    uint64_t replay_request;
    uint64_t replay_since;
    uint64_t replay_least; /* likewise */
    int64_t replay_asked_ms;
};

static void run_add(run_t *run, fw_entry_t **entry_p)
{
    if (run->count == run->capacity) {
        run->capacity = run->capacity ? run->capacity * 2 : 8;
        run->entries = fw_realloc(run->entries, run->capacity, sizeof(fw_entry_t *));
    }
    run->bytes += fw_entry_bytes(*entry_p);
    run->entries[run->count++] = *entry_p;
    *entry_p = NULL;
}

static void run_clear(run_t *run)
{
    for (uint32_t i = 0; i < run->count; i++)
        fw_entry_destroy(&run->entries[i]);
    free(run->entries);
    *run = (run_t){0};
}

static fw_repair_t *repair_of(fw_sync_t *self)
{
    if (!self->repair)
        self->repair = fw_alloc(1, sizeof *self->repair);
    return self->repair;
}

static void drop_held(fw_repair_t *repair)
{
    run_clear(&repair->held);
    free(repair->held_epochs);
    repair->held_epochs = NULL;
}

static void repair_destroy(fw_repair_t **repair_p)
{
    fw_repair_t *repair = *repair_p;
    if (!repair)
        return;
    drop_held(repair);
    run_clear(&repair->older);
    free(repair);
    *repair_p = NULL;
}

/* A channel at rest keeps no repair. */
static void rest(fw_sync_t *self)
{
    const fw_repair_t *repair = self->repair;
    if (repair && repair->held.count == 0 && repair->older.count == 0 && !repair->wants_older &&
        !repair->needs_position && !repair->position_asked && !repair->needs_forward &&
        repair->replaying == IDLE)
        repair_destroy(&self->repair);
}

void fw_sync_init(fw_sync_t *self)
{
    *self = (fw_sync_t){.state = FW_SYNC_FENCING};
    fw_ring_start(&self->ring, 0);
}

void fw_sync_clear(fw_sync_t *self)
{
    repair_destroy(&self->repair);
    fw_ring_clear(&self->ring);
}

size_t fw_sync_bytes(const fw_sync_t *self)
{
    size_t bytes = self->ring.bytes;
    if (self->repair)
        bytes += self->repair->held.bytes + self->repair->older.bytes;
    return bytes;
}

void fw_sync_fenced(fw_sync_t *self)
{
    if (self->state != FW_SYNC_FENCING)
        return;
    self->state = FW_SYNC_ASKING;
    repair_of(self)->needs_position = true;
}

void fw_sync_suspect(fw_sync_t *self)
{
    if (self->state != FW_SYNC_FENCING)
        repair_of(self)->needs_position = true;
}

void fw_sync_link_lost(fw_sync_t *self)
{
    if (self->state == FW_SYNC_ASKING)
        self->state = FW_SYNC_FENCING;
    fw_repair_t *repair = self->repair;
    if (!repair)
        return;
    /* What is held may have holes that no offset shows: another epoch, or a first position. */
    drop_held(repair);
    repair->position_asked = false;
    repair->needs_position = false;
    if (repair->replaying == FORWARD)
        repair->needs_forward = true;
    repair->replaying = IDLE;
    rest(self);
}

static void hold(fw_sync_t *self, uint64_t epoch, fw_entry_t **entry_p)
{
    fw_repair_t *repair = repair_of(self);
    run_t *held = &repair->held;
    if (held->count >= FW_SYNC_HELD_EVENTS_MAX ||
        held->bytes + fw_entry_bytes(*entry_p) > FW_SYNC_HELD_BYTES_MAX) {
        fw_entry_destroy(entry_p); /* visible is ahead of the ring then, so it is replayed */
        return;
    }
    if (!repair->held_epochs)
        repair->held_epochs = fw_alloc(FW_SYNC_HELD_EVENTS_MAX, sizeof(uint64_t));
    repair->held_epochs[held->count] = epoch;
    run_add(held, entry_p);
}

static void see(fw_sync_t *self, uint64_t offset)
{
    if (offset > self->visible)
        self->visible = offset;
}

/* Puts what is held and fits into the ring; what lies behind a hole stays held. */
static unsigned apply_held(fw_sync_t *self, const fw_ring_limits_t *limits)
{
    fw_repair_t *repair = self->repair;
    if (!repair || repair->held.count == 0)
        return 0;
    run_t held = repair->held;
    uint64_t *epochs = repair->held_epochs;
    repair->held = (run_t){0};
    repair->held_epochs = NULL;
    bool keep_foreign = self->answered < repair->foreign_answer;
    unsigned changed = 0;
    for (uint32_t i = 0; i < held.count; i++) {
        fw_entry_t *entry = held.entries[i];
        uint64_t head = fw_ring_head(&self->ring);
        uint64_t offset = fw_entry_offset(entry);
        bool foreign = epochs[i] != self->epoch;
        if (foreign ? !keep_foreign : offset <= head) {
            fw_entry_destroy(&entry);
        } else if (!foreign && offset == head + 1) {
            see(self, offset);
            fw_ring_append(&self->ring, limits, &entry);
            changed |= FW_SYNC_GREW;
        } else {
            if (!foreign)
                see(self, offset);
            hold(self, epochs[i], &entry);
        }
    }
    free(held.entries);
    free(epochs);
    return changed;
}

/* Asks for the events between the ring and what is visible. */
static void close_gap(fw_sync_t *self)
{
    if (self->visible <= fw_ring_head(&self->ring))
        return;
    fw_repair_t *repair = repair_of(self);
    if (repair->replaying != FORWARD)
        repair->needs_forward = true;
}

static void forget_older(fw_repair_t *repair)
{
    run_clear(&repair->older);
    repair->wants_older = false;
    if (repair->replaying == BACKWARD)
        repair->replaying = IDLE;
}

fw_reset_reason_t fw_sync_reason(const fw_sync_t *self, fw_reset_reason_t reason)
{
    return self->unconfirmed && reason != FW_RESET_NONE ? FW_RESET_UNCONFIRMED : reason;
}

/* Begins anew behind a position. */
static unsigned start_at(fw_sync_t *self, fw_position_t position, fw_reset_reason_t reason)
{
    if (self->repair) {
        forget_older(self->repair);
        self->repair->replaying = IDLE;
        self->repair->needs_forward = false;
    }
    if (self->epoch != position.epoch)
        self->reachable = 0;
    self->epoch = position.epoch;
    self->visible = position.offset;
    self->reset_reason = (uint8_t)fw_sync_reason(self, reason);
    fw_ring_start(&self->ring, position.offset);
    return reason == FW_RESET_NONE ? FW_SYNC_SETTLES : FW_SYNC_RESET | FW_SYNC_SETTLES;
}

bool fw_sync_knows(const fw_sync_t *self, fw_position_t position)
{
    return self->state == FW_SYNC_LIVE && position.epoch == self->epoch &&
           position.offset <= fw_ring_head(&self->ring);
}

unsigned fw_sync_event(fw_sync_t *self, const fw_ring_limits_t *limits, uint64_t epoch,
                       fw_entry_t **entry_p)
{
    uint64_t offset = fw_entry_offset(*entry_p);
    if (self->state != FW_SYNC_LIVE) {
        hold(self, epoch, entry_p);
        return 0;
    }
    if (epoch != self->epoch) {
        hold(self, epoch, entry_p);
        fw_repair_t *repair = repair_of(self);
        repair->needs_position = true;
        repair->foreign_answer = self->asked + 1;
        return 0;
    }
    see(self, offset);
    uint64_t head = fw_ring_head(&self->ring);
    if (offset <= head) {
        fw_entry_destroy(entry_p);
        return 0;
    }
    if (offset > head + 1) {
        hold(self, epoch, entry_p);
        close_gap(self);
        return 0;
    }
    fw_ring_append(&self->ring, limits, entry_p);
    (void)apply_held(self, limits);
    return FW_SYNC_GREW;
}

unsigned fw_sync_position(fw_sync_t *self, const fw_ring_limits_t *limits, uint64_t request_id,
                          fw_position_t position)
{
    fw_repair_t *repair = self->repair;
    if (!repair || !repair->position_asked || repair->position_request != request_id)
        return 0;
    repair->position_asked = false;
    self->answered = self->asked;
    unsigned changed = FW_SYNC_SETTLES;
    if (self->state != FW_SYNC_LIVE) {
        self->state = FW_SYNC_LIVE;
        changed |= start_at(self, position, FW_RESET_NONE);
    } else if (position.epoch != self->epoch) {
        changed |= start_at(self, position, FW_RESET_EPOCH);
    } else if (position.offset < repair->position_least) {
        /* The broker forgot events under the same epoch: what comes next has used numbers, and what
         * is held may be of before. */
        drop_held(repair);
        changed |= start_at(self, position, FW_RESET_HISTORY);
    }
    see(self, position.offset);
    changed |= apply_held(self, limits);
    close_gap(self);
    rest(self);
    return changed;
}

static void destroy_all(const fw_sync_replay_t *replay)
{
    for (uint32_t i = 0; i < replay->count; i++)
        fw_entry_destroy(&replay->entries[i]);
}

/* Nobody can go on from places up to this one. */
static void give_up_below(fw_sync_t *self, uint64_t place)
{
    if (place + 1 > self->reachable)
        self->reachable = place + 1;
}

static unsigned replayed_forward(fw_sync_t *self, const fw_ring_limits_t *limits,
                                 const fw_sync_replay_t *replay)
{
    uint64_t before = fw_ring_head(&self->ring);
    unsigned changed = 0;
    for (uint32_t i = 0; i < replay->count && !replay->reset; i++) {
        if (fw_entry_offset(replay->entries[i]) != fw_ring_head(&self->ring) + 1)
            continue; /* overtaken by live events; a hole shows below as a lack of progress */
        fw_ring_append(&self->ring, limits, &replay->entries[i]);
        changed |= FW_SYNC_GREW;
    }
    see(self, replay->visible.offset);
    if (!replay->reset)
        changed |= apply_held(self, limits);
    uint64_t head = fw_ring_head(&self->ring);
    /* An answer that brings nothing although something is missing would be asked for ever. */
    if (replay->reset || (head == before && self->visible > head)) {
        fw_position_t position = {self->epoch, replay->visible.offset};
        if (position.offset < head)
            position.offset = head;
        give_up_below(self, before);
        changed = start_at(self, position, FW_RESET_HISTORY);
        changed |= apply_held(self, limits);
    }
    close_gap(self);
    return changed;
}

/* 0 or -ENOSPC. */
static int prepend(fw_sync_t *self, const fw_ring_limits_t *limits, run_t *older)
{
    uint64_t last = older->count > 0 ? fw_entry_offset(older->entries[older->count - 1]) : 0;
    if (last + 1 != self->ring.base)
        return -ENOSPC; /* cut off because it grew beyond the limits */
    int result = fw_ring_prepend(&self->ring, limits, older->entries, older->count);
    if (result == 0)
        older->count = 0;
    return result;
}

static unsigned replayed_backward(fw_sync_t *self, const fw_ring_limits_t *limits,
                                  const fw_sync_replay_t *replay)
{
    fw_repair_t *repair = self->repair;
    run_t *older = &repair->older;
    uint64_t next = repair->replay_since + 1;
    uint64_t begin = next;
    see(self, replay->visible.offset);
    for (uint32_t i = 0; i < replay->count && !replay->reset; i++) {
        if (next >= self->ring.base || fw_entry_offset(replay->entries[i]) != next)
            continue;
        run_add(older, &replay->entries[i]);
        next++;
    }
    bool fits = older->count <= limits->events_max && older->bytes <= limits->bytes_max;
    if (!replay->reset && fits && next > begin && next < self->ring.base)
        return 0; /* more of it is needed */
    if (replay->reset || (fits && next < self->ring.base))
        give_up_below(self, repair->replay_since);
    else if (prepend(self, limits, older) != 0)
        give_up_below(self, repair->wanted);
    forget_older(repair);
    return FW_SYNC_SETTLES;
}

unsigned fw_sync_replayed(fw_sync_t *self, const fw_ring_limits_t *limits,
                          const fw_sync_replay_t *replay)
{
    fw_repair_t *repair = self->repair;
    unsigned changed = 0;
    if (repair && repair->replaying != IDLE && repair->replay_request == replay->request_id) {
        replaying_t direction = repair->replaying;
        repair->replaying = IDLE;
        if (replay->visible.epoch != self->epoch || replay->visible.offset < repair->replay_least) {
            /* The broker began anew, or forgot; the position tells everybody. */
            repair->needs_position = true;
        } else if (direction == FORWARD) {
            changed = replayed_forward(self, limits, replay);
        } else {
            changed = replayed_backward(self, limits, replay);
        }
    }
    destroy_all(replay);
    rest(self);
    return changed;
}

unsigned fw_sync_needs(const fw_sync_t *self)
{
    const fw_repair_t *repair = self->repair;
    unsigned needs = 0;
    if (!repair || self->state == FW_SYNC_FENCING)
        return 0;
    if (repair->position_asked)
        return 0;
    if (repair->needs_position)
        return FW_SYNC_NEEDS_POSITION;
    /* After the position: a replay of an epoch that has ended would be asked for in vain. */
    if (self->state == FW_SYNC_LIVE && repair->replaying == IDLE &&
        (repair->needs_forward || repair->wants_older))
        needs |= FW_SYNC_NEEDS_REPLAY;
    return needs;
}

void fw_sync_position_asked(fw_sync_t *self, uint64_t request_id, int64_t now_ms)
{
    fw_repair_t *repair = repair_of(self);
    repair->needs_position = false;
    repair->position_asked = true;
    repair->position_request = request_id;
    repair->position_asked_ms = now_ms;
    repair->position_least = self->visible;
    self->asked++;
}

void fw_sync_replay_asked(fw_sync_t *self, uint64_t request_id, int64_t now_ms,
                          fw_position_t *ret_since, uint32_t *ret_limit)
{
    fw_repair_t *repair = self->repair;
    assert(repair);
    assert(fw_sync_needs(self) & FW_SYNC_NEEDS_REPLAY);
    uint64_t limit = FW_REPLAY_EVENTS_MAX;
    if (repair->needs_forward) {
        repair->needs_forward = false;
        repair->replaying = FORWARD;
        repair->replay_since = fw_ring_head(&self->ring);
    } else {
        /* Derived, not remembered: a forward replay may have come between two parts. */
        const run_t *older = &repair->older;
        repair->replaying = BACKWARD;
        repair->replay_since =
            older->count > 0 ? fw_entry_offset(older->entries[older->count - 1]) : repair->wanted;
        uint64_t missing = self->ring.base - 1 - repair->replay_since;
        if (missing < limit)
            limit = missing;
    }
    repair->replay_request = request_id;
    repair->replay_asked_ms = now_ms;
    repair->replay_least = self->visible;
    *ret_since = (fw_position_t){self->epoch, repair->replay_since};
    *ret_limit = (uint32_t)limit;
}

bool fw_sync_expire(fw_sync_t *self, int64_t now_ms)
{
    fw_repair_t *repair = self->repair;
    if (!repair)
        return false;
    if (repair->position_asked && now_ms - repair->position_asked_ms >= FW_SYNC_ANSWER_MS) {
        repair->position_asked = false;
        repair->needs_position = true;
    }
    if (repair->replaying != IDLE && now_ms - repair->replay_asked_ms >= FW_SYNC_ANSWER_MS) {
        if (repair->replaying == FORWARD)
            repair->needs_forward = true;
        repair->replaying = IDLE;
    }
    return true;
}

int fw_sync_resume(fw_sync_t *self, uint64_t place)
{
    assert(self->state == FW_SYNC_LIVE);
    if (!fw_ring_lapped(&self->ring, place))
        return place <= self->visible ? 0 : -ESTALE;
    if (place < self->reachable)
        return -ESTALE;
    fw_repair_t *repair = repair_of(self);
    if (!repair->wants_older) {
        repair->wants_older = true;
        repair->wanted = place;
    } else if (place < repair->wanted && repair->replaying != BACKWARD &&
               repair->older.count == 0) {
        repair->wanted = place;
    }
    return -EAGAIN;
}

uint32_t fw_sync_next_answer(fw_sync_t *self)
{
    fw_sync_suspect(self);
    return self->asked + 1;
}
