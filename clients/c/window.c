/* window.c - the events that wait for their acknowledgement.   SPDX-License-Identifier: MPL-2.0 */
#include "clients/c/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/backoff.h"

enum {
    ANSWER_JITTER_BASE_MS = 500,
    ANSWER_JITTER_CAP_MS = 8000,
    RETRY_FLOOR_MS = 10,
    RETRY_BASE_MS = 50,
    RETRY_CAP_MS = 2000,
};

typedef enum {
    STATE_READY,  /* in one of the two queues */
    STATE_FLYING, /* on the wire; due_ms is when to send it again */
    STATE_LATER,  /* refused for now; due_ms is when to try again */
} state_t;

typedef struct entry entry_t;
struct entry {
    uint64_t request_id;
    state_t state;
    bool held;        /* the broker may hold it: it counts against the credit */
    unsigned attempt; /* how often it was on the wire */
    int64_t expires_ms;
    int64_t due_ms;
    size_t heap_index;
    entry_t *older, *newer;   /* all entries, by age: also the order in which they expire */
    entry_t *before, *behind; /* the queue that a READY entry is in */
    entry_t *chain;           /* the next one in its bucket */
    size_t size;
    uint8_t frame[];
};

typedef struct {
    entry_t *head, *tail;
} queue_t;

struct fw_window {
    fw_window_options_t options;
    fw_random_t random;
    uint64_t next_id;
    bool open;
    uint32_t credit;
    int64_t paused_until_ms; /* the broker was overloaded */
    size_t count, held, bytes;
    entry_t *oldest, *newest;
    queue_t again;  /* READY and held: sent again without new credit */
    queue_t fresh;  /* READY and not held */
    entry_t **heap; /* FLYING and LATER entries, the earliest due_ms first */
    size_t heap_count;
    entry_t **buckets;
    size_t bucket_mask;
};

fw_window_t *fw_window_new(const fw_window_options_t *options)
{
    if (options->in_flight_max < 1 || options->in_flight_max > FW_WINDOW_IN_FLIGHT_MAX)
        return NULL;
    if (options->timeout_ms < 1 || options->timeout_ms > FW_WINDOW_TIMEOUT_MS_MAX)
        return NULL;
    fw_window_t *self = fw_alloc(1, sizeof *self);
    self->options = *options;
    self->random.state = options->seed;
    self->next_id = 1;
    self->heap = fw_alloc(options->in_flight_max, sizeof(entry_t *));
    size_t buckets = 16;
    while (buckets < options->in_flight_max)
        buckets *= 2;
    self->buckets = fw_alloc(buckets, sizeof(entry_t *));
    self->bucket_mask = buckets - 1;
    return self;
}

void fw_window_destroy(fw_window_t **self_p)
{
    fw_window_t *self = *self_p;
    if (!self)
        return;
    while (self->oldest) {
        entry_t *entry = self->oldest;
        self->oldest = entry->newer;
        free(entry);
    }
    free(self->heap);
    free(self->buckets);
    free(self);
    *self_p = NULL;
}

/* The heap: a parent is never due after its children. */

static void heap_put(fw_window_t *self, size_t index, entry_t *entry)
{
    self->heap[index] = entry;
    entry->heap_index = index;
}

static void heap_rise(fw_window_t *self, size_t index, entry_t *entry)
{
    while (index > 0 && self->heap[(index - 1) / 2]->due_ms > entry->due_ms) {
        heap_put(self, index, self->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_put(self, index, entry);
}

static void heap_sink(fw_window_t *self, size_t index, entry_t *entry)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= self->heap_count)
            break;
        if (child + 1 < self->heap_count &&
            self->heap[child + 1]->due_ms < self->heap[child]->due_ms)
            child++;
        if (self->heap[child]->due_ms >= entry->due_ms)
            break;
        heap_put(self, index, self->heap[child]);
        index = child;
    }
    heap_put(self, index, entry);
}

static void heap_add(fw_window_t *self, entry_t *entry)
{
    assert(self->heap_count < self->options.in_flight_max);
    heap_rise(self, self->heap_count++, entry);
}

static void heap_remove(fw_window_t *self, entry_t *entry)
{
    size_t index = entry->heap_index;
    assert(self->heap[index] == entry);
    entry_t *last = self->heap[--self->heap_count];
    if (last == entry)
        return;
    if (index > 0 && self->heap[(index - 1) / 2]->due_ms > last->due_ms)
        heap_rise(self, index, last);
    else
        heap_sink(self, index, last);
}

/* The queues of READY entries. */

static void queue_add(queue_t *queue, entry_t *entry)
{
    entry->before = queue->tail;
    entry->behind = NULL;
    if (queue->tail)
        queue->tail->behind = entry;
    else
        queue->head = entry;
    queue->tail = entry;
}

