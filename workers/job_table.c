/* job_table.c - jobs that are taken and not answered.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/job_table.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

typedef struct {
    fw_purge_job_t *job;
} owing_t;

typedef struct {
    fw_purge_job_t *job;
    int64_t due_us;
} due_t;

struct fw_job_table {
    /* Ids by themselves: with a few hundred jobs a walk over them is quicker than a hash table. */
    uint64_t *ids;
    owing_t *jobs;
    size_t count, capacity;
    due_t *due; /* decided jobs, a ring */
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
    free(self->ids);
    free(self->jobs);
    free(self->due);
    free(self);
    *self_p = NULL;
}

/* Index of an id, or count when it is not there. */
static size_t find(const fw_job_table_t *self, uint64_t job_id)
{
    size_t i = 0;
    while (i < self->count && self->ids[i] != job_id) {
        i++;
    }
    return i;
}

void fw_job_table_add(fw_job_table_t *self, fw_purge_job_t *job)
{
    assert(find(self, job->job_id) == self->count);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 64;
        self->ids = fw_realloc(self->ids, self->capacity, sizeof(uint64_t));
        self->jobs = fw_realloc(self->jobs, self->capacity, sizeof(owing_t));
    }
    self->ids[self->count] = job->job_id;
    self->jobs[self->count].job = job;
    self->count++;
    self->bytes += job->bytes;
}

bool fw_job_table_repeat(fw_job_table_t *self, uint64_t job_id)
{
    size_t i = find(self, job_id);
    if (i == self->count) {
        return false;
    }
    self->jobs[i].job->leases++;
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
        assert(i < self->count);
        self->count--;
        self->ids[i] = self->ids[self->count];
        self->jobs[i] = self->jobs[self->count];
    }
    return job;
}

size_t fw_job_table_disown(fw_job_table_t *self)
{
    size_t count = self->count;
    for (size_t i = 0; i < count; i++) {
        self->jobs[i].job->leases = 0;
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
