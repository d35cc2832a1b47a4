/* job_table.c - jobs that are taken and not answered.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/job_table.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

typedef struct {
    fw_purge_job_t *job;
    int64_t due_us;
} due_t;

struct fw_job_table {
    fw_purge_job_t **slots; /* found by id; at most half of them are used */
    size_t count;
    size_t slots_count; /* a power of two, or 0 */
    due_t *due;         /* decided jobs, a ring */
    size_t due_first, due_count, due_capacity;
    size_t bytes;
};

fw_job_table_t *fw_job_table_new(void)
{
    return fw_alloc(1, sizeof(fw_job_table_t));
}

void fw_job_table_destroy(fw_job_table_t **self_p)
{
    fw_job_table_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_purge_job_t *job;
    while ((job = fw_job_table_take_due(self, INT64_MAX))) {
        fw_purge_job_destroy(&job);
    }
    free(self->slots);
    free(self->due);
    free(self);
    *self_p = NULL;
}

/* Where an id stands if nobody else does. Spread, because ids count up: side by side they would be
 * one long row, which every removal would have to look through. */
static size_t home_of(const fw_job_table_t *self, uint64_t job_id)
{
    uint64_t spread = job_id * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(spread >> 32) & (self->slots_count - 1);
}

/* The slot of an id, or the free one where it belongs. There must be slots. */
static size_t find(const fw_job_table_t *self, uint64_t job_id)
{
    size_t i = home_of(self, job_id);
    while (self->slots[i] && self->slots[i]->job_id != job_id) {
        i = (i + 1) & (self->slots_count - 1);
    }
    return i;
}

static void make_room(fw_job_table_t *self)
{
    if (2 * (self->count + 1) <= self->slots_count) {
        return;
    }
    fw_purge_job_t **old = self->slots;
    size_t old_count = self->slots_count;
    self->slots_count = old_count ? 2 * old_count : 128;
    self->slots = fw_alloc(self->slots_count, sizeof(fw_purge_job_t *));
    for (size_t i = 0; i < old_count; i++) {
        if (old[i]) {
            self->slots[find(self, old[i]->job_id)] = old[i];
        }
    }
    free(old);
}

void fw_job_table_add(fw_job_table_t *self, fw_purge_job_t *job)
{
    make_room(self);
    size_t i = find(self, job->job_id);
    assert(!self->slots[i]);
    self->slots[i] = job;
    self->count++;
    self->bytes += job->bytes;
}

/* Those behind it that were kept from their place by it, or by each other, move up. */
static void remove_at(fw_job_table_t *self, size_t gap)
{
    size_t mask = self->slots_count - 1;
    self->count--;
    self->slots[gap] = NULL;
    for (size_t i = (gap + 1) & mask; self->slots[i]; i = (i + 1) & mask) {
        size_t home = home_of(self, self->slots[i]->job_id);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            self->slots[gap] = self->slots[i];
            self->slots[i] = NULL;
            gap = i;
        }
    }
}

bool fw_job_table_repeat(fw_job_table_t *self, uint64_t job_id)
{
    fw_purge_job_t *job = self->count > 0 ? self->slots[find(self, job_id)] : NULL;
    if (!job) {
        return false;
    }
    job->leases++;
    return true;
}

void fw_job_table_decided(fw_job_table_t *self, fw_purge_job_t *job, int64_t due_us)
{
    if (self->due_count == self->due_capacity) {
        size_t larger = self->due_capacity ? 2 * self->due_capacity : 64;
        due_t *ring = fw_alloc(larger, sizeof(due_t));
        for (size_t i = 0; i < self->due_count; i++) {
            ring[i] = self->due[(self->due_first + i) % self->due_capacity];
        }
        free(self->due);
        self->due = ring;
        self->due_first = 0;
        self->due_capacity = larger;
    }
    self->due[(self->due_first + self->due_count) % self->due_capacity] = (due_t){job, due_us};
    self->due_count++;
}

fw_purge_job_t *fw_job_table_take_due(fw_job_table_t *self, int64_t now_us)
{
    if (self->due_count == 0 || self->due[self->due_first].due_us > now_us) {
        return NULL;
    }
    fw_purge_job_t *job = self->due[self->due_first].job;
    self->due_first = (self->due_first + 1) % self->due_capacity;
    self->due_count--;
    self->bytes -= job->bytes;
    if (job->leases > 0) {
        size_t i = find(self, job->job_id);
        assert(self->slots[i] == job);
        remove_at(self, i);
    }
    return job;
}

size_t fw_job_table_disown(fw_job_table_t *self)
{
    size_t count = self->count;
    for (size_t i = 0; i < self->slots_count; i++) {
        if (self->slots[i]) {
            self->slots[i]->leases = 0;
            self->slots[i] = NULL;
        }
    }
    self->count = 0;
    return count;
}

size_t fw_job_table_count(const fw_job_table_t *self)
{
    return self->count;
}

size_t fw_job_table_bytes(const fw_job_table_t *self)
{
    return self->bytes;
}