static void queue_remove(queue_t *queue, entry_t *entry)
{
    if (entry->before)
        entry->before->behind = entry->behind;
    else
        queue->head = entry->behind;
    if (entry->behind)
        entry->behind->before = entry->before;
    else
        queue->tail = entry->before;
}

static queue_t *queue_of(fw_window_t *self, const entry_t *entry)
{
    return entry->held ? &self->again : &self->fresh;
}

static void make_ready(fw_window_t *self, entry_t *entry)
{
    entry->state = STATE_READY;
    queue_add(queue_of(self, entry), entry);
}

static void make_wait(fw_window_t *self, entry_t *entry, state_t state, int64_t due_ms)
{
    entry->state = state;
    entry->due_ms = due_ms;
    heap_add(self, entry);
}

/* Takes an entry out of whatever it waits in; it stays in the window. */
static void detach(fw_window_t *self, entry_t *entry)
{
    if (entry->state == STATE_READY)
        queue_remove(queue_of(self, entry), entry);
    else
        heap_remove(self, entry);
}

static void set_held(fw_window_t *self, entry_t *entry, bool held)
{
    if (entry->held && !held)
        self->held--;
    else if (!entry->held && held)
        self->held++;
    entry->held = held;
}

static entry_t *find(const fw_window_t *self, uint64_t request_id)
{
    entry_t *entry = self->buckets[request_id & self->bucket_mask];
    while (entry && entry->request_id != request_id)
        entry = entry->chain;
    return entry;
}

static void remove_entry(fw_window_t *self, entry_t *entry)
{
    detach(self, entry);
    set_held(self, entry, false);
    entry_t **link = &self->buckets[entry->request_id & self->bucket_mask];
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    if (entry->older)
        entry->older->newer = entry->newer;
    else
        self->oldest = entry->newer;
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        self->newest = entry->older;
    self->count--;
    self->bytes -= entry->size;
    free(entry);
}

uint64_t fw_window_next_id(const fw_window_t *self)
{
    return self->next_id;
}

bool fw_window_full(const fw_window_t *self)
{
    return self->count >= self->options.in_flight_max ||
           (self->open && self->count >= self->credit);
}

int fw_window_add(fw_window_t *self, fw_bytes_t frame, int64_t now_ms)
{
    if (fw_window_full(self))
        return -EAGAIN;
    if (self->count > 0 && self->bytes + frame.size > FW_WINDOW_BYTES_MAX)
        return -EAGAIN;
    entry_t *entry = fw_alloc(1, sizeof *entry + frame.size);
    entry->request_id = self->next_id++;
    entry->expires_ms = now_ms + self->options.timeout_ms;
    entry->size = frame.size;
    if (frame.size > 0)
        memcpy(entry->frame, frame.data, frame.size);
    entry->older = self->newest;
    if (self->newest)
        self->newest->newer = entry;
    else
        self->oldest = entry;
    self->newest = entry;
    entry_t **bucket = &self->buckets[entry->request_id & self->bucket_mask];
    entry->chain = *bucket;
    *bucket = entry;
    self->count++;
    self->bytes += frame.size;
    make_ready(self, entry);
    return 0;
}

void fw_window_close(fw_window_t *self)
{
    self->open = false;
    self->paused_until_ms = INT64_MIN;
    /* Rebuilt by age, so that the next link gets them in the order in which they were published. */
    for (entry_t *entry = self->oldest; entry; entry = entry->newer) {
        if (entry->state == STATE_LATER)
            continue;
        detach(self, entry);
        set_held(self, entry, false);
        make_ready(self, entry);
    }
}

void fw_window_open(fw_window_t *self, uint32_t credit)
{
    if (self->open)
        fw_window_close(self);
    self->open = true;
    self->credit = credit;
}

void fw_window_set_credit(fw_window_t *self, uint32_t credit)
{
    self->credit = credit;
}

uint32_t fw_window_credit(const fw_window_t *self)
{
    return self->credit;
}

static void wake(fw_window_t *self, int64_t now_ms)
{
    while (self->heap_count > 0 && self->heap[0]->due_ms <= now_ms) {
        entry_t *entry = self->heap[0];
        heap_remove(self, entry);
        make_ready(self, entry);
    }
}

/* Whether READY entries may go on the wire, apart from the pause. */
static const entry_t *sendable(const fw_window_t *self)
{
    if (!self->open)
        return NULL;
    if (self->again.head && self->credit > 0)
        return self->again.head;
    return self->held < self->credit ? self->fresh.head : NULL;
}

bool fw_window_next(fw_window_t *self, int64_t now_ms, uint64_t *ret_request_id,
                    fw_bytes_t *ret_frame, unsigned *ret_attempt)
{
    wake(self, now_ms);
    const entry_t *entry = sendable(self);
    if (!entry || now_ms < self->paused_until_ms)
        return false;
    *ret_request_id = entry->request_id;
    *ret_frame = (fw_bytes_t){entry->frame, entry->size};
    *ret_attempt = entry->attempt;
    return true;
}

static int64_t jitter_ms(fw_window_t *self, int64_t floor_ms, int64_t base_ms, int64_t cap_ms,
                         unsigned attempt)
{
    fw_backoff_t backoff =
        fw_backoff_make(floor_ms, base_ms, cap_ms, fw_random_next(&self->random));
    backoff.attempt = attempt;
    return fw_backoff_next_ms(&backoff);
}

void fw_window_sent(fw_window_t *self, uint64_t request_id, int64_t now_ms)
{
    entry_t *entry = find(self, request_id);
    assert(entry);
    assert(entry->state == STATE_READY);
    queue_remove(queue_of(self, entry), entry);
    set_held(self, entry, true);
    int64_t wait_ms = FW_WINDOW_ANSWER_MS + jitter_ms(self, 0, ANSWER_JITTER_BASE_MS,
                                                      ANSWER_JITTER_CAP_MS, entry->attempt);
    entry->attempt++;
    make_wait(self, entry, STATE_FLYING, now_ms + wait_ms);
}

static void postpone(fw_window_t *self, entry_t *entry, fw_publish_status_t status,
                     uint32_t retry_after_ms, int64_t now_ms)
{
    int64_t asked_ms = retry_after_ms < FW_WINDOW_RETRY_AFTER_MS_MAX ? retry_after_ms
                                                                     : FW_WINDOW_RETRY_AFTER_MS_MAX;
    int64_t wait_ms = jitter_ms(self, RETRY_FLOOR_MS, RETRY_BASE_MS, RETRY_CAP_MS, entry->attempt);
    if (status == FW_PUBLISH_OVERLOAD && now_ms + asked_ms > self->paused_until_ms)
        self->paused_until_ms = now_ms + asked_ms;
    /* A late answer to an earlier try says nothing about a frame that the broker does not hold. */
    if (!entry->held)
        return;
    detach(self, entry);
    set_held(self, entry, false);
    /* Jitter comes on top, or all refused events would come back in the same millisecond. */
    make_wait(self, entry, STATE_LATER, now_ms + asked_ms + wait_ms);
}

fw_window_verdict_t fw_window_answer(fw_window_t *self, uint64_t request_id,
                                     fw_publish_status_t status, uint32_t retry_after_ms,
                                     int64_t now_ms)
{
    entry_t *entry = find(self, request_id);
    if (!entry || entry->attempt == 0)
        return FW_WINDOW_UNKNOWN;
    switch (status) {
    case FW_PUBLISH_OK:
    case FW_PUBLISH_DUPLICATE:
    case FW_PUBLISH_REJECTED:
        remove_entry(self, entry);
        return FW_WINDOW_ENDED;
    case FW_PUBLISH_RETRY:
    case FW_PUBLISH_OVERLOAD:
        postpone(self, entry, status, retry_after_ms, now_ms);
        return FW_WINDOW_AGAIN;
    }
    return FW_WINDOW_UNKNOWN;
}

bool fw_window_expire(fw_window_t *self, int64_t now_ms, uint64_t *ret_request_id)
{
    if (!self->oldest || self->oldest->expires_ms > now_ms)
        return false;
    return fw_window_cancel(self, ret_request_id);
}

bool fw_window_cancel(fw_window_t *self, uint64_t *ret_request_id)
{
    entry_t *entry = self->oldest;
    if (!entry)
        return false;
    *ret_request_id = entry->request_id;
    remove_entry(self, entry);
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t fw_window_deadline_ms(const fw_window_t *self, int64_t now_ms)
{
    int64_t deadline_ms = self->oldest ? self->oldest->expires_ms : INT64_MAX;
    if (self->open && self->credit > 0) {
        if (sendable(self))
            deadline_ms = earlier(deadline_ms, self->paused_until_ms);
        if (self->heap_count > 0)
            deadline_ms = earlier(deadline_ms, self->heap[0]->due_ms);
    }
    return deadline_ms < now_ms ? now_ms : deadline_ms;
}

size_t fw_window_count(const fw_window_t *self)
{
    return self->count;
}

size_t fw_window_wire_count(const fw_window_t *self)
{
    return self->held;
}

size_t fw_window_bytes(const fw_window_t *self)
{
    return self->bytes;
}
